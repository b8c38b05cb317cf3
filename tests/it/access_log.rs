//! The access log writes one line in the Common Log Format for each request. No byte that a client
//! sends can leave its field.

use crate::common::*;
use rustix::process::Signal;

/// A parsed log line.
#[derive(Debug)]
struct Line {
    request: String,
    status: u16,
    bytes: String,
}

/// Parses `127.0.0.1 - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" 200 5 0.000123` strictly.
fn parse(line: &str) -> Line {
    let text = line.strip_suffix('\n').unwrap_or_else(|| panic!("no line end: {line:?}"));
    assert!(text.bytes().all(|b| (b' '..=b'~').contains(&b)), "not printable ASCII: {text:?}");
    let rest = text.strip_prefix("127.0.0.1 - - [").unwrap_or_else(|| panic!("unexpected start of {text:?}"));
    let (time, rest) = rest.split_once("] \"").unwrap_or_else(|| panic!("no time in {text:?}"));
    let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let month = time.get(3..6).expect("a month");
    assert!("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(' ').any(|m| m == month), "{time}");
    assert_eq!(shape, format!("00/{month}/0000:00:00:00 +0000"), "{text:?}");
    let (request, rest) = rest.rsplit_once("\" ").unwrap_or_else(|| panic!("no request in {text:?}"));
    assert!(!request.replace("\\\\", "").replace("\\\"", "").contains('"'), "an unclosed quote in {text:?}");
    let [status, bytes, seconds, ..] = rest.split(' ').collect::<Vec<_>>()[..] else {
        panic!("unexpected end of {text:?}")
    };
    assert!(seconds.parse::<f64>().is_ok_and(|s| s >= 0.0), "bad duration in {text:?}");
    assert!(bytes == "-" || bytes.parse::<u64>().is_ok(), "bad size in {text:?}");
    Line { request: request.to_owned(), status: status.parse().expect("a status"), bytes: bytes.to_owned() }
}

/// Returns requests and what their lines contain: the request line, the status and the body length
/// ("" if another test checks it).
fn rows() -> Vec<(&'static [u8], &'static str, u16, &'static str)> {
    vec![
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1", 200, "5"),
        (b"GET /hello.txt?a=%22b HTTP/1.0\r\n\r\n", "GET /hello.txt?a=%22b HTTP/1.0", 200, "6"),
        (b"GET /docs HTTP/1.1\r\nHost: x\r\n\r\n", "GET /docs HTTP/1.1", 301, ""),
        (b"GET /missing HTTP/1.1\r\nHost: x\r\n\r\n", "GET /missing HTTP/1.1", 404, ""),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "POST / HTTP/1.1", 405, ""),
        (b"GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n", "GET /large.bin HTTP/1.1", 200, "300000"),
    ]
}

fn site() -> Site {
    let site = Site::new();
    site.write("large.bin", pattern(300_000));
    site
}

fn assert_in_order(line: &str, (_, request, status, bytes): (&[u8], &str, u16, &str)) {
    let line = parse(line);
    assert_eq!((line.request.as_str(), line.status), (request, status), "{line:?}");
    assert!(bytes.is_empty() || line.bytes == bytes, "{bytes} bytes, not {line:?}");
}

#[test]
fn access_log_has_one_line_per_request_on_stdout() {
    let site = site();
    let mut server = Server::with(&site, &["--access-log"]);
    let mut kept = server.connect();
    for row in rows() {
        server.ask(row.0);
        assert_in_order(&server.stdout_line(), row);
    }
    // Sends three requests in one write on a persistent connection.
    kept.send([get("/"), get("/missing"), get("/hello.txt")].concat());
    let statuses = [(); 3].map(|()| kept.response().status);
    assert_eq!(statuses, [(); 3].map(|()| parse(&server.stdout_line()).status));
    server.signal(Signal::TERM);
    server.exit();
    assert_eq!(server.stdout_line(), "", "nothing more");
}

#[test]
fn access_log_appends_to_a_file() {
    let (site, folder) = (site(), Site::empty());
    let log = folder.at("access.log");
    let flag = format!("--access-log={}", log.display());
    let read = || std::fs::read_to_string(&log).expect("read the log");
    for round in 1..=2 {
        let server = Server::with(&site, &[&flag]);
        for row in rows() {
            server.ask(row.0);
        }
        let whole = || read().lines().count() == round * rows().len();
        eventually("the lines of this run follow the lines of the previous run", whole);
        drop(server);
    }
    for (line, row) in read().split_inclusive('\n').zip(rows().into_iter().cycle()) {
        assert_in_order(line, row);
    }
}

