//! Outgoing connections.
//!
//! connect(2) on a non-blocking socket returns `EINPROGRESS` at once. The socket becomes writable
//! when the connection has been established or has failed, and the socket option `SO_ERROR` says
//! which. Until then the connection is a source like any other, and the loop continues to serve the
//! others.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketAddrAny, SocketAddrUnix, connect, sockopt},
};

use super::{EventLoop, source::SourceKind};
use crate::{
    address::Address,
    connection::Connection,
    protocol::{Protocol, WakeKey},
    system,
    trace::Step,
};

/// How to make an outgoing connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConnectOptions {
    /// The size in bytes of the socket's receive buffer, which the kernel doubles; `None` for the
    /// size that the kernel chooses. A client with a small one soon makes its server wait.
    pub receive_buffer: Option<usize>,
}

impl EventLoop {
    /// Starts to connect to `address`. The loop calls [`Protocol::on_connected`] when the
    /// connection has been established, and only [`Protocol::on_closed`] if it cannot be
    /// established within [`Limits::connect_timeout`](super::Limits::connect_timeout).
    ///
    /// # Errors
    /// Fails if the socket cannot be created or registered with the poller, or if connect(2) fails
    /// at once. This includes most errors of Unix sockets.
    pub fn connect(&mut self, address: &Address, protocol: Box<dyn Protocol>) -> io::Result<WakeKey> {
        self.connect_with(address, protocol, ConnectOptions::default())
    }

    /// Starts to connect to `address` as [`EventLoop::connect`] does, with `options`.
    ///
    /// # Errors
    /// See [`EventLoop::connect`]. Also fails if the socket does not accept an option.
    pub fn connect_with(
        &mut self,
        address: &Address,
        protocol: Box<dyn Protocol>,
        options: ConnectOptions,
    ) -> io::Result<WakeKey> {
        let socket = start_connect(address, options)?;
        let fd = socket.as_raw_fd();
        let connection =
            Connection::connecting(socket, protocol, self.state.limits.connect_timeout, &self.timers.clock);
        let id = self.sources.next_connection_id();
        let key = self.sources.insert(SourceKind::Connection(Box::new(connection)), id)?;
        if let Err(e) = self.sources.arm(key, true) {
            self.sources.remove(key);
            return Err(e);
        }
        if let Some(source) = self.sources.get_mut(key) {
            source.ready.writable = false;
            self.timers.wake_by(key, source.wake_at());
        }
        let peer = address.clone();
        let open = self.sources.open_connections();
        self.observers.trace(id, || Step::Connecting { peer, fd, open });
        self.observers.trace(id, || Step::Armed);
        Ok(WakeKey { key, id })
    }
}

/// Creates a non-blocking socket, and calls connect(2) on it.
///
/// # Errors
/// Fails if the socket cannot be created, or if connect(2) fails at once.
pub fn start_connect(address: &Address, options: ConnectOptions) -> io::Result<OwnedFd> {
    let (family, peer): (_, SocketAddrAny) = match address {
        Address::Ip(ip) => {
            (if ip.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 }, (*ip).into())
        }
        Address::Unix(path) => {
            let path = path.as_deref().unwrap_or("".as_ref());
            (AddressFamily::UNIX, SocketAddrUnix::new(path)?.into())
        }
    };
    let socket = system::stream_socket(family)?;
    if address.ip().is_some() {
        // As for accepted connections, small messages are sent at once.
        sockopt::set_tcp_nodelay(&socket, true)?;
    }
    if let Some(size) = options.receive_buffer {
        // Before connect(2), which announces the size of the window.
        sockopt::set_socket_recv_buffer_size(&socket, size)?;
    }
    match connect(&socket, &peer) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(e) => Err(e.into()),
    }
}
