//! Accepting: from the backlog to a connection, and what to do when there is no room for more.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    time::Duration,
};

use rustix::io::Errno;

use super::{
    EventLoop,
    source::{Source, SourceKind},
};
use crate::{
    connection::Connection,
    trace::{SourceId, Step},
};

/// Accepts at most this many connections for each listener and turn.
const ACCEPT_BUDGET: usize = 64;
/// Asks a listener again after this long when descriptors or memory ran out.
const RETRY_ACCEPT: Duration = Duration::from_millis(200);
/// Warns of that at most this often.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

impl EventLoop {
    /// Takes connections out of the backlog until it is empty: under edge triggers nothing would
    /// report the rest.
    pub(super) fn accept(&mut self, key: usize) {
        if let Some(source) = self.sources.get(key) {
            self.observers.trace(source.id, || Step::TurnBegan);
        }
        for _ in 0..ACCEPT_BUDGET {
            let is_full = self.sources.open_connections() >= self.limits.max_connections;
            let Some(Source { kind: SourceKind::Listener(listener), id, .. }) = self.sources.get_mut(key)
            else {
                return;
            };
            let id = *id;
            if is_full {
                return self.pause_accept(key, id, None);
            }
            match listener.socket.accept() {
                Ok((socket, peer)) => {
                    let protocol = listener.factory.create(peer);
                    let now = self.timers.clock.now();
                    let connection = Connection::new(socket, protocol, self.limits.send_timeout, now);
                    self.add_connection(connection, id, peer);
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    return self.observers.trace(id, || Step::BacklogEmpty);
                }
                Err(e) if is_exhaustion(&e) => {
                    self.warn_exhausted(&e);
                    return self.pause_accept(key, id, Some(RETRY_ACCEPT));
                }
                // A peer that was gone before it was accepted: accept(2), "Error handling".
                Err(e) => log::debug!("{id}: the connection was lost before it was accepted: {e}"),
            }
        }
        self.carry_over(key);
    }

    /// Adds a connection to the sources: `rlist.append(c)`.
    fn add_connection(&mut self, connection: Connection, listener: SourceId, peer: SocketAddr) {
        let deadline = connection.deadline();
        let id = self.sources.next_connection_id();
        match self.sources.insert(SourceKind::Connection(Box::new(connection)), id) {
            Ok(key) => {
                self.timers.set(key, deadline);
                self.trace_accept(listener, key, peer);
            }
            Err(e) => log::warn!("cannot poll a connection: {e}; closing it"),
        }
    }

    /// Sets a listener aside until something closes, until `retry` has passed, or until another
    /// peer connects. To ask again at once would spin; never to ask again would stall, because its
    /// edge was reported already.
    fn pause_accept(&mut self, key: usize, id: SourceId, retry: Option<Duration>) {
        self.observers.trace(id, || Step::AcceptPaused { out_of_fds: retry.is_some() });
        self.sources.pause(key);
        self.timers.set(key, retry.map(|retry| self.timers.clock.now() + retry));
    }

    /// Gives every listener that was set aside another turn.
    pub(super) fn resume_accept(&mut self) {
        for key in self.sources.take_paused() {
            self.timers.remove(key);
            self.sources.push_ready(key);
        }
    }

    /// Warns the operator that the system gives no more, but not at each of the many tries.
    fn warn_exhausted(&mut self, e: &io::Error) {
        if self.timers.is_warning_due(WARN_INTERVAL) {
            log::warn!("cannot accept connections: {e}; retrying soon, they wait in the backlog");
        }
    }
}

/// Returns whether descriptors or memory ran out (accept(2)). To wait helps; to ask again at once
/// does not.
fn is_exhaustion(e: &io::Error) -> bool {
    matches!(Errno::from_io_error(e), Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}
