//! Fields that the operator adds: `--header`, `--cors` and `--cache-control` on every kind of
//! response. No value and no request can break a response head.

mod caching;
mod cors;
mod headers;

use std::collections::BTreeSet;

use crate::common::*;

/// A kind of response and the request for it. No request is malformed.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    pub line: &'static str,
    pub fields: &'static str,
    pub status: u16,
    pub carries: Carries,
}

/// The content of a response, as far as it determines the header fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carries {
    /// The bytes of a file, or one range of them.
    File,
    /// A multipart response or a 304.
    Copy,
    /// Anything else.
    Page,
}

/// Returns a kind of response.
pub const fn kind(line: &'static str, fields: &'static str, status: u16, carries: Carries) -> Kind {
    Kind { line, fields, status, carries }
}

/// Every kind of response.
pub const KINDS: [Kind; 20] = [
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

/// Creates two sites that can produce every kind of response: one with the server's own 404 page
/// and one with a custom 404 page.
pub fn sites() -> [Site; 2] {
    let [ours, own] = [(); 2].map(|()| {
        let site = Site::new();
        site.write("hello.txt.gz", "not really compressed");
        site.write("folder/name", "");
        site
    });
    own.write("404.html", "nothing here\n");
    [ours, own]
}

/// Starts a server with `args` and `--listing`, which some kinds of response need.
pub fn with(site: &Site, args: &[&str]) -> Server {
    Server::with(site, &[&["--listing"], args].concat())
}

/// Sends a request and returns the response with everything that follows its head; asserts that the
/// length matches the head.
pub fn ask(server: &Server, line: &str, fields: &str) -> Response {
    let mut client = server.connect();
    client.send(format!("{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n"));
    let mut response = client.head();
    response.body = client.rest();
    let bodyless = line.starts_with("HEAD ") || matches!(response.status, 204 | 304);
    match response.header("content-length") {
        _ if bodyless => assert_eq!(lossy(&response.body), "", "no bytes after a head that has no body"),
        Some(len) => assert_eq!(len, response.body.len().to_string(), "{response:?}"),
        None => assert!(response.body.ends_with(b"\r\n0\r\n\r\n"), "{response:?}"),
    }
    response
}

/// Requests each kind of response from a server with `args` and checks it.
pub fn each_kind(args: &[&str], check: impl Fn(&Kind, &Response)) {
    for site in sites() {
        let server = with(&site, args);
        each(KINDS, |kind| {
            let response = ask(&server, kind.line, kind.fields);
            assert!(response.status == kind.status || is_whole_instead(kind, &response), "{response:?}");
            check(kind, &response);
        });
    }
}

/// Returns whether the response is the whole file instead of a multipart response, because every
/// part would have to repeat the operator's content fields.
pub fn is_whole_instead(kind: &Kind, response: &Response) -> bool {
    kind.fields.contains(',') && kind.status == 206 && response.header("content-language").is_some()
}

/// Returns all values of the fields named `name`.
pub fn values<'a>(response: &'a Response, name: &str) -> Vec<&'a str> {
    let found = response.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str()).collect()
}

/// Returns the members of `Vary` in lower case; asserts that none occurs twice.
pub fn vary(response: &Response) -> BTreeSet<String> {
    let lines = values(response, "vary").join(",").to_ascii_lowercase();
    let mut names = BTreeSet::new();
    for name in lines.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        assert!(names.insert(name.to_owned()), "{name} occurs twice in {response:?}");
    }
    names
}

/// Returns the set of `names`.
pub fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
