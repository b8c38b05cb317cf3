//! Header rules: field lines that the operator adds to responses, either for all paths or for paths
//! that match a pattern.

use std::fmt;

use percent_encoding::percent_decode_str;

use crate::http::request::charset;

/// Selects the kinds of header rules that apply to a response. All other rules always apply.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeaderScope {
    /// Whether rules about the content apply. They do if the body is a file's bytes and nothing
    /// else.
    pub content: bool,
    /// Whether rules about freshness apply. They do if the response is for a file at its own URL.
    pub freshness: bool,
    /// Whether rules that set `Content-Security-Policy` apply. They do not apply to a built-in
    /// listing, which has its own policy.
    pub csp: bool,
}

/// A field line that the operator adds to responses, either for all paths or for paths that match a
/// pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderRule {
    /// The path pattern, in which `*` matches any bytes, including slashes. `None` matches every
    /// path.
    pattern: Option<Vec<u8>>,
    name: String,
    value: String,
}

/// The fields that only the server may set: framing, connection, validators, refusals and
/// redirects.
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
/// The fields that describe the content of a file.
const CONTENT_FIELDS: [&str; 5] =
    ["content-type", "content-encoding", "content-language", "content-disposition", "content-location"];
/// The fields about freshness, that is, how long a cached copy may be used.
const FRESHNESS_FIELDS: [&str; 2] = ["cache-control", "expires"];
/// The fields that restrict what a page may load.
const CSP_FIELDS: [&str; 1] = ["content-security-policy"];
/// The fields that may occur more than once.
const APPENDABLE: [&str; 3] = ["link", "set-cookie", "vary"];

impl HeaderRule {
    /// Parses a rule, `[PATTERN ]Name: value`. A pattern starts with `/` or `*` and is
    /// percent-encoded as in a URL, so a space is written as `%20`.
    ///
    /// # Errors
    /// Returns a [`RuleError`] if the colon is missing, the name or value is not valid, or the
    /// field is reserved.
    pub fn parse(text: &str) -> Result<HeaderRule, RuleError> {
        let (pattern, line) = match text.split_once(' ') {
            Some((pattern, line)) if pattern.starts_with(['/', '*']) => {
                (Some(percent_decode_str(pattern).collect()), line)
            }
            _ => (None, text),
        };
        let (name, value) = parse_field_line(line)?;
        if is_in(&RESERVED, name) {
            return Err(RuleError::Reserved);
        }
        Ok(HeaderRule { pattern, name: name.to_owned(), value: value.to_owned() })
    }

    /// Returns whether the rule applies to a response with this `scope` to a request for `path`.
    pub fn applies(&self, scope: HeaderScope, path: &[u8]) -> bool {
        let is_about = |names| is_in(names, &self.name);
        let is_in_scope = (scope.content || !is_about(&CONTENT_FIELDS))
            && (scope.freshness || !is_about(&FRESHNESS_FIELDS))
            && (scope.csp || !is_about(&CSP_FIELDS));
        is_in_scope && self.pattern.as_ref().is_none_or(|pattern| matches(pattern, path))
    }

    /// Returns whether the rule sets a field about the content of the file at `path`.
    pub fn describes_content(&self, path: &[u8]) -> bool {
        is_in(&CONTENT_FIELDS, &self.name)
            && self.applies(HeaderScope { content: true, ..HeaderScope::default() }, path)
    }

    /// Appends the field line to the head that starts at offset `head` in `out`. Removes earlier
    /// lines with the same name, unless the field may occur more than once.
    pub fn set(&self, head: usize, out: &mut Vec<u8>) {
        if !is_in(&APPENDABLE, &self.name) {
            remove_field(&self.name, head, out);
        }
        for piece in [&self.name, ": ", &self.value, "\r\n"] {
            out.extend_from_slice(piece.as_bytes());
        }
    }
}

/// The reason why a header rule or a field value is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleError {
    /// There is no colon between the name and the value.
    MissingColon,
    /// The name is not a token (RFC 9110 section 5.1).
    InvalidName,
    /// Only the server may set this field.
    Reserved,
    /// The value contains a control character.
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

/// Splits a field line into its name and its value.
///
/// # Errors
/// Returns a [`RuleError`] if the colon is missing, or the name or value is not valid.
pub fn parse_field_line(line: &str) -> Result<(&str, &str), RuleError> {
    let (name, value) = line.trim_start().split_once(':').ok_or(RuleError::MissingColon)?;
    let is_name = !name.is_empty() && charset::are_all(name.as_bytes(), charset::TOKEN);
    if !is_name {
        return Err(RuleError::InvalidName);
    }
    check_value(value.trim())?;
    Ok((name, value.trim()))
}

/// Returns whether `names` contains `name`, ignoring ASCII case.
fn is_in(names: &[&str], name: &str) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Checks that a field value contains no control characters other than tabs (RFC 9110 section 5.5).
///
/// # Errors
/// Returns [`RuleError::InvalidValue`] if the value contains such a character.
pub fn check_value(value: &str) -> Result<(), RuleError> {
    match value.bytes().all(|b| b == b'\t' || (b >= b' ' && b != 0x7f)) {
        true => Ok(()),
        false => Err(RuleError::InvalidValue),
    }
}

/// Removes all field lines with this `name` from the head that starts at offset `head` in `out`.
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

/// Returns whether `path` matches `pattern`. Each `*` except the last one matches as few bytes as
/// possible.
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
    fn header_rules_of_the_operator() {
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
