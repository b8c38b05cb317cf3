//! Whether a connection is idle, so that it can be closed to make room for another one or at a
//! shutdown.

use std::time::Instant;

use rustix::net::{RecvFlags, recv};

use super::{Connection, MESSAGE_GRACE, Pending, Phase};
use crate::clock::Clock;

/// How long a connection has been idle, and whether it has been of use.
#[derive(Debug, Clone, Copy)]
pub struct Idle {
    /// The start of the last turn in which input was parsed or output sent.
    pub since: Instant,
    /// Whether the peer has received a response.
    pub is_kept: bool,
}

impl Connection {
    /// Returns since when the connection has been idle, or `None` if it is not: a message or a
    /// response is in progress, or its protocol must not be interrupted.
    pub fn idle(&self) -> Option<Idle> {
        let is_idle = self.phase == Phase::Open
            && self.pending == Pending::Input
            && !self.has_begun()
            && self.outbox.is_empty()
            && self.protocol.is_idle();
        is_idle.then(|| Idle { since: self.active_at.into(), is_kept: self.outbox.sent() > 0 })
    }

    /// Returns whether a message is probably on its way: the first one, because the client has just
    /// connected, or the next one, because it has just received a response.
    pub(super) fn expects_message(&self, clock: &Clock) -> bool {
        // A protocol that speaks first has something to say at a shutdown as well, and must not
        // wait.
        let is_new = self.is_fresh && self.outbox.sent() == 0;
        is_new || self.idle().is_some_and(|idle| clock.now() < idle.since + MESSAGE_GRACE)
    }

    /// Returns whether the socket has input that has not been read.
    pub fn has_input(&self) -> bool {
        #[cfg(feature = "tls")]
        if self.tls.as_ref().is_some_and(|tls| tls.has_input()) {
            return true;
        }
        recv(&self.socket, &mut [0; 1], RecvFlags::PEEK).is_ok_and(|(got, _)| got > 0)
    }
}
