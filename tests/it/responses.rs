//! What the operator wants said: `--header`, `--cors` and `--cache-control` on every kind of response, and what no
//! value and no request can make of a head.
use std::{
    collections::BTreeSet,
    process::{Command, Stdio},
};

use crate::common::*;

/// A kind of response: how to get it. Each request is one that is understood.
#[derive(Debug, Clone, Copy)]
struct Kind {
    line: &'static str,
    fields: &'static str,
    status: u16,
    carries: Carries,
}

/// What a response carries, as far as that decides what is said with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carries {
    /// The bytes of a file, or one part of them.
    File,
    /// Word of a file: several of its parts, or that a copy of it is good.
    Copy,
    /// Anything else.
    Page,
}

const fn kind(line: &'static str, fields: &'static str, status: u16, carries: Carries) -> Kind {
    Kind { line, fields, status, carries }
}

const KINDS: [Kind; 20] = [
    kind("GET /hello.txt", "", 200, Carries::File),
    kind("HEAD /hello.txt", "", 200, Carries::File),
    kind("GET /docs/", "", 200, Carries::File),
    kind("GET /hello.txt", "Accept-Encoding: gzip\r\n", 200, Carries::File),
    kind("GET /hello.txt", "Range: bytes=1-2\r\n", 206, Carries::File),
    kind("GET /hello.txt", "Range: bytes=1-1,3-3\r\n", 206, Carries::Copy),
    kind("GET /hello.txt", "If-None-Match: *\r\n", 304, Carries::Copy),
    kind("GET /folder/", "", 200, Carries::Page),
    kind("HEAD /folder/", "", 200, Carries::Page),
    kind("GET /docs", "", 301, Carries::Page),
    kind("GET /missing", "", 404, Carries::Page),
    kind("HEAD /missing", "", 404, Carries::Page),
    kind("POST /hello.txt", "Content-Length: 0\r\n", 405, Carries::Page),
    kind("GET /hello.txt", "Accept-Encoding: identity;q=0, br\r\n", 406, Carries::Page),
    kind("GET /hello.txt", "If-Match: \"another\"\r\n", 412, Carries::Page),
    kind("GET /hello.txt", "Range: bytes=6-\r\n", 416, Carries::Page),
    kind("GET /hello.txt", "Expect: miracles\r\n", 417, Carries::Page),
    kind("BREW /hello.txt", "", 501, Carries::Page),
    kind("OPTIONS /hello.txt", "", 204, Carries::Page),
    kind("OPTIONS *", "", 204, Carries::Page),
];

/// A site in which every kind is to be had, once with our page for what is missing and once with one of its own.
fn sites() -> [Site; 2] {
    let [ours, own] = [(); 2].map(|()| {
        let site = Site::new();
        site.write("hello.txt.gz", "not really compressed");
        site.write("folder/name", "");
        site
    });
    own.write("404.html", "nothing here\n");
    [ours, own]
}

fn with(site: &Site, args: &[&str]) -> Server {
    Server::with(site, &[&["--listing"], args].concat())
}

/// One response with all that came behind its head, which must be as much as the head says.
fn ask(server: &Server, line: &str, fields: &str) -> Response {
    let mut client = server.connect();
    client.send(format!("{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n"));
    let mut response = client.head();
    response.body = client.rest();
    let bodyless = line.starts_with("HEAD ") || matches!(response.status, 204 | 304);
    match response.header("content-length") {
        _ if bodyless => assert_eq!(lossy(&response.body), "", "behind a head without body"),
        Some(len) => assert_eq!(len, response.body.len().to_string(), "{response:?}"),
        None => assert!(response.body.ends_with(b"\r\n0\r\n\r\n"), "{response:?}"),
    }
    response
}

/// Asks for each kind at a server with `args`, and checks what it says.
fn each_kind(args: &[&str], check: impl Fn(&Kind, &Response)) {
    for site in sites() {
        let server = with(&site, args);
        each(KINDS, |kind| {
            let response = ask(&server, kind.line, kind.fields);
            assert!(response.status == kind.status || is_whole_instead(kind, &response), "{response:?}");
            check(kind, &response);
        });
    }
}

/// What the operator says of a file's content would have to stand in each of several parts: they are not sent then.
fn is_whole_instead(kind: &Kind, response: &Response) -> bool {
    kind.fields.contains(',') && kind.status == 206 && response.header("content-language").is_some()
}

