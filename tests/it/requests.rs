//! A request and its response: the methods, the exact head, the forms of a target, and whether the
//! connection stays open.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::common::*;

/// Returns a request with `Host: localhost` and more field lines.
fn request(line: &str, fields: &[&str]) -> String {
    let fields: String = fields.iter().map(|f| format!("{f}\r\n")).collect();
    format!("{line}\r\nHost: localhost\r\n{fields}\r\n")
}

/// Returns the time in a field, which must be an IMF-fixdate (RFC 9110 section 5.6.7).
fn date(response: &Response, name: &str) -> SystemTime {
    let text = response.header(name).unwrap_or_else(|| panic!("no {name} in {response:?}"));
    let date = httpdate::parse_http_date(text).expect("a date");
    assert_eq!(httpdate::fmt_http_date(date), text, "{name} is an IMF-fixdate");
    date
}

/// Returns the status and fields without Date, the only part that may differ between two equal
/// requests.
fn undated(response: &Response) -> (u16, Vec<(String, String)>) {
    let rest = response.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("date"));
    (response.status, rest.cloned().collect())
}

#[test]
fn head_of_a_success_has_its_fields_and_no_more() {
    let site = Site::new();
    let response = Server::start(&site).get("/hello.txt");
    assert_eq!((response.status, response.reason.as_str()), (200, "OK"));
    assert_eq!(response.text(), "hello\n");
    for (name, value) in [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", "6"),
        ("Accept-Ranges", "bytes"),
        ("X-Content-Type-Options", "nosniff"),
        ("Cache-Control", "no-cache"),
        ("Vary", "Accept-Encoding"),
    ] {
        assert_eq!(response.header(name), Some(value), "{name}");
    }
    let mut names: Vec<_> = response.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort();
    assert_eq!(
        names.join(" "),
        "accept-ranges cache-control content-length content-type date etag keep-alive last-modified server vary \
         x-content-type-options"
    );
}

#[test]
fn date_is_now_and_moves_on() {
    let site = Site::new();
    let server = Server::start(&site);
    let mut client = server.connect();
    let mut dated = || {
        client.send(get("/hello.txt"));
        let (read, now) = (date(&client.response(), "date"), SystemTime::now());
        assert!(read <= now && now < read + PROMPT, "{read:?} at {now:?}");
        read
    };
    let first = dated();
    eventually("a later Date", || dated() > first);
}

#[test]
fn last_modified_is_the_files_time_and_never_in_the_future() {
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let rows = [
        ("1994", at(784_111_777), Some("Sun, 06 Nov 1994 08:49:37 GMT")),
        (
            "with a fraction",
            at(784_111_777) + Duration::from_millis(999),
            Some("Sun, 06 Nov 1994 08:49:37 GMT"),
        ),
        ("after the year 2038", at(1 << 31), None),
        ("tomorrow", SystemTime::now() + Duration::from_secs(86_400), None),
        ("the year 10000", at(253_402_300_800), None),
        ("far beyond the year 10000", at(1 << 40), None),
        ("before 1970", UNIX_EPOCH - Duration::from_secs(100_000), None),
    ];
    let site = Site::new();
    let server = Server::start(&site);
    each(rows, |(when, mtime, expected)| {
        // Some file systems clamp a time out of range: the result is still in the far future.
        site.write("file.txt", when);
        let file = std::fs::File::options().write(true).open(site.at("file.txt")).expect("open");
        file.set_modified(*mtime).expect("set its time");
        let response = server.get("/file.txt");
        assert_eq!((response.status, response.text().as_str()), (200, *when));
        match expected {
            Some(text) => assert_eq!(response.header("last-modified"), Some(*text)),
            None if response.header("last-modified").is_none() => {}
            None => assert!(date(&response, "last-modified") <= date(&response, "date"), "{response:?}"),
        }
    });
}

#[test]
fn etag_is_strong_and_differs_after_a_change() {
    let site = Site::new();
    let server = Server::start(&site);
    let etag = || {
        let response = server.get("/hello.txt");
        let tag = response.header("etag").expect("ETag").to_owned();
        let inner =
            tag.strip_prefix('"').and_then(|t| t.strip_suffix('"')).expect("the ETag is quoted and not weak");
        assert!(!inner.is_empty() && inner.bytes().all(|b| b.is_ascii_graphic() && b != b'"'), "{tag}");
        tag
    };
    // A file that changed a moment ago may change again without a trace. Until it has settled, each
    // read of it gets a new ETag.
    eventually("a settled file keeps its ETag", || etag() == etag());
    let mut seen = vec![etag()];
    for content in ["hellO\n", "hello, world\n", "", "x"] {
        site.write("hello.txt", content);
        let tag = etag();
        assert!(!seen.contains(&tag), "{tag} again for {content:?}");
        seen.push(tag);
    }
}

