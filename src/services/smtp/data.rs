//! The content of a message between `DATA` and the line with only a dot (RFC 5321 section 4.5.2).
//!
//! The one end of a message is CRLF, a dot, CRLF. If two servers find the end in different places,
//! an attacker can hide a second message in the first one (SMTP smuggling). So a line with only a
//! dot that begins or ends with another kind of line end is an error. Programs do send lines that
//! end with LF only. Such a line is accepted elsewhere in a message, and its end becomes CRLF. A
//! carriage return without a line feed is data.

use memchr::memchr;

/// What [`DataDecoder::decode`] has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataStatus {
    /// The message goes on.
    Partial,
    /// The message is complete.
    Complete,
    /// A line with only a dot does not begin and end with CRLF.
    AmbiguousEnd,
}

/// Finds the end of a message, and removes the dots that the client has put before lines that begin
/// with a dot. The message may arrive in pieces; each byte is looked at once.
#[derive(Debug)]
pub struct DataDecoder {
    /// Whether the next byte begins a line.
    is_line_start: bool,
    /// Whether the last line ended with LF only.
    is_after_lf: bool,
    /// Whether the last byte was a carriage return.
    is_after_cr: bool,
    has_bare_lf: bool,
}

impl DataDecoder {
    /// Creates a decoder for a message that begins with the next byte.
    pub fn new() -> DataDecoder {
        DataDecoder { is_line_start: true, is_after_lf: false, is_after_cr: false, has_bare_lf: false }
    }

    /// Returns whether a line of the message ended with LF only.
    pub fn has_bare_lf(&self) -> bool {
        self.has_bare_lf
    }

    /// Decodes the next piece of the message, and passes its content to `sink`, in parts. Returns
    /// how many bytes of `input` were consumed. At most two bytes are not consumed if the message
    /// goes on.
    pub fn decode(&mut self, input: &[u8], mut sink: impl FnMut(&[u8])) -> (usize, DataStatus) {
        // The bytes from `kept` to `at` are content that `sink` does not have yet.
        let (mut kept, mut at) = (0, 0);
        while at < input.len() {
            if self.is_line_start {
                if let Some((len, status)) = self.lone_dot(&input[at..]) {
                    sink(&input[kept..at]);
                    return (at + len, status);
                }
                if input[at] == b'.' {
                    sink(&input[kept..at]);
                    (kept, at) = (at + 1, at + 1);
                }
                (self.is_line_start, self.is_after_cr) = (false, false);
            }
            let Some(len) = memchr(b'\n', &input[at..]) else {
                self.is_after_cr = input[at..].last().map_or(self.is_after_cr, |last| *last == b'\r');
                break;
            };
            let is_crlf = if len == 0 { self.is_after_cr } else { input[at + len - 1] == b'\r' };
            at += len + 1;
            if !is_crlf {
                sink(&input[kept..at - 1]);
                sink(b"\r\n");
                kept = at;
                self.has_bare_lf = true;
            }
            (self.is_line_start, self.is_after_lf) = (true, !is_crlf);
        }
        sink(&input[kept..]);
        (input.len(), DataStatus::Partial)
    }

