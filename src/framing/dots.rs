//! Text that ends with a line with only a dot, as in SMTP and POP3 (RFC 5321 section 4.5.2, RFC
//! 1939 section 3). The sender puts another dot before each line of the text that starts with a
//! dot, and the receiver removes it (dot-stuffing).

use memchr::memmem;

/// Appends `text` to `out`, with another dot before each line that starts with a dot, and the line
/// with only a dot that ends the text. Every line end becomes a CRLF.
pub fn put_dotted(out: &mut Vec<u8>, text: &[u8]) {
    for line in text_lines(text) {
        if line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
}

/// Returns the lines of `text` without their ends: CRLF, LF or CR.
pub fn text_lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
        let (line, after) = rest.split_at(end);
        if rest.is_empty() {
            return None;
        }
        rest = after.strip_prefix(b"\r\n").or(after.get(1..)).unwrap_or_default();
        Some(line)
    })
}

/// A reader of text that ends with a line with only a dot. It holds no bytes, and a line may be of
/// any length. Only a CRLF ends a line: if two programs disagree about the last line, an attacker
/// can smuggle commands into a message.
#[derive(Debug)]
pub struct DottedReader {
    is_line_start: bool,
}

/// A piece of dotted text.
#[derive(Debug, PartialEq, Eq)]
pub enum DottedPiece<'a> {
    /// Bytes of the text, without the dots that the sender added.
    Text(&'a [u8]),
    /// The line that ends the text.
    End,
}

impl DottedReader {
    /// Returns a reader at the start of a text.
    pub fn new() -> DottedReader {
        DottedReader { is_line_start: true }
    }

    /// Reads the next piece, at the beginning of `input`. Returns the piece and its length in
    /// bytes, or `None` if more input is needed. At most two bytes stay unread then.
    pub fn next<'a>(&mut self, input: &'a [u8]) -> Option<(DottedPiece<'a>, usize)> {
        let mut added = 0;
        if self.is_line_start {
            match input {
                [] | [b'.'] | [b'.', b'\r'] => return None,
                [b'.', b'\r', b'\n', ..] => return Some((DottedPiece::End, 3)),
                [b'.', ..] => added = 1,
                _ => {}
            }
        }
        let next_dot = memmem::find(input, b"\r\n.").map(|at| at + 2);
        // A carriage return that has arrived last may begin a line's end.
        let end = next_dot.unwrap_or(input.len() - usize::from(input.ends_with(b"\r")));
        if end == 0 {
            return None;
        }
        self.is_line_start = input[..end].ends_with(b"\r\n");
        Some((DottedPiece::Text(&input[added..end]), end))
    }
}

impl Default for DottedReader {
    fn default() -> DottedReader {
        DottedReader::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dotted(text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put_dotted(&mut out, text);
        out
    }

    /// Reads `input`, of which `step` more bytes arrive at a time. Returns the text and the number
    /// of bytes consumed, or `None` if the text does not end.
    fn read(input: &[u8], step: usize) -> Option<(Vec<u8>, usize)> {
        let (mut reader, mut text, mut at) = (DottedReader::new(), Vec::new(), 0);
        let mut arrived = 0;
        while arrived < input.len() {
            arrived = input.len().min(arrived + step);
            while let Some((piece, len)) = reader.next(&input[at..arrived]) {
                at += len;
                match piece {
                    DottedPiece::Text(bytes) => text.extend(bytes),
                    DottedPiece::End => return Some((text, at)),
                }
            }
            assert!(arrived - at <= 2, "unread: {:?}", &input[at..arrived]);
        }
        None
    }

    #[test]
    fn dotted_text_has_crlf_line_ends_and_doubled_dots() {
        let table: [(&str, &str); 9] = [
            ("", ".\r\n"),
            ("a", "a\r\n.\r\n"),
            ("a\nb\r\nc\rd\n\n", "a\r\nb\r\nc\r\nd\r\n\r\n.\r\n"),
            ("\n\r\n\r", "\r\n\r\n\r\n.\r\n"),
            (".", "..\r\n.\r\n"),
            ("..\n.a\n", "...\r\n..a\r\n.\r\n"),
            ("a\r.\nb", "a\r\n..\r\nb\r\n.\r\n"),
            ("a.\n .b", "a.\r\n .b\r\n.\r\n"),
            ("a\r\n.\r\nQUIT\r\n", "a\r\n..\r\nQUIT\r\n.\r\n"),
        ];
        for (text, expected) in table {
            assert_eq!(String::from_utf8_lossy(&dotted(text.as_bytes())), expected, "{text:?}");
        }
    }

    #[test]
    fn dotted_text_is_read_whole_byte_by_byte_and_with_trailing_data() {
        let table: [(&str, &str); 9] = [
            (".\r\n", ""),
            ("a\r\n.\r\n", "a\r\n"),
            ("..\r\n.\r\n", ".\r\n"),
            ("..a\r\n...\r\n.\r\n", ".a\r\n..\r\n"),
            (".a\r\n.\r\n", "a\r\n"),
            ("\r\n\r\n.\r\n", "\r\n\r\n"),
            ("a\n.\r\n.\r\n", "a\n.\r\n"),
            ("a\r.\r\n.\n\r\n.\r\r\n.\r\n", "a\r.\r\n\n\r\n\r\r\n"),
            ("a\r\r\n.\r\n", "a\r\r\n"),
        ];
        for (input, expected) in table {
            let trailing = format!("{input}+OK\r\n.\r\n");
            let expected = Some((expected.as_bytes().to_vec(), input.len()));
            for step in [1, 2, 3, 100] {
                assert_eq!(read(input.as_bytes(), step), expected, "{input:?} by {step}");
                assert_eq!(read(trailing.as_bytes(), step), expected, "{trailing:?} by {step}");
            }
            for cut in 0..input.len() {
                assert_eq!(read(&input.as_bytes()[..cut], 1), None, "{input:?} until {cut}");
            }
        }
    }

    #[test]
    fn dotted_text_returns_unchanged() {
        for text in ["", ".\r\n", "a\r\n\r\n..b\r\n.c\r\n", "\r\n.\r\n.\r\n"] {
            let sent = dotted(text.as_bytes());
            assert_eq!(read(&sent, 1), Some((text.as_bytes().to_vec(), sent.len())), "{text:?}");
        }
    }
}
