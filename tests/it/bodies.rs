//! Request bodies are never parsed as the next request. The server skips a body of up to 32,768
//! bytes, including framing. It refuses a longer body and closes the connection so that the client
//! still receives the response. These tests also cover `Expect`.

use crate::common::*;
use After::{Closes, Stays};

/// The request inside each body; the server must never answer it.
const BAIT: &str = "GET /docs/ HTTP/1.1\r\nHost: localhost\r\n\r\n";
const BOUND: usize = 32_768;

/// Returns a request from its method and path ("POST /hello.txt"), its field lines with CRLF, and
/// its body.
fn request(what: &str, fields: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let head = format!("{what} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
    [head.as_bytes(), body.as_ref()].concat()
}

fn sized(what: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    request(what, &format!("Content-Length: {}\r\n", body.as_ref().len()), body)
}

fn chunked(what: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    request(what, "Transfer-Encoding: chunked\r\n", body)
}

/// Returns [`BAIT`] as one chunk followed by `end`; `size` formats the chunk size.
fn bait_chunk(size: impl Fn(usize) -> String, end: &str) -> String {
    format!("{}\r\n{BAIT}\r\n{end}", size(BAIT.len()))
}

/// Sends `stream` (one request with its body), then a request for `/` and a last request, in pieces
/// of `piece` bytes. Asserts that the server answers exactly these three, the first with `status`.
fn assert_one_request(server: &Server, stream: &[u8], status: u16, piece: usize) {
    let last = "GET /hello.txt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let all = [stream, get("/").as_bytes(), last.as_bytes()].concat();
    let mut client = server.connect();
    client.send_apart(&mut server.connect(), all.chunks(piece));
    let response = client.response_to(stream);
    assert_eq!((response.status, response.closes()), (status, false), "{}", lossy(stream));
    assert_eq!(client.response().text(), "home\n", "after {} in pieces of {piece}", lossy(stream));
    assert_eq!(client.response().text(), "hello\n");
    client.expect_close();
}

/// The name of a framing, and a function that makes a request with it from a method and path.
type Framing = (&'static str, fn(&str) -> Vec<u8>);

/// Returns every valid body framing.
fn framings() -> Vec<Framing> {
    vec![
        ("a Content-Length", |what| sized(what, BAIT)),
        ("a Content-Length of 0", |what| sized(what, "")),
        ("a Content-Length with whitespace around it", |what| {
            request(what, "Content-Length: \t 5 \t\r\n", "GET /")
        }),
        ("one chunk", |what| chunked(what, bait_chunk(|n| format!("{n:x}"), "0\r\n\r\n"))),
        ("a size with an uppercase digit and leading zeros", |what| {
            chunked(what, bait_chunk(|n| format!("00{n:X}"), "000\r\n\r\n"))
        }),
        ("no chunks", |what| chunked(what, "0\r\n\r\n")),
        ("two chunks", |what| chunked(what, bait_chunk(|n| format!("{n:x}"), "5\r\nGET /\r\n0\r\n\r\n"))),
        ("a chunk of line ends", |what| chunked(what, "7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n")),
        ("extensions", |what| {
            chunked(what, bait_chunk(|n| format!("{n:x};a;b=c;d=\"e;\\\"0\""), "0;last=1\r\n\r\n"))
        }),
        ("trailers", |what| {
            let trailers = "0\r\nX-Sum: 1\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n";
            chunked(what, bait_chunk(|n| format!("{n:x}"), trailers))
        }),
        ("an uppercase transfer coding", |what| {
            request(what, "transfer-encoding: CHUNKED\r\n", "1\r\nG\r\n0\r\n\r\n")
        }),
    ]
}

#[test]
fn body_is_skipped_whatever_the_method() {
    let site = Site::new();
    let server = Server::start(&site);
    let methods = [
        ("GET /hello.txt", 200),
        ("HEAD /hello.txt", 200),
        ("GET /missing", 404),
        ("OPTIONS *", 204),
        ("POST /hello.txt", 405),
        ("TRACE /", 405),
        ("BREW /pot", 501),
    ];
    let rows =
        methods.iter().flat_map(|method| framings().into_iter().map(move |framing| (*method, framing)));
    each(rows, |((what, status), (_, stream))| {
        for piece in [usize::MAX, 7, 1] {
            assert_one_request(&server, &stream(what), *status, piece);
        }
    });
}

#[test]
fn body_is_skipped_wherever_it_is_cut() {
    let site = Site::new();
    let server = Server::start(&site);
    let last = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    each(framings(), |(_, stream)| {
        let stream = [&stream("POST /"), last.as_bytes()].concat();
        let mut probe = server.connect();
        for cut in 0..=stream.len() {
            let (a, b) = stream.split_at(cut);
            let mut client = server.connect();
            client.send_apart(&mut probe, [a, b]);
            assert_eq!(client.response().status, 405, "cut at {cut}");
            assert_eq!(client.response().text(), "home\n", "cut at {cut}");
            client.expect_close();
        }
    });
}

#[test]
fn body_up_to_the_limit_keeps_the_connection() {
    let site = Site::new();
    let server = Server::start(&site);
    let bait = BAIT.repeat(BOUND / BAIT.len() + 1);
    let chunks = "1\r\nG\r\n".repeat(BOUND / 6 - 1) + "0\r\n\r\n";
    for (what, status) in [("GET /hello.txt", 200), ("POST /hello.txt", 405), ("BREW /pot", 501)] {
        for stream in [sized(what, &bait[..BOUND]), chunked(what, &chunks)] {
            for piece in [usize::MAX, 1000] {
                assert_one_request(&server, &stream, status, piece);
            }
        }
    }
}

#[test]
fn body_over_the_limit_closes_the_connection() {
    let site = Site::new();
    let server = Server::start(&site);
    let bait = BAIT.repeat(2 * BOUND / BAIT.len());
    type Body = fn(&str, &str) -> Vec<u8>;
    let bodies: [(&str, Body); 8] = [
        ("a length one byte over the limit", |what, bait| sized(what, &bait[..BOUND + 1])),
        ("a length without any body bytes", |what, _| request(what, "Content-Length: 32769\r\n", "")),
        ("a length past 2^63", |what, _| request(what, "Content-Length: 9223372036854775808\r\n", BAIT)),
        ("one large chunk", |what, bait| chunked(what, format!("{:x}\r\n{bait}\r\n0\r\n\r\n", bait.len()))),
        ("a chunk of 2^62", |what, _| chunked(what, format!("4000000000000000\r\n{BAIT}"))),
        ("many small chunks", |what, _| chunked(what, "1\r\nG\r\n".repeat(BOUND / 6 + 2) + "0\r\n\r\n")),
        ("a long extension", |what, _| chunked(what, format!("1;{}\r\nG\r\n0\r\n\r\n", "a".repeat(BOUND)))),
        ("long trailers", |what, _| {
            chunked(what, format!("0\r\n{}\r\n", format!("X: {}\r\n", "a".repeat(1000)).repeat(40)))
        }),
    ];
    let methods = [
        ("GET /hello.txt", 413),
        ("HEAD /hello.txt", 413),
        ("OPTIONS *", 413),
        ("POST /", 405),
        ("PUT /", 405),
        ("BREW /", 501),
    ];
    let rows = methods.iter().flat_map(|method| bodies.iter().map(move |body| (*method, *body)));
    each(rows, |((what, status), (_, stream))| {
        assert_refused(&server, &stream(what, &bait), *status, Closes);
    });
}

#[test]
fn body_that_is_not_read_does_not_destroy_the_response() {
    let site = Site::new();
    let server = Server::start(&site);
    let body = pattern(5_000_000);
    let chunk = [b"4c4b40\r\n", &body[..], b"\r\n0\r\n\r\n"].concat();
    for (stream, status) in [
        (sized("POST /hello.txt", &body), 405),
        (sized("GET /hello.txt", &body), 413),
        (chunked("PUT /hello.txt", &chunk), 405),
        (chunked("BREW /hello.txt", &chunk), 501),
    ] {
        let mut client = server.connect();
        client.send(&stream);
        let response = client.response();
        assert_eq!((response.status, response.closes()), (status, true));
        assert_our_page(&response, false);
        client.expect_close();
    }
}

#[test]
fn expect_100_continue_is_answered_at_once() {
    let site = Site::new();
    let server = Server::start(&site);
    let expect = |fields: &str| format!("Expect: 100-Continue\r\n{fields}");
    // The client announces a body but waits for `100 Continue` before it sends it. What it sends
    // after the refusal is not a request.
    each(
        [
            ("POST /", "Content-Length: 40\r\n", 405),
            ("GET /hello.txt", "Content-Length: 40\r\n", 200),
            ("HEAD /hello.txt", "Content-Length: 40\r\n", 200),
            ("GET /hello.txt", "Transfer-Encoding: chunked\r\n", 200),
            ("PUT /", "Transfer-Encoding: chunked\r\n", 405),
        ],
        |(what, fields, status)| {
            let mut client = server.connect();
            let stream = request(what, &expect(fields), "");
            client.send(&stream);
            let response = client.response_to(&stream);
            assert_eq!((response.status, response.closes()), (*status, true));
            client.send(BAIT);
            client.expect_close();
        },
    );
    for case in ["100-continue", "100-CONTINUE"] {
        assert_one_request(
            &server,
            &request("GET /hello.txt", &format!("Expect: {case}\r\n"), ""),
            200,
            usize::MAX,
        );
    }
}

#[test]
fn expect_other_than_100_continue_is_417() {
    let site = Site::new();
    let server = Server::start(&site);
    let rows = [
        ("pay-me", Stays),
        ("100-continued", Stays),
        ("100", Stays),
        ("\"100-continue\"", Stays),
        ("100-continue, pay-me", Closes), // the client may never send the body
    ];
    each(rows, |(expect, after)| {
        let fields = format!("Expect: {expect}\r\n");
        assert_refused(&server, &request("GET /hello.txt", &fields, ""), 417, Stays);
        let with_body = request("GET /", &format!("{fields}Content-Length: {}\r\n", BAIT.len()), BAIT);
        assert_refused(&server, &with_body, 417, *after);
    });
    // An empty list has no expectation.
    let response = server.ask(request("GET /hello.txt", "Expect: ,\r\n", ""));
    assert_eq!(response.text(), "hello\n");
}
