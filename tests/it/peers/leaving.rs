//! Clients that close their side, vanish, or keep sending after a refusal.

use std::{
    io::Write,
    thread,
    time::{Duration, Instant},
};

use super::*;
use crate::common::*;

/// Returns what a client may have sent when it closes its side: a description, the bytes, the
/// expected bodies, and whether an incomplete request comes last, for which a 400 is valid.
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
        ("one and a half requests", hello() + "GET /hel", vec![b"hello\n"], true),
        ("50 pipelined", hello().repeat(50), vec![b"hello\n"; 50], false),
        (
            "a large download between two requests",
            hello() + &get("/large") + &hello(),
            vec![b"hello\n", large, b"hello\n"],
            false,
        ),
    ]
}

#[test]
fn half_close_gets_all_pending_responses() {
    let site = Site::new();
    let large = pattern(1 << 20).repeat(16);
    site.write("large", &large);
    let server = Server::with(&site, &PATIENT);
    let before = server.sockets();
    for (what, bytes, owed, has_half) in half_closed(&large) {
        for is_together in [true, false] {
            let how =
                format!("{what}, {}", if is_together { "together with the FIN" } else { "before the FIN" });
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
                    client.wait_for_bytes();
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

/// A state in which a client may vanish: its name, and a function that puts a client into it.
type State = (&'static str, fn(&Server) -> Client);

const STATES: [State; 9] = [
    ("after connecting", |s| s.connect()),
    ("in the middle of a head", |s| sent(s, "GET /hel")),
    ("in the middle of a body", |s| {
        sent(s, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30000\r\n\r\nabc")
    }),
    ("in the middle of a download", |s| {
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
            // First the server sees each step separately, then the client's data and the end arrive
            // together.
            let enter_all = || (0..AT_ONCE).map(|_| enter(&server)).collect::<Vec<_>>();
            let leave_all = |clients: Vec<Client>| clients.into_iter().for_each(leave);
            leave_all(enter_all());
            let clients = enter_all();
            server.while_stopped(|| leave_all(clients));
            eventually(&format!("nothing is left of clients that left {state}"), || {
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
                        thread::sleep(Duration::from_millis(pause_ms)); // the client's own pace
                    }
                });
                assert!(matches!(client.response().status, 400 | 405 | 413));
                client.expect_close();
                let fin = begun.elapsed();
                flood.join().expect("the flood ends");
                // After its FIN the server reads for two more seconds and no longer.
                let linger = begun.elapsed() - fin;
                assert!(linger > Duration::from_secs(1), "the FIN came {linger:?} before the close");
                assert!(linger < Duration::from_secs(2) + PROMPT, "closed after {linger:?}");
            });
        }
    });
    eventually("all connections are closed", || server.sockets() == before);
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
