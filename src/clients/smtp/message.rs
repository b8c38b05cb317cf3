//! The message that the client sends, and its envelope: the addresses of the sender and the
//! recipients.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};

use crate::framing::{put_dotted, text_lines};

/// The maximum length in bytes of the text in one encoded word. In base64, and after `Subject: `,
/// such a word fits into a line of 76 characters (RFC 2047 section 2).
const ENCODED_WORD: usize = 39;

/// A message and its envelope.
#[derive(Debug, Clone)]
pub struct OutgoingMail {
    pub(super) from: String,
    pub(super) to: Vec<String>,
    subject: Option<String>,
    text: Vec<u8>,
    has_header: bool,
}

/// The reason why a mail cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageError {
    /// This address is empty, or contains something other than visible ASCII characters.
    Address(String),
    /// The subject contains a control character.
    Subject,
    /// There is a subject, but the message has a header section of its own.
    SecondHeader,
}

impl OutgoingMail {
    /// Creates a mail. `text` is either a message with a header section or only its body.
    ///
    /// # Errors
    /// Returns a [`MessageError`] if an address or the subject could break the dialogue or the
    /// header section.
    pub fn new(
        from: &str,
        to: &[String],
        subject: Option<&str>,
        text: Vec<u8>,
    ) -> Result<OutgoingMail, MessageError> {
        let is_address = |address: &str| {
            let is_visible = |b: u8| b.is_ascii_graphic() && b != b'<' && b != b'>';
            !address.is_empty() && address.bytes().all(is_visible)
        };
        if let Some(address) = to.iter().map(String::as_str).chain([from]).find(|a| !is_address(a)) {
            return Err(MessageError::Address(address.to_owned()));
        }
        if subject.is_some_and(|subject| subject.contains(char::is_control)) {
            return Err(MessageError::Subject);
        }
        let has_header = has_header(&text);
        if has_header && subject.is_some() {
            return Err(MessageError::SecondHeader);
        }
        let subject = subject.map(str::to_owned);
        Ok(OutgoingMail { from: from.to_owned(), to: to.to_vec(), subject, text, has_header })
    }

    /// Returns the domain of the sender, or `localhost` if there is none.
    pub(super) fn domain(&self) -> &str {
        self.from.rsplit_once('@').map_or("localhost", |(_, domain)| domain)
    }

    /// Returns whether the message needs a server that accepts 8-bit characters.
    pub(super) fn is_8bit(&self) -> bool {
        !self.text.is_ascii()
    }

    /// Returns the lines to send after DATA, including the one that ends the message. `date` is the
    /// current time as an IMF-fixdate (RFC 9110 section 5.6.7). A message that has only a body gets
    /// a header section.
    pub(super) fn content(&self, date: &[u8]) -> Vec<u8> {
        let mut message = if self.has_header { Vec::new() } else { self.header(date) };
        message.extend_from_slice(&self.text);
        let mut content = Vec::with_capacity(message.len() + message.len() / 16);
        put_dotted(&mut content, &message);
        content
    }

    /// Returns a header section, with the empty line that ends it.
    fn header(&self, date: &[u8]) -> Vec<u8> {
        // RFC 5322 writes the time zone as an offset.
        let date = String::from_utf8_lossy(date).replace("GMT", "+0000");
        let mut header = format!("From: {}\r\nTo: {}\r\n", self.from, self.to.join(",\r\n "));
        if let Some(subject) = &self.subject {
            header.push_str(&format!("Subject: {}\r\n", encoded(subject)));
        }
        header.push_str(&format!("Date: {date}\r\n"));
        if self.is_8bit() && std::str::from_utf8(&self.text).is_ok() {
            header.push_str("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n");
            header.push_str("Content-Transfer-Encoding: 8bit\r\n");
        }
        header.push_str("\r\n");
        header.into_bytes()
    }
}

/// Returns whether `text` starts with a header section: field lines (RFC 5322 section 2.2) up to an
/// empty line.
fn has_header(text: &[u8]) -> bool {
    let mut lines = text_lines(text).enumerate();
    let end = lines.find(|(at, line)| {
        let is_continued = *at > 0 && matches!(line.first(), Some(b' ' | b'\t'));
        let name = line.split(|b| *b == b':').next().unwrap_or_default();
        let is_field = !name.is_empty() && name.len() < line.len() && name.iter().all(u8::is_ascii_graphic);
        !is_continued && !is_field
    });
    end.is_some_and(|(at, line)| at > 0 && line.is_empty())
}

/// Returns ASCII text unchanged, and other text as encoded words (RFC 2047), one per line.
fn encoded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    for c in text.chars() {
        if word.len() + c.len_utf8() > ENCODED_WORD {
            words.push(std::mem::take(&mut word));
        }
        word.push(c);
    }
    words.push(word);
    let encode = |word: &String| format!("=?utf-8?B?{}?=", BASE64_STANDARD.encode(word));
    words.iter().map(encode).collect::<Vec<_>>().join("\r\n ")
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MessageError::Address(address) => write!(f, "'{}' is not a mail address", address.escape_debug()),
            MessageError::Subject => f.write_str("the subject has a control character"),
            MessageError::SecondHeader => f.write_str("the message has a header section of its own"),
        }
    }
}

