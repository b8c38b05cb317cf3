//! Pipelining: however TCP splits the requests on a connection, the server answers each once,
//! completely and in order.

use crate::common::*;

/// A request after which the server closes, so that a test can check that nothing else is answered.
const LAST: &str = "GET /hello.txt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// Reads `count` responses, all of them 200, and returns their bodies.
fn bodies(client: &mut Client, count: usize) -> Vec<Vec<u8>> {
    let read = |_| {
        let response = client.response();
        assert_eq!(response.status, 200);
        response.body
    };
    (0..count).map(read).collect()
}

#[test]
fn pipeline_answers_do_not_depend_on_segmentation() {
    let site = Site::new();
    let server = Server::start(&site);
    let (whole, next) = (get("/hello.txt"), get("/"));
    let expect = |client: &mut Client, body: &str| {
        let response = client.response();
        assert_eq!((response.status, response.text().as_str()), (200, body));
    };
    let mut client = server.connect();
    client.send(&whole);
    expect(&mut client, "hello\n");
    client.send_apart(&mut server.connect(), whole.as_bytes().chunks(1));
    expect(&mut client, "hello\n");
    // Wherever the next request is cut, the first is answered before the rest of the next one
    // arrives.
    for cut in 0..=next.len() {
        client.send(format!("{whole}{}", &next[..cut]));
        expect(&mut client, "hello\n");
        client.send(&next[cut..]);
        expect(&mut client, "home\n");
    }
}

#[test]
fn pipeline_of_two_can_be_cut_anywhere() {
    let site = Site::new();
    let server = Server::start(&site);
    let stream = format!("{}{LAST}", get("/"));
    let mut probe = server.connect();
    for cut in 0..=stream.len() {
        let mut client = server.connect();
        let (a, b) = stream.as_bytes().split_at(cut);
        client.send_apart(&mut probe, [a, b]);
        assert_eq!(bodies(&mut client, 2), [&b"home\n"[..], b"hello\n"], "cut at {cut}");
        client.expect_close();
    }
}

#[test]
fn pipeline_of_fifty_is_answered_in_order() {
    let site = Site::new();
    let file = |i: usize| format!("file {i} ").repeat(i).into_bytes();
    (0..50).for_each(|i| site.write(format!("{i}.txt"), file(i)));
    let server = Server::start(&site);
    let requests: String = (0..50).map(|i| get(&format!("/{i}.txt"))).collect();
    // Runs twice: from disk, then from the cache.
    for _ in 0..2 {
        let mut client = server.connect();
        client.send(format!("{requests}{LAST}"));
        assert_eq!(bodies(&mut client, 50), (0..50).map(file).collect::<Vec<_>>());
        assert_eq!(client.response().text(), "hello\n");
        client.expect_close();
    }
}

#[test]
fn pipeline_beyond_every_buffer_is_answered() {
    let site = Site::new();
    site.write("page.txt", pattern(5000));
    let server = Server::start(&site);
    let mut client = server.connect();
    let mut sender = client.socket.try_clone().expect("a second handle");
    // The sockets cannot hold 5 MB of responses, so the server must stop reading and resume when it
    // can write again.
    let sending = std::thread::spawn(move || {
        let stream = get("/page.txt").repeat(1000) + LAST;
        std::io::Write::write_all(&mut sender, stream.as_bytes()).expect("send");
    });
    for (i, body) in bodies(&mut client, 1000).iter().enumerate() {
        assert!(*body == pattern(5000), "body {i}");
    }
    assert_eq!(client.response().text(), "hello\n");
    client.expect_close();
    sending.join().expect("everything was sent");
}

#[test]
fn pipeline_mixes_methods_and_statuses() {
    let site = Site::new();
    let server = Server::start(&site);
    let host = "HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let requests = [
        ("HEAD /hello.txt", 200),
        ("GET /missing", 404),
        ("OPTIONS *", 204),
        ("GET /docs", 301),
        ("HEAD /missing", 404),
        ("DELETE /hello.txt", 405),
        ("BREW /pot", 501),
        ("GET /hello.txt", 200),
    ]
    .map(|(line, status)| (format!("{line} {host}"), status));
    let stream: String = requests.iter().map(|(request, _)| request.as_str()).collect();
    let mut client = server.connect();
    client.send(format!("{stream}{LAST}"));
    for (request, status) in requests {
        let response = client.response_to(request.as_bytes());
        assert_eq!(response.status, status, "{request}");
        assert!(!response.closes(), "{request}");
    }
    assert_eq!(client.response().text(), "hello\n");
    client.expect_close();
}

