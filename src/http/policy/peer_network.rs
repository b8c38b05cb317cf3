//! Networks of peers: which peers an option is about.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

/// The bits in front of an IPv4 address in an IPv4-mapped IPv6 address.
const MAPPED_BITS: u8 = 96;

/// Some of the peers that can connect: a network, those on Unix sockets, or all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerNetwork(Peers);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Peers {
    Network(IpNet),
    UnixSockets,
    All,
}

impl PeerNetwork {
    /// All peers.
    pub const ALL: PeerNetwork = PeerNetwork(Peers::All);

    /// Parses an IP address such as `::1`, a network such as `10.0.0.0/8`, `unix` for all peers on
    /// Unix sockets, or `all`. Returns `None` for other text.
    pub fn parse(text: &str) -> Option<PeerNetwork> {
        let network = match text {
            "unix" => return Some(PeerNetwork(Peers::UnixSockets)),
            "all" => return Some(PeerNetwork::ALL),
            text => text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok()?,
        };
        Some(PeerNetwork(Peers::Network(canonical(network))))
    }

    /// Returns whether a peer belongs to the network. A peer without an IP address is on a Unix
    /// socket.
    pub fn contains(&self, peer: Option<IpAddr>) -> bool {
        match (&self.0, peer) {
            (Peers::Network(network), Some(ip)) => network.contains(&ip.to_canonical()),
            (Peers::UnixSockets, None) | (Peers::All, _) => true,
            _ => false,
        }
    }
}

/// Returns an IPv4-mapped network as an IPv4 network.
fn canonical(network: IpNet) -> IpNet {
    if let IpNet::V6(v6) = network
        && let Some(ip) = v6.addr().to_ipv4_mapped()
        && let Some(bits) = v6.prefix_len().checked_sub(MAPPED_BITS)
        && let Ok(v4) = Ipv4Net::new(ip, bits)
    {
        return IpNet::V4(v4);
    }
    network
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_contains_its_peers() {
        // The tests of `TrustedProxies` have more rows.
        let ip = |text: &str| Some(text.parse().expect("an address"));
        let table = [
            ("10.0.0.0/8", ip("10.1.2.3"), true),
            ("10.0.0.0/8", ip("::ffff:10.1.2.3"), true),
            ("10.0.0.0/8", ip("11.0.0.1"), false),
            ("10.0.0.0/8", None, false),
            ("unix", None, true),
            ("unix", ip("::1"), false),
            ("all", None, true),
            ("all", ip("192.0.2.1"), true),
            ("all", ip("2001:db8::1"), true),
        ];
        for (network, peer, expected) in table {
            let parsed = PeerNetwork::parse(network).expect(network);
            assert_eq!(parsed.contains(peer), expected, "{network} and {peer:?}");
        }
    }
}
