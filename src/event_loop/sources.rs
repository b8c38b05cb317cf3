//! The registry of sources. The registry owns the poller, the slab of sources and the ready queue.
//!
//! It knows which sources exist and which are ready, but never decides what a source does.

use std::{io, sync::Arc, time::Duration};

use mio::{Events, Poll, Token, Waker};
use slab::Slab;

use super::{
    ready::ReadyQueue,
    source::{Source, SourceKind},
};
use crate::trace::SourceId;

/// All sources by key, the poller, and the ready queue.
pub struct Sources {
    poll: Poll,
    events: Events,
    slab: Slab<Source>,
    ready: ReadyQueue,
    /// The keys of the listeners that are paused until there is room.
    paused: Vec<usize>,
    waker: Option<Arc<Waker>>,
    /// The number of open connections.
    open: usize,
    /// Counters for the identifiers: `c3` is the third connection accepted.
    connections: u64,
    listeners: u64,
    udp_sockets: u64,
}

impl Sources {
    /// Creates an empty registry and its poller.
    ///
    /// # Errors
    /// Fails if the poller cannot be created (epoll_create1(2)).
    pub fn new() -> io::Result<Sources> {
        Ok(Sources {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            slab: Slab::new(),
            ready: ReadyQueue::default(),
            paused: Vec::new(),
            waker: None,
            open: 0,
            connections: 0,
            listeners: 0,
            udp_sockets: 0,
        })
    }

    /// Adds a source, registers it with the poller for readability, and returns its key.
    ///
    /// # Errors
    /// Fails if the descriptor cannot be registered with the poller (epoll_ctl(2)).
    pub fn insert(&mut self, kind: SourceKind, id: SourceId) -> io::Result<usize> {
        let key = self.insert_unregistered(kind, id);
        if let Err(e) = self.register(key) {
            self.remove(key);
            return Err(e);
        }
        Ok(key)
    }

    /// Adds a source that [`Sources::register`] registers with the poller later, and returns its
    /// key.
    pub fn insert_unregistered(&mut self, kind: SourceKind, id: SourceId) -> usize {
        self.open += usize::from(matches!(kind, SourceKind::Connection(_)));
        self.slab.insert(Source::new(kind, id))
    }

    /// Returns the waker that other threads use to interrupt the poll. The first call creates the
    /// waker.
    ///
    /// # Errors
    /// Fails if the waker cannot be created (eventfd(2)).
    pub fn waker(&mut self) -> io::Result<Arc<Waker>> {
        if let Some(waker) = &self.waker {
            return Ok(Arc::clone(waker));
        }
        let entry = self.slab.vacant_entry();
        let waker = Arc::new(Waker::new(self.poll.registry(), Token(entry.key()))?);
        entry.insert(Source::new(SourceKind::Waker, SourceId::Named("handle")));
        Ok(Arc::clone(self.waker.insert(waker)))
    }

    /// Removes and returns a source. Dropping the source closes its descriptor, which also removes
    /// the descriptor from the poller, unless it has a duplicate (epoll(7)).
    pub fn remove(&mut self, key: usize) -> Option<Source> {
        let mut source = self.slab.try_remove(key)?;
        // The poller goes on reporting a socket or file of which a duplicate stays open: another
        // process may have the same listener or UDP socket, and an input is a duplicate itself.
        let may_be_shared = match &source.kind {
            SourceKind::Input(input) => input.is_polled(),
            SourceKind::Listener(_) | SourceKind::Udp(_) => true,
            _ => false,
        };
        if may_be_shared {
            source.deregister(self.poll.registry());
        }
        self.open -= usize::from(matches!(source.kind, SourceKind::Connection(_)));
        Some(source)
    }

    /// Returns the source with this key.
    pub fn get(&self, key: usize) -> Option<&Source> {
        self.slab.get(key)
    }

    /// Returns a mutable reference to the source with this key.
    pub fn get_mut(&mut self, key: usize) -> Option<&mut Source> {
        self.slab.get_mut(key)
    }

    /// Returns the kind of the source with this key.
    pub fn kind(&self, key: usize) -> Option<&SourceKind> {
        self.slab.get(key).map(|source| &source.kind)
    }

