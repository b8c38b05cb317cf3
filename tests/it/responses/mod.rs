//! What the operator adds to responses: `--header`, `--cors` and `--cache-control` on every kind of
//! response. No value and no request can break a head.

mod caching;
mod cors;
mod headers;

use std::collections::BTreeSet;

use crate::common::*;

/// A kind of response: how to get it. Each request is one that is understood.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    pub line: &'static str,
    pub fields: &'static str,
    pub status: u16,
    pub carries: Carries,
}

/// What a response carries, as far as that decides what is said with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carries {
    /// The bytes of a file, or one part of them.
    File,
    /// Word of a file: several of its parts, or that a copy of it is good.
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

/// A site in which every kind is to be had, once with our page for what is missing and once with
/// one of its own.
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

/// Starts a server with `args` beside those that every kind of response needs.
pub fn with(site: &Site, args: &[&str]) -> Server {
    Server::with(site, &[&["--listing"], args].concat())
}

/// One response with all that came behind its head, which must be as much as the head says.
pub fn ask(server: &Server, line: &str, fields: &str) -> Response {
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

/// What the operator says of a file's content would have to stand in each of several parts: they
/// are not sent then.
pub fn is_whole_instead(kind: &Kind, response: &Response) -> bool {
    kind.fields.contains(',') && kind.status == 206 && response.header("content-language").is_some()
}

/// All values of the fields called `name`.
pub fn values<'a>(response: &'a Response, name: &str) -> Vec<&'a str> {
    let found = response.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str()).collect()
}

/// The members of `Vary`, in lower case; none may stand there twice.
pub fn vary(response: &Response) -> BTreeSet<String> {
    let lines = values(response, "vary").join(",").to_ascii_lowercase();
    let mut names = BTreeSet::new();
    for name in lines.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        assert!(names.insert(name.to_owned()), "{name} stands twice in {response:?}");
    }
    names
}

/// Returns the set of `names`.
pub fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
