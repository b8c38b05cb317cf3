//! Assertions about refused requests.

use super::{Response, Server, lossy};

/// What happens to the connection after a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    Stays,
    Closes,
}

/// Sends `request` followed by a valid one, first whole and then byte by byte (long requests in a
/// thousand pieces). Asserts that the response is the server's own page for `status`. If the
/// connection closes, the response must announce it, be the last one and be followed by a FIN. If
/// the connection stays open, the response to the second request must come next.
pub fn assert_refused(server: &Server, request: &[u8], status: u16, after: After) {
    const NEXT: &str = "GET /hello.txt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let stream = [request, NEXT.as_bytes()].concat();
    for piece in [stream.len(), 1 + stream.len() / 1000] {
        let how = format!("{:?} in pieces of {piece}", lossy(request));
        let mut client = server.connect();
        client.send_apart(&mut server.connect(), stream.chunks(piece));
        let response = client.response_to(request);
        assert_eq!(response.status, status, "{how}");
        assert_our_page(&response, request.starts_with(b"HEAD "));
        assert_eq!(response.closes(), after == After::Closes, "closes after {how}");
        if after == After::Stays {
            assert_eq!(client.response().text(), "hello\n", "after {how}");
        }
        client.expect_close();
    }
}

/// Asserts that `response` is the small error page that the server generates: HTML, or a line of
/// text for a path at which there is nothing, because the test does not ask for HTML by name.
pub fn assert_our_page(response: &Response, to_head: bool) {
    let is_text = response.header("content-type") == Some("text/plain; charset=utf-8");
    assert!(is_text || response.header("content-type") == Some("text/html; charset=utf-8"), "{response:?}");
    assert!(!is_text || response.status == 404, "{response:?}");
    assert_eq!(response.header("x-content-type-options"), Some("nosniff"), "{response:?}");
    let len: usize = response.header("content-length").expect("Content-Length").parse().expect("a number");
    assert!((1..4096).contains(&len), "a page of {len} bytes");
    let page = response.text();
    if !to_head && is_text {
        assert!(page.starts_with("404 Not Found: there is nothing at /") && page.ends_with('\n'), "{page}");
    } else if !to_head {
        assert!(page.get(..15).is_some_and(|s| s.eq_ignore_ascii_case("<!doctype html>")), "{page}");
        assert!(page.contains(&response.status.to_string()) && page.contains(&response.reason), "{page}");
    }
}
