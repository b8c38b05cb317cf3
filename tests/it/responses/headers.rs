//! The operator's header fields: `--header`.

use std::process::{Command, Stdio};

use super::*;
use crate::common::*;

#[test]
fn header_is_sent_with_every_response() {
    let args = ["--header", "X-Frame-Options: DENY", "--header", "X-Long:a: b, c \u{e4}"];
    each_kind(&args, |_, response| {
        assert_eq!(response.header("x-frame-options"), Some("DENY"));
        assert_eq!(response.header("x-long"), Some("a: b, c \u{e4}"));
    });
}

#[test]
fn header_replaces_ours_and_the_last_wins() {
    let args = ["--header", "server: first", "--header", "SERVER: mine"];
    each_kind(&args, |_, response| assert_eq!(response.header("server"), Some("mine")));
    let args = ["--header", "x-content-type-options: other"];
    each_kind(&args, |_, response| assert_eq!(response.header("x-content-type-options"), Some("other")));
}

#[test]
fn header_adds_links_cookies_and_vary() {
    let lines = ["Link: </a>", "Link: </b>", "Set-Cookie: a=1", "Set-Cookie: b=2", "Vary: X-Theme"];
    let args: Vec<&str> = lines.iter().flat_map(|line| ["--header", line]).collect();
    each_kind(&args, |kind, response| {
        assert_eq!(values(response, "link"), ["</a>", "</b>"]);
        assert_eq!(values(response, "set-cookie"), ["a=1", "b=2"]);
        assert!(vary(response).contains("x-theme"));
        if kind.carries != Carries::Page {
            assert!(vary(response).contains("accept-encoding"), "the server's own value stays: {response:?}");
        }
    });
}

#[test]
fn header_of_content_is_sent_with_files_only() {
    let lines =
        ["Content-Type: text/x", "Content-Language: de", "Content-Disposition: inline", "Expires: never"];
    let args: Vec<&str> = lines.iter().flat_map(|line| ["--header", line]).collect();
    each_kind(&args, |kind, response| {
        let is_file = kind.carries == Carries::File || is_whole_instead(kind, response);
        assert_eq!(response.header("content-language"), is_file.then_some("de"));
        assert_eq!(response.header("content-disposition"), is_file.then_some("inline"));
        assert_eq!(response.header("content-type") == Some("text/x"), is_file, "{response:?}");
        let expires = (kind.carries != Carries::Page).then_some("never");
        assert_eq!(response.header("expires"), expires);
        // Content sniffing would override the type of an error page or a listing.
        if response.header("content-type").is_some() {
            assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
        }
    });
}

#[test]
fn header_pattern_matches_decoded_paths() {
    let site = Site::new();
    for name in ["assets/a.js", "assets/deep/er.js", "a b.txt", "100%.txt", "\u{e4}.txt"] {
        site.write(name, "");
    }
    for (pattern, path, applies) in [
        ("/", "/", true),
        ("/", "/hello.txt", false),
        ("/", "/?q=/hello.txt", true),
        ("*", "/hello.txt", true),
        ("/*", "/missing", true),
        ("/assets/*", "/assets/a.js", true),
        ("/assets/*", "/assets/deep/er.js", true),
        ("/assets/*", "/%61ssets/%61.js", true),
        ("/assets/*", "/assets/a.js?v=1", true),
        ("/assets/*", "/assets", false),
        ("/assets/*", "/hello.txt?/assets/a.js", false),
        ("/assets/*", "/ASSETS/a.js", false),
        ("/assets/*", "http://elsewhere/assets/a.js", true),
        ("/assets/a", "/assets/a.js", false),
        ("*.js", "/assets/deep/er.js", true),
        ("*.js", "/hello.txt?a.js", false),
        ("/*/deep/*.js", "/assets/deep/er.js", true),
        ("/*/deep/*.js", "/assets/a.js", false),
        ("/a*b.txt", "/a%20b.txt", true),
        ("/100%.txt", "/100%25.txt", true),
        ("/%61ssets/*", "/%61ssets/a.js", true),
        ("/\u{e4}.txt", "/%c3%a4.txt", true),
        ("/hello.???", "/hello.txt", false),
        ("/[h]ello.txt", "/hello.txt", false),
    ] {
        let server = with(&site, &["--header", &format!("{pattern} X-A: b")]);
        let has_field = ask(&server, &format!("GET {path}"), "").header("x-a").is_some();
        assert_eq!(has_field, applies, "{pattern} applies to {path}");
    }
}

#[test]
fn header_pattern_matches_every_url_of_a_file() {
    let site = Site::new();
    let server = with(&site, &["--header", "/docs/* X-A: docs", "--header", "/ X-A: home"]);
    for (path, expected) in [
        ("http://localhost", "home"), // RFC 9110 section 4.2.3: an empty path is /
        ("/./", "home"),
        ("//docs/", "docs"),
        ("/./docs/", "docs"),
        ("/docs//index.html", "docs"),
        ("//docs/index.html", "docs"),
    ] {
        let response = ask(&server, &format!("GET {path}"), "");
        assert_eq!((response.status, response.header("x-a")), (200, Some(expected)), "{path}");
    }
}

