//! The sources: every kind of descriptor that the loop polls. The set of kinds is fixed.
//!
//! The loop's slab of sources corresponds to `rlist` in the `select()` program. A source's key in
//! the slab is also its token in the poller.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd, RawFd},
    rc::Rc,
};

use mio::{
    Interest, Registry, Token,
    event::{Event, Source as Pollable},
    unix::SourceFd,
};
use signal_hook_mio::v1_0::Signals;

use super::{input::Input, udp::UdpSource};
use crate::{
    address::Address,
    clock::CompactInstant,
    connection::Connection,
    protocol::{PrioritySource, ProtocolFactory},
    source::Readiness,
    system,
    trace::SourceId,
};

/// One polled source and its readiness.
pub struct Source {
    pub kind: SourceKind,
    pub id: SourceId,
    pub ready: Readiness,
    /// What the poller reports of the source, or `None` before the source is registered with it. A
    /// source polled for writability is in `wlist` as well as in `rlist`.
    pub interest: Option<Interest>,
    /// When to call the source again for something that no poller reports, such as a finished disk
    /// read.
    pub retry_at: Option<CompactInstant>,
}

/// The kind of a source. Every variant is boxed, because every slab entry is as large as the
/// largest variant.
pub enum SourceKind {
    Listener(Box<Listener>),
    Connection(Box<Connection>),
    Udp(Box<UdpSource>),
    Input(Box<Input>),
    Signals(Box<Signals>),
    Priority(Box<Priority>),
    /// The waker that every [`Handle`](super::Handle) uses. mio registers the waker itself.
    Waker,
}

/// A listening socket, TCP or Unix, and the factory for its connections' protocols.
pub struct Listener {
    pub socket: OwnedFd,
    pub address: Address,
    pub factory: Box<dyn ProtocolFactory>,
    /// Whether the kernel keeps a new connection until its first bytes have arrived.
    pub is_deferred: bool,
    /// The identity for connections over TLS.
    #[cfg(feature = "tls")]
    pub tls: Option<crate::tls::TlsIdentity>,
}

impl Listener {
    /// Creates a listener for plain connections, and makes its socket non-blocking.
    ///
    /// # Errors
    /// Fails if the socket cannot be made non-blocking or has no address.
    pub fn new(socket: OwnedFd, factory: Box<dyn ProtocolFactory>) -> io::Result<Listener> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        let address = Address::of_socket(&socket)?;
        Ok(Listener {
            is_deferred: system::defers_accept(&socket),
            socket,
            address,
            factory,
            #[cfg(feature = "tls")]
            tls: None,
        })
    }
}

/// A priority source and the descriptor that it reads.
pub struct Priority {
    pub fd: Rc<OwnedFd>,
    pub source: Box<dyn PrioritySource>,
}

impl Source {
    pub fn new(kind: SourceKind, id: SourceId) -> Source {
        Source { kind, id, ready: Readiness::new(), interest: None, retry_at: None }
    }

    /// Records the edge that the poller reported.
    pub fn note(&mut self, event: &Event) {
        // An error or a hang-up makes every call return immediately, so both directions count as
        // ready. The next call reports what happened.
        let read_closed = event.is_read_closed() || event.is_error();
        self.ready.readable |= event.is_readable() || read_closed;
        self.ready.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
        self.ready.read_closed |= read_closed;
        self.ready.failed |= event.is_error();
    }

    /// Removes the source from the poller, if it is registered.
    pub fn deregister(&mut self, registry: &Registry) {
        let _ = self.with_pollable(|pollable| registry.deregister(pollable));
    }

    /// Returns whether the source is polled for writability.
    pub fn is_armed(&self) -> bool {
        self.interest.is_some_and(Interest::is_writable)
    }

    /// Registers the source with the poller for readability, unless it is registered. The source
    /// may have become ready before: the poller reports what is ready when it is registered, and
    /// from then on what becomes ready (epoll(7)).
    pub fn register(&mut self, registry: &Registry, key: usize) -> io::Result<()> {
        if self.interest.is_some() {
            return Ok(());
        }
        self.with_pollable(|pollable| registry.register(pollable, Token(key), Interest::READABLE))?;
        self.interest = Some(Interest::READABLE);
        Ok(())
    }

    /// Starts (`wlist.append`) or stops polling for writability. Returns whether that changed.
    /// Registers the source first, if it is not registered.
    pub fn arm(&mut self, registry: &Registry, key: usize, writable: bool) -> io::Result<bool> {
        self.register(registry, key)?;
        let interest = if writable { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        if self.interest.replace(interest) == Some(interest) {
            return Ok(false);
        }
        self.with_pollable(|pollable| registry.reregister(pollable, Token(key), interest))?;
        Ok(true)
    }

    /// Returns the address and descriptor of a listener or UDP socket, or `None` for other sources.
    pub fn bound(&self) -> Option<(Address, RawFd)> {
        match &self.kind {
            SourceKind::Listener(listener) => Some((listener.address.clone(), listener.socket.as_raw_fd())),
            SourceKind::Udp(udp) => Some((udp.address.into(), udp.socket.as_raw_fd())),
            _ => None,
        }
    }

    /// Returns when a timer should call the source, or `None` if never: its deadline or the retry,
    /// whichever is earlier.
    pub fn wake_at(&self) -> Option<CompactInstant> {
        let deadline = match &self.kind {
            SourceKind::Connection(connection) => connection.deadline(),
            SourceKind::Udp(udp) => udp.wake_at().map(Into::into),
            _ => None,
        };
        deadline.into_iter().chain(self.retry_at).min()
    }

    /// Returns the number of input bytes that have not been parsed.
    pub fn unread(&self) -> usize {
        match &self.kind {
            SourceKind::Connection(connection) => connection.unread(),
            _ => 0,
        }
    }

    /// Calls `act` with the descriptor that is registered with the poller for this source.
    fn with_pollable(&mut self, act: impl FnOnce(&mut dyn Pollable) -> io::Result<()>) -> io::Result<()> {
        match &mut self.kind {
            SourceKind::Listener(listener) => act(&mut SourceFd(&listener.socket.as_raw_fd())),
            SourceKind::Connection(connection) => act(&mut SourceFd(&connection.fd())),
            SourceKind::Input(input) => input.register(act),
            SourceKind::Udp(udp) => act(&mut udp.socket),
            SourceKind::Signals(signals) => act(&mut **signals),
            SourceKind::Priority(priority) => act(&mut SourceFd(&priority.fd.as_raw_fd())),
            SourceKind::Waker => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server may hold 100,000 silent connections, and each has one of both. (An allocator that
    /// rounds up to 16 bytes, with a head of 8, gives 104 bytes to a connection of 89 or more.)
    #[test]
    fn source_and_connection_are_small() {
        let sizes = (size_of::<Source>(), size_of::<Connection>());
        let session = if cfg!(feature = "tls") { 8 } else { 0 }; // a pointer
        assert!(sizes.0 <= 56 && sizes.1 <= 96 + session, "{sizes:?}");
    }
}
