//! The head of a response, and what it says about the end of the body (RFC 9112 section 6.3).

use crate::{clients::dialogue::visible, http::content_length};

/// The maximum length in bytes of a response head, of the line before a chunk, and of the trailer
/// section.
pub const MAX_HEAD: usize = 32 * 1024;
/// The maximum number of field lines in a response head.
const MAX_FIELDS: usize = 128;

/// The head of a response.
#[derive(Debug, PartialEq, Eq)]
pub struct ResponseHead<'a> {
    /// The status code.
    pub status: u16,
    /// The status line, the field lines and the empty line.
    pub bytes: &'a [u8],
    /// Where the body ends. Without a body, its length is 0.
    pub body_end: BodyEnd,
    /// Whether the response has a `Location` field.
    pub has_location: bool,
    /// Whether the response has a `Content-Length` that `Transfer-Encoding` overrides.
    pub ignores_length: bool,
}

/// Where the body of a response ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyEnd {
    /// After this many bytes.
    Length(u64),
    /// After the last chunk.
    Chunks,
    /// Where the server closes the connection.
    Close,
}

impl ResponseHead<'_> {
    /// Returns the status line, without its line end.
    pub fn status_line(&self) -> &[u8] {
        self.bytes.split(|b| *b == b'\n').next().unwrap_or_default().trim_ascii_end()
    }

    /// Returns whether another response follows this one. It does not after a 101 (Switching
    /// Protocols) response: then the connection does not speak HTTP any more.
    pub fn is_interim(&self) -> bool {
        matches!(self.status, 100 | 102..200)
    }
}

/// Returns the beginning of `input` that is long enough for a whole head. Nothing after it is
/// parsed, so that the result does not depend on how the input was split into reads.
pub fn within(input: &[u8]) -> &[u8] {
    &input[..input.len().min(MAX_HEAD)]
}

/// Parses the head at the beginning of `input`. Returns the head and its length in bytes, or `None`
/// if more input is needed. `to_head` says that the request was HEAD.
///
/// # Errors
/// Returns an error message if the head is malformed or too long, or if the end of the body is
/// ambiguous.
pub fn parse_head(input: &[u8], to_head: bool) -> Result<Option<(ResponseHead<'_>, usize)>, String> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let parsed = response.parse(within(input));
    let len = match parsed.map_err(|e| format!("the response head is malformed: {e}"))? {
        httparse::Status::Complete(len) => len,
        httparse::Status::Partial if input.len() >= MAX_HEAD => {
            return Err(format!("the response head is longer than {MAX_HEAD} bytes"));
        }
        httparse::Status::Partial => return Ok(None),
    };
    let status = response.code.unwrap_or_default();
    if status < 100 {
        return Err(format!("the response head is malformed: the status is {status}"));
    }
    let has = |name| response.headers.iter().any(|field| field.name.eq_ignore_ascii_case(name));
    let body_end = match status {
        100..200 | 204 | 304 => BodyEnd::Length(0),
        _ if to_head => BodyEnd::Length(0),
        _ => body_end(response.version == Some(0), response.headers)?,
    };
    let head = ResponseHead {
        status,
        bytes: &input[..len],
        body_end,
        has_location: has("location"),
        ignores_length: body_end == BodyEnd::Chunks && has("content-length"),
    };
    Ok(Some((head, len)))
}

