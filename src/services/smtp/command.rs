//! Parses SMTP commands (RFC 5321 section 4.1).
//!
//! The parser is as strict as the grammar where a mistake should be noticed, and lenient where
//! clients commonly deviate from it: it accepts a space after the colon of `MAIL FROM: <a@b>`, and
//! mailboxes without a domain.

use super::reply::{self, SmtpReply};

/// The longest path in bytes, with its angle brackets (RFC 5321 section 4.5.3.1.3).
const MAX_PATH: usize = 256;

/// A parsed command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SmtpCommand<'a> {
    /// `HELO` or, if extended, `EHLO`, and the client's name.
    Hello {
        name: &'a str,
        is_extended: bool,
    },
    /// `AUTH`, the mechanism in any case, and the initial response if there is one (RFC 4954).
    Auth {
        mechanism: &'a str,
        initial: Option<&'a str>,
    },
    /// `MAIL`, the sender, which is empty for `<>`, and the announced size in bytes (RFC 1870).
    Mail {
        from: &'a str,
        size: Option<u64>,
    },
    /// `RCPT` and the recipient.
    Recipient {
        to: &'a str,
    },
    Data,
    Reset,
    Noop,
    Verify,
    Help,
    Quit,
}

impl SmtpCommand<'_> {
    /// Parses a line without its line end.
    ///
    /// # Errors
    /// Returns the reply to a line that is not a valid command.
    pub fn parse(line: &[u8]) -> Result<SmtpCommand<'_>, SmtpReply> {
        let line = str::from_utf8(line).map_err(|_| reply::NOT_ASCII)?;
        if !line.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
            return Err(reply::NOT_ASCII);
        }
        let line = line.trim_end();
        let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
        let argument = argument.trim_start();
        let alone = |command| if argument.is_empty() { Ok(command) } else { Err(reply::NO_ARGUMENT) };
        match verb.to_ascii_uppercase().as_str() {
            "HELO" => hello(argument, false),
            "EHLO" => hello(argument, true),
            "AUTH" => auth(argument),
            "MAIL" => mail(argument),
            "RCPT" => recipient(argument),
            "DATA" => alone(SmtpCommand::Data),
            "RSET" => alone(SmtpCommand::Reset),
            "QUIT" => alone(SmtpCommand::Quit),
            "NOOP" => Ok(SmtpCommand::Noop),
            "HELP" => Ok(SmtpCommand::Help),
            "VRFY" if argument.is_empty() => Err(reply::VRFY_SYNTAX),
            "VRFY" => Ok(SmtpCommand::Verify),
            "EXPN" | "STARTTLS" | "BDAT" | "TURN" | "ETRN" | "SEND" | "SOML" | "SAML" => {
                Err(reply::NOT_OFFERED)
            }
            // A web page can make a browser send mail commands in the body of a request.
            "GET" | "HEAD" | "POST" | "PUT" | "OPTIONS" | "CONNECT" => Err(reply::NOT_HTTP),
            _ => Err(reply::UNKNOWN),
        }
    }
}

fn hello(name: &str, is_extended: bool) -> Result<SmtpCommand<'_>, SmtpReply> {
    // A name is one word of at most 255 bytes: a domain or an address literal.
    if !(1..=255).contains(&name.len()) || name.contains(' ') {
        return Err(reply::NAME_EXPECTED);
    }
    Ok(SmtpCommand::Hello { name, is_extended })
}

fn auth(argument: &str) -> Result<SmtpCommand<'_>, SmtpReply> {
    let (mechanism, initial) = match argument.split_once(' ') {
        Some((mechanism, initial)) => (mechanism, Some(initial.trim_start())),
        None => (argument, None),
    };
    if mechanism.is_empty() {
        Err(reply::UNKNOWN_MECHANISM)
    } else {
        Ok(SmtpCommand::Auth { mechanism, initial })
    }
}

