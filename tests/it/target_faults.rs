//! The faults of the load target: responses that end early or never begin, and a server that
//! blocks.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::common::*;
use oneloop::{
    protocol::CloseReason,
    trace::{SourceId, Step},
};
use rustix::process::Signal;

const SECOND: Duration = Duration::from_secs(1);

/// How a response ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    /// The connection is still of use.
    Kept,
    Closed,
    Reset,
}

/// Requests `path` on a new connection. Returns the head, what was read of the body, and how the
/// response ended.
fn ask(server: &Server, path: &str) -> (String, Vec<u8>, End) {
    let mut client = server.connect();
    client.send(get(path));
    let (mut got, mut buffer) = (Vec::new(), [0; 65536]);
    let end = loop {
        match uninterrupted(|| client.socket.read(&mut buffer)) {
            Ok(0) => break End::Closed,
            Ok(n) => got.extend_from_slice(&buffer[..n]),
            Err(e) if e.kind() == ErrorKind::ConnectionReset => break End::Reset,
            Err(e) => panic!("{path}: {e}"),
        }
        if Response::whole(&got).is_some() {
            // Only a connection that is kept answers once more.
            if client.socket.write_all(get("/hello.txt").as_bytes()).is_err() {
                break End::Reset;
            }
            match uninterrupted(|| client.socket.read(&mut buffer)) {
                Ok(0) => break End::Closed,
                Ok(_) => break End::Kept,
                Err(_) => break End::Reset,
            }
        }
    };
    let at = memchr::memmem::find(&got, b"\r\n\r\n").map_or(0, |at| at + 4);
    (lossy(&got[..at]), got[at..].to_vec(), end)
}

#[test]
fn faults_cut_responses_off() {
    let site = Site::new();
    let server = Server::with(&site, &["--target"]);
    let whole = server.get("/_/bytes/100000?seed=7").body;
    let table = [
        ("truncate=1000", Some(1000), End::Closed),
        ("truncate=0", Some(0), End::Closed),
        ("truncate=99999", Some(99_999), End::Closed),
        ("truncate=100000", Some(100_000), End::Kept),
        ("truncate=1000&reset", Some(1000), End::Reset),
        ("truncate=1M&reset", Some(100_000), End::Reset),
        ("truncate=1000&status=503", Some(1000), End::Closed),
        ("reset", None, End::Reset),
        ("reset&delay=20ms", None, End::Reset),
        ("reset=0%", Some(100_000), End::Kept),
    ];
    for (parameters, len, end) in table {
        let (head, body, got) = ask(&server, &format!("/_/bytes/100000?seed=7&{parameters}"));
        assert_eq!(got, end, "{parameters}");
        let Some(len) = len else {
            assert_eq!((&*head, body.len()), ("", 0), "{parameters}");
            continue;
        };
        assert!(head.contains("\r\nContent-Length: 100000\r\n"), "{parameters}: {head}");
        assert!(!head.contains("close"), "a client cannot know: {head}");
        assert!(body == whole[..len], "{parameters}: {} bytes", body.len());
    }
    // Responses before it arrive, and requests behind it get none.
    let mut client = server.connect();
    client.send([get("/hello.txt"), get("/_/?truncate=3&bytes=5"), get("/hello.txt")].concat());
    assert_eq!(client.response().text(), "hello\n");
    assert_eq!(client.head().header("content-length"), Some("5"));
    assert_eq!(client.rest().len(), 3);
    // A response without a body has nothing to cut.
    let mut client = server.connect();
    client.send(get("/_/bytes/10?truncate=3").replace("GET", "HEAD") + &get("/hello.txt"));
    assert_eq!(client.head().status, 200);
    assert_eq!(client.response().text(), "hello\n");
}

