//! Reads a response: its head, and its body by length, by chunks or up to the close of the
//! connection (RFC 9112 section 6).
//!
//! The reader holds no bytes. It takes what has arrived and returns one piece at a time, so that a
//! body of any length needs no memory.

use super::head::{BodyEnd, MAX_HEAD, ResponseHead, parse_head, within};
use crate::http::{ChunkedDecoder, ChunkedPiece};

/// The maximum number of interim responses (1xx) before a response. Each one counts as progress, so
/// no timeout would end them.
const MAX_INTERIM: u32 = 100;

/// A reader for the response to one request.
pub struct ResponseReader {
    /// Whether the request was HEAD, so that the response has no body.
    is_head: bool,
    /// The number of interim responses so far.
    interim: u32,
    expected: Expected,
}

/// What the reader expects next.
enum Expected {
    /// The head of a response.
    Head,
    /// The rest of a body: `left` bytes of `of`.
    Length { left: u64, of: u64 },
    /// The rest of a chunked body.
    Chunks(ChunkedDecoder),
    /// Any number of bytes, up to the close of the connection.
    Close,
    /// Nothing: the response is complete.
    Nothing,
}

/// A piece of a response.
#[derive(Debug, PartialEq, Eq)]
pub enum ResponsePiece<'a> {
    /// The head of the response, or of an interim response (1xx), which another head follows.
    Head(ResponseHead<'a>),
    /// Bytes of the body.
    Body(&'a [u8]),
    /// Bytes between the chunks of a body.
    Framing,
    /// The trailer section of a chunked body, including its empty line.
    Trailers(&'a [u8]),
}

impl ResponseReader {
    /// Returns a reader for the response to a request, which is HEAD if `is_head`.
    pub fn new(is_head: bool) -> ResponseReader {
        ResponseReader { is_head, interim: 0, expected: Expected::Head }
    }

    /// Returns whether the response is complete.
    pub fn is_complete(&self) -> bool {
        matches!(self.expected, Expected::Nothing)
    }

    /// Returns the part that an incomplete piece lacks, for traces.
    pub fn missing_part(&self) -> &'static str {
        match self.expected {
            Expected::Head => "CRLFCRLF",
            Expected::Chunks(_) => "CRLF",
            Expected::Length { .. } | Expected::Close | Expected::Nothing => "body",
        }
    }

    /// Reads the next piece, at the beginning of `input`. Returns the piece and its length in
    /// bytes, or `None` if more input is needed or the response is complete.
    ///
    /// # Errors
    /// Returns an error message if the response is malformed or its end is ambiguous.
    pub fn next<'a>(&mut self, input: &'a [u8]) -> Result<Option<(ResponsePiece<'a>, usize)>, String> {
        let found = match &mut self.expected {
            Expected::Head => {
                let Some((head, len)) = parse_head(input, self.is_head)? else { return Ok(None) };
                self.interim += u32::from(head.is_interim());
                if self.interim > MAX_INTERIM {
                    return Err(format!(
                        "more than {MAX_INTERIM} interim responses (1xx) came before a response"
                    ));
                }
                self.expected = match head.body_end {
                    _ if head.is_interim() => Expected::Head,
                    BodyEnd::Length(0) => Expected::Nothing,
                    BodyEnd::Length(len) => Expected::Length { left: len, of: len },
                    BodyEnd::Chunks => Expected::Chunks(ChunkedDecoder::default()),
                    BodyEnd::Close => Expected::Close,
                };
                Some((ResponsePiece::Head(head), len))
            }
            Expected::Length { left, .. } => {
                let len = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                *left -= len as u64;
                if *left == 0 {
                    self.expected = Expected::Nothing;
                }
                Some((ResponsePiece::Body(&input[..len]), len)).filter(|_| len > 0)
            }
            // Parse nothing beyond the limit, so that the result does not depend on how the input
            // was split into reads.
            Expected::Chunks(decoder) => match decoder.next(within(input)).map_err(lower)? {
                Some((ChunkedPiece::Data(data), len)) => Some((ResponsePiece::Body(data), len)),
                Some((ChunkedPiece::Trailers(lines), len)) => {
                    self.expected = Expected::Nothing;
                    Some((ResponsePiece::Trailers(lines), len))
                }
                Some((_, len)) => Some((ResponsePiece::Framing, len)),
                None if input.len() >= MAX_HEAD => {
                    return Err(format!("a line of the chunked body is longer than {MAX_HEAD} bytes"));
                }
                None => None,
            },
            Expected::Close => Some((ResponsePiece::Body(input), input.len())).filter(|_| !input.is_empty()),
            Expected::Nothing => None,
        };
        Ok(found)
    }

    /// Handles the end of input.
    ///
    /// # Errors
    /// Returns an error message if the response is not complete.
    pub fn end(&mut self) -> Result<(), String> {
        match &self.expected {
            Expected::Close | Expected::Nothing => {
                self.expected = Expected::Nothing;
                Ok(())
            }
            Expected::Head => Err("before the response head was complete".into()),
            Expected::Length { left, of } => Err(format!("after {} of {of} bytes of the body", of - left)),
            Expected::Chunks(_) => Err("before the last chunk of the body".into()),
        }
    }
}

