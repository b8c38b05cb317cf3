//! The text trace: stable words, true numbers, no secrets, and detected spins.
//!
//! `UPDATE=1 cargo test --test it trace` writes docs/TRACE.md from the descriptions of the steps.
use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, UdpSocket},
    process::ChildStderr,
    time::{Duration, SystemTime},
};

use crate::common::*;
use oneloop::{
    Address, LossyWriter,
    clock::Clock,
    event_loop::{EventLoop, Limits},
    internals::{http_steps, step_docs},
    protocol::{CloseReason, Context, Outbox, Progress, Protocol, ProtocolFactory, Received, Timeout},
    trace::{EventFlags, Narrator, Observer, PauseReason, SourceId, Step, TraceLevel, glossary},
};
use rustix::{pipe::PipeFlags, process::Signal};

/// Returns a line as in the expected text: without the time, the turn and the parts that differ
/// between runs.
fn masked(line: &str) -> String {
    let line = line.trim_start().split_once(' ').map_or(line, |(_, rest)| rest);
    let line = line.strip_prefix('#').and_then(|rest| rest.split_once(' ')).map_or(line, |(_, rest)| rest);
    line.split(' ').map(masked_fact).collect::<Vec<_>>().join(" ")
}

/// The lines of the trace as they arrive.
struct Lines(BufReader<ChildStderr>);

impl Lines {
    fn of(server: &mut Server) -> Lines {
        Lines(BufReader::new(server.stderr()))
    }

    fn next(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line");
        assert!(!line.is_empty(), "the trace ended");
        line.trim_end().to_owned()
    }

    /// Returns the lines through the first one that contains all of `words`, masked.
    fn until(&mut self, words: &[&str]) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = masked(&self.next());
            let is_last = words.iter().all(|doc| line.contains(doc));
            lines.push(line);
            if is_last {
                return lines;
            }
        }
    }
}

fn site() -> Site {
    let site = Site::empty();
    site.write("hello.txt", "hello\n");
    site
}

#[test]
fn trace_page_is_generated_from_the_steps() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/TRACE.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, glossary::page(&step_docs())).expect("write the page");
    }
    let page = std::fs::read_to_string(path).expect("docs/TRACE.md");
    assert!(
        page == glossary::page(&step_docs()),
        "docs/TRACE.md is out of date; run UPDATE=1 cargo test --test it trace"
    );
}

#[test]
fn trace_of_a_request_in_two_pieces() {
    let site = site();
    let mut server = Server::with(&site, &["--trace"]);
    let mut lines = Lines::of(&mut server);
    lines.until(&["wait"]);
    let mut client = server.connect();
    let mut trace = lines.until(&["wait"]);
    let request = get("/hello.txt");
    let (first, second) = request.as_bytes().split_at(20);
    client.send(first);
    trace.extend(lines.until(&["wait"]));
    client.send(second);
    let response = client.response();
    trace.extend(lines.until(&["wait"]));
    client.finish();
    trace.extend(lines.until(&["wait"]));
    let (len, head, sent) = (request.len(), response.head_len(), response.head_len() + 6);
    let left = len - 20;
    let golden = format!(
        "\
loop wake slept=_ kernel=1 carried=0 L1[R] trace=_
L1 accept -> c1 ADDR fd=_ open=1
L1 accept -> WouldBlock -- queue empty, safe to sleep
loop wait timeout=_ carried=0
loop wake slept=_ kernel=1 carried=0 c1[R] trace=_
c1 read 65536 -> 20 buf=20
c1 parse incomplete have=20 need=CRLFCRLF -- readable is not \"request ready\"
loop wait timeout=_ carried=0
loop wake slept=_ kernel=1 carried=0 c1[R] trace=_
c1 read 65516 -> {left} buf={len}
c1 parse GET /hello.txt HTTP/1.1 len={len} leftover=0
c1 file /hello.txt took=_
c1 plan 200 head={head} body=6
c1 write {sent} -> {sent} by=write sent={sent}/{sent}
loop wait timeout=_ carried=0
loop wake slept=_ kernel=1 carried=0 c1[R rc] trace=_
c1 eof -- the peer sends no more; unsent output still goes out
c1 close reason=eof unread=0 life=_
loop wait timeout=never carried=0"
    );
    assert_eq!(trace.join("\n"), golden);
}

