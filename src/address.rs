//! The address of a socket: an IP address with a port, or the path of a Unix socket.

use std::{
    fmt,
    net::SocketAddr,
    os::{fd::AsFd, unix::ffi::OsStrExt},
    path::PathBuf,
};

use rustix::net::{SocketAddrAny, SocketAddrUnix, getsockname};

/// The address of a socket. It is shown as `127.0.0.1:8000`, or as `unix:/run/site.sock`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// An IP address and a port.
    Ip(SocketAddr),
    /// The path of a Unix socket (unix(7)), or `None` for an unnamed one. The socket of a client is
    /// usually unnamed.
    Unix(Option<PathBuf>),
}

impl Address {
    /// Returns the IP address and port, or `None` for a Unix socket.
    pub fn ip(&self) -> Option<SocketAddr> {
        match self {
            Address::Ip(address) => Some(*address),
            Address::Unix(_) => None,
        }
    }

    /// Returns whether only this machine can reach the address: a loopback address or a Unix
    /// socket.
    pub fn is_local(&self) -> bool {
        match self {
            Address::Ip(address) => address.ip().to_canonical().is_loopback(),
            Address::Unix(_) => true,
        }
    }

    /// Returns the address that `socket` is bound to.
    ///
    /// # Errors
    /// Fails if the descriptor is not a socket (getsockname(2)).
    pub fn of_socket(socket: impl AsFd) -> std::io::Result<Address> {
        Ok(getsockname(socket)?.into())
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Address {
        Address::Ip(address)
    }
}

/// Converts an address that a system call returned. A socket of another family counts as an unnamed
/// Unix socket, because this program creates no other kind.
impl From<SocketAddrAny> for Address {
    fn from(address: SocketAddrAny) -> Address {
        if let Ok(ip) = SocketAddr::try_from(address.clone()) {
            return Address::Ip(ip);
        }
        let unix = SocketAddrUnix::try_from(address).ok();
        let path = unix.as_ref().and_then(SocketAddrUnix::path);
        Address::Unix(path.map(|path| std::ffi::OsStr::from_bytes(path.to_bytes()).into()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Ip(address) => address.fmt(f),
            Address::Unix(path) => write!(f, "unix:{}", path.as_deref().unwrap_or("".as_ref()).display()),
        }
    }
}

/// Returns whether `peer` may be the address of the socket that is bound to `bound`, so that an
/// answer to `peer` would arrive at that bound socket.
pub fn may_be_socket(peer: SocketAddr, bound: SocketAddr) -> bool {
    peer.port() == bound.port() && (bound.ip() == peer.ip() || bound.ip().is_unspecified())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    #[test]
    fn address_is_shown_and_checked() {
        let ip = |text: &str| Address::Ip(text.parse().expect("an address"));
        let table = [
            (ip("127.0.0.1:80"), "127.0.0.1:80", true),
            (ip("[::1]:80"), "[::1]:80", true),
            (ip("[::ffff:127.0.0.1]:80"), "[::ffff:127.0.0.1]:80", true),
            (ip("0.0.0.0:80"), "0.0.0.0:80", false),
            (ip("10.0.0.1:80"), "10.0.0.1:80", false),
            (Address::Unix(Some("/run/a.sock".into())), "unix:/run/a.sock", true),
            (Address::Unix(None), "unix:", true),
        ];
        for (address, text, is_local) in table {
            assert_eq!((address.to_string().as_str(), address.is_local()), (text, is_local));
        }
    }

    #[test]
    fn address_of_a_unix_socket_has_its_path() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.sock");
        let listener = UnixListener::bind(&path).expect("bind");
        assert_eq!(Address::of_socket(&listener).expect("its address"), Address::Unix(Some(path.clone())));
        let client = UnixStream::connect(&path).expect("connect");
        assert_eq!(Address::of_socket(&client).expect("its address"), Address::Unix(None));
    }

    #[test]
    fn peer_may_be_a_socket_with_the_same_port() {
        let table = [
            ("127.0.0.1:9", "127.0.0.1:9", true),
            ("127.0.0.1:9", "127.0.0.1:10", false),
            ("127.0.0.1:9", "127.0.0.2:9", false),
            ("0.0.0.0:9", "127.0.0.2:9", true),
            ("[::]:9", "[::1]:9", true),
            ("[::1]:9", "[::1]:9", true),
        ];
        for (bound, peer, expected) in table {
            let [bound, peer]: [SocketAddr; 2] = [bound, peer].map(|text| text.parse().expect("an address"));
            assert_eq!(may_be_socket(peer, bound), expected, "{peer} and {bound}");
        }
    }
}
