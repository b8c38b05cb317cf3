//! The host allow-list, which protects a local server against DNS rebinding.
//!
//! A malicious page can make its own host name resolve to 127.0.0.1 and then read the responses of
//! a local server. But the browser sends that name in the `Host` field. So a server that listens on
//! loopback must answer only requests for this machine's own names, and for addresses, which no
//! page can make lead elsewhere.

use std::net::Ipv6Addr;

use crate::http::{Refusal, Status, request::authority::Authority};

const MISDIRECTED: &str = "This server does not answer requests for that host.";

/// The hosts that requests may name.
#[derive(Debug, Clone)]
pub struct HostAllowlist {
    /// The allowed names besides this machine's own, in canonical form. `None` allows any host.
    allowed: Option<Vec<String>>,
    /// The message in a 421 response.
    refusal: &'static str,
}

impl HostAllowlist {
    /// The list that allows any host.
    pub const ANY: HostAllowlist = HostAllowlist { allowed: None, refusal: MISDIRECTED };

    /// Creates a list that allows this machine's own names and addresses, and also `names`, which
    /// have no port. If one of `names` is `*`, any host is allowed.
    ///
    /// # Errors
    /// Returns the first name that is not a valid host.
    pub fn loopback_and<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<HostAllowlist, &'a str> {
        let mut allowed = Vec::new();
        for name in names {
            match canonical(name) {
                _ if name == "*" => return Ok(HostAllowlist::ANY),
                Some(name) => allowed.push(name),
                None => return Err(name),
            }
        }
        Ok(HostAllowlist { allowed: Some(allowed), refusal: MISDIRECTED })
    }

    /// Adds `name` to the list. Ignores a name that is not a valid host, such as an address with a
    /// zone.
    pub fn with(mut self, name: &str) -> HostAllowlist {
        if let Some(allowed) = &mut self.allowed {
            allowed.extend(canonical(name));
        }
        self
    }

    /// Sets the message in 421 responses. The message is inserted into the HTML page without
    /// escaping.
    pub fn with_refusal(self, refusal: &'static str) -> HostAllowlist {
        HostAllowlist { refusal, ..self }
    }

    /// Checks the host of a request. An HTTP/1.0 request without a host passes, because no browser
    /// sends HTTP/1.0.
    ///
    /// # Errors
    /// Returns a 421 refusal if the host is not allowed (RFC 9110 section 15.5.20).
    pub fn check(&self, host: Option<Authority<'_>>) -> Result<(), Refusal> {
        let (Some(allowed), Some(host)) = (&self.allowed, host) else { return Ok(()) };
        let name = host.host;
        if matches!(name, b"localhost" | b"127.0.0.1") {
            return Ok(()); // the common case
        }
        // A fully qualified name may end in a dot.
        let name = std::str::from_utf8(name.strip_suffix(b".").unwrap_or(name)).unwrap_or_default();
        if is_localhost(name)
            || is_address(name)
            || canonical(name).is_some_and(|name| allowed.contains(&name))
        {
            Ok(())
        } else {
            Err(Refusal::new(Status::MisdirectedRequest, self.refusal))
        }
    }
}

/// Returns the canonical form of `name`, a host without a port. Hosts are compared in this form.
/// The brackets around an IPv6 address may be omitted. Returns `None` if `name` is not a valid
/// host.
fn canonical(name: &str) -> Option<String> {
    let literal = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    if let Ok(address) = literal.parse::<Ipv6Addr>() {
        return Some(format!("[{address}]"));
    }
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    (!name.contains([':', '*']) && Authority::parse(name.as_bytes()).is_ok()).then_some(name)
}

/// Returns whether `name` is `localhost` or a subdomain of `localhost` (RFC 6761 section 6.3).
fn is_localhost(name: &str) -> bool {
    last_label(name).eq_ignore_ascii_case("localhost")
}

/// Returns whether `name` is an IP address, in any form that a browser takes for one: a name whose
/// last label is a number can be no domain (URL standard, "ends in a number").
fn is_address(name: &str) -> bool {
    if let Some(literal) = name.strip_prefix('[') {
        return literal.trim_end_matches(']').parse::<Ipv6Addr>().is_ok();
    }
    let label = last_label(name);
    let hex = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    is_number(label) || hex.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn last_label(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_allowlist_has_local_and_configured_names() {
        let hosts =
            HostAllowlist::loopback_and(["Dev.Example.", "10.0.0.7", "::2", "[0:0::3]"]).expect("names");
        let table = [
            ("localhost", true),
            ("LOCALHOST:8000", true),
            ("localhost.", true),
            ("app.localhost:8000", true),
            ("127.0.0.1", true),
            ("127.0.0.1:8000", true),
            ("127.1.2.3", true),
            ("[::1]", true),
            ("[::1]:8000", true),
            ("[::ffff:127.0.0.1]", true),
            ("dev.example", true),
            ("DEV.example.:81", true),
            ("10.0.0.7:8000", true),
            ("sub.dev.example", false),
            ("10.0.0.8", true),
            ("192.168.1.7.:8000", true),
            ("127.1", true),
            ("2130706433", true),
            ("0x7f.1", true),
            ("127.0.0.0x1", true),
            ("0.0.0.0", true),
            ("a.1", true), // no domain ends in a number
            ("1a", false),
            ("0xg", false),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("notlocalhost", false),
            ("127.0.0.1.evil.example", false),
            ("127.evil.example", false),
            ("127.0.0.1.nip.io", false),
            ("[::2]", true),
            ("[0::2]:8000", true),
            ("[::3]", true),
            ("[::4]", true),
            ("[::]", true),
        ];
        for (host, expected) in table {
            assert_eq!(hosts.check(Authority::parse(host.as_bytes()).ok()).is_ok(), expected, "{host}");
            assert!(HostAllowlist::ANY.check(Authority::parse(host.as_bytes()).ok()).is_ok(), "{host}");
        }
        assert!(hosts.check(None).is_ok());
        assert!(
            HostAllowlist::loopback_and(["a", "*"])
                .is_ok_and(|every| every.check(Authority::parse(b"evil.example").ok()).is_ok())
        );
    }

    #[test]
    fn vary_adds_a_name() {
        let hosts = HostAllowlist::loopback_and(["a"]).expect("a name").with("B").with("fe80::1%eth0");
        for (host, expected) in [("a", true), ("b", true), ("c", false), ("localhost", true)] {
            assert_eq!(hosts.check(Authority::parse(host.as_bytes()).ok()).is_ok(), expected, "{host}");
        }
        assert!(HostAllowlist::ANY.with("a").check(Authority::parse(b"c").ok()).is_ok());
    }

    #[test]
    fn path_with_an_invalid_name_is_refused() {
        for name in
            ["", ".", "dev.example:8000", "*.example", "http://dev.example", "a b", "[::1", "user@host"]
        {
            assert_eq!(HostAllowlist::loopback_and([name]).map(drop), Err(name));
        }
    }
}
