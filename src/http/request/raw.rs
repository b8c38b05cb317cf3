//! The bytes of a request, for a service that shows or returns them.
//!
//! The request has been parsed before, so nothing here refuses anything.

use std::borrow::Cow;

use crate::http::{ChunkedDecoder, ChunkedPiece};

/// The head and the body of a valid request, as they were received.
#[derive(Debug, Clone, Copy)]
pub struct RawRequest<'a> {
    head: &'a [u8],
    body: &'a [u8],
}

impl<'a> RawRequest<'a> {
    /// Splits a request behind its head. Without an empty line, all of it is the head.
    pub fn split(input: &'a [u8]) -> RawRequest<'a> {
        let end = memchr::memmem::find(input, b"\r\n\r\n").map_or(input.len(), |at| at + 4);
        RawRequest::new(&input[..end], &input[end..])
    }

    /// Creates a request from its head and its body.
    pub fn new(head: &'a [u8], body: &'a [u8]) -> RawRequest<'a> {
        // An empty line before a request is skipped.
        RawRequest { head: head.strip_prefix(b"\r\n").unwrap_or(head), body }
    }

    /// Returns the head, with the empty line that ends it.
    pub fn head(&self) -> &'a [u8] {
        self.head
    }

    /// Returns the field lines: each name with its value.
    pub fn fields(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        let mut rest = self.head;
        let mut line = move || {
            let end = memchr::memmem::find(rest, b"\r\n")?;
            let line = &rest[..end];
            rest = &rest[end + 2..];
            Some(line)
        };
        line(); // the request line
        std::iter::from_fn(line).filter_map(|line| {
            let colon = memchr::memchr(b':', line)?;
            Some((std::str::from_utf8(&line[..colon]).ok()?, line[colon + 1..].trim_ascii()))
        })
    }

    /// Returns the value of the first field with this name.
    pub fn field(&self, name: &str) -> Option<&'a [u8]> {
        self.fields().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Returns the body without the chunked coding.
    pub fn body(&self) -> Cow<'a, [u8]> {
        match self.field("Transfer-Encoding") {
            Some(_) => Cow::Owned(decode(self.body)),
            None => Cow::Borrowed(self.body),
        }
    }
}

/// Returns the bytes in the chunks of `body`.
fn decode(mut body: &[u8]) -> Vec<u8> {
    let (mut decoder, mut bytes) = (ChunkedDecoder::default(), Vec::new());
    while let Ok(Some((piece, len))) = decoder.next(body) {
        match piece {
            ChunkedPiece::Data(data) => bytes.extend_from_slice(data),
            ChunkedPiece::Trailers(_) => break,
            ChunkedPiece::Size(_) | ChunkedPiece::DataEnd => {}
        }
        body = &body[len..];
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_has_its_fields_and_its_body() {
        let plain = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\na\r\n\r";
        let chunked = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\nHost:a\r\n\r\n\
                       2;x\r\na\r\r\n2\r\n\n\r\r\n0\r\nT: x\r\n\r\n";
        for input in [plain, chunked, &format!("\r\n{plain}"), &format!("\r\n{chunked}")] {
            let raw = RawRequest::split(input.as_bytes());
            assert_eq!(&*raw.body(), b"a\r\n\r", "{input:?}");
            assert_eq!((raw.field("HOST"), raw.field("none")), (Some(&b"a"[..]), None), "{input:?}");
            assert!(raw.head().starts_with(b"POST /") && raw.head().ends_with(b"\r\n\r\n"));
        }
        let fields = "GET / HTTP/1.1\r\nA: \t1:2 \r\nB:\r\nA:3\r\n\r\n";
        let fields: Vec<_> = RawRequest::split(fields.as_bytes()).fields().collect();
        assert_eq!(fields, [("A", &b"1:2"[..]), ("B", b""), ("A", b"3")]);
        let odd = RawRequest::split(b"GET /");
        assert_eq!((odd.head(), &*odd.body(), odd.fields().count()), (&b"GET /"[..], &b""[..], 0));
    }
}
