//! The connection limit and the open-file limit. Further clients replace idle ones. If none is
//! idle, they wait in the backlog, use no CPU, and are served as soon as a connection closes.
use std::{
    io::{ErrorKind, Read, Write},
    net::SocketAddr,
    thread,
    time::Duration,
};

use rustix::process::Signal;
use socket2::{Domain, Socket, Type};

use crate::common::*;

/// The first half of a second request, which keeps a connection from being idle, and the rest.
const BEGUN: &str = "GET /hello.txt HTTP/1.1\r\n";
const REST: &str = "Host: localhost\r\n\r\n";

/// Opens a connection, waits for the response to its first request and begins another one.
fn busy(addr: SocketAddr) -> Client {
    let mut client = waiting(addr);
    assert_served(&mut client);
    client
}

/// Opens a connection, and sends a request and half of another one without waiting for the
/// response.
fn waiting(addr: SocketAddr) -> Client {
    let mut client = Client::connect(addr);
    client.send(get("/hello.txt") + BEGUN);
    client
}

/// Returns whether no byte and no end of input arrives within a short time.
fn stays_silent(client: &Client) -> bool {
    client.socket.set_read_timeout(Some(Duration::from_millis(200))).expect("set a timeout");
    let read = uninterrupted(|| client.socket.peek(&mut [0]));
    client.socket.set_read_timeout(Some(SOON)).expect("set a timeout");
    read.is_err_and(|e| matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
}

/// Asserts that the server answers the request that [`waiting`] sent on `client`.
fn assert_served(client: &mut Client) {
    assert_eq!(client.response().text(), "hello\n");
}

/// Runs the server under `ulimit -n NOFILE`, for a second at most, and returns its exit code and
/// its messages.
fn start_with(site: &Site, nofile: u32) -> (Option<i32>, String) {
    let script = format!("ulimit -n {nofile} && exec timeout -s TERM 1 \"$0\" \"$@\"");
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_oneloop"), "--port", "0"]).arg(site.path());
    let output = command.output().expect("run oneloop");
    (output.status.code(), lossy(&output.stderr))
}

#[test]
fn open_file_limit_that_is_too_small_is_reported_with_one_that_is_enough() {
    let site = Site::new();
    let (code, message) = start_with(&site, 16);
    assert_eq!(code, Some(1), "{message}");
    let needed = message.strip_suffix(")\n").and_then(|text| text.rsplit_once("(ulimit -n "));
    let needed: u32 = needed.and_then(|(_, number)| number.parse().ok()).expect(&message);
    assert!(message.starts_with("oneloop: the open-file limit of 16 is too small"), "{message}");
    for nofile in 5..needed {
        let (code, message) = start_with(&site, nofile);
        assert_eq!((code, message.lines().count()), (Some(1), 1), "{nofile}: {message}");
        assert!(message.contains("ulimit -n") && !message.contains("os error"), "{nofile}: {message}");
    }
    let mut server = Server::with_nofile(&site, needed, &[]);
    let mut clients: Vec<Client> = (0..3).map(|_| busy(server.addr())).collect();
    clients[0].send(REST);
    assert_served(&mut clients[0]);
    let mut stderr = server.stderr();
    server.signal(Signal::TERM);
    assert!(server.exit().success());
    let mut messages = String::new();
    stderr.read_to_string(&mut messages).expect("UTF-8");
    assert_eq!(messages, "", "it has a sandbox");
}

#[test]
fn limit_makes_peers_wait_until_others_leave() {
    let site = Site::new();
    let server = Server::with(&site, &["--max-connections", "4"]);
    let mut inside: Vec<Client> = (0..4).map(|_| busy(server.addr())).collect();
    let outside: Vec<Client> = (0..8).map(|_| waiting(server.addr())).collect();
    for (i, mut client) in outside.into_iter().enumerate() {
        if i % 4 == 0 {
            assert!(stays_silent(&client), "client {i} was accepted too soon");
        }
        let leaver = inside.remove(0);
        if i % 2 == 0 {
            drop(leaver)
        } else {
            leaver.reset()
        }
        assert_served(&mut client);
        inside.push(client);
    }
    for client in &mut inside {
        client.send(REST);
        assert_served(client);
    }
}

#[test]
fn limit_counts_slow_connections_until_they_expire() {
    let site = Site::new();
    let server = Server::with(&site, &["--max-connections", "4", "--head-timeout", "500ms"]);
    let _slow: Vec<Client> = (0..4).map(|_| busy(server.addr())).collect();
    let mut fifth = waiting(server.addr());
    assert!(stays_silent(&fifth), "accepted beyond the limit");
    assert_served(&mut fifth);
}

#[test]
fn limit_evicts_idle_connections() {
    let site = Site::new();
    let server =
        Server::with(&site, &["--max-connections", "2", "--head-timeout", "5m", "--defer-accept=never"]);
    let mut silent = [server.connect(), server.connect()];
    let ask = || {
        let mut client = server.connect();
        client.send(get("/hello.txt"));
        assert_served(&mut client);
        client
    };
    let mut third = ask();
    assert!(silent[0].rest().is_empty(), "a clean end of input");
    let _fourth = ask();
    assert!(silent[1].rest().is_empty(), "the third has just been served");
    third.send(get("/hello.txt"));
    assert_served(&mut third);
}

#[test]
fn limit_reached_is_idle() {
    let site = Site::new();
    let server = Server::with(&site, &["--max-connections", "4"]);
    let _inside: Vec<Client> = (0..4).map(|_| busy(server.addr())).collect();
    let mut outside: Vec<Client> = (0..10).map(|_| waiting(server.addr())).collect();
    outside.drain(..5).for_each(Client::reset);
    assert_idle(&server, Duration::from_millis(500));
}

#[test]
fn limit_holds_for_all_listeners_together() {
    let site = Site::new();
    let server =
        Server::with_lines(&site, &["--bind", "127.0.0.1", "--bind", "::1", "--max-connections", "2"], 2);
    let addrs: Vec<SocketAddr> = server
        .lines
        .iter()
        .map(|l| l.trim_start_matches("http://").trim_end_matches('/').parse().expect("an address"))
        .collect();
    let inside = [busy(addrs[0]), busy(addrs[1])];
    let mut outside = [waiting(addrs[0]), waiting(addrs[1])];
    assert!(outside.iter().all(stays_silent), "accepted beyond the limit");
    drop(inside);
    outside.iter_mut().for_each(assert_served);
}

#[test]
fn limit_of_one_serves_peers_one_by_one() {
    let site = Site::new();
    let server = Server::with(&site, &["--max-connections", "1"]);
    let request = "GET /hello.txt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| assert_eq!(server.ask(request).text(), "hello\n"));
        }
    });
}

