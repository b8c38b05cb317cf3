//! Decodes the chunked transfer coding (RFC 9112 section 7.1), for request and response bodies.
//!
//! httparse also parses chunk sizes, but accepts spaces after the size and any octet in extensions.
//! If this program and a proxy disagree about the end of a body, an attacker can smuggle requests.
//! So this module must never accept more than the grammar allows.

use super::{
    MAX_FIELDS,
    request::charset::{self, TOKEN},
};

/// The maximum size of a chunk. The end of a larger one could overflow a 64-bit file offset.
const MAX_SIZE: u64 = i64::MAX as u64;

const BAD_SIZE: &str = "A chunk size is not a hexadecimal number.";
const BAD_EXTENSION: &str = "A chunk extension is malformed.";
const BAD_END: &str = "A chunk does not match its size.";
const BAD_LINE: &str = "A line of the chunked body is malformed.";

/// A decoder for one chunked body. It holds no bytes: the caller keeps what is not yet consumed.
#[derive(Debug, Default)]
pub struct ChunkedDecoder {
    position: Position,
}

/// The position in a chunked body.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Position {
    /// At the line with the size of a chunk.
    #[default]
    Size,
    /// In a chunk, with this many bytes left.
    Data(u64),
    /// At the CRLF after a chunk.
    DataEnd,
    /// At the trailer section, after the last chunk.
    Trailers,
}

/// A piece of a chunked body.
#[derive(Debug, PartialEq, Eq)]
pub enum ChunkedPiece<'a> {
    /// The line that starts a chunk of this size; 0 for the last chunk.
    Size(u64),
    /// Bytes of the body.
    Data(&'a [u8]),
    /// The CRLF that ends a chunk.
    DataEnd,
    /// The trailer section, including the empty line that ends it and the body.
    Trailers(&'a [u8]),
}

impl ChunkedDecoder {
    /// Decodes the next piece, at the beginning of `input`. Returns the piece and its length in
    /// bytes, or `None` if more input is needed. The piece after [`ChunkedPiece::Trailers`] is not
    /// part of the body. The caller limits how long an incomplete line or trailer section may
    /// become.
    ///
    /// # Errors
    /// Returns an error message if the body is malformed. The end of the body is then unknown.
    pub fn next<'a>(&mut self, input: &'a [u8]) -> Result<Option<(ChunkedPiece<'a>, usize)>, &'static str> {
        let (piece, len, position) = match self.position {
            Position::Size => {
                let Some(line) = line(input)? else { return Ok(None) };
                let size = chunk_size(line)?;
                let position = if size == 0 { Position::Trailers } else { Position::Data(size) };
                (ChunkedPiece::Size(size), line.len() + 2, position)
            }
            Position::Data(left) => {
                let len = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
                if len == 0 {
                    return Ok(None);
                }
                let left = left - len as u64;
                let position = if left == 0 { Position::DataEnd } else { Position::Data(left) };
                (ChunkedPiece::Data(&input[..len]), len, position)
            }
            Position::DataEnd => match input {
                [b'\r', b'\n', ..] => (ChunkedPiece::DataEnd, 2, Position::Size),
                [] | [b'\r'] => return Ok(None),
                _ => return Err(BAD_END),
            },
            Position::Trailers => {
                let Some(len) = trailers_len(input)? else { return Ok(None) };
                (ChunkedPiece::Trailers(&input[..len]), len, Position::Trailers)
            }
        };
        self.position = position;
        Ok(Some((piece, len)))
    }
}

/// Returns the first line of `input` without its CRLF, or `None` if the line is incomplete. Rejects
/// control characters other than tabs, including a bare CR or LF.
fn line(input: &[u8]) -> Result<Option<&[u8]>, &'static str> {
    let end = input.iter().position(|b| (*b < b' ' && *b != b'\t') || *b == 0x7f);
    match end.map(|end| (end, &input[end..])) {
        None => Ok(None),
        Some((end, [b'\r', b'\n', ..])) => Ok(Some(&input[..end])),
        Some((_, [b'\r'])) => Ok(None),
        Some(_) => Err(BAD_LINE),
    }
}