#[test]
fn content_type_names_a_charset_for_text_only() {
    let site = Site::empty();
    let server = Server::start(&site);
    let rows = [
        ("a.html", "text/html; charset=utf-8"),
        ("a.HTM", "text/html; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("a.txt", "text/plain; charset=utf-8"),
        ("a.svg", "image/svg+xml"),
        ("a.png", "image/png"),
        ("a.woff2", "font/woff2"),
        ("a.wasm", "application/wasm"),
        ("a.tar.gz", "application/gzip"),
        ("a.nobody-knows", "application/octet-stream"),
        ("no-extension", "application/octet-stream"),
    ];
    each(rows, |(name, expected)| {
        site.write(name, "x");
        assert_eq!(server.get(&format!("/{name}")).header("content-type"), Some(*expected));
    });
}

#[test]
fn head_request_has_the_head_of_get_and_no_body() {
    let site = Site::new();
    site.write("empty.txt", "");
    site.write("large.bin", pattern(300_000));
    let server = Server::start(&site);
    eventually("a settled file keeps its ETag", || {
        server.get("/large.bin").headers == server.get("/large.bin").headers
    });
    let paths = ["/", "/hello.txt", "/empty.txt", "/large.bin", "/docs", "/docs/", "/missing", "/%zz"];
    each(paths, |path| {
        let request = get(path).replacen("GET", "HEAD", 1);
        let mut client = server.connect();
        client.send(&request);
        let head = client.head();
        assert_eq!(undated(&head), undated(&server.get(path)));
        if !head.closes() {
            client.send(request.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
            assert_eq!(client.head().status, head.status, "the next head follows the first");
        }
        client.expect_close();
    });
}

#[test]
fn options_request_names_the_allowed_methods() {
    let site = Site::new();
    let server = Server::start(&site);
    each(["*", "/", "/hello.txt", "/docs", "/missing", "http://localhost/hello.txt"], |target| {
        let response = server.ask(request(&format!("OPTIONS {target} HTTP/1.1"), &[]));
        assert_eq!(response.status, 204);
        assert_eq!(response.header("allow"), Some("GET, HEAD, OPTIONS"));
        assert_eq!(response.header("content-length"), None);
        assert!(!response.closes());
    });
}

#[test]
fn keep_alive_follows_the_request() {
    use After::{Closes, Stays};
    // The third column is the response's own Connection field.
    let rows: &[(&str, &[&str], Option<&str>, After)] = &[
        ("1.1", &[], None, Stays),
        ("1.1", &["Connection: keep-alive"], None, Stays),
        ("1.1", &["Connection: close"], Some("close"), Closes),
        ("1.1", &["connection:CLOSE"], Some("close"), Closes),
        ("1.1", &["Connection: \t cLoSe \t"], Some("close"), Closes),
        ("1.1", &["Connection: keep-alive, close"], Some("close"), Closes),
        ("1.1", &["Connection: Close,TE"], Some("close"), Closes),
        ("1.1", &["Connection: foo , close , bar"], Some("close"), Closes),
        ("1.1", &["Connection: ,,close,"], Some("close"), Closes),
        ("1.1", &["Connection: keep-alive", "Connection: close"], Some("close"), Closes),
        ("1.1", &["Connection: closed"], None, Stays),
        ("1.1", &["Connection: x-close"], None, Stays),
        ("1.1", &["Connection: clo", "Connection: se"], None, Stays),
        ("1.1", &["Connection:"], None, Stays),
        ("1.1", &["X-Connection: close"], None, Stays),
        ("1.2", &[], None, Stays),
        ("1.9", &["Connection: close"], Some("close"), Closes),
        ("1.0", &[], Some("close"), Closes),
        ("1.0", &["Connection: foo"], Some("close"), Closes),
        ("1.0", &["Connection: close"], Some("close"), Closes),
        ("1.0", &["Connection: close, keep-alive"], Some("close"), Closes),
        ("1.0", &["Connection: keep-alive"], Some("keep-alive"), Stays),
        ("1.0", &["Connection: Keep-Alive"], Some("keep-alive"), Stays),
        ("1.0", &["Connection: foo, KEEP-ALIVE"], Some("keep-alive"), Stays),
    ];
    let site = Site::new();
    let server = Server::start(&site);
    each(rows, |(version, fields, connection, after)| {
        let mut client = server.connect();
        client.send(request(&format!("GET /hello.txt HTTP/{version}"), fields));
        let response = client.response();
        assert_eq!((response.status, response.text().as_str()), (200, "hello\n"));
        assert_eq!(response.header("connection").map(str::to_ascii_lowercase).as_deref(), *connection);
        if *after == Stays {
            client.send(request("GET / HTTP/1.1", &["Connection: close"]));
            assert_eq!(client.response().text(), "home\n");
        }
        client.expect_close();
    });
}

#[test]
fn http_1_0_needs_no_host() {
    let site = Site::new();
    let server = Server::start(&site);
    let mut client = server.connect();
    client.send("GET /hello.txt HTTP/1.0\r\n\r\n");
    assert_eq!(client.response().text(), "hello\n");
    client.expect_close();
}

#[test]
fn request_at_the_edge_of_the_grammar_is_served() {
    let site = Site::new();
    site.write("a b~!$&'()*+,;=:@.txt", "hello\n");
    let server = Server::start(&site);
    let hosts = [
        "localhost",
        "LOCALHOST:8000",
        "127.0.0.1:80",
        "[::1]",
        "[::1]:65535",
        "xn--bcher-kva.example",
        "under_score.example.",
        "ex%61mple",
        "a!$&'()*+,;=b",
        "localhost:",
    ];
    each(hosts, |host| {
        let response = server.ask(format!("GET /hello.txt HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(response.text(), "hello\n");
    });
    let targets = [
        "/hello.txt",
        "/hello.txt?",
        "/hello.txt?a=b&c=/../d?e",
        "/%68ello%2Etxt",
        "//hello.txt",
        "/./hello.txt",
        "/a%20b~!$&'()*+,;=:@.txt",
        "http://localhost/hello.txt",
        "HTTP://LOCALHOST:80/hello.txt?q",
        "http://other.example/hello.txt",
        "http://[::1]:1/hello.txt",
    ];
    each(targets, |target| assert_eq!(server.get(target).text(), "hello\n"));
    assert_eq!(server.get("http://localhost").text(), "home\n", "an absolute form without a path");
    assert_eq!(
        server.get("http://localhost?query").text(),
        "home\n",
        "an absolute form with a query and no path"
    );
    let fields: &[&[u8]] = &[
        b"X:",
        b"X:a",
        b"X: \t a\tb \t ",
        b"X: \x80\xFF",
        "X: \u{1F600}".as_bytes(),
        b"!#$%&'*+-.^_`|~09azAZ: x",
        b"X: \"a:b\" (c)\\",
        b"X: 1\r\nX: 2",
    ];
    each(fields, |field| {
        let stream = [&b"GET /hello.txt HTTP/1.1\r\nHost: localhost\r\n"[..], *field, b"\r\n\r\n"].concat();
        assert_eq!(server.ask(stream).text(), "hello\n", "{}", lossy(field));
    });
}

#[test]
fn upgrade_offer_is_ignored() {
    let site = Site::new();
    let server = Server::start(&site);
    let rows: [&[&str]; 3] = [
        &["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"],
        &[
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: eA==",
        ],
        &["Connection: upgrade", "Upgrade: TLS/1.0, HTTP/2.0"],
    ];
    each(rows, |fields| {
        let mut client = server.connect();
        client.send(request("GET /hello.txt HTTP/1.1", fields));
        let response = client.response();
        assert_eq!((response.status, response.header("upgrade")), (200, None));
        client.send(request("GET / HTTP/1.1", &["Connection: close"]));
        assert_eq!(client.response().text(), "home\n");
        client.expect_close();
    });
}

#[test]
fn keep_alive_serves_many_requests() {
    let site = Site::new();
    let server = Server::start(&site);
    let mut client = server.connect();
    for round in 0..500 {
        let (path, status) = [("/hello.txt", 200), ("/missing", 404), ("/docs", 301), ("/", 200)][round % 4];
        client.send(get(path));
        assert_eq!(client.response().status, status, "round {round}");
    }
}
