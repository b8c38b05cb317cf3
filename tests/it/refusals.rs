//! What is wrong with a request is said, in a page of ours, and what cannot be trusted is not read on: the
//! connection closes. Everything is sent whole and byte by byte, with a right request behind it that must not
//! be answered after a 400.

use crate::common::*;
use After::{Closes, Stays};

/// A whole request around a request line.
fn with_line(line: impl AsRef<[u8]>) -> Vec<u8> {
    [line.as_ref(), b"\r\nHost: localhost\r\n\r\n"].concat()
}

/// A whole request around field lines, after a right Host.
fn with_fields(fields: impl AsRef<[u8]>) -> Vec<u8> {
    [b"GET /hello.txt HTTP/1.1\r\nHost: localhost\r\n", fields.as_ref(), b"\r\n\r\n"].concat()
}

fn all_400(rows: &[&[u8]], request: impl Fn(&[u8]) -> Vec<u8>) {
    let site = Site::new();
    let server = Server::start(&site);
    each(rows.iter().map(|row| Raw(row)), |row| assert_refused(&server, &request(row.0), 400, Closes));
}

#[test]
fn a_malformed_request_line_is_400() {
    let rows: &[&[u8]] = &[
        b"GET  /hello.txt HTTP/1.1",
        b"GET /hello.txt  HTTP/1.1",
        b"GET /hello.txt HTTP/1.1 ",
        b"GET /hello.txt HTTP/1.1\t",
        b"GET /hello.txt HTTP/1.1 x",
        b"GET /hello.txt HTTP/1.1\r",
        b" GET /hello.txt HTTP/1.1",
        b"\tGET /hello.txt HTTP/1.1",
        b"GET\t/hello.txt HTTP/1.1",
        b"GET /hello.txt\tHTTP/1.1",
        b"GET /hello.txt\x0BHTTP/1.1",
        b"GET /hello.txt HTTP/1.1\nX: y",
        b"GET /hello.txt HTTP/1.1\rX: y",
        b"GET /hello.txt world HTTP/1.1",
        b"GET /hello.txt",
        b"GET /hello.txt ",
        b"GET HTTP/1.1",
        b"GET  HTTP/1.1",
        b"GET",
        b"/hello.txt HTTP/1.1",
        b" /hello.txt HTTP/1.1",
        b"\r\n\r\nGET /hello.txt HTTP/1.1",
        b"\nGET /hello.txt HTTP/1.1",
        b"\r\n\nGET /hello.txt HTTP/1.1",
        b"\rGET /hello.txt HTTP/1.1",
        b"\0GET /hello.txt HTTP/1.1",
        b"\xEF\xBB\xBFGET /hello.txt HTTP/1.1",
        // A TLS client that took the wrong port.
        b"\x16\x03\x01\x00\xC4\x01\x00\x00\xC0\x03\x03",
    ];
    all_400(rows, |row| with_line(row));
}

#[test]
fn a_malformed_version_is_400() {
    let rows: &[&[u8]] = &[
        b"HTTP/1",
        b"HTTP/1.",
        b"HTTP/.1",
        b"HTTP/11",
        b"HTTP/1.10",
        b"HTTP/01.1",
        b"HTTP/1.1.1",
        b"HTTP/1,1",
        b"HTTP/2",
        b"HTTP/20.0",
        b"HTTP/-1.1",
        b"HTTP/+1.1",
        b"HTTP/1.x",
        b"HTTP/x.1",
        b"HTTP/ 1.1",
        b"HTTP 1.1",
        b"HTTP1.1",
        b"HTTP/",
        b"HTTP",
        b"http/1.1",
        b"Http/1.1",
        b"HTTPS/1.1",
        b"FTP/1.1",
        b"\"HTTP/1.1\"",
        b"HTTP/1.1\0",
        b"HTTP/\xB9.1",
    ];
    all_400(rows, |row| with_line([b"GET /hello.txt ", row].concat()));
}

