//! Finds the end of a chunked request body within a limit, and keeps none of its chunks.

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

/// The longest line of a chunked body, or trailer section, in bytes. An incomplete one is kept
/// until the rest arrives, but the chunks are not.
const MAX_KEPT: usize = 8 * 1024;

/// Counts a chunked body as it arrives.
#[derive(Debug, Default)]
pub struct ChunkedCounter {
    decoder: ChunkedDecoder,
    /// The number of bytes counted so far.
    read: usize,
}

impl ChunkedCounter {
    /// Counts the next bytes of the body, at the beginning of `input`, and returns how many, and
    /// the length of the body up to there. Counts at most `at_most` bytes in total, so that the
    /// result does not depend on how the input was split into reads. An incomplete line is not
    /// counted yet.
    ///
    /// # Errors
    /// Returns a 400 refusal if the body is malformed. The server must never guess where a body
    /// ends.
    pub fn read(&mut self, input: &[u8], at_most: usize) -> Result<(usize, Length), Refusal> {
        let within = &input[..input.len().min(at_most - self.read)];
        let is_cut = within.len() < input.len();
        let mut at = 0;
        let length = loop {
            let rest = &within[at..];
            let kept = &rest[..rest.len().min(MAX_KEPT)];
            let Some((piece, len)) = self.decoder.next(kept).map_err(Refusal::bad)? else {
                break if is_cut || kept.len() < rest.len() { Length::TooLong } else { Length::Unknown };
            };
            at += len;
            match piece {
                // Refuse a chunk that is too long before its bytes arrive.
                ChunkedPiece::Size(size) if size > 0 && (self.read + at) as u64 + size >= at_most as u64 => {
                    break Length::TooLong;
                }
                ChunkedPiece::Trailers(_) => break Length::Known(self.read + at),
                ChunkedPiece::Size(_) | ChunkedPiece::Data(_) | ChunkedPiece::DataEnd => {}
            }
        };
        self.read += at;
        Ok((at, length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the length of the chunked body at the beginning of `input`. The result must be the
    /// same if the input arrives byte by byte.
    fn length(input: &[u8], at_most: usize) -> Result<Length, Refusal> {
        let whole = ChunkedCounter::default().read(input, at_most).map(|(_, length)| length);
        let (mut counter, mut at, mut split) = (ChunkedCounter::default(), 0, Ok(Length::Unknown));
        for end in 1..=input.len() {
            split = counter.read(&input[at..end], at_most).map(|(consumed, length)| {
                at += consumed;
                length
            });
            if split != Ok(Length::Unknown) {
                break;
            }
        }
        assert_eq!(split, whole, "byte by byte");
        whole
    }

    #[test]
    fn chunked_line_that_is_kept_has_a_limit() {
        let body = |len: usize| format!("1;{}\r\nx\r\n0\r\n\r\n", "a".repeat(len - 4));
        assert!(matches!(length(body(MAX_KEPT).as_bytes(), 32 * 1024), Ok(Length::Known(_))));
        assert_eq!(length(body(MAX_KEPT + 1).as_bytes(), 32 * 1024), Ok(Length::TooLong));
        let bad = body(MAX_KEPT + 3).replace("\r\nx", "\0");
        assert_eq!(length(bad.as_bytes(), 32 * 1024), Ok(Length::TooLong));
    }

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
