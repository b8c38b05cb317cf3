//! Which hosts a server answers to: the defence against DNS rebinding.
//!
//! A page from anywhere can have its own name resolved to 127.0.0.1 and then read what a server on this machine says to
//! the browser. What gives it away is the `Host` that the browser sends. So while a server listens on this machine's own
//! addresses alone, it answers to this machine's own names alone.

use core::net::{Ipv4Addr, Ipv6Addr};

use super::{authority, refusal::Refusal, status::Status};

const MISDIRECTED: Refusal = Refusal::new(
    Status::MisdirectedRequest,
    "This server does not answer to that host. Start it with --allow-host and the host's name to allow it.",
);

/// The hosts that are answered.
#[derive(Debug, Default)]
pub struct Hosts {
    /// Names besides this machine's own, in lower case; `None`: every host.
    allowed: Option<Vec<String>>,
}

impl Hosts {
    /// Every host.
    pub const EVERY: Hosts = Hosts { allowed: None };

    /// This machine's own names and addresses, and `names`, which have no port; `*` among them is every host.
    ///
    /// # Errors
    /// The name that is none.
    pub fn own_and<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Hosts, &'a str> {
        let mut allowed = Vec::new();
        for name in names {
            match canonical(name) {
                _ if name == "*" => return Ok(Hosts::EVERY),
                Some(name) => allowed.push(name),
                None => return Err(name),
            }
        }
        Ok(Hosts { allowed: Some(allowed) })
    }

    /// These and `name`; what is no name, such as an address with a zone, adds nothing.
    pub fn also(mut self, name: &str) -> Hosts {
        if let Some(allowed) = &mut self.allowed {
            allowed.extend(canonical(name));
        }
        self
    }

    /// Checks the host of a request, which may have a port; HTTP/1.0 needs none, and no browser sends that.
    ///
    /// # Errors
    /// 421 (RFC 9110 §15.5.20), with a sentence that says what to do.
    pub fn check(&self, host: Option<&[u8]>) -> Result<(), Refusal> {
        let (Some(allowed), Some(host)) = (&self.allowed, host) else { return Ok(()) };
        let (name, _) = authority::split(host)?;
        if matches!(name, b"localhost" | b"127.0.0.1") {
            return Ok(()); // as nearly always
        }
        let name = std::str::from_utf8(name.strip_suffix(b".").unwrap_or(name)).unwrap_or_default();
        if is_own(name) || canonical(name).is_some_and(|name| allowed.contains(&name)) {
            Ok(())
        } else {
            Err(MISDIRECTED)
        }
    }
}

/// A host without a port, as all its spellings are compared; an IPv6 address may stand without its brackets.
fn canonical(name: &str) -> Option<String> {
    let literal = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    if let Ok(address) = literal.parse::<Ipv6Addr>() {
        return Some(format!("[{address}]"));
    }
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    (!name.contains([':', '*']) && authority::check(name.as_bytes()).is_ok()).then_some(name)
}

/// `localhost` and what is below it (RFC 6761 §6.3), or a loopback address.
fn is_own(name: &str) -> bool {
    if let Some(literal) = name.strip_prefix('[') {
        let address = literal.trim_end_matches(']').parse::<Ipv6Addr>();
        return address.is_ok_and(|ip| ip.to_canonical().is_loopback());
    }
    if name.starts_with("127.") {
        return name.parse::<Ipv4Addr>().is_ok();
    }
    let last_label = name.rsplit('.').next().unwrap_or_default();
    last_label.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_names_and_those_that_were_allowed() {
        let hosts = Hosts::own_and(["Dev.Example.", "10.0.0.7", "::2", "[0:0::3]"]).expect("names");
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
            ("10.0.0.8", false),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("notlocalhost", false),
            ("127.0.0.1.evil.example", false),
            ("127.evil.example", false),
            ("127.0.0.1.nip.io", false),
            ("0.0.0.0", false),
            ("[::2]", true),
            ("[0::2]:8000", true),
            ("[::3]", true),
            ("[::4]", false),
            ("[::]", false),
        ];
        for (host, expected) in table {
            assert_eq!(hosts.check(Some(host.as_bytes())).is_ok(), expected, "{host}");
            assert!(Hosts::EVERY.check(Some(host.as_bytes())).is_ok(), "{host}");
        }
        assert!(hosts.check(None).is_ok());
        assert!(Hosts::own_and(["a", "*"]).is_ok_and(|every| every.check(Some(b"evil.example")).is_ok()));
    }

    #[test]
    fn a_name_is_added_to_those_that_there_are() {
        let hosts = Hosts::own_and(["a"]).expect("a name").also("B").also("fe80::1%eth0");
        for (host, expected) in [("a", true), ("b", true), ("c", false), ("localhost", true)] {
            assert_eq!(hosts.check(Some(host.as_bytes())).is_ok(), expected, "{host}");
        }
        assert!(Hosts::EVERY.also("a").check(Some(b"c")).is_ok());
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for name in
            ["", ".", "dev.example:8000", "*.example", "http://dev.example", "a b", "[::1", "user@host"]
        {
            assert_eq!(Hosts::own_and([name]).map(drop), Err(name));
        }
    }
}
