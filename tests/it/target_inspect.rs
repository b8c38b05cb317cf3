//! What the load target shows clients of their own requests: the echo, and the JSON of httpbin.

use serde_json::Value;

use crate::common::*;

/// Returns a request with a body.
fn with_body(method: &str, path: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{fields}");
    let len = if fields.contains("chunked") {
        String::new()
    } else {
        format!("Content-Length: {}\r\n", body.len())
    };
    [head.as_bytes(), len.as_bytes(), b"\r\n", body].concat()
}

/// Returns the JSON in a response.
fn json(response: &Response) -> Value {
    assert_eq!((response.status, response.header("content-type")), (200, Some("application/json")));
    serde_json::from_slice(&response.body).expect("JSON")
}

#[test]
fn echo_returns_the_body_of_the_request() {
    let site = Site::new();
    let server = Server::with(&site, &["--target"]);
    let all: Vec<u8> = (0..=255).collect();
    let long = pattern(30_000);
    let table: [(&str, &str, &[u8], &str); 6] = [
        ("POST", "Content-Type: text/html; charset=utf-8\r\n", b"<script>", "text/html; charset=utf-8"),
        ("PUT", "", &all, "application/octet-stream"),
        ("PATCH", "Content-Type: \u{e4}\r\n", b"", "application/octet-stream"),
        ("DELETE", "Content-Type:\r\n", b"x", "application/octet-stream"),
        ("GET", "Content-Type: a/b\r\n", &long, "a/b"),
        (
            "POST",
            "Transfer-Encoding: chunked\r\n",
            b"3\r\nabc\r\n2;a=b\r\nde\r\n0\r\n\r\n",
            "application/octet-stream",
        ),
    ];
    let mut client = server.connect();
    for (method, fields, body, media_type) in table {
        let expected = if fields.contains("chunked") { &b"abcde"[..] } else { body };
        let request = with_body(method, "/_/echo", fields, body);
        client.send(&request);
        let whole = client.response();
        assert!(whole.body == expected, "{method}: {} bytes", whole.body.len());
        assert_eq!((whole.status, whole.header("content-type")), (200, Some(media_type)));
        assert_eq!(whole.header("x-content-type-options"), Some("nosniff"));
        let policy = whole.header("content-security-policy").unwrap_or_default();
        assert!(policy.starts_with("sandbox"), "a browser runs nothing: {policy}");
        // The same if it arrives in pieces: within the head, at its end, and within the body.
        let mut probe = server.connect();
        let head = memchr::memmem::find(&request, b"\r\n\r\n").expect("a head") + 4;
        let (first, rest) = request.split_at(head - 10);
        let (second, rest) = rest.split_at(10);
        let (third, fourth) = rest.split_at(rest.len() / 2);
        client.send_apart(
            &mut probe,
            [first, second, third, fourth].into_iter().filter(|piece| !piece.is_empty()),
        );
        assert!(client.response().body == expected, "{method} in pieces");
    }
    // A request without a body gets its head.
    let request = "GET /_/echo?delay=1ms HTTP/1.1\r\nHost: localhost\r\nX-Odd: \"1\"\r\n\r\n";
    client.send(["\r\n", request].concat());
    let response = client.response();
    assert_eq!((response.text(), response.header("content-type")), (request.to_owned(), Some("text/plain")));
    let head = server.ask(request.replace("GET", "HEAD"));
    assert_eq!(head.header("content-length"), Some(&*(request.len() + 1).to_string()));
}

#[test]
fn echo_has_the_other_parameters_and_limits() {
    let site = Site::new();
    let server = Server::with(&site, &["--target"]);
    let echo = |parameters: &str| with_body("POST", &format!("/_/echo?{parameters}"), "", b"0123456789");
    let response = server.ask(echo("status=503&delay=20ms&over=30ms"));
    assert_eq!((response.status, response.text()), (503, "0123456789".to_owned()));
    assert_eq!(server.ask(echo("one-byte")).text(), "0123456789");
    assert_eq!(server.ask(echo("status=204")).body, b"");
    let mut client = server.connect();
    client.send(echo("truncate=3"));
    assert_eq!(client.head().header("content-length"), Some("10"));
    assert_eq!(client.rest(), b"012");
    let wrong = server.ask(echo("bytes=3"));
    assert_eq!((wrong.status, wrong.text().contains("leave it out")), (400, true));
    // A body has the limit that all bodies have.
    let most = pattern(32 * 1024);
    assert_eq!(server.ask(with_body("POST", "/_/echo", "", &most)).body, most);
    let more = "POST /_/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 32769\r\n\r\n";
    assert_eq!(server.ask(more).status, 413);
    let expected = |path| {
        let response = server.ask(with_body("POST", path, "Expect: 100-continue\r\n", b"hello"));
        assert!(response.closes(), "{path}: the body is no request");
        (response.status, response.text().contains("without Expect"))
    };
    for path in ["/_/echo", "/_/echo?delay=1ms", "/_/anything", "/_/post"] {
        assert_eq!(expected(path), (417, true), "{path}");
    }
    assert_eq!(expected("/_/status/201"), (201, false), "it shows no body");
}

