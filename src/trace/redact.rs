//! Makes bytes from a peer safe to show. A trace must never contain terminal control sequences, or
//! secrets such as cookies.

use crate::printable::hide_userinfo;

/// The header fields whose values are shown. Any other field may contain a secret.
const HARMLESS: [&str; 26] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "allow",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "date",
    "etag",
    "expect",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "range",
    "server",
    "transfer-encoding",
    "user-agent",
    "vary",
];

/// Returns `bytes` escaped to visible ASCII.
pub fn escaped(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// Returns `input` with each byte that may be secret replaced by `*`. The first line of a message
/// (except for passwords: [`visible_command`], [`hide_userinfo`]), the names of header fields, and
/// the values of harmless fields stay visible. `input` must start at the beginning of a message. A
/// truncated input never shows more than the whole input would.
pub fn redacted(input: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(input.len());
    let mut may_begin_message = true;
    for (at, line) in input.split_inclusive(|b| *b == b'\n').enumerate() {
        let end = line.len() - line.iter().rev().take_while(|b| matches!(b, b'\r' | b'\n')).count();
        let (text, line_end) = line.split_at(end);
        let is_first = at == 0 || (may_begin_message && is_request_line(text));
        may_begin_message = text.is_empty() || (may_begin_message && !is_first);
        let is_complete = !line_end.is_empty();
        let shown = if is_first { visible_command(text) } else { visible_len(text, is_complete) };
        let line_at = output.len();
        output.extend_from_slice(&text[..shown]);
        hide_userinfo(&mut output[line_at..], is_complete);
        output.extend(text[shown..].iter().map(|b| if *b == b' ' { b' ' } else { b'*' }));
        output.extend_from_slice(line_end);
    }
    output
}

/// Returns `input`, all of which is secret, with each byte replaced by `*`. Line ends stay visible.
pub fn hidden(input: &[u8]) -> Vec<u8> {
    input.iter().map(|b| if matches!(b, b'\r' | b'\n') { *b } else { b'*' }).collect()
}

/// Returns the length of the visible part of the first line of a message: the whole line, unless it
/// is a mail command that contains a password. These are `PASS password` (POP3) and
/// `AUTH mechanism response` (SMTP).
pub fn visible_command(line: &[u8]) -> usize {
    let after_space = |n| memchr::memchr_iter(b' ', line).nth(n).map_or(line.len(), |at| at + 1);
    match line.get(..5).map(<[u8]>::to_ascii_uppercase).as_deref() {
        Some(b"PASS ") => after_space(0),
        Some(b"AUTH ") => after_space(1),
        _ => line.len(),
    }
}

/// Returns the length of the visible part of a field line: the whole line, its name, or nothing.
fn visible_len(line: &[u8], is_complete: bool) -> usize {
    let Some(colon) = memchr::memchr(b':', line) else { return 0 };
    let (name, value) = line.split_at(colon);
    let is_token = name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-');
    let is_harmless = HARMLESS.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()));
    // A password before the host ends in an at sign, which may not have arrived.
    let may_have_password = name.eq_ignore_ascii_case(b"host") && (!is_complete || value.contains(&b'@'));
    match (is_token, is_harmless && !may_have_password) {
        (false, _) => 0,
        // Stop at a bare CR, which some parsers treat as the end of the line.
        (true, true) => colon + memchr::memchr(b'\r', value).unwrap_or(value.len()),
        (true, false) => colon + 1,
    }
}