#[test]
fn garbage_takes_the_place_of_a_response() {
    let site = Site::new();
    let server = Server::with(&site, &["--target"]);
    let garbage = |path: &str| {
        let mut client = server.connect();
        client.send(get(path));
        client.rest()
    };
    let first = garbage("/_/?garbage&bytes=10");
    assert!(first.len() == 256 && !first[0].is_ascii(), "{first:?}");
    assert_eq!(garbage("/_/?garbage&bytes=10"), first);
    assert_ne!(garbage("/_/?garbage&seed=1"), first);
}

#[test]
fn one_byte_sends_each_byte_in_a_segment_of_its_own() {
    let site = Site::new();
    let mut config = Rig::config(&site);
    config.target = Some("/_".into());
    let mut rig = Rig::recorded(config);
    let mut peer = rig.accepted();
    peer.write_all((get("/hello.txt") + &get("/_/?bytes=50&one-byte&seed=7")).as_bytes()).expect("send");
    let (mut got, mut writes) = (Vec::new(), Vec::new());
    eventually("a response", || {
        for (_, step) in rig.turn() {
            if let Step::Wrote { got, .. } = step {
                writes.push(got);
            }
        }
        got.extend(received(&mut peer));
        memchr::memmem::find(&got, b"hello\n").is_some_and(|at| Response::whole(&got[at + 6..]).is_some())
    });
    let at = memchr::memmem::find(&got, b"hello\n").expect("the first response") + 6;
    assert_eq!(writes.iter().sum::<usize>(), got.len());
    assert_eq!(writes[0], at, "the response before it has a write of its own");
    assert!(writes[1..].iter().all(|len| *len == 1), "{writes:?}");
    let one_by_one = Response::whole(&got[at..]).expect("a response");
    assert_eq!(rig.ask(&mut peer, get("/_/bytes/50?seed=7")).body, one_by_one.body);
}

#[test]
fn silence_lasts_until_the_client_goes_or_the_server_ends() {
    let site = Site::new();
    let mut config = Rig::config(&site);
    config.target = Some("/_".into());
    let mut rig = Rig::recorded(config);
    let (mut first, mut second) = (rig.accepted(), rig.accepted());
    let is_silent = |source: SourceId, steps: &[(SourceId, Step)]| {
        steps.iter().any(|(by, step)| *by == source && matches!(step, Step::Postponed { .. }))
    };
    for (number, peer) in [(1, &mut first), (2, &mut second)] {
        peer.write_all(get("/_/?silent").as_bytes()).expect("send");
        rig.turn_until("silence", |steps| is_silent(SourceId::Connection(number), steps));
    }
    rig.advance(1800 * SECOND);
    (0..5).for_each(|_| drop(rig.turn()));
    assert_eq!(rig.event_loop().open_connections(), 2);
    drop(first);
    let closed = |reason| Step::Closed { reason, unread: 0 };
    rig.turn_until_seen(SourceId::Connection(1), &closed(CloseReason::Eof));
    rig.advance(1800 * SECOND);
    let is_end = |steps: &[(SourceId, Step)]| steps.iter().any(|(_, step)| *step == Step::ShutDown);
    rig.turn_until("the end of the time", is_end);
    assert_eq!((received(&mut second), second.peek(&mut [0]).expect("the end")), (vec![], 0));

    let mut third = rig.accepted();
    third.write_all(get("/_/?silent").as_bytes()).expect("send");
    rig.turn_until("silence", |steps| is_silent(SourceId::Connection(3), steps));
    rig.event_loop().drain();
    rig.turn_until("the end", is_end);
}

