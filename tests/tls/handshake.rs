//! Handshakes: versions, resumption, clients that split, stop or do not speak TLS, and deadlines.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::HandshakeKind;

use crate::{
    client::{Client, VERSIONS, config, get, socket},
    server::{Server, Site, eventually},
};

#[test]
fn handshake_takes_tls_1_2_and_1_3_and_only_http_1_1() {
    let site = Site::new();
    let server = site.serve(&[]);
    for version in VERSIONS {
        for protocols in [&[][..], &["http/1.1"], &["h2", "http/1.1"]] {
            let mut config = config(&site, &[version]);
            config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
            let mut client = Client::connect(server.address, "localhost", &Arc::new(config));
            assert_eq!(client.get("/hello.txt").body, b"hello\n", "{version:?} {protocols:?}");
            let chosen = client.tls.alpn_protocol();
            assert_eq!(chosen, (!protocols.is_empty()).then_some(&b"http/1.1"[..]), "{protocols:?}");
        }
        let mut config = config(&site, &[version]);
        config.alpn_protocols = vec![b"h2".to_vec()];
        let mut client = Client::connect(server.address, "localhost", &Arc::new(config));
        let error = client.tls.complete_io(&mut client.socket).expect_err("no common protocol");
        assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
    }
}

#[test]
fn handshake_resumes_a_session() {
    let site = Site::new();
    let server = site.serve(&[]);
    for version in VERSIONS {
        let config = Arc::new(config(&site, &[version]));
        let kinds = [(); 3].map(|()| {
            let mut client = Client::connect(server.address, "localhost", &config);
            assert_eq!(client.get("/hello.txt").body, b"hello\n");
            client.handshake_kind()
        });
        let [full, resumed] = [Some(HandshakeKind::Full), Some(HandshakeKind::Resumed)];
        assert_eq!(kinds, [full, resumed, resumed], "{version:?}");
    }
}

#[test]
fn handshake_and_requests_may_arrive_in_any_pieces() {
    let site = Site::new();
    let server = site.serve(&[]);
    for version in VERSIONS {
        let config = Arc::new(config(&site, &[version]));
        for seed in 0..8 {
            let mut random = oorandom::Rand32::new(seed);
            let mut client = Client::connect(server.address, "localhost", &config);
            let requests = get("/hello.txt").repeat(20) + &get("/large.bin");
            let requests = requests + "GET /missing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            client.tls.writer().write_all(requests.as_bytes()).expect("it is buffered");
            let mut responses = Vec::new();
            loop {
                let mut bytes = Vec::new();
                while client.tls.wants_write() {
                    client.tls.write_tls(&mut bytes).expect("a buffer takes everything");
                }
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    // Seed 0 sends byte by byte.
                    let count = if seed == 0 { 1 } else { random.rand_range(1..400) as usize };
                    let (piece, after) = rest.split_at(count.min(rest.len()));
                    client.socket.write_all(piece).expect("send");
                    rest = after;
                }
                let got = client.tls.read_tls(&mut client.socket);
                assert!(got.as_ref().is_ok_and(|got| *got > 0), "{seed}: {got:?} after {}", responses.len());
                client.tls.process_new_packets().expect("valid records");
                match client.tls.reader().read_to_end(&mut responses) {
                    Ok(_) => break, // the server has ended the session
                    Err(e) => assert_eq!(e.kind(), ErrorKind::WouldBlock),
                }
            }
            let statuses = responses.windows(13).filter(|bytes| bytes.starts_with(b"HTTP/1.1 "));
            let codes: Vec<&[u8]> = statuses.map(|bytes| &bytes[9..12]).collect();
            assert!(codes.len() == 22 && codes[..21].iter().all(|code| code == b"200"), "{}", codes.len());
            assert!(memchr::memmem::find(&responses, &crate::server::pattern(400_000)).is_some());
        }
    }
}