#[test]
fn a_method_that_is_no_token_is_400() {
    let rows: &[&[u8]] = &[
        b"GE(T", b"GET@", b"G\"ET", b"GET,", b"GET/", b"[GET]", b"GET:", b"G\x01T", b"G\x7FT", b"G\x80T",
        b"G\0T",
    ];
    all_400(rows, |row| with_line([row, b" /hello.txt HTTP/1.1"].concat()));
}

#[test]
fn a_target_outside_the_grammar_is_400() {
    let rows: &[&[u8]] = &[
        // Neither origin form nor absolute form.
        b"hello.txt",
        b"?q",
        b"*",
        b"**",
        b"*/",
        b"localhost:80",
        b"localhost",
        b"#",
        b":/",
        b"\\hello.txt",
        // The authority of an absolute form.
        b"http://",
        b"http:///hello.txt",
        b"http://?q",
        b"http:/hello.txt",
        b"http:hello.txt",
        b"http://user@localhost/hello.txt",
        b"http://user:pw@localhost/hello.txt",
        b"http://localhost:x/hello.txt",
        b"http://localhost:65536/hello.txt",
        b"http://[::1/hello.txt",
        b"http://:80/hello.txt",
        b"http://local\\host/hello.txt",
        // A fragment is the client's own.
        b"/hello.txt#",
        b"/hello.txt#a",
        b"/hello.txt?q#a",
        b"http://localhost/#a",
        // Raw bytes that a URI cannot hold.
        b"/\x01",
        b"/\x7F",
        b"/\x80",
        b"/\xC3\xA4",
        b"/hello.txt?\xC3\xA4",
        b"/a\0",
        b"/hello.txt\0.html",
        b"/hello.txt?\0",
        b"/a\x1Bb",
        b"/a\tb",
        b"/a\x0Bb",
        b"/a\rb",
        // Percent-encoding that is none.
        b"/%",
        b"/%4",
        b"/%zz",
        b"/%%",
        b"/%4g",
        b"/%g4",
        b"/hello.txt%",
        b"/% 41",
        b"/%u0041",
        b"/docs/%2",
        b"http://localhost/%zz",
    ];
    all_400(rows, |row| with_line([b"GET ", row, b" HTTP/1.1"].concat()));
}

#[test]
fn an_asterisk_is_for_options_alone_and_an_authority_for_connect() {
    let rows: &[&[u8]] = &[
        b"HEAD *",
        b"POST *",
        b"TRACE *",
        b"OPTIONS **",
        b"OPTIONS localhost:80",
        b"CONNECT localhost",
        b"CONNECT localhost:",
        b"CONNECT /",
        b"CONNECT *",
        b"CONNECT http://localhost:80/",
        b"CONNECT :80",
        b"CONNECT user@localhost:80",
        b"CONNECT localhost:65536",
        b"CONNECT localhost:x",
        b"CONNECT localhost:80/",
        b"CONNECT ::1:80",
        b"CONNECT [::1]",
    ];
    all_400(rows, |row| with_line([row, b" HTTP/1.1"].concat()));
}