#[test]
fn faults_repeat_with_their_seed() {
    let site = Site::new();
    let parameters = "reset=15%&truncate=3:15%&garbage=15%&one-byte=15%&status=503:30%";
    let run = |seed: u32| {
        let server = Server::with(&site, &["--target"]);
        let path = format!("/_/?bytes=9&seed={seed}&{parameters}");
        let kind =
            |(head, body, end): (String, Vec<u8>, End)| (head.get(9..12).map(str::to_owned), body, end);
        (0..40).map(|_| kind(ask(&server, &path))).collect::<Vec<_>>()
    };
    let first = run(7);
    assert_eq!(first, run(7));
    assert_ne!(first, run(8));
    let has = |is: &dyn Fn(&str, usize, &End) -> bool| {
        first.iter().any(|(status, body, end)| is(status.as_deref().unwrap_or_default(), body.len(), end))
    };
    assert!(has(&|status, len, end| status == "200" && len == 9 && *end == End::Kept), "{first:?}");
    assert!(has(&|status, len, end| status == "503" && len == 9 && *end == End::Kept), "{first:?}");
    assert!(has(&|status, len, end| !status.is_empty() && len == 3 && *end == End::Closed), "{first:?}");
    assert!(has(&|_, len, end| len == 0 && *end == End::Reset), "{first:?}");
    assert!(has(&|_, len, end| len > 200 && *end == End::Closed), "{first:?}");
}

#[test]
fn faults_are_logged_as_aborted() {
    let site = Site::new();
    let args = ["--target", "--access-log=-", "--access-log-format=common"];
    let mut server = Server::with(&site, &args);
    for (parameters, len) in
        [("reset", "-"), ("truncate=3", "3"), ("garbage", "256"), ("truncate=3&reset&status=503", "3")]
    {
        ask(&server, &format!("/_/?bytes=9&{parameters}"));
        let line = server.stdout_line();
        let status = if parameters.contains("503") { 503 } else { 200 };
        let expected = format!("GET /_/?bytes=9&{parameters} HTTP/1.1\" {status} {len} ");
        assert!(line.contains(&expected) && line.trim_end().ends_with(" aborted"), "{line}");
    }
}

#[test]
fn stall_and_pause_concern_all_clients() {
    let site = Site::new();
    let mut config = Rig::config(&site);
    config.target = Some("/_".into());
    let mut rig = Rig::new(config);
    let mut peer = rig.accepted();
    assert_eq!(rig.ask(&mut peer, get("/_/?accept-stall=2s&status=503")).status, 503);
    let mut late: TcpStream = rig.connect();
    late.write_all(get("/hello.txt").as_bytes()).expect("send");
    assert_eq!(rig.ask(&mut peer, get("/hello.txt")).text(), "hello\n", "others are served");
    (0..10).for_each(|_| drop(rig.turn()));
    assert_eq!(rig.event_loop().open_connections(), 1);
    rig.advance(2 * SECOND);
    let mut got = Vec::new();
    eventually("a response", || {
        rig.turn();
        got.extend(received(&mut late));
        got.ends_with(b"hello\n")
    });

    // A handler that blocks responds afterwards.
    for (wait, time) in [(0, 1), (0, 0), (8, 0), (1, 1)] {
        rig.advance(wait * SECOND);
        let start = rig.event_loop().clock().now();
        assert_eq!(rig.ask(&mut peer, get("/_/?pause=1s/10s&bytes=3")).body.len(), 3);
        assert_eq!(rig.event_loop().clock().now() - start, time * SECOND, "after {wait}");
    }
}

#[test]
fn pause_really_stops_the_server() {
    let site = Site::new();
    let mut server = Server::with(&site, &["--target"]);
    let (mut pausing, mut other) = (server.connect(), server.connect());
    other.send(get("/hello.txt"));
    assert_eq!(other.response().text(), "hello\n");
    pausing.send(get("/_/?pause=300ms/10s"));
    pausing.socket.set_nonblocking(true).expect("set non-blocking");
    // One of many requests in a row falls into the pause.
    let mut longest = Duration::ZERO;
    while pausing.socket.peek(&mut [0]).is_err() {
        let start = Instant::now();
        other.send(get("/hello.txt"));
        assert_eq!(other.response().text(), "hello\n");
        longest = longest.max(start.elapsed());
    }
    assert!(longest >= Duration::from_millis(200), "{longest:?}");
    server.signal(Signal::TERM);
    assert!(server.exit().success());
}
