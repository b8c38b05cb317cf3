//! `--step`: a person lets the loop turn, one wake-up at a time, and looks at it while it stands still.
use std::{
    fs::File,
    io::{Read, Write},
    net::{SocketAddr, UdpSocket},
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

use crate::common::*;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{Mode, OFlags},
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};

const PROMPT: &str = "step> ";

/// The server at a terminal of its own, and a person who types.
struct Terminal {
    child: Child,
    screen: File,
    /// On the screen, and not looked at yet.
    unread: String,
    addr: SocketAddr,
}

impl Terminal {
    /// Starts `oneloop --step ARGS… SITE` and waits for the first prompt.
    fn with(site: &Site, args: &[&str]) -> Terminal {
        let screen =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&screen).and_then(|()| unlockpt(&screen)).expect("its other side");
        let name = ptsname(&screen, Vec::new()).expect("its name");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let side = || Stdio::from(rustix::fs::open(&name, flags, Mode::empty()).expect("open it"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
        command.args(["--port", "0", "--step"]).args(args).arg(site.path());
        let child = command.stdin(side()).stdout(side()).stderr(side()).spawn().expect("start oneloop");
        let addr = SocketAddr::from(([0; 4], 0));
        let mut terminal = Terminal { child, screen: File::from(screen), unread: String::new(), addr };
        let start = terminal.until(PROMPT);
        let url = start.strip_prefix("http://").and_then(|url| url.split('/').next()).expect("a URL first");
        terminal.addr = url.parse().expect("an address");
        terminal
    }

    /// What is on the screen up to `text`, which must come.
    fn until(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.unread.find(text) {
                let rest = self.unread.split_off(at + text.len());
                return std::mem::replace(&mut self.unread, rest);
            }
            assert!(self.read(), "no {text:?} in {:?}", self.unread);
        }
    }

    /// What is on the screen until the server has ended.
    fn rest(&mut self) -> String {
        while self.read() {}
        std::mem::take(&mut self.unread)
    }

    /// Reads once. False: the server's side is closed.
    fn read(&mut self) -> bool {
        let soon = Timespec { tv_sec: SOON.as_secs() as i64, tv_nsec: 0 };
        let mut asked = [PollFd::new(&self.screen, PollFlags::IN)];
        let is_there = poll(&mut asked, Some(&soon)).expect("poll the screen") > 0;
        assert!(is_there, "nothing comes after {:?}", self.unread);
        let mut buffer = [0; 4096];
        match self.screen.read(&mut buffer) {
            Ok(got) => {
                self.unread.push_str(&String::from_utf8_lossy(&buffer[..got]).replace('\r', ""));
                got > 0
            }
            Err(e) => {
                assert_eq!(rustix::io::Errno::from_io_error(&e), Some(rustix::io::Errno::IO), "{e}");
                false
            }
        }
    }

    fn enter(&mut self, line: &str) {
        self.screen.write_all(format!("{line}\n").as_bytes()).expect("type");
    }

    /// Types a line, and returns what is said until the next prompt.
    fn ask(&mut self, line: &str) -> String {
        self.enter(line);
        let said = self.until(PROMPT);
        said.strip_prefix(&format!("{line}\n")).expect("the echo").to_owned()
    }

    fn connect(&self) -> Client {
        Client::connect(self.addr)
    }

    /// Signals the server, once it waits for what is typed.
    fn signal(&self, signal: Signal) {
        let stat = format!("/proc/{}/stat", self.child.id());
        eventually("it waits", || std::fs::read_to_string(&stat).is_ok_and(|s| s.contains(") S ")));
        kill_process(Pid::from_raw(self.child.id() as i32).expect("a pid"), signal).expect("signal it");
    }

    fn exit(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the server ends", || {
            status = self.child.try_wait().expect("ask about it");
            status.is_some()
        });
        status.expect("a status")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asserts that `text` has all of `words`, in this order.
fn assert_says(text: &str, words: &[&str]) {
    let mut rest = text;
    for word in words {
        let at = rest.find(word).unwrap_or_else(|| panic!("no {word:?}, or not there, in {text}"));
        rest = &rest[at + word.len()..];
    }
}

