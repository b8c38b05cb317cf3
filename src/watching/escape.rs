//! Bytes of a peer on a person's screen: nothing that a terminal obeys, and no secrets.

/// Fields whose values are nobody's business.
const SECRET: [&[u8]; 4] = [b"authorization", b"proxy-authorization", b"cookie", b"set-cookie"];

/// `bytes` in visible ASCII.
pub fn escaped(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// `input` with stars for each byte of a secret: of the value of a field that holds one, and of the lines that continue it.
/// It must begin where a message begins, for a value that was cut is not known for one.
pub fn redacted(input: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(input.len());
    let mut is_secret = false;
    for line in input.split_inclusive(|b| *b == b'\n') {
        let end = line.len() - line.iter().rev().take_while(|b| matches!(b, b'\r' | b'\n')).count();
        let continues = matches!(line.first(), Some(b' ' | b'\t'));
        let value_at = if continues { Some(0) } else { memchr::memchr(b':', line).map(|colon| colon + 1) };
        if !continues {
            is_secret = value_at.is_some_and(|at| {
                let name = line[..at - 1].trim_ascii();
                SECRET.iter().any(|secret| name.eq_ignore_ascii_case(secret))
            });
        }
        let kept = value_at.filter(|_| is_secret).unwrap_or(end).min(end);
        output.extend_from_slice(&line[..kept]);
        output.extend(line[kept..end].iter().map(|b| if matches!(b, b' ' | b'\t') { *b } else { b'*' }));
        output.extend_from_slice(&line[end..]);
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        let every: Vec<u8> = (0..=u8::MAX).collect();
        assert!(escaped(&every).bytes().all(|b| (b' '..=b'~').contains(&b)));
        assert_eq!(escaped(b"GET /\x1b[2J\r\n\"\\"), r#"GET /\x1b[2J\r\n\"\\"#);
    }

    #[test]
    fn secrets_are_stars_whole_and_byte_by_byte() {
        let table: &[(&str, &str)] = &[
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("A: b\r\nCookie: id=1; x\r\nB: c\r\n", "A: b\r\nCookie: ***** *\r\nB: c\r\n"),
            ("AUTHORIZATION:Basic abc\r\n", "AUTHORIZATION:***** ***\r\n"),
            ("cookie : a\r\n", "cookie : *\r\n"),
            ("Cookie: a\r\n\tb\r\nC: d\r\n", "Cookie: *\r\n\t*\r\nC: d\r\n"),
            ("Set-Cookie: a\n", "Set-Cookie: *\n"),
            ("Cookie: cut", "Cookie: ***"),
            ("X-Cookie: a\r\n", "X-Cookie: a\r\n"),
        ];
        for (input, expected) in table {
            assert_eq!(redacted(input.as_bytes()), expected.as_bytes(), "{input:?}");
            for cut in 0..input.len() {
                let (now, whole) = (redacted(&input.as_bytes()[..cut]), expected.as_bytes());
                let is_star = |at: usize| now[at] == whole[at];
                assert!((0..cut).all(is_star), "{input:?} until {cut}");
            }
        }
    }
}
