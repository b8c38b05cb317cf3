//! Responses of the load target that are faulty on purpose.
//!
//! The access log shows those that do not reach their end as aborted.

use std::time::Instant;

use super::{
    reply::{Outcome, Reply, finish},
    target::TargetResponse,
};
use crate::{
    http::{Plan, ResponseBody},
    protocol::{CloseReason, Context, InputShare, Outbox, Progress},
    services::{
        pending::PendingEntries,
        target::{DrawnFaults, DrawnResponse, MAX_TIME, ResponseFault, TargetBody},
    },
};

/// The number of bytes that take the place of a response.
const GARBAGE: u64 = 256;

impl Reply<'_, '_> {
    /// Begins the disruptions of all clients that were drawn. Returns when the response may begin
    /// at the earliest: a handler that blocks responds afterwards.
    pub(super) fn disrupt(&mut self, faults: DrawnFaults) -> Instant {
        let now = self.cx.clock.now();
        if let Some(time) = faults.accept_stall {
            self.cx.stall_accept(time);
        }
        match faults.pause {
            Some((time, interval)) if self.cx.block_loop(time, interval) => now + time,
            _ => now,
        }
    }

    /// Sends the fault that replaces the response, if one was drawn. Otherwise returns the reply.
    pub(super) fn send_fault(mut self, drawn: &DrawnResponse) -> Result<Self, Outcome> {
        let (now, position) = (self.cx.clock.now(), self.out.position());
        let outcome = match drawn.faults.response {
            Some(ResponseFault::Silent) => {
                let until = now + MAX_TIME;
                Outcome::Target(Box::new(TargetResponse::Silent(until)), Progress::WaitUntil(Some(until)))
            }
            Some(ResponseFault::Reset) => Outcome::Complete(Some(CloseReason::Aborted)),
            Some(ResponseFault::Garbage) => {
                let at = self.out.bytes().len();
                // It is short enough for one piece.
                let _ = TargetBody::new(drawn.seed, GARBAGE, None, now).put(self.out, now, true);
                if let Some(first) = self.out.bytes().get_mut(at) {
                    *first |= 0x80; // no response begins like this
                }
                Outcome::Complete(Some(CloseReason::Done))
            }
            Some(ResponseFault::Cut { .. } | ResponseFault::OneByte) | None => return Ok(self),
        };
        if let Some(entries) = &mut self.entries {
            // It is recorded with the status that it would have had.
            let plan = Plan::made(self.request, drawn.status, "", ResponseBody::Empty);
            entries.begin(self.request, self.since, &plan, position, self.cx.clock);
        }
        Err(outcome)
    }
}

/// Ends a response: at its end, or at the place where it is `cut` off for that reason.
pub fn end(
    entries: Option<&mut PendingEntries>,
    close_reason: Option<CloseReason>,
    cut: Option<CloseReason>,
    out: &Outbox,
) -> Outcome {
    match cut {
        Some(reason) => Outcome::Complete(Some(reason)),
        None => finish(entries, close_reason, out),
    }
}

/// A response that is sent one byte at a time.
pub struct SingleBytes {
    bytes: Vec<u8>,
    /// The number of bytes that have been put into the outbox.
    done: usize,
    pub close_reason: Option<CloseReason>,
    /// The memory of a body that the request has sent.
    pub share: Option<InputShare>,
}

impl SingleBytes {
    /// Takes the response that begins at `at` out of the outbox, with all of its `body`.
    pub fn new(
        at: usize,
        mut body: TargetBody,
        close_reason: Option<CloseReason>,
        out: &mut Outbox,
        cx: &Context<'_>,
    ) -> SingleBytes {
        let mut bytes = Vec::new();
        loop {
            let next = body.put(out, cx.clock.now(), true);
            bytes.extend(out.bytes().drain(at..));
            if next.is_none() {
                return SingleBytes { bytes, done: 0, close_reason, share: None };
            }
        }
    }

    /// Puts the next byte into the outbox, which leaves with one write in this turn. A shutdown
    /// does not wait for the rest. Returns when another byte follows, if one does.
    pub fn put(&mut self, out: &mut Outbox, cx: &Context<'_>) -> Option<Progress> {
        // What stands before it has a write of its own.
        if out.is_empty() || cx.draining {
            let end = if cx.draining { self.bytes.len() } else { self.done + 1 };
            out.bytes().extend_from_slice(&self.bytes[self.done..end]);
            self.done = end;
        }
        (self.done < self.bytes.len()).then_some(Progress::Yield)
    }
}
