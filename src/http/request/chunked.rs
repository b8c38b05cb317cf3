//! Finds the end of a chunked request body within a limit.

use crate::http::{ChunkedDecoder, ChunkedPiece, Refusal};

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
    match within(&input[..input.len().min(at_most)], at_most).map_err(Refusal::bad)? {
        Length::Unknown if is_cut => Ok(Length::TooLong),
        length => Ok(length),
    }
}

/// Returns the length of the chunked body at the beginning of `input`, which has at most `at_most`
/// bytes.
fn within(input: &[u8], at_most: usize) -> Result<Length, &'static str> {
    let mut decoder = ChunkedDecoder::default();
    let mut at = 0;
    loop {
        let Some((piece, len)) = decoder.next(&input[at..])? else { return Ok(Length::Unknown) };
        at += len;
        match piece {
            // Refuse a chunk that is too long before its bytes arrive.
            ChunkedPiece::Size(size) if size > 0 && at as u64 + size >= at_most as u64 => {
                return Ok(Length::TooLong);
            }
            ChunkedPiece::Trailers(_) => return Ok(Length::Known(at)),
            ChunkedPiece::Size(_) | ChunkedPiece::Data(_) | ChunkedPiece::DataEnd => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunked_length_is_found_whole_byte_by_byte_and_with_trailing_data() {
        let bodies: &[&str] = &[
            "0\r\n\r\n",
            "5\r\nhello\r\n006\r\n world\r\n00\r\n\r\n",
            "A;name=value;other=\"a b\"\r\n0123456789\r\n0\r\n\r\n",
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
    fn chunked_body_malformed_gets_a_400() {
        for body in ["FFFFFFFFFFFFFFFF\r\nx", "5 \r\nhello", "5\r\nhelloo\r\n", "0\r\nno colon\r\n\r\n"] {
            let refusal = length(body.as_bytes(), 1000).expect_err(body);
            assert_eq!((refusal.status.code(), refusal.persists), (400, false), "{body:?}");
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
