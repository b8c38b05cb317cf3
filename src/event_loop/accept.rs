//! Accepts connections from the backlog, and pauses when there is no room for more.
//!
//! This module owns no state. It must never spin on a listener that cannot accept, and never forget
//! a paused listener.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    time::{Duration, Instant},
};

use rustix::io::Errno;

use super::{
    EventLoop,
    addresses::Admission,
    idle::Search,
    source::{Source, SourceKind},
};
use crate::{
    address::Address,
    connection::Connection,
    protocol::CloseReason,
    system,
    trace::{PauseReason, SourceId, Step},
};

/// The maximum number of connections that a listener accepts in one turn.
const ACCEPT_BUDGET: usize = 64;
/// How long a listener pauses after an error that a second call would meet again.
const RETRY_ACCEPT: Duration = Duration::from_millis(200);

impl EventLoop {
    /// Accepts connections until the backlog is empty, the connection limit is reached or the
    /// budget is used up. At the limit, each further connection replaces an idle one.
    pub(super) fn accept(&mut self, key: usize) {
        if let Some(source) = self.sources.get(key) {
            let id = source.id;
            self.observers.trace(id, || Step::TurnBegan);
            let until = self.accept_stall();
            if until.is_some() {
                return self.pause_accept(key, id, PauseReason::Stall, until);
            }
        }
        // One event may report many connections, and the poller does not report the rest again. So
        // call accept until it would block.
        for _ in 0..ACCEPT_BUDGET {
            // Check before the call: an accepted connection cannot be put back into the backlog.
            let is_full = self.sources.is_full(self.state.limits.max_connections);
            let room = if is_full { self.find_idle(|_, _| true) } else { Search::NoneIdle(None) };
            let Some(Source { kind: SourceKind::Listener(listener), id, .. }) = self.sources.get_mut(key)
            else {
                return;
            };
            let id = *id;
            match room {
                Search::NoneIdle(until) if is_full => {
                    return self.pause_accept(key, id, PauseReason::Limit, until);
                }
                Search::Unfinished => break,
                Search::NoneIdle(_) | Search::Found(_) => {}
            }
            match system::accept(&listener.socket) {
                Ok((socket, peer)) => {
                    let peer = peer.map_or(Address::Unix(None), Address::from);
                    if let Err(e) = self.admit(key, socket, peer, room) {
                        return self.pause_after_error(key, id, &e);
                    }
                }
                Err(Errno::AGAIN) => {
                    return self.observers.trace(id, || Step::BacklogEmpty);
                }
                Err(e) if is_lost_connection(e) => {
                    log::debug!("{id}: the connection was lost before it was accepted: {e}");
                }
                // Descriptors or memory have run out, or something forbids the call. An immediate
                // retry would fail again.
                Err(e) => return self.pause_after_error(key, id, &e.into()),
            }
        }
        self.carry_over(key);
    }

    /// Adds an accepted connection, in the `room` that the search has found, or closes it at once
    /// if its address has too many connections.
    ///
    /// # Errors
    /// Fails, and closes the connection, if it cannot be polled (epoll_ctl(2)).
    fn admit(&mut self, key: usize, socket: OwnedFd, peer: Address, mut room: Search) -> io::Result<()> {
        let admission = self.addresses.admission(&peer, self.sources.open_connections());
        if admission == Admission::IfReplacing {
            room = self.find_idle(|this, key| this.addresses.has_many(key));
        }
        let Some(Source { kind: SourceKind::Listener(listener), id, .. }) = self.sources.get_mut(key) else {
            return Ok(());
        };
        let id = *id;
        match (admission, room) {
            (Admission::Refused, _) | (Admission::IfReplacing, Search::NoneIdle(_) | Search::Unfinished) => {
                self.refuse(&socket, id, peer);
                Ok(())
            }
            (_, room) => {
                let (protocol, is_deferred) = (listener.factory.create(&peer), listener.is_deferred);
                let connection = Connection::new(socket, protocol, &self.timers.clock);
                #[cfg(feature = "tls")]
                let connection = match &listener.tls {
                    Some(identity) => connection.with_tls(identity).map_err(io::Error::other)?,
                    None => connection,
                };
                if let Search::Found(idle) = room {
                    self.evict(idle);
                }
                self.add_connection(connection, id, peer, is_deferred)
            }
        }
    }

    /// Reports a connection that is closed because its address has too many.
    fn refuse(&mut self, socket: &OwnedFd, listener: SourceId, peer: Address) {
        self.addresses.warn(&peer, self.timers.clock.now());
        let id = self.sources.next_connection_id();
        let (number, open) = (self.sources.connections(), self.sources.open_connections());
        self.observers.trace(listener, || Step::Accepted {
            connection: number,
            peer,
            fd: socket.as_raw_fd(),
            open,
        });
        self.observers.trace(id, || Step::Closed { reason: CloseReason::AddressLimit, unread: 0 });
        self.count_accepted();
        self.count_closed(CloseReason::AddressLimit);
    }