/// Returns whether `line`, which follows an empty line, looks like the request line of the next
/// request rather than part of a body.
fn is_request_line(line: &[u8]) -> bool {
    let mut words = line.split(|b| *b == b' ');
    let is_method =
        words.next().is_some_and(|word| !word.is_empty() && word.iter().all(u8::is_ascii_uppercase));
    let is_path = words.next().is_some_and(|word| word.starts_with(b"/"));
    is_method && is_path && words.next().is_some_and(|word| word.starts_with(b"HTTP/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_has_no_terminal_controls() {
        let every: Vec<u8> = (0..=u8::MAX).collect();
        assert!(escaped(&every).bytes().all(|b| (b' '..=b'~').contains(&b)));
        assert_eq!(escaped(b"GET /\x1b[2J\r\n\"\\"), r#"GET /\x1b[2J\r\n\"\\"#);
    }

    #[test]
    fn redacted_hides_secrets_wherever_the_input_is_cut() {
        let table: &[(&str, &str)] = &[
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("G\r\nCookie: id=1; x\r\nHOST: c\r\n", "G\r\nCookie: ***** *\r\nHOST: c\r\n"),
            ("G\r\nX-Api-Key:abc d\r\n", "G\r\nX-Api-Key:*** *\r\n"),
            ("G\r\nHost : a\r\n", "G\r\n**** * *\r\n"),
            ("G\r\nHost: a\r\n b\r\nRange: d\r\n", "G\r\nHost: a\r\n *\r\nRange: d\r\n"),
            ("G\r\nHost: a\rCookie: b\r\n", "G\r\nHost: a******** *\r\n"),
            ("G\r\nCookie secret\r\n", "G\r\n****** ******\r\n"),
            ("G\r\n\r\npassword=1\r\n", "G\r\n\r\n**********\r\n"),
            ("G\r\n\r\nGET /b HTTP/1.1\r\nA: b\r\n\r\n", "G\r\n\r\nGET /b HTTP/1.1\r\nA: *\r\n\r\n"),
            ("G\nCookie: a\n", "G\nCookie: *\n"),
            ("PASS a b\r\n", "PASS * *\r\n"),
            ("pass secret", "pass ******"),
            ("Auth Login\r\ndXNl\r\n", "Auth Login\r\n****\r\n"),
            ("AUTH PLAIN AGEAYg==\r\n", "AUTH PLAIN ********\r\n"),
            ("PASSWORD x", "PASSWORD x"),
            ("GET http://u:p@h/a@b HTTP/1.1\r\n", "GET http://***@h/a@b HTTP/1.1\r\n"),
            ("GET http://u:p@q@h HTTP/1.1\r\n", "GET http://*****@h HTTP/1.1\r\n"),
            ("GET http://h:8000/ HTTP/1.1\r\n", "GET http://h:8000/ HTTP/1.1\r\n"),
            ("GET\thttp://u@h?x://y@z#\r\n", "GET\thttp://*@h?x://*@z#\r\n"),
            ("GET /a:b@c HTTP/1.1\r\n", "GET /a:b@c HTTP/1.1\r\n"),
            ("CONNECT u:p@h:443 HTTP/1.1\r\n", "CONNECT ***@h:443 HTTP/1.1\r\n"),
            ("GET http://u:p", "GET http://***"),
            ("G\r\nHost: u:p@h\r\n", "G\r\nHost: *****\r\n"),
            ("G\r\nUser-Agent: b (+http://u:p@h/)\r\n", "G\r\nUser-Agent: b (+http://***@h/)\r\n"),
            ("MAIL FROM:<a@b>\r\n", "MAIL FROM:<a@b>\r\n"),
        ];
        for (input, expected) in table {
            let whole = redacted(input.as_bytes());
            assert_eq!(escaped(&whole), escaped(expected.as_bytes()), "{input:?}");
            for cut in 0..input.len() {
                let now = redacted(&input.as_bytes()[..cut]);
                let is_hidden = |at: usize| now[at] == whole[at] || now[at] == b'*';
                assert!((0..cut).all(|at| is_hidden(at) || is_line_end(input, at)), "{input:?} until {cut}");
            }
        }
    }

    fn is_line_end(input: &str, at: usize) -> bool {
        matches!(input.as_bytes()[at], b'\r' | b'\n')
    }
}
