//! Further paths of httpbin that the load target has: redirects, credentials, and chunked bodies.

use oneloop::internals::parse;

use crate::common::*;

#[test]
fn redirects_lead_to_get() {
    let site = Site::new();
    let server = Server::with(&site, &["--target=/a b/"]);
    for (start, prefix, count) in [
        ("redirect/3", "/", 3),
        ("relative-redirect/2", "/", 2),
        ("absolute-redirect/3", "http://localhost:81/", 3),
        ("redirect/2?absolute=true", "http://localhost:81/", 2),
    ] {
        let (mut path, mut seen) = (format!("/a%20b/{start}"), 0);
        let last = loop {
            let response = server.ask(format!("GET {path} HTTP/1.1\r\nHost: localhost:81\r\n\r\n"));
            let Some(location) = response.header("location") else { break response };
            assert_eq!((response.status, response.body.len()), (302, 0));
            assert!(location.starts_with(prefix), "{location}");
            path = location.strip_prefix("http://localhost:81").unwrap_or(location).to_owned();
            seen += 1;
        };
        assert_eq!((&*path, seen, last.status), ("/a%20b/get", count, 200), "{start}");
    }
    assert_eq!(server.get("/a%20b/redirect/0").status, 404);
    // A request of HTTP/1.0 may name no host, and one to a proxy names it in its first line.
    let old = server.ask("GET /a%20b/absolute-redirect/2 HTTP/1.0\r\n\r\n");
    assert_eq!(old.header("location"), Some("/a%20b/absolute-redirect/1"));
    let whole = "GET http://localhost:99/a%20b/absolute-redirect/1 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(server.ask(whole).header("location"), Some("http://localhost:99/a%20b/get"));
    let whole = whole.replace("absolute-redirect/1", "get?a");
    assert!(server.ask(whole).text().contains("\"url\": \"http://localhost:99/a%20b/get?a\""));
}

#[test]
fn credentials_are_wanted() {
    let site = Site::new();
    let server = Server::with(&site, &["--target"]);
    let ask = |path: &str, fields: &str| {
        server.ask(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"))
    };
    let basic = "/_/basic-auth/user/pass%20word";
    for fields in ["", "Authorization: Basic dXNlcjpwYXNz\r\n", "Authorization: Bearer x\r\n"] {
        let response = ask(basic, fields);
        let challenge = response.header("www-authenticate");
        assert_eq!((response.status, challenge), (401, Some("Basic realm=\"load target\"")), "{fields}");
    }
    let response = ask(basic, "Authorization: Basic dXNlcjpwYXNzIHdvcmQ=\r\n");
    assert_eq!(response.text(), "{\n  \"authenticated\": true,\n  \"user\": \"user\"\n}\n");
    let response = ask("/_/bearer", "");
    assert_eq!((response.status, response.header("www-authenticate")), (401, Some("Bearer")));
    let response = ask("/_/bearer", "Authorization: Bearer abc\r\n");
    assert_eq!(response.text(), "{\n  \"authenticated\": true,\n  \"token\": \"abc\"\n}\n");
    assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
}

/// Returns the chunk data of a chunked body, which a request with the same body shows as parsed.
fn chunked_len(bytes: &[u8]) -> usize {
    let request = [b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", bytes].concat();
    let (_, len) = parse(&request).expect("a valid body").expect("a whole body");
    assert_eq!(len, request.len(), "nothing follows");
    bytes.len()
}

#[test]
fn stream_bytes_have_the_chunked_coding() {
    let site = Site::new();
    let server = Server::with(&site, &["--target"]);
    let mut client = server.connect();
    for (path, expected) in [
        ("stream-bytes/1000?seed=7", "3e8\r\n"),
        ("stream-bytes/20k?seed=7", "2800\r\n"),
        ("?bytes=1000&chunk=16&seed=7&over=20ms", ""),
        ("?bytes=1000&chunk=100&seed=7&one-byte", "64\r\n"),
        ("stream-bytes/0", "0\r\n\r\n"),
    ] {
        client.send(get(&format!("/_/{path}")));
        let head = client.head();
        assert_eq!((head.status, head.header("content-length")), (200, None));
        assert_eq!(head.header("transfer-encoding"), Some("chunked"));
        let body = client.take_until(b"0\r\n\r\n");
        assert!(chunked_len(&body) >= expected.len() && body.starts_with(expected.as_bytes()), "{path}");
    }
    // HTTP/1.0 has no such coding, and HEAD no body.
    let mut old = server.connect();
    old.send("GET /_/stream-bytes/1000?seed=7 HTTP/1.0\r\n\r\n");
    assert_eq!(old.head().header("transfer-encoding"), None);
    assert_eq!(old.rest(), server.get("/_/bytes/1000?seed=7").body);
    client.send(get("/_/stream-bytes/1000").replace("GET", "HEAD") + &get("/hello.txt"));
    assert_eq!(client.head().header("transfer-encoding"), Some("chunked"));
    assert_eq!(client.response().text(), "hello\n");
    // A body that is cut has no last chunk.
    client.send(get("/_/stream-bytes/1000?truncate=999&chunk=100"));
    client.head();
    assert!(!client.rest().ends_with(b"0\r\n\r\n"));
}

#[test]
fn range_is_a_file_that_has_ranges() {
    let site = Site::new();
    let server = Server::with(&site, &["--target"]);
    let ask =
        |fields: &str| server.ask(format!("GET /_/range/20000 HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"));
    let whole = ask("");
    let alphabet: Vec<u8> = (b'a'..=b'z').cycle().take(20_000).collect();
    assert!(whole.status == 200 && whole.body == alphabet);
    assert_eq!(whole.header("etag"), Some("\"range20000\""));
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    for (range, from, to) in [("0-0", 0, 0), ("5-8", 5, 8), ("-3", 19_997, 19_999), ("9000-", 9000, 19_999)] {
        let part = ask(&format!("Range: bytes={range}\r\n"));
        assert!(part.status == 206 && part.body == alphabet[from..=to], "{range}");
        let expected = format!("bytes {from}-{to}/20000");
        assert_eq!(part.header("content-range"), Some(&*expected));
    }
    assert_eq!(ask("Range: bytes=20000-\r\n").status, 416);
    assert_eq!(ask("If-None-Match: \"range20000\"\r\n").status, 304);
    assert_eq!(server.get("/_/range/1k").body.len(), 1024);
    for (path, status) in [("range/0", 404), ("range/101k", 404), ("range/", 404), ("range/5?a=1", 400)] {
        assert_eq!(server.get(&format!("/_/{path}")).status, status, "{path}");
    }
    assert_eq!(
        server.ask(get("/_/range/5").replace("GET", "POST")).header("allow"),
        Some("GET, HEAD, OPTIONS")
    );
}
