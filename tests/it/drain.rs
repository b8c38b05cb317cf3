//! Shutdown: on SIGTERM or SIGINT the server finishes the responses in progress, within the drain
//! timeout, and exits with 0. A second signal ends it at once.
use std::{
    io::{ErrorKind, Read},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use crate::common::*;
use rustix::process::Signal;

const SIGNALS: [Signal; 2] = [Signal::TERM, Signal::INT];

/// More than the socket buffers on both sides hold together.
const BIG: usize = 48 << 20;

/// Timeouts so long that none of them expires during a test.
const PATIENT: [&str; 4] = ["--drain-timeout", "5m", "--idle-timeout", "5m"];
/// The same, for a server that accepts silent connections at once.
const PATIENT_AT_ONCE: [&str; 5] = ["--drain-timeout", "5m", "--idle-timeout", "5m", "--defer-accept=never"];

fn site_with_big() -> Site {
    let site = Site::new();
    site.write("big", pattern(1 << 20).repeat(BIG >> 20));
    site
}

/// Opens a connection on which a download of `big` is in progress: its head has arrived, and the
/// rest is more than the buffers hold.
fn downloading(server: &Server) -> Client {
    let mut client = server.connect();
    client.send(get("/big"));
    let head = client.head();
    assert!(head.status == 200 && !head.closes(), "{head:?}");
    client
}

fn is_refused(addr: SocketAddr) -> bool {
    TcpStream::connect(addr).is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused)
}

/// Asserts that the process exits by itself, soon, with code 0.
fn assert_exits_cleanly(server: &mut Server) {
    let begun = Instant::now();
    let status = server.exit();
    assert_eq!(status.code(), Some(0), "{status}");
    assert!(begun.elapsed() < PROMPT, "it took {:?} to exit", begun.elapsed());
}

#[test]
fn drain_without_connections_ends_at_once() {
    let site = Site::new();
    for signal in SIGNALS {
        let mut server = Server::with(&site, &[&PATIENT[..], &["--udp-echo", "127.0.0.1:0"]].concat());
        server.signal(signal);
        assert_exits_cleanly(&mut server);
        assert!(is_refused(server.addr()));
    }
}

/// Opens a connection that sends nothing and a connection that is idle after a response; the server
/// has accepted both, if it accepts silent connections at once.
fn two_idle(server: &Server) -> (Client, Client) {
    let newcomer = server.connect();
    let mut idle = server.connect();
    idle.send(get("/hello.txt"));
    assert_eq!(idle.response().text(), "hello\n");
    (newcomer, idle)
}

#[test]
fn drain_closes_idle_connections_silently() {
    let site = Site::new();
    for signal in SIGNALS {
        let mut server = Server::with(&site, &PATIENT_AT_ONCE);
        let (mut newcomer, mut idle) = two_idle(&server);
        server.signal(signal);
        newcomer.expect_close();
        idle.expect_close();
        assert_exits_cleanly(&mut server);
    }
}

#[test]
fn drain_finishes_downloads_and_refuses_new_peers() {
    let site = site_with_big();
    let expected = pattern(1 << 20).repeat(BIG >> 20);
    for signal in SIGNALS {
        let mut server = Server::with(&site, &PATIENT);
        let mut downloads = [downloading(&server), downloading(&server)];
        server.signal(signal);
        eventually("new connections are refused", || is_refused(server.addr()));
        assert!(server.is_running());
        for client in &mut downloads {
            assert!(client.take(BIG) == expected, "a whole file");
            client.expect_close();
        }
        assert_exits_cleanly(&mut server);
    }
}

#[test]
fn drain_timeout_cuts_a_stalled_download() {
    let site = site_with_big();
    let mut server = Server::with(&site, &["--drain-timeout", "300ms", "--send-timeout", "5m"]);
    let mut client = downloading(&server);
    let begun = Instant::now();
    server.signal(Signal::TERM);
    assert_exits_cleanly(&mut server);
    assert!(begun.elapsed() >= Duration::from_millis(250), "closed after {:?}", begun.elapsed());
    assert!(client.is_gone_soon());
}