#[test]
fn a_person_steps_through_a_request_while_a_browser_waits() {
    let site = Site::new();
    let mut terminal = Terminal::with(&site, &[]);
    let mut browser = terminal.connect();
    let (start, end) = ("GET /hello.txt HTTP/1.1\r\nCookie: id=secret\r\n", "Host: localhost\r\n\r\n");
    let len = start.len() + end.len();
    browser.send(start);
    assert_says(&terminal.ask("t"), &["wait timeout=never", "#1 woke after ", ": L1[R]   no deadline"]);
    assert_says(&terminal.ask("p"), &["open=0", "L1 BOUND 127.0.0.1:", "turns=0"]);
    let said = terminal.ask("t");
    assert_says(
        &said,
        &["deadlines do not move", "L1 accept -> c1 ", "#2 woke", "c1[R]   next deadline: c1 head"],
    );

    // The ready set in hand, and nothing done.
    assert_says(&terminal.ask("p c1"), &["c1 IDLE in=0 out=0/0 interest=R head-timeout in ", "turns=0"]);
    let local = format!("local={}", terminal.addr);
    let peer = format!("peer={}", browser.socket.local_addr().expect("its address"));
    let words = [
        "c1 fd=",
        "AF_INET SOCK_STREAM O_NONBLOCK",
        &local,
        &peer,
        "SO_RCVBUF=",
        "TCP_NODELAY=1",
        &format!("unread: {}\n", start.len()),
    ];
    assert_says(&terminal.ask("s c1"), &words);

    browser.send(end);
    assert_says(&terminal.ask("e"), &["#2 c1 has its turn"]);
    assert_says(&terminal.ask("i"), &[&format!("#2 c1 read 65536 -> {len} buf={len}\n")]);
    let said = terminal.ask("x c1");
    assert_says(
        &said,
        &[
            &format!("in: {len} bytes"),
            r"   GET /hello.txt HTTP/1.1\r\n",
            "Cookie: *********",
            "0 bytes sent",
        ],
    );
    assert!(!said.contains("secret"), "{said}");
    // Enter repeats.
    assert_says(&terminal.ask(""), &[&format!("#2 c1 parse GET /hello.txt HTTP/1.1 len={len} ")]);
    assert_says(&terminal.ask("what"), &["'what' is not a command"]);
    assert_says(&terminal.ask("p c9"), &["c9: no such source"]);
    assert_says(&terminal.ask(""), &["#2 c1 file /hello.txt"]);

    assert_says(&terminal.ask("b partial"), &["breakpoint 1"]);
    assert_says(&terminal.ask("b close"), &["breakpoint 2"]);
    assert_says(&terminal.ask("d 1"), &["deleted: partial"]);
    assert_eq!(terminal.ask("b"), "2: close\nstep> ");
    terminal.enter("c");
    assert_eq!(browser.response().text(), "hello\n");
    browser.finish();
    let said = terminal.until(PROMPT);
    assert_says(&said, &["breakpoint 2: close", "c1 close reason=eof"]);
    assert!(!said.contains("woke"), "it goes on in silence: {said}");

    terminal.enter("q");
    let said = said + &terminal.rest();
    assert!(!said.contains("\" 200 "), "the access log does not stand between: {said}");
    assert!(terminal.exit().success());
}

#[test]
fn no_deadline_comes_nearer_while_somebody_looks() {
    let site = Site::new();
    let timeout = Duration::from_millis(300);
    let mut terminal = Terminal::with(&site, &["--head-timeout", "300ms"]);
    let (request, mut slow) = (get("/hello.txt"), terminal.connect());
    let (half, rest) = request.split_at(10);
    slow.send(half);
    terminal.ask("t");
    assert_says(&terminal.ask("t"), &["c1[R]"]);
    // Whatever wakes the loop next has come before it polls, so that it sleeps nowhere.
    let mut other = terminal.connect();
    other.send(&request);
    assert_says(
        &terminal.ask("t"),
        &["c1 parse incomplete have=10", "L1[R]   next deadline: c1 head-timeout in "],
    );
    let end = Instant::now() + 2 * timeout;
    eventually("longer than patience lasts", || Instant::now() > end);
    assert_says(&terminal.ask("t"), &["L1 accept -> c2", "c2[R]"]);
    slow.send(rest);
    // The time was read after the pause, and here whoever is late by it is closed.
    let said = terminal.ask("t");
    assert_says(&said, &["c2 plan 200", "woke", "c1[R"]);
    assert!(!said.contains("c1 close") && !said.contains("c1 deadline"), "{said}");
    assert_says(&terminal.ask("i"), &["c1 read"]);
    terminal.enter("c");
    assert_eq!((slow.response().status, other.response().status), (200, 200));
}