/// Returns where the body after a head with these `fields` ends.
///
/// # Errors
/// Returns an error message if the fields are malformed or contradict each other, or if the body
/// has a transfer coding other than `chunked`.
fn body_end(is_http10: bool, fields: &[httparse::Header<'_>]) -> Result<BodyEnd, String> {
    let values = |name: &'static str| {
        let named = fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
        named.flat_map(|field| field.value.split(|b| *b == b',')).map(<[u8]>::trim_ascii)
    };
    let codings: Vec<&[u8]> = values("transfer-encoding").collect();
    match codings[..] {
        [] => {}
        _ if is_http10 => return Err("HTTP/1.0 has no Transfer-Encoding".into()),
        [coding] if coding.eq_ignore_ascii_case(b"chunked") => return Ok(BodyEnd::Chunks),
        _ => {
            let codings = codings.join(&b", "[..]);
            return Err(format!("the transfer coding is not supported: {}", visible(&codings)));
        }
    }
    let mut length = None;
    for value in values("content-length") {
        let bytes = content_length(value);
        let bytes = bytes.ok_or_else(|| format!("not a Content-Length: {}", visible(value)))?;
        if length.is_some_and(|length| length != bytes) {
            return Err("the response has two different values of Content-Length".into());
        }
        length = Some(bytes);
    }
    Ok(length.map_or(BodyEnd::Close, BodyEnd::Length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_says_where_the_body_ends() {
        let table = [
            ("GET", "200 OK\r\nContent-Length: 5", BodyEnd::Length(5)),
            ("GET", "200 OK\r\nContent-Length: 5,5\r\nCONTENT-LENGTH: 5", BodyEnd::Length(5)),
            ("GET", "200 OK\r\nTransfer-Encoding: chunked", BodyEnd::Chunks),
            ("GET", "200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: CHUNKED", BodyEnd::Chunks),
            ("GET", "500 No", BodyEnd::Close),
            ("HEAD", "200 OK\r\nContent-Length: 5", BodyEnd::Length(0)),
            ("HEAD", "200 OK\r\nTransfer-Encoding: gzip", BodyEnd::Length(0)),
            ("GET", "100 Continue\r\nContent-Length: 5", BodyEnd::Length(0)),
            ("GET", "101 Switching Protocols", BodyEnd::Length(0)),
            ("GET", "204 No Content\r\nTransfer-Encoding: chunked", BodyEnd::Length(0)),
            ("GET", "304 Not Modified\r\nContent-Length: 5", BodyEnd::Length(0)),
        ];
        for (method, lines, expected) in table {
            let input = format!("HTTP/1.1 {lines}\r\n\r\nmore");
            let head = parse_head(input.as_bytes(), method == "HEAD").expect(lines).expect("a whole head");
            assert_eq!((head.0.body_end, head.1), (expected, input.len() - 4), "{lines:?}");
        }
    }

    #[test]
    fn head_malformed_or_ambiguous_is_refused() {
        let table = [
            ("SSH-2.0-OpenSSH_9\r\n", "malformed: invalid"),
            ("HTTP/2.0 200 OK\r\n\r\n", "malformed: invalid HTTP version"),
            ("HTTP/1.1 2000 OK\r\n\r\n", "malformed: invalid response status"),
            ("HTTP/1.1 20x OK\r\n\r\n", "malformed: invalid response status"),
            ("HTTP/1.1 099 OK\r\n\r\n", "malformed: the status is 99"),
            ("HTTP/1.1 200 O\0K\r\n\r\n", "malformed: invalid"),
            ("HTTP/1.1 200 OK\rX: y\r\n\r\n", "malformed: invalid"),
            ("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "malformed: invalid header name"),
            ("HTTP/1.1 200 OK\r\nX : y\r\n\r\n", "malformed: invalid header name"),
            ("HTTP/1.1 200 OK\r\nX: a\r\n folded\r\n\r\n", "malformed: invalid header"),
            ("HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n", "malformed: invalid header value"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "two different values"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n", "two different values"),
            ("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", "not a Content-Length: -5"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5 5\r\n\r\n", "not a Content-Length: 5 5"),
            ("HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", "not a Content-Length"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", "not a Content-Length"),
            ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.0 has no"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "not supported: gzip, chunked"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", "not supported"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\r\n", "not supported"),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\x1b\r\n\r\n",
                "malformed",
            ),
        ];
        for (input, expected) in table {
            let refused = parse_head(input.as_bytes(), false).expect_err(input);
            assert!(refused.contains(expected), "{input:?}: {refused}");
            // No part of it is accepted before the rest arrives.
            for cut in 0..input.len() {
                let early = parse_head(&input.as_bytes()[..cut], false);
                assert!(early.as_ref().is_ok_and(Option::is_none) || early.is_err(), "{input:?} until {cut}");
            }
        }
    }

    #[test]
    fn head_has_a_limited_number_of_fields() {
        let head = |count: usize| format!("HTTP/1.1 204 OK\r\n{}\r\n", "X: y\r\n".repeat(count));
        assert!(parse_head(head(MAX_FIELDS).as_bytes(), false).is_ok_and(|head| head.is_some()));
        let refused = parse_head(head(MAX_FIELDS + 1).as_bytes(), false).expect_err("too many");
        assert!(refused.ends_with("too many headers"), "{refused}");
    }
}
