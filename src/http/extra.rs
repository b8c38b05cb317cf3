//! Field lines that the operator adds, and the path patterns that say where.

use super::request::is_tchar;

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
        let is_name = !name.is_empty() && name.bytes().all(is_tchar);
        if !is_name {
            return Err("what stands before the colon is no name of a field");
        }
        if is_in(&OURS, name) {
            return Err("the server itself has to say that");
        }
        check_value(value.trim())?;
        Ok(Extra { pattern, name: name.to_owned(), value: value.trim().to_owned() })
    }

    pub fn applies(&self, kind: Kind, path: &[u8]) -> bool {
        let is_of_kind = match kind {
            Kind::File => true,
            Kind::Copy => !is_in(&OF_CONTENT, &self.name),
            Kind::Page => !is_in(&OF_CONTENT, &self.name) && !is_in(&OF_COPIES, &self.name),
        };
        is_of_kind && self.pattern.as_ref().is_none_or(|pattern| matches(pattern.as_bytes(), path))
    }

    /// Puts the line at the end of the head that begins at `head`, instead of any of its name.
    pub fn set(&self, head: usize, out: &mut Vec<u8>) {
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
pub fn check_value(value: &str) -> Result<(), &'static str> {
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
    }
}
