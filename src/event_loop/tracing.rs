//! What the loop shows its observers: which sources there are, and for which it woke. What the
//! kernel reports and our own carried-over work are never mixed.

use std::net::SocketAddr;

use mio::event::Event;

use super::{
    EventLoop,
    source::{Source, SourceKind},
    sources::Sources,
};
use crate::trace::{EventFlags, Observer, SourceId, Step};

impl EventLoop {
    /// Shows `observer` every step from now on, and first the sockets that are bound.
    pub fn add_observer(&mut self, mut observer: Box<dyn Observer>) {
        show_bound(&self.sources, &mut *observer);
        self.observers.add(observer);
    }

    /// Sets the observer that SIGUSR1 attaches and detaches.
    pub fn set_on_demand_observer(&mut self, observer: Box<dyn Observer>) {
        self.observers.set_on_demand(observer);
    }

    /// Attaches or detaches the on-demand observer, as SIGUSR1 does.
    pub fn toggle_observer(&mut self) {
        if let Some(observer) = self.observers.toggle() {
            show_bound(&self.sources, observer);
        }
    }

    /// Shows the connection at `key`, which `listener` has accepted from `peer`.
    pub(super) fn trace_accept(&mut self, listener: SourceId, key: usize, peer: SocketAddr) {
        let open = self.sources.open_connections();
        let Some(Source { kind: SourceKind::Connection(connection), id, .. }) = self.sources.get(key) else {
            return;
        };
        let SourceId::Connection(number) = *id else { return };
        let now = self.timers.clock.now();
        self.observers.trace(listener, || Step::Accepted {
            connection: number,
            peer,
            fd: connection.fd(),
            open,
        });
        self.observers.trace(*id, || connection.deadline_step(now));
    }

    /// Returns the sources with work left over from the last turn. Without observers, returns none.
    pub(super) fn carried_sources(&self) -> Vec<SourceId> {
        if self.observers.is_empty() {
            return Vec::new();
        }
        self.sources.ready().map(|source| source.id).collect()
    }

    /// Shows the ready set before anything is done about it.
    pub(super) fn trace_wake(&mut self, carried: Vec<SourceId>) {
        self.observers.trace(SourceId::Loop, || {
            let id = |event: &Event| self.sources.get(event.token().0).map(|source| source.id);
            let events = self.sources.events().iter();
            let ready = events.filter_map(|event| Some((id(event)?, flags(event)))).collect();
            Step::Woke { turn: self.timers.clock.turn(), ready, carried }
        });
    }
}

fn show_bound(sources: &Sources, observer: &mut dyn Observer) {
    for source in sources.iter() {
        if let Some((address, fd)) = source.bound() {
            observer.see(source.id, &Step::Bound { address, fd });
        }
    }
}

/// Returns what the kernel reported of one source.
pub fn flags(event: &Event) -> EventFlags {
    EventFlags {
        readable: event.is_readable(),
        writable: event.is_writable(),
        read_closed: event.is_read_closed(),
        write_closed: event.is_write_closed(),
        error: event.is_error(),
    }
}