#[test]
fn trace_only_shows_chosen_sources_and_wakes() {
    let site = site();
    let mut server = Server::with(&site, &["--trace=wakes", "--trace-only", "c2,L1"]);
    let mut lines = Lines::of(&mut server);
    for _ in 0..2 {
        server.get("/hello.txt");
    }
    let trace = lines.until(&["c2 close"]);
    let verbs: Vec<&str> = trace.iter().map(|line| line.split(' ').nth(1).expect("a verb")).collect();
    assert!(verbs.iter().all(|verb| ["bind", "wake", "accept", "close"].contains(verb)), "{trace:?}");
    assert!(trace.iter().any(|line| line.starts_with("L1 accept -> c1 ")), "a line of L1: {trace:?}");
    assert!(!trace.iter().any(|line| line.starts_with("c1 ")), "not a line of c1: {trace:?}");
    let error = "x9".parse::<SourceId>().expect_err("an unknown source");
    assert!(error.contains("c3"), "{error}");
}

#[test]
fn trace_sets_are_those_of_select() {
    let site = site();
    site.write("big.bin", vec![0; 16 << 20]);
    let mut server = Server::with(&site, &["--trace=sets"]);
    let mut lines = Lines::of(&mut server);
    assert!(lines.until(&["wait"]).ends_with(&["loop wait rlist={L1,L2} wlist={} timeout=never".into()]));
    let mut client = server.connect();
    let mut trace = lines.until(&["wait"]);
    client.send(get("/big.bin"));
    // The send buffer is full.
    trace.extend(lines.until(&["wlist={c1}"]));
    client.response();
    trace.extend(lines.until(&["c1 disarm"]));
    client.finish();
    trace.extend(lines.until(&["c1 close"]));
    trace.extend(lines.until(&["wait"]));
    let expected = [
        "loop wake rs={L1} ws={} slept=_ trace=_",
        "loop wait rlist={L1,L2,c1} wlist={} timeout=_",
        "loop wake rs={c1} ws={} slept=_ trace=_",
        "c1 arm W -- also wait for room to send (wlist.append)",
        "loop wait rlist={L1,L2,c1} wlist={c1} timeout=_",
        "loop wake rs={} ws={c1} slept=_ trace=_",
        "c1 disarm W -- nothing is unsent (wlist.remove)",
        "loop wait rlist={L1,L2,c1} wlist={} timeout=_",
        "loop wait rlist={L1,L2} wlist={} timeout=never",
    ];
    let mut rest = trace.iter();
    for line in expected {
        assert!(rest.any(|shown| shown == line), "{line} in {}", trace.join("\n"));
    }
}

#[test]
fn trace_bytes_are_escaped_and_show_no_secrets() {
    let site = site();
    let mut server = Server::with(&site, &["--trace=bytes"]);
    let mut lines = Lines::of(&mut server);
    let mut client = server.connect();
    client.send("GET /hello.txt HTTP/1.1\r\nCookie: sec");
    let mut trace = lines.until(&["incomplete"]);
    client.send(
        "ret1; b=secret2\r\nAccept: \u{1b}[2J\r\nHost: localhost\r\nAuthorization: Basic secret3\r\n\r\n",
    );
    trace.extend(lines.until(&["c1 parse refused"]));
    client.rest();
    let trace = trace.join("\n");
    assert!(trace.contains(r"\x1b[2J"), "{trace}");
    assert!(trace.contains("Cookie: ***"), "{trace}");
    for secret in ["secret", "sec\"", "ret1"] {
        assert!(!trace.contains(secret), "{secret} in {trace}");
    }
    assert!(trace.bytes().all(|b| b == b'\n' || (b' '..=b'~').contains(&b)), "{trace:?}");
}

#[test]
fn trace_shows_no_password_of_a_url() {
    let site = site();
    for target in ["GET http://ann:secret@localhost/", "CONNECT ann:secret@localhost:1"] {
        let mut server = Server::with(&site, &["--trace=bytes"]);
        let mut lines = Lines::of(&mut server);
        let mut client = server.connect();
        let (start, rest) = target.split_at(target.find("cret").expect("the password"));
        client.send(start);
        let mut trace = lines.until(&["incomplete"]);
        client.send(format!("{rest} HTTP/1.1\r\nHost: ann:secret@localhost\r\n\r\n"));
        trace.extend(lines.until(&["c1 parse refused"]));
        client.rest();
        let trace = trace.join("\n");
        assert!(trace.contains("@localhost"), "{trace}");
        for word in ["ann", "se\"", "cret"] {
            assert!(!trace.contains(word), "{word} in {trace}");
        }
    }
}

