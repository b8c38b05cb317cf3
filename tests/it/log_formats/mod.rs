//! The formats of the access log, and what a line records: a response, or the part of it that was
//! sent. `access_log.rs` tests what all formats have in common.

mod aborted;
mod brief;
mod fields;
mod lines;
mod proxies;

use crate::common::*;
use rustix::process::Signal;
use serde_json::Value;

/// The formats of the access log.
pub const FORMATS: [&str; 3] = ["common", "combined", "json"];

/// More than the socket buffers on both sides hold together.
pub const BIG: u64 = 48 << 20;

/// A parsed log line. A field that the format lacks is `None`.
#[derive(Debug)]
pub struct Line {
    pub request: String,
    pub status: u16,
    pub bytes: u64,
    pub referer: Option<String>,
    pub user_agent: Option<String>,
    pub seconds: f64,
    pub is_aborted: bool,
}

impl Line {
    /// Parses a line strictly: printable ASCII, each field in its place, nothing after the last
    /// field.
    pub fn parse(format: &str, line: &str) -> Line {
        let text = line.strip_suffix('\n').unwrap_or_else(|| panic!("no line end: {line:?}"));
        assert!(text.bytes().all(|b| (b' '..=b'~').contains(&b)), "not printable ASCII: {text:?}");
        let line = if format == "json" { Line::of_json(text) } else { Line::of_words(format, text) };
        assert!(line.seconds >= 0.0 && line.seconds < 300.0, "{line:?}");
        line
    }

    pub fn of_words(format: &str, text: &str) -> Line {
        let mut words = words(text).into_iter();
        let mut next = || words.next().unwrap_or_else(|| panic!("too few words in {text:?}"));
        assert_eq!([next(), next(), next()], ["127.0.0.1", "-", "-"]);
        let time = next();
        assert!(time.starts_with('[') && time.ends_with(" +0000]"), "{time}");
        let (request, status, bytes) = (next(), next(), next());
        let is_combined = format == "combined";
        let [referer, user_agent] = [(); 2].map(|()| is_combined.then(&mut next));
        let seconds = next();
        let end: Vec<String> = words.collect();
        assert!(end.is_empty() || end == ["aborted"], "{end:?} after {text:?}");
        Line {
            request,
            status: status.parse().expect("a status"),
            bytes: if bytes == "-" { 0 } else { bytes.parse().expect("a number of bytes") },
            referer,
            user_agent,
            seconds: seconds.parse().expect("a number of seconds"),
            is_aborted: !end.is_empty(),
        }
    }

    pub fn of_json(text: &str) -> Line {
        let value: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{e} in {text:?}"));
        let object = value.as_object().expect("an object");
        let names = "time peer method target version referer user_agent status bytes seconds aborted";
        assert_eq!(object.len(), names.split(' ').count(), "{text}");
        let field = |name: &str| object.get(name).unwrap_or_else(|| panic!("no {name} in {text}"));
        // A backslash from the client is doubled, which distinguishes it from an escaping
        // backslash.
        let string = |name: &str| field(name).as_str().expect("a string").replace("\\\\", "\\");
        assert_eq!(string("peer"), "127.0.0.1");
        // RFC 3339 in UTC sorts as text.
        let shape: String =
            string("time").chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert!(shape.starts_with("0000-00-00T00:00:00") && shape.ends_with('Z'), "{text}");
        let request = ["method", "target", "version"].map(string).join(" ");
        Line {
            request: request.trim_end().to_owned(),
            status: field("status").as_u64().and_then(|n| n.try_into().ok()).expect("a status"),
            bytes: field("bytes").as_u64().expect("a number of bytes"),
            referer: Some(string("referer")),
            user_agent: Some(string("user_agent")),
            seconds: field("seconds").as_f64().expect("a number of seconds"),
            is_aborted: field("aborted").as_bool().expect("true or false"),
        }
    }
}

/// Splits a line into words as log parsers do: at single spaces outside quotes and brackets. Within
/// quotes a backslash escapes the next character.
pub fn words(text: &str) -> Vec<String> {
    let (mut words, mut rest) = (Vec::new(), text);
    loop {
        let (mut word, mut chars) = (String::new(), rest.char_indices());
        let end = if rest.starts_with('"') {
            chars.next();
            loop {
                match chars.next().unwrap_or_else(|| panic!("an unclosed quote in {text:?}")) {
                    (at, '"') => break at + 1,
                    (_, '\\') => match chars.next().expect("a character after a backslash").1 {
                        c @ ('"' | '\\') => word.push(c),
                        c => word.extend(['\\', c]),
                    },
                    (_, c) => word.push(c),
                }
            }
        } else {
            let close = if rest.starts_with('[') { rest.find(']').expect("a bracket") } else { 0 };
            let end = rest[close..].find(' ').map_or(rest.len(), |at| close + at);
            word.push_str(&rest[..end]);
            end
        };
        words.push(word);
        if end == rest.len() {
            return words;
        }
        rest = rest[end..]
            .strip_prefix(' ')
            .unwrap_or_else(|| panic!("words without a space between them in {text:?}"));
    }
}

/// A server that logs in `format`, and a parser for its log lines.
pub struct Logging {
    pub server: Server,
    pub format: &'static str,
}

impl Logging {
    pub fn with(site: &Site, format: &'static str, args: &[&str]) -> Logging {
        let log = ["--access-log", "--access-log-format", format];
        Logging { server: Server::with(site, &[&log, args].concat()), format }
    }

    pub fn line(&mut self) -> Line {
        Line::parse(self.format, &self.server.stdout_line())
    }

    /// Shuts the server down and asserts that it logs no more lines.
    pub fn expect_no_more(self) {
        self.server.signal(Signal::TERM);
        self.expect_end();
    }

    /// Asserts that the server exits and logs no more lines.
    pub fn expect_end(mut self) {
        assert_eq!(self.server.exit().code(), Some(0));
        assert_eq!(self.server.stdout_line(), "", "one line too many");
    }
}

/// Creates a site with `hello.txt`, a directory `folder/` to list, and `big`, a sparse file of
/// [`BIG`] bytes.
pub fn site() -> Site {
    let site = Site::new();
    site.crowd("folder", (0..500).map(|i| format!("a file with the number {i}")));
    site.sparse("big", BIG);
    site
}

/// Returns a request with the header `fields`.
pub fn request(line: &str, fields: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

/// Opens a connection with a download of `big` in progress that the client does not read; the
/// request has the header `fields`.
pub fn stalled(server: &Server, fields: &str) -> Client {
    let mut client = server.connect();
    client.send(request("GET /big", fields));
    assert!(matches!(client.head().status, 200 | 206));
    client
}
