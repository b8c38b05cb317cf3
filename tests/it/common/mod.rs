//! What every whole-server test needs: a site in a temporary directory, the real binary on a free port, raw bytes
//! over a real socket, and a strict reader of responses.
//!
//! Nothing here sleeps to be right: reads block with a generous time-out, and [`eventually`] polls a condition.

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

use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process, setrlimit};
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

    /// Starts `oneloop --port 0 ARGS… SITE` and waits until it listens. It answers to every host, so that a test can
    /// name any.
    pub fn with(site: &Site, args: &[&str]) -> Server {
        Server::on(site.path(), args)
    }

    /// Like [`Server::with`], on a port that is known.
    pub fn at(site: &Site, port: &str, args: &[&str]) -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
        command.args(["--port", port, "--allow-host", "*"]).args(args).arg(site.path());
        Server::spawn(command, 1)
    }

    /// Like [`Server::with`], on any directory.
    pub fn on(dir: &Path, args: &[&str]) -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
        command.args(["--port", "0", "--allow-host", "*"]).args(args).arg(dir);
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
        found.split('/').next().unwrap_or_default().parse().expect("an address")
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
        let fields: Vec<&str> = after_name.split(' ').collect();
        // proc(5): the state is field 3 and comes first here; utime is field 14, stime field 15.
        let ticks: u64 = fields[11..=12].iter().map(|f| f.parse::<u64>().expect("ticks")).sum();
        Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second())
    }

    /// CPU time that the process uses during `span` of wall time.
    pub fn cpu_during(&self, span: Duration) -> Duration {
        let before = self.cpu();
        std::thread::sleep(span);
        self.cpu() - before
    }

    /// Resident memory of the process in bytes.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("its status");
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).expect("a line VmRSS");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }

    /// How many threads the process has.
    pub fn threads(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/task", self.pid())).expect("its tasks").count()
    }

    /// How many descriptors the process holds open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("its descriptors").count()
    }

    /// How many sockets are among them: connections, listeners, and whatever else the process keeps.
    pub fn sockets(&self) -> usize {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("its descriptors");
        let links = open.flatten().filter_map(|d| std::fs::read_link(d.path()).ok());
        links.filter(|l| l.as_os_str().as_bytes().starts_with(b"socket:")).count()
    }

    /// Runs `act` while the process is stopped: all that `act` sends is there together when the process goes on.
    pub fn while_stopped<T>(&self, act: impl FnOnce() -> T) -> T {
        self.signal(Signal::STOP);
        let stat = format!("/proc/{}/stat", self.pid());
        eventually("the server is stopped", || {
            std::fs::read_to_string(&stat).is_ok_and(|s| s.contains(") T "))
        });
        let result = act();
        self.signal(Signal::CONT);
        result
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
        Client::over(TcpStream::connect_timeout(&addr, SOON).expect("connect"))
    }

    /// A connection that takes in little at a time, so that the server must wait for it.
    pub fn narrow(addr: SocketAddr) -> Client {
        let socket = socket2::Socket::new(socket2::Domain::for_address(addr), socket2::Type::STREAM, None)
            .expect("a socket");
        socket.set_recv_buffer_size(4096).expect("set the receive buffer");
        socket.connect(&addr.into()).expect("connect");
        Client::over(TcpStream::from(socket))
    }

    /// Speaks over a socket that was made elsewhere.
    pub fn over(socket: TcpStream) -> Client {
        socket.set_nodelay(true).expect("set nodelay");
        socket.set_read_timeout(Some(SOON)).expect("set a time-out");
        socket.set_write_timeout(Some(SOON)).expect("set a time-out");
        Client { socket, unread: VecDeque::new() }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).expect("send");
    }

    /// Sends each of `pieces` and waits until the server has read it: one thread serves every connection in order of
    /// arrival, so an answer on the connection `beside` proves it. Stops at the first piece that the server refuses,
    /// for it may have answered and closed before the last one.
    pub fn send_apart<'a>(&mut self, beside: &mut Client, pieces: impl IntoIterator<Item = &'a [u8]>) {
        for piece in pieces {
            if self.socket.write_all(piece).is_err() {
                return;
            }
            beside.send("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n");
            assert_eq!(beside.head().status, 204, "on the connection beside");
        }
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
                // The end of a child, another test's server, interrupts a read that has a time-out (signal(7)).
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => panic!("no answer ({e}) after {:?}", lossy(self.unread.make_contiguous())),
            }
        }
        self.unread.drain(..len).collect()
    }

    /// Reads `len` bytes and forgets them, for bodies that do not fit into memory.
    pub fn skip(&mut self, len: u64) {
        let known = self.unread.len().min(len as usize);
        self.unread.drain(..known);
        let (mut left, mut buffer) = (len - known as u64, vec![0; 1 << 20]);
        while left > 0 {
            let wanted = left.min(buffer.len() as u64) as usize;
            let got = self.socket.read(&mut buffer[..wanted]).expect("more bytes");
            assert!(got > 0, "the server closed {left} bytes too early");
            left -= got as u64;
        }
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

pub fn lossy(bytes: &[u8]) -> String {
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

    /// How long its head was.
    pub fn head_len(&self) -> usize {
        let lines: usize = self.headers.iter().map(|(name, value)| name.len() + 2 + value.len() + 2).sum();
        self.version.len() + 1 + 3 + 1 + self.reason.len() + 2 + lines + 2
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// True when the server said that it closes.
    pub fn closes(&self) -> bool {
        self.header("connection").is_some_and(|v| v.eq_ignore_ascii_case("close"))
    }
}

/// What becomes of a connection after a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    Stays,
    Closes,
}

/// Sends `request` and a right one behind it, whole and then byte by byte (long ones in a thousand pieces), and asserts
/// that it is answered with our page of `status`. Where the connection closes, the response must say so, be the last
/// one, and be followed by a FIN; where it stays, the request behind must be answered next.
pub fn assert_refused(server: &Server, request: &[u8], status: u16, after: After) {
    const BEHIND: &str = "GET /hello.txt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let stream = [request, BEHIND.as_bytes()].concat();
    for piece in [stream.len(), 1 + stream.len() / 1000] {
        let how = format!("{:?} in pieces of {piece}", lossy(request));
        let mut client = server.connect();
        client.send_apart(&mut server.connect(), stream.chunks(piece));
        let response = client.response_to(request);
        assert_eq!(response.status, status, "{how}");
        assert_our_page(&response, request.starts_with(b"HEAD "));
        assert_eq!(response.closes(), after == After::Closes, "closing after {how}");
        if after == After::Stays {
            assert_eq!(client.response().text(), "hello\n", "behind {how}");
        }
        client.expect_close();
    }
}

/// Asserts that `response` is the small HTML page that the server itself makes of an error.
pub fn assert_our_page(response: &Response, to_head: bool) {
    assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"), "{response:?}");
    assert_eq!(response.header("x-content-type-options"), Some("nosniff"), "{response:?}");
    let len: usize = response.header("content-length").expect("Content-Length").parse().expect("a number");
    assert!((1..4096).contains(&len), "a page of {len} bytes");
    let page = response.text();
    if !to_head {
        assert!(page.get(..15).is_some_and(|s| s.eq_ignore_ascii_case("<!doctype html>")), "{page}");
        assert!(page.contains(&response.status.to_string()) && page.contains(&response.reason), "{page}");
    }
}

/// Bytes that show as text where a test fails.
pub struct Raw<'a>(pub &'a [u8]);

