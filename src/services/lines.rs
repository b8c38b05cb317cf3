//! The command lines of SMTP and POP3. A line that is too long is dropped in pieces as it arrives,
//! so that it needs no memory. Parsing continues with the next line.

use crate::{
    framing::{TooLong, line},
    protocol::Context,
    trace::Step,
};

/// What [`CommandLines::next`] has found.
#[derive(Debug, PartialEq, Eq)]
pub enum NextLine<'a> {
    /// A line, without its line end.
    Line(&'a [u8]),
    /// The end of a line that is too long.
    TooLong,
    /// No end of a line.
    Incomplete,
}

/// Splits the input of a connection into lines.
#[derive(Debug)]
pub struct CommandLines {
    /// The maximum length in bytes of a line, without its line end.
    max: usize,
    /// Whether the beginning of a line that is too long has been dropped.
    is_dropping: bool,
}

impl CommandLines {
    /// Creates a splitter for lines of at most `max` bytes.
    pub fn new(max: usize) -> CommandLines {
        CommandLines { max, is_dropping: false }
    }

    /// Splits the first line off `input`, as [`CommandLines::next`] does, and reports the step. A
    /// line that `is_secret` is reported without its text.
    pub fn read<'a>(
        &mut self,
        input: &'a [u8],
        is_secret: bool,
        cx: &mut Context<'_>,
    ) -> (usize, NextLine<'a>) {
        let (len, next) = self.next(input);
        let left = input.len() - len;
        cx.trace(|| match next {
            NextLine::Incomplete => Step::Incomplete { have: left, need: "the end of the line" },
            NextLine::Line(line) if !is_secret => Step::Understood { start: line.to_vec(), len, left },
            NextLine::Line(_) | NextLine::TooLong => Step::Understood { start: Vec::new(), len, left },
        });
        (len, next)
    }

    /// Splits the first line off `input`. Returns how many bytes of `input` were consumed.
    pub fn next<'a>(&mut self, input: &'a [u8]) -> (usize, NextLine<'a>) {
        if !self.is_dropping {
            match line(input, self.max) {
                Ok(Some((line, len))) => return (len, NextLine::Line(line)),
                Ok(None) => return (0, NextLine::Incomplete),
                Err(TooLong) => {}
            }
        }
        let end = memchr::memchr(b'\n', input);
        self.is_dropping = end.is_none();
        end.map_or((input.len(), NextLine::Incomplete), |end| (end + 1, NextLine::TooLong))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_line_is_dropped_and_the_next_one_is_found() {
        let input = b"a\r\nbcdefghijk\r\n12345\r\nlong again\n\nb";
        for step in 1..=input.len() {
            let (mut lines, mut found, mut waiting) = (CommandLines::new(5), Vec::new(), Vec::new());
            for piece in input.chunks(step) {
                waiting.extend_from_slice(piece);
                loop {
                    let (consumed, next) = lines.next(&waiting);
                    match next {
                        NextLine::Line(line) => found.push(String::from_utf8_lossy(line).into_owned()),
                        NextLine::TooLong => found.push("too long".into()),
                        NextLine::Incomplete => {}
                    }
                    let is_incomplete = next == NextLine::Incomplete;
                    waiting.drain(..consumed);
                    if is_incomplete {
                        break;
                    }
                }
                assert!(waiting.len() <= 7, "{} bytes wait", waiting.len());
            }
            assert_eq!(found, ["a", "too long", "12345", "too long", ""], "pieces of {step}");
            assert_eq!(waiting, b"b");
        }
    }
}