impl std::error::Error for MessageError {}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &[u8] = b"Sun, 06 Nov 1994 08:49:37 GMT";

    fn content(to: &[&str], subject: Option<&str>, text: &str) -> String {
        let to: Vec<String> = to.iter().map(|to| (*to).to_owned()).collect();
        let mail = OutgoingMail::new("a@x", &to, subject, text.into()).expect("a mail");
        String::from_utf8(mail.content(DATE)).expect("text")
    }

    #[test]
    fn mail_without_a_header_gets_one() {
        let header = "From: a@x\r\nTo: b@y\r\nDate: Sun, 06 Nov 1994 08:49:37 +0000\r\n\r\n";
        for (text, body) in [("hi\n", "hi\r\n"), ("", ""), (".", "..\r\n"), ("a: b\n", "a: b\r\n")] {
            assert_eq!(content(&["b@y"], None, text), format!("{header}{body}.\r\n"), "{text:?}");
        }
        assert_eq!(
            content(&["b@y", "c@z"], Some("It's Xmas!"), "hi"),
            "From: a@x\r\nTo: b@y,\r\n c@z\r\nSubject: It's Xmas!\r\nDate: Sun, 06 Nov 1994 08:49:37 +0000\r\n\r\n\
             hi\r\n.\r\n"
        );
    }

    #[test]
    fn mail_with_a_header_is_sent_as_it_is() {
        let table = [
            ("from: a\nto: b\n\nhi", "from: a\r\nto: b\r\n\r\nhi\r\n.\r\n"),
            ("Subject: a\r\n b\r\n\tc\r\n\r\n.hi\r\n", "Subject: a\r\n b\r\n\tc\r\n\r\n..hi\r\n.\r\n"),
            ("X:\n\n", "X:\r\n\r\n.\r\n"),
        ];
        for (text, expected) in table {
            assert_eq!(content(&["b@y"], None, text), expected, "{text:?}");
        }
        let twice = OutgoingMail::new("a@x", &["b@y".into()], Some("s"), b"A: b\n\nhi".to_vec());
        assert_eq!(twice.expect_err("two headers"), MessageError::SecondHeader);
    }

    #[test]
    fn header_sections_are_recognized() {
        for text in ["a: b\n\n", "a:\r\n\r\nhi", "A-b: c\n d\n\te\n\n", "a:b\r\rhi"] {
            assert!(has_header(text.as_bytes()), "{text:?}");
        }
        for text in ["", "\n", "hi", "a: b", "a: b\n", "a b: c\n\n", ": a\n\n", " a: b\n\n", "a: b\nhi\n\n"] {
            assert!(!has_header(text.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn mail_that_is_not_ascii_is_marked() {
        let header = content(
            &["b@y"],
            Some("Tu\u{1ea7}n l\u{1ec5} Gi\u{e1}ng sinh \u{1f384} t\u{1eeb} ch\u{fa}ng t\u{f4}i"),
            "\u{e9}\n",
        );
        let subject: Vec<&str> = header.lines().skip(2).take(2).collect();
        assert!(subject[0].starts_with("Subject: =?utf-8?B?") && subject[1].starts_with(" =?utf-8?B?"));
        assert!(subject.iter().all(|line| line.len() <= 76), "{subject:?}");
        let word = |line: &str| {
            let word = line.rsplit_once("?B?").expect("a word").1.trim_end_matches("?=");
            String::from_utf8(BASE64_STANDARD.decode(word).expect("base64")).expect("whole characters")
        };
        let text: String = subject.iter().map(|line| word(line)).collect();
        assert_eq!(text, "Tu\u{1ea7}n l\u{1ec5} Gi\u{e1}ng sinh \u{1f384} t\u{1eeb} ch\u{fa}ng t\u{f4}i");
        assert!(header.contains("\r\nContent-Type: text/plain; charset=utf-8\r\n"), "{header}");
        assert!(header.ends_with("8bit\r\n\r\n\u{e9}\r\n.\r\n"), "{header}");
        let latin1 = OutgoingMail::new("a@x", &["b@y".into()], None, b"\xe9".to_vec()).expect("a mail");
        assert!(!String::from_utf8_lossy(&latin1.content(DATE)).contains("charset"));
    }

    #[test]
    fn mail_that_could_break_the_dialogue_is_refused() {
        for address in ["", "a b@x", "a@x>\r\nRSET", "<a@x>", "\u{e9}@x", "a@x\n"] {
            let expected = MessageError::Address(address.to_owned());
            let to = [address.to_owned()];
            assert_eq!(OutgoingMail::new("a@x", &to, None, Vec::new()).expect_err(address), expected);
            assert_eq!(
                OutgoingMail::new(address, &["b@y".into()], None, Vec::new()).expect_err(address),
                expected
            );
        }
        let broken = OutgoingMail::new("a@x", &["b@y".into()], Some("a\r\nBcc: c@z"), Vec::new());
        assert_eq!(broken.expect_err("two lines"), MessageError::Subject);
    }
}