fn mail(argument: &str) -> Result<SmtpCommand<'_>, SmtpReply> {
    let (from, parameters) = path_after("FROM:", argument).ok_or(reply::MAIL_SYNTAX)?;
    let (mut size, mut seen) = (None, Vec::new());
    for parameter in parameters.split_ascii_whitespace() {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let name = name.to_ascii_uppercase();
        match name.as_str() {
            // At most 20 digits (RFC 1870 section 4), so the number may not fit into 64 bits.
            "SIZE" if (1..=20).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit()) => {
                size = Some(value.parse().unwrap_or(u64::MAX));
            }
            "BODY" if ["7BIT", "8BITMIME"].iter().any(|body| value.eq_ignore_ascii_case(body)) => {}
            // The identity of the original sender, which a mail catcher does not need (RFC 4954
            // section 5).
            "AUTH" if !value.is_empty() => {}
            "SIZE" | "BODY" | "AUTH" => return Err(reply::BAD_VALUE),
            _ => return Err(reply::UNKNOWN_PARAMETER),
        }
        if seen.contains(&name) {
            return Err(reply::BAD_VALUE);
        }
        seen.push(name);
    }
    Ok(SmtpCommand::Mail { from, size })
}

fn recipient(argument: &str) -> Result<SmtpCommand<'_>, SmtpReply> {
    let (to, parameters) =
        path_after("TO:", argument).filter(|(to, _)| !to.is_empty()).ok_or(reply::RCPT_SYNTAX)?;
    if parameters.trim().is_empty() {
        Ok(SmtpCommand::Recipient { to })
    } else {
        Err(reply::UNKNOWN_PARAMETER)
    }
}

/// Splits `FROM:<path> parameters` into the path's mailbox and the parameters.
fn path_after<'a>(keyword: &str, argument: &'a str) -> Option<(&'a str, &'a str)> {
    let (word, rest) = argument.split_at_checked(keyword.len())?;
    if !word.eq_ignore_ascii_case(keyword) {
        return None;
    }
    let path = rest.trim_start().strip_prefix('<')?;
    let end = end_of_mailbox(path)?;
    let (mailbox, parameters) = (&path[..end], &path[end + 1..]);
    if end + 2 > MAX_PATH || !(parameters.is_empty() || parameters.starts_with(' ')) {
        return None;
    }
    // A source route before the mailbox is obsolete. A server accepts and ignores it (RFC 5321
    // section 4.1.1.3).
    let mailbox = if mailbox.starts_with('@') { mailbox.split_once(':')?.1 } else { mailbox };
    Some((mailbox, parameters))
}

