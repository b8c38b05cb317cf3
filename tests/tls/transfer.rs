//! Requests and responses over TLS: pipelining, ranges, slow readers, ends and limits.

use std::{
    fs::File,
    io::{ErrorKind, Read},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    client::{Client, VERSIONS, config, get},
    server::{Site, pattern},
};

#[test]
fn pipelined_requests_are_answered_in_order() {
    let site = Site::new();
    let server = site.serve(&[]);
    for version in VERSIONS {
        let config = Arc::new(config(&site, &[version]));
        let mut client = Client::connect(server.address, "localhost", &config);
        let requests: String =
            (0..1000).map(|i| get(if i % 3 == 2 { "/none" } else { "/hello.txt" })).collect();
        client.send(requests);
        for i in 0..1000 {
            let response = client.response();
            let expected = if i % 3 == 2 { "HTTP/1.1 404 " } else { "HTTP/1.1 200 " };
            assert!(response.head.starts_with(expected), "{i}: {}", response.head);
        }
    }
}

#[test]
fn large_file_and_its_ranges_arrive_intact() {
    let site = Site::new();
    let server = site.serve(&[]);
    let content = pattern(400_000);
    for version in VERSIONS {
        let mut client = Client::connect(server.address, "localhost", &Arc::new(config(&site, &[version])));
        for _ in 0..3 {
            assert!(client.get("/large.bin").body == content);
        }
        for (from, to) in [(0, 0), (16_383, 16_385), (100_000, 399_999), (399_999, 399_999)] {
            let fields = format!("Host: localhost\r\nRange: bytes={from}-{to}");
            client.send(format!("GET /large.bin HTTP/1.1\r\n{fields}\r\n\r\n"));
            let response = client.response();
            assert!(response.head.starts_with("HTTP/1.1 206 "), "{}", response.head);
            assert!(response.body == content[from..=to], "{from}-{to}");
        }
        client.send("HEAD /large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned() + &get("/hello.txt"));
        let (bytes, _) = {
            client.finish();
            client.read_to_end()
        };
        assert!(bytes.ends_with(b"\r\n\r\nhello\n"), "{}", String::from_utf8_lossy(&bytes));
    }
}

/// Opens a connection with a small receive buffer.
fn narrow(address: std::net::SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None);
    let socket = socket.expect("a socket");
    socket.set_recv_buffer_size(4096).expect("set the receive buffer");
    socket.connect(&address.into()).expect("connect");
    socket.set_read_timeout(Some(crate::SOON)).expect("set a timeout");
    socket.into()
}

#[test]
fn slow_reader_gets_everything_and_delays_nobody() {
    let site = Site::new();
    let server = site.serve(&[]);
    std::fs::write(site.at("www/large.bin"), pattern(4_000_000)).expect("write");
    let config = Arc::new(config(&site, &VERSIONS));
    let mut slow = Client::over(narrow(server.address), "localhost", &config);
    slow.send(get("/large.bin"));
    for _ in 0..20 {
        assert_eq!(Client::new(&site, server.address).get("/hello.txt").body, b"hello\n");
    }
    let mut body = slow.response().body;
    assert!(body == pattern(4_000_000));
    body = slow.get("/hello.txt").body;
    assert_eq!(body, b"hello\n");
}

#[test]
fn throttle_holds_over_tls() {
    let site = Site::new();
    let server = site.serve(&["--throttle", "300k"]);
    let begin = std::time::Instant::now();
    let response = Client::new(&site, server.address).get("/large.bin");
    assert!(response.body == pattern(400_000));
    assert!(begin.elapsed() > Duration::from_secs(1), "{:?}", begin.elapsed());
}

#[test]
fn reader_that_stops_is_closed_after_the_send_timeout() {
    let site = Site::new();
    std::fs::write(site.at("www/large.bin"), pattern(30_000_000)).expect("write");
    let server = site.serve(&["--send-timeout", "300ms"]);
    let before = server.settled_descriptors();
    let config = Arc::new(config(&site, &VERSIONS));
    let mut stopped = Client::over(narrow(server.address), "localhost", &config);
    stopped.send(get("/large.bin"));
    stopped.read(); // the response begins
    crate::server::eventually(|| (server.descriptors() <= before).then_some(()));
    let (bytes, error) = stopped.read_to_end();
    assert!(bytes.len() < 30_000_000 && error.is_some(), "{} {error:?}", bytes.len());
}

