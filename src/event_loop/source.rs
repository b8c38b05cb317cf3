//! Everything that can be polled: a closed set.
//!
//! One slab of sources is what `rlist` is in the `select()` program. A source's key in it is its
//! token at the poller.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsRawFd, OwnedFd, RawFd},
    rc::Rc,
    time::Instant,
};

use mio::{
    Interest, Registry, Token,
    event::{Event, Source as Pollable},
    net::TcpListener,
    unix::SourceFd,
};
use signal_hook_mio::v1_0::Signals;

use super::udp::UdpSource;
use crate::{
    connection::Connection,
    protocol::{PrioritySource, ProtocolFactory},
    source::Readiness,
    trace::SourceId,
};

/// One polled source, and what is known of its readiness.
pub struct Source {
    pub kind: SourceKind,
    pub id: SourceId,
    pub ready: Readiness,
    /// The poller is asked about writability too: the source is in `wlist` as well as in `rlist`.
    pub is_armed: bool,
    /// When the source asked for another turn, as a poller cannot tell.
    pub retry_at: Option<Instant>,
}

/// What kind of source it is. Rare ones are boxed, because every connection has room for the
/// largest.
pub enum SourceKind {
    Listener(Listener),
    Connection(Box<Connection>),
    Udp(Box<UdpSource>),
    Signals(Box<Signals>),
    Priority(Priority),
    /// A [`Handle`](super::Handle) asks for shutdown. The poller has it; nothing is registered.
    Waker,
}

/// A listening socket, and what makes the protocols of the connections that it accepts.
pub struct Listener {
    pub socket: TcpListener,
    pub factory: Box<dyn ProtocolFactory>,
}

/// A descriptor that is read before anything is served, and what reads it.
pub struct Priority {
    pub fd: Rc<OwnedFd>,
    pub source: Box<dyn PrioritySource>,
}

impl Source {
    pub fn new(kind: SourceKind, id: SourceId) -> Source {
        Source { kind, id, ready: Readiness::new(), is_armed: false, retry_at: None }
    }

    /// Remembers the edge that the poller reported.
    pub fn note(&mut self, event: &Event) {
        let read_closed = event.is_read_closed() || event.is_error();
        self.ready.readable |= event.is_readable() || read_closed;
        self.ready.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
        self.ready.read_closed |= read_closed;
    }

    /// Registers the source at the poller for readability.
    pub fn register(&mut self, registry: &Registry, key: usize) -> io::Result<()> {
        self.with_pollable(|pollable| registry.register(pollable, Token(key), Interest::READABLE))
    }

    /// Asks the poller about writability too (`wlist.append`), or no longer. Returns whether that
    /// changed anything.
    pub fn arm(&mut self, registry: &Registry, key: usize, writable: bool) -> io::Result<bool> {
        if self.is_armed == writable {
            return Ok(false);
        }
        self.is_armed = writable;
        let interest = if writable { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        self.with_pollable(|pollable| registry.reregister(pollable, Token(key), interest))?;
        Ok(true)
    }

    /// Returns the address and the descriptor of a bound socket; `None` for a connection.
    pub fn bound(&self) -> Option<(SocketAddr, RawFd)> {
        match &self.kind {
            SourceKind::Listener(listener) => {
                Some((listener.socket.local_addr().ok()?, listener.socket.as_raw_fd()))
            }
            SourceKind::Udp(udp) => Some((udp.address, udp.socket.as_raw_fd())),
            _ => None,
        }
    }

    /// Returns how many bytes were received and not parsed.
    pub fn unread(&self) -> usize {
        match &self.kind {
            SourceKind::Connection(connection) => connection.unread(),
            _ => 0,
        }
    }

    fn with_pollable(&mut self, act: impl FnOnce(&mut dyn Pollable) -> io::Result<()>) -> io::Result<()> {
        match &mut self.kind {
            SourceKind::Listener(listener) => act(&mut listener.socket),
            SourceKind::Connection(connection) => act(connection.socket()),
            SourceKind::Udp(udp) => act(&mut udp.socket),
            SourceKind::Signals(signals) => act(&mut **signals),
            SourceKind::Priority(priority) => act(&mut SourceFd(&priority.fd.as_raw_fd())),
            SourceKind::Waker => Ok(()),
        }
    }
}
