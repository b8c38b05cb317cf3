//! Makes text from a peer safe to print, and leaves it readable in any language. Such text must
//! never act on the terminal or page that shows it, and never show a password of a URL.

use std::fmt::{self, Write};

/// Returns `text` with a space for each tab. Invalid UTF-8, and each other character that acts on a
/// terminal, becomes U+FFFD.
pub fn replace_unprintable(text: &[u8]) -> String {
    let replace = |c: char| match c {
        '\t' => ' ',
        c if acts_on_terminal(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    String::from_utf8_lossy(text).chars().map(replace).collect()
}

/// Appends `text` to `out`, with escapes such as `\u{1b}` and `\xff` for characters that act on a
/// terminal and for invalid UTF-8. Line feeds and tabs stay, and a carriage return before a line
/// feed is left out. Returns the number of bytes that are done. The rest, at most 3 bytes, is the
/// beginning of a character or a carriage return, whose meaning depends on the next byte.
pub fn escape_unprintable(text: &[u8], out: &mut String) -> usize {
    let mut done = 0;
    loop {
        let rest = &text[done..];
        let (valid, invalid) = match str::from_utf8(rest) {
            Ok(valid) => (valid, Some(0)),
            Err(e) => (str::from_utf8(&rest[..e.valid_up_to()]).unwrap_or_default(), e.error_len()),
        };
        let mut chars = valid.chars().peekable();
        while let Some(c) = chars.next() {
            match (c, chars.peek()) {
                ('\r', Some('\n')) => {}
                ('\r', None) if valid.len() == rest.len() => return done + valid.len() - 1,
                ('\n' | '\t', _) => out.push(c),
                _ if acts_on_terminal(c) => out.extend(c.escape_default()),
                _ => out.push(c),
            }
        }
        done += valid.len();
        let Some(invalid) = invalid else { return done };
        for byte in &text[done..done + invalid] {
            let _ = write!(out, "\\x{byte:02x}"); // a String takes everything
        }
        done += invalid;
        if done == text.len() {
            return done;
        }
    }
}

/// Returns whether a terminal does anything but show `c`: control characters, line separators, and
/// characters that change the direction of the text around them (Unicode Standard Annex 9).
fn acts_on_terminal(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Text to show on a page. Formatting escapes it for HTML, and replaces invalid UTF-8 and each
/// character that acts on a terminal with U+FFFD, because such a character could disguise a name.
pub struct Html<'a>(pub &'a [u8]);

impl fmt::Display for Html<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in String::from_utf8_lossy(self.0).chars() {
            match char {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                _ if acts_on_terminal(char) => f.write_char(char::REPLACEMENT_CHARACTER)?,
                _ => f.write_char(char)?,
            }
        }
        Ok(())
    }
}

/// Replaces the user name and the password of each URL in `line`, and of the target of CONNECT, by
/// `*`. Such a request is refused (RFC 9110 section 4.2.4), but a client may have sent it. If the
/// line is not complete and may end within a user name, hides that as well.
pub fn hide_userinfo(line: &mut [u8], is_complete: bool) {
    let mut at = if line.starts_with(CONNECT) { Some(CONNECT.len()) } else { authority_at(line, 0) };
    while let Some(start) = at {
        let is_end = |b: &u8| matches!(b, b'/' | b'?' | b'#') || b.is_ascii_whitespace();
        let end = line[start..].iter().position(is_end).map(|len| start + len);
        let authority_end = end.unwrap_or(line.len());
        let authority = &mut line[start..authority_end];
        let hidden_len = match end {
            None if !is_complete => authority.len(),
            _ => memchr::memrchr(b'@', authority).unwrap_or(0),
        };
        authority[..hidden_len].fill(b'*');
        at = authority_at(line, start);
    }
}

const CONNECT: &[u8] = b"CONNECT ";

