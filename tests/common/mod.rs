//! What every whole-server test needs: a site in a temporary directory, the real binary on a free port, raw bytes
//! over a real socket, and a strict reader of responses.
//!
//! Nothing here sleeps to be right: reads block with a generous time-out, and [`eventually`] polls a condition.
#![allow(dead_code)] // each test file uses its own part of this

use std::{
    collections::VecDeque,
    ffi::OsStr,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long a test waits for what must happen before it fails.
pub const SOON: Duration = Duration::from_secs(20);

/// A directory to serve, gone when the test ends.
pub struct Site {
    dir: TempDir,
}

impl Site {
    /// `index.html` ("home\n"), `hello.txt` ("hello\n") and `docs/index.html` ("docs\n").
    pub fn new() -> Site {
        let site = Site::empty();
        site.write("index.html", "home\n");
        site.write("hello.txt", "hello\n");
        site.write("docs/index.html", "docs\n");
        site
    }

    pub fn empty() -> Site {
        Site { dir: tempfile::tempdir().expect("a temporary directory") }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The path of `name` in the site; `name` may hold any bytes that a file name may.
    pub fn at(&self, name: impl AsRef<[u8]>) -> PathBuf {
        self.path().join(OsStr::from_bytes(name.as_ref()))
    }

    /// Writes a file, and the folders above it.
    pub fn write(&self, name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) {
        let path = self.at(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("create folders");
        std::fs::write(path, content).expect("write a file");
    }

    /// A file of `len` zero bytes that takes no room on disk.
    pub fn sparse(&self, name: &str, len: u64) {
        std::fs::File::create(self.at(name)).and_then(|f| f.set_len(len)).expect("make a sparse file");
    }
}

/// `len` bytes in which every offset can be told from its neighbours.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i.wrapping_mul(31) ^ (i >> 8) ^ (i >> 16)) as u8).collect()
}

/// The real server, on a free port of 127.0.0.1; killed when the test ends.
pub struct Server {
    child: Child,
    /// The lines that it printed at its start, one a listening socket, UDP too.
    pub lines: Vec<String>,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Server {
    pub fn start(site: &Site) -> Server {
        Server::with(site, &[])
    }

    /// Starts `oneloop --port 0 ARGS… SITE` and waits until it listens.
    pub fn with(site: &Site, args: &[&str]) -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
        command.args(["--port", "0"]).args(args).arg(site.path());
        Server::spawn(
            command,
            1 + args.iter().filter(|a| ["--udp-echo", "--bind", "-b"].contains(a)).count()
                - usize::from(args.iter().any(|a| ["--bind", "-b"].contains(a))),
        )
    }

    /// Like [`Server::with`], under `ulimit -n NOFILE` (soft and hard).
    pub fn with_nofile(site: &Site, nofile: u32, args: &[&str]) -> Server {
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("ulimit -n {nofile} && exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_oneloop")])
            .args(["--port", "0"])
            .args(args)
            .arg(site.path());
        Server::spawn(command, 1)
    }

    /// Runs `command` and reads the `expected` lines that it prints at its start.
    fn spawn(mut command: Command, expected: usize) -> Server {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start oneloop");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut lines = Vec::new();
        while lines.len() < expected {
            let mut line = String::new();
            if stdout.read_line(&mut line).expect("read its standard output") == 0 {
                let mut why = String::new();
                let _ = child.stderr.take().expect("piped").read_to_string(&mut why);
                let _ = child.wait();
                panic!("oneloop ended before it listened: {why}");
            }
            lines.push(line.trim_end().to_owned());
        }
        Server { child, lines, stdout }
    }

    /// The address of the first HTTP listener.
    pub fn addr(&self) -> SocketAddr {
        self.addr_of("http://")
    }

    /// The address of the UDP socket.
    pub fn udp_addr(&self) -> SocketAddr {
        self.addr_of("udp://")
    }

    fn addr_of(&self, scheme: &str) -> SocketAddr {
        let found = self.lines.iter().find_map(|l| l.strip_prefix(scheme)).expect("a line of that scheme");
        found.trim_end_matches('/').parse().expect("an address")
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.addr())
    }

    /// One connection, one request, one response, and whatever came after it until the peer closed or went silent.
    pub fn ask(&self, request: impl AsRef<[u8]>) -> Response {
        let mut client = self.connect();
        client.send(request.as_ref());
        client.response_to(request.as_ref())
    }

    /// `GET path` on a connection of its own.
    pub fn get(&self, path: &str) -> Response {
        self.ask(get(path))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id() as i32).expect("a pid");
        kill_process(pid, signal).expect("signal the server");
    }

    /// Waits for the process to end, [`SOON`] at most.
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

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("ask about the server").is_none()
    }

    /// The next line of its standard output after the addresses (the access log, when it goes there).
    pub fn stdout_line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a line");
        line
    }

    pub fn stderr(&mut self) -> ChildStderr {
        self.child.stderr.take().expect("taken once")
    }

    /// CPU time that the process has used, user and system.
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("its stat");
        let after_name = stat.rsplit_once(") ").expect("a name in parentheses").1;
        let fields: Vec<u64> = after_name.split(' ').filter_map(|f| f.parse().ok()).collect();
        // After the name: state (not a number), then ppid … utime is the 11th number, stime the 12th (proc(5)).
        Duration::from_millis((fields[10] + fields[11]) * 1000 / rustix::param::clock_ticks_per_second())
    }

    /// How many threads the process has.
    pub fn threads(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/task", self.pid())).expect("its tasks").count()
    }

    /// How many descriptors the process holds open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("its descriptors").count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `GET path` as a minimal HTTP/1.1 request.
pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// One connection, spoken to in raw bytes.
pub struct Client {
    pub socket: TcpStream,
    /// Bytes received and not yet read as a response.
    unread: VecDeque<u8>,
}

impl Client {
    pub fn connect(addr: SocketAddr) -> Client {
        let socket = TcpStream::connect(addr).expect("connect");
        socket.set_nodelay(true).expect("set nodelay");
        socket.set_read_timeout(Some(SOON)).expect("set a time-out");
        socket.set_write_timeout(Some(SOON)).expect("set a time-out");
        Client { socket, unread: VecDeque::new() }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).expect("send");
    }

    /// Sends a FIN: nothing more will come from this side.
    pub fn finish(&mut self) {
        self.socket.shutdown(Shutdown::Write).expect("half-close");
    }

    /// Makes `drop` send a RST instead of a FIN.
    pub fn reset(self) {
        socket2::SockRef::from(&self.socket).set_linger(Some(Duration::ZERO)).expect("set linger");
    }

    /// The next response; its body is read unless it answers HEAD.
    pub fn response_to(&mut self, request: &[u8]) -> Response {
        if request.starts_with(b"HEAD ") { self.head() } else { self.response() }
    }

    /// The next response, with its body.
    pub fn response(&mut self) -> Response {
        let mut response = self.head();
        if !matches!(response.status, 100..=199 | 204 | 304) {
            let len: usize = match response.header("content-length") {
                Some(len) => len.parse().expect("a number in Content-Length"),
                None => {
                    panic!("a response with neither Content-Length nor a status without a body: {response:?}")
                }
            };
            response.body = self.take(len);
        }
        response
    }

    /// The next response's head; the body, if any, stays unread.
    pub fn head(&mut self) -> Response {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(self.take(1));
        }
        Response::parse(&head)
    }

    /// Exactly `len` bytes.
    pub fn take(&mut self, len: usize) -> Vec<u8> {
        while self.unread.len() < len {
            let mut buffer = [0; 65536];
            match self.socket.read(&mut buffer) {
                Ok(0) => panic!("the server closed after {:?}", lossy(self.unread.make_contiguous())),
                Ok(n) => self.unread.extend(&buffer[..n]),
                Err(e) => panic!("no answer ({e}) after {:?}", lossy(self.unread.make_contiguous())),
            }
        }
        self.unread.drain(..len).collect()
    }

    /// Whatever comes until the server closes its side; panics where it stays open. A reset is an error, too.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest: Vec<u8> = self.unread.drain(..).collect();
        self.socket.read_to_end(&mut rest).expect("the server closes");
        rest
    }

    /// Asserts that the server closes and sends nothing more.
    pub fn expect_close(&mut self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "bytes after the last response: {:?}", lossy(&rest));
    }

    /// True when the connection is gone, whether by FIN or by RST, with or without more bytes.
    pub fn is_gone_soon(&mut self) -> bool {
        let mut buffer = [0; 65536];
        loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(e) if matches!(e.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                    return true;
                }
                Err(_) => return false,
            }
        }
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(500)]).into_owned()
}

/// A response, read strictly: a bad status line, a bare LF or a bad field line is a panic.
#[derive(Debug, Clone)]
pub struct Response {
    pub version: String,
    pub status: u16,
    pub reason: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    fn parse(head: &[u8]) -> Response {
        let text = std::str::from_utf8(head).expect("an ASCII head");
        let mut lines = text.strip_suffix("\r\n\r\n").expect("a whole head").split("\r\n");
        let status_line = lines.next().expect("a status line");
        let mut parts = status_line.splitn(3, ' ');
        let version = parts.next().expect("a version").to_owned();
        assert!(version == "HTTP/1.1", "version in {status_line:?}");
        let status = parts.next().and_then(|s| s.parse().ok()).expect("a status");
        let reason = parts.next().expect("a reason, perhaps empty").to_owned();
        let headers = lines
            .map(|line| {
                assert!(!line.contains(['\r', '\n']), "a bare CR or LF in {line:?}");
                let (name, value) = line.split_once(": ").expect("a field line");
                (name.to_owned(), value.to_owned())
            })
            .collect();
        Response { version, status, reason, headers, body: Vec::new() }
    }

    /// The value of a field that stands at most once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        let value = found.next().map(|(_, v)| v.as_str());
        assert!(found.next().is_none(), "{name} stands twice in {:?}", self.headers);
        value
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// True when the server said that it closes.
    pub fn closes(&self) -> bool {
        self.header("connection").is_some_and(|v| v.eq_ignore_ascii_case("close"))
    }
}

/// Polls `condition` until it holds; fails the test after [`SOON`].
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < end, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