/// Parses the line before a chunk, `1*HEXDIG [ chunk-ext ]`. Rejects signs and a `0x` prefix.
fn chunk_size(line: &[u8]) -> Result<u64, &'static str> {
    let end = line.iter().position(|b| !b.is_ascii_hexdigit()).unwrap_or(line.len());
    let (digits, extensions) = line.split_at(end);
    if digits.is_empty() || digits.len() > 16 || !matches!(extensions, [] | [b';' | b' ' | b'\t', ..]) {
        return Err(BAD_SIZE);
    }
    check_extensions(extensions)?;
    let hex = std::str::from_utf8(digits).map_err(|_| BAD_SIZE)?;
    u64::from_str_radix(hex, 16).ok().filter(|size| *size <= MAX_SIZE).ok_or(BAD_SIZE)
}

/// Checks `*( BWS ";" BWS name [ BWS "=" BWS value ] )` (RFC 9112 section 7.1.1).
fn check_extensions(mut rest: &[u8]) -> Result<(), &'static str> {
    while !rest.is_empty() {
        rest = skip_blanks(rest).strip_prefix(b";").ok_or(BAD_EXTENSION)?;
        rest = skip_token(skip_blanks(rest)).ok_or(BAD_EXTENSION)?;
        if let Some(value) = skip_blanks(rest).strip_prefix(b"=") {
            let value = skip_blanks(value);
            let end = if value.starts_with(b"\"") { skip_quoted(value) } else { skip_token(value) };
            rest = end.ok_or(BAD_EXTENSION)?;
        }
    }
    Ok(())
}

/// Returns what follows the blanks at the beginning of `text`.
fn skip_blanks(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|b| !matches!(b, b' ' | b'\t')).unwrap_or(text.len());
    &text[end..]
}

/// Returns what follows the token at the beginning of `text`, or `None` if there is no token.
fn skip_token(text: &[u8]) -> Option<&[u8]> {
    let end = text.iter().position(|b| !charset::are_all(&[*b], TOKEN)).unwrap_or(text.len());
    (end > 0).then(|| &text[end..])
}