#[test]
fn access_log_counts_no_bytes_for_head() {
    let site = site();
    let mut server = Server::with(&site, &["--access-log"]);
    let response = server.ask("HEAD /hello.txt HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(response.status, 200);
    let line = parse(&server.stdout_line());
    assert_eq!((line.request.as_str(), line.status), ("HEAD /hello.txt HTTP/1.1", 200));
    assert!(["0", "-"].contains(&line.bytes.as_str()), "{line:?}");
}

#[test]
fn access_log_escapes_bytes_and_includes_refused_requests() {
    let site = site();
    let mut server = Server::with(&site, &["--access-log"]);
    let hostile: &[&[u8]] = &[
        b"GET /\"\\\" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /x\" 200 1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\x1B[31mred HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\xFF\xC3\xA4\x7F HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /a\nb HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /a\rb HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /a\0b HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
        b"GET /a%0A%0D%1B HTTP/1.1\r\nHost: x\r\n\r\n",
        b"G\x1B[2JET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/3.0\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ];
    for request in hostile {
        let status = server.ask(request).status;
        let line = parse(&server.stdout_line());
        assert_eq!(line.status, status, "{line:?} for {}", request.escape_ascii());
    }
    // A request line of any length, even one over the limit, makes one log line.
    for (len, status) in [(8000, 200), (20_000, 414)] {
        server.ask(get(&format!("/?{}", "a".repeat(len))));
        assert_eq!(parse(&server.stdout_line()).status, status);
    }
}

#[test]
fn access_log_is_off_by_default_on_a_pipe() {
    let site = site();
    let mut server = Server::start(&site);
    server.get("/");
    server.signal(Signal::TERM);
    server.exit();
    assert_eq!(server.stdout_line(), "");
}

#[test]
fn access_log_without_a_reader_does_not_block() {
    let site = site();
    let mut server = Server::with(&site, &["--access-log"]);
    let mut client = server.connect();
    // Together these lines are far more than a pipe holds.
    let request = format!("GET /{} HTTP/1.1\r\n\r\n", "\u{1}".repeat(5000));
    for _ in 0..200 {
        assert_eq!(server.ask(&request).status, 400);
    }
    client.send(get("/hello.txt"));
    assert_eq!(client.response().status, 200);
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(server.exit().code(), Some(0));
}

#[test]
fn access_log_is_reopened_after_sighup() {
    let (site, folder) = (site(), Site::empty());
    let (log, old) = (folder.at("log"), folder.at("log.1"));
    let mut server = Server::with(&site, &[&format!("--access-log={}", log.display())]);
    server.get("/hello.txt");
    std::fs::rename(&log, &old).expect("rename it");
    server.get("/missing");
    server.signal(Signal::HUP);
    eventually("a new file appears", || log.exists());
    server.get("/");
    server.signal(Signal::TERM);
    assert_eq!(server.exit().code(), Some(0));
    let statuses = |path| {
        let text = std::fs::read_to_string(path).expect("read the log");
        text.split_inclusive('\n').map(|line| parse(line).status).collect::<Vec<_>>()
    };
    assert_eq!((statuses(&old), statuses(&log)), (vec![200, 404], vec![200]), "no line is lost");
}

#[test]
fn access_log_that_is_rotated_under_load_loses_no_line() {
    let (site, folder) = (site(), Site::empty());
    let log = folder.at("log");
    let mut server = Server::with(&site, &[&format!("--access-log={}", log.display())]);
    let mut client = server.connect();
    let mut sent = 0;
    let mut old = String::new();
    for round in 0..20 {
        let rotated = folder.at(format!("log.{round}"));
        for step in 0..50 {
            client.send(get(&format!("/hello.txt?{sent}")));
            client.response();
            sent += 1;
            match step {
                20 => std::fs::rename(&log, &rotated).expect("rename it"),
                30 => server.signal(Signal::HUP),
                _ => {}
            }
        }
        eventually("a new file appears", || log.exists());
        old += &std::fs::read_to_string(&rotated).expect("read the rotated log");
        // As a tool does that copies and truncates. No request is in progress meanwhile, because
        // what is logged between the two steps is lost to any server.
        let count = || old.lines().count() + std::fs::read_to_string(&log).expect("read it").lines().count();
        eventually("all lines are written", || count() == sent);
        old += &std::fs::read_to_string(&log).expect("copy it");
        std::fs::File::create(&log).expect("truncate it");
    }
    server.signal(Signal::TERM);
    assert_eq!(server.exit().code(), Some(0));
    assert_eq!(std::fs::read(&log).expect("read it"), b"", "no line was written twice");
    let requests: Vec<String> = old.split_inclusive('\n').map(|line| parse(line).request).collect();
    let expected: Vec<String> = (0..sent).map(|n| format!("GET /hello.txt?{n} HTTP/1.1")).collect();
    assert_eq!(requests, expected);
}

#[test]
fn sighup_without_a_log_file_ends_nothing() {
    let site = site();
    let server = Server::with(&site, &["--access-log"]);
    server.signal(Signal::HUP);
    assert_eq!(server.get("/hello.txt").text(), "hello\n");
}

/// Standard output is a socket under systemd, and a socket cannot be opened by its path.
#[test]
fn access_log_on_an_inherited_socket_is_written() {
    use std::{io::BufRead, os::fd::OwnedFd};
    let site = site();
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().expect("a pair of sockets");
    ours.set_read_timeout(Some(SOON)).expect("set a timeout");
    let mut command = Server::command(site.path(), &["--access-log=/dev/stdout"]);
    let mut child = command.stdout(OwnedFd::from(theirs)).spawn().expect("start oneloop");
    drop(command); // it holds the other end of the socket
    let mut lines = std::io::BufReader::new(ours).lines().map_while(Result::ok);
    let url = lines.next().unwrap_or_default();
    let address = url.trim_start_matches("http://").trim_end_matches('/').parse();
    let line = address.map(|address| {
        let mut client = Client::connect(address);
        client.send(get("/hello.txt"));
        client.response();
        lines.next().unwrap_or_default()
    });
    child.kill().and_then(|()| child.wait()).expect("end it");
    assert!(line.as_ref().is_ok_and(|line| line.contains("GET /hello.txt")), "{url:?} {line:?}");
}
