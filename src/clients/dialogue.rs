//! The dialogue of a client and a server, as the client shows it: one line at a time, each with a
//! mark of the side that sent it.

use std::io::Write;

use crate::printable::escape_unprintable;

/// A writer of both sides of a dialogue. Control characters are escaped, so that a server cannot
/// control the terminal.
pub struct Dialogue {
    writer: Box<dyn Write>,
    sent: &'static str,
    received: &'static str,
}

impl Dialogue {
    /// Returns a dialogue with `>` before sent and `<` before received lines, as in HTTP tools.
    pub fn with_arrows(writer: Box<dyn Write>) -> Dialogue {
        Dialogue { writer, sent: ">", received: "<" }
    }

    /// Returns a dialogue with `C:` (client) before sent and `S:` (server) before received lines,
    /// as in the RFCs about mail.
    pub fn with_letters(writer: Box<dyn Write>) -> Dialogue {
        Dialogue { writer, sent: "C:", received: "S:" }
    }

    /// Shows the lines that the client sends.
    pub fn sent(&mut self, lines: &[u8]) {
        self.lines(self.sent, lines);
    }

    /// Shows the lines that the client has received.
    pub fn received(&mut self, lines: &[u8]) {
        self.lines(self.received, lines);
    }

    /// Shows a remark about the dialogue.
    pub fn note(&mut self, text: &str) {
        self.lines("*", text.as_bytes());
    }

    /// Writes each of `lines` after `mark`. Ignores errors: the conversation goes on even if the
    /// reader of the dialogue is gone.
    fn lines(&mut self, mark: &str, lines: &[u8]) {
        let mut text = String::new();
        for line in lines.split_inclusive(|b| *b == b'\n') {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            text.push_str(mark);
            if !line.is_empty() {
                text.push(' ');
                text.push_str(&visible(line));
            }
            text.push('\n');
        }
        let _ = self.writer.write_all(text.as_bytes());
    }
}

/// Returns the text of `line` as it may be printed (see [`escape_unprintable`]).
pub fn visible(line: &[u8]) -> String {
    let mut text = String::new();
    let done = escape_unprintable(line, &mut text);
    // The line has no more bytes that could complete its last character.
    text.push_str(&line[done..].escape_ascii().to_string());
    text
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, io, rc::Rc};

    use super::*;

    #[derive(Clone, Default)]
    struct Shown(Rc<RefCell<Vec<u8>>>);

    impl Write for Shown {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn dialogue_marks_each_line_by_its_side() {
        let shown = Shown::default();
        let mut dialogue = Dialogue::with_arrows(Box::new(shown.clone()));
        dialogue.sent(b"GET / HTTP/1.1\r\n\r\n");
        dialogue.received(b"HTTP/1.1 200 OK\n");
        dialogue.note("done");
        let mut dialogue = Dialogue::with_letters(Box::new(shown.clone()));
        dialogue.received(b"220 \xe2\x80\x9chi\xe2\x80\x9d");
        dialogue.sent(b"");
        let expected = "> GET / HTTP/1.1\n>\n< HTTP/1.1 200 OK\n* done\nS: 220 \u{201c}hi\u{201d}\n";
        assert_eq!(String::from_utf8_lossy(&shown.0.borrow()), expected);
    }

    #[test]
    fn dialogue_shows_no_control_characters() {
        let table: [(&[u8], &str); 6] = [
            (b"354 end with \".\" or '\\'", "354 end with \".\" or '\\'"),
            (b"\x1b[2J\x07\ra\r", r"\u{1b}[2J\u{7}\ra\r"),
            (b"\xff\xfe \xc2\x9b \xe2\x80\xae", r"\xff\xfe \u{9b} \u{202e}"),
            ("n\u{301}\u{e9}".as_bytes(), "n\u{301}\u{e9}"),
            (b"a\xe4\xbd", r"a\xe4\xbd"),
            (b"", ""),
        ];
        for (line, expected) in table {
            assert_eq!(visible(line), expected);
        }
    }
}