/// Returns what follows the quoted string at the beginning of `text`, or `None` if it has no end.
fn skip_quoted(text: &[u8]) -> Option<&[u8]> {
    let mut at = 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(&text[at + 1..]),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Returns the length of the trailer section, including the empty line that ends it, or `None` if
/// the section is incomplete.
fn trailers_len(input: &[u8]) -> Result<Option<usize>, &'static str> {
    let mut none = [httparse::EMPTY_HEADER; MAX_FIELDS];
    // httparse accepts a line that ends in a bare LF; `line` does not.
    let mut at = 0;
    loop {
        let Some(line) = line(&input[at..])? else { return Ok(None) };
        at += line.len() + 2;
        if line.is_empty() {
            break;
        }
    }
    match httparse::parse_headers(&input[..at], &mut none) {
        Ok(httparse::Status::Complete(_)) => Ok(Some(at)),
        _ => Err(BAD_LINE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A body, its trailer section, and the number of bytes consumed.
    type Decoded = (Vec<u8>, Vec<u8>, usize);

    /// Decodes `input`, of which `step` more bytes arrive at a time. Returns `None` if the body is
    /// incomplete.
    fn decoded(input: &[u8], step: usize) -> Result<Option<Decoded>, &'static str> {
        let (mut decoder, mut body, mut at) = (ChunkedDecoder::default(), Vec::new(), 0);
        let mut arrived = 0;
        while arrived < input.len() {
            arrived = input.len().min(arrived + step);
            while let Some((piece, len)) = decoder.next(&input[at..arrived])? {
                at += len;
                match piece {
                    ChunkedPiece::Data(data) => body.extend(data),
                    ChunkedPiece::Trailers(trailers) => return Ok(Some((body, trailers.to_vec(), at))),
                    ChunkedPiece::Size(_) | ChunkedPiece::DataEnd => {}
                }
            }
        }
        Ok(None)
    }

    #[test]
    fn chunked_body_is_decoded_whole_byte_by_byte_and_with_trailing_data() {
        let bodies: &[(&str, &str, &str)] = &[
            ("0\r\n\r\n", "", "\r\n"),
            ("5\r\nhello\r\n0\r\n\r\n", "hello", "\r\n"),
            ("5\r\nhello\r\n006\r\n world\r\n00\r\n\r\n", "hello world", "\r\n"),
            ("A;name=value;other=\"a b\"\r\n0123456789\r\n0\r\n\r\n", "0123456789", "\r\n"),
            ("5 ;a=b\t; c = \"d;\\\"e\" ;f\r\nhello\r\n0;g\r\n\r\n", "hello", "\r\n"),
            ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n", "\r\n"),
            ("0;last\r\nX-Check: 1\r\nExpires: never\r\n\r\n", "", "X-Check: 1\r\nExpires: never\r\n\r\n"),
        ];
        for (input, body, trailers) in bodies {
            let expected = Ok(Some((body.as_bytes().to_vec(), trailers.as_bytes().to_vec(), input.len())));
            let trailing = format!("{input}HTTP/1.1 200 OK\r\n");
            for step in [1, 2, 3, 1000] {
                assert_eq!(decoded(input.as_bytes(), step), expected, "{input:?} by {step}");
                assert_eq!(decoded(trailing.as_bytes(), step), expected, "{trailing:?} by {step}");
            }
            for cut in 0..input.len() {
                assert_eq!(decoded(&input.as_bytes()[..cut], 1), Ok(None), "{input:?} until {cut}");
            }
        }
    }

    #[test]
    fn chunk_of_any_size_is_decoded_as_it_arrives() {
        let mut decoder = ChunkedDecoder::default();
        assert_eq!(decoder.next(b"7FFFFFFFFFFFFFFF\r\n"), Ok(Some((ChunkedPiece::Size(MAX_SIZE), 18))));
        assert_eq!(decoder.next(b"x"), Ok(Some((ChunkedPiece::Data(b"x"), 1))));
        assert_eq!(decoder.position, Position::Data(MAX_SIZE - 1));
    }

    #[test]
    fn chunk_malformed_is_refused() {
        let bodies: &[&str] = &[
            "\r\n",
            "+5\r\nhello",
            "-5\r\n",
            "0x5\r\nhello",
            "5 \r\nhello",
            " 5\r\nhello",
            "5_0\r\n",
            "g\r\n",
            ";x\r\n",
            "5\nhello",
            "5\r5\r\nhello",
            "5\r\nhello5\r\n",
            "5\r\nhelloo\r\n",
            "5\r\nhello\n",
            "5\r\nhello\r\r\n",
            "00000000000000005\r\nhello\r\n",
            "8000000000000000\r\nx",
            "FFFFFFFFFFFFFFFF\r\nx",
            "5;\0\r\nhello\r\n",
            "5;\r\nhello\r\n",
            "5;;\r\nhello\r\n",
            "5;a;\r\nhello\r\n",
            "5;=b\r\nhello\r\n",
            "5;a=\r\nhello\r\n",
            "5;a=\"b\r\nhello\r\n",
            "5;a=\"b\\\r\nhello\r\n",
            "5;a=\"b\"c\r\nhello\r\n",
            "5;bad[=x\r\nhello\r\n",
            "5;a b\r\nhello\r\n",
            "5 a\r\nhello\r\n",
            "0\r\nX: y\n\r\n",
            "0\r\nno colon\r\n\r\n",
            "0\r\nX : y\r\n\r\n",
            "0\r\n folded\r\n\r\n",
            "0\r\nX: a\rb\r\n\r\n",
        ];
        for body in bodies {
            for step in [1, 1000] {
                assert!(decoded(body.as_bytes(), step).is_err(), "{body:?} by {step}");
            }
        }
    }
}
