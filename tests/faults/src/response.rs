//! Parses responses, strictly.

/// A response, without what may differ each time.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    /// The lines of the head without `Date` and `Connection`.
    pub head: Vec<String>,
    /// The content, without chunked coding.
    pub body: Vec<u8>,
    /// Whether the connection ends after it.
    pub is_last: bool,
}

impl Response {
    /// Returns the status code.
    pub fn status(&self) -> &str {
        self.head[0].split(' ').nth(1).expect("a status")
    }

    /// Returns whether both are the same, apart from whether the connection ends.
    pub fn is_same(&self, other: &Response) -> bool {
        self.head == other.head && self.body == other.body
    }
}

/// The beginning of received bytes.
pub enum Parsed {
    /// A whole response and its length in bytes.
    Whole(Response, usize),
    /// A part of a response, with the content so far, and the length in bytes that the whole one
    /// has at least.
    Partial(Response, usize),
    /// Less than a head.
    PartialHead,
}

/// Parses the response at the beginning of `bytes`. Panics if it is malformed.
pub fn parse(bytes: &[u8], is_head: bool) -> Parsed {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        let text = String::from_utf8_lossy(bytes);
        let is_beginning = text.starts_with("HTTP/1.1 ") || "HTTP/1.1 ".starts_with(&*text);
        assert!(is_beginning, "not the beginning of a response: {text:?}");
        return Parsed::PartialHead;
    };
    let text = std::str::from_utf8(&bytes[..end]).expect("an ASCII head");
    assert!(text.starts_with("HTTP/1.1 "), "not a response: {text:?}");
    let field = |name: &str| {
        let mut found = text.split("\r\n").filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let value = found.next();
        assert!(found.next().is_none(), "{name} occurs twice");
        value
    };
    let is_last = field("Connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    let kept = |line: &&str| !line.starts_with("Date: ") && !line.starts_with("Connection: ");
    let head: Vec<String> = text.split("\r\n").filter(kept).map(str::to_owned).collect();
    let has_content = !is_head && !text.starts_with("HTTP/1.1 304 ");
    let after = &bytes[end + 4..];
    let (body, len) = match (has_content, field("Transfer-Encoding")) {
        (false, _) => (Vec::new(), 0),
        (true, Some(coding)) => {
            assert_eq!(coding, "chunked");
            unchunked(after)
        }
        (true, None) => {
            let len = field("Content-Length").expect("a length").parse::<usize>().expect("a number");
            (after[..len.min(after.len())].to_vec(), len)
        }
    };
    let response = Response { head, body, is_last };
    let len = end + 4 + len;
    if bytes.len() < len { Parsed::Partial(response, len) } else { Parsed::Whole(response, len) }
}

/// Returns the content of chunks, and their length with everything around them, which is more than
/// `bytes` has if they are incomplete.
fn unchunked(bytes: &[u8]) -> (Vec<u8>, usize) {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let Some(line) = bytes[at..].windows(2).position(|window| window == b"\r\n") else {
            return (body, bytes.len() + 1);
        };
        let size = std::str::from_utf8(&bytes[at..at + line]).expect("a chunk size");
        let size = usize::from_str_radix(size, 16).expect("a hexadecimal number");
        at += line + 2;
        let end = at + size + 2;
        body.extend_from_slice(&bytes[at..(at + size).min(bytes.len())]);
        if bytes.len() < end {
            return (body, end);
        }
        assert_eq!(&bytes[at + size..end], b"\r\n", "the end of a chunk");
        at = end;
        if size == 0 {
            return (body, at);
        }
    }
}
