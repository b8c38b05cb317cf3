//! Slow, silent and vanishing peers. Each time-out catches what it is there for and nothing else; a peer that closes its
//! side gets all that it is owed; one that is gone leaves neither a descriptor nor work behind.
use std::{
    io::{ErrorKind, Read, Write},
    thread,
    time::{Duration, Instant},
};

use crate::common::*;

/// Time-outs so long that nothing in a test can happen because one of them ran out.
const PATIENT: [&str; 6] = ["--head-timeout", "5m", "--idle-timeout", "5m", "--send-timeout", "5m"];

/// What a time limit of 300 ms is seen to take at least: the client may connect a moment after the server has accepted.
const TIMEOUT: Duration = Duration::from_millis(250);

/// More than the socket buffers of both sides hold together.
const BIG: u64 = 64 << 20;

/// A site with `big`, which is [`BIG`] and takes no room.
fn site_with_big() -> Site {
    let site = Site::new();
    site.sparse("big", BIG);
    site
}

/// A connection on which `bytes` were sent.
fn sent(server: &Server, bytes: impl AsRef<[u8]>) -> Client {
    let mut client = server.connect();
    client.send(bytes);
    client
}

/// A connection that was kept after its first response.
fn kept_alive(server: &Server) -> Client {
    let mut client = sent(server, get("/hello.txt"));
    assert_eq!(client.response().text(), "hello\n");
    client
}

/// How many bytes come until the server closes, in whatever way.
fn count_rest(client: &mut Client) -> u64 {
    let mut buffer = [0; 65536];
    let mut total = 0;
    loop {
        match client.socket.read(&mut buffer) {
            Ok(0) => return total,
            Ok(n) => total += n as u64,
            Err(e) if e.kind() == ErrorKind::ConnectionReset => return total,
            Err(e) => panic!("neither bytes nor an end: {e}"),
        }
    }
}

/// Sends byte after byte of `x`, one in 10 ms, until an answer is there.
fn drip(client: &mut Client) {
    client.socket.set_read_timeout(Some(Duration::from_millis(10))).expect("set a time-out");
    let end = Instant::now() + SOON;
    while client.socket.peek(&mut [0]).is_err() {
        assert!(Instant::now() < end, "bytes that trickle in buy time without end");
        client.send("x");
    }
    client.socket.set_read_timeout(Some(SOON)).expect("set a time-out");
}

#[test]
fn head_timeout_is_not_extended_by_trickling_bytes() {
    let site = Site::new();
    let server = Server::with(&site, &["--head-timeout", "300ms", "--idle-timeout", "5m"]);
    let body = "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30000\r\n\r\n";
    let chunk = "GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n7000\r\n";
    let starts =
        [(false, "GET /"), (true, "GET /"), (false, "GET / HTTP/1.1\r\nX: "), (true, body), (false, chunk)];
    each(starts, |&(is_kept, start)| {
        let mut client = if is_kept { kept_alive(&server) } else { server.connect() };
        let begun = Instant::now();
        client.send(start);
        drip(&mut client);
        let waited = begun.elapsed();
        let response = client.response();
        assert!(response.status == 408 && response.closes(), "{response:?}");
        client.expect_close();
        assert!((TIMEOUT..PROMPT).contains(&waited), "after {waited:?}");
    });
}

#[test]
fn head_timeout_answers_half_a_request_with_408() {
    let site = Site::new();
    let server = Server::with(&site, &["--head-timeout", "200ms", "--idle-timeout", "5m"]);
    let mut halves = ["G", "GET / HTTP/1.1\r\nHost: localhost\r\n"].map(|half| sent(&server, half));
    for client in &mut halves {
        assert_eq!(client.response().status, 408);
        client.expect_close();
    }
}

#[test]
fn head_timeout_closes_a_silent_peer_silently() {
    let site = Site::new();
    let server = Server::with(&site, &["--head-timeout", "300ms", "--idle-timeout", "5m"]);
    let begun = Instant::now();
    let mut client = server.connect();
    client.expect_close();
    assert!((TIMEOUT..PROMPT).contains(&begun.elapsed()), "after {:?}", begun.elapsed());
}

