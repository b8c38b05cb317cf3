//! The steps that the loop itself reports to observers: which sources exist, and why it woke.
//!
//! Kernel events and carried-over work are reported separately and must never be mixed. Nothing
//! here changes what the loop does.

use mio::event::Event;

use super::{
    EventLoop,
    source::{Source, SourceKind},
    sources::Sources,
};
use crate::{
    address::Address,
    trace::{EventFlags, Observer, OpenConnection, SourceId, Step},
};

impl EventLoop {
    /// Adds an observer. The observer sees the bound sockets first, then every step from now on.
    pub fn add_observer(&mut self, mut observer: Box<dyn Observer>) {
        replay_bound(&self.sources, &mut *observer);
        self.observers.add(observer);
    }

    /// Sets the observer that SIGUSR1 attaches and detaches.
    pub fn set_on_demand_observer(&mut self, observer: Box<dyn Observer>) {
        self.observers.set_on_demand(observer);
    }

    /// Attaches or detaches the on-demand observer, as SIGUSR1 does.
    pub fn toggle_observer(&mut self) {
        if let Some(observer) = self.observers.toggle() {
            replay_bound(&self.sources, observer);
        }
    }

    /// Attaches the observers that join the loop. Each one learns first which sockets are bound and
    /// which connections are open.
    #[cold]
    pub(super) fn admit_observers(&mut self) {
        let now = self.timers.clock.now();
        for mut observer in self.observers.take_joining() {
            replay_bound(&self.sources, &mut *observer);
            for source in self.sources.iter() {
                let SourceKind::Connection(connection) = &source.kind else { continue };
                let sent = connection.sent();
                observer.on_open_connection(&OpenConnection {
                    source: source.id,
                    fd: connection.fd(),
                    peer: &|| connection.peer(),
                    is_armed: source.is_armed(),
                    unread: connection.unread(),
                    sent,
                    of: sent + connection.unsent(),
                    deadline: connection.deadline_step(now),
                });
            }
            self.observers.add(observer);
        }
    }

    /// Reports the connection at `key`, which `listener` accepted from `peer`.
    pub(super) fn trace_accept(&mut self, listener: SourceId, key: usize, peer: Address) {
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

    /// Returns the sources with work carried over from the last turn, or an empty list if there are
    /// no observers.
    pub(super) fn carried_sources(&self) -> Vec<SourceId> {
        if self.observers.is_empty() {
            return Vec::new();
        }
        self.sources.ready().map(|source| source.id).collect()
    }

    /// Reports the ready set, before any source has its turn.
    pub(super) fn trace_wake(&mut self, carried: Vec<SourceId>) {
        self.observers.trace(SourceId::Loop, || {
            let id = |event: &Event| self.sources.get(event.token().0).map(|source| source.id);
            let events = self.sources.events().iter();
            let ready = events.filter_map(|event| Some((id(event)?, flags(event)))).collect();
            Step::Woke { turn: self.timers.clock.turn(), ready, carried }
        });
    }
}

/// Shows `observer` each bound socket, as if the observer had been attached before the socket was
/// bound.
fn replay_bound(sources: &Sources, observer: &mut dyn Observer) {
    for source in sources.iter() {
        if let Some((address, fd)) = source.bound() {
            observer.on_step(source.id, &Step::Bound { address, fd });
        }
    }
}

/// Returns the readiness flags of `event`.
pub fn flags(event: &Event) -> EventFlags {
    EventFlags {
        readable: event.is_readable(),
        writable: event.is_writable(),
        read_closed: event.is_read_closed(),
        write_closed: event.is_write_closed(),
        error: event.is_error(),
    }
}