#[test]
fn header_pattern_begins_at_the_root_of_all_urls() {
    let site = Site::new();
    let args = ["--base-path", "/app", "--header", "/app/docs/ X-A: b", "--header", "/docs/ X-C: d"];
    let server = with(&site, &args);
    let response = ask(&server, "GET /app/docs/", "");
    assert_eq!((response.header("x-a"), response.header("x-c")), (Some("b"), None));
    let response = ask(&server, "GET /app/docs/index.html", "");
    assert_eq!((response.status, response.header("x-a")), (200, None));
}

#[test]
fn header_pattern_that_matches_last_wins() {
    let site = Site::new();
    site.write("docs/notes.txt", "");
    let lines = ["X-A: all", "/docs/* X-A: docs", "*.txt x-a: text"];
    let args: Vec<&str> = lines.iter().flat_map(|line| ["--header", line]).collect();
    let server = with(&site, &args);
    for (path, expected) in [
        ("/", "all"),
        ("/missing", "all"),
        ("/docs/", "docs"),
        ("/hello.txt", "text"),
        ("/docs/notes.txt", "text"),
    ] {
        assert_eq!(ask(&server, &format!("GET {path}"), "").header("x-a"), Some(expected), "{path}");
    }
}

#[test]
fn header_never_reflects_a_request() {
    let site = Site::new();
    site.write("a\r\nX-Evil: 1/index.html", "");
    site.write("b\r\nX-Evil: 1.html", "");
    let args = ["--cors=http://a.example", "--clean-urls", "--base-path", "/app"];
    let server = with(&site, &args);
    for (path, fields, status) in [
        ("/app/a%0d%0aX-Evil:%201", "", 301),
        ("/app/a%0D%0AX-Evil:%201?b%0d%0aX-Evil:%201", "", 301),
        ("/app/b%0d%0aX-Evil:%201.html", "", 301),
        ("/app/docs?a%0d%0aX-Evil:%201", "", 301),
        ("/app/missing%0d%0aX-Evil:%201", "", 404),
        ("/app/", "Origin: http://a.example%0d%0aX-Evil: 1\r\n", 200),
        ("/app/", "Origin: http://a.example\rX-Evil: 1\r\n", 400),
        ("/app/docs", "Host: b\r\n", 400),
    ] {
        let response = ask(&server, &format!("GET {path}"), fields);
        assert_eq!((response.status, response.header("x-evil")), (status, None), "{path} {fields:?}");
        if status == 301 {
            let location = response.header("location").expect("a Location");
            assert!(
                !location.starts_with('/') && location.bytes().all(|b| b.is_ascii_graphic()),
                "{location}"
            );
        }
    }
}

/// Invalid values of --header.
const INVALID: [&str; 28] = [
    "",
    "X-A",
    "/assets/*",
    ": b",
    "X A: b",
    "X-A : b",
    "X\u{e4}: b",
    "(X): b",
    "/assets/* : b",
    "X-A: \u{1b}[31m",
    "X-A: b\rX-B: c",
    "X-A: a\u{7f}",
    "X-A: b\r\n\r\n<script>",
    "X-A: b\r\nContent-Length: 0",
    "X-A\r\n: b",
    "Content-Length: 5",
    "content-range: bytes 0-1/2",
    "Transfer-Encoding: chunked",
    "/x TRANSFER-ENCODING: chunked",
    "Connection: close",
    "Keep-Alive: timeout=5",
    "TE: trailers",
    "Trailer: X-A",
    "Upgrade: websocket",
    "Date: now",
    "ETag: \"a\"",
    "Last-Modified: now",
    "Accept-Ranges: none",
];

#[test]
fn header_value_that_is_not_valid_is_refused_at_start() {
    let site = Site::new();
    let cache_controls =
        ["no-cache\n", "a\r\nX-Evil: 1", "a\rb", "\u{7f}", "\u{1b}[31m"].map(|v| ("--cache-control", v));
    let origins = [
        "",
        "a.example",
        "http://",
        "http://a.example/",
        "http://a b",
        "http://u@a",
        "http://a,b",
        "a\r\nX: y",
    ]
    .map(|v| ("--cors", v));
    let rows = INVALID.map(|v| ("--header", v)).into_iter().chain(cache_controls).chain(origins);
    each(rows, |(option, value)| {
        // An address reserved for documentation (RFC 5737): the program always exits, with code 1
        // if it accepts the value.
        let output = Command::new(env!("CARGO_BIN_EXE_oneloop"))
            .args(["-p", "0", "-b", "192.0.2.1", &format!("{option}={value}")])
            .arg(site.path())
            .stdin(Stdio::null())
            .output()
            .expect("run oneloop");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(output.stdout.is_empty() && stderr.contains(option), "{stderr}");
        assert_eq!(stderr.matches("rror").count() + stderr.matches("oneloop: ").count(), 1, "{stderr}");
    });
}
