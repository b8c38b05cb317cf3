//! What the operator wants said with every response: how long a copy is good, who may read it from elsewhere, and
//! whatever fields a site needs.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::{
    plan::{Payload, Plan},
    request::Request,
};

/// The operator's choices.
#[derive(Debug)]
pub struct Policy {
    /// `Cache-Control` for files, and what else goes with each of them: whole field lines.
    of_files: Box<[u8]>,
    cors: Option<Cors>,
    extra: Vec<Extra>,
}

/// With files and with pages of ours: a browser is not to guess types.
const NOSNIFF: &str = "X-Content-Type-Options: nosniff\r\n";

impl Default for Policy {
    fn default() -> Policy {
        Policy { of_files: of_files("no-cache"), cors: None, extra: Vec::new() }
    }
}

fn of_files(cache_control: &str) -> Box<[u8]> {
    format!("Cache-Control: {cache_control}\r\n{NOSNIFF}").into_bytes().into()
}

impl Policy {
    /// `cache_control` goes with every file.
    ///
    /// # Errors
    /// It is no field value: what is wrong with it.
    pub fn new(cache_control: &str, cors: Option<Cors>, extra: Vec<Extra>) -> Result<Policy, &'static str> {
        check_value(cache_control)?;
        Ok(Policy { of_files: of_files(cache_control), cors, extra })
    }

    /// Appends the operator's field lines to the head of `plan`, which begins at `head` in `out` and ends there.
    pub fn append(&self, plan: &Plan<'_>, request: Option<&Request<'_>>, head: usize, out: &mut Vec<u8>) {
        let kind = plan.payload.kind();
        if kind != Kind::Page {
            out.extend_from_slice(&self.of_files);
        }
        let mut vary = plan.vary;
        if let (Some(cors), Some(request)) = (&self.cors, request) {
            vary = vary.and(cors.append(request, out));
        }
        vary.append(out);
        if let (false, Some(request)) = (self.extra.is_empty(), request) {
            let path = Cow::from(percent_decode_str(request.path()));
            for extra in self.extra.iter().filter(|extra| extra.applies(kind, &path)) {
                extra.set(head, out);
            }
        }
    }
}

/// What a response carries, as far as that decides which fields go with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The bytes of a file, or some of them.
    File,
    /// Word of a file, without its bytes or with several parts of them: nothing is to be said of its content.
    Copy,
    /// Anything else.
    Page,
}

impl Payload<'_> {
    fn kind(&self) -> Kind {
        match self {
            Payload::File(_) | Payload::Part { .. } => Kind::File,
            Payload::Copy(_) | Payload::Parts { .. } => Kind::Copy,
            _ => Kind::Page,
        }
    }
}

/// The request fields that had a say in a response (RFC 9110 §12.5.5).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Vary(u8);

impl Vary {
    pub const NOTHING: Vary = Vary(0);
    pub const ACCEPT_ENCODING: Vary = Vary(1);
    pub const ORIGIN: Vary = Vary(2);
    pub const ACCEPT: Vary = Vary(4);
    /// What tells navigation from the loading of a part of a page.
    pub const NAVIGATION: Vary = Vary(4 | 8);

    const NAMES: [(Vary, &str); 4] = [
        (Vary::ACCEPT_ENCODING, "Accept-Encoding"),
        (Vary::ORIGIN, "Origin"),
        (Vary::ACCEPT, "Accept"),
        (Vary(8), "Sec-Fetch-Mode"),
    ];

    pub fn and(self, other: Vary) -> Vary {
        Vary(self.0 | other.0)
    }