#[test]
fn end_of_the_session_says_whether_the_response_is_complete() {
    let site = Site::new();
    let server = site.serve(&[]);
    let mut client = Client::new(&site, server.address);
    client.send("GET /hello.txt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let (bytes, error) = client.read_to_end();
    assert!(bytes.ends_with(b"hello\n") && error.is_none(), "{error:?}");

    // A client that ends its side still gets what it has asked for.
    let mut client = Client::new(&site, server.address);
    client.send(get("/large.bin"));
    client.finish();
    let (bytes, error) = client.read_to_end();
    assert!(bytes.ends_with(&pattern(400_000)[200_000..]) && error.is_none(), "{error:?}");

    // A file that is cut short must not look complete.
    std::fs::write(site.at("www/shrinks.bin"), pattern(30_000_000)).expect("write");
    let config = Arc::new(config(&site, &VERSIONS));
    let mut client = Client::over(narrow(server.address), "localhost", &config);
    client.send(get("/shrinks.bin"));
    client.read(); // the response begins
    File::options()
        .write(true)
        .open(site.at("www/shrinks.bin"))
        .and_then(|f| f.set_len(1000))
        .expect("cut it");
    let (bytes, error) = client.read_to_end();
    assert!(bytes.len() < 30_000_000);
    assert!(matches!(error, Some(ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset)), "{error:?}");
}

#[test]
fn reset_of_the_load_target_is_no_end_of_the_session() {
    let site = Site::new();
    let server = site.serve(&["--target"]);
    // A cut response ends its session, but a reset ends only the connection.
    for (parameters, is_reset) in [("truncate=100", false), ("truncate=100&reset", true), ("reset", true)] {
        let mut client = Client::new(&site, server.address);
        client.send(get(&format!("/_/?bytes=1k&{parameters}")));
        let (bytes, error) = client.read_to_end();
        assert_eq!(bytes.len() > 100, parameters.contains("truncate"), "{parameters}");
        assert_eq!(error, is_reset.then_some(ErrorKind::ConnectionReset), "{parameters}");
    }
}

#[test]
fn shutdown_finishes_the_response_and_ends_idle_sessions() {
    let site = Site::new();
    std::fs::write(site.at("www/large.bin"), pattern(30_000_000)).expect("write");
    let mut server = site.serve(&[]);
    let config = Arc::new(config(&site, &VERSIONS));
    let mut idle = Client::new(&site, server.address);
    assert_eq!(idle.get("/hello.txt").body, b"hello\n");
    let mut half = Client::new(&site, server.address);
    half.tls.complete_io(&mut half.socket).expect("a handshake");
    let _silent = crate::client::socket(server.address);
    let mut busy = Client::over(narrow(server.address), "localhost", &config);
    busy.send(get("/large.bin"));
    busy.read(); // the response begins
    kill_process(Pid::from_child(&server.child), Signal::TERM).expect("signal it");
    assert_eq!(idle.read_to_end(), (Vec::new(), None));
    assert_eq!(half.read_to_end(), (Vec::new(), None));
    assert!(busy.response().body == pattern(30_000_000));
    assert_eq!(busy.read_to_end(), (Vec::new(), None));
    assert_eq!(server.exit().code(), Some(0));
}

#[test]
fn idle_session_gives_its_place_to_another_client() {
    let site = Site::new();
    let server = site.serve(&["--max-connections", "2"]);
    let mut clients = [(); 4].map(|()| {
        let mut client = Client::new(&site, server.address);
        assert_eq!(client.get("/hello.txt").body, b"hello\n");
        client
    });
    for client in &mut clients[..2] {
        assert_eq!(client.read_to_end(), (Vec::new(), None), "it was evicted, and told so");
    }
    let [.., last] = &mut clients;
    assert_eq!(last.get("/hello.txt").body, b"hello\n");
}

#[test]
fn reset_in_the_middle_of_a_response_leaves_nothing_behind() {
    let site = Site::new();
    let server = site.serve(&[]);
    assert_eq!(Client::new(&site, server.address).get("/hello.txt").body, b"hello\n");
    let before = server.settled_descriptors();
    for _ in 0..50 {
        let mut client = Client::new(&site, server.address);
        client.send(get("/large.bin"));
        let _ = client.socket.read(&mut [0; 1000]);
        rustix::net::sockopt::set_socket_linger(&client.socket, Some(Duration::ZERO)).expect("set linger");
    }
    crate::server::eventually(|| (server.descriptors() <= before).then_some(()));
    assert_eq!(Client::new(&site, server.address).get("/hello.txt").body, b"hello\n");
}
