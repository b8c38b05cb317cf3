//! Timeouts: each closes the connections that it is meant for and no others.

use std::{
    io::{ErrorKind, Read, Write},
    thread,
    time::{Duration, Instant},
};

use super::*;
use crate::common::*;

/// The shortest time that a client may measure for a timeout of 300 ms, because the connection may
/// be established slightly after the server accepts it.
const TIMEOUT: Duration = Duration::from_millis(250);

/// Returns the number of bytes that arrive until the connection ends, by FIN or RST.
fn count_rest(client: &mut Client) -> u64 {
    let mut buffer = [0; 65536];
    let mut total = 0;
    loop {
        match uninterrupted(|| client.socket.read(&mut buffer)) {
            Ok(0) => return total,
            Ok(n) => total += n as u64,
            Err(e) if e.kind() == ErrorKind::ConnectionReset => return total,
            Err(e) => panic!("neither bytes nor the end: {e}"),
        }
    }
}

/// Sends one `x` every 10 ms until a response arrives.
fn trickle(client: &mut Client) {
    client.socket.set_read_timeout(Some(Duration::from_millis(10))).expect("set a timeout");
    let end = Instant::now() + SOON;
    while client.socket.peek(&mut [0]).is_err() {
        assert!(Instant::now() < end, "trickling bytes extend the timeout");
        client.send("x");
    }
    client.socket.set_read_timeout(Some(SOON)).expect("set a timeout");
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
        trickle(&mut client);
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

/// Asserts that the timeout `endless` set to 0 closes no connection while the other timeouts do.
fn assert_never_expires(site: &Site, endless: &str) {
    let args: Vec<&str> =
        TIMEOUTS.iter().flat_map(|&flag| [flag, if flag == endless { "0" } else { "200ms" }]).collect();
    let server = Server::with(site, &[&args[..], &["--defer-accept=never"]].concat());
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
fn timeout_of_zero_never_expires() {
    let site = &site_with_big();
    thread::scope(|scope| {
        for endless in TIMEOUTS {
            scope.spawn(move || assert_never_expires(site, endless));
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
        assert!(count_rest(&mut client) < BIG, "no connection was closed");
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
        thread::sleep(Duration::from_millis(10)); // the client's own pace
        client.take(PIECE as usize);
    }
    assert!(begun.elapsed() > Duration::from_secs(2), "the download was too fast for this test");
    client.expect_close(); // as an idle connection later
}

#[test]
fn timeout_of_a_thousand_connections_at_once() {
    allow_many_descriptors();
    let site = Site::new();
    let server =
        Server::with(&site, &["--head-timeout", "1s", "--idle-timeout", "1s", "--max-connections", "2000"]);
    let before = server.sockets();
    let mut idle: Vec<Client> =
        (0..1000).map(|i| if i % 2 == 0 { server.connect() } else { kept_alive(&server) }).collect();
    let mut busy = kept_alive(&server);
    eventually("they expire", || {
        busy.send(get("/hello.txt"));
        // The busy connection is not treated as idle.
        assert_eq!(busy.response().text(), "hello\n");
        server.sockets() <= before + 1
    });
    idle.iter_mut().for_each(Client::expect_close);
    assert_eq!(server.get("/hello.txt").text(), "hello\n");
    drop(busy);
    eventually("nothing is left", || server.sockets() == before);
    assert_idle(&server, Duration::from_millis(200));
}
