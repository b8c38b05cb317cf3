//! Disruptions of all connections that a protocol asks of the loop, to show what the peers see.
//!
//! This module owns the bounds: no disruption is longer than [`MAX_DISRUPTION`], and disruptions
//! take at most half of the time. It must never act itself; the loop does.

use std::time::{Duration, Instant};

/// The maximum length of one disruption.
pub const MAX_DISRUPTION: Duration = Duration::from_secs(10);

/// The disruptions that protocols have asked for.
#[derive(Debug, Default)]
pub struct Disruptions {
    /// When the loop accepts connections again.
    accept_at: Option<Instant>,
    /// When the next stall may begin.
    next_stall: Option<Instant>,
    /// How long the loop blocks at the end of this turn.
    block: Option<Duration>,
    /// When the loop may block next.
    next_block: Option<Instant>,
}

impl Disruptions {
    /// Makes the loop accept no connection for `time`, unless the last stall ended too recently.
    pub fn stall_accept(&mut self, time: Duration, now: Instant) {
        let time = time.min(MAX_DISRUPTION);
        if self.next_stall.is_none_or(|at| at <= now) {
            self.accept_at = now.checked_add(time);
            self.next_stall = now.checked_add(2 * time);
        }
    }

    /// Returns until when the loop accepts no connection, or `None` if it accepts connections.
    pub fn accept_stall(&self, now: Instant) -> Option<Instant> {
        self.accept_at.filter(|at| *at > now)
    }

    /// Makes the loop block for `time`, unless it has begun to block less than `interval` ago.
    /// Returns whether the loop will block.
    pub fn block(&mut self, time: Duration, interval: Duration, now: Instant) -> bool {
        let time = time.min(MAX_DISRUPTION);
        let is_time = self.next_block.is_none_or(|at| at <= now);
        if is_time {
            self.block = Some(time);
            // An interval that has no end is the last one.
            let next = now.checked_add(interval.max(2 * time));
            self.next_block = next.or(Some(now + Duration::from_secs(u64::from(u32::MAX))));
        }
        is_time
    }

    /// Returns how long the loop blocks now, and counts that as done.
    pub fn take_block(&mut self) -> Option<Duration> {
        self.block.take()
    }

    /// Ends the disruptions, because the loop shuts down.
    pub fn end(&mut self) {
        (self.accept_at, self.block) = (None, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stalls_are_short_and_leave_as_much_time_without_one() {
        let start = Instant::now();
        let second = |n: u64| Duration::from_secs(n);
        // When a stall is asked for and for how long, and when it then ends.
        let table = [
            (0, 2, Some(2)),
            (1, 5, Some(2)), // it is not extended
            (2, 5, None),
            (3, 5, None),
            (4, 3600, Some(14)),
            (14, 1, None),
            (23, 1, None),
            (24, 1, Some(25)),
            (100, 0, None),
        ];
        let mut disruptions = Disruptions::default();
        for (now, time, expected) in table {
            disruptions.stall_accept(second(time), start + second(now));
            let until = disruptions.accept_stall(start + second(now));
            assert_eq!(until, expected.map(|n| start + second(n)), "{now}: {time}");
        }
        disruptions.stall_accept(Duration::MAX, start + second(200));
        assert!(disruptions.accept_stall(start + second(200)).is_some());
        disruptions.end();
        assert_eq!(disruptions.accept_stall(start + second(200)), None);
    }

    #[test]
    fn blocks_are_short_and_take_at_most_half_of_the_time() {
        let start = Instant::now();
        let second = |n: u64| Duration::from_secs(n);
        // When a block is asked for, for how long, in which interval, and how long it then is.
        let table = [
            (0, 1, 10, Some(1)),
            (9, 1, 10, None),
            (10, 5, 1, Some(5)),
            (19, 1, 1, None),
            (20, 3600, 60, Some(10)),
            (79, 1, 60, None),
            (80, 3600, 1, Some(10)),
            (99, 1, 1, None),
            (100, 1, u64::MAX, Some(1)),
            (1_000_000, 1, 1, None),
        ];
        let mut disruptions = Disruptions::default();
        for (now, time, interval, expected) in table {
            let will = disruptions.block(second(time), second(interval), start + second(now));
            assert_eq!(disruptions.take_block(), expected.map(second), "{now}: {time}/{interval}");
            assert_eq!(will, expected.is_some());
            assert_eq!(disruptions.take_block(), None);
        }
    }
}