    /// Adds an accepted connection to the sources, like `rlist.append(c)` in the `select()`
    /// program. If the kernel has kept the connection until its first bytes arrived
    /// (`is_deferred`), it gets its turn in the next turn of the loop without an event, and is
    /// registered with the poller only if it stays open. (Not in this turn: the request may be
    /// newer than a change of a file that the next poll reports.)
    ///
    /// # Errors
    /// Fails, and closes the connection, if it cannot be polled (epoll_ctl(2)).
    fn add_connection(
        &mut self,
        connection: Connection,
        listener: SourceId,
        peer: Address,
        is_deferred: bool,
    ) -> io::Result<()> {
        let deadline = connection.deadline();
        let id = self.sources.next_connection_id();
        let connection = SourceKind::Connection(Box::new(connection));
        let key = match is_deferred {
            true => self.sources.insert_unregistered(connection, id),
            false => self.sources.insert(connection, id)?,
        };
        self.addresses.add(key, &peer);
        self.count_accepted();
        self.trace_accept(listener, key, peer);
        self.start(key);
        match self.sources.get_mut(key) {
            Some(source) if is_deferred => {
                source.ready.readable = true;
                // The turn sets the deadline, if the connection has one then.
                self.sources.push_ready(key);
            }
            _ => {
                self.timers.wake_by(key, deadline);
                self.note_idle(key);
            }
        }
        Ok(())
    }

    /// Lets the protocol of a new connection speak first. A protocol that does gets a turn soon,
    /// without waiting for input.
    fn start(&mut self, key: usize) {
        let Some(Source { kind: SourceKind::Connection(connection), id, .. }) = self.sources.get_mut(key)
        else {
            return;
        };
        let mut cx = self.state.context(key, *id, &self.timers, &mut self.observers);
        let has_output = connection.start(&mut cx);
        if has_output {
            self.carry_over(key);
        }
    }

    /// Pauses a listener until a connection closes or becomes idle, the time `until` has come or
    /// another client connects.
    fn pause_accept(&mut self, key: usize, id: SourceId, reason: PauseReason, until: Option<Instant>) {
        self.observers.trace(id, || Step::AcceptPaused { reason });
        // Calling accept again at once would spin. Waiting for the poller alone would stall,
        // because the poller has already reported the edge.
        self.sources.pause(key);
        self.timers.wake_by(key, until.map(Into::into));
    }

    /// Pauses a listener because connections cannot be accepted now, and logs why, at most once a
    /// minute.
    fn pause_after_error(&mut self, key: usize, id: SourceId, error: &io::Error) {
        if self.timers.is_warning_due() {
            log::warn!("cannot accept connections: {error}; retrying soon, they wait in the backlog");
        }
        let until = self.timers.clock.now() + RETRY_ACCEPT;
        self.pause_accept(key, id, PauseReason::Descriptors, Some(until));
    }

    /// Queues every paused listener for another turn. During a stall, they stay paused.
    pub(super) fn resume_accept(&mut self) {
        let until = self.accept_stall();
        for key in self.sources.take_paused() {
            if until.is_some() {
                self.sources.pause(key);
                self.timers.wake_by(key, until.map(Into::into));
            } else {
                self.timers.remove(key);
                self.sources.push_ready(key);
            }
        }
    }

    /// Returns until when a protocol [stalls](crate::protocol::Context::stall_accept) the
    /// listeners, or `None` if it does not.
    fn accept_stall(&self) -> Option<Instant> {
        self.state.requests.disruptions.accept_stall(self.timers.clock.now())
    }
}

/// Returns whether `e` concerns one connection only, so that the next one can be accepted: the
/// client has gone, or the network failed (accept(2), "Error handling").
fn is_lost_connection(e: Errno) -> bool {
    matches!(
        e,
        Errno::CONNABORTED
            | Errno::INTR
            | Errno::PROTO
            | Errno::NETDOWN
            | Errno::NOPROTOOPT
            | Errno::HOSTDOWN
            | Errno::HOSTUNREACH
            | Errno::OPNOTSUPP
            | Errno::NETUNREACH
    ) || e == system::NO_NETWORK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_error_of_one_connection_is_retried_at_once() {
        for e in [Errno::CONNABORTED, Errno::INTR, Errno::PROTO, Errno::NETUNREACH] {
            assert!(is_lost_connection(e), "{e}");
        }
        for e in [Errno::MFILE, Errno::NOMEM, Errno::PERM, Errno::ACCESS, Errno::INVAL, Errno::NOSYS] {
            assert!(!is_lost_connection(e), "{e}");
        }
    }
}