    fn append(self, out: &mut Vec<u8>) {
        let mut before = "Vary: ";
        for (vary, name) in Vary::NAMES {
            if self.0 & vary.0 != 0 {
                out.extend_from_slice(before.as_bytes());
                out.extend_from_slice(name.as_bytes());
                before = ", ";
            }
        }
        if self != Vary::NOTHING {
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Which pages from elsewhere may read what is served: cross-origin resource sharing, as the Fetch standard has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cors {
    /// Every page.
    Everybody,
    /// Pages of these origins.
    Origins(Vec<String>),
}

impl Cors {
    /// Pages of `origins`; `*` among them is every page.
    ///
    /// # Errors
    /// The one that is no origin.
    pub fn of(origins: &[String]) -> Result<Cors, &str> {
        if origins.iter().any(|origin| origin == "*") {
            return Ok(Cors::Everybody);
        }
        match origins.iter().find(|origin| !is_origin(origin)) {
            Some(origin) => Err(origin),
            None => Ok(Cors::Origins(origins.iter().map(|origin| origin.to_ascii_lowercase()).collect())),
        }
    }

    /// Appends what the peer's browser is to know; says what that depended on.
    fn append(&self, request: &Request<'_>, out: &mut Vec<u8>) -> Vary {
        let (allowed, vary) = match self {
            Cors::Everybody => (Some(&b"*"[..]), Vary::NOTHING),
            Cors::Origins(origins) => {
                let is_one = |asked: &&[u8]| origins.iter().any(|origin| origin.as_bytes() == *asked);
                (request.origin.filter(is_one), Vary::ORIGIN)
            }
        };
        if let Some(origin) = allowed {
            out.extend_from_slice(b"Access-Control-Allow-Origin: ");
            out.extend_from_slice(origin);
            out.extend_from_slice(b"\r\n");
            let more: &[u8] = if request.is_preflight { PREFLIGHT } else { EXPOSE };
            out.extend_from_slice(more);
        }
        vary
    }
}

/// `*` leaves Authorization out. A page may send what it likes: it is read by nobody here.
const PREFLIGHT: &[u8] = b"Access-Control-Allow-Methods: GET, HEAD, OPTIONS\r\n\
    Access-Control-Allow-Headers: *, Authorization\r\nAccess-Control-Max-Age: 600\r\n";
const EXPOSE: &[u8] = b"Access-Control-Expose-Headers: *\r\n";

/// `scheme://host[:port]`, or `null`, as browsers send it (RFC 6454 §6.2).
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return text == "null" };
    let is_scheme = scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    is_scheme && !scheme.is_empty() && super::authority::check(host.as_bytes()).is_ok()
}

/// A field line that the operator adds, on some paths or on all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extra {
    /// `*` in it stands for anything, slashes too.
    pattern: Option<String>,
    name: String,
    value: String,
}

/// Those that say where a response ends, what became of the connection, or which version of a file this is.
const OURS: [&str; 12] = [
    "accept-ranges",
    "connection",
    "content-length",
    "content-range",
    "date",
    "etag",
    "keep-alive",
    "last-modified",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Those that are about the bytes of a file.
const OF_CONTENT: [&str; 5] =
    ["content-type", "content-encoding", "content-language", "content-disposition", "content-location"];
/// Those that say how long a copy of a file is good.
const OF_COPIES: [&str; 2] = ["cache-control", "expires"];
/// Those of which several add up.
const ADDING_UP: [&str; 3] = ["link", "set-cookie", "vary"];

impl Extra {
    /// Reads `[PATTERN ]Name: value`; a pattern begins with a slash or a star.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Extra, &'static str> {
        let (pattern, line) = match text.split_once(' ') {
            Some((pattern, line)) if pattern.starts_with(['/', '*']) => (Some(pattern.to_owned()), line),
            _ => (None, text),
        };
        let (name, value) = line.trim_start().split_once(':').ok_or("give a name, a colon and a value")?;
        let is_name = !name.is_empty() && name.bytes().all(super::request::is_tchar);
        if !is_name {
            return Err("what stands before the colon is no name of a field");
        }
        if is_in(&OURS, name) {
            return Err("the server itself has to say that");
        }
        check_value(value.trim())?;
        Ok(Extra { pattern, name: name.to_owned(), value: value.trim().to_owned() })
    }

    fn applies(&self, kind: Kind, path: &[u8]) -> bool {
        let is_of_kind = match kind {
            Kind::File => true,
            Kind::Copy => !is_in(&OF_CONTENT, &self.name),
            Kind::Page => !is_in(&OF_CONTENT, &self.name) && !is_in(&OF_COPIES, &self.name),
        };
        is_of_kind && self.pattern.as_ref().is_none_or(|pattern| matches(pattern.as_bytes(), path))
    }

    /// Puts the line at the end of the head that begins at `head`, instead of any of its name.
    fn set(&self, head: usize, out: &mut Vec<u8>) {
        if !is_in(&ADDING_UP, &self.name) {
            remove_field(&self.name, head, out);
        }
        for piece in [&self.name, ": ", &self.value, "\r\n"] {
            out.extend_from_slice(piece.as_bytes());
        }
    }
}

