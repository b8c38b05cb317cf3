//! Cross-origin requests: `--cors`.

use std::collections::BTreeSet;

use super::*;
use crate::common::*;

#[test]
fn cors_for_any_origin_covers_every_response() {
    for args in [&["--cors"][..], &["--cors=*"], &["--cors=http://a.example", "--cors"]] {
        each_kind(args, |_, response| {
            assert_eq!(response.header("access-control-allow-origin"), Some("*"));
            assert_eq!(response.header("access-control-expose-headers"), Some("*"));
            // With credentials, `*` would let any page read the site as the user.
            assert_eq!(response.header("access-control-allow-credentials"), None);
        });
    }
}

#[test]
fn cors_names_a_listed_origin_to_itself() {
    let site = sites().into_iter().next().expect("a site");
    let server = with(&site, &["--cors=http://a.example:3000,null", "--cors=HTTPS://B.example"]);
    let rows = [
        ("http://a.example:3000", true),
        ("https://b.example", true), // as browsers write it
        ("null", true),
        ("http://a.example", false),
        ("http://a.example:30000", false),
        ("https://a.example:3000", false),
        ("http://a.example:3000.evil.example", false),
        ("http://evil.example/http://a.example:3000", false),
        ("http://a.example:3000, null", false),
        ("*", false),
        ("", false),
    ];
    for (origin, is_allowed) in rows {
        each(KINDS, |kind| {
            let response = ask(&server, kind.line, &format!("{}Origin: {origin}\r\n", kind.fields));
            assert_eq!(response.status, kind.status);
            let expected = is_allowed.then_some(origin);
            assert_eq!(response.header("access-control-allow-origin"), expected, "{origin}");
            assert_eq!(response.header("access-control-expose-headers").is_some(), is_allowed, "{origin}");
            assert!(vary(&response).contains("origin"), "{response:?}");
        });
    }
    let response = ask(&server, "GET /", "");
    assert!(response.header("access-control-allow-origin").is_none() && vary(&response).contains("origin"));
}

#[test]
fn cors_preflight_is_answered() {
    let site = Site::new();
    let fields = |origin: &str, method: &str| {
        format!(
            "Origin: {origin}\r\nAccess-Control-Request-Method: {method}\r\nAccess-Control-Request-Headers: range\r\n"
        )
    };
    let words = |response: &Response, name: &str| -> BTreeSet<String> {
        let value = response.header(name).unwrap_or_else(|| panic!("no {name} in {response:?}"));
        value.split(',').map(|word| word.trim().to_ascii_lowercase()).collect()
    };
    for (cors, origin, allowed) in [
        ("--cors", "http://anybody.example", Some("*")),
        ("--cors=http://a.example", "http://a.example", Some("http://a.example")),
        ("--cors=http://a.example", "http://b.example", None),
    ] {
        let server = Server::with(&site, &[cors]);
        for (path, method) in [("/hello.txt", "GET"), ("/missing", "HEAD"), ("/docs", "PUT")] {
            let response = ask(&server, &format!("OPTIONS {path}"), &fields(origin, method));
            assert_eq!(response.status, 204, "{path} {cors}");
            // A 204 has no Content-Length (RFC 9110 section 8.6).
            assert_eq!(response.header("content-length"), None);
            assert_eq!(response.header("access-control-allow-origin"), allowed, "{path} {cors}");
            let Some(_) = allowed else {
                assert_eq!(response.header("access-control-allow-methods"), None);
                continue;
            };
            assert_eq!(words(&response, "access-control-allow-methods"), set(&["get", "head", "options"]));
            // The `*` does not cover Authorization (Fetch section 3.3.3).
            let headers = words(&response, "access-control-allow-headers");
            assert!(headers.contains("*") || headers.contains("range"), "{headers:?}");
            let age = response.header("access-control-max-age").expect("an age");
            assert!(age.parse::<u32>().is_ok_and(|age| age > 0), "{age}");
        }
        // A GET with the fields of a preflight is an ordinary request.
        let response = ask(&server, "GET /hello.txt", &fields(origin, "GET"));
        assert_eq!((response.status, response.text()), (200, "hello\n".into()));
        assert_eq!(response.header("access-control-allow-methods"), None);
    }
}
