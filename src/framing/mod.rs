//! Message boundaries in a byte stream. TCP has none: one read may return half a message or ten
//! messages, so a protocol must say where each message ends.
//!
//! There are two common answers. A *line* ends with a line feed, as in SMTP, POP3 and chat. A
//! *frame* begins with its length, so its content may be any bytes. The functions for both look
//! only at the beginning of the received input, and never keep bytes. A mail has many lines, so
//! SMTP and POP3 end it with a line with only a dot: *dotted text*.

mod dots;
mod length;
mod line;

pub use dots::{DottedPiece, DottedReader, put_dotted, text_lines};
pub use length::{frame, put_frame};
pub use line::line;

/// The error for a message that is longer than the receiver accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

impl std::fmt::Display for TooLong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the message is too long")
    }
}

impl std::error::Error for TooLong {}
