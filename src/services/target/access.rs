//! Which peers the load target answers.

use std::net::IpAddr;

use super::LoadTarget;
use crate::address::Address;

/// Whether the load target answers the requests of one peer.
#[derive(Debug, Clone, Copy, Default)]
pub struct PeerAccess {
    is_allowed: bool,
    /// Whether the peer is a trusted proxy, so that the client that it names decides.
    is_proxy: bool,
}

impl LoadTarget {
    /// Returns what the target needs to know about a peer.
    pub fn access(&self, peer: &Address) -> PeerAccess {
        let ip = peer.ip().map(|address| address.ip());
        PeerAccess { is_allowed: self.allows(ip), is_proxy: self.proxies.trust(ip) }
    }

    /// Returns the address of the client that the valid request head at the start of `input` names,
    /// if the peer is a trusted proxy.
    pub fn client(&self, access: PeerAccess, input: &[u8]) -> Option<IpAddr> {
        if access.is_proxy { self.proxies.client(input) } else { None }
    }

    /// Returns whether the target answers a request of a peer, or of the `client` that the peer
    /// names.
    pub fn answers(&self, access: PeerAccess, client: Option<IpAddr>) -> bool {
        match client {
            Some(client) => self.allows(Some(client)),
            None => access.is_allowed,
        }
    }

    /// Returns whether the target answers a client. A client without an IP address is on a Unix
    /// socket.
    fn allows(&self, ip: Option<IpAddr>) -> bool {
        match &*self.from {
            [] => ip.is_none_or(|ip| ip.to_canonical().is_loopback()),
            from => from.iter().any(|network| network.contains(ip)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::target::tests::target;

    #[test]
    fn target_answers_this_machine_or_the_networks_that_are_given() {
        let ip = |text: &str| Address::Ip(text.parse().expect("an address"));
        let unix = Address::Unix(None);
        let table: [(&[&str], Address, bool); 9] = [
            (&[], ip("127.0.0.1:1"), true),
            (&[], ip("[::ffff:127.0.0.1]:1"), true),
            (&[], ip("[::1]:1"), true),
            (&[], unix.clone(), true),
            (&[], ip("192.0.2.1:1"), false),
            (&["192.0.2.0/24"], ip("192.0.2.1:1"), true),
            (&["192.0.2.0/24"], ip("127.0.0.1:1"), false),
            (&["192.0.2.0/24", "unix"], unix, true),
            (&["all"], ip("[2001:db8::1]:1"), true),
        ];
        for (from, peer, expected) in table {
            let target = target("/_", from, &[]);
            assert_eq!(target.answers(target.access(&peer), None), expected, "{from:?} and {peer}");
        }
    }

    #[test]
    fn trusted_proxy_counts_as_the_client_that_it_names() {
        let target = target("/_", &[], &["127.0.0.1"]);
        let answers = |peer: &str, field: &str| {
            let access = target.access(&Address::Ip(peer.parse().expect("an address")));
            let input = format!("GET / HTTP/1.1\r\n{field}\r\n\r\n");
            target.answers(access, target.client(access, input.as_bytes()))
        };
        assert!(answers("127.0.0.1:1", "Host: a"));
        assert!(answers("127.0.0.1:1", "X-Forwarded-For: 127.0.0.2"));
        assert!(!answers("127.0.0.1:1", "X-Forwarded-For: 192.0.2.1"));
        assert!(!answers("127.0.0.1:1", "X-Forwarded-For: 127.0.0.1, 192.0.2.1"));
        assert!(!answers("192.0.2.1:1", "X-Forwarded-For: 127.0.0.1"), "it is not trusted");
    }
}