#[test]
fn idle_timeout_closes_an_idle_connection() {
    let site = Site::new();
    let server = Server::with(&site, &["--head-timeout", "5m", "--idle-timeout", "300ms"]);
    let begun = Instant::now();
    let mut client = kept_alive(&server);
    client.expect_close();
    assert!((TIMEOUT..PROMPT).contains(&begun.elapsed()), "after {:?}", begun.elapsed());
}

const TIMEOUTS: [&str; 3] = ["--head-timeout", "--idle-timeout", "--send-timeout"];

/// Asserts that `endless`, as 0, closes no connection, while the other time limits do.
fn assert_never_passes(site: &Site, endless: &str) {
    let args: Vec<&str> =
        TIMEOUTS.iter().flat_map(|&flag| [flag, if flag == endless { "0" } else { "200ms" }]).collect();
    let server = Server::with(site, &args);
    let before = server.sockets();
    let mut peers = [
        (TIMEOUTS[0], server.connect(), "GET /hello.txt HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        (TIMEOUTS[0], sent(&server, "GET /hel"), "lo.txt HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        (TIMEOUTS[1], kept_alive(&server), "GET /hello.txt HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        (TIMEOUTS[2], sent(&server, get("/big")), ""),
    ];
    let left = peers.iter().filter(|(flag, ..)| *flag == endless).count();
    eventually("the others are closed", || server.sockets() == before + left);
    for (flag, client, rest) in &mut peers {
        if *flag != endless {
            assert!(count_rest(client) < BIG, "{flag}");
        } else if rest.is_empty() {
            assert!(count_rest(client) > BIG, "not the whole file"); // and then it is idle
        } else {
            client.send(rest);
            assert_eq!(client.response().text(), "hello\n");
        }
    }
}

#[test]
fn timeout_of_zero_never_passes() {
    let site = &site_with_big();
    thread::scope(|scope| {
        for endless in TIMEOUTS {
            scope.spawn(move || assert_never_passes(site, endless));
        }
    });
}

#[test]
fn send_timeout_cuts_a_stalled_download_whatever_the_peer_sends() {
    let site = site_with_big();
    let mut args = PATIENT;
    args[5] = "300ms";
    let server = Server::with(&site, &args);
    let before = server.sockets();
    for keeps_sending in [false, true] {
        let begun = Instant::now();
        let mut client = sent(&server, get("/big"));
        eventually("the download starts", || client.socket.peek(&mut [0]).is_ok_and(|n| n > 0));
        eventually("the connection is closed", || {
            if keeps_sending {
                let _ = client.socket.write(b"GET / HTTP/1.1\r\n"); // fails once the server is gone
            }
            server.sockets() == before
        });
        assert!((TIMEOUT..PROMPT).contains(&begun.elapsed()), "after {:?}", begun.elapsed());
        assert!(count_rest(&mut client) < BIG, "nothing was cut");
    }
}

#[test]
fn send_timeout_spares_a_slow_but_steady_reader() {
    const PIECE: u64 = 256 << 10;
    let site = site_with_big();
    let server = Server::with(
        &site,
        &["--send-timeout", "500ms", "--head-timeout", "500ms", "--idle-timeout", "500ms"],
    );
    let mut client = sent(&server, get("/big"));
    client.head();
    let begun = Instant::now();
    for _ in 0..BIG / PIECE {
        thread::sleep(Duration::from_millis(10)); // the peer's own pace
        client.take(PIECE as usize);
    }
    assert!(begun.elapsed() > Duration::from_secs(2), "too quick to prove anything");
    client.expect_close(); // as an idle connection, in its turn
}

/// What a client may have sent when it closes its side: what to say of it, the bytes, the bodies that are owed for
/// them, and whether an incomplete request comes last, for which one 400 is fair.
fn half_closed(large: &[u8]) -> [(&'static str, String, Vec<&[u8]>, bool); 9] {
    let hello = || get("/hello.txt");
    let with_body = "GET /hello.txt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nfour";
    [
        ("nothing", String::new(), vec![], false),
        ("an empty line", "\r\n".into(), vec![], false),
        ("half a request", "GET /hel".into(), vec![], true),
        ("half a body", with_body.into(), vec![], true),
        ("a request", hello(), vec![b"hello\n"], false),
        ("a request and its body", with_body.to_owned() + "12345", vec![b"hello\n"], false),
        ("one and a half", hello() + "GET /hel", vec![b"hello\n"], true),
        ("50 pipelined", hello().repeat(50), vec![b"hello\n"; 50], false),
        (
            "a large download between two",
            hello() + &get("/large") + &hello(),
            vec![b"hello\n", large, b"hello\n"],
            false,
        ),
    ]
}

#[test]
fn half_close_gets_all_that_is_owed() {
    let site = Site::new();
    let large = pattern(1 << 20).repeat(16);
    site.write("large", &large);
    let server = Server::with(&site, &PATIENT);
    let before = server.sockets();
    for (what, bytes, owed, has_half) in half_closed(&large) {
        for is_together in [true, false] {
            let how =
                format!("{what}, {}", if is_together { "together with the FIN" } else { "then the FIN" });
            let mut client = if is_together {
                server.while_stopped(|| {
                    let mut client = sent(&server, &bytes);
                    client.finish();
                    client
                })
            } else {
                let mut client = sent(&server, &bytes);
                eventually("it is accepted", || server.sockets() > before);
                if !owed.is_empty() {
                    client.socket.peek(&mut [0]).expect("the answer begins");
                }
                client.finish();
                client
            };
            for &body in &owed {
                let response = client.response();
                assert!(response.status == 200 && response.body == body, "{how}: {:?}", response.headers);
            }
            let rest = client.rest();
            let is_fair = rest.is_empty() || has_half && rest.starts_with(b"HTTP/1.1 400 ");
            assert!(is_fair, "{how}: {:?}", lossy(&rest));
            drop(client);
            eventually(&format!("the connection is gone: {how}"), || server.sockets() == before);
        }
    }
}

#[test]
fn half_close_without_reading_is_idle() {
    let site = site_with_big();
    let server = Server::with(&site, &PATIENT);
    let mut client = sent(&server, get("/big"));
    client.take(1);
    client.finish();
    assert_idle(&server, Duration::from_millis(300));
    assert!(server.get("/hello.txt").text() == "hello\n");
}

/// The states in which a peer may vanish: the name, and how to come into it.
type State = (&'static str, fn(&Server) -> Client);
const STATES: [State; 9] = [
    ("after connect", |s| s.connect()),
    ("amid a head", |s| sent(s, "GET /hel")),
    ("amid a body", |s| sent(s, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30000\r\n\r\nabc")),
    ("amid a download", |s| {
        let mut client = sent(s, get("/big"));
        client.take(100_000);
        client
    }),
    ("while idle", kept_alive),
    ("right after a request", |s| sent(s, get("/hello.txt"))),
    ("right after a request for a large file", |s| sent(s, get("/big"))),
    ("right after 50 requests", |s| sent(s, get("/hello.txt").repeat(50))),
    ("while the server lingers", |s| {
        let mut client = sent(s, "nonsense\r\n\r\n");
        assert!(client.rest().starts_with(b"HTTP/1.1 400 "));
        client
    }),
];

#[test]
fn disconnect_in_any_state_leaves_nothing_behind() {
    const AT_ONCE: usize = 8;
    let site = site_with_big();
    let server = Server::with(&site, &PATIENT);
    server.get("/hello.txt");
    server.ask("HEAD /big HTTP/1.1\r\nHost: localhost\r\n\r\n");
    server.wait_until_quiet();
    let before = (server.sockets(), server.descriptors());
    for (state, enter) in STATES {
        for leave in [drop as fn(Client), Client::reset] {
            // Once the server sees each step by itself, once what was sent and the end come in one go.
            let enter_all = || (0..AT_ONCE).map(|_| enter(&server)).collect::<Vec<_>>();
            let leave_all = |clients: Vec<Client>| clients.into_iter().for_each(leave);
            leave_all(enter_all());
            let clients = enter_all();
            server.while_stopped(|| leave_all(clients));
            eventually(&format!("nothing is left of those who left {state}"), || {
                server.sockets() == before.0 && server.descriptors() <= before.1
            });
            assert_idle(&server, Duration::from_millis(50));
            assert_eq!(server.get("/hello.txt").text(), "hello\n", "{state}");
        }
    }
}

#[test]
fn disconnect_in_the_backlog_leaves_nothing_behind() {
    let site = site_with_big();
    let server = Server::with(&site, &PATIENT);
    server.ask("HEAD /big HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let before = server.sockets();
    for leave in [drop as fn(Client), Client::reset] {
        server.while_stopped(|| {
            for request in
                ["".into(), "GET /hel".into(), get("/hello.txt"), get("/big"), get("/hello.txt").repeat(50)]
            {
                leave(sent(&server, request));
            }
        });
        assert_eq!(server.get("/hello.txt").text(), "hello\n");
        eventually("nothing is left", || server.sockets() <= before);
    }
}

#[test]
fn linger_sends_fin_and_cuts_a_peer_that_keeps_sending() {
    let site = Site::new();
    let server = &Server::with(&site, &PATIENT);
    let before = server.sockets();
    let upload = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n";
    let peers = [("nonsense\r\n\r\n", 0), ("nonsense\r\n\r\n", 20), (upload, 0), (upload, 20)];
    thread::scope(|scope| {
        for (request, pause_ms) in peers {
            scope.spawn(move || {
                let begun = Instant::now();
                let mut client = sent(server, request);
                let mut socket = client.socket.try_clone().expect("a second handle");
                let flood = thread::spawn(move || {
                    while begun.elapsed() < SOON && socket.write(&[b'x'; 4096]).is_ok() {
                        thread::sleep(Duration::from_millis(pause_ms)); // the peer's own pace
                    }
                });
                assert!(matches!(client.response().status, 400 | 405 | 413));
                client.expect_close();
                let fin = begun.elapsed();
                flood.join().expect("the flood ends");
                // The server reads on for two seconds behind its FIN, and no longer.
                let linger = begun.elapsed() - fin;
                assert!(linger > Duration::from_secs(1), "the FIN came {linger:?} before the cut");
                assert!(linger < Duration::from_secs(2) + PROMPT, "cut after {linger:?}");
            });
        }
    });
    eventually("all are gone", || server.sockets() == before);
}

#[test]
fn linger_preserves_a_refusal() {
    let site = Site::new();
    let server = Server::with(&site, &PATIENT);
    for _ in 0..20 {
        let mut client = sent(&server, b"nonsense\r\n\r\n".repeat(50_000));
        assert_eq!(client.response().status, 400);
        client.expect_close();
    }
}

#[test]
fn timeout_of_a_thousand_connections_at_once() {
    allow_many_descriptors();
    let site = Site::new();
    let server =
        Server::with(&site, &["--head-timeout", "1s", "--idle-timeout", "1s", "--max-connections", "2000"]);
    let before = server.sockets();
    let mut busy = kept_alive(&server);
    let mut idle: Vec<Client> =
        (0..1000).map(|i| if i % 2 == 0 { server.connect() } else { kept_alive(&server) }).collect();
    eventually("they expire", || {
        busy.send(get("/hello.txt"));
        assert_eq!(busy.response().text(), "hello\n"); // and the busy one is not taken for one of them
        server.sockets() <= before + 1
    });
    idle.iter_mut().for_each(Client::expect_close);
    assert_eq!(server.get("/hello.txt").text(), "hello\n");
    drop(busy);
    eventually("nothing is left", || server.sockets() == before);
    assert_idle(&server, Duration::from_millis(200));
}