#[test]
fn requests_are_shown_in_the_form_of_httpbin() {
    let site = Site::new();
    let server = Server::with(&site, &["--target"]);
    let host = "Host: localhost:81\r\nUser-Agent: test\r\nX-A: 1\r\nx-a: 2\r\n\r\n";
    let shown = |path: &str| json(&server.ask(format!("GET {path} HTTP/1.1\r\n{host}")));
    let fields = r#"{"Host": "localhost:81", "User-Agent": "test", "X-A": "1,2"}"#;
    let headers: Value = serde_json::from_str(fields).expect("JSON");
    let get = shown("/_/get?a=1&a=2&b=%20");
    assert_eq!(
        get,
        serde_json::json!({
            "args": {"a": ["1", "2"], "b": " "},
            "headers": headers,
            "origin": "127.0.0.1",
            "url": "http://localhost:81/_/get?a=1&a=2&b=%20",
        })
    );
    assert_eq!(shown("/_/headers"), serde_json::json!({"headers": headers}));
    assert_eq!(shown("/_/ip"), serde_json::json!({"origin": "127.0.0.1"}));
    assert_eq!(shown("/_/user-agent"), serde_json::json!({"user-agent": "test"}));
    for (method, path) in [("POST", "post"), ("PUT", "put"), ("PATCH", "patch"), ("DELETE", "delete")] {
        let request = with_body(
            method,
            &format!("/_/{path}?a=b"),
            "Content-Type: application/json\r\n",
            b"{\"c\": [1]}",
        );
        let shown = json(&server.ask(request));
        assert_eq!((&shown["args"]["a"], &shown["data"]), (&"b".into(), &"{\"c\": [1]}".into()), "{method}");
        assert_eq!(
            (&shown["json"]["c"][0], &shown["form"], &shown["files"]),
            (&1.into(), &serde_json::json!({}), &serde_json::json!({}))
        );
        assert_eq!((shown.get("method"), shown["origin"].as_str()), (None, Some("127.0.0.1")));
    }
    let form = with_body(
        "POST",
        "/_/anything/a/b",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        b"a=1&a=2",
    );
    let shown = json(&server.ask(form));
    assert_eq!(
        (&shown["method"], &shown["form"]["a"][1], &shown["data"]),
        (&"POST".into(), &"2".into(), &"".into())
    );
    assert_eq!(shown["url"], "http://localhost/_/anything/a/b");
}

#[test]
fn each_view_has_its_methods() {
    let site = Site::new();
    let server = Server::with(&site, &["--target"]);
    let table = [
        ("get", "GET, HEAD, OPTIONS"),
        ("headers", "GET, HEAD, OPTIONS"),
        ("post", "POST, OPTIONS"),
        ("delete", "DELETE, OPTIONS"),
    ];
    for (path, allow) in table {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] {
            let request = with_body(method, &format!("/_/{path}"), "", b"");
            let response = server.ask(request);
            let is_allowed = allow.contains(method);
            assert_eq!(response.status, if is_allowed { 200 } else { 405 }, "{method} {path}");
            assert_eq!(response.header("allow"), (!is_allowed).then_some(allow));
        }
    }
    assert_eq!(server.get("/_/anythings").status, 404);
    assert_eq!(server.get("/_/get/x").status, 404);
}

#[test]
fn own_request_is_for_its_client_alone() {
    let site = Site::new();
    let server = Server::with(&site, &["--target", "--cors=*"]);
    let ask = |path: &str| {
        server.ask(format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nOrigin: http://other.example\r\nCookie: secret\r\n\r\n"
        ))
    };
    assert_eq!(ask("/_/bytes/5").header("access-control-allow-origin"), Some("*"));
    for path in ["/_/echo", "/_/get", "/_/headers", "/_/anything"] {
        let response = ask(path);
        assert!(response.status == 200 && response.text().contains("secret"), "{path}");
        assert_eq!(response.header("access-control-allow-origin"), None, "{path}");
    }
    // The client that a trusted proxy names is the client.
    let server = Server::with(&site, &["--target", "--target-from=192.0.2.7", "--trusted-proxy=127.0.0.1"]);
    let request = "GET /_/ip HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n";
    assert_eq!(json(&server.ask(request))["origin"], "192.0.2.7");
}
