//! Peers that accept data too slowly.
//!
//! A peer must accept some data within the send timeout, and enough data to reach the minimum rate.
//! The rate is an average over the send timeout, so a shorter pause is allowed. A peer that
//! keeps up costs one comparison.

use super::{Buffers, Connection};
use crate::{
    clock::Clock,
    protocol::{CloseReason, Context},
    source::{Readiness, Want},
};

impl Connection {
    /// Returns whether the deadline has passed.
    pub(super) fn is_late(&self, clock: &Clock) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= clock.compact_now())
    }

    /// Returns whether the peer has output to accept, and has not accepted enough since the send
    /// deadline was set. What it has accepted then does not move the deadline.
    pub(super) fn is_slow(&self, want: Want, reason: CloseReason, cx: &Context<'_>) -> bool {
        // Otherwise the server itself delays the output, for example for a disk.
        let is_offered = matches!(want, Want::Writable | Want::Turn) && !self.outbox.is_empty();
        is_offered
            && reason == CloseReason::SendTimeout
            && self.outbox.sent() - self.sent_before < cx.least_sent
    }

    /// Tries to write once more before closing a connection whose send timeout has passed.
    pub(super) fn probe_write(
        &mut self,
        ready: &mut Readiness,
        buffers: &mut Buffers,
        cx: &mut Context<'_>,
    ) -> Want {
        // The kernel reports writability only when a third of the send buffer is free. A slow
        // reader may have taken less than that, and only a write shows whether it has taken
        // anything.
        ready.writable = true;
        let want = self.take_turn(false, ready, buffers, cx);
        let is_late = self.is_late(cx.clock);
        match want {
            Want::Close(_) => want,
            _ if !is_late => want,
            _ if self.outbox.sent() > self.sent_before => Want::Close(CloseReason::TooSlow),
            _ => Want::Close(CloseReason::SendTimeout),
        }
    }
}
