//! Everything that can be polled: a closed set.
//!
//! One slab of sources is what `rlist` is in the `select()` program; a source's key in it is its token at the poller.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsRawFd, RawFd},
};

use mio::{
    Interest, Registry, Token,
    event::{Event, Source as Pollable},
    net::TcpListener,
    unix::SourceFd,
};
use signal_hook_mio::v1_0::Signals;

use super::datagrams::Datagrams;
use crate::{
    connection::{Connection, Readiness},
    observer::Who,
    protocol::{Service, Watcher},
};

/// One polled source, and what is known of its readiness.
pub struct Source {
    pub kind: Kind,
    pub ready: Readiness,
    /// Waits for writability, too: stands in `wlist` as well as in `rlist`.
    pub armed: bool,
    pub who: Who,
}

/// What kind of source it is. What is rare is boxed, for every connection has room for the largest.
pub enum Kind {
    Listener(Listener),
    Connection(Box<Connection>),
    Datagrams(Box<Datagrams>),
    Signals(Box<Signals>),
    Watcher(Watched),
}

/// What is looked at before anybody is served.
pub struct Watched(pub Box<dyn Watcher>);

impl Watched {
    fn poll_as<T>(&self, act: impl FnOnce(&mut SourceFd<'_>) -> T) -> T {
        act(&mut SourceFd(&self.0.as_fd().as_raw_fd()))
    }
}

impl Pollable for Watched {
    fn register(&mut self, registry: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        self.poll_as(|fd| fd.register(registry, token, interest))
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        self.poll_as(|fd| fd.reregister(registry, token, interest))
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.poll_as(|fd| fd.deregister(registry))
    }
}

/// A listening socket, and who speaks on the connections that it accepts.
pub struct Listener {
    pub socket: TcpListener,
    pub service: Box<dyn Service>,
}

impl Source {
    pub fn new(kind: Kind, who: Who) -> Source {
        Source { kind, ready: Readiness::new(), armed: false, who }
    }

    /// Remembers the edge that the poller reported.
    pub fn note(&mut self, event: &Event) {
        let hung_up = event.is_read_closed() || event.is_error();
        self.ready.readable |= event.is_readable() || hung_up;
        self.ready.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
        self.ready.hung_up |= hung_up;
    }

    /// Registers the source at the poller, for readability.
    pub fn register(&mut self, registry: &Registry, key: usize) -> io::Result<()> {
        registry.register(self.pollable(), Token(key), Interest::READABLE)
    }

    /// Waits for writability from now on, or no longer. Says whether that changed anything.
    pub fn arm(&mut self, registry: &Registry, key: usize, writable: bool) -> io::Result<bool> {
        if self.armed == writable {
            return Ok(false);
        }
        self.armed = writable;
        let interest = if writable { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        registry.reregister(self.pollable(), Token(key), interest)?;
        Ok(true)
    }

    /// The address that a socket is bound to, and its descriptor; not that of a connection.
    pub fn bound(&self) -> Option<(SocketAddr, RawFd)> {
        match &self.kind {
            Kind::Listener(listener) => {
                Some((listener.socket.local_addr().ok()?, listener.socket.as_raw_fd()))
            }
            Kind::Datagrams(datagrams) => Some((datagrams.address, datagrams.socket.as_raw_fd())),
            _ => None,
        }
    }

    /// How many bytes came that nobody will understand.
    pub fn unread(&self) -> usize {
        match &self.kind {
            Kind::Connection(connection) => connection.unread(),
            _ => 0,
        }
    }

    fn pollable(&mut self) -> &mut dyn Pollable {
        match &mut self.kind {
            Kind::Listener(listener) => &mut listener.socket,
            Kind::Connection(connection) => connection.socket(),
            Kind::Datagrams(datagrams) => &mut datagrams.socket,
            Kind::Signals(signals) => &mut **signals,
            Kind::Watcher(watched) => watched,
        }
    }
}