#[test]
fn trace_bytes_of_unparsed_input_are_hidden() {
    let site = site();
    let mut server = Server::with(&site, &["--trace=bytes"]);
    let mut lines = Lines::of(&mut server);
    // The second half of a value arrives when the connection only waits for its end.
    let large = format!("GET / HTTP/1.1\r\nCookie: {}", "x".repeat(20_000));
    let close =
        "GET /hello.txt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\nCookie: a";
    let mut trace = Vec::new();
    for (number, first) in [(1, &*large), (2, close)] {
        let mut client = server.connect();
        client.send(first);
        trace.extend(lines.until(&[&format!("c{number} shutdown")]));
        client.send("SECRET\r\n");
        trace.extend(lines.until(&[&format!("c{number} read")]));
        client.rest();
    }
    // The data arrived while the trace was off, so its beginning is unknown.
    let mut client = server.connect();
    client.send("GET /hello.txt HTTP/1.1\r\nCookie: a");
    trace.extend(lines.until(&["c3 parse incomplete"]));
    server.signal(Signal::USR1);
    trace.extend(lines.until(&["signal 10"]));
    server.signal(Signal::USR1);
    trace.extend(lines.until(&["L1 bind"]));
    client.send("SECRET\r\nHost: localhost\r\n\r\n");
    trace.extend(lines.until(&["plan 200"]));
    assert_eq!(client.response().status, 200);
    let trace = trace.join("\n");
    assert!(!trace.contains("SECRET") && !trace.contains("xxx"), "{trace}");
}

#[test]
fn trace_shows_each_datagram() {
    let site = site();
    let mut server = Server::with(&site, &["--trace", "--udp-echo", "127.0.0.1:0"]);
    let mut lines = Lines::of(&mut server);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
    socket.send_to(b"one two", server.udp_addr()).expect("send");
    lines.until(&["u1[R]"]);
    let trace = lines.until(&["u1 recv -> WouldBlock"]);
    assert_eq!(
        trace,
        [
            "u1 recv 65536 -> 7 from=_ -- one recv, one datagram",
            "u1 send -> 7 to=_",
            "u1 recv -> WouldBlock -- drained"
        ]
    );
}

#[test]
fn trace_is_toggled_by_sigusr1() {
    let site = site();
    let mut server = Server::start(&site);
    let mut lines = Lines::of(&mut server);
    server.get("/hello.txt");
    for _ in 0..2 {
        server.signal(Signal::USR1);
        lines.until(&["L1 bind"]);
        server.get("/hello.txt");
        lines.until(&["plan 200"]);
        server.signal(Signal::USR1);
        lines.until(&["signals signal 10"]);
    }
    // Any trace line after the signal would appear before the server exits.
    server.get("/hello.txt");
    server.signal(Signal::TERM);
    assert!(server.exit().success());
    let mut rest = String::new();
    lines.0.read_to_string(&mut rest).expect("the rest");
    assert!(!rest.contains("plan") && !rest.contains("wait"), "{rest}");
}

/// A broken protocol that always wants more and makes the loop return at once: a spin.
struct Spinning;

impl Protocol for Spinning {
    fn receive(&mut self, _: &[u8], _: &mut Outbox, _: &mut Context<'_>) -> Received {
        Received { consumed: 0, progress: Progress::Yield }
    }

    fn timeout(&self, _: bool) -> Timeout {
        Timeout { limit: None, reason: CloseReason::IdleTimeout }
    }
}

#[test]
fn trace_reports_a_spin() {
    let limits = Limits { max_connections: 10, send_timeout: None, drain_timeout: None, ..Limits::default() };
    let mut event_loop = EventLoop::new(limits, Clock::frozen(SystemTime::now())).expect("a loop");
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    listener.set_nonblocking(true).expect("set non-blocking");
    let address = listener.local_addr().expect("read its address");
    let service: Box<dyn ProtocolFactory> =
        Box::new(|_: &Address| -> Box<dyn Protocol> { Box::new(Spinning) });
    event_loop.add_listener(listener, service).expect("listen");
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
    event_loop.add_observer(Box::new(Narrator::new(TraceLevel::Wakes, Vec::new(), LossyWriter::new(write))));
    let mut client = std::net::TcpStream::connect(address).expect("connect");
    client.write_all(b"?").expect("send");
    for _ in 0..40 {
        event_loop.turn().expect("turn");
    }
    drop(event_loop);
    let mut trace = String::new();
    File::from(read).read_to_string(&mut trace).expect("read");
    let faults: Vec<&str> = trace.lines().filter(|line| line.contains("fault no-progress")).collect();
    assert!(faults.len() >= 4, "{trace}");
    assert!(faults[0].contains("wakes=2") && faults[1].contains("wakes=4"), "{trace}");
}