#[test]
fn plain_http_gets_a_response_that_says_what_to_do() {
    let site = Site::new();
    let server = site.serve(&[]);
    for request in [&b"GET /hello.txt HTTP/1.1\r\nHost: localhost\r\n\r\n"[..], b"G", b"POST / HTTP/1.1\r\n"]
    {
        let mut socket = socket(server.address);
        socket.write_all(request).expect("send");
        let mut response = String::new();
        socket.read_to_string(&mut response).expect("a response");
        assert!(response.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{response}");
        assert!(
            response.contains("https://") && response.contains("\r\nConnection: close\r\n"),
            "{response}"
        );
    }
}

#[test]
fn garbage_gets_an_alert_and_the_end() {
    let site = Site::new();
    let server = site.serve(&[]);
    let mut random = oorandom::Rand32::new(4);
    for round in 0..200 {
        let len = random.rand_range(1..3000) as usize;
        let mut bytes: Vec<u8> = (0..len).map(|_| random.rand_u32() as u8).collect();
        if round % 2 == 0 {
            // The beginning of a handshake.
            bytes.splice(..bytes.len().min(6), [0x16, 3, 1, 1, 0, 1]);
        }
        bytes[0] |= 0x80 * u8::from(round % 2 == 1);
        let mut socket = socket(server.address);
        socket.write_all(&bytes).expect("send");
        socket.shutdown(std::net::Shutdown::Write).expect("half-close");
        let mut answer = Vec::new();
        let result = socket.read_to_end(&mut answer);
        // A few bytes may be the beginning of a record, which never comes.
        assert!(answer.is_empty() || answer.starts_with(&[0x15, 3]), "{round}: {result:?} {answer:?}");
    }
    assert_alive(&site, &server);
}

fn assert_alive(site: &Site, server: &Server) {
    assert_eq!(Client::new(site, server.address).get("/hello.txt").body, b"hello\n");
}

/// Returns the first bytes that a client sends.
fn client_hello(site: &Site, server: &Server) -> Vec<u8> {
    let mut bytes = Vec::new();
    Client::new(site, server.address).tls.write_tls(&mut bytes).expect("a buffer takes everything");
    bytes
}

#[test]
fn handshake_may_be_aborted_anywhere() {
    let site = Site::new();
    let server = site.serve(&[]);
    assert_alive(&site, &server);
    let before = server.settled_descriptors();
    let hello = client_hello(&site, &server);
    for cut in (0..=hello.len()).step_by(7) {
        let mut socket = socket(server.address);
        socket.write_all(&hello[..cut]).expect("send");
        if cut % 2 == 0 {
            let linger = Some(rustix::net::sockopt::set_socket_linger(&socket, Some(Duration::ZERO)));
            assert!(linger.is_some_and(|set| set.is_ok()), "close with a reset");
        }
        if cut == hello.len() {
            let _ = socket.read(&mut [0; 100]);
        }
    }
    eventually(|| (server.descriptors() <= before).then_some(()));
    assert_alive(&site, &server);
}

#[test]
fn handshake_has_the_time_of_a_request_head() {
    let site = Site::new();
    let server = site.serve(&["--head-timeout", "400ms"]);
    let hello = client_hello(&site, &server);
    let ends = |mut socket: TcpStream, act: &mut dyn FnMut(&mut TcpStream)| {
        let begin = Instant::now();
        socket.set_read_timeout(Some(Duration::from_millis(20))).expect("set a timeout");
        loop {
            act(&mut socket);
            match socket.read(&mut [0; 4096]) {
                Ok(0) => break,
                Err(e) if !matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
                _ => assert!(begin.elapsed() < Duration::from_secs(10), "the connection stays open"),
            }
        }
        assert!(begin.elapsed() > Duration::from_millis(300), "{:?}", begin.elapsed());
    };
    // One that says nothing, one that stops, one that goes on byte by byte, and one that has
    // finished its handshake.
    ends(socket(server.address), &mut |_| {});
    let mut stopped = socket(server.address);
    stopped.write_all(&hello[..100]).expect("send");
    ends(stopped, &mut |_| {});
    let mut rest = hello.iter();
    ends(socket(server.address), &mut |socket| {
        let _ = rest.next().map(|byte| socket.write(&[*byte]));
    });
    let mut done = Client::new(&site, server.address);
    done.tls.complete_io(&mut done.socket).expect("a handshake");
    ends(done.socket, &mut |_| {});
}
