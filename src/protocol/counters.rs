//! What the loop counts: connections, bytes and turns.
//!
//! The loop owns the counters and adds to them once for each event. They are plain integers, so
//! counting costs next to nothing, and it is always on. Only the duration of turns is measured on
//! demand, because it needs one more reading of the clock in each turn.

use std::time::Duration;

use crate::close_reason::CloseReason;

/// What the loop has counted since it was created, or since the last [reset](LoopCounters::reset).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoopCounters {
    /// The number of connections that were accepted, including those that were closed at once
    /// because of the address limit.
    pub accepted: u64,
    /// The number of connections that are open now.
    pub open: usize,
    /// The number of connections that were closed for each reason. A reason for which none was
    /// closed is missing.
    closed: Vec<(CloseReason, u64)>,
    /// The number of bytes that were read from connections.
    pub bytes_received: u64,
    /// The number of bytes that the sockets of connections have taken.
    pub bytes_sent: u64,
    /// The number of turns of the loop, which is how often its poll has returned.
    pub turns: u64,
    /// The number of sources that were ready after a poll, added up over all turns.
    pub ready: u64,
    /// The largest number of sources that were ready in one turn.
    pub most_ready: usize,
    /// The number of turns that began with work carried over from the turn before, so that their
    /// poll did not sleep. With a deferred accept, each new connection is such work.
    pub with_carried: u64,
    /// The duration of all turns together, without their polls, if it is measured.
    pub busy: Duration,
    /// The duration of the longest turn, without its poll, if it is measured.
    pub longest: Duration,
    /// Whether the duration of turns is measured.
    pub(crate) is_timed: bool,
}

impl LoopCounters {
    /// Counts a connection that was closed for `reason`.
    pub(crate) fn count_closed(&mut self, reason: CloseReason) {
        match self.closed.iter_mut().find(|(other, _)| *other == reason) {
            Some((_, count)) => *count += 1,
            None => self.closed.push((reason, 1)),
        }
    }

    /// Returns the close reasons for which connections were closed, and how many were. The first
    /// reason that occurred comes first.
    pub fn closed(&self) -> &[(CloseReason, u64)] {
        &self.closed
    }

    /// Sets all counters to 0, but not the number of open connections.
    pub fn reset(&mut self) {
        let LoopCounters { open, is_timed, .. } = *self;
        *self = LoopCounters { open, is_timed, ..LoopCounters::default() };
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn counters_tell_close_reasons_apart_until_they_are_reset() {
        let mut counters = LoopCounters { open: 3, is_timed: true, turns: 7, ..LoopCounters::default() };
        let refused = CloseReason::ConnectFailed(ErrorKind::ConnectionRefused);
        for reason in [CloseReason::Eof, refused, CloseReason::Eof] {
            counters.count_closed(reason);
        }
        assert_eq!(counters.closed(), [(CloseReason::Eof, 2), (refused, 1)]);
        counters.reset();
        assert_eq!(counters, LoopCounters { open: 3, is_timed: true, ..LoopCounters::default() });
    }
}
