//! Field lines that the operator adds, and the path patterns that say where.

use percent_encoding::percent_decode_str;

use super::bytes;

/// What the operator's lines can be about in a response.
#[derive(Debug, Clone, Copy, Default)]
pub struct Topics {
    /// The bytes of a file: the response carries them, and no others.
    pub content: bool,
    /// How long a copy is good: the response is of the file at its address.
    pub lifetime: bool,
    /// What its page may load: the page is not ours.
    pub loading: bool,
}

/// A field line that the operator adds, on some paths or on all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extra {
    /// `*` in it stands for anything, slashes too.
    pattern: Option<Vec<u8>>,
    name: String,
    value: String,
}

/// Those that say where a response ends, what became of the connection, which version of a file this is, or what a
/// refusal and a redirect are about.
const OURS: [&str; 15] = [
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
/// Those that are about the bytes of a file.
const OF_CONTENT: [&str; 5] =
    ["content-type", "content-encoding", "content-language", "content-disposition", "content-location"];
/// Those that say how long a copy of a file is good.
const OF_COPIES: [&str; 2] = ["cache-control", "expires"];
/// Those that say what a page may load.
const OF_LOADING: [&str; 1] = ["content-security-policy"];
/// Those of which several add up.
const ADDING_UP: [&str; 3] = ["link", "set-cookie", "vary"];

impl Extra {
    /// Reads `[PATTERN ]Name: value`; a pattern begins with a slash or a star, and is written as in an address: a space
    /// in it is `%20`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Extra, &'static str> {
        let (pattern, line) = match text.split_once(' ') {
            Some((pattern, line)) if pattern.starts_with(['/', '*']) => {
                (Some(percent_decode_str(pattern).collect()), line)
            }
            _ => (None, text),
        };
        let (name, value) = line.trim_start().split_once(':').ok_or("give a name, a colon and a value")?;
        let is_name = !name.is_empty() && bytes::are_all(name.as_bytes(), bytes::TOKEN);
        if !is_name {
            return Err("what stands before the colon is no name of a field");
        }
        if is_in(&OURS, name) {
            return Err("the server itself has to say that");
        }
        check_value(value.trim())?;
        Ok(Extra { pattern, name: name.to_owned(), value: value.trim().to_owned() })
    }

    /// Whether the line goes with a response of these `topics`, to a request for `path`.
    pub fn applies(&self, topics: Topics, path: &[u8]) -> bool {
        let is_about = |names| is_in(names, &self.name);
        let is_welcome = (topics.content || !is_about(&OF_CONTENT))
            && (topics.lifetime || !is_about(&OF_COPIES))
            && (topics.loading || !is_about(&OF_LOADING));
        is_welcome && self.pattern.as_ref().is_none_or(|pattern| matches(pattern, path))
    }

    /// Whether the line says something of the content of the file at `path`.
    pub fn is_about_content(&self, path: &[u8]) -> bool {
        is_in(&OF_CONTENT, &self.name) && self.applies(Topics { content: true, ..Topics::default() }, path)
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
            Ok(Extra { pattern: pattern.map(Vec::from), name: name.into(), value: value.into() })
        };
        let table = [
            ("X-A: b", extra(None, "X-A", "b")),
            ("X-A:b: c ", extra(None, "X-A", "b: c")),
            ("X-Empty:", extra(None, "X-Empty", "")),
            ("/a/* X-A: b", extra(Some("/a/*"), "X-A", "b")),
            ("/a%20b X-A: b", extra(Some("/a b"), "X-A", "b")),
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
            ("Location: /x", Err("the server itself has to say that")),
        ];
        for (text, expected) in table {
            assert_eq!(Extra::parse(text), expected, "{text:?}");
        }
    }
}