    /// Returns how many bytes to consume and the status if `line` is only a dot, or may become it.
    fn lone_dot(&self, line: &[u8]) -> Option<(usize, DataStatus)> {
        match line {
            [b'.', b'\r', b'\n', ..] if self.is_after_lf => Some((3, DataStatus::AmbiguousEnd)),
            [b'.', b'\r', b'\n', ..] => Some((3, DataStatus::Complete)),
            [b'.', b'\n', ..] => Some((2, DataStatus::AmbiguousEnd)),
            [b'.'] | [b'.', b'\r'] => Some((0, DataStatus::Partial)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `input`, which arrives in pieces of `len` bytes. Returns the content, the number of
    /// bytes consumed, and the last status.
    fn decode(input: &[u8], len: usize) -> (Vec<u8>, usize, DataStatus) {
        let (mut decoder, mut content, mut at) = (DataDecoder::new(), Vec::new(), 0);
        for end in (0..input.len()).step_by(len).map(|start| (start + len).min(input.len())) {
            let (consumed, status) = decoder.decode(&input[at..end], |part| content.extend_from_slice(part));
            at += consumed;
            assert!(status != DataStatus::Partial || end - at <= 2, "{} bytes are left", end - at);
            if status != DataStatus::Partial {
                return (content, at, status);
            }
        }
        (content, at, DataStatus::Partial)
    }

    #[test]
    fn data_ends_at_a_line_with_only_a_dot() {
        let table: &[(&str, &str, &str)] = &[
            // the message as sent, its content, and what follows it
            (".\r\n", "", ""),
            ("\r\n.\r\n", "\r\n", "QUIT\r\n"),
            ("a\r\n.\r\n", "a\r\n", ".\r\n"),
            ("a: b\r\n\r\nhello\r\n.\r\n", "a: b\r\n\r\nhello\r\n", "MAIL FROM:<>\r\n"),
            ("..\r\n.\r\n", ".\r\n", ""),
            ("...a\r\n..\r\n.b\r\n.\r\n", "..a\r\n.\r\nb\r\n", ""),
            ("a.\r\n.\r\n", "a.\r\n", ""),
            ("a\r.\r\r\n.\r\n", "a\r.\r\r\n", ""),
            (".\rx\r\n.\r\n", "\rx\r\n", ""),
            ("a\r\r\n.\r\n", "a\r\r\n", ""),
            ("\r\r\n.\r\n", "\r\r\n", ""),
            ("caf\u{e9}\0\r\n.\r\n", "caf\u{e9}\0\r\n", ""),
            ("a\n\nb\n\r\n.\r\n", "a\r\n\r\nb\r\n\r\n", ""),
            ("\n..a\n..\n..\r\n.\r\n", "\r\n.a\r\n.\r\n.\r\n", ""),
            ("a\r\n\n.b\r\n.\r\n", "a\r\n\r\nb\r\n", ""),
        ];
        for (sent, content, rest) in table {
            let input = format!("{sent}{rest}");
            for len in 1..=input.len() {
                let (got, consumed, status) = decode(input.as_bytes(), len);
                let got = String::from_utf8(got).expect("text");
                assert_eq!(
                    (&*got, consumed, status),
                    (*content, sent.len(), DataStatus::Complete),
                    "{input:?} {len}"
                );
            }
        }
    }

    #[test]
    fn data_has_no_other_end() {
        let smuggled = "\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nevil\r\n";
        for end in ["\n.\n", "\n.\r\n", "\r\n.\n", "\r\n\n.\n", "\n.\n\r\n", "\r\n\n.\r\n"] {
            let input = format!("first\r\nx{end}{smuggled}.\r\n");
            for len in 1..=input.len() {
                let (_, consumed, status) = decode(input.as_bytes(), len);
                assert_eq!(status, DataStatus::AmbiguousEnd, "{end:?} in pieces of {len}");
                assert!(consumed <= "first\r\nx".len() + end.len(), "{end:?} in pieces of {len}");
            }
        }
        for end in ["\r.\r", "\r.\r\n", "\r\n.\r", "\r\r.", "\r\n.\r\r\n", "\0.\r\n"] {
            let input = format!("first\r\nx{end}{smuggled}.\r\n");
            for len in 1..=input.len() {
                let (content, consumed, status) = decode(input.as_bytes(), len);
                assert_eq!(
                    (consumed, status),
                    (input.len(), DataStatus::Complete),
                    "{end:?} in pieces of {len}"
                );
                assert!(content.ends_with(b"\r\nevil\r\n"), "{end:?} in pieces of {len}");
            }
        }
    }

    #[test]
    fn data_without_an_end_is_partial() {
        for input in ["", "a", "a\r", "a\r\n", "a\r\n.", "a\r\n.\r", "."] {
            for len in 1..=input.len() {
                let (content, consumed, status) = decode(input.as_bytes(), len);
                assert_eq!(status, DataStatus::Partial, "{input:?} in pieces of {len}");
                assert_eq!(content, &input.as_bytes()[..consumed], "{input:?} in pieces of {len}");
            }
        }
    }
}
