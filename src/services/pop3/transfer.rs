//! Sends a message in pieces, as the lines of a multi-line response (RFC 1939 section 3).
//!
//! A large message must never be copied into the outbox as a whole, so that clients that read
//! slowly do not make memory grow.

use std::rc::Rc;

use memchr::memchr;

use crate::services::mailbox::Message;

/// The approximate length in bytes of one piece.
const PIECE: usize = 32 * 1024;

/// The rest of a message that is being sent.
pub struct Transfer {
    message: Rc<Message>,
    /// The index of the next byte to send.
    at: usize,
    /// The number of unsent lines of the body that may be sent; `None` for all.
    lines_left: Option<usize>,
    /// Whether the empty line between header and body has been sent.
    is_in_body: bool,
}

impl Transfer {
    /// Starts a transfer of the header of `message` and, at most, this number of lines of its body.
    pub fn new(message: Rc<Message>, lines: Option<usize>) -> Transfer {
        Transfer { message, at: 0, lines_left: lines, is_in_body: false }
    }

    /// Returns the message.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// Returns the number of the message's bytes that have been sent.
    pub fn sent(&self) -> usize {
        self.at
    }

    /// Appends the next piece, with another dot before each line that begins with a dot. After the
    /// last piece, appends the line with only a dot. Returns whether another piece follows.
    pub fn put(&mut self, out: &mut Vec<u8>) -> bool {
        let content = &self.message.content;
        let end = content.len().min(self.at + PIECE);
        while self.at < content.len() {
            let is_line_start = self.at == 0 || content[self.at - 1] == b'\n';
            if is_line_start && self.is_in_body && self.lines_left == Some(0) {
                break;
            }
            if self.at >= end {
                return true;
            }
            let rest = &content[self.at..end];
            let line = &rest[..memchr(b'\n', rest).map_or(rest.len(), |at| at + 1)];
            if is_line_start && line[0] == b'.' {
                out.push(b'.');
            }
            out.extend_from_slice(line);
            self.at += line.len();
            if self.is_in_body && line.ends_with(b"\n") {
                self.lines_left = self.lines_left.map(|left| left - 1);
            }
            // The last piece may have ended in the middle of the empty line.
            let sent = &content[..self.at];
            self.is_in_body |= sent.ends_with(b"\n\r\n") || sent == b"\r\n";
        }
        out.extend_from_slice(b".\r\n");
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::mailbox::message;

    /// Returns everything that a transfer sends, and the number of its pieces.
    fn transfer(content: &str, lines: Option<usize>) -> (String, usize) {
        let mut transfer = Transfer::new(message(content.as_bytes()), lines);
        let (mut out, mut pieces) = (Vec::new(), 1);
        while transfer.put(&mut out) {
            pieces += 1;
            assert!(out.len() <= pieces * (PIECE * 3 / 2), "a piece is too long");
        }
        (String::from_utf8(out).expect("text"), pieces)
    }

    #[test]
    fn transfer_stuffs_dots_and_counts_lines() {
        let whole = "A: b\r\n\r\n1\r\n.\r\n..\r\n.4\r\n";
        let table = [
            (whole, None, "A: b\r\n\r\n1\r\n..\r\n...\r\n..4\r\n.\r\n"),
            (whole, Some(0), "A: b\r\n\r\n.\r\n"),
            (whole, Some(1), "A: b\r\n\r\n1\r\n.\r\n"),
            (whole, Some(2), "A: b\r\n\r\n1\r\n..\r\n.\r\n"),
            (whole, Some(usize::MAX), "A: b\r\n\r\n1\r\n..\r\n...\r\n..4\r\n.\r\n"),
            ("A: b\r\n", Some(3), "A: b\r\n.\r\n"),
            ("A: b\r\n\r\n\r\n\r\n", Some(1), "A: b\r\n\r\n\r\n.\r\n"),
            ("", None, ".\r\n"),
            (".a\r.b\r\n", None, "..a\r.b\r\n.\r\n"),
        ];
        for (content, lines, expected) in table {
            assert_eq!(transfer(content, lines), (expected.into(), 1), "{content:?} {lines:?}");
        }
    }

    #[test]
    fn transfer_of_a_large_message_is_made_in_pieces() {
        // The pieces end at each position of a line, also before and after a dot.
        for first in 0..8 {
            let header = format!("A: {}\r\n\r\n", "b".repeat(PIECE - first));
            let body = ".1\r\n2\r\n".repeat(PIECE / 4);
            let (sent, pieces) = transfer(&format!("{header}{body}"), None);
            assert_eq!(sent, format!("{header}{}.\r\n", body.replace(".1", "..1")));
            assert!((3..=4).contains(&pieces), "{pieces} pieces");
            let (sent, pieces) = transfer(&format!("{header}{body}"), Some(3));
            assert_eq!(sent, format!("{header}..1\r\n2\r\n..1\r\n.\r\n"));
            assert_eq!(pieces, 2);
        }
    }
}
