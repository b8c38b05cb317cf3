//! Creates listening sockets, and derives the connection limit from the open-file limit.

use std::{
    io,
    net::{SocketAddr, TcpListener, ToSocketAddrs, UdpSocket},
};

use rustix::{
    io::Errno,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use socket2::{Domain, Protocol, Socket, Type};

use super::{error::StartError, stream_listener::StreamListener};

/// The maximum number of completed connections that may wait to be accepted. The kernel caps this
/// number at `somaxconn` (listen(2)).
pub const BACKLOG: i32 = 4096;
/// The number of descriptors reserved for listeners, the poller, signals and logs.
const RESERVED_DESCRIPTORS: u64 = 64;

/// Creates a listening socket on every address of `host`.
///
/// # Errors
/// Fails if the host has no address, or if the server cannot listen on one of its addresses. An
/// address that this machine lacks is skipped if another one works.
pub fn bind_host(host: &str, port: u16, reuse_port: bool) -> Result<Vec<StreamListener>, StartError> {
    // The resolver expects IPv6 addresses without brackets.
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let addresses = (bare, port)
        .to_socket_addrs()
        .map_err(|source| StartError::Host { host: host.to_owned(), source })?;
    let mut sockets = Vec::new();
    let mut missing = None;
    for address in addresses {
        match bind_tcp(address, reuse_port) {
            Ok(socket) => sockets.push(socket.into()),
            // For example, a name may have an IPv6 address although this machine has no IPv6.
            Err(source) if is_missing_address(&source) => {
                missing = Some(StartError::Listen { address: address.into(), source });
            }
            Err(source) => return Err(StartError::Listen { address: address.into(), source }),
        }
    }
    match missing {
        Some(error) if sockets.is_empty() => Err(error),
        _ => Ok(sockets),
    }
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
        // The kernel distributes new connections among the processes that listen on the port
        // (socket(7)).
        socket.set_reuse_port(true)?;
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
