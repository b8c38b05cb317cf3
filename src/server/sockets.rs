//! Creates listening sockets, and derives the connection limit from the open-file limit.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs, UdpSocket},
};

use rustix::{
    io::Errno,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use socket2::{Domain, Protocol, Socket, Type};

use super::{error::StartError, stream_listener::StreamListener};
use crate::system::share_port;

/// The maximum number of completed connections that may wait to be accepted. The kernel caps this
/// number at `somaxconn` (listen(2)).
pub const BACKLOG: i32 = 4096;
/// The number of descriptors reserved for listeners, the poller, signals and logs.
const RESERVED_DESCRIPTORS: u64 = 64;

/// How often to pick another free port if the one of the first address is taken on another address.
const PORT_ATTEMPTS: u16 = 16;

/// Creates a listening socket on every address of `hosts`, once for each address. Tries `tries`
/// ports from `port` upwards, until one is free on all of them. Port 0 means any such port.
///
/// # Errors
/// Fails if a host has no address, or if the server cannot listen on one of its addresses. An
/// address that this machine lacks is skipped if the host has another one. An IPv6 address that
/// this machine lacks is skipped with a warning if any other address is left. If all ports are in
/// use, the error is for the first one.
pub fn bind_hosts(
    hosts: &[String],
    (port, tries): (u16, u16),
    reuse_port: bool,
) -> Result<Vec<StreamListener>, StartError> {
    let mut hosts: Vec<Vec<SocketAddr>> =
        hosts.iter().map(|host| resolve(host, port)).collect::<Result<_, _>>()?;
    let first = bind_all(&hosts, reuse_port);
    let (tries, step) = if port == 0 { (PORT_ATTEMPTS, 0) } else { (tries, 1) };
    let is_taken = |error: &StartError| matches!(error, StartError::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse);
    if !first.as_ref().is_err_and(is_taken) {
        return first;
    }
    for attempt in 1..tries {
        let Some(port) = port.checked_add(attempt * step) else { break };
        hosts.iter_mut().flatten().for_each(|address| address.set_port(port));
        match bind_all(&hosts, reuse_port) {
            Err(error) if is_taken(&error) => {}
            result => return result,
        }
    }
    first
}

/// Returns the addresses of `host`. `localhost` means both loopback addresses (RFC 6761 section
/// 6.3): the files of a machine may name one of them only, and a client tries the other one.
fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, StartError> {
    if host.eq_ignore_ascii_case("localhost") {
        return Ok(vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()]);
    }
    // The resolver expects IPv6 addresses without brackets.
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let addresses = (bare, port).to_socket_addrs();
    addresses.map(Iterator::collect).map_err(|source| StartError::Host { host: host.to_owned(), source })
}

/// Listens on each address of each of `hosts`, with the same port.
fn bind_all(hosts: &[Vec<SocketAddr>], reuse_port: bool) -> Result<Vec<StreamListener>, StartError> {
    let mut sockets: Vec<StreamListener> = Vec::new();
    let (mut bound, mut missing) = (Vec::new(), Vec::new());
    let mut port = 0;
    let all: Vec<IpAddr> = hosts.iter().flatten().map(SocketAddr::ip).collect();
    // The wildcard address accepts for all others of its family, and would conflict with them.
    let has_wildcard = |ip: IpAddr| all.iter().any(|a| a.is_unspecified() && a.is_ipv4() == ip.is_ipv4());
    for addresses in hosts {
        let (before, mut lacking) = (bound.len(), None);
        for address in addresses {
            // Two names, or one name twice in /etc/hosts, may have the same address.
            let ip = address.ip();
            if bound.contains(&ip) || !ip.is_unspecified() && has_wildcard(ip) {
                continue;
            }
            let address = if address.port() == 0 { SocketAddr::new(address.ip(), port) } else { *address };
            match bind_tcp(address, reuse_port) {
                Ok(socket) => {
                    let listener = StreamListener::from(socket);
                    port = listener.address().ip().map_or(port, |bound| bound.port());
                    bound.push(address.ip());
                    sockets.push(listener);
                }
                // For example, a name may have an IPv6 address although this machine has no IPv6.
                Err(source) if is_missing_address(&source) => lacking = Some((address, source)),
                Err(source) => return Err(StartError::Listen { address: address.into(), source }),
            }
        }
        let is_served = bound.len() > before || addresses.iter().any(|a| bound.contains(&a.ip()));
        missing.extend(lacking.filter(|_| !is_served));
    }
    for (address, source) in missing {
        // With one option for all machines, `-b 0.0.0.0 -b ::` must also start without IPv6. An
        // IPv4 address that is missing is a mistake.
        if sockets.is_empty() || address.is_ipv4() {
            return Err(StartError::Listen { address: address.into(), source });
        }
        log::warn!("cannot listen on {address}: {source}; listening on the other addresses only");
    }
    Ok(sockets)
}