#[test]
fn a_deadline_that_is_slept_through_is_a_breakpoint() {
    let site = Site::new();
    let mut terminal = Terminal::with(&site, &["--head-timeout", "50ms"]);
    let mut slow = terminal.connect();
    slow.send("GET /");
    terminal.ask("b deadline");
    assert_says(&terminal.ask("c"), &["breakpoint 1: deadline", "c1 deadline head-timeout late="]);
    assert_says(&terminal.ask("p c1"), &["c1 HEAD in=5", "head-timeout is due"]);
    assert_says(&terminal.ask("t"), &["c1 carry", "carried over: +c1"]);
    terminal.enter("q");
    assert_eq!(slow.response().status, 408);
}

#[test]
fn what_is_typed_wakes_a_loop_that_sleeps_and_stops_one_that_runs() {
    let site = Site::new();
    for mode in ["t", "c"] {
        let mut terminal = Terminal::with(&site, &[]);
        terminal.enter(mode);
        if mode == "t" {
            terminal.until("sleeps");
        } else {
            let mut client = terminal.connect();
            client.send(get("/"));
            assert_eq!(client.response().text(), "home\n");
        }
        terminal.enter("p");
        let said = terminal.until(PROMPT) + &terminal.until(PROMPT);
        assert_says(&said, &["step> p\nloop turn="]);
        assert!(mode == "c" || said.contains(": terminal[R] "), "{said}");
        // Lines that come together are one edge.
        terminal.enter("t");
        terminal.enter("p\np\nt\nq");
        assert_says(&terminal.rest(), &["exits"]);
        assert!(terminal.exit().success());
    }
}

#[test]
fn ctrl_c_at_the_prompt_is_heeded_by_the_loop() {
    let site = Site::new();
    for last in ["q", "t"] {
        let mut terminal = Terminal::with(&site, &[]);
        terminal.signal(Signal::INT);
        assert_says(&terminal.until(PROMPT), &["a signal arrived"]);
        if last == "t" {
            assert_says(&terminal.ask("t"), &["#1 woke after", "signals[R]"]);
        }
        terminal.enter(last);
        terminal.rest();
        assert_eq!(terminal.exit().code(), Some(0), "by {last}: a second signal would end it at once");
    }
}

#[test]
fn a_signal_that_asks_for_no_end_is_none() {
    let site = Site::new();
    let mut terminal = Terminal::with(&site, &[]);
    terminal.signal(Signal::USR1);
    let said = terminal.ask("t");
    assert!(!said.contains("a signal arrived"), "{said}");
    assert_says(&said, &["signals[R]"]);
    terminal.enter("q");
    terminal.rest();
    assert!(terminal.exit().success());
}

#[test]
fn a_terminal_that_goes_away_is_the_end() {
    let site = Site::new();
    let mut terminal = Terminal::with(&site, &[]);
    terminal.screen = tempfile::tempfile().expect("something else");
    assert!(terminal.exit().success());
    // Ctrl-D says the same.
    let mut terminal = Terminal::with(&site, &[]);
    terminal.screen.write_all(b"\x04").expect("type");
    assert_says(&terminal.rest(), &["exits"]);
    assert!(terminal.exit().success());
}

/// A line without what differs from run to run.
fn masked(line: &str) -> String {
    let mut words: Vec<String> = line.split(' ').map(masked_fact).collect();
    for at in 1..words.len() {
        if ["after", "in"].contains(&&*words[at - 1]) {
            let is_end = words[at].ends_with(':');
            words[at] = if is_end { "_:".into() } else { "_".into() };
        }
    }
    words.join(" ")
}