/// Returns the offset behind the first `://` at or after `from`.
fn authority_at(line: &[u8], from: usize) -> Option<usize> {
    memchr::memmem::find(&line[from..], b"://").map(|at| from + at + 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacement_leaves_readable_text() {
        let table: [(&[u8], &str); 8] = [
            (b"plain", "plain"),
            (b"  spaces stay  ", "  spaces stay  "),
            ("\u{4f60}\u{597d} \u{1f600}".as_bytes(), "\u{4f60}\u{597d} \u{1f600}"),
            (b"\x1b[2J\x07\r\x7f", "\u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}"),
            (b"a\tb", "a b"),
            (b"a\xe4\xbd", "a\u{fffd}"),
            ("\u{9b}31m".as_bytes(), "\u{fffd}31m"),
            ("\u{202e}\u{2028}\u{2066}".as_bytes(), "\u{fffd}\u{fffd}\u{fffd}"),
        ];
        for (text, expected) in table {
            assert_eq!(replace_unprintable(text), expected);
        }
        let every: Vec<u8> = (0..=u8::MAX).collect();
        assert!(!replace_unprintable(&every).contains(char::is_control));
    }

    #[test]
    fn escapes_are_the_same_wherever_the_text_is_cut() {
        let table: [(&[u8], &str); 7] = [
            (b"one\r\ntwo\n", "one\ntwo\n"),
            ("\u{4f60}\u{597d}\n".as_bytes(), "\u{4f60}\u{597d}\n"),
            (b"\x1b[2J\x07.", r"\u{1b}[2J\u{7}."),
            (b"a\rb\tc", "a\\rb\tc"),
            (b"\xff\xe4\xbd.", r"\xff\xe4\xbd."),
            ("\u{9b}\u{202e}.".as_bytes(), r"\u{9b}\u{202e}."),
            (b"\r\r\n\r.", "\\r\n\\r."),
        ];
        for (text, expected) in table {
            for cut in 0..=text.len() {
                let mut out = String::new();
                let first = escape_unprintable(&text[..cut], &mut out);
                assert!(cut - first <= 3, "{text:?} until {cut}");
                let second = escape_unprintable(&text[first..], &mut out);
                assert_eq!((out.as_str(), first + second), (expected, text.len()), "{text:?} until {cut}");
            }
        }
    }

    #[test]
    fn userinfo_is_hidden_wherever_the_line_is_cut() {
        let table = [
            ("GET http://u:p@h/a@b HTTP/1.1", "GET http://***@h/a@b HTTP/1.1"),
            ("GET http://u:p@q@h HTTP/1.1", "GET http://*****@h HTTP/1.1"),
            ("GET http://h:8000/ HTTP/1.1", "GET http://h:8000/ HTTP/1.1"),
            ("GET\thttp://u@h?x://y@z#", "GET\thttp://*@h?x://*@z#"),
            ("GET /a:b@c HTTP/1.1", "GET /a:b@c HTTP/1.1"),
            ("CONNECT u:p@h:443 HTTP/1.1", "CONNECT ***@h:443 HTTP/1.1"),
            ("CONNECT http://u@h", "CONNECT http://*@h"),
            ("MAIL FROM:<a@b>", "MAIL FROM:<a@b>"),
            ("://", "://"),
            ("CONNECT ", "CONNECT "),
        ];
        for (line, expected) in table {
            let hidden = |len: usize, is_complete| {
                let mut cut = line.as_bytes()[..len].to_vec();
                hide_userinfo(&mut cut, is_complete);
                cut
            };
            assert_eq!(
                hidden(line.len(), true).escape_ascii().to_string(),
                expected.escape_default().to_string()
            );
            for len in 0..line.len() {
                let pairs = hidden(len, false).into_iter().zip(expected.bytes());
                assert!(
                    pairs.into_iter().all(|(now, whole)| now == whole || now == b'*'),
                    "{line:?} until {len}"
                );
            }
        }
    }
}
