//! The connections of each peer address, so that one address cannot take every place.
//!
//! This module owns the counts and decides who is admitted. It holds one count for each address
//! that has a connection, so the connection limit bounds its memory. The peer of a Unix socket has
//! no address and is always admitted.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use crate::{
    address::Address,
    token_bucket::{Rate, TokenBucket},
};

/// The last places are reserved for addresses that have few connections. This is their share of the
/// connection limit.
const RESERVE_SHARE: usize = 10;
/// An address has few connections if it has less than this share of the connection limit.
const FEW_SHARE: usize = 40;
/// An address with fewer connections than this always has few. A browser opens six.
const ALWAYS_FEW: usize = 8;
/// How often a warning about an address is logged.
const WARNINGS: Rate = Rate { burst: 1, interval: Duration::from_secs(60) };

/// How many connections one address may have: one IPv4 address, or the /64 network that an IPv6
/// address is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressLimit {
    /// Any number, and no place is reserved. A proxy connects for all of its clients.
    None,
    /// This many for an address of another machine, and any number for a loopback address. Proxies
    /// and load generators use loopback. The reserve holds for both.
    Remote(usize),
    /// This many for every address.
    Every(usize),
}

/// What an address is counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Network {
    V4([u8; 4]),
    /// The first 64 bits. A host can use every address that begins with them.
    V6([u8; 8]),
}

impl Network {
    /// Returns the network of `peer`, or `None` for a Unix socket.
    fn of(peer: &Address) -> Option<Network> {
        Some(match peer.ip()?.ip().to_canonical() {
            IpAddr::V4(address) => Network::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Network::V6([a, b, c, d, e, f, g, h])
            }
        })
    }
}

/// Whether a new connection is admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    Admitted,
    /// Only in the place of a connection whose address has many, because the free places are
    /// reserved.
    IfReplacing,
    /// The address has reached its limit.
    Refused,
}

/// The number of connections of each address.
pub struct Addresses {
    limit: AddressLimit,
    /// The connection limit.
    max: usize,
    counts: HashMap<Network, usize>,
    /// What each connection is counted by, indexed by key.
    networks: Vec<Option<Network>>,
    warnings: TokenBucket,
}

impl Addresses {
    pub fn new(limit: AddressLimit, max_connections: usize) -> Addresses {
        Addresses {
            limit,
            max: max_connections,
            counts: HashMap::new(),
            networks: Vec::new(),
            warnings: TokenBucket::default(),
        }
    }

    /// Returns whether to admit a connection from `peer` while `open` connections are open.
    pub fn admission(&self, peer: &Address, open: usize) -> Admission {
        let count = self.count(Network::of(peer));
        let limit = match self.limit {
            AddressLimit::None => return Admission::Admitted,
            AddressLimit::Remote(_) if peer.is_local() => usize::MAX,
            AddressLimit::Remote(limit) | AddressLimit::Every(limit) => limit,
        };
        if count >= limit {
            Admission::Refused
        } else if open + self.max / RESERVE_SHARE >= self.max && self.is_many(count) {
            Admission::IfReplacing
        } else {
            Admission::Admitted
        }
    }

    /// Counts the connection with this key.
    pub fn add(&mut self, key: usize, peer: &Address) {
        if let Some(network) = Network::of(peer).filter(|_| self.limit != AddressLimit::None) {
            if key >= self.networks.len() {
                self.networks.resize(key + 1, None);
            }
            self.networks[key] = Some(network);
            *self.counts.entry(network).or_default() += 1;
        }
    }

    /// Stops counting the connection with this key.
    pub fn remove(&mut self, key: usize) {
        let Some(network) = self.networks.get_mut(key).and_then(Option::take) else { return };
        if let Some(count) = self.counts.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&network);
            }
        }
    }

    /// Returns whether the address of the connection with this key has many connections.
    pub fn has_many(&self, key: usize) -> bool {
        self.is_many(self.count(self.networks.get(key).copied().flatten()))
    }

    /// Logs that a connection from `peer` is closed, at most once a minute.
    pub fn warn(&mut self, peer: &Address, now: Instant) {
        if let Some(ip) = peer.ip().filter(|_| self.warnings.try_take(WARNINGS, now)) {
            let count = self.count(Network::of(peer));
            log::warn!("{} has {count} connections; closing its new ones, to leave room for others", ip.ip());
        }
    }

    fn count(&self, network: Option<Network>) -> usize {
        network.and_then(|network| self.counts.get(&network)).copied().unwrap_or(0)
    }

    fn is_many(&self, count: usize) -> bool {
        count >= ALWAYS_FEW.max(self.max / FEW_SHARE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(ip: &str) -> Address {
        Address::Ip((ip.parse::<IpAddr>().expect("an address"), 1).into())
    }

    /// Returns whether a connection from `second` is admitted while one from `first` is open.
    fn second(limit: AddressLimit, first: &str, second: &str) -> Admission {
        let mut addresses = Addresses::new(limit, 100);
        assert_eq!(addresses.admission(&peer(first), 0), Admission::Admitted);
        addresses.add(3, &peer(first));
        let admission = addresses.admission(&peer(second), 1);
        addresses.remove(3);
        addresses.remove(3);
        assert!(addresses.counts.is_empty(), "an address without connections takes no memory");
        admission
    }

    #[test]
    fn address_limit_counts_ipv4_addresses_and_ipv6_networks() {
        use Admission::{Admitted, Refused};
        let (remote, every) = (AddressLimit::Remote(1), AddressLimit::Every(1));
        let table = [
            (remote, "192.0.2.1", "192.0.2.1", Refused),
            (remote, "192.0.2.1", "192.0.2.2", Admitted),
            (remote, "192.0.2.1", "::ffff:192.0.2.1", Refused),
            (remote, "2001:db8::1", "2001:db8::ffff:0:0:2", Refused),
            (remote, "2001:db8::1", "2001:db8:0:1::1", Admitted),
            (remote, "127.0.0.1", "127.0.0.1", Admitted),
            (remote, "::1", "::1", Admitted),
            (every, "127.0.0.1", "127.0.0.1", Refused),
            (every, "::1", "::1", Refused),
            (AddressLimit::None, "192.0.2.1", "192.0.2.1", Admitted),
        ];
        for (limit, one, other, expected) in table {
            assert_eq!(second(limit, one, other), expected, "{limit:?} {one} {other}");
        }
        let addresses = Addresses::new(every, 100);
        assert_eq!(addresses.admission(&Address::Unix(None), 100), Admitted);
    }

    #[test]
    fn address_with_many_connections_cannot_take_the_reserve() {
        let mut addresses = Addresses::new(AddressLimit::Remote(50), 100);
        for key in 0..8 {
            assert_eq!(addresses.admission(&peer("127.0.0.1"), 90 + key), Admission::Admitted);
            addresses.add(key, &peer("127.0.0.1"));
        }
        let of = |ip, open| addresses.admission(&peer(ip), open);
        assert_eq!(of("127.0.0.1", 89), Admission::Admitted);
        assert_eq!(of("127.0.0.1", 90), Admission::IfReplacing);
        assert_eq!(of("127.0.0.2", 99), Admission::Admitted);
        assert!(addresses.has_many(0) && !addresses.has_many(8));
    }
}
