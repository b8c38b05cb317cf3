//! UDP echo on the same poller: every datagram comes back whole, or the kernel drops it and counts
//! the drop. HTTP and UDP do not delay each other.
use std::{
    collections::BTreeSet,
    io::{ErrorKind, Read},
    net::{IpAddr, SocketAddr, UdpSocket},
    thread,
    time::Duration,
};

use rustix::process::Signal;

use crate::common::*;
use oneloop::{
    Impairment, UdpEcho,
    trace::{SourceId, Step},
};

/// Creates a site and starts a server with a UDP echo on a free port of `host`.
fn echo_on(host: &str) -> (Site, Server) {
    let site = Site::new();
    let server = Server::with(&site, &["--udp-echo", &format!("{host}:0")]);
    (site, server)
}

/// Returns a socket that is connected to the server's echo.
fn client_of(server: &Server) -> UdpSocket {
    let echo = server.udp_addr();
    let socket = UdpSocket::bind(SocketAddr::new(echo.ip(), 0)).expect("a UDP socket");
    socket.connect(echo).expect("connect");
    socket.set_read_timeout(Some(SOON)).expect("set a timeout");
    socket
}

/// Asserts that `datagram` comes back as it was sent.
fn assert_echo(socket: &UdpSocket, datagram: &[u8]) {
    let mut buffer = vec![0; 70_000];
    assert_eq!(socket.send(datagram).expect("send"), datagram.len());
    let len = uninterrupted(|| socket.recv(&mut buffer)).expect("receive an echo");
    assert!(buffer[..len] == *datagram, "{len} bytes returned for {}", datagram.len());
}

/// Returns how many datagrams the system dropped because the queue of the socket bound to `addr`
/// was full.
fn drops(addr: SocketAddr) -> u64 {
    let (table, ip) = match addr.ip() {
        IpAddr::V4(ip) => ("/proc/net/udp", format!("{:08X}", u32::from_ne_bytes(ip.octets()))),
        IpAddr::V6(ip) => {
            let words = ip.octets();
            let words = words.chunks_exact(4).map(|w| u32::from_ne_bytes(w.try_into().expect("four bytes")));
            ("/proc/net/udp6", words.map(|w| format!("{w:08X}")).collect())
        }
    };
    let local = format!("{ip}:{:04X}", addr.port());
    // The table can miss a row while other sockets open and close during the read.
    let mut row = None;
    eventually("the socket's row", || {
        let table = std::fs::read_to_string(table).expect("read the table of UDP sockets");
        row = table.lines().find(|l| l.split_whitespace().nth(1) == Some(&local)).map(str::to_owned);
        row.is_some()
    });
    row.and_then(|row| row.split_whitespace().last()?.parse().ok()).expect("its drop count")
}

/// Sends `count` numbered datagrams of `len` bytes as fast as possible.
fn burst(socket: &UdpSocket, count: usize, len: usize) {
    for number in 0..count as u32 {
        let mut datagram = vec![number as u8; len];
        datagram[..4].copy_from_slice(&number.to_be_bytes());
        assert_eq!(socket.send(&datagram).expect("send"), len);
    }
}