/// Returns `sentence` in the form that follows a colon: with a lowercase first letter and no full
/// stop.
fn lower(sentence: &str) -> String {
    let sentence = sentence.trim_end_matches('.');
    let mut chars = sentence.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::Index};

    use super::*;

    /// What a test sees of a response.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Seen {
        statuses: Vec<u16>,
        body: String,
        trailers: String,
        /// The number of bytes consumed.
        len: usize,
        /// Whether the response was complete before the end of input.
        is_complete: bool,
    }

    /// Reads `input`, of which `step` more bytes arrive at a time, up to the end of input.
    fn seen(method: &str, input: &[u8], step: usize) -> Result<Seen, String> {
        let (mut reader, mut seen) = (ResponseReader::new(method == "HEAD"), Seen::default());
        let mut arrived = 0;
        while arrived < input.len() {
            arrived = input.len().min(arrived + step);
            while let Some((piece, len)) = reader.next(&input[seen.len..arrived])? {
                assert!(len > 0, "a piece has bytes");
                seen.len += len;
                match piece {
                    ResponsePiece::Head(head) => seen.statuses.push(head.status),
                    ResponsePiece::Body(bytes) => seen.body.push_str(&String::from_utf8_lossy(bytes)),
                    ResponsePiece::Framing => {}
                    ResponsePiece::Trailers(lines) => {
                        seen.trailers.push_str(&String::from_utf8_lossy(lines));
                    }
                }
            }
        }
        seen.is_complete = reader.is_complete();
        reader.end().map(|()| seen)
    }

    /// A response, its statuses, its body and its trailers.
    type Row = (&'static str, &'static str, &'static [u16], &'static str, &'static str);

    const WITH_AN_END: &[Row] = &[
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", &[200], "hello", ""),
        ("GET", "HTTP/1.0 200 OK\r\ncontent-length:5\r\n\r\nhello", &[200], "hello", ""),
        ("GET", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", &[200], "", ""),
        ("GET", "HTTP/1.1 404 Not Found\nContent-Length: 1\n\nx", &[404], "x", ""),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\nContent-Length: 2\r\n\r\nab", &[200], "ab", ""),
        (
            "POST",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5;a=\"b\"\r\nhello\r\n0\r\nX: y\r\n\r\n",
            &[200],
            "hello",
            "X: y\r\n\r\n",
        ),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
            &[200],
            "x",
            "\r\n",
        ),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", &[200], "", ""),
        ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &[200], "", ""),
        ("HEAD", "HTTP/1.1 200 OK\r\n\r\n", &[200], "", ""),
        ("GET", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", &[204], "", ""),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", &[304], "", ""),
        ("GET", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", &[101], "", ""),
        (
            "GET",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nContent-Length: 9\r\n\r\n\
             HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
            &[100, 103, 200],
            "x",
            "",
        ),
    ];

    #[test]
    fn response_is_read_whole_byte_by_byte_and_with_trailing_data() {
        for (method, input, statuses, body, trailers) in WITH_AN_END {
            let expected = Seen {
                statuses: statuses.to_vec(),
                body: (*body).into(),
                trailers: (*trailers).into(),
                len: input.len(),
                is_complete: true,
            };
            let trailing = format!("{input}HTTP/1.1 500 No\r\n\r\n");
            for step in [1, 2, 3, 1000] {
                assert_eq!(
                    seen(method, input.as_bytes(), step).as_ref(),
                    Ok(&expected),
                    "{input:?} by {step}"
                );
                assert_eq!(seen(method, trailing.as_bytes(), step).as_ref(), Ok(&expected), "{trailing:?}");
            }
            for cut in 0..input.len() {
                let cut_short = seen(method, &input.as_bytes()[..cut], 1);
                assert!(cut_short.is_err(), "{:?} is complete: {cut_short:?}", &input[..cut]);
            }
        }
    }

    proptest! {
        /// A response with a few random bytes is either refused or read in the same way, no matter
        /// how it arrives.
        #[test]
        fn response_does_not_depend_on_the_reads(
            row in 0..WITH_AN_END.len(),
            changes in vec((any::<Index>(), any::<u8>()), 0..4),
            step in 1..50_usize,
        ) {
            let (method, input, ..) = WITH_AN_END[row];
            let mut input = input.as_bytes().to_vec();
            for (at, byte) in changes {
                let at = at.index(input.len());
                input[at] = byte;
            }
            let whole = seen(method, &input, input.len());
            let pieces = seen(method, &input, step);
            prop_assert_eq!(whole.is_ok(), pieces.is_ok(), "{:?} and {:?}", &whole, &pieces);
            if whole.is_ok() {
                prop_assert_eq!(whole, pieces);
            }
        }
    }

    #[test]
    fn response_without_a_length_ends_when_the_connection_closes() {
        for version in ["1.0", "1.1"] {
            let input = format!("HTTP/{version} 200 OK\r\nServer: x\r\n\r\nhello\r\n");
            let head_len = input.len() - "hello\r\n".len();
            for (len, step) in [(input.len(), 1), (input.len(), 1000), (head_len, 1), (head_len + 2, 2)] {
                let seen = seen("GET", &input.as_bytes()[..len], step).expect("a response");
                assert_eq!((&*seen.body, seen.is_complete), (&input[head_len..len], false));
            }
        }
    }

    #[test]
    fn interim_responses_end() {
        let input = "HTTP/1.1 100 Continue\r\n\r\n".repeat(101);
        let error = seen("GET", input.as_bytes(), 1000).expect_err("too many");
        assert_eq!(error, "more than 100 interim responses (1xx) came before a response");
    }

    #[test]
    fn response_cut_short_says_where() {
        let table = [
            ("", "before the response head was complete"),
            ("HTTP/1.1 200 OK\r\nX: y\r\n", "before the response head was complete"),
            ("HTTP/1.1 100 Continue\r\n\r\n", "before the response head was complete"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", "after 4 of 5 bytes of the body"),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
                "before the last chunk of the body",
            ),
        ];
        for (input, expected) in table {
            assert_eq!(seen("GET", input.as_bytes(), 1000), Err(expected.into()), "{input:?}");
        }
    }

    #[test]
    fn response_with_malformed_chunks_is_refused() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let table = [
            ("x\r\n", "a chunk size is not a hexadecimal number"),
            ("1\r\nxx\r\n", "a chunk does not match its size"),
            ("0\r\nX : y\r\n\r\n", "a line of the chunked body is malformed"),
        ];
        for (body, expected) in table {
            for step in [1, 1000] {
                let refused = seen("GET", format!("{head}{body}").as_bytes(), step).expect_err(body);
                assert_eq!(refused, expected, "{body:?}");
            }
        }
    }

    #[test]
    fn response_lines_are_bounded() {
        let too_long = format!("longer than {MAX_HEAD} bytes");
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let fill = "a".repeat(MAX_HEAD);
        for input in [
            format!("HTTP/1.1 200 {fill}"),
            format!("HTTP/1.1 200 OK\r\nX: {fill}\r\n\r\n"),
            format!("{chunked}1;{fill}"),
            format!("{chunked}0\r\nX: {fill}"),
        ] {
            for step in [1000, MAX_HEAD * 2] {
                let refused = seen("GET", input.as_bytes(), step).expect_err("too long");
                assert!(refused.ends_with(&too_long), "{refused}");
            }
        }
    }
}
