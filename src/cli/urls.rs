//! The URLs of the site: those to print, the one for a browser on this machine, and the one for
//! another device.
//!
//! A server that listens on all addresses (`0.0.0.0` or `::`) has the URLs of the addresses that
//! this machine has, because nobody can type the address that it listens on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use if_addrs::{IfAddr, Interface};
use oneloop::{Address, HttpServer};

use super::{address::is_second_loopback, errors::io_message};

/// An address that stands for the Internet: the one of documentation (RFC 5737). No packet is sent
/// to it.
const ELSEWHERE: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 9);

/// The URLs of the site, and the Unix sockets that serve it.
pub struct Urls {
    lines: Vec<String>,
    for_browser: Option<String>,
    for_device: Option<String>,
    has_wide: bool,
}

impl Urls {
    /// Returns the URLs of `server`. With `has_localhost`, it was told to listen on `localhost`,
    /// which has one URL, the one of its first address. The other address is for programs that look
    /// up the name, and is only logged.
    pub fn of(server: &HttpServer, has_localhost: bool) -> Urls {
        let has_wide = server.addresses().iter().any(is_wide);
        let network = if has_wide { network_addresses() } else { Vec::new() };
        let addresses: Vec<Address> =
            server.addresses().iter().flat_map(|address| reachable(address, &network)).collect();
        let mut urls = Urls { lines: Vec::new(), for_browser: None, for_device: None, has_wide };
        for address in &addresses {
            match address {
                Address::Ip(ip) if (has_localhost || has_wide) && is_second_loopback(*ip, &addresses) => {
                    log::info!(
                        "also listening on {address}, so that localhost works by both of its addresses"
                    );
                }
                Address::Ip(ip) => urls.add(*ip, format!("{}://{ip}{}", server.scheme(), server.base_path())),
                Address::Unix(_) => urls.lines.push(address.to_string()),
            }
        }
        urls
    }

    fn add(&mut self, address: SocketAddr, url: String) {
        let chosen =
            if Address::Ip(address).is_local() { &mut self.for_browser } else { &mut self.for_device };
        chosen.get_or_insert_with(|| url.clone());
        self.lines.push(url);
    }

    /// Returns the lines to print: each URL, and the path of each Unix socket.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Returns whether the server listens on all addresses of this machine.
    pub fn has_wide(&self) -> bool {
        self.has_wide
    }

    /// Returns the URL for a browser on this machine, or `None` if the site has Unix sockets only.
    pub fn for_browser(&self) -> Option<&str> {
        self.for_browser.as_deref().or_else(|| self.for_device())
    }

    /// Returns the URL for another device, or `None` if only this machine can connect.
    pub fn for_device(&self) -> Option<&str> {
        self.for_device.as_deref()
    }
}

/// Returns whether the server listens on all addresses of this machine.
fn is_wide(address: &Address) -> bool {
    address.ip().is_some_and(|address| address.ip().is_unspecified())
}

/// Returns the addresses by which clients reach a server that listens on `address`: the address
/// itself, or, if that is wide, the loopback address and those of `network` in the same family.
fn reachable(address: &Address, network: &[IpAddr]) -> Vec<Address> {
    let Some(ip) = address.ip().filter(|_| is_wide(address)) else { return vec![address.clone()] };
    let loopback: IpAddr = if ip.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
    let others = network.iter().filter(|other| other.is_ipv4() == ip.is_ipv4());
    std::iter::once(&loopback).chain(others).map(|other| SocketAddr::new(*other, ip.port()).into()).collect()
}

/// Returns the addresses of this machine that other machines may know. The first one is the address
/// from which this machine reaches the Internet.
pub fn network_addresses() -> Vec<IpAddr> {
    match if_addrs::get_if_addrs() {
        Ok(interfaces) => choose(&interfaces, default_source()),
        Err(e) => {
            let why = io_message(&e);
            log::warn!("cannot list the addresses of this machine: {why}; using loopback only");
            Vec::new()
        }
    }
}