fn is_in(names: &[&str], name: &str) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Visible characters, spaces and tabs (RFC 9110 §5.5).
fn check_value(value: &str) -> Result<(), &'static str> {
    match value.bytes().all(|b| b == b'\t' || (b >= b' ' && b != 0x7f)) {
        true => Ok(()),
        false => Err("the value has a control character"),
    }
}

/// Takes every field line called `name` out of the head that begins at `head`.
fn remove_field(name: &str, head: usize, out: &mut Vec<u8>) {
    let mut at = head;
    while let Some(len) = memchr::memmem::find(&out[at..], b"\r\n").map(|end| end + 2) {
        let line = &out[at..at + len];
        let is_it =
            line.get(name.len()) == Some(&b':') && line[..name.len()].eq_ignore_ascii_case(name.as_bytes());
        if is_it {
            out.drain(at..at + len);
        } else {
            at += len;
        }
    }
}

/// Whether `path` is of the form of `pattern`: each `*` takes as little as lets the next piece follow.
fn matches(pattern: &[u8], path: &[u8]) -> bool {
    let mut pieces = pattern.split(|b| *b == b'*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = path.strip_prefix(first) else { return false };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    for piece in pieces {
        let Some(at) = memchr::memmem::find(rest, piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::parse;

    fn request(line: &str, fields: &str) -> Request<'static> {
        let input = format!("{line} HTTP/1.1\r\nHost: a\r\n{fields}\r\n").leak();
        parse(input.as_bytes()).expect("no refusal").expect("a whole request").0
    }

    fn lines(policy: &Policy, plan: &Plan<'_>, request: &Request<'_>) -> Vec<String> {
        let mut out = b"before\r\n\r\nHTTP/1.1 200 OK\r\nServer: oneloop\r\nContent-Type: a\r\n".to_vec();
        policy.append(plan, Some(request), 10, &mut out);
        let text = String::from_utf8(out).expect("text");
        text.strip_prefix("before\r\n\r\nHTTP/1.1 200 OK\r\n")
            .expect("the rest is untouched")
            .lines()
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn patterns() {
        let table = [
            ("/", "/", true),
            ("/", "/a", false),
            ("/a", "/a/", false),
            ("*", "", true),
            ("*", "/a/b", true),
            ("/assets/*", "/assets/a/b.js", true),
            ("/assets/*", "/assets/", true),
            ("/assets/*", "/asset", false),
            ("*.js", "/a.js", true),
            ("*.js", "/a.js/b", false),
            ("*.js", ".js", true),
            ("/a*b*c", "/a-b-b-c", true),
            ("/a*b*c", "/a-c-b", false),
            ("/a*a", "/a", false),
            ("/a**", "/a", true),
            ("*ab*ab", "ab", false),
        ];
        for (pattern, path, expected) in table {
            assert_eq!(matches(pattern.as_bytes(), path.as_bytes()), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn lines_of_the_operator() {
        let extra = |pattern: Option<&str>, name: &str, value: &str| {
            Ok(Extra { pattern: pattern.map(str::to_owned), name: name.into(), value: value.into() })
        };
        let table = [
            ("X-A: b", extra(None, "X-A", "b")),
            ("X-A:b: c ", extra(None, "X-A", "b: c")),
            ("X-Empty:", extra(None, "X-Empty", "")),
            ("/a/* X-A: b", extra(Some("/a/*"), "X-A", "b")),
            ("*.js X-A: \u{e9}", extra(Some("*.js"), "X-A", "\u{e9}")),
            ("X-A", Err("give a name, a colon and a value")),
            ("", Err("give a name, a colon and a value")),
            (": b", Err("what stands before the colon is no name of a field")),
            ("X A: b", Err("what stands before the colon is no name of a field")),
            ("X-A : b", Err("what stands before the colon is no name of a field")),
            ("X-A: b\r\nX-B: c", Err("the value has a control character")),
            ("X-A: \x1b", Err("the value has a control character")),
            ("content-length: 5", Err("the server itself has to say that")),
            ("Transfer-Encoding: chunked", Err("the server itself has to say that")),
            ("*.js ETag: \"a\"", Err("the server itself has to say that")),
        ];
        for (text, expected) in table {
            assert_eq!(Extra::parse(text), expected, "{text:?}");
        }
        assert!(Policy::new("no-store\n", None, Vec::new()).is_err());
    }

    #[test]
    fn the_last_line_that_applies_replaces_ours_and_earlier_ones() {
        let extra = [
            "X-A: 1",
            "/b* X-A: 2",
            "Content-Type: text/x",
            "Cache-Control: max-age=1",
            "Link: <a>",
            "Link: <b>",
            "server: mine",
        ];
        let extra = extra.map(|line| Extra::parse(line).expect(line)).to_vec();
        let policy = Policy::new("no-store", None, extra).expect("a policy");
        let facts = crate::http::plan::tests::facts();
        let a = request("GET /a", "");
        let file =
            ["X-Content-Type-Options: nosniff", "Vary: Accept-Encoding", "X-A: 1", "Content-Type: text/x"];
        let rest = ["Cache-Control: max-age=1", "Link: <a>", "Link: <b>", "server: mine"];
        assert_eq!(lines(&policy, &Plan::file(&a, &facts), &a), [&file[..], &rest].concat());
        let b = request("GET /%62", "");
        let page = ["Content-Type: a", "X-A: 2", "Link: <a>", "Link: <b>", "server: mine"];
        let refusal = crate::http::Refusal::NOT_FOUND;
        assert_eq!(lines(&policy, &Plan::refuse(&b, refusal, None), &b), page);
    }

    #[test]
    fn who_may_read_from_elsewhere() {
        let plan = |request: &Request<'_>| Plan::options(request);
        let policy = |cors| Policy::new("no-cache", Some(cors), Vec::new()).expect("a policy");
        let some = policy(Cors::Origins(vec!["http://localhost:3000".into(), "null".into()]));
        let everybody = policy(Cors::Everybody);
        let start = ["Server: oneloop", "Content-Type: a"];
        let check = |policy: &Policy, line: &str, fields: &str, expected: &[&str]| {
            let request = request(line, fields);
            let got = lines(policy, &plan(&request), &request);
            assert_eq!(got, [&start, expected].concat(), "{line} {fields:?}");
        };
        let preflight = [
            "Access-Control-Allow-Methods: GET, HEAD, OPTIONS",
            "Access-Control-Allow-Headers: *, Authorization",
            "Access-Control-Max-Age: 600",
        ];
        let expose = "Access-Control-Expose-Headers: *";
        let asks = "Origin: http://localhost:3000\r\nAccess-Control-Request-Method: GET\r\n";
        let anybody = "Access-Control-Allow-Origin: *";
        let one = "Access-Control-Allow-Origin: http://localhost:3000";
        check(&everybody, "GET /", "", &[anybody, expose]);
        check(&everybody, "OPTIONS /", asks, &[&[anybody][..], &preflight].concat());
        check(&everybody, "GET /", asks, &[anybody, expose]);
        check(&some, "GET /", "", &["Vary: Origin"]);
        check(&some, "GET /", "Origin: http://localhost:3001\r\n", &["Vary: Origin"]);
        check(&some, "GET /", "Origin: http://localhost:3000\r\n", &[one, expose, "Vary: Origin"]);
        check(
            &some,
            "GET /",
            "Origin: null\r\n",
            &["Access-Control-Allow-Origin: null", expose, "Vary: Origin"],
        );
        check(&some, "OPTIONS /", asks, &[&[one][..], &preflight, &["Vary: Origin"]].concat());
    }

    #[test]
    fn origins() {
        let of = |origin: &str| Cors::of(&[origin.to_owned()]).is_ok();
        for origin in
            ["*", "null", "http://localhost", "https://a.example:8443", "HTTP://[::1]:80", "app://x"]
        {
            assert!(of(origin), "{origin}");
        }
        for origin in
            ["", "localhost", "http://", "http://a/", "http://a/b", "http://a b", "://a", "http://a\r\nX: y"]
        {
            assert!(!of(origin), "{origin}");
        }
        assert_eq!(Cors::of(&["a://B".into()]), Ok(Cors::Origins(vec!["a://b".into()])));
        assert_eq!(Cors::of(&["a://b".into(), "*".into()]), Ok(Cors::Everybody));
    }
}