#[test]
fn pipeline_keeps_the_order_of_large_and_small_files() {
    let site = Site::new();
    let large = pattern(1 << 20);
    site.write("large.bin", &large);
    let server = Server::start(&site);
    let rows: [&[&str]; 4] = [
        &["/large.bin", "/hello.txt"],
        &["/hello.txt", "/large.bin", "/"],
        &["/large.bin", "/large.bin", "/hello.txt", "/large.bin"],
        &["/hello.txt", "/", "/docs/", "/large.bin", "/hello.txt", "/", "/large.bin", "/docs/"],
    ];
    let content = |path: &str| match path {
        "/large.bin" => large.clone(),
        "/hello.txt" => b"hello\n".to_vec(),
        "/" => b"home\n".to_vec(),
        _ => b"docs\n".to_vec(),
    };
    each(rows, |paths| {
        let mut client = server.connect();
        let requests: String = paths.iter().map(|path| get(path)).collect();
        client.send(format!("{requests}{LAST}"));
        for (path, body) in paths.iter().zip(bodies(&mut client, paths.len())) {
            // `assert_eq!` would print a megabyte of numbers.
            assert!(body == content(path), "the body of {path} in {paths:?}");
        }
        assert_eq!(client.response().text(), "hello\n");
        client.expect_close();
    });
}

#[test]
fn pipeline_skips_an_empty_line_before_a_request() {
    let site = Site::new();
    let server = Server::start(&site);
    let mut probe = server.connect();
    let first = format!("\r\n{}", get("/"));
    for stream in [format!("{first}{LAST}"), format!("{first}\r\n{LAST}"), format!("{}\r\n{LAST}", get("/"))]
    {
        for piece in [stream.len(), 1] {
            let mut client = server.connect();
            client.send_apart(&mut probe, stream.as_bytes().chunks(piece));
            assert_eq!(bodies(&mut client, 2), [&b"home\n"[..], b"hello\n"], "{stream:?}");
            client.expect_close();
        }
    }
}

#[test]
fn pipeline_answers_repeated_requests_like_distinct_ones() {
    let site = Site::new();
    site.write("large.bin", pattern(1 << 20));
    site.write("page.txt", pattern(5000));
    site.write("folder/a", "a");
    let server = Server::with(&site, &["--listing"]);
    let kinds = [
        ("GET /hello.txt", ""),
        ("GET /page.txt", ""),
        ("GET /page.txt", "Range: bytes=0-0,7-9\r\n"),
        ("HEAD /page.txt", ""),
        ("GET /large.bin", "Range: bytes=0-99999\r\n"),
        ("GET /folder/", ""),
        ("GET /missing", ""),
        ("GET /hello.txt", "If-None-Match: *\r\n"),
        ("OPTIONS /hello.txt", ""),
        ("POST /hello.txt", "Content-Length: 3\r\n"),
    ];
    // The query changes no response; it makes requests distinct.
    let request = |(line, fields): (&str, &str), query| {
        let body = if line.starts_with("POST") { "abc" } else { "" };
        format!("{line}?{query} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n{body}")
    };
    let answers = |stream: &str| {
        let mut client = server.connect();
        server.while_stopped(|| client.send(format!("{stream}{LAST}")));
        let rest = client.rest();
        let text = String::from_utf8_lossy(&rest);
        // Date may change in between, and a file this recent gets a new ETag on each read.
        let is_of_now = |line: &&str| line.starts_with("Date: ") || line.starts_with("ETag: ");
        let lines = text.split("\r\n").filter(|line| !is_of_now(line));
        lines.collect::<Vec<_>>().join("\r\n")
    };
    let runs = [3, 1, 20, 2];
    each(kinds, |kind| {
        let (mut repeated, mut distinct) = (String::new(), String::new());
        for (i, run) in runs.into_iter().enumerate() {
            repeated += &request(*kind, i).repeat(run);
            distinct.extend((0..run).map(|j| request(*kind, 100 * i + j)));
            [&mut repeated, &mut distinct].into_iter().for_each(|stream| *stream += &get("/"));
        }
        let expected = answers(&distinct);
        assert!(answers(&repeated) == expected, "{} bytes", expected.len());
        assert_eq!(expected.matches("HTTP/1.1 ").count(), 26 + 4 + 1);
    });
}