/// Returns the numbers of all echoes of [`burst`] that are ready to read; asserts that each is
/// unchanged.
fn echoes(socket: &UdpSocket, len: usize) -> Vec<u32> {
    let mut buffer = vec![0; 70_000];
    let mut numbers = Vec::new();
    socket.set_nonblocking(true).expect("set non-blocking");
    loop {
        match uninterrupted(|| socket.recv(&mut buffer)) {
            Ok(n) => {
                assert_eq!(n, len, "the length of an echo");
                let number = u32::from_be_bytes(buffer[..4].try_into().expect("four bytes"));
                assert!(buffer[4..n].iter().all(|&b| b == number as u8), "{number} changed on the way");
                numbers.push(number);
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => break,
            Err(e) => panic!("{e}"),
        }
    }
    socket.set_nonblocking(false).expect("set blocking");
    numbers
}

/// Sends a burst, all of it before the server reads any if `is_stopped`. Asserts that the echoes
/// are distinct, that echoes plus the drops counted at both sockets equal the datagrams sent, and
/// that one more datagram is echoed.
fn assert_burst_is_accounted(server: &Server, count: usize, len: usize, is_stopped: bool) {
    let socket = client_of(server);
    let dropped =
        || (drops(server.udp_addr()) + drops(socket.local_addr().expect("read its address"))) as usize;
    let before = dropped();
    let send = || burst(&socket, count, len);
    if is_stopped {
        server.while_stopped(send)
    } else {
        send()
    }
    let mut seen = BTreeSet::new();
    eventually("echoes and drops add up to the datagrams sent", || {
        for number in echoes(&socket, len) {
            assert!(
                (number as usize) < count && seen.insert(number),
                "{number} was not sent or returned twice"
            );
        }
        seen.len() + dropped() - before == count
    });
    assert!(!seen.is_empty(), "every datagram was dropped");
    assert_echo(&socket, b"one more");
}

#[test]
fn udp_echoes_datagrams_of_every_size() {
    for host in ["127.0.0.1", "[::1]"] {
        let (_site, server) = echo_on(host);
        let socket = client_of(&server);
        for len in [0, 1, 2, 1472, 1473, 9000, 65_506, 65_507, 0, 5] {
            assert_echo(&socket, &pattern(len));
        }
    }
}

#[test]
fn udp_echoes_to_each_peer_its_own() {
    let (_site, server) = echo_on("127.0.0.1");
    let peers: Vec<UdpSocket> = (0..20).map(|_| client_of(&server)).collect();
    server.while_stopped(|| {
        for (i, peer) in peers.iter().enumerate() {
            peer.send(&[i as u8; 10]).expect("send");
        }
    });
    for (i, peer) in peers.iter().enumerate() {
        let mut buffer = [0; 100];
        assert_eq!(uninterrupted(|| peer.recv(&mut buffer)).expect("receive an echo"), 10);
        assert_eq!(buffer[..10], [i as u8; 10]);
    }
}

#[test]
fn udp_accounts_for_each_datagram_of_a_burst() {
    for host in ["127.0.0.1", "[::1]"] {
        let (_site, server) = echo_on(host);
        for (len, is_stopped) in [(64, false), (64, true), (1400, false), (1400, true)] {
            assert_burst_is_accounted(&server, 1000, len, is_stopped);
        }
        assert_burst_is_accounted(&server, 200, 30_000, false); // more than the queues hold
    }
}

#[test]
fn udp_peer_that_does_not_read_delays_nothing() {
    let (_site, server) = echo_on("127.0.0.1");
    let deaf = client_of(&server);
    for _ in 0..500 {
        deaf.send(&[7; 60_000]).expect("send");
    }
    assert_eq!(server.get("/hello.txt").text(), "hello\n");
    let other = client_of(&server);
    eventually("the queue is empty again", || {
        other.set_read_timeout(Some(Duration::from_millis(50))).expect("set a timeout");
        other.send(b"is there room?").expect("send");
        other.recv(&mut [0; 100]).is_ok()
    });
    let fresh = client_of(&server);
    assert_echo(&fresh, b"here");
    assert_idle(&server, Duration::from_millis(200));
}

#[test]
fn udp_peer_may_be_gone() {
    let (_site, server) = echo_on("127.0.0.1");
    for _ in 0..200 {
        client_of(&server).send(b"farewell").expect("send");
    }
    assert_echo(&client_of(&server), b"still here");
    assert_eq!(server.get("/hello.txt").text(), "hello\n");
}

#[test]
fn udp_beside_http() {
    let (site, server) = echo_on("127.0.0.1");
    site.sparse("big", 32 << 20);
    thread::scope(|scope| {
        scope.spawn(|| {
            let socket = client_of(&server);
            for i in 0..500 {
                assert_echo(&socket, &pattern(i));
            }
        });
        scope.spawn(|| assert_eq!(server.get("/big").body.len(), 32 << 20));
        let mut client = server.connect();
        for _ in 0..500 {
            client.send(get("/hello.txt"));
            assert_eq!(client.response().text(), "hello\n");
        }
    });
}

#[test]
fn udp_flood_does_not_starve_http() {
    let (_site, server) = echo_on("127.0.0.1");
    let socket = client_of(&server);
    thread::scope(|scope| {
        let flood = scope.spawn(|| burst(&socket, 50_000, 1000));
        let mut answered = 0;
        while !flood.is_finished() || answered < 20 {
            assert_eq!(server.get("/hello.txt").text(), "hello\n");
            answered += 1;
        }
    });
}

#[test]
fn udp_is_idle_without_datagrams() {
    let (_site, server) = echo_on("127.0.0.1");
    assert_echo(&client_of(&server), b"once");
    assert_idle(&server, Duration::from_millis(300));
}

/// Returns the verbs of the service's steps among `steps`.
fn service_steps(steps: &[(SourceId, Step)]) -> Vec<&'static str> {
    let verb = |(_, step): &(SourceId, Step)| match step {
        Step::Service(step) => Some(step.doc.verb),
        _ => None,
    };
    steps.iter().filter_map(verb).collect()
}

