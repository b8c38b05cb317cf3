//! Counts what the loop does, into its [`LoopCounters`].
//!
//! Nothing here changes what the loop does, and only the end of a turn reads the clock, if turns
//! are measured.

use std::time::Instant;

use super::EventLoop;
use crate::protocol::{CloseReason, LoopCounters};

impl EventLoop {
    /// Returns what the loop has counted.
    pub fn counters(&self) -> &LoopCounters {
        &self.state.counters
    }

    /// Measures the duration of turns from now on. This costs one reading of the clock in each
    /// turn.
    pub fn measure_turns(&mut self) {
        self.state.counters.is_timed = true;
    }

    /// Measures the turn that ends now, if turns are measured. What the caller of
    /// [`EventLoop::turn`] does between two turns counts as part of the first one.
    pub(super) fn count_turn(&mut self) {
        // Before the first turn, there is none to measure.
        if self.state.counters.turns > 0 {
            self.count_time_since(self.timers.clock.now());
        }
    }

    /// Counts the time since `began` as time in which the loop was busy, if turns are measured.
    pub(super) fn count_time_since(&mut self, began: Instant) {
        let counters = &mut self.state.counters;
        if counters.is_timed {
            let took = self.timers.clock.precise_now().saturating_duration_since(began);
            counters.busy += took;
            counters.longest = counters.longest.max(took);
        }
    }

    /// Counts a return of the poll. `carried` sources had work carried over from the turn before.
    pub(super) fn count_wake(&mut self, carried: usize) {
        let (counters, ready) = (&mut self.state.counters, self.sources.ready_count());
        counters.turns += 1;
        counters.ready += ready as u64;
        counters.most_ready = counters.most_ready.max(ready);
        counters.with_carried += u64::from(carried > 0);
    }

    /// Counts an accepted connection.
    pub(super) fn count_accepted(&mut self) {
        self.state.counters.accepted += 1;
        self.state.counters.open = self.sources.open_connections();
    }

    /// Counts a connection that was closed for `reason`.
    pub(super) fn count_closed(&mut self, reason: CloseReason) {
        self.state.counters.open = self.sources.open_connections();
        self.state.counters.count_closed(reason);
    }
}