/// Returns the index of the `>` that ends a mailbox. The local part may be a quoted string, which
/// can contain any character.
fn end_of_mailbox(path: &str) -> Option<usize> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, byte) in path.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            _ if is_quoted => {}
            b'>' => return Some(at),
            b' ' | b'<' => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(from: &'static str, size: Option<u64>) -> Result<SmtpCommand<'static>, SmtpReply> {
        Ok(SmtpCommand::Mail { from, size })
    }

    #[test]
    fn command_is_parsed_in_any_case() {
        let to = |to| Ok(SmtpCommand::Recipient { to });
        let hello = |name, is_extended| Ok(SmtpCommand::Hello { name, is_extended });
        let auth = |mechanism, initial| Ok(SmtpCommand::Auth { mechanism, initial });
        let table: &[(&str, Result<SmtpCommand<'_>, SmtpReply>)] = &[
            ("HELO thuctap.net", hello("thuctap.net", false)),
            ("Helo TsinghuaMail", hello("TsinghuaMail", false)),
            ("ehlo [127.0.0.1] ", hello("[127.0.0.1]", true)),
            ("EHLO  a", hello("a", true)),
            ("EHLO", Err(reply::NAME_EXPECTED)),
            ("HELO a b", Err(reply::NAME_EXPECTED)),
            ("Auth Login", auth("Login", None)),
            ("AUTH PLAIN AGEAYg==", auth("PLAIN", Some("AGEAYg=="))),
            ("AUTH PLAIN =", auth("PLAIN", Some("="))),
            ("AUTH", Err(reply::UNKNOWN_MECHANISM)),
            ("MAIL FROM:<a@b>", mail("a@b", None)),
            ("MAIL FROM: <ptphi@thuctap.net> ", mail("ptphi@thuctap.net", None)),
            ("mail from:<>", mail("", None)),
            ("MAIL FROM:<@c,@d:a@b>", mail("a@b", None)),
            ("MAIL FROM:<\"a >\\\" b\"@c> SIZE=1", mail("\"a >\\\" b\"@c", Some(1))),
            ("MAIL FROM:<a@b> size=5 Body=8bitmime AUTH=<>", mail("a@b", Some(5))),
            ("MAIL FROM:<a@b> BODY=7BIT", mail("a@b", None)),
            ("MAIL FROM:<a@b> SIZE=99999999999999999999", mail("a@b", Some(u64::MAX))),
            ("RCPT TO:<nchuy@cit.ctu.edu.vn>", to("nchuy@cit.ctu.edu.vn")),
            ("RCPT TO: <nchuy@cit.ctu.edu.vn> ", to("nchuy@cit.ctu.edu.vn")),
            ("rcpt to:<Postmaster>", to("Postmaster")),
            ("DATA", Ok(SmtpCommand::Data)),
            ("data ", Ok(SmtpCommand::Data)),
            ("RSET", Ok(SmtpCommand::Reset)),
            ("NOOP", Ok(SmtpCommand::Noop)),
            ("NOOP anything", Ok(SmtpCommand::Noop)),
            ("HELP data", Ok(SmtpCommand::Help)),
            ("VRFY someone", Ok(SmtpCommand::Verify)),
            ("quit", Ok(SmtpCommand::Quit)),
        ];
        for (line, expected) in table {
            assert_eq!(&SmtpCommand::parse(line.as_bytes()), expected, "{line:?}");
        }
    }

    #[test]
    fn invalid_command_gets_the_code_that_says_why() {
        let long = format!("MAIL FROM:<{}@b>", "a".repeat(300));
        let long_name = format!("EHLO {}", "a".repeat(256));
        let table: &[(&str, u16)] = &[
            ("", 500),
            ("FOO", 500),
            (" HELO a", 500),
            ("HELO a\tb", 500),
            ("HELO a\rMAIL FROM:<>", 500),
            ("HELO \u{fc}", 500),
            ("MAIL", 501),
            ("MAIL a@b", 501),
            ("MAIL FROM a@b", 501),
            ("MAIL FROM:a@b", 501),
            ("MAIL FROM:<a@b", 501),
            ("MAIL FROM:<a@b>SIZE=1", 501),
            ("MAIL FROM:<a b@c>", 501),
            ("MAIL FROM:<a@b> SIZE", 501),
            ("MAIL FROM:<a@b> SIZE=", 501),
            ("MAIL FROM:<a@b> SIZE=+1", 501),
            ("MAIL FROM:<a@b> SIZE=1x", 501),
            ("MAIL FROM:<a@b> SIZE=1 size=2", 501),
            ("MAIL FROM:<a@b> BODY=BINARYMIME", 501),
            ("MAIL FROM:<a@b> AUTH", 501),
            (&long, 501),
            (&long_name, 501),
            ("MAIL TO:<a@b>", 501),
            ("MAIL FROM:<a@b> SMTPUTF8", 555),
            ("MAIL FROM:<a@b> RET=HDRS", 555),
            ("RCPT TO:<>", 501),
            ("RCPT FROM:<a@b>", 501),
            ("RCPT TO:<a@b> NOTIFY=NEVER", 555),
            ("DATA now", 501),
            ("RSET it", 501),
            ("QUIT now", 501),
            ("VRFY", 501),
            ("EXPN list", 502),
            ("STARTTLS", 502),
            ("BDAT 5 LAST", 502),
            ("POST / HTTP/1.1", 421),
        ];
        for (line, code) in table {
            let reply = SmtpCommand::parse(line.as_bytes()).expect_err(line);
            assert_eq!(reply.code, *code, "{line:?}");
        }
        assert_eq!(SmtpCommand::parse(b"NOOP \xff"), Err(reply::NOT_ASCII));
    }
}
