//! The replies of an SMTP server (RFC 5321 section 4.2).

/// One line of a reply.
#[derive(Debug, PartialEq, Eq)]
pub struct ReplyLine<'a> {
    pub code: u16,
    /// Whether no further line of the same reply follows.
    pub is_last: bool,
    pub text: &'a [u8],
}

impl ReplyLine<'_> {
    /// Parses a line without its line end: a code, a space or a hyphen, and text. A code alone is
    /// valid. Returns `None` if the line is malformed.
    pub fn parse(line: &[u8]) -> Option<ReplyLine<'_>> {
        let (code, rest) = line.split_at_checked(3)?;
        let is_code = matches!(code[0], b'2'..=b'5') && code.iter().all(u8::is_ascii_digit);
        let code = std::str::from_utf8(code).ok().filter(|_| is_code)?.parse().ok()?;
        match rest {
            [] => Some(ReplyLine { code, is_last: true, text: rest }),
            [b' ', text @ ..] => Some(ReplyLine { code, is_last: true, text }),
            [b'-', text @ ..] => Some(ReplyLine { code, is_last: false, text }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reply_has_a_code_and_text() {
        let reply =
            |code, is_last, text: &'static str| Some(ReplyLine { code, is_last, text: text.as_bytes() });
        let table = [
            ("220 ready", reply(220, true, "ready")),
            ("250-SIZE 1000", reply(250, false, "SIZE 1000")),
            ("250", reply(250, true, "")),
            ("250 ", reply(250, true, "")),
            ("250-", reply(250, false, "")),
            ("354  two spaces", reply(354, true, " two spaces")),
            ("599 \u{e9}", reply(599, true, "\u{e9}")),
            ("", None),
            ("25", None),
            ("2500 ok", None),
            ("25x ok", None),
            ("+25 ok", None),
            ("150 ok", None),
            ("650 ok", None),
            ("250_ok", None),
            (" 250 ok", None),
            ("+OK", None),
            ("HTTP/1.1 400 Bad Request", None),
        ];
        for (line, expected) in table {
            assert_eq!(ReplyLine::parse(line.as_bytes()), expected, "{line:?}");
        }
    }
}
