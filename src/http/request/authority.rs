//! Parses a host and an optional port, as in the `Host` field (RFC 9110 section 7.2) and in the
//! authority of a request target (RFC 3986 section 3.2).

use std::net::Ipv6Addr;

use super::charset;
use crate::http::Refusal;

/// A host and an optional port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authority<'a> {
    /// A name, an IPv4 address, or an IPv6 address in brackets.
    pub host: &'a [u8],
    /// The digits of the port. Empty if nothing follows the colon, `None` if there is no colon.
    pub port: Option<&'a [u8]>,
}

impl<'a> Authority<'a> {
    /// Parses `host [":" port]`. Rejects userinfo and an empty host.
    ///
    /// # Errors
    /// Returns a 400 refusal that states why `text` is not valid.
    pub fn parse(text: &'a [u8]) -> Result<Authority<'a>, Refusal> {
        let authority = Authority::split(text)?;
        let Authority { host, port } = authority;
        if host.is_empty() {
            return Err(Refusal::bad("The host is empty."));
        }
        if let Some(literal) = host.strip_prefix(b"[") {
            check_ip_literal(literal.strip_suffix(b"]").unwrap_or_default())?;
        } else if !charset::are_all(host, charset::HOST) {
            check_name(host)?;
        }
        port.map_or(Ok(()), check_port)?;
        Ok(authority)
    }

    /// Splits `text` at the colon before the port. Ignores colons inside the brackets of an IPv6
    /// address.
    fn split(text: &'a [u8]) -> Result<Authority<'a>, Refusal> {
        let host_end = match text.first() {
            Some(b'[') => match text.iter().position(|b| *b == b']') {
                Some(bracket) => bracket + 1,
                None => return Err(Refusal::bad("A bracket in the host is not closed.")),
            },
            _ => text.iter().position(|b| *b == b':').unwrap_or(text.len()),
        };
        let (host, rest) = text.split_at(host_end);
        match rest.split_first() {
            None => Ok(Authority { host, port: None }),
            Some((b':', port)) => Ok(Authority { host, port: Some(port) }),
            Some(_) => Err(Refusal::bad("The host has text after its closing bracket.")),
        }
    }
}

/// Checks that `literal` is an IPv6 address. Rejects zone identifiers and `IPvFuture` (RFC 3986
/// section 3.2.2), which never identify this server.
fn check_ip_literal(literal: &[u8]) -> Result<(), Refusal> {
    std::str::from_utf8(literal)
        .ok()
        .and_then(|text| text.parse::<Ipv6Addr>().ok())
        .map(drop)
        .ok_or(Refusal::bad("The host in brackets is not an IPv6 address."))
}

/// Checks that `name` is a `reg-name` (RFC 3986 section 3.2.2), which consists of unreserved
/// characters, sub-delims and percent-encoded bytes.
fn check_name(name: &[u8]) -> Result<(), Refusal> {
    let mut rest = name;
    while let Some((&byte, after)) = rest.split_first() {
        rest = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => after,
            b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b','
            | b';' | b'=' => after,
            b'%' if after.len() >= 2 && after[..2].iter().all(u8::is_ascii_hexdigit) => &after[2..],
            b'@' => return Err(Refusal::bad("The host must not contain user information.")),
            _ => return Err(Refusal::bad("The host has an invalid character.")),
        };
    }
    Ok(())
}

/// Checks that a port consists of digits and is at most 65535.
fn check_port(digits: &[u8]) -> Result<(), Refusal> {
    const TOO_LARGE: u32 = 1 << 16;
    let port = digits.iter().try_fold(0, |port: u32, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        Some((port * 10 + digit).min(TOO_LARGE))
    });
    match port {
        Some(0..TOO_LARGE) => Ok(()),
        Some(_) | None => Err(Refusal::bad("The port is not valid.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        // `Some` if the authority is valid. The value is whether it has a port number.
        let table: &[(&str, Option<bool>)] = &[
            ("localhost", Some(false)),
            ("localhost:", Some(false)),
            ("localhost:8000", Some(true)),
            ("127.0.0.1:65535", Some(true)),
            ("a-b_c.example~!$&'()*+,;=", Some(false)),
            ("%41.example", Some(false)),
            ("[::1]", Some(false)),
            ("[::1]:80", Some(true)),
            ("[::ffff:1.2.3.4]", Some(false)),
            ("", None),
            (":80", None),
            ("user@host", None),
            ("user:secret@host", None),
            ("host:port", None),
            ("host:80a", None),
            ("host:-1", None),
            ("host:+80", None),
            ("host:65536", None),
            ("host:99999999999999999999", None),
            ("host:80:80", None),
            ("a b", None),
            ("a/b", None),
            ("a,b", Some(false)),
            ("a\"b", None),
            ("a<b>", None),
            ("%4", None),
            ("%zz", None),
            ("h\u{f6}st", None),
            ("[::1", None),
            ("[]", None),
            ("[::1]x", None),
            ("[fe80::1%25eth0]", None),
            ("::1", None),
        ];
        for (host, expected) in table {
            let has_port = |authority: Authority<'_>| authority.port.is_some_and(|port| !port.is_empty());
            let parsed = Authority::parse(host.as_bytes()).ok();
            assert_eq!(parsed.map(has_port), *expected, "{host:?}");
        }
    }
}
