//! Header rules: field lines that the operator adds, and the path patterns that say where.

use std::fmt;

use percent_encoding::percent_decode_str;

use crate::http::request::charset;

/// What header rules can be about in a response.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeaderScope {
    /// The content of a file: the response carries its bytes and no others.
    pub content: bool,
    /// How long a copy is good: the response is about the file at its own URL.
    pub freshness: bool,
    /// What the page may load: it is not one of ours.
    pub csp: bool,
}

/// A field line that the operator adds, on some paths or on all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderRule {
    /// `*` in it matches anything, slashes too.
    pattern: Option<Vec<u8>>,
    name: String,
    value: String,
}

/// Fields that the server alone sets: those about framing, the connection, the version of a file,
/// refusals and redirects.
const RESERVED: [&str; 15] = [
    "accept-ranges",
    "allow",
    "connection",
    "content-length",
    "content-range",
    "date",
    "etag",
    "keep-alive",
    "last-modified",
    "location",
    "retry-after",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Fields about the content of a file.
const CONTENT_FIELDS: [&str; 5] =
    ["content-type", "content-encoding", "content-language", "content-disposition", "content-location"];
/// Fields that say how long a copy is good.
const FRESHNESS_FIELDS: [&str; 2] = ["cache-control", "expires"];
/// Fields that say what a page may load.
const CSP_FIELDS: [&str; 1] = ["content-security-policy"];
/// Fields that may be sent more than once.
const APPENDABLE: [&str; 3] = ["link", "set-cookie", "vary"];

impl HeaderRule {
    /// Parses `[PATTERN ]Name: value`. A pattern begins with a slash or a star and is written as in
    /// a URL: a space is `%20`.
    ///
    /// # Errors
    /// See [`RuleError`].
    pub fn parse(text: &str) -> Result<HeaderRule, RuleError> {
        let (pattern, line) = match text.split_once(' ') {
            Some((pattern, line)) if pattern.starts_with(['/', '*']) => {
                (Some(percent_decode_str(pattern).collect()), line)
            }
            _ => (None, text),
        };
        let (name, value) = line.trim_start().split_once(':').ok_or(RuleError::MissingColon)?;
        let is_name = !name.is_empty() && charset::are_all(name.as_bytes(), charset::TOKEN);
        if !is_name {
            return Err(RuleError::InvalidName);
        }
        if is_in(&RESERVED, name) {
            return Err(RuleError::Reserved);
        }
        check_value(value.trim())?;
        Ok(HeaderRule { pattern, name: name.to_owned(), value: value.trim().to_owned() })
    }

    /// Returns whether the line goes with a response of this `scope` to a request for `path`.
    pub fn applies(&self, scope: HeaderScope, path: &[u8]) -> bool {
        let is_about = |names| is_in(names, &self.name);
        let is_in_scope = (scope.content || !is_about(&CONTENT_FIELDS))
            && (scope.freshness || !is_about(&FRESHNESS_FIELDS))
            && (scope.csp || !is_about(&CSP_FIELDS));
        is_in_scope && self.pattern.as_ref().is_none_or(|pattern| matches(pattern, path))
    }

    /// Returns whether the line is about the content of the file at `path`.
    pub fn is_about_content(&self, path: &[u8]) -> bool {
        is_in(&CONTENT_FIELDS, &self.name)
            && self.applies(HeaderScope { content: true, ..HeaderScope::default() }, path)
    }

    /// Appends the line to the head that begins at `head` in `out`, in place of others of its name.
    pub fn set(&self, head: usize, out: &mut Vec<u8>) {
        if !is_in(&APPENDABLE, &self.name) {
            remove_field(&self.name, head, out);
        }
        for piece in [&self.name, ": ", &self.value, "\r\n"] {
            out.extend_from_slice(piece.as_bytes());
        }
    }
}

/// Why a header rule or a field value is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleError {
    /// There is no colon between name and value.
    MissingColon,
    /// The name is not a token (RFC 9110 section 5.1).
    InvalidName,
    /// The server alone sets this field.
    Reserved,
    /// The value has a control character.
    InvalidValue,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RuleError::MissingColon => "not a header name, a colon and a value",
            RuleError::InvalidName => "invalid header name",
            RuleError::Reserved => "the server sets this header itself",
            RuleError::InvalidValue => "the value has a control character",
        })
    }
}

impl std::error::Error for RuleError {}

fn is_in(names: &[&str], name: &str) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Checks that a field value has only visible characters, spaces and tabs (RFC 9110 section 5.5).
///
/// # Errors
/// [`RuleError::InvalidValue`].
pub fn check_value(value: &str) -> Result<(), RuleError> {
    match value.bytes().all(|b| b == b'\t' || (b >= b' ' && b != 0x7f)) {
        true => Ok(()),
        false => Err(RuleError::InvalidValue),
    }
}

/// Removes every field line called `name` from the head that begins at `head`.
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

/// Returns whether `path` matches `pattern`: each `*` takes as little as lets the next piece
/// follow.
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
        let rule = |pattern: Option<&str>, name: &str, value: &str| {
            Ok(HeaderRule { pattern: pattern.map(Vec::from), name: name.into(), value: value.into() })
        };
        let table = [
            ("X-A: b", rule(None, "X-A", "b")),
            ("X-A:b: c ", rule(None, "X-A", "b: c")),
            ("X-Empty:", rule(None, "X-Empty", "")),
            ("/a/* X-A: b", rule(Some("/a/*"), "X-A", "b")),
            ("/a%20b X-A: b", rule(Some("/a b"), "X-A", "b")),
            ("*.js X-A: \u{e9}", rule(Some("*.js"), "X-A", "\u{e9}")),
            ("X-A", Err(RuleError::MissingColon)),
            ("", Err(RuleError::MissingColon)),
            (": b", Err(RuleError::InvalidName)),
            ("X A: b", Err(RuleError::InvalidName)),
            ("X-A : b", Err(RuleError::InvalidName)),
            ("X-A: b\r\nX-B: c", Err(RuleError::InvalidValue)),
            ("X-A: \x1b", Err(RuleError::InvalidValue)),
            ("content-length: 5", Err(RuleError::Reserved)),
            ("Transfer-Encoding: chunked", Err(RuleError::Reserved)),
            ("*.js ETag: \"a\"", Err(RuleError::Reserved)),
            ("Location: /x", Err(RuleError::Reserved)),
        ];
        for (text, expected) in table {
            assert_eq!(HeaderRule::parse(text), expected, "{text:?}");
        }
    }
}
