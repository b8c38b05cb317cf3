//! The address of a client behind a proxy: the field lines in which proxies pass it on, and the
//! proxies that are trusted to send them.
//!
//! Any client can send such a line, and a proxy appends to what it received. So the addresses must
//! be read from the right, and only as long as the peer that added them is trusted.

use std::net::{IpAddr, SocketAddr};

use super::peer_network::PeerNetwork;

/// The maximum number of trusted addresses that are skipped in one request.
const MAX_HOPS: usize = 16;
/// The name of the field that most proxies send.
const X_FORWARDED_FOR: &[u8] = b"x-forwarded-for";
/// The standard field (RFC 7239).
const FORWARDED: &[u8] = b"forwarded";

/// A proxy, or a network of proxies, that is trusted to send the address of the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedProxy(PeerNetwork);

impl TrustedProxy {
    /// Parses an IP address such as `::1`, a network such as `10.0.0.0/8`, or `unix` for all peers
    /// on Unix sockets. Returns `None` for other text.
    pub fn parse(text: &str) -> Option<TrustedProxy> {
        PeerNetwork::parse(text).filter(|network| *network != PeerNetwork::ALL).map(TrustedProxy)
    }
}

/// The proxies that are trusted to send the address of the client.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<TrustedProxy>);

impl TrustedProxies {
    /// Creates the set of `proxies`.
    pub fn new(proxies: Vec<TrustedProxy>) -> TrustedProxies {
        TrustedProxies(proxies)
    }

    /// Returns whether a peer is trusted. A peer without an IP address is on a Unix socket.
    pub fn trust(&self, peer: Option<IpAddr>) -> bool {
        self.0.iter().any(|TrustedProxy(network)| network.contains(peer))
    }

    /// Returns the address of the client according to the valid request head at the start of
    /// `input`, which a trusted peer has sent: the rightmost address that is not trusted, or the
    /// leftmost one if all are. `X-Forwarded-For` comes first, because a proxy that sends it may
    /// pass on a `Forwarded` line of the client. Ends at what is not an address. Returns `None` if
    /// there is no address.
    pub fn client(&self, input: &[u8]) -> Option<IpAddr> {
        let input = input.strip_prefix(b"\r\n").unwrap_or(input);
        let head = &input[..memchr::memmem::find(input, b"\r\n\r\n")?];
        let names_client = |name| values(head, name).next().is_some();
        if names_client(X_FORWARDED_FOR) {
            self.rightmost(values(head, X_FORWARDED_FOR).map(address))
        } else {
            self.rightmost(values(head, FORWARDED).map(forwarded_for))
        }
    }

    /// Returns the first of `addresses`, which are in order from the peer to the client, that is
    /// not trusted, or else the last one before something that is not an address.
    fn rightmost(&self, addresses: impl Iterator<Item = Option<IpAddr>>) -> Option<IpAddr> {
        let mut nearest = None;
        for address in addresses.take(MAX_HOPS) {
            let Some(address) = address else { break };
            nearest = Some(address);
            if !self.trust(nearest) {
                break;
            }
        }
        nearest
    }
}

/// Returns the list elements of all field lines with `name` in `head`, from the last one to the
/// first. Empty elements do not count (RFC 9110 section 5.6.1).
fn values<'a>(head: &'a [u8], name: &'static [u8]) -> impl Iterator<Item = &'a [u8]> {
    let lines = head.rsplit(|b| *b == b'\n');
    let lists = lines.filter_map(move |line| {
        let colon = name.len();
        let has_name = line.get(colon) == Some(&b':') && line[..colon].eq_ignore_ascii_case(name);
        has_name.then(|| &line[colon + 1..])
    });
    let elements = lists.flat_map(|list| list.rsplit(|b| *b == b',')).map(<[u8]>::trim_ascii);
    elements.filter(|element| !element.is_empty())
}

/// Parses an IP address, which may have a port. An IPv6 address with a port has brackets.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let bracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let ip = match bracketed {
        Some(ip) => ip.parse().ok().map(IpAddr::V6),
        None => text.parse().or_else(|_| text.parse().map(|address: SocketAddr| address.ip())).ok(),
    };
    ip.map(|ip: IpAddr| ip.to_canonical())
}

