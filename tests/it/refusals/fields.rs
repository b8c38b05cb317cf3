//! Refused header fields.

use super::*;
use crate::common::*;
use After::{Closes, Stays};

/// Returns a complete request with a valid Host followed by `fields`.
fn with_fields(fields: impl AsRef<[u8]>) -> Vec<u8> {
    [b"GET /hello.txt HTTP/1.1\r\nHost: localhost\r\n", fields.as_ref(), b"\r\n\r\n"].concat()
}

#[test]
fn host_must_be_single_and_valid() {
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
    // HTTP/1.0 does not need a Host, but two of them or an invalid one are errors there as well. An
    // absolute-form target does not replace it.
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
fn field_line_malformed_is_400() {
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
    // The same errors in the first field line, where some parsers accept a space.
    let rows: &[&[u8]] =
        &[b" Host: localhost", b"\tX: y\r\nHost: localhost", b"Host : localhost", b"Host\t: localhost"];
    all_400(rows, |row| [b"GET /hello.txt HTTP/1.1\r\n", row, b"\r\n\r\n"].concat());
}

#[test]
fn head_over_its_limits_is_431() {
    let site = Site::new();
    let server = Server::start(&site);
    let of_length = |len: usize| {
        let frame = with_fields("X: ").len();
        with_fields(format!("X: {}", "a".repeat(len - frame)))
    };
    let of_fields = |count: usize| with_fields(vec!["X: y"; count - 1].join("\r\n"));
    for right in [of_length(17_000), of_length(65_536), of_fields(64)] {
        assert_eq!(server.ask(right).text(), "hello\n");
    }
    let endless = [b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ", &[b'a'; 100_000][..]].concat();
    let wrong = [of_length(65_537), of_length(80_000), of_fields(65), of_fields(3000), endless];
    each(wrong.map(|w| (w.len(), w)), |(_, wrong)| assert_refused(&server, wrong, 431, Closes));
}

#[test]
fn head_limit_can_be_set() {
    let site = Site::new();
    let of_length = |len: usize| {
        let frame = with_fields("X: ").len();
        with_fields(format!("X: {}", "a".repeat(len - frame)))
    };
    for (size, limit) in [("2K", 2048), ("200K", 204_800)] {
        let server = Server::with(&site, &["--max-head", size]);
        assert_eq!(server.ask(of_length(limit)).text(), "hello\n", "{size}");
        assert_refused(&server, &of_length(limit + 1), 431, Closes);
        assert_refused(&server, &[b"\r\n", &of_length(limit)[..]].concat(), 431, Closes);
    }
}

#[test]
fn refusal_of_head_has_no_body() {
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
fn refusal_never_reflects_bytes() {
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