    /// Returns all sources.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.slab.iter().map(|(_, source)| source)
    }

    /// Returns the keys of the sources whose kind `is_wanted` accepts.
    pub fn keys(&self, is_wanted: impl Fn(&SourceKind) -> bool) -> Vec<usize> {
        self.slab.iter().filter(|(_, source)| is_wanted(&source.kind)).map(|(key, _)| key).collect()
    }

    /// Returns the number of open connections.
    pub fn open_connections(&self) -> usize {
        self.open
    }

    /// Returns whether at least `limit` connections are open.
    pub fn is_full(&self, limit: usize) -> bool {
        self.open >= limit
    }

    /// Returns the number of connections ever accepted.
    pub fn connections(&self) -> u64 {
        self.connections
    }

    /// Returns the identifier for the next connection.
    pub fn next_connection_id(&mut self) -> SourceId {
        self.connections += 1;
        SourceId::Connection(self.connections)
    }

    /// Returns the identifier for the next listener.
    pub fn next_listener_id(&mut self) -> SourceId {
        self.listeners += 1;
        SourceId::Listener(self.listeners)
    }

    /// Returns the identifier for the next UDP socket.
    pub fn next_udp_id(&mut self) -> SourceId {
        self.udp_sockets += 1;
        SourceId::Udp(self.udp_sockets)
    }

    /// Registers the source with this key with the poller for readability, unless it is registered.
    ///
    /// # Errors
    /// Fails if the descriptor cannot be registered with the poller (epoll_ctl(2)).
    pub fn register(&mut self, key: usize) -> io::Result<()> {
        match self.slab.get_mut(key) {
            Some(source) => source.register(self.poll.registry(), key),
            None => Ok(()),
        }
    }

    /// Starts or stops polling the source with this key for writability, and registers it first if
    /// it is not registered. Returns whether its interest changed.
    ///
    /// # Errors
    /// Fails if the poller cannot be updated (epoll_ctl(2)).
    pub fn arm(&mut self, key: usize, writable: bool) -> io::Result<bool> {
        match self.slab.get_mut(key) {
            Some(source) => source.arm(self.poll.registry(), key, writable),
            None => Ok(false),
        }
    }

    /// Waits until a source is ready, `timeout` has passed or a signal interrupts the wait.
    ///
    /// # Errors
    /// Fails if polling fails (epoll_wait(2)).
    pub fn poll(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let is_interruption = |e: &io::Error| e.kind() == io::ErrorKind::Interrupted;
        let mut result = self.poll.poll(&mut self.events, timeout);
        if result.as_ref().is_err_and(is_interruption) {
            // The process may have been stopped and continued (signal(7)). Deadlines have passed
            // meanwhile, so the events must be known before the timers run.
            result = self.poll.poll(&mut self.events, Some(Duration::ZERO));
        }
        match result {
            Err(e) if is_interruption(&e) => {
                // The wait ended without events.
                self.events.clear();
                Ok(())
            }
            result => result,
        }
    }

    /// Records each event from the last poll on its source, and queues the source.
    pub fn note_events(&mut self) {
        for event in &self.events {
            let key = event.token().0;
            // An event is only a hint. A stale event, for a reused key, costs one call that would
            // block.
            let Some(source) = self.slab.get_mut(key) else { continue };
            source.note(event);
            match source.kind {
                // File changes must be known before the requests in this turn are handled.
                SourceKind::Priority(_) => self.ready.push_front(key),
                _ => self.ready.push(key),
            }
        }
    }

    /// Returns the events from the last poll.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// Adds a listener to the paused listeners.
    pub fn pause(&mut self, key: usize) {
        if !self.paused.contains(&key) {
            self.paused.push(key);
        }
    }

    /// Removes and returns the keys of the paused listeners.
    pub fn take_paused(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.paused)
    }

    /// Puts a source at the back of the ready queue, unless it is already in the queue.
    pub fn push_ready(&mut self, key: usize) {
        self.ready.push(key);
    }

    /// Removes and returns the first key in the ready queue.
    pub fn pop_ready(&mut self) -> Option<usize> {
        self.ready.pop()
    }

    /// Returns the number of sources in the ready queue.
    pub fn ready_count(&self) -> usize {
        self.ready.count()
    }

    /// Returns the sources in the ready queue, in order.
    pub fn ready(&self) -> impl Iterator<Item = &Source> {
        self.ready.keys().filter_map(|key| self.slab.get(key))
    }
}