#[test]
fn drain_timeout_cuts_half_a_request() {
    let site = Site::new();
    for half in ["GET /hel", "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nfour"] {
        let mut server = Server::with(&site, &["--drain-timeout", "300ms", "--head-timeout", "5m"]);
        let before = server.sockets();
        let mut client = server.connect();
        client.send(half);
        eventually("it is accepted", || server.sockets() > before);
        server.signal(Signal::TERM);
        assert_exits_cleanly(&mut server);
        assert!(client.is_gone_soon());
    }
}

#[test]
fn drain_answers_requests_sent_before_the_signal() {
    let site = Site::new();
    for signal in SIGNALS {
        let mut server = Server::with(&site, &PATIENT_AT_ONCE);
        let (mut newcomer, mut idle) = two_idle(&server);
        server.while_stopped(|| {
            newcomer.send(get("/hello.txt"));
            idle.send(get("/docs/"));
            server.signal(signal);
        });
        for (client, text) in [(&mut newcomer, "hello\n"), (&mut idle, "docs\n")] {
            assert_eq!(client.response().text(), text);
            client.expect_close();
        }
        assert_exits_cleanly(&mut server);
    }
}

#[test]
fn drain_answers_a_request_after_a_download_last() {
    let site = site_with_big();
    let mut server = Server::with(&site, &PATIENT);
    let mut client = downloading(&server);
    client.send(get("/hello.txt"));
    server.signal(Signal::TERM);
    eventually("new connections are refused", || is_refused(server.addr()));
    client.take(BIG);
    let last = client.response();
    assert!(last.text() == "hello\n" && last.closes(), "{last:?}");
    client.expect_close();
    assert_exits_cleanly(&mut server);
}

#[test]
fn drain_announces_its_last_pipelined_response() {
    let site = Site::new();
    for signal in SIGNALS {
        let mut server = Server::with(&site, &PATIENT);
        let mut client = server.connect();
        client.send(get("/hello.txt"));
        client.response();
        server.while_stopped(|| {
            client.send(get("/hello.txt").repeat(50));
            server.signal(signal);
        });
        for _ in 0..50 {
            let response = client.response();
            assert_eq!(response.text(), "hello\n");
            if response.closes() {
                break;
            }
        }
        client.expect_close();
        assert_exits_cleanly(&mut server);
    }
}

#[test]
fn drain_ends_at_once_on_a_second_signal() {
    let site = site_with_big();
    for first in SIGNALS {
        for second in SIGNALS {
            let mut server = Server::with(&site, &PATIENT);
            let _stalled = downloading(&server);
            server.signal(first);
            eventually("the first is seen", || is_refused(server.addr()));
            // Within a second it is the same wish as the first.
            let begun = Instant::now();
            eventually("a later signal ends it", || {
                server.signal(second);
                !server.is_running()
            });
            assert!(begun.elapsed() < PROMPT, "it took {:?} to exit", begun.elapsed());
            assert_eq!(server.exit().code(), Some(128 + second.as_raw()));
        }
    }
}

#[test]
fn drain_takes_signals_in_quick_succession_as_one() {
    let site = site_with_big();
    let mut server = Server::with(&site, &PATIENT);
    let mut client = downloading(&server);
    for signal in SIGNALS {
        server.signal(signal);
    }
    eventually("the signals are seen", || is_refused(server.addr()));
    client.take(BIG);
    assert_exits_cleanly(&mut server);
}

#[test]
fn drain_answers_the_first_request_of_a_connection_made_before() {
    let site = Site::new();
    let mut server = Server::with(&site, &PATIENT_AT_ONCE);
    let (mut newcomer, _idle) = two_idle(&server);
    server.signal(Signal::TERM);
    eventually("new connections are refused", || is_refused(server.addr()));
    newcomer.send(get("/hello.txt"));
    let response = newcomer.response();
    assert!(response.text() == "hello\n" && response.closes(), "{response:?}");
    newcomer.expect_close();
    assert_exits_cleanly(&mut server);
}