/// Returns what the narrator reports about a thousand turns that each consist of these steps.
fn trace_of(steps: &[(SourceId, Step)], ready: &[SourceId], carried: &[SourceId]) -> String {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
    let mut narrator = Narrator::new(TraceLevel::Wakes, Vec::new(), LossyWriter::new(write));
    let flags = EventFlags { readable: true, ..Default::default() };
    for turn in 0..100 {
        let ready = ready.iter().map(|who| (*who, flags)).collect();
        narrator.on_step(SourceId::Loop, &Step::Woke { turn, ready, carried: carried.to_vec() });
        steps.iter().for_each(|(who, step)| narrator.on_step(*who, step));
        narrator.on_step(SourceId::Loop, &Step::Waiting { turn, timeout: Some(Duration::ZERO), carried: 0 });
    }
    drop(narrator);
    let mut trace = String::new();
    File::from(read).read_to_string(&mut trace).expect("read");
    trace
}

#[test]
fn trace_reports_each_kind_of_spin_and_no_work() {
    let (c1, c2) = (SourceId::Connection(1), SourceId::Connection(2));
    let l1 = SourceId::Listener(1);
    let got_one = || Step::Read { offered: 9, bytes: vec![b'x'], kept: 0 };
    let planned = || http_steps::planned(200, Vec::new(), None);
    // The steps of each turn, the ready sources, the carried-over sources, and the spinning source.
    type Row<'a> = (&'a [(SourceId, Step)], &'a [SourceId], &'a [SourceId], Option<SourceId>);
    let table: [Row<'_>; 10] = [
        (&[(c1, Step::TurnBegan)], &[], &[c1], Some(c1)),
        (&[], &[], &[], Some(SourceId::Loop)),
        (&[(c1, Step::Armed), (c1, Step::Disarmed)], &[c1], &[], Some(c1)),
        (&[(l1, Step::AcceptPaused { reason: PauseReason::Descriptors })], &[l1], &[], Some(l1)),
        (&[(c1, planned())], &[], &[c1], Some(c1)),
        (&[(c1, got_one()), (c2, Step::Drained)], &[c1, c2], &[], Some(c2)),
        (&[(c1, got_one())], &[c1], &[], None),
        (&[(c1, http_steps::entries_read(128))], &[], &[c1], None),
        (&[(c1, http_steps::entries_read(128)), (c2, Step::CarriedOver)], &[], &[c1, c2], None),
        (&[(SourceId::Signals, Step::Signalled { number: 10 })], &[SourceId::Signals], &[], None),
    ];
    for (steps, ready, carried, spins) in table {
        let trace = trace_of(steps, ready, carried);
        let fault = trace.lines().find(|line| line.contains(" fault no-progress "));
        assert_eq!(fault.is_some(), spins.is_some(), "{steps:?}: {fault:?}");
        let who = spins.map(|who| format!(" {who} fault"));
        assert!(who.is_none_or(|who| fault.is_some_and(|fault| fault.contains(&who))), "{fault:?}");
    }
}

#[test]
fn trace_of_input_without_a_read_is_not_a_spin() {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
    let mut narrator = Narrator::new(TraceLevel::Wakes, Vec::new(), LossyWriter::new(write));
    let c1 = SourceId::Connection(1);
    let readable = EventFlags { readable: true, ..Default::default() };
    narrator.on_step(c1, &Step::Armed);
    for turn in 0..10 {
        narrator
            .on_step(SourceId::Loop, &Step::Woke { turn, ready: vec![(c1, readable)], carried: Vec::new() });
        narrator.on_step(c1, &Step::TurnBegan);
        narrator.on_step(
            SourceId::Loop,
            &Step::Waiting { turn, timeout: Some(Duration::from_secs(1)), carried: 0 },
        );
    }
    drop(narrator);
    let mut trace = String::new();
    File::from(read).read_to_string(&mut trace).expect("read");
    assert!(!trace.contains("fault"), "{trace}");
    assert!(trace.contains("c1[R]"), "{trace}");
}