#[test]
fn exactly_one_valid_host_is_asked_for() {
    let rows: &[&[u8]] = &[
        b"X: y",
        b"Hosts: localhost",
        b"Host: localhost\r\nHost: localhost",
        b"Host: localhost\r\nhost: evil.example",
        b"Host: localhost\r\nX: y\r\nHost:",
        b"Host:",
        b"Host: \t ",
        b"Host: :80",
        b"Host: local host",
        b"Host: localhost, evil.example",
        b"Host: user@localhost",
        b"Host: user:pw@localhost",
        b"Host: localhost:x",
        b"Host: localhost:80x",
        b"Host: localhost:-1",
        b"Host: localhost:+80",
        b"Host: localhost:65536",
        b"Host: localhost:99999999999999999999",
        b"Host: localhost:80:80",
        b"Host: ::1",
        b"Host: [::1",
        b"Host: ::1]",
        b"Host: [::1]x",
        b"Host: [::1]:x",
        b"Host: []",
        b"Host: [localhost]",
        b"Host: a/b",
        b"Host: a?b",
        b"Host: a#b",
        b"Host: a\\b",
        b"Host: a\"b",
        b"Host: <a>",
        b"Host: a^b",
        b"Host: a|b",
        b"Host: {a}",
        b"Host: a`b",
        b"Host: a%zz",
        b"Host: a%",
        b"Host: a%4",
        b"Host: \x80",
        b"Host: b\xC3\xBCcher",
        b"Host: http://localhost",
        b"Host: localhost/",
    ];
    all_400(rows, |row| [b"GET /hello.txt HTTP/1.1\r\n", row, b"\r\n\r\n"].concat());
    // HTTP/1.0 needs none, but two or a wrong one are no better there; and an absolute form does not replace
    // it.
    let rows: &[&[u8]] = &[
        b"/hello.txt HTTP/1.0\r\nHost: a\r\nHost: b",
        b"/hello.txt HTTP/1.0\r\nHost: a b",
        b"/hello.txt HTTP/1.0\r\nHost: user@a",
        b"http://localhost/hello.txt HTTP/1.1\r\nX: y",
        b"http://localhost/hello.txt HTTP/1.1\r\nHost: a b",
    ];
    all_400(rows, |row| [b"GET ", row, b"\r\n\r\n"].concat());
}

#[test]
fn a_malformed_field_line_is_400() {
    let rows: &[&[u8]] = &[
        b"X : y",
        b"X\t: y",
        b"Content-Length : 0",
        b"X Y: z",
        b"no colon",
        b"X",
        b": no name",
        b":",
        b" X: y",
        b"\tX: y",
        b"X: a\r\n folded",
        b"X: a\r\n\tfolded",
        b"X: a\r\n ",
        b"X:\r\n folded",
        b"X: a\rb",
        b"X: a\r",
        b"X: a\r\rY: b",
        b"X: a\nY: b",
        b"X: a\n",
        b"X: a\n\nGET /docs/ HTTP/1.1\r\nHost: localhost",
        b"X: a\0b",
        b"X: \0",
        b"X: a\x01b",
        b"X: a\x08",
        b"X: a\x0Bb",
        b"X: a\x0Cb",
        b"X: a\x1Bb",
        b"X: a\x7Fb",
        b"X(Y): z",
        b"X\"Y: z",
        b"X,Y: z",
        b"X/Y: z",
        b"X;Y: z",
        b"X<Y>: z",
        b"X=Y: z",
        b"X?Y: z",
        b"X@Y: z",
        b"[X]: z",
        b"X\\Y: z",
        b"{X}: z",
        b"X\0: z",
        b"X\x7F: z",
        b"X\x80: z",
        b"\xC3\xA4: z",
        b"X\r: z",
        b"X\n: z",
    ];
    all_400(rows, |row| with_fields(row));
    // The same in the first field line, where some readers forgive a blank.
    let rows: &[&[u8]] =
        &[b" Host: localhost", b"\tX: y\r\nHost: localhost", b"Host : localhost", b"Host\t: localhost"];
    all_400(rows, |row| [b"GET /hello.txt HTTP/1.1\r\n", row, b"\r\n\r\n"].concat());
}

#[test]
fn other_methods_of_http_are_405_and_nothing_is_tunnelled_or_echoed() {
    let site = Site::new();
    let server = Server::start(&site);
    let rows = [
        ("POST /hello.txt", Stays),
        ("POST /missing", Stays),
        ("PUT /new.txt", Stays),
        ("DELETE /hello.txt", Stays),
        ("PATCH /hello.txt", Stays),
        ("TRACE /hello.txt", Stays),
        ("CONNECT localhost:80", Closes),
        ("CONNECT [::1]:443", Closes),
    ];
    each(rows, |(what, after)| {
        let request = format!("{what} HTTP/1.1\r\nHost: localhost\r\nX-Secret: do-not-echo\r\n\r\n");
        assert_refused(&server, request.as_bytes(), 405, *after);
        let response = server.ask(&request);
        assert_eq!(response.header("allow"), Some("GET, HEAD, OPTIONS"));
        assert!(!response.text().contains("do-not-echo"), "{}", response.text());
    });
    assert!(!site.at("new.txt").exists() && site.at("hello.txt").exists(), "nothing was changed");
}

