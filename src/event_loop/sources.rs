//! The registry of sources: the poller, the slab, the ready queue.
//!
//! It knows which sources there are and which are ready; it never decides what one does.

use std::{io, sync::Arc, time::Duration};

use mio::{Events, Poll, Token, Waker};
use slab::Slab;

use super::{
    ready::Ready,
    source::{Source, SourceKind},
};
use crate::trace::SourceId;

/// All sources, by their keys.
pub struct Sources {
    poll: Poll,
    events: Events,
    slab: Slab<Source>,
    ready: Ready,
    /// Listeners that were set aside until there is room.
    paused: Vec<usize>,
    waker: Option<Arc<Waker>>,
    /// Connections that are open.
    open: usize,
    /// How many sources there have ever been, by kind: `c3` is the third connection.
    connections: u64,
    listeners: u64,
    udp_sockets: u64,
}

impl Sources {
    /// # Errors
    /// The system gives no poller.
    pub fn new() -> io::Result<Sources> {
        Ok(Sources {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            slab: Slab::new(),
            ready: Ready::default(),
            paused: Vec::new(),
            waker: None,
            open: 0,
            connections: 0,
            listeners: 0,
            udp_sockets: 0,
        })
    }

    /// Adds a source and polls it for readability. Returns its key.
    ///
    /// # Errors
    /// The poller does not take the descriptor.
    pub fn insert(&mut self, kind: SourceKind, id: SourceId) -> io::Result<usize> {
        let entry = self.slab.vacant_entry();
        let key = entry.key();
        let mut source = Source::new(kind, id);
        source.register(self.poll.registry(), key)?;
        self.open += usize::from(matches!(source.kind, SourceKind::Connection(_)));
        entry.insert(source);
        Ok(key)
    }

    /// Returns the waker, which makes the poll return from another thread. The first call adds it.
    ///
    /// # Errors
    /// The system gives no descriptor for it: eventfd(2).
    pub fn waker(&mut self) -> io::Result<Arc<Waker>> {
        if let Some(waker) = &self.waker {
            return Ok(Arc::clone(waker));
        }
        let entry = self.slab.vacant_entry();
        let waker = Arc::new(Waker::new(self.poll.registry(), Token(entry.key()))?);
        entry.insert(Source::new(SourceKind::Waker, SourceId::Named("handle")));
        Ok(Arc::clone(self.waker.insert(waker)))
    }

    /// Removes a source. To drop it closes its descriptor, which takes it out of the poller
    /// (epoll(7)).
    pub fn remove(&mut self, key: usize) -> Option<Source> {
        let source = self.slab.try_remove(key)?;
        self.open -= usize::from(matches!(source.kind, SourceKind::Connection(_)));
        Some(source)
    }

    pub fn get(&self, key: usize) -> Option<&Source> {
        self.slab.get(key)
    }

    pub fn get_mut(&mut self, key: usize) -> Option<&mut Source> {
        self.slab.get_mut(key)
    }

    pub fn kind(&self, key: usize) -> Option<&SourceKind> {
        self.slab.get(key).map(|source| &source.kind)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.slab.iter().map(|(_, source)| source)
    }

    /// Returns the keys of the sources of some kind.
    pub fn keys(&self, is_wanted: impl Fn(&SourceKind) -> bool) -> Vec<usize> {
        self.slab.iter().filter(|(_, source)| is_wanted(&source.kind)).map(|(key, _)| key).collect()
    }

    /// Returns how many connections are open.
    pub fn open_connections(&self) -> usize {
        self.open
    }

    /// Returns how many connections there have ever been.
    pub fn connections(&self) -> u64 {
        self.connections
    }

    pub fn next_connection_id(&mut self) -> SourceId {
        self.connections += 1;
        SourceId::Connection(self.connections)
    }

    pub fn next_listener_id(&mut self) -> SourceId {
        self.listeners += 1;
        SourceId::Listener(self.listeners)
    }

    pub fn next_udp_id(&mut self) -> SourceId {
        self.udp_sockets += 1;
        SourceId::Udp(self.udp_sockets)
    }

    /// Asks the poller about writability of `key` too, or no longer. Returns whether that changed
    /// anything.
    ///
    /// # Errors
    /// The poller refuses.
    pub fn arm(&mut self, key: usize, writable: bool) -> io::Result<bool> {
        match self.slab.get_mut(key) {
            Some(source) => source.arm(self.poll.registry(), key, writable),
            None => Ok(false),
        }
    }

    /// Waits until a source is ready or `timeout` has passed. A signal ends the wait too.
    ///
    /// # Errors
    /// The poller failed.
    pub fn poll(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, timeout) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {
                self.events.clear();
                Ok(())
            }
            result => result,
        }
    }

    /// Remembers each event of the last poll on its source, and queues the source. An event is a
    /// hint: a stale one costs a call that would block.
    pub fn note_events(&mut self) {
        for event in &self.events {
            let key = event.token().0;
            let Some(source) = self.slab.get_mut(key) else { continue };
            source.note(event);
            match source.kind {
                SourceKind::Priority(_) => self.ready.push_front(key),
                _ => self.ready.push(key),
            }
        }
    }

    /// Returns the events of the last poll.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// Sets a listener aside.
    pub fn pause(&mut self, key: usize) {
        if !self.paused.contains(&key) {
            self.paused.push(key);
        }
    }

    /// Takes out the listeners that were set aside.
    pub fn take_paused(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.paused)
    }

    /// Gives the source a place in the ready queue, unless it has one.
    pub fn push_ready(&mut self, key: usize) {
        self.ready.push(key);
    }

    /// Takes the first key out of the ready queue.
    pub fn pop_ready(&mut self) -> Option<usize> {
        self.ready.pop()
    }

    /// Returns how many sources are in the ready queue.
    pub fn ready_count(&self) -> usize {
        self.ready.count()
    }

    /// Returns the sources in the ready queue, in order.
    pub fn ready(&self) -> impl Iterator<Item = &Source> {
        self.ready.keys().filter_map(|key| self.slab.get(key))
    }
}
