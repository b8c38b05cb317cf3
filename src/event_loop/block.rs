//! The one call that blocks the loop on purpose.
//!
//! A handler that computes, or waits for a disk or another server, stops an event loop for
//! all connections. A protocol can show what the peers of such a server see. Nothing else in this
//! program may wait outside the poll.

use super::EventLoop;
use crate::trace::{SourceId, Step};

impl EventLoop {
    /// Blocks the loop for the time that a protocol has asked for in this turn, if any has (see
    /// [`Context::block_loop`](crate::protocol::Context::block_loop)).
    pub(super) fn block_on_purpose(&mut self) {
        if let Some(time) = self.state.requests.disruptions.take_block() {
            self.observers.trace(SourceId::Loop, || Step::LoopBlocked { time });
            // The clock starts again after the pause, so the turn is measured in two parts.
            let began = self.timers.clock.now();
            self.timers.clock.block(time);
            self.count_time_since(began);
        }
    }
}