#[test]
fn limit_of_open_files_is_idle_and_recovers() {
    let site = Site::new();
    for name in 0..40 {
        site.write(format!("{name}.txt"), name.to_string());
    }
    let mut server = Server::with_nofile(&site, 32, &["--max-connections", "1000"]);
    for round in 0..2 {
        let flood: Vec<Client> = (0..60).map(|_| server.connect()).collect();
        assert_idle(&server, Duration::from_millis(500));
        assert!(server.is_running());
        drop(flood);
        // Until the server has closed the flood, it has no descriptor for a file.
        eventually("it recovers", || server.get(&format!("/{}.txt", round * 20)).status == 200);
        for name in round * 20..round * 20 + 20 {
            let response = server.get(&format!("/{name}.txt"));
            assert!(response.status == 200 && response.text() == name.to_string(), "{response:?}");
        }
    }
}

#[test]
fn limit_of_open_files_too_small_for_the_connections_is_said() {
    let site = Site::new();
    for (connections, is_said) in [("8", false), ("9", true)] {
        let mut server = Server::with_nofile(&site, 32, &["--max-connections", connections]);
        server.signal(Signal::TERM);
        assert_eq!(server.exit().code(), Some(0));
        let log = std::io::read_to_string(server.stderr()).expect("read its log");
        assert_eq!(log.contains("the open-file limit is too small for 9 connections"), is_said, "{log}");
    }
}