#[test]
fn udp_echo_delays_loses_and_duplicates_in_its_own_words() {
    let ms = Duration::from_millis;
    let none = Impairment::default();
    let rows: [(Impairment, &[&str], [usize; 2]); 4] = [
        (none, &[], [1, 1]),
        (Impairment { loss: 1.0, ..none }, &["drop"], [0, 0]),
        (Impairment { delay: ms(100), ..none }, &["delay"], [0, 1]),
        (Impairment { delay: ms(100), duplicate: 1.0, ..none }, &["delay", "double", "delay"], [0, 2]),
    ];
    for (impairment, verbs, received) in rows {
        let site = Site::empty();
        let mut rig = Rig::recorded(Rig::config(&site));
        let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
        let address = socket.local_addr().expect("read its address");
        rig.server.add_udp(socket, UdpEcho::new(vec![address], impairment)).expect("add it");
        let peer = UdpSocket::bind("127.0.0.1:0").expect("bind");
        peer.send_to(b"datagram", address).expect("send");
        assert_eq!(service_steps(&rig.turn()), verbs, "{impairment:?}");
        let mut total = 0;
        for (time, expected) in [(ms(99), received[0]), (ms(1), received[1])] {
            rig.advance(time);
            rig.turn();
            total += echoes_of(&peer, b"datagram");
            assert_eq!(total, expected, "{impairment:?} after {time:?}");
        }
    }
}

/// Returns how many datagrams are ready to read; asserts that each is `datagram`.
fn echoes_of(socket: &UdpSocket, datagram: &[u8]) -> usize {
    let mut buffer = [0; 100];
    socket.set_nonblocking(true).expect("set non-blocking");
    std::iter::from_fn(|| socket.recv(&mut buffer).ok().map(|len| assert_eq!(&buffer[..len], datagram)))
        .count()
}

#[test]
fn udp_echo_chooses_a_seed_and_says_which() {
    let site = Site::empty();
    let start = |faults: &str| {
        let arg = format!("127.0.0.1:0{faults}");
        let mut server = Server::spawn(Server::command(site.path(), &["--udp-echo", &arg]));
        let mut stderr = server.stderr();
        server.signal(Signal::TERM);
        let mut text = String::new();
        stderr.read_to_string(&mut text).expect("read its log");
        text
    };
    let line = start(",loss=30%");
    let seed = line.split(",seed=").nth(1).and_then(|rest| rest.split(' ').next()).expect("a seed");
    seed.parse::<u64>().expect("a number");
    for quiet in ["", ",loss=30%,seed=7", ",delay=10ms"] {
        assert_eq!(start(quiet), "", "{quiet}");
    }
}

#[test]
fn udp_echo_does_not_answer_ports_of_servers() {
    let (_site, server) = echo_on("127.0.0.1");
    let Some(low) = (1..1024).find_map(|port| UdpSocket::bind(("127.0.0.1", port)).ok()) else {
        return skip("a port below 1024 needs privileges");
    };
    low.send_to(b"from a server", server.udp_addr()).expect("send");
    // The echo answers in the order of arrival.
    assert_echo(&client_of(&server), b"from a client");
    assert_eq!(echoes_of(&low, b""), 0);
}