#[test]
fn a_script_steps_and_guesses_always_the_same() {
    let site = Site::new();
    let script = "quiz on\nt\nt\np c1\nt\nb eof\nt\nn\np\nb close\nd 1\nc\n";
    site.write("script", script);
    let mut server = Server::with(&site, &["--step-script", site.at("script").to_str().expect("UTF-8")]);
    let mut client = server.connect();
    let request = get("/hello.txt");
    client.send(&request);
    let response = client.response();
    client.finish();
    let mut told = Vec::new();
    loop {
        let line = server.stdout_line();
        if line.is_empty() {
            break;
        }
        told.push(masked(line.trim_end()));
    }
    assert!(server.exit().success());
    let (len, head) = (request.len(), response.head_len());
    let sent = head + 6;
    let golden = format!(
        "\
The loop is stopped before its first poll. Type t for one turn, h for help.
Then request a page from another terminal.
step> quiz on
quiz on: predict what each source's first call will do
step> t
#0 loop wait timeout=never carried=0
(The loop sleeps until something is ready. Request a page, or type a command.)
#1 woke after _: L1[R]   no deadline
step> t
(The server's deadlines do not move while the loop is stopped. The clients,
the kernel's buffers and the backlog go on.)
#1 L1 accept -> c1 ADDR fd=_ open=1
#1 L1 accept -> WouldBlock -- queue empty, safe to sleep
#1 loop wait timeout=_ carried=0
#2 woke after _: c1[R]   next deadline: c1 head-timeout in _
step> p c1
c1 IDLE in=0 out=0/0 interest=R head-timeout in _ turns=0
step> t
c1 will read. Predict: [n] some bytes, [w]ouldblock, [0] eof, Enter=skip > b eof
breakpoint 1: eof; c runs to it
c1 will read. Predict: [n] some bytes, [w]ouldblock, [0] eof, Enter=skip > t
type n (some bytes), a number of bytes, w, 0 or Enter; p c3, x c3 and s c3 inspect
c1 will read. Predict: [n] some bytes, [w]ouldblock, [0] eof, Enter=skip > n
#2 c1 read 65536 -> {len} buf={len}
right: {len} bytes
#2 c1 parse GET /hello.txt HTTP/1.1 len={len} leftover=0
#2 c1 file /hello.txt took=_
#2 c1 plan 200 head={head} body=6
#2 c1 write {sent} -> {sent} by=write sent={sent}/{sent}
#2 loop wait timeout=_ carried=0
#3 woke after _: c1[R rc]   next deadline: c1 idle-timeout in _
step> p
loop turn=3 open=1   next deadline: c1 idle-timeout in _
L1 BOUND ADDR interest=R turns=1
c1 IDLE in=0 out={sent}/{sent} interest=R idle-timeout in _ turns=1
quiz: 1 of 1 right
step> b close
breakpoint 2: close; c runs to it
step> d 1
deleted: eof
step> c
breakpoint 2: close
#3 c1 close reason=eof unread=0 life=_
step>
quiz: 1 of 1 right
The server finishes open responses and exits. Ctrl-C exits at once."
    );
    assert_eq!(told.join("\n"), golden);
}

#[test]
fn a_datagram_is_a_breakpoint() {
    let site = Site::new();
    let mut terminal = Terminal::with(&site, &["--udp-echo", "127.0.0.1:0"]);
    let said = terminal.ask("p");
    let address =
        said.split("u1 BOUND ").nth(1).and_then(|rest| rest.split(' ').next()).expect("its address");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
    socket.send_to(b"one", address).expect("send");
    terminal.ask("b udp");
    assert_says(&terminal.ask("c"), &["breakpoint 1: udp", "u1 recv 65536 -> 3 from="]);
    assert_says(&terminal.ask("s u1"), &["SOCK_DGRAM"]);
    assert_says(&terminal.ask("i"), &["u1 send -> 3 to="]);
}

/// Runs the program to its end, which must come by itself, without a terminal.
fn run(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
    command.current_dir(dir).args(["--port", "0"]).args(args).arg(".");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("start oneloop");
    eventually("it refuses", || child.try_wait().expect("ask about it").is_some());
    child.wait_with_output().expect("its output")
}

#[test]
fn where_nobody_can_step_or_others_would_wait_it_does_not_start() {
    let site = Site::new();
    site.write("script", "t\n");
    let script = "--step-script=script";
    each(
        [
            (&["--step"][..], "--step-script"),
            (&["--step", "--step-script=missing"], "'missing'"),
            (&["--step-script=."], "'.'"),
            (&[script, "--bind", "0.0.0.0"], "0.0.0.0:"),
            (&[script, "--bind", "127.0.0.1", "--bind", "0.0.0.0"], "0.0.0.0:"),
            (&[script, "--udp-echo", "0.0.0.0:0"], "0.0.0.0:"),
        ],
        |(args, named)| {
            let Output { status, stdout, stderr } = run(site.path(), args);
            let stderr = String::from_utf8_lossy(&stderr);
            assert_eq!((status.code(), lossy(&stdout)), (Some(2), String::new()), "{stderr}");
            assert!(stderr.trim_end().lines().count() == 1 && stderr.contains(named), "{stderr}");
        },
    );
}
