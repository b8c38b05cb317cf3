//! Finds the end of a request body in the chunked transfer coding (RFC 9112 section 7.1).
//!
//! httparse also parses chunk sizes, but accepts spaces after the size and any octet in extensions.
//! If this server and a proxy disagree about the end of a body, an attacker can smuggle requests.
//! So this module must never accept more than the grammar allows.

use crate::http::{MAX_FIELDS, Refusal};

const BAD_SIZE: Refusal = Refusal::bad("A chunk size is not a hexadecimal number.");
const BAD_END: Refusal = Refusal::bad("A chunk does not match its size.");
const BAD_LINE: Refusal = Refusal::bad("A line of the chunked body is malformed.");

/// The length of a chunked body in bytes, including framing and trailers.
#[derive(Debug, PartialEq, Eq)]
pub enum Length {
    /// The body is complete and has this length.
    Known(usize),
    /// More input is needed.
    Unknown,
    /// The body is longer than the limit.
    TooLong,
}

/// Returns the length of the chunked body at the beginning of `input`. Parses at most `at_most`
/// bytes, so that the result does not depend on how the input was split into reads.
///
/// # Errors
/// Returns a 400 refusal if the body is malformed. The server must never guess where a body ends.
pub fn length(input: &[u8], at_most: usize) -> Result<Length, Refusal> {
    let is_cut = input.len() > at_most;
    match within(&input[..input.len().min(at_most)], at_most)? {
        Length::Unknown if is_cut => Ok(Length::TooLong),
        length => Ok(length),
    }
}

/// Returns the length of the chunked body at the beginning of `input`, which has at most `at_most`
/// bytes.
fn within(input: &[u8], at_most: usize) -> Result<Length, Refusal> {
    let mut at = 0;
    loop {
        let Some(line) = line(&input[at..])? else { return Ok(Length::Unknown) };
        let size = chunk_size(line)?;
        at += line.len() + 2;
        if size == 0 {
            return Ok(trailers(&input[at..])?.map_or(Length::Unknown, |len| Length::Known(at + len)));
        }
        let Some(data_end) = at.checked_add(size) else { return Err(BAD_SIZE) };
        if data_end >= at_most {
            return Ok(Length::TooLong);
        }
        match input.get(data_end..).map(|end| &end[..end.len().min(2)]) {
            Some(b"\r\n") => at = data_end + 2,
            None | Some(b"" | b"\r") => return Ok(Length::Unknown),
            Some(_) => return Err(BAD_END),
        }
    }
}

/// Returns the first line of `input` without its CRLF, or `None` if the line is incomplete. Rejects
/// control characters other than tabs, including a bare CR or LF.
fn line(input: &[u8]) -> Result<Option<&[u8]>, Refusal> {
    let end = input.iter().position(|b| (*b < b' ' && *b != b'\t') || *b == 0x7f);
    match end.map(|end| (end, &input[end..])) {
        None => Ok(None),
        Some((end, [b'\r', b'\n', ..])) => Ok(Some(&input[..end])),
        Some((_, [b'\r'])) => Ok(None),
        Some(_) => Err(BAD_LINE),
    }
}

/// Parses a chunk size, `1*HEXDIG [ ";" extensions ]`. Rejects signs, a `0x` prefix and spaces.
fn chunk_size(line: &[u8]) -> Result<usize, Refusal> {
    let digits = line.split(|b| *b == b';').next().unwrap_or_default();
    if digits.is_empty() || digits.len() > 16 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(BAD_SIZE);
    }
    let hex = std::str::from_utf8(digits).map_err(|_| BAD_SIZE)?;
    usize::from_str_radix(hex, 16).map_err(|_| BAD_SIZE)
}

/// Returns the length of the trailer section, including the empty line that ends it, or `None` if
/// the section is incomplete.
fn trailers(input: &[u8]) -> Result<Option<usize>, Refusal> {
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

    #[test]
    fn request_is_found_whole_byte_by_byte_and_with_trailing_data() {
        let bodies: &[&str] = &[
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "5\r\nhello\r\n006\r\n world\r\n00\r\n\r\n",
            "A;name=value;other=\"a b\"\r\n0123456789\r\n0\r\n\r\n",
            "2\r\n\r\n\r\n0\r\n\r\n",
            "0;last\r\nX-Check: 1\r\nExpires: never\r\n\r\n",
        ];
        for body in bodies {
            let whole = body.as_bytes();
            let known = Ok(Length::Known(whole.len()));
            assert_eq!(length(whole, 1000), known, "{body:?}");
            assert_eq!(length(whole, whole.len()), known, "{body:?}, which just fits");
            for cut in 0..whole.len() {
                assert_eq!(length(&whole[..cut], 1000), Ok(Length::Unknown), "{:?}", &body[..cut]);
            }
            let trailing = [whole, b"GET / HTTP/1.1\r\n"].concat();
            assert_eq!(length(&trailing, 1000), known, "{body:?} and a request");
        }
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
            "FFFFFFFFFFFFFFFF\r\nx",
            "5;\0\r\nhello\r\n",
            "0\r\nX: y\n\r\n",
            "0\r\nno colon\r\n\r\n",
            "0\r\nX : y\r\n\r\n",
            "0\r\n folded\r\n\r\n",
            "0\r\nX: a\rb\r\n\r\n",
        ];
        for body in bodies {
            assert!(length(body.as_bytes(), 1000).is_err(), "{body:?}");
        }
    }

    #[test]
    fn chunked_body_over_the_limit_is_refused_early() {
        let too_long = Ok(Length::TooLong);
        assert_eq!(length(b"4000000000000000\r\n", 100), too_long);
        assert_eq!(length(b"5\r\nhello\r\n64\r\n", 100), too_long);
        assert_eq!(length(b"0;an extension without end", 10), too_long);
        assert_eq!(length(b"0\r\nTrailer: without end", 10), too_long);
        // Errors beyond the limit do not change the result.
        assert_eq!(length(b"5\r\nhello\r\n0\r\nX: y\r\n\0", 10), too_long);
    }
}