#[test]
fn drain_is_idle_while_it_waits() {
    let site = site_with_big();
    let server = Server::with(&site, &PATIENT);
    let _stalled = downloading(&server);
    server.signal(Signal::TERM);
    eventually("new connections are refused", || is_refused(server.addr()));
    assert_idle(&server, Duration::from_millis(300));
}

#[test]
fn drain_begins_after_the_shutdown_delay() {
    let site = Site::new();
    let mut server = Server::with(&site, &["--shutdown-delay", "1s", "--idle-timeout", "5m"]);
    let begun = Instant::now();
    server.signal(Signal::TERM);
    // The signal may arrive after this request.
    eventually("responses close their connections", || server.get("/hello.txt").closes());
    assert_exits_cleanly(&mut server);
    assert!(begun.elapsed() >= Duration::from_secs(1), "it ended after {:?}", begun.elapsed());
}

/// Reads the server's messages until its end.
fn messages(stderr: &mut impl Read) -> String {
    let mut text = String::new();
    stderr.read_to_string(&mut text).expect("read its log");
    text
}

#[test]
fn drain_says_what_it_waits_for_and_how_to_end_it() {
    let site = site_with_big();
    let end = |signal, args: &[&str], downloads: usize| {
        let mut server = Server::spawn(Server::command(site.path(), args));
        let mut stderr = server.stderr();
        let clients: Vec<Client> = (0..downloads).map(|_| downloading(&server)).collect();
        server.signal(signal);
        eventually("it has stopped listening", || is_refused(server.addr()));
        drop(clients);
        server.exit();
        messages(&mut stderr)
    };
    let text = end(Signal::INT, &["--drain-timeout=5m"], 1);
    let [before, after] = [
        "waiting for at most 300s for 1 response (to 127.0.0.1:",
        " MiB left); press Ctrl-C again to end now\n",
    ];
    assert!(text.contains(before) && text.contains(after), "{text}");
    assert_eq!(text.matches("waiting").count(), 1, "once: {text}");

    let log = site.at("log");
    let logged = format!("--access-log={}", log.display());
    let text = end(Signal::INT, &["--drain-timeout=0", &logged], 3);
    assert!(
        text.contains("waiting for 3 responses (1") && text.contains("MiB of GET /big to 127.0.0.1:"),
        "{text}"
    );

    // Without a log, nobody remembers the request.
    let text = end(Signal::INT, &["--drain-timeout=0"], 2);
    assert!(text.contains("waiting for 2 responses (") && text.contains("MiB of one to 127."), "{text}");

    // SIGTERM comes from a supervisor, which waits by itself.
    assert_eq!(end(Signal::TERM, &["--drain-timeout=5m"], 1), "");
    let text = end(Signal::TERM, &["--drain-timeout=5m", "-v"], 1);
    assert!(text.contains("waiting for at most 300s for 1 response") && !text.contains("Ctrl-C"), "{text}");
    assert_eq!(end(Signal::INT, &["-q"], 1), "");
    assert_eq!(end(Signal::INT, &[], 0), "", "nothing to wait for");
}

#[test]
fn drain_does_not_wait_for_open_pages() {
    let site = site_with_big();
    let mut server = Server::spawn(Server::command(site.path(), &["--live", "--observe"]));
    server.read_line();
    let (mut stderr, page) = (server.stderr(), server.lines[1].clone());
    let (host, path) = page.strip_prefix("http://").and_then(|url| url.split_once('/')).expect("a URL");
    let address: std::net::SocketAddr = host.parse().expect("an address");
    let of_page = format!("/{path}events");
    let _open = [(server.addr(), "/.oneloop/events"), (address, &of_page)].map(|(address, path)| {
        let mut client = Client::connect(address);
        client.send(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n"));
        assert_eq!(client.head().header("content-type"), Some("text/event-stream"), "{path}");
        client
    });
    server.signal(Signal::INT);
    assert!(server.exit().success());
    assert_eq!(messages(&mut stderr), "");
}