#[test]
fn limit_of_open_files_serves_waiting_peers_in_the_end() {
    let site = Site::new();
    let server = Server::with_nofile(&site, 32, &["--max-connections", "1000", "--defer-accept=never"]);
    assert_eq!(server.get("/hello.txt").text(), "hello\n");
    let flood: Vec<Client> = (0..40).map(|_| server.connect()).collect();
    let mut left_out: Vec<Client> = (0..16).map(|_| waiting(server.addr())).collect();
    assert!(
        left_out.iter().rev().take(1).all(stays_silent),
        "more descriptors are available than the test expects"
    );
    drop(flood);
    for client in &mut left_out {
        // A peer may have got the last descriptor, and there was none for the file.
        let status = client.response().status;
        assert!([200, 503].contains(&status), "{status}");
    }
}

#[test]
fn limit_by_default_leaves_a_descriptor_for_each_file() {
    let site = Site::new();
    for name in 0..60 {
        site.sparse(&format!("{name}.bin"), 16 << 20); // more than the socket buffers hold
    }
    let server = Server::with_nofile(&site, 32, &[]);
    let mut clients: Vec<Client> = (0..60).map(|_| server.connect()).collect();
    for (name, client) in clients.iter_mut().enumerate() {
        client.send(get(&format!("/{name}.bin")));
    }
    server.wait_until_quiet();
    for (name, mut client) in clients.into_iter().enumerate() {
        // At the end of each round the client disconnects, so the server accepts the next one.
        assert_eq!(client.head().status, 200, "download {name}");
    }
}

#[test]
fn accept_serves_many_connects_at_once() {
    allow_many_descriptors();
    let site = Site::new();
    let server = Server::start(&site);
    for peers in [20, 300] {
        // While the server is stopped, all connections wait in the backlog and make one event.
        let connect_all = || (0..peers).map(|_| waiting(server.addr())).collect::<Vec<_>>();
        let mut clients = server.while_stopped(connect_all);
        clients.iter_mut().for_each(assert_served);
    }
}

/// Connects from an address of loopback, and sends `bytes`.
fn from(ip: &str, addr: SocketAddr, bytes: &str) -> Client {
    let source: SocketAddr = format!("{ip}:0").parse().expect("an address");
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&source.into()).expect("bind");
    socket.connect(&addr.into()).expect("connect");
    let mut client = Client::over(socket.into());
    // The server may have closed the connection already.
    let _ = client.socket.write_all(bytes.as_bytes());
    client
}

/// Returns whether the server closes the connection without a byte. A request that it has not read
/// makes the close a reset.
fn is_turned_away(client: &mut Client) -> bool {
    match uninterrupted(|| client.socket.read(&mut [0])) {
        Ok(got) => got == 0,
        Err(e) => e.kind() == ErrorKind::ConnectionReset,
    }
}

#[test]
fn limit_per_address_closes_further_connections() {
    let site = Site::new();
    let mut server = Server::with(&site, &["--max-per-address", "2"]);
    let request = get("/hello.txt") + BEGUN;
    let mut inside: Vec<Client> = (0..2).map(|_| from("127.0.0.66", server.addr(), &request)).collect();
    inside.iter_mut().for_each(assert_served);
    for _ in 0..3 {
        assert!(is_turned_away(&mut from("127.0.0.66", server.addr(), "")));
        assert_served(&mut from("127.0.0.77", server.addr(), &request));
    }
    inside.remove(0).reset();
    server.wait_until_quiet();
    assert_served(&mut from("127.0.0.66", server.addr(), &request));
    server.signal(Signal::TERM);
    let mut log = String::new();
    server.stderr().read_to_string(&mut log).expect("its log");
    let warning = "127.0.0.66 has 2 connections; closing its new ones, to leave room for others";
    assert_eq!(log.matches(warning).count(), 1, "one warning a minute: {log}");
}

#[test]
fn limit_per_address_is_off_by_default_for_loopback_and_off_with_0() {
    let site = Site::new();
    for (options, expected) in
        [(&["--max-connections", "40"][..], 36), (&["--max-connections", "40", "--max-per-address", "0"], 40)]
    {
        let server = Server::with(&site, options);
        let request = get("/hello.txt") + BEGUN;
        let mut clients: Vec<Client> = (0..40).map(|_| from("127.0.0.66", server.addr(), &request)).collect();
        let served = clients.iter_mut().filter_map(|client| (!is_turned_away(client)).then_some(())).count();
        assert_eq!(served, expected, "{options:?}");
        // The rest is for others.
        if expected < 40 {
            assert_served(&mut from("127.0.0.77", server.addr(), &request));
        }
    }
}
