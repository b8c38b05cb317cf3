//! The real binary as a child process, on a free port.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{Client, Response, SOON, Site, get};

/// The flags of the conversations besides HTTP, and how the line begins that announces each.
const CONVERSATIONS: [(&str, &str); 6] = [
    ("--tcp-echo", "tcp"),
    ("--udp-echo", "udp"),
    ("--beacon", "beacon"),
    ("--chat", "chat"),
    ("--smtp", "smtp"),
    ("--pop3", "pop3"),
];

/// The real server on a free port of 127.0.0.1; killed when the test ends.
pub struct Server {
    child: Child,
    /// The lines that the server printed at startup, one for each listening socket.
    pub lines: Vec<String>,
    stdout: BufReader<ChildStdout>,
}

impl Server {
    /// Starts the server without options.
    pub fn start(site: &Site) -> Server {
        Server::with(site, &[])
    }

    /// Starts `oneloop --port 0 ARGS... SITE` and waits until it listens. It accepts every Host
    /// header, so a test can use any name.
    pub fn with(site: &Site, args: &[&str]) -> Server {
        Server::on(site.path(), args)
    }

    /// Starts a server like [`Server::with`] for any directory.
    pub fn on(dir: &Path, args: &[&str]) -> Server {
        Server::spawn(Server::command(dir, args))
    }

    /// Starts a server like [`Server::with`] on a given port.
    pub fn at(site: &Site, port: &str, args: &[&str]) -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
        command.args(["--port", port, "--allow-host", "*"]).args(args).arg(site.path());
        Server::spawn(command)
    }

    /// Starts a server like [`Server::with`] that has several HTTP listeners: waits for `count`
    /// lines.
    pub fn with_lines(site: &Site, args: &[&str], count: usize) -> Server {
        let mut server = Server::with(site, args);
        while server.lines.len() < count {
            server.read_line();
        }
        server
    }

    /// Starts a server like [`Server::with`] under `ulimit -n NOFILE` (soft and hard).
    pub fn with_nofile(site: &Site, nofile: u32, args: &[&str]) -> Server {
        Server::in_shell(&format!("ulimit -n {nofile} && exec \"$0\" \"$@\""), site, args)
    }

    /// Starts a server like [`Server::with`] from a shell whose `script` ends with
    /// `exec "$0" "$@"`.
    pub fn in_shell(script: &str, site: &Site, args: &[&str]) -> Server {
        let mut command = Command::new("sh");
        command
            .args(["-c", script, env!("CARGO_BIN_EXE_oneloop"), "--port", "0"])
            .args(args)
            .arg(site.path())
            .stderr(Stdio::piped());
        Server::spawn(command)
    }

    /// Returns the command `oneloop --port 0 ARGS... DIR` with its standard error connected to
    /// [`Server::stderr`].
    pub fn command(dir: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
        command.args(["--port", "0", "--allow-host", "*"]).args(args).arg(dir).stderr(Stdio::piped());
        command
    }

    /// Runs `command` and waits until it has printed a line for HTTP and for each other
    /// conversation.
    pub fn spawn(command: Command) -> Server {
        Server::spawn_with(command, Stdio::null())
    }

    /// Runs `command` like [`Server::spawn`], with `stdin` as its standard input.
    pub fn spawn_with(mut command: Command, stdin: Stdio) -> Server {
        let is_enabled = |flag: &str| command.get_args().any(|arg| arg == flag);
        let enabled = CONVERSATIONS.iter().filter(|(flag, _)| is_enabled(flag));
        let schemes: Vec<&str> = enabled.map(|(_, scheme)| *scheme).collect();
        let mut child = command.stdin(stdin).stdout(Stdio::piped()).spawn().expect("start oneloop");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut server = Server { child, lines: Vec::new(), stdout };
        server.read_line();
        for scheme in schemes {
            while !server.lines.iter().any(|line| line.starts_with(scheme)) {
                server.read_line();
            }
        }
        server
    }

    /// Reads one more line that announces a listening socket.
    pub fn read_line(&mut self) {
        let mut line = String::new();
        if self.stdout.read_line(&mut line).expect("read its standard output") == 0 {
            let mut message = String::new();
            let _ = self.child.stderr.take().map(|mut stderr| stderr.read_to_string(&mut message));
            panic!("oneloop ended before it listened: {message}");
        }
        self.lines.push(line.trim_end().to_owned());
    }

    /// Returns the address of the first HTTP listener.
    pub fn addr(&self) -> SocketAddr {
        self.addr_of("http://")
    }

    /// Returns the address of the UDP socket.
    pub fn udp_addr(&self) -> SocketAddr {
        self.addr_of("udp://")
    }

    /// Returns the address of the first line that begins with `scheme`, such as `tcp://`.
    pub fn addr_of(&self, scheme: &str) -> SocketAddr {
        let found = self.lines.iter().find_map(|l| l.strip_prefix(scheme)).expect("a line with that scheme");
        found.split('/').next().unwrap_or_default().parse().expect("an address")
    }

    /// Returns the site's base path, with a slash at each end.
    pub fn base_path(&self) -> &str {
        let line = self.lines[0].strip_prefix("http://").expect("a line with an HTTP URL");
        &line[line.find('/').expect("a path")..]
    }

    /// Opens a connection.
    pub fn connect(&self) -> Client {
        Client::connect(self.addr())
    }

    /// Sends a request on a new connection and reads the response.
    pub fn ask(&self, request: impl AsRef<[u8]>) -> Response {
        let mut client = self.connect();
        client.send(request.as_ref());
        client.response_to(request.as_ref())
    }

    /// Sends `GET path` on a new connection and reads the response.
    pub fn get(&self, path: &str) -> Response {
        self.ask(get(path))
    }

    /// Returns the process ID.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the process.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("signal the server");
    }

    /// Waits for the process to exit, for [`SOON`] at most.
    pub fn exit(&mut self) -> ExitStatus {
        let end = Instant::now() + SOON;
        loop {
            if let Some(status) = self.child.try_wait().expect("wait for the server") {
                return status;
            }
            assert!(Instant::now() < end, "the server did not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Returns whether the process is still running.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("poll the server").is_none()
    }

    /// Reads the next line of standard output after the addresses: the access log, if it goes
    /// there.
    pub fn stdout_line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a line");
        line
    }

    /// Takes the read end of the process's standard error.
    pub fn stderr(&mut self) -> ChildStderr {
        self.child.stderr.take().expect("stderr is taken only once")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
