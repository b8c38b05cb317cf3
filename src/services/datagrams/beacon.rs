//! The beacon: answers discovery questions with the name and the URLs of this server.
//!
//! The source address of a question can be forged. So an answer is at most
//! [`AMPLIFICATION`](crate::discovery::AMPLIFICATION) times as long as its question, and each IP
//! address gets a limited rate of answers.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use super::{peer_rate_limit::PeerRateLimit, steps};
use crate::{
    discovery::{Announcement, SENDER, is_question},
    printable::replace_unprintable,
    protocol::{Context, DatagramOutbox, DatagramProtocol},
    token_bucket::Rate,
};

/// The rate at which an IP address is answered. A client sends its question twice, and many clients
/// can share an address.
const RATE: Rate = Rate { burst: 100, interval: Duration::from_millis(100) };

/// The protocol of the beacon's socket.
pub struct Beacon {
    name: String,
    id: String,
    /// The addresses on which the server listens for HTTP.
    servers: Vec<SocketAddr>,
    /// The scheme of its URLs.
    scheme: &'static str,
    /// The URL path of the site's root.
    base_path: String,
    rate: PeerRateLimit<IpAddr>,
}

impl Beacon {
    /// Creates a beacon for a server that listens on `servers`. `name` is the name of the machine,
    /// and `id` distinguishes this process from others.
    pub fn new(name: String, id: String, servers: Vec<SocketAddr>, base_path: String) -> Beacon {
        let name = replace_unprintable(name.as_bytes());
        Beacon { name, id, servers, scheme: "http", base_path, rate: PeerRateLimit::new(RATE) }
    }

    /// Announces URLs with this scheme, such as `https`, in place of `http`.
    pub fn with_scheme(self, scheme: &'static str) -> Beacon {
        Beacon { scheme, ..self }
    }

    /// Returns what to announce to `peer`: the URLs with which `peer` can reach the server.
    fn announcement(&self, peer: IpAddr) -> Announcement {
        let urls = self.servers.iter().filter_map(|server| {
            let host = match server.ip() {
                // The answer comes from the address at which the peer can reach this machine.
                ip if ip.is_unspecified() => (ip.is_ipv4() == peer.is_ipv4()).then(|| SENDER.to_owned())?,
                ip if ip.is_loopback() && !peer.is_loopback() => return None,
                IpAddr::V4(ip) => ip.to_string(),
                IpAddr::V6(ip) => format!("[{ip}]"),
            };
            Some(format!("{}://{host}:{}{}", self.scheme, server.port(), self.base_path))
        });
        Announcement { urls: urls.collect(), name: self.name.clone(), id: self.id.clone() }
    }
}

impl DatagramProtocol for Beacon {
    fn receive(&mut self, datagram: &[u8], from: SocketAddr, out: &mut DatagramOutbox, cx: &mut Context<'_>) {
        // A socket for IPv6 shows an IPv4 peer with a mapped address.
        let peer = from.ip().to_canonical();
        let reason = if !is_question(datagram) {
            "not a question"
        } else if !self.rate.allow(peer, cx.clock.now()) {
            "rate exceeded"
        } else {
            return out.send(&self.announcement(peer).answer(datagram), from);
        };
        cx.trace(|| steps::ignored(datagram.len(), from, reason));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        discovery::{AMPLIFICATION, question},
        testing::DatagramHarness,
    };

    fn beacon(servers: &[&str]) -> Beacon {
        let servers = servers.iter().map(|server| server.parse().expect(server)).collect();
        Beacon::new("host".into(), "id".into(), servers, "/app/".into())
    }

    #[test]
    fn beacon_announces_only_urls_that_the_peer_can_reach() {
        let address = |text: &str| text.parse::<SocketAddr>().expect(text);
        let servers = ["0.0.0.0:1", "[::]:2", "127.0.0.1:3", "[::1]:4", "10.0.0.1:5", "[fd00::1]:6"];
        let beacon = beacon(&servers);
        let table: [(&str, &[&str]); 3] = [
            (
                "127.0.0.1:5000",
                &[
                    "http://{sender}:1/app/",
                    "http://127.0.0.1:3/app/",
                    "http://[::1]:4/app/",
                    "http://10.0.0.1:5/app/",
                    "http://[fd00::1]:6/app/",
                ],
            ),
            (
                "10.0.0.9:5000",
                &["http://{sender}:1/app/", "http://10.0.0.1:5/app/", "http://[fd00::1]:6/app/"],
            ),
            (
                "[fd00::9]:5000",
                &["http://{sender}:2/app/", "http://10.0.0.1:5/app/", "http://[fd00::1]:6/app/"],
            ),
        ];
        for (peer, urls) in table {
            assert_eq!(beacon.announcement(address(peer).ip()).urls, urls, "{peer}");
        }
    }

    #[test]
    fn beacon_answers_questions_and_nothing_else() {
        let mut beacon = DatagramHarness::new(|_| beacon(&["0.0.0.0:8000"]));
        let peer = SocketAddr::from(([10, 0, 0, 9], 5000));
        let answer = b"oneloop/1 here\nurl: http://{sender}:8000/app/\nname: host\nid: id\n";
        assert_eq!(beacon.receive(&question(), peer), [(answer.to_vec(), peer)]);
        let mapped = "[::ffff:10.0.0.9]:5000".parse().expect("an address");
        assert_eq!(beacon.receive(&question(), mapped), [(answer.to_vec(), mapped)]);
        for junk in [&b""[..], b"x", b"oneloop/1 discove", answer, &[0; 65_507]] {
            assert_eq!(beacon.receive(junk, peer), [], "{} bytes", junk.len());
        }
    }

    #[test]
    fn beacon_does_not_amplify() {
        let servers: Vec<String> = (1..100).map(|port| format!("10.0.0.1:{port}")).collect();
        let servers: Vec<&str> = servers.iter().map(String::as_str).collect();
        let mut beacon = DatagramHarness::new(|_| beacon(&servers));
        for padding in 0..2000 {
            beacon.clock.advance(RATE.interval);
            let question = [b"oneloop/1 discover\n", &vec![b' '; padding][..]].concat();
            let answers = beacon.receive(&question, ([10, 0, 0, 9], 5000).into());
            let len: usize = answers.iter().map(|(answer, _)| answer.len()).sum();
            assert!(len > 0 && len <= AMPLIFICATION * question.len(), "{len} for {}", question.len());
        }
    }

    #[test]
    fn beacon_bounds_the_answers_to_each_address() {
        let mut beacon = DatagramHarness::new(|_| beacon(&["0.0.0.0:8000"]));
        let ask = |beacon: &mut DatagramHarness<Beacon>, last| {
            let ports = 5000..5000 + 2 * RATE.burst as u16;
            ports
                .filter(|port| !beacon.receive(&question(), ([10, 0, 0, last], *port).into()).is_empty())
                .count()
        };
        assert_eq!(ask(&mut beacon, 1), RATE.burst as usize);
        assert_eq!(ask(&mut beacon, 1), 0, "whatever the port");
        assert_eq!(ask(&mut beacon, 2), RATE.burst as usize, "each address for itself");
        beacon.clock.advance(10 * RATE.interval);
        assert_eq!(ask(&mut beacon, 1), 10);
    }
}
