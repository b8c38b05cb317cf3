//! Parses the request line (RFC 9112 section 3).

use super::{charset, fields::Version};
use crate::http::{MAX_LINE, Refusal, Status};

/// Returns the request line without its CRLF, or `None` if the line is incomplete.
///
/// # Errors
/// Returns a 400 refusal for a malformed line. Returns a 414 refusal for a line of more than
/// [`MAX_LINE`] bytes, and a 501 refusal if the method alone is as long.
pub fn first_line(input: &[u8]) -> Result<Option<&[u8]>, Refusal> {
    let within = &input[..input.len().min(MAX_LINE + 2)];
    match memchr::memchr(b'\n', within) {
        Some(lf) if lf > 0 && input[lf - 1] == b'\r' => Ok(Some(&input[..lf - 1])),
        // Refuse input immediately if it cannot become a request. A TLS ClientHello, for example,
        // has no line end to wait for. A line that has its end must get the same refusal, however
        // it was split into reads.
        end if !may_begin_with_method(&input[..end.unwrap_or(within.len())]) => Err(NO_METHOD),
        Some(_) => Err(Refusal::bad("A line ends without a carriage return.")),
        None if input.len() < MAX_LINE + 2 => Ok(None),
        None if !within.contains(&b' ') => {
            Err(Refusal::closing(Status::NotImplemented, "The server does not know this method."))
        }
        None => Err(Refusal::closing(Status::UriTooLong, "The request line is too long.")),
    }
}

const NO_METHOD: Refusal = Refusal::bad("The request does not begin with a method.");

/// Returns whether `input` may be the start of a request, that is, its first word may be a method.
fn may_begin_with_method(input: &[u8]) -> bool {
    let word = &input[..memchr::memchr(b' ', input).unwrap_or(input.len())];
    charset::are_all(word.strip_suffix(b"\r").unwrap_or(word), charset::TOKEN)
}

/// Splits a request line, `method SP request-target SP HTTP-version`, into its three parts.
///
/// # Errors
/// Returns a 400 refusal for a malformed line, and a 505 refusal for a version other than HTTP/1.
pub fn split_line(line: &[u8]) -> Result<(&[u8], &[u8], Version), Refusal> {
    const BAD: Refusal = Refusal::bad("The request line is not a method, a URL and a version.");
    // The method is checked first, because it was checked before the rest of the line arrived. The
    // target is checked later.
    let method_end = line.iter().position(|b| *b == b' ').unwrap_or(line.len());
    let method = &line[..method_end];
    if method != b"GET" && !charset::are_all(method, charset::TOKEN) {
        return Err(NO_METHOD);
    }
    let rest = line.get(method_end + 1..).filter(|_| method_end > 0).ok_or(BAD)?;
    // The first arm is the common case.
    let (target, other_version) = match rest.strip_suffix(b" HTTP/1.1") {
        Some(target) => (target, None),
        None => {
            let space = rest.iter().rposition(|b| *b == b' ').ok_or(BAD)?;
            (&rest[..space], Some(&rest[space + 1..]))
        }
    };
    if target.is_empty() {
        return Err(Refusal::bad("The request line has no URL."));
    }
    Ok((method, target, other_version.map_or(Ok(Version::Http11), parse_version)?))
}

/// Parses the HTTP version. A minor version later than 1.1 counts as 1.1.
fn parse_version(version: &[u8]) -> Result<Version, Refusal> {
    match version {
        b"HTTP/1.0" => Ok(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9'] => Ok(Version::Http11),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
            Err(Refusal::closing(Status::HttpVersionNotSupported, "The server speaks HTTP/1.1 and 1.0."))
        }
        _ => Err(Refusal::bad("The request line does not end in an HTTP version.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::parse;

    fn status(input: &[u8]) -> u16 {
        parse(input).expect_err("a refusal").status.code()
    }

    #[test]
    fn request_lines_that_are_refused() {
        let table: &[(&[u8], u16)] = &[
            (b"GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
            (b"\nGET / HTTP/1.1\r\n", 400),
            (b"\r\n\r\nGET / HTTP/1.1\r\n", 400),
            (b" GET / HTTP/1.1\r\n", 400),
            (b"GET  / HTTP/1.1\r\n", 400),
            (b"GET /  HTTP/1.1\r\n", 400),
            (b"GET\t/ HTTP/1.1\r\n", 400),
            (b"GET / HTTP/1.1 \r\n", 400),
            (b"GET / HTTP/1.1\t\r\n", 400),
            (b"GET / HTTP/1.1\r\r\n", 400),
            (b"GET /\r\n", 400),
            (b"GET\r\n", 400),
            (b"\r\n\n", 400),
            (b"G@T / HTTP/1.1\r\n", 400),
            (b"GET / http/1.1\r\n", 400),
            (b"GET / HTTP/1.10\r\n", 400),
            (b"GET / HTTP/11\r\n", 400),
            (b"GET / HTTP/1.\r\n", 400),
            (b"GET / HTTP/2.0\r\n", 505),
            (b"GET / HTTP/0.9\r\n", 505),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
            (&[b"G@T /".as_slice(), &[b'a'; MAX_LINE]].concat(), 400),
            (&[b"GET /".as_slice(), &[b'a'; MAX_LINE]].concat(), 414),
            (&[&[b'A'; MAX_LINE + 2], b" / HTTP/1.1\r\n".as_slice()].concat(), 501),
            (b"\x0bGET / HTTP/1.1\r\n\r\n", 400),
            (b"G@T /\n", 400),
            (b"G@T\r\n", 400),
            (b"GET\r / HTTP/1.1\r\n", 400),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 400),
            (b"GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ];
        for (input, expected) in table {
            let text = String::from_utf8_lossy(&input[..input.len().min(40)]);
            assert_eq!(status(input), *expected, "{text:?}");
            let whole = parse(input).expect_err("a refusal");
            let first = (0..=input.len()).find_map(|cut| parse(&input[..cut]).err());
            assert_eq!(first, Some(whole), "{text:?}, byte by byte");
        }
    }
}
