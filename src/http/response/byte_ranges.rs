//! The framing for several ranges in one response, `multipart/byteranges` (RFC 9110 section 14.6,
//! RFC 2046 section 5.1).
//!
//! This module creates only the framing. The ranges are sent from the file, and the length of the
//! body is known in advance.

use crate::http::{ByteRange, Representation};

/// A response body that contains the `ranges` of `file`.
#[derive(Debug, Clone, Copy)]
pub struct ByteRanges<'a> {
    pub file: &'a Representation,
    pub ranges: &'a [ByteRange],
}

/// The maximum length of a boundary in characters (RFC 2046 section 5.1.1).
const MAX_BOUNDARY: usize = 70;

impl ByteRanges<'_> {
    /// Returns the boundary, derived from the entity tag, which a file practically cannot contain.
    fn boundary(&self) -> String {
        let mut boundary = format!("oneloop-{}", self.file.validators.tag.trim_matches('"'));
        boundary.truncate(MAX_BOUNDARY);
        boundary
    }

    /// Returns the value of `Content-Type`.
    pub fn media_type(&self) -> String {
        format!("multipart/byteranges; boundary={}", self.boundary())
    }

    /// Returns the length of the whole body in bytes.
    pub fn length(&self) -> u64 {
        let delimiters: usize = (0..=self.ranges.len()).map(|index| self.delimiter(index).len()).sum();
        delimiters as u64 + self.ranges.iter().map(|part| part.length()).sum::<u64>()
    }

    /// Returns the delimiter before the range at `index`, or the closing delimiter if `index` is
    /// after the last range.
    pub fn delimiter(&self, index: usize) -> String {
        let (boundary, Representation { media_type, len, .. }) = (self.boundary(), self.file);
        // The first delimiter needs no line end before it (RFC 2046 section 5.1.1). But nginx and
        // Apache send one, and zsync requests the same ranges forever if it is missing.
        match self.ranges.get(index) {
            None => format!("\r\n--{boundary}--\r\n"),
            Some(ByteRange { first, last }) => format!(
                "\r\n--{boundary}\r\nContent-Type: {media_type}\r\n\
                 Content-Range: bytes {first}-{last}/{len}\r\n\r\n"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Validators;

    #[test]
    fn byte_ranges_frame_two_ranges() {
        let representation = Representation::new(100, "text/plain".into(), None, Validators::of_test("a-b"));
        let parts = [ByteRange { first: 0, last: 4 }, ByteRange { first: 99, last: 99 }];
        let body = ByteRanges { file: &representation, ranges: &parts };
        assert_eq!(body.media_type(), "multipart/byteranges; boundary=oneloop-a-b");
        let expected = "\r\n--oneloop-a-b\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-4/100\r\n\r\n01234\
             \r\n--oneloop-a-b\r\nContent-Type: text/plain\r\nContent-Range: bytes 99-99/100\r\n\r\n9\
             \r\n--oneloop-a-b--\r\n";
        let delimiters = [0, 1, 2].map(|index| body.delimiter(index));
        assert_eq!([&delimiters[0], "01234", &delimiters[1], "9", &delimiters[2]].concat(), expected);
        assert_eq!(body.length(), expected.len() as u64);
    }

    #[test]
    fn byte_ranges_boundary_has_a_legal_length() {
        let representation =
            Representation::new(1, "text/plain".into(), None, Validators::of_test(&"f".repeat(100)));
        let body = ByteRanges { file: &representation, ranges: &[] };
        assert_eq!(body.boundary().len(), MAX_BOUNDARY);
    }
}