impl std::fmt::Debug for Raw<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// Runs `check` on every row of a table, and fails at the end with all the rows that did not hold.
pub fn each<T: std::fmt::Debug>(rows: impl IntoIterator<Item = T>, check: impl Fn(&T)) {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    let mut failed = Vec::new();
    for row in rows {
        if catch_unwind(AssertUnwindSafe(|| check(&row))).is_err() {
            failed.push(format!("{row:?}"));
        }
    }
    assert!(failed.is_empty(), "{} rows do not hold:\n{}", failed.len(), failed.join("\n"));
}

/// Lets this process, and the servers that it starts from now on, hold as many descriptors as the system allows.
pub fn allow_many_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("raise the soft limit to the hard one");
}

/// Polls `condition` until it holds; fails the test after [`SOON`].
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < end, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A fact of the narration, without what differs from run to run.
pub fn masked_fact(fact: &str) -> String {
    match fact.split_once('=') {
        Some((name @ ("slept" | "trace" | "took" | "late" | "life" | "fd"), _)) => format!("{name}=_"),
        Some(("timeout", time)) if time != "never" => "timeout=_".into(),
        Some(("from", _)) => "from=_".into(),
        Some(("to", _)) => "to=_".into(),
        _ if fact.starts_with("127.0.0.1:") => "ADDR".into(),
        _ => fact.into(),
    }
}
