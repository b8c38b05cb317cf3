//! Adding sources to the loop: listeners, UDP sockets, other input, and priority sources.

use std::{
    io,
    net::UdpSocket,
    os::fd::{AsRawFd, OwnedFd},
    rc::Rc,
};

use super::{
    EventLoop,
    input::Input,
    source::{Listener, Priority, SourceKind},
    udp::UdpSource,
};
use crate::{
    protocol::{Context, DatagramProtocol, InputProtocol, PrioritySource, ProtocolFactory, WakeKey},
    trace::{SourceId, Step},
};

/// A source that only wakes the loop.
struct WakeOnly;

impl PrioritySource for WakeOnly {
    fn on_readable(&mut self, _cx: &mut Context<'_>) {}
}

impl EventLoop {
    /// Adds a listening socket, TCP or Unix. `factory` creates the protocol of each accepted
    /// connection.
    ///
    /// # Errors
    /// Fails if the socket cannot be made non-blocking or registered with the poller
    /// (epoll_ctl(2)).
    pub fn add_listener(
        &mut self,
        socket: impl Into<OwnedFd>,
        factory: Box<dyn ProtocolFactory>,
    ) -> io::Result<()> {
        self.insert_listener(Listener::new(socket.into(), factory)?)
    }

    /// Adds a listening socket like [`EventLoop::add_listener`] for connections over TLS.
    ///
    /// # Errors
    /// See [`EventLoop::add_listener`].
    #[cfg(feature = "tls")]
    pub fn add_tls_listener(
        &mut self,
        socket: impl Into<OwnedFd>,
        factory: Box<dyn ProtocolFactory>,
        identity: crate::tls::TlsIdentity,
    ) -> io::Result<()> {
        let mut listener = Listener::new(socket.into(), factory)?;
        listener.tls = Some(identity);
        self.insert_listener(listener)
    }

    /// Adds a listener to the sources.
    fn insert_listener(&mut self, listener: Listener) -> io::Result<()> {
        let id = self.sources.next_listener_id();
        let (address, fd) = (listener.address.clone(), listener.socket.as_raw_fd());
        self.sources.insert(SourceKind::Listener(Box::new(listener)), id)?;
        self.observers.trace(id, || Step::Bound { address, fd });
        Ok(())
    }

    /// Adds a bound UDP socket. `protocol` handles its datagrams. The key [wakes](Context::wake)
    /// it.
    ///
    /// # Errors
    /// Fails if the socket cannot be made non-blocking or registered with the poller
    /// (epoll_ctl(2)).
    pub fn add_udp(&mut self, socket: UdpSocket, protocol: Box<dyn DatagramProtocol>) -> io::Result<WakeKey> {
        socket.set_nonblocking(true)?;
        let socket = mio::net::UdpSocket::from_std(socket);
        let id = self.sources.next_udp_id();
        let (address, fd) = (socket.local_addr()?, socket.as_raw_fd());
        let source = UdpSource::new(socket, address, protocol);
        let wake_at = source.wake_at();
        let key = self.sources.insert(SourceKind::Udp(Box::new(source)), id)?;
        self.timers.wake_by(key, wake_at.map(Into::into));
        self.observers.trace(id, || Step::Bound { address: address.into(), fd });
        Ok(WakeKey { key, id })
    }

    /// Adds a readable descriptor that is not a socket, such as standard input: a terminal, a pipe
    /// or a file. Traces show it as `name`. The key [wakes](Context::wake) it.
    ///
    /// # Errors
    /// Fails if the descriptor cannot be registered with the poller (epoll_ctl(2)).
    pub fn add_input(
        &mut self,
        name: &'static str,
        fd: OwnedFd,
        protocol: Box<dyn InputProtocol>,
    ) -> io::Result<WakeKey> {
        let id = SourceId::Named(name);
        let key = self.sources.insert(SourceKind::Input(Box::new(Input::new(fd, protocol))), id)?;
        // The poller does not report a file, which is always readable.
        if let Some(SourceKind::Input(input)) = self.sources.kind(key)
            && !input.is_polled()
        {
            self.sources.push_ready(key);
        }
        Ok(WakeKey { key, id })
    }

    /// Adds a source that the loop calls before it handles any request, in each turn in which `fd`
    /// has become readable. Traces show the source as `name`.
    ///
    /// # Errors
    /// Fails if the descriptor cannot be registered with the poller (epoll_ctl(2)).
    pub fn add_priority_source(
        &mut self,
        name: &'static str,
        fd: Rc<OwnedFd>,
        source: Box<dyn PrioritySource>,
    ) -> io::Result<()> {
        let priority = Box::new(Priority { fd, source });
        self.sources.insert(SourceKind::Priority(priority), SourceId::Named(name)).map(drop)
    }

    /// Wakes the loop when `fd` becomes readable. The caller must read `fd` elsewhere, for example
    /// in an observer.
    ///
    /// # Errors
    /// Fails if the descriptor cannot be registered with the poller (epoll_ctl(2)).
    pub fn wake_on(&mut self, name: &'static str, fd: OwnedFd) -> io::Result<()> {
        self.add_priority_source(name, Rc::new(fd), Box::new(WakeOnly))
    }
}