/// Creates a listening socket: calls socket, setsockopt, bind and listen, as the course does in
/// `create_socket` and `bind`.
///
/// # Errors
/// Fails if the address is in use, is not an address of this machine, or requires a privilege.
pub fn bind_tcp(address: SocketAddr, reuse_port: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Let a restarted server listen while connections of the old one are in TIME_WAIT.
    socket.set_reuse_address(true)?;
    if reuse_port {
        share_port(&socket)?;
    }
    if address.is_ipv6() {
        // Otherwise `[::]` would also use the IPv4 port, and listening on both would fail.
        socket.set_only_v6(true)?;
    }
    // Accepted sockets inherit this option. It disables Nagle's algorithm, so that a small response
    // does not wait for an acknowledgement.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Creates a UDP socket that receives broadcasts and may broadcast (socket(7)).
///
/// # Errors
/// Fails if the address is not an address of this machine, is in use by a socket that does not
/// share it, or requires a privilege.
pub fn bind_broadcast(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    // Without this option, a send to a broadcast address fails (EACCES).
    socket.set_broadcast(true)?;
    // Several processes can share the port. Each of them receives every broadcast. A datagram for
    // this address goes to one of them.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Raises the soft open-file limit to the hard limit (setrlimit(2)), and returns the resulting
/// limit. Only a program should call this function; a library should leave the limits of its
/// process alone.
pub fn raise_open_file_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    open_file_limit()
}

/// Returns the soft open-file limit.
fn open_file_limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::from(u32::MAX))
}

/// Returns how many connections the open-file limit allows, if each of them downloads a different
/// file.
pub fn connections_by_open_files() -> usize {
    let limit = open_file_limit();
    let free = limit - RESERVED_DESCRIPTORS.min(limit / 2);
    // One descriptor for the socket and one for the file.
    (free / 2).max(1) as usize
}

/// Returns whether `e` means that this machine lacks the address or its address family.
fn is_missing_address(e: &io::Error) -> bool {
    matches!(Errno::from_io_error(e), Some(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(hosts: &[&str]) -> Vec<SocketAddr> {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let listeners = bind_hosts(&hosts, (0, 1), false).expect("listen");
        listeners.iter().filter_map(|listener| listener.address().ip()).collect()
    }

    #[test]
    fn each_address_is_bound_once_and_with_one_port() {
        let one = bound(&["127.0.0.1", "127.0.0.1"]);
        assert_eq!(one.len(), 1, "{one:?}");
        let wildcard = bound(&["127.0.0.1", "0.0.0.0", "127.0.0.2"]);
        assert!(wildcard.len() == 1 && wildcard[0].ip().is_unspecified(), "{wildcard:?}");
        let two = bound(&["127.0.0.1", "127.0.0.2", "127.0.0.1"]);
        assert!(two.len() == 2 && two[0].port() == two[1].port(), "{two:?}");
    }

    #[test]
    fn localhost_is_both_loopback_addresses() {
        let both = bound(&["localhost"]);
        assert!(both[0].ip().is_loopback() && both[0].is_ipv4(), "{both:?}");
        if UdpSocket::bind("[::1]:0").is_err() {
            return crate::testing::skip("this machine has no IPv6 loopback address");
        }
        assert!(both.len() == 2 && both[1].ip() == Ipv6Addr::LOCALHOST, "{both:?}");
        assert_eq!(both[0].port(), both[1].port());
        assert_eq!(bound(&["127.0.0.1", "localhost", "::1"]).len(), 2);
    }

    #[test]
    fn only_a_missing_ipv6_address_may_be_skipped() {
        // Addresses reserved for documentation (RFC 5737, RFC 3849).
        assert_eq!(bound(&["127.0.0.1", "2001:db8::1"]).len(), 1);
        let hosts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        for names in [&["127.0.0.1", "192.0.2.1"][..], &["2001:db8::1"], &["192.0.2.1"]] {
            assert!(bind_hosts(&hosts(names), (0, 1), false).is_err(), "{names:?}");
        }
    }
}
