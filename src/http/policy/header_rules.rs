//! Header rules: field lines that the operator adds to responses, either for all paths or for paths
//! that match a pattern.

use std::{fmt, ops::Range};

use super::path_pattern::{Captures, PathPattern, PatternError, Template};
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
    /// Whether the response must not be stored, so that each request reaches the server.
    pub no_store: bool,
    /// Whether it shows a client its own request, which pages of other sites must not read.
    pub private: bool,
}

/// A field line that the operator adds to responses, either for all paths or for paths that match a
/// pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderRule {
    /// The path pattern. `None` matches every path.
    pattern: Option<PathPattern>,
    field: FieldLine,
}

/// A field line that the operator adds. Its value may repeat what a pattern has matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldLine {
    name: String,
    value: Template,
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
    /// Returns a [`RuleError`] if the colon is missing, the pattern, name or value is not valid, or
    /// the field is reserved.
    pub fn parse(text: &str) -> Result<HeaderRule, RuleError> {
        let (pattern, line) = match text.split_once(' ') {
            Some((pattern, line)) if pattern.starts_with(['/', '*']) => {
                (Some(PathPattern::parse(pattern).map_err(RuleError::Pattern)?), line)
            }
            _ => (None, text),
        };
        let field = FieldLine::parse(line, pattern.as_ref())?;
        Ok(HeaderRule { pattern, field })
    }

    /// Returns the captures of the pattern if the rule applies to a response with this `scope` to a
    /// request for `path`.
    pub fn applies<'m>(&'m self, scope: HeaderScope, path: &'m [u8]) -> Option<Captures<'m>> {
        if !scope.includes(&self.field.name) {
            return None;
        }
        self.pattern.as_ref().map_or_else(|| Some(Captures::new()), |pattern| pattern.matches(path))
    }

    /// Returns whether the rule sets a field about the content of the file at `path`.
    pub fn describes_content(&self, path: &[u8]) -> bool {
        self.field.describes_content()
            && self.applies(HeaderScope { content: true, ..HeaderScope::default() }, path).is_some()
    }

    /// Returns the field line of the rule.
    pub fn field(&self) -> &FieldLine {
        &self.field
    }
}

impl HeaderScope {
    /// Returns whether rules about the field `name` apply.
    pub fn includes(self, name: &str) -> bool {
        (self.content || !is_in(&CONTENT_FIELDS, name))
            && (self.freshness || !is_in(&FRESHNESS_FIELDS, name))
            && (self.csp || !is_in(&CSP_FIELDS, name))
    }
}

impl FieldLine {
    /// Parses `Name: value`. The value may repeat what `pattern` has matched.
    ///
    /// # Errors
    /// Returns a [`RuleError`] if the colon is missing, the name or value is not valid, or the
    /// field is reserved.
    pub fn parse(line: &str, pattern: Option<&PathPattern>) -> Result<FieldLine, RuleError> {
        let (name, value) = parse_field_line(line)?;
        if is_in(&RESERVED, name) {
            return Err(RuleError::Reserved);
        }
        Ok(FieldLine { name: name.to_owned(), value: Template::parse(value, pattern, &[]) })
    }

    /// Returns the name of the field.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns whether the value repeats a part of the path.
    pub fn has_captures(&self) -> bool {
        self.value.has_captures()
    }

    /// Returns whether the field is about the content of a file.
    pub fn describes_content(&self) -> bool {
        is_in(&CONTENT_FIELDS, &self.name)
    }

    /// Appends the field line to the head that starts at offset `head` in `out`. Removes earlier
    /// lines with the same name, unless the field may occur more than once. Changes nothing if the
    /// captures make the value too long.
    pub fn set(&self, captures: &Captures<'_>, head: usize, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(self.name.as_bytes());
        out.extend_from_slice(b": ");
        if !self.value.expand(captures, out) {
            out.truncate(start);
            return;
        }
        out.extend_from_slice(b"\r\n");
        if !is_in(&APPENDABLE, &self.name) {
            remove_field(&self.name, head..start, out);
        }
    }

