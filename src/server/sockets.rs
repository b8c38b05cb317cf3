//! Listening sockets, and how many descriptors there are for what they accept.

use std::{
    io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
};

use rustix::{
    io::Errno,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use socket2::{Domain, Protocol, Socket, Type};

use super::error::StartError;

/// Connections that the kernel completes before they are accepted; it has a bound of its own
/// (`somaxconn`, listen(2)).
const BACKLOG: i32 = 4096;
/// Descriptors that are not for connections and their files: listeners, the poller, signals, logs.
const RESERVED_DESCRIPTORS: u64 = 64;

/// Listens on every address of `host`.
///
/// # Errors
/// The host has no address, or none of its addresses can be listened on.
pub fn bind_host(
    host: &str,
    port: u16,
    reuse_port: bool,
) -> Result<Vec<(SocketAddr, TcpListener)>, StartError> {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let addresses = (bare, port)
        .to_socket_addrs()
        .map_err(|source| StartError::Host { host: host.to_owned(), source })?;
    let mut sockets = Vec::new();
    let mut missing = None;
    for address in addresses {
        match bind_tcp(address, reuse_port) {
            Ok(socket) => sockets.push((socket.local_addr().unwrap_or(address), socket)),
            // A name may have an address of a family that this machine does not have.
            Err(source) if is_missing_address(&source) => {
                missing = Some(StartError::Listen { address, source });
            }
            Err(source) => return Err(StartError::Listen { address, source }),
        }
    }
    match missing {
        Some(error) if sockets.is_empty() => Err(error),
        _ => Ok(sockets),
    }
}

/// Makes a listening socket: socket, setsockopt, bind and listen, as `create_socket` and `bind` of
/// the course do.
///
/// # Errors
/// The address is taken, is not one of this machine, or needs a privilege.
pub fn bind_tcp(address: SocketAddr, reuse_port: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted server may listen again while connections of the old one are still going away.
    socket.set_reuse_address(true)?;
    if reuse_port {
        // The kernel deals new connections out to the processes that listen on the port: socket(7).
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Accepted sockets inherit it: small responses are not to wait for an acknowledgement (Nagle).
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Returns whether only this machine can reach `address`.
pub fn is_local(address: &SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// Raises the soft open-file limit to the hard one, and returns it. It is for a program to call: a
/// library leaves the limits of its process alone.
pub fn raise_open_file_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    open_file_limit()
}

fn open_file_limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::from(u32::MAX))
}

/// Returns how many connections the open-file limit allows, if each of them downloads a file of its
/// own.
pub fn connections_by_open_files() -> usize {
    let limit = open_file_limit();
    let free = limit - RESERVED_DESCRIPTORS.min(limit / 2);
    (free / 2).max(1) as usize
}

fn is_missing_address(e: &io::Error) -> bool {
    matches!(Errno::from_io_error(e), Some(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT))
}
