//! Refused request lines: methods, targets, versions.

use super::*;
use crate::common::*;
use After::{Closes, Stays};

#[test]
fn request_line_malformed_is_400() {
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
        // A TLS client that connects to the plain HTTP port.
        b"\x16\x03\x01\x00\xC4\x01\x00\x00\xC0\x03\x03",
    ];
    all_400(rows, |row| with_line(row));
}

#[test]
fn version_malformed_is_400() {
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
fn method_that_is_not_a_token_is_400() {
    let rows: &[&[u8]] = &[
        b"GE(T", b"GET@", b"G\"ET", b"GET,", b"GET/", b"[GET]", b"GET:", b"G\x01T", b"G\x7FT", b"G\x80T",
        b"G\0T",
    ];
    all_400(rows, |row| with_line([row, b" /hello.txt HTTP/1.1"].concat()));
}

#[test]
fn target_outside_the_grammar_is_400() {
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
        // An invalid authority in an absolute-form target.
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
        // Clients must not send a fragment.
        b"/hello.txt#",
        b"/hello.txt#a",
        b"/hello.txt?q#a",
        b"http://localhost/#a",
        // Raw bytes that a URI cannot contain.
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
        // Invalid percent-encoding.
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
fn target_asterisk_is_for_options_and_authority_for_connect() {
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
fn method_other_than_get_head_options_is_405() {
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
    assert!(
        !site.at("new.txt").exists() && site.at("hello.txt").exists(),
        "a refused request changes nothing"
    );
}

#[test]
fn method_unknown_is_501() {
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
fn version_other_than_1_is_505() {
    let site = Site::new();
    let server = Server::start(&site);
    for version in ["0.9", "0.0", "2.0", "2.1", "3.0", "9.9"] {
        assert_refused(&server, &with_line(format!("GET /hello.txt HTTP/{version}")), 505, Closes);
    }
    assert_refused(&server, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, Closes);
}

#[test]
fn request_line_over_its_limit_is_414() {
    let site = Site::new();
    let server = Server::start(&site);
    // The length counts without the line end.
    let line = |len: usize| format!("GET /hello.txt?{} HTTP/1.1", "q".repeat(len - 24));
    assert_eq!(line(8192).len(), 8192);
    assert_eq!(server.ask(with_line(line(8192))).text(), "hello\n");
    for request in [
        with_line(line(8193)),
        with_line(line(16_000)),
        with_line(line(100_000)),
        with_line(line(8193).replace("GET", "POST")),
    ] {
        assert_refused(&server, &request, 414, Closes);
    }
    // No method is that long (RFC 9112 section 3).
    assert_refused(&server, &[b'A'; 20_000], 501, Closes);
}
