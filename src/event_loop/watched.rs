//! What the loop tells those who watch: who is there, and whom it woke for. The kernel's word and our own carried-over
//! work are never mixed.

use std::net::SocketAddr;

use mio::event::Event;
use slab::Slab;

use super::{
    EventLoop,
    source::{Kind, Source},
};
use crate::observer::{Flags, Observer, Step, Who};

impl EventLoop {
    /// From now on `observer` sees every step; it is told of the sockets that are bound already.
    pub fn watch(&mut self, mut observer: Box<dyn Observer>) {
        tell_of_bound(&self.sources, &mut *observer);
        self.steps.watch(observer);
    }

    /// `observer` is the one whom SIGUSR1 calls, and sends away.
    pub fn watch_on_demand(&mut self, observer: Box<dyn Observer>) {
        self.steps.keep(observer);
    }

    /// Does what SIGUSR1 does.
    pub fn toggle_watch(&mut self) {
        if let Some(observer) = self.steps.toggle() {
            tell_of_bound(&self.sources, observer);
        }
    }

    /// Tells of the connection at `key`, the `number`th, which `listener` has accepted from `peer`.
    pub(super) fn tell_of_welcome(&mut self, listener: Who, number: u64, key: usize, peer: SocketAddr) {
        let Some(Source { kind: Kind::Connection(connection), who, .. }) = self.sources.get(key) else {
            return;
        };
        let (open, now) = (self.open, self.clock.now());
        self.steps.note(listener, || Step::Accepted { connection: number, peer, fd: connection.fd(), open });
        self.steps.note(*who, || connection.patience(now));
    }

    /// Tells that the source at `key` has its turn.
    pub(super) fn note_begun(&mut self, key: usize) {
        if let Some(source) = self.sources.get(key) {
            self.steps.note(source.who, || Step::Begun);
        }
    }

    /// Who has work left over from the last turn, if anybody wants to know.
    pub(super) fn left_over(&self) -> Vec<Who> {
        if !self.steps.are_watched() {
            return Vec::new();
        }
        self.ready.keys().filter_map(|key| self.sources.get(key)).map(|source| source.who).collect()
    }

    /// Tells of the ready set, before anything is done about it.
    pub(super) fn tell_who_woke(&mut self, carried: Vec<Who>) {
        self.steps.note(Who::Loop, || {
            let who = |event: &Event| self.sources.get(event.token().0).map(|source| source.who);
            let ready = self.events.iter().filter_map(|event| Some((who(event)?, flags(event)))).collect();
            Step::Woke { turn: self.clock.turn(), ready, carried }
        });
    }
}

fn tell_of_bound(sources: &Slab<Source>, observer: &mut dyn Observer) {
    for (_, source) in sources {
        if let Some((address, fd)) = source.bound() {
            observer.see(source.who, &Step::Bound { address, fd });
        }
    }
}

/// The kernel's word of one source.
pub fn flags(event: &Event) -> Flags {
    Flags {
        readable: event.is_readable(),
        writable: event.is_writable(),
        read_closed: event.is_read_closed(),
        write_closed: event.is_write_closed(),
        error: event.is_error(),
    }
}