/// Chooses the addresses that a person can type: neither loopback nor link-local ones, which need
/// the name of an interface, and at most one IPv6 address for each interface. An interface has
/// further ones for its own connections (RFC 8981).
fn choose(interfaces: &[Interface], first: Option<IpAddr>) -> Vec<IpAddr> {
    let (mut chosen, mut with_ipv6) = (Vec::new(), Vec::new());
    for interface in interfaces.iter().filter(|interface| interface.is_oper_up()) {
        let is_usable = match &interface.addr {
            IfAddr::V4(v4) => !v4.ip.is_loopback() && !v4.ip.is_link_local(),
            IfAddr::V6(v6) => {
                let is_usable = !v6.ip.is_loopback() && !v6.ip.is_unicast_link_local();
                let is_first = !with_ipv6.contains(&&interface.name);
                if is_usable && is_first {
                    with_ipv6.push(&interface.name);
                }
                is_usable && is_first
            }
        };
        if is_usable && !chosen.contains(&interface.ip()) {
            chosen.push(interface.ip());
        }
    }
    // Container and virtual machine networks have addresses as well, which no phone reaches.
    chosen.sort_by_key(|address| (Some(*address) != first, address.is_ipv6()));
    chosen
}

/// Returns the address from which this machine would send to the Internet. Connecting a UDP socket
/// only chooses the address (udp(7)).
fn default_source() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(ELSEWHERE).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

#[cfg(test)]
mod tests {
    use if_addrs::{IfOperStatus, Ifv4Addr, Ifv6Addr};

    use super::*;

    fn interface(name: &str, ip: &str, is_up: bool) -> Interface {
        let oper_status = if is_up { IfOperStatus::Up } else { IfOperStatus::Unknown };
        let addr = match ip.parse().expect("an address") {
            IpAddr::V4(ip) => IfAddr::V4(Ifv4Addr { ip, netmask: ip, prefixlen: 32, broadcast: None }),
            IpAddr::V6(ip) => IfAddr::V6(Ifv6Addr { ip, netmask: ip, prefixlen: 128, broadcast: None }),
        };
        Interface { name: name.to_owned(), addr, index: None, oper_status, is_p2p: false }
    }

    #[test]
    fn addresses_are_those_that_others_can_type() {
        let interfaces = [
            interface("lo", "127.0.0.1", true),
            interface("lo", "::1", true),
            interface("docker0", "172.17.0.1", false),
            interface("br-1", "172.18.0.1", true),
            interface("wlan0", "fe80::1", true),
            interface("wlan0", "2001:db8::1", true),
            interface("wlan0", "2001:db8::abcd", true),
            interface("wlan0", "192.168.1.5", true),
            interface("wlan0", "169.254.7.7", true),
            interface("tun0", "10.8.0.2", true),
        ];
        let chosen = |first: Option<&str>| {
            let first = first.map(|first| first.parse().expect("an address"));
            choose(&interfaces, first).iter().map(IpAddr::to_string).collect::<Vec<_>>()
        };
        let expected = ["192.168.1.5", "172.18.0.1", "10.8.0.2", "2001:db8::1"];
        assert_eq!(chosen(Some("192.168.1.5")), expected, "the one of the default route is the first");
        assert_eq!(chosen(None)[0], "172.18.0.1");
        assert!(choose(&[], None).is_empty());
    }

    #[test]
    fn wide_address_is_reached_by_the_addresses_of_its_family() {
        let network: [IpAddr; 2] = ["192.168.1.5", "fd00::2"].map(|text| text.parse().expect("an address"));
        let table: [(&str, &[&str]); 4] = [
            ("0.0.0.0:80", &["127.0.0.1:80", "192.168.1.5:80"]),
            ("[::]:80", &["[::1]:80", "[fd00::2]:80"]),
            ("127.0.0.1:80", &["127.0.0.1:80"]),
            ("192.168.1.5:80", &["192.168.1.5:80"]),
        ];
        for (bound, expected) in table {
            let bound = Address::Ip(bound.parse().expect("an address"));
            let reached: Vec<String> = reachable(&bound, &network).iter().map(Address::to_string).collect();
            assert_eq!(reached, expected, "{bound}");
        }
    }
}
