//! What protocols ask the loop to do to everybody on purpose, to show what it does to the peers.
//!
//! This module owns the bounds: no disruption is longer than [`MAX_DISRUPTION`], and of any two,
//! the second begins only after as much time without one. It must never act itself; the loop does.

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

    /// Ends the disruptions, because the loop shuts down.
    pub fn end(&mut self) {
        self.accept_at = None;
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
}