/// All values of the fields called `name`.
fn values<'a>(response: &'a Response, name: &str) -> Vec<&'a str> {
    let found = response.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str()).collect()
}

/// The members of `Vary`, in lower case; none may stand there twice.
fn vary(response: &Response) -> BTreeSet<String> {
    let lines = values(response, "vary").join(",").to_ascii_lowercase();
    let mut names = BTreeSet::new();
    for name in lines.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        assert!(names.insert(name.to_owned()), "{name} stands twice in {response:?}");
    }
    names
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_header_goes_with_every_response_to_an_understood_request() {
    let args = ["--header", "X-Frame-Options: DENY", "--header", "X-Long:a: b, c \u{e4}"];
    each_kind(&args, |_, response| {
        assert_eq!(response.header("x-frame-options"), Some("DENY"));
        assert_eq!(response.header("x-long"), Some("a: b, c \u{e4}"));
    });
}

#[test]
fn a_header_replaces_ours_of_its_name_and_the_last_of_a_name_wins() {
    let args = ["--header", "server: first", "--header", "SERVER: mine"];
    each_kind(&args, |_, response| assert_eq!(response.header("server"), Some("mine")));
    let args = ["--header", "x-content-type-options: other"];
    each_kind(&args, |_, response| assert_eq!(response.header("x-content-type-options"), Some("other")));
}

#[test]
fn links_cookies_and_vary_add_up() {
    let lines = ["Link: </a>", "Link: </b>", "Set-Cookie: a=1", "Set-Cookie: b=2", "Vary: X-Theme"];
    let args: Vec<&str> = lines.iter().flat_map(|line| ["--header", line]).collect();
    each_kind(&args, |kind, response| {
        assert_eq!(values(response, "link"), ["</a>", "</b>"]);
        assert_eq!(values(response, "set-cookie"), ["a=1", "b=2"]);
        assert!(vary(response).contains("x-theme"));
        if kind.carries != Carries::Page {
            assert!(vary(response).contains("accept-encoding"), "ours stays: {response:?}");
        }
    });
}

#[test]
fn what_is_said_of_content_goes_with_a_files_own_bytes_alone() {
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
        // Sniffing would undo what the type says of an error page or a listing.
        if response.header("content-type").is_some() {
            assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
        }
    });
}

#[test]
fn how_long_a_copy_is_good_is_said_of_files_and_never_of_errors() {
    const LONG: &str = "public, max-age=60";
    let by_option = ["--cache-control", LONG];
    // The field is stronger than the option, as it is more exact: it can be for some paths only.
    let by_field = ["--cache-control", "no-store", "--header", "Cache-Control: public, max-age=60"];
    for args in [&by_option[..], &by_field] {
        each_kind(args, |kind, response| match kind.carries {
            // RFC 9110 §15.4.5: a 304 has the Cache-Control that the 200 would have.
            Carries::File | Carries::Copy => assert_eq!(response.header("cache-control"), Some(LONG)),
            Carries::Page => assert!(matches!(response.header("cache-control"), None | Some("no-cache"))),
        });
    }
}

#[test]
fn without_options_a_copy_is_asked_about_each_time_and_nobody_reads_from_elsewhere() {
    each_kind(&[], |kind, response| {
        if kind.carries != Carries::Page {
            assert_eq!(response.header("cache-control"), Some("no-cache"));
        }
        let cors =
            response.headers.iter().find(|(n, _)| n.to_ascii_lowercase().starts_with("access-control"));
        assert_eq!(cors, None);
    });
}

#[test]
fn a_pattern_is_for_paths_as_they_are_meant() {
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
        let said = ask(&server, &format!("GET {path}"), "").header("x-a").is_some();
        assert_eq!(said, applies, "{pattern} for {path}");
    }
}

