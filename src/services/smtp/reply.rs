//! SMTP replies: a code and a text (RFC 5321 section 4.2).

use std::borrow::Cow;

/// The name of the server in its replies. A mail catcher needs no name that clients can resolve.
pub const SERVER: &str = "localhost";

/// A reply to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpReply {
    pub code: u16,
    /// The text, without control characters except the line feeds between lines.
    pub text: Cow<'static, str>,
}

/// Creates a reply with a fixed text.
const fn reply(code: u16, text: &'static str) -> SmtpReply {
    SmtpReply { code, text: Cow::Borrowed(text) }
}

pub const HELP: SmtpReply = reply(214, "Commands: HELO EHLO AUTH MAIL RCPT DATA RSET NOOP VRFY HELP QUIT");
pub const GREETING: SmtpReply = reply(220, "localhost oneloop keeps mail and delivers none");
pub const BYE: SmtpReply = reply(221, "localhost closes the connection");
pub const AUTHENTICATED: SmtpReply = reply(235, "Authenticated: any name and password are accepted");
pub const OK: SmtpReply = reply(250, "OK");
pub const CANNOT_VERIFY: SmtpReply = reply(252, "Every recipient is accepted");
pub const START_DATA: SmtpReply = reply(354, "Send the message; end it with a line with only a dot");
pub const IDLE: SmtpReply = reply(421, "localhost closes the connection: no command within 5 minutes");
pub const NOT_HTTP: SmtpReply = reply(421, "This is SMTP, not HTTP");
pub const TOO_SLOW: SmtpReply = reply(421, "localhost closes the connection: the message arrives too slowly");
pub const NO_MEMORY: SmtpReply = reply(421, "localhost closes the connection: too many long lines at once");
pub const SHUTDOWN: SmtpReply = reply(421, "localhost is shutting down");
pub const TOO_MANY_ERRORS: SmtpReply =
    reply(421, "localhost closes the connection: too many errors in a row");
pub const TOO_MANY_RECIPIENTS: SmtpReply =
    reply(452, "Too many recipients; send the message to the others later");
pub const LINE_TOO_LONG: SmtpReply = reply(500, "Line too long");
pub const UNKNOWN: SmtpReply = reply(500, "Unknown command; HELP lists the commands");
pub const NOT_ASCII: SmtpReply = reply(500, "Commands are printable ASCII (SMTPUTF8 is not supported)");
pub const NO_ARGUMENT: SmtpReply = reply(501, "This command takes no argument");
pub const NAME_EXPECTED: SmtpReply = reply(501, "Syntax: HELO NAME or EHLO NAME");
pub const MAIL_SYNTAX: SmtpReply = reply(501, "Syntax: MAIL FROM:<sender@example.org>");
pub const RCPT_SYNTAX: SmtpReply = reply(501, "Syntax: RCPT TO:<recipient@example.org>");
pub const BAD_VALUE: SmtpReply = reply(501, "Bad or repeated parameter value");
pub const VRFY_SYNTAX: SmtpReply = reply(501, "Syntax: VRFY NAME");
pub const NOT_BASE64: SmtpReply = reply(501, "Invalid base64, or not what the mechanism expects");
pub const CANCELLED: SmtpReply = reply(501, "Authentication cancelled");
pub const NOT_OFFERED: SmtpReply = reply(502, "Command not implemented; HELP lists the commands");
pub const HELO_FIRST: SmtpReply = reply(503, "Send HELO or EHLO first");
pub const MAIL_FIRST: SmtpReply = reply(503, "Send MAIL first");
pub const RCPT_FIRST: SmtpReply = reply(503, "Send RCPT first");
pub const MAIL_TWICE: SmtpReply = reply(503, "A message has already begun; RSET discards it");
pub const NO_AUTH_NOW: SmtpReply = reply(503, "Already authenticated, or a message has begun");
pub const UNKNOWN_MECHANISM: SmtpReply = reply(504, "The mechanisms are LOGIN and PLAIN");
pub const AMBIGUOUS_END: SmtpReply =
    reply(554, "End the message with CRLF, a dot, CRLF, not with LF only (nc -C, curl --crlf)");
pub const UNKNOWN_PARAMETER: SmtpReply = reply(555, "Unknown parameter");

impl SmtpReply {
    /// Creates a reply.
    pub fn new(code: u16, text: String) -> SmtpReply {
        SmtpReply { code, text: text.into() }
    }

    /// Returns whether the reply says that the command is wrong. (A 4xx code means that it may
    /// succeed later.)
    pub fn is_error(&self) -> bool {
        self.code >= 500
    }

    /// Appends the reply in the form for sending. Each line begins with the code. A hyphen follows
    /// the code in all lines except the last.
    pub fn put(&self, out: &mut Vec<u8>) {
        let mut lines = self.text.split('\n').peekable();
        while let Some(line) = lines.next() {
            let separator = if lines.peek().is_some() { '-' } else { ' ' };
            out.extend_from_slice(format!("{}{separator}{line}\r\n", self.code).as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reply_has_the_code_on_each_line() {
        let mut out = Vec::new();
        OK.put(&mut out);
        SmtpReply::new(250, "a\nb c\nd".into()).put(&mut out);
        assert_eq!(out, b"250 OK\r\n250-a\r\n250-b c\r\n250 d\r\n");
    }
}