#[test]
fn unknown_methods_are_501() {
    let site = Site::new();
    let server = Server::start(&site);
    let long = "M".repeat(200);
    let methods =
        ["get", "Get", "head", "BREW", "PROPFIND", "M-SEARCH", "GETT", "GE", "!#$%&'*+-.^_`|~", "0", &long];
    each(methods, |method| {
        assert_refused(&server, &with_line(format!("{method} /hello.txt HTTP/1.1")), 501, Stays);
    });
}

#[test]
fn other_major_versions_are_505() {
    let site = Site::new();
    let server = Server::start(&site);
    for version in ["0.9", "0.0", "2.0", "2.1", "3.0", "9.9"] {
        assert_refused(&server, &with_line(format!("GET /hello.txt HTTP/{version}")), 505, Closes);
    }
    assert_refused(&server, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, Closes);
}

#[test]
fn a_request_line_over_its_limit_is_414() {
    let site = Site::new();
    let server = Server::start(&site);
    // Its length without the line end.
    let line = |len: usize| format!("GET /hello.txt?{} HTTP/1.1", "q".repeat(len - 24));
    assert_eq!(line(8192).len(), 8192);
    assert_eq!(server.ask(with_line(line(8192))).text(), "hello\n");
    for request in [
        with_line(line(8193)),
        with_line(line(16_000)),
        with_line(line(100_000)),
        vec![b'A'; 20_000],
        with_line(line(8193).replace("GET", "POST")),
    ] {
        assert_refused(&server, &request, 414, Closes);
    }
}

#[test]
fn a_head_over_its_limits_is_431() {
    let site = Site::new();
    let server = Server::start(&site);
    let of_length = |len: usize| {
        let frame = with_fields("X: ").len();
        with_fields(format!("X: {}", "a".repeat(len - frame)))
    };
    let of_fields = |count: usize| with_fields(vec!["X: y"; count - 1].join("\r\n"));
    for right in [of_length(16_384), of_fields(64)] {
        assert_eq!(server.ask(right).text(), "hello\n");
    }
    let endless = [b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ", &[b'a'; 100_000][..]].concat();
    let wrong = [of_length(16_385), of_length(50_000), of_fields(65), of_fields(3000), endless];
    each(wrong.map(|w| (w.len(), w)), |(_, wrong)| assert_refused(&server, wrong, 431, Closes));
}

#[test]
fn a_refusal_of_head_has_no_body() {
    let site = Site::new();
    let server = Server::start(&site);
    let rows = [
        ("HEAD /%zz HTTP/1.1\r\nHost: a", 400),
        ("HEAD / HTTP/1.1", 400),
        ("HEAD / HTTP/1.1\r\nHost: a\r\nX : y", 400),
        ("HEAD / HTTP/2.0\r\nHost: a", 505),
        ("HEAD / HTTP/1.1\r\nHost: a\r\nExpect: x", 417),
        ("HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999", 413),
    ];
    each(rows, |(request, status)| {
        let after = if *status == 417 { Stays } else { Closes };
        assert_refused(&server, format!("{request}\r\n\r\n").as_bytes(), *status, after);
    });
}

#[test]
fn bytes_that_are_refused_are_never_reflected() {
    let site = Site::new();
    let server = Server::start(&site);
    for request in [
        with_line("<script>alert(1)</script> / HTTP/1.1"),
        with_line("GET /<script>%zz HTTP/1.1"),
        with_line("GET / <script>"),
        with_fields("<script>: x"),
    ] {
        let response = server.ask(&request);
        assert_eq!(response.status, 400);
        assert!(!response.text().contains("<script>"), "{}", response.text());
    }
}
