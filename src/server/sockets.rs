//! Listening sockets, and how many descriptors there are for what they accept.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
};

use mio::net::TcpListener;
use rustix::{
    io::Errno,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use socket2::{Domain, Protocol, Socket, Type};

use super::settings::{StartError, plain};

/// Connections that the kernel completes before they are accepted; it has a bound of its own (`somaxconn`, listen(2)).
const BACKLOG: i32 = 4096;
/// Descriptors that are not for connections and their files: listeners, the poller, signals, logs.
const RESERVED_DESCRIPTORS: u64 = 64;

/// Listens on every address of `host`.
pub fn bind_host(
    host: &str,
    port: u16,
    reuse_port: bool,
) -> Result<Vec<(SocketAddr, TcpListener)>, StartError> {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let addresses = (bare, port)
        .to_socket_addrs()
        .map_err(|_| StartError::Mistake(format!("'{host}' is no address of this machine; try 127.0.0.1")))?;
    let mut sockets = Vec::new();
    let mut missing = None;
    for address in addresses {
        match bind_tcp(address, reuse_port) {
            Ok(socket) => sockets.push((socket.local_addr().unwrap_or(address), socket)),
            // A name may have an address of a family that this machine has not.
            Err(e) if is_missing_address(&e) => missing = Some(cannot_listen(address, &e)),
            Err(e) => return Err(cannot_listen(address, &e)),
        }
    }
    match missing {
        Some(error) if sockets.is_empty() => Err(error),
        _ => Ok(sockets),
    }
}

/// socket, setsockopt, bind, listen: what `HTTPServer.create_socket` and `bind` do in the course.
pub fn bind_tcp(address: SocketAddr, reuse_port: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // A restarted server may listen again while connections of the old one are still going away.
    socket.set_reuse_address(true)?;
    if reuse_port {
        // The kernel deals new connections out to whoever listens on the port: socket(7).
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Accepted sockets inherit it: small answers are not to wait for an acknowledgement (Nagle).
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// Whether only this machine can reach `address`.
pub fn is_local(address: &SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// Raises the limit of descriptors as far as is allowed, and says how many that are. For a process of its own: a library
/// leaves it alone.
pub fn raise_descriptor_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    descriptor_limit()
}

fn descriptor_limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::from(u32::MAX))
}

/// How many connections the descriptors allow, if each of them downloads a file of its own.
pub fn descriptors_for_connections() -> usize {
    let limit = descriptor_limit();
    let free = limit - RESERVED_DESCRIPTORS.min(limit / 2);
    (free / 2).max(1) as usize
}

fn is_missing_address(e: &io::Error) -> bool {
    matches!(Errno::from_io_error(e), Some(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT))
}

pub fn cannot_listen(address: SocketAddr, e: &io::Error) -> StartError {
    let advice = match Errno::from_io_error(e) {
        Some(Errno::ADDRINUSE) => "; choose another port, or 0 for any free one",
        Some(Errno::ACCESS) => "; ports below 1024 need a privilege",
        Some(Errno::ADDRNOTAVAIL) => "; choose an address of this machine",
        _ => "",
    };
    StartError::System(format!("cannot listen on {address}: {}{advice}", plain(e)))
}