/// Parses the address of the parameter `for` in an element of `Forwarded` (RFC 7239 section 4).
/// Returns `None` if there is no such address or more than one `for`.
///
/// The elements were separated at commas without regard to quotes, and are read from the right. So
/// the end of a quoted string with a comma comes first. It has an odd number of quotes, because
/// escaped ones are not accepted, and no element before it is read.
fn forwarded_for(element: &[u8]) -> Option<IpAddr> {
    let quotes = element.iter().filter(|b| **b == b'"').count();
    if quotes % 2 == 1 || element.contains(&b'\\') {
        return None;
    }
    let mut addresses = element.split(|b| *b == b';').filter_map(|parameter| {
        let (name, value) = parameter.trim_ascii().split_at_checked(4)?;
        name.eq_ignore_ascii_case(b"for=").then_some(value)
    });
    let (Some(value), None) = (addresses.next(), addresses.next()) else { return None };
    let quoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    address(quoted.unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(list: &str) -> TrustedProxies {
        let parsed = list.split(' ').map(|text| TrustedProxy::parse(text).expect(text));
        TrustedProxies::new(parsed.collect())
    }

    #[test]
    fn trusted_proxy_is_an_address_a_network_or_unix() {
        let table = [
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "::ffff:127.0.0.1", true),
            ("::ffff:127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("127.0.0.1", "::1", false),
            ("::1", "::1", true),
            ("10.1.2.3/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("::ffff:10.0.0.0/104", "10.255.0.1", true),
            ("::ffff:10.0.0.0/104", "11.0.0.1", false),
            ("fd00::/8", "fdff::1", true),
            ("fd00::/8", "fe80::1", false),
            ("0.0.0.0/0", "192.0.2.1", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "192.0.2.1", false),
            ("unix", "127.0.0.1", false),
        ];
        for (proxy, peer, expected) in table {
            let peer = peer.parse().expect("an address");
            assert_eq!(proxies(proxy).trust(Some(peer)), expected, "{proxy} and {peer}");
        }
        assert!(proxies("10.0.0.0/8 unix").trust(None) && !proxies("10.0.0.0/8 ::1").trust(None));
        for text in [
            "",
            "localhost",
            "10.0.0.0/33",
            "10.0.0.0/",
            "/8",
            "10.0.0",
            "[::1]",
            "unix:",
            "::1%lo",
            "*",
            "all",
        ] {
            assert_eq!(TrustedProxy::parse(text), None, "{text:?}");
        }
    }

    /// Returns the client according to `lines`, if 10.0.0.0/8 and ::1 are trusted.
    fn client(lines: &str) -> Option<String> {
        let input = format!("GET / HTTP/1.1\r\n{lines}\r\n\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n");
        let found = proxies("10.0.0.0/8 ::1").client(input.as_bytes()).map(|ip| ip.to_string());
        assert_eq!(
            proxies("10.0.0.0/8 ::1").client(format!("\r\n{input}").as_bytes()).map(|ip| ip.to_string()),
            found
        );
        found
    }

    #[test]
    fn client_is_the_rightmost_address_that_is_not_trusted() {
        let table = [
            ("Host: a", None),
            ("X-Forwarded-For: 1.1.1.1", Some("1.1.1.1")),
            ("x-forwarded-for:1.1.1.1 ", Some("1.1.1.1")),
            ("X-Forwarded-For: 1.1.1.1, 2.2.2.2", Some("2.2.2.2")),
            ("X-Forwarded-For: 1.1.1.1,2.2.2.2,10.0.0.1,\t::1 ,", Some("2.2.2.2")),
            ("X-Forwarded-For: 1.1.1.1\r\nHost: a\r\nX-Forwarded-For: 10.0.0.1", Some("1.1.1.1")),
            ("X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2", Some("2.2.2.2")),
            ("X-Forwarded-For: 10.0.0.2, 10.0.0.1", Some("10.0.0.2")),
            ("X-Forwarded-For: ::ffff:1.1.1.1, ::ffff:10.0.0.1", Some("1.1.1.1")),
            ("X-Forwarded-For: 2001:db8::1", Some("2001:db8::1")),
            ("X-Forwarded-For: 1.1.1.1:80", Some("1.1.1.1")),
            ("X-Forwarded-For: [2001:db8::1]:80, [::1]", Some("2001:db8::1")),
            ("X-Forwarded-For: 1.1.1.1, unknown", None),
            ("X-Forwarded-For: unknown, 10.0.0.1", Some("10.0.0.1")),
            ("X-Forwarded-For: 1.1.1.1 2.2.2.2", None),
            ("X-Forwarded-For: 1.1.1.256", None),
            ("X-Forwarded-For: \u{e9}", None),
            ("X-Forwarded-For:", None),
            ("X-Forwarded-For: ,", None),
            ("X-Forwarded-Fo: 1.1.1.1", None),
            ("X-Forwarded-For-: 1.1.1.1", None),
            ("X-A: X-Forwarded-For: 1.1.1.1", None),
        ];
        for (lines, expected) in table {
            assert_eq!(client(lines).as_deref(), expected, "{lines:?}");
        }
        let hops = |count: usize| format!("X-Forwarded-For: 1.1.1.1{}", ", 10.0.0.1".repeat(count));
        assert_eq!(client(&hops(MAX_HOPS - 1)).as_deref(), Some("1.1.1.1"));
        assert_eq!(client(&hops(MAX_HOPS)).as_deref(), Some("10.0.0.1"), "the limit");
    }

    #[test]
    fn client_of_a_forwarded_line() {
        let table = [
            ("for=1.1.1.1", Some("1.1.1.1")),
            ("proto=http; For=1.1.1.1 ;by=10.0.0.1", Some("1.1.1.1")),
            ("for=1.1.1.1, for=2.2.2.2;host=a, for=10.0.0.1", Some("2.2.2.2")),
            ("for=\"[2001:db8::1]:80\"", Some("2001:db8::1")),
            ("for=\"1.1.1.1:80\", for=\"[::1]\"", Some("1.1.1.1")),
            ("for=unknown", None),
            ("for=_hidden, for=10.0.0.1", Some("10.0.0.1")),
            ("by=1.1.1.1", None),
            ("for=1.1.1.1;for=2.2.2.2", None),
            ("for=\"1.1.1.1", None),
            // A proxy may repeat a Host that the client has chosen.
            ("for=2.2.2.2;host=\"a,for=1.1.1.1\"", None),
            ("for=2.2.2.2;host=\"a,for=1.1.1.1;b\"", None),
            ("for=2.2.2.2;host=\"a,for=1.1.1.1,b\"", None),
            ("for=2.2.2.2;host=\"a\\\",for=1.1.1.1;\\\"b\"", None),
            // The client itself may send an open quote.
            ("for=\"1.1.1.1, for=2.2.2.2", Some("2.2.2.2")),
        ];
        for (value, expected) in table {
            assert_eq!(client(&format!("Forwarded: {value}")).as_deref(), expected, "{value:?}");
        }
        let both = "X-Forwarded-For: 1.1.1.1\r\nForwarded: for=2.2.2.2";
        assert_eq!(client(both).as_deref(), Some("1.1.1.1"));
        assert_eq!(client("X-Forwarded-For: unknown\r\nForwarded: for=2.2.2.2"), None);
    }
}
