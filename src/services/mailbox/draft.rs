//! A message that is still arriving.

use std::rc::Rc;

use super::{MailError, Mailbox, Message};
use crate::clock::Clock;

/// A message that is still arriving. It counts against the limits of its mailbox until it is stored
/// or dropped.
pub struct Draft {
    mailbox: Mailbox,
    content: Vec<u8>,
    /// The length in bytes of the header lines that the service has put in front of the message.
    prefix: usize,
}

impl Draft {
    /// Starts a message. `prefix` is what the service puts in front of it: complete header lines.
    ///
    /// # Errors
    /// Fails if the mailbox has no room for another message.
    pub fn new(mailbox: &Mailbox, prefix: Vec<u8>) -> Result<Draft, MailError> {
        mailbox.check_room(prefix.len())?;
        let mut contents = mailbox.contents();
        contents.arriving += 1;
        contents.bytes += prefix.len();
        drop(contents);
        Ok(Draft { mailbox: mailbox.clone(), prefix: prefix.len(), content: prefix })
    }

    /// Appends a part of the message.
    ///
    /// # Errors
    /// Fails if the message becomes too large or the mailbox has no room for the part.
    pub fn extend(&mut self, part: &[u8]) -> Result<(), MailError> {
        let mut contents = self.mailbox.contents();
        // If the part exceeds both limits, the error is the one that single bytes would meet first,
        // so that it does not depend on how the message was split into reads.
        let for_message = contents.limits.message_bytes - self.len();
        let for_mailbox = contents.limits.bytes - contents.bytes;
        if part.len() > for_message.min(for_mailbox) {
            return Err(if for_message <= for_mailbox { MailError::TooLarge } else { MailError::Full });
        }
        contents.bytes += part.len();
        self.content.extend_from_slice(part);
        Ok(())
    }

    /// Returns the length of the message in bytes, without the prefix.
    pub fn len(&self) -> usize {
        self.content.len() - self.prefix
    }

    /// Stores the message, which is complete. After this call, the message is as safe as
    /// the mailbox's store can make it.
    ///
    /// # Errors
    /// Fails if the store fails. The message is then not in the mailbox.
    pub fn store(mut self, clock: &Clock) -> Result<Rc<Message>, MailError> {
        let content = std::mem::take(&mut self.content);
        let len = content.len();
        let result = self.mailbox.contents().insert(content, clock);
        if result.is_err() {
            self.mailbox.contents().bytes -= len;
        }
        result
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let mut contents = self.mailbox.contents();
        contents.arriving -= 1;
        // The content of a stored message has moved out of the draft, and still counts.
        contents.bytes -= self.content.len();
    }
}

/// Returns `content` with CRLF at the end of each line. Other programs store messages with lines
/// that end in LF, and POP3 has no such lines.
pub fn with_crlf(content: Vec<u8>) -> Vec<u8> {
    let is_bare = |at: usize| content[at] == b'\n' && (at == 0 || content[at - 1] != b'\r');
    let bare = memchr::memchr_iter(b'\n', &content).filter(|at| is_bare(*at)).count();
    if bare == 0 && content.ends_with(b"\r\n") {
        return content;
    }
    let mut converted = Vec::with_capacity(content.len() + bare + 2);
    for line in content.split_inclusive(|b| *b == b'\n') {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        converted.extend_from_slice(text.strip_suffix(b"\r").unwrap_or(text));
        converted.extend_from_slice(b"\r\n");
    }
    converted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_with_crlf() {
        let table = [
            ("", ""),
            ("a", "a\r\n"),
            ("a\n", "a\r\n"),
            ("a\r\n", "a\r\n"),
            ("a\n\nb\r\nc\n", "a\r\n\r\nb\r\nc\r\n"),
            ("a\rb\r\n", "a\rb\r\n"),
            ("\n.\n", "\r\n.\r\n"),
            ("a\r", "a\r\n"),
        ];
        for (content, expected) in table {
            assert_eq!(with_crlf(content.into()), expected.as_bytes(), "{content:?}");
        }
    }
}