#[test]
fn a_pattern_is_for_every_address_of_a_file() {
    let site = Site::new();
    let server = with(&site, &["--header", "/docs/* X-A: docs", "--header", "/ X-A: home"]);
    for (path, expected) in [
        ("http://localhost", "home"), // RFC 9110 §4.2.3: an empty path is /
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
fn a_pattern_begins_at_the_root_of_all_addresses_and_is_for_what_was_asked() {
    let site = Site::new();
    let args = ["--base-path", "/app", "--header", "/app/docs/ X-A: b", "--header", "/docs/ X-C: d"];
    let server = with(&site, &args);
    let response = ask(&server, "GET /app/docs/", "");
    assert_eq!((response.header("x-a"), response.header("x-c")), (Some("b"), None));
    let response = ask(&server, "GET /app/docs/index.html", "");
    assert_eq!((response.status, response.header("x-a")), (200, None));
}

#[test]
fn of_several_lines_that_match_the_last_one_counts() {
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

/// What had a say in a response of this kind (RFC 9110 §12.5.5), if it depends on nothing else.
fn expected_vary(kind: &Kind) -> &'static [&'static str] {
    match kind {
        Kind { carries: Carries::File | Carries::Copy, .. } | Kind { status: 406 | 416, .. } => {
            &["accept-encoding"]
        }
        Kind { line: "GET /folder/" | "HEAD /folder/", .. } => &["accept"],
        _ => &[],
    }
}

#[test]
fn vary_names_what_had_a_say_and_each_once() {
    let is_precise = |kind: &Kind| kind.status != 412; // whether a variant matters there is a matter of taste
    for (args, more) in [
        (&[][..], &[][..]),
        (&["--cors"], &[]),
        (&["--cors=http://a.example"], &["origin"]),
        (&["--cors=http://a.example", "--header", "Vary: X-Theme, Cookie"], &["origin", "x-theme", "cookie"]),
    ] {
        each_kind(args, |kind, response| {
            let expected = set(&[expected_vary(kind), more].concat());
            assert!(expected.is_subset(&vary(response)), "{response:?}");
            assert!(!is_precise(kind) || vary(response) == expected, "{response:?}");
        });
    }
}

#[test]
fn what_navigation_gets_varies_with_what_tells_navigation() {
    let site = Site::new();
    let server = Server::with(&site, &["--spa"]);
    // Else a cache would give the page to the script that asks for the same address, and the 404 to the person.
    for (fields, status) in [("Sec-Fetch-Mode: navigate\r\n", 200), ("Accept: text/html\r\n", 200), ("", 404)]
    {
        let response = ask(&server, "GET /users/7", fields);
        assert_eq!(response.status, status);
        assert!(vary(&response).is_superset(&set(&["accept", "sec-fetch-mode"])), "{response:?}");
    }
}

#[test]
fn everybody_may_read_every_response_where_cors_is_for_everybody() {
    for args in [&["--cors"][..], &["--cors=*"], &["--cors=http://a.example", "--cors"]] {
        each_kind(args, |_, response| {
            assert_eq!(response.header("access-control-allow-origin"), Some("*"));
            assert_eq!(response.header("access-control-expose-headers"), Some("*"));
            // With credentials, * would be an invitation to read as the user.
            assert_eq!(response.header("access-control-allow-credentials"), None);
        });
    }
}

#[test]
fn a_listed_origin_is_named_to_itself_and_others_are_told_nothing() {
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
fn a_preflight_is_told_what_a_page_from_elsewhere_may_do() {
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
            // RFC 9110 §8.6: not with a 204.
            assert_eq!(response.header("content-length"), None);
            assert_eq!(response.header("access-control-allow-origin"), allowed, "{path} {cors}");
            let Some(_) = allowed else {
                assert_eq!(response.header("access-control-allow-methods"), None);
                continue;
            };
            assert_eq!(words(&response, "access-control-allow-methods"), set(&["get", "head", "options"]));
            // Authorization is not in the star (Fetch §3.3.3).
            let headers = words(&response, "access-control-allow-headers");
            assert!(headers.contains("*") || headers.contains("range"), "{headers:?}");
            let age = response.header("access-control-max-age").expect("an age");
            assert!(age.parse::<u32>().is_ok_and(|age| age > 0), "{age}");
        }
        // What only looks like one is answered with the file.
        let response = ask(&server, "GET /hello.txt", &fields(origin, "GET"));
        assert_eq!((response.status, response.text()), (200, "hello\n".into()));
        assert_eq!(response.header("access-control-allow-methods"), None);
    }
}

#[test]
fn nothing_in_a_request_becomes_a_line_of_a_head() {
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
            let location = response.header("location").expect("where to");
            assert!(
                location.starts_with("/app/") && location.bytes().all(|b| b.is_ascii_graphic()),
                "{location}"
            );
        }
    }
}

#[test]
fn a_value_that_cannot_be_said_is_refused_at_the_start_with_one_sentence() {
    let site = Site::new();
    let headers = [
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
    let rows = headers.map(|v| ("--header", v)).into_iter().chain(cache_controls).chain(origins);
    each(rows, |(option, value)| {
        // An address that no machine has (RFC 5737): it ends in any case, and with 1 where the value is taken.
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
