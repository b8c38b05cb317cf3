//! Lines that end with a line feed, or a carriage return and a line feed.

use super::TooLong;

/// Splits the first line off `input`. Returns the line without its end, and its length with the
/// end. Returns `None` if the end has not arrived yet.
///
/// # Errors
/// Fails if the line is longer than `max` bytes, without its end.
pub fn line(input: &[u8], max: usize) -> Result<Option<(&[u8], usize)>, TooLong> {
    // Two more bytes for the line's end: a longer line needs no further search.
    let searched = &input[..input.len().min(max.saturating_add(2))];
    let Some(end) = memchr::memchr(b'\n', searched) else {
        // A carriage return that has arrived last may begin the line's end.
        let len = input.len() - usize::from(input.ends_with(b"\r"));
        return if len > max { Err(TooLong) } else { Ok(None) };
    };
    let line = &input[..end];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() > max { Err(TooLong) } else { Ok(Some((line, end + 1))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_at_the_line_feed() {
        type Line = Result<Option<(&'static str, usize)>, TooLong>;
        let table: [(&str, Line); 14] = [
            ("", Ok(None)),
            ("ab", Ok(None)),
            ("ab\r", Ok(None)),
            ("ab\n", Ok(Some(("ab", 3)))),
            ("ab\r\n", Ok(Some(("ab", 4)))),
            ("ab\r\ncd\r\n", Ok(Some(("ab", 4)))),
            ("\n", Ok(Some(("", 1)))),
            ("\r\n", Ok(Some(("", 2)))),
            ("a\rb\n", Ok(Some(("a\rb", 4)))),
            ("abcde\r\n", Ok(Some(("abcde", 7)))),
            ("abcde\r", Ok(None)),
            ("abcdef", Err(TooLong)),
            ("abcdef\n", Err(TooLong)),
            ("abcdef\r\n", Err(TooLong)),
        ];
        for (input, expected) in table {
            let expected = expected.map(|line| line.map(|(line, len)| (line.as_bytes(), len)));
            assert_eq!(line(input.as_bytes(), 5), expected, "{input:?}");
        }
        assert_eq!(line(b"ab\n", usize::MAX), Ok(Some((&b"ab"[..], 3))));
    }

    #[test]
    fn line_arrives_in_any_pieces() {
        let input = "h\u{e9}llo\r\n\u{4f60}\u{597d}\n\r\nend\r\n".as_bytes();
        let expected: [&[u8]; 4] = ["h\u{e9}llo".as_bytes(), "\u{4f60}\u{597d}".as_bytes(), b"", b"end"];
        for step in 1..=input.len() {
            let (mut got, mut buffer) = (Vec::new(), Vec::new());
            for piece in input.chunks(step) {
                buffer.extend_from_slice(piece);
                while let Some((found, len)) = line(&buffer, 100).expect("short lines") {
                    got.push(found.to_vec());
                    buffer.drain(..len);
                }
            }
            assert_eq!(got, expected, "pieces of {step}");
        }
    }
}