    /// Adds the value to that of the last field line with this name, after a comma (RFC 9110
    /// section 5.3). Sets the field if there is no such line, or if each value needs its own.
    pub fn add(&self, captures: &Captures<'_>, head: usize, out: &mut Vec<u8>) {
        let end = find_field(&self.name, &out[head..])
            .map(|line| head + line.end)
            .filter(|_| !is_in(&APPENDABLE, &self.name));
        let Some(end) = end else { return self.set(captures, head, out) };
        let mut more = b", ".to_vec();
        if self.value.expand(captures, &mut more) {
            let at = end - b"\r\n".len();
            out.splice(at..at, more);
        }
    }
}

/// Checks that the field `name` can be removed from responses.
///
/// # Errors
/// Returns a [`RuleError`] if the name is not valid, or the server needs the field.
pub fn check_removable(name: &str) -> Result<(), RuleError> {
    if name.is_empty() || !charset::are_all(name.as_bytes(), charset::TOKEN) {
        return Err(RuleError::InvalidName);
    }
    // Without `Vary`, a cache would mix up the responses to different clients. Without
    // `Content-Encoding`, a client could not decode a compressed variant.
    if is_in(&RESERVED, name) || is_in(&["vary", "content-encoding"], name) {
        return Err(RuleError::Reserved);
    }
    Ok(())
}

/// The reason why a header rule or a field value is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleError {
    /// There is no colon between the name and the value.
    MissingColon,
    /// The name is not a token (RFC 9110 section 5.1).
    InvalidName,
    /// Only the server may set or remove this field.
    Reserved,
    /// The value contains a control character.
    InvalidValue,
    /// The path pattern is not valid.
    Pattern(PatternError),
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RuleError::Pattern(error) => return error.fmt(f),
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

/// Removes all field lines with this `name` from the part `head` of `out`.
pub fn remove_field(name: &str, mut head: Range<usize>, out: &mut Vec<u8>) {
    while let Some(line) = find_field(name, &out[head.clone()]) {
        out.drain(head.start + line.start..head.start + line.end);
        head = head.start + line.start..head.end - line.len();
    }
}

/// Returns where the first field line with this `name` is in `head`.
fn find_field(name: &str, head: &[u8]) -> Option<Range<usize>> {
    let mut at = 0;
    while let Some(len) = memchr::memmem::find(&head[at..], b"\r\n").map(|end| end + 2) {
        let line = &head[at..at + len];
        let is_it =
            line.get(name.len()) == Some(&b':') && line[..name.len()].eq_ignore_ascii_case(name.as_bytes());
        if is_it {
            return Some(at..at + len);
        }
        at += len;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_rules_of_the_operator() {
        let rule = |pattern: Option<&str>, name: &str, value: &str| {
            let pattern = pattern.map(|text| PathPattern::parse(text).expect(text));
            let value = Template::parse(value, pattern.as_ref(), &[]);
            Ok(HeaderRule { pattern, field: FieldLine { name: name.into(), value } })
        };
        let table = [
            ("X-A: b", rule(None, "X-A", "b")),
            ("X-A:b: c ", rule(None, "X-A", "b: c")),
            ("X-Empty:", rule(None, "X-Empty", "")),
            ("/a/* X-A: b", rule(Some("/a/*"), "X-A", "b")),
            ("/a%20b X-A: b", rule(Some("/a%20b"), "X-A", "b")),
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
            ("/:a/* X-A: :splat of :a", rule(Some("/:a/*"), "X-A", ":splat of :a")),
            ("/*/:a X-A: b", Err(RuleError::Pattern(PatternError::SplatBeforeEnd))),
        ];
        for (text, expected) in table {
            assert_eq!(HeaderRule::parse(text), expected, "{text:?}");
        }
    }
}
