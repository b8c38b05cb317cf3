//! What a protocol may use during its turn: the clock, its work budget, the observers, and requests
//! to the loop.

use std::time::Duration;

use super::{InputBudget, LoopCounters, WorkBudget, disruption::Disruptions};
use crate::{
    clock::Clock,
    trace::{Observers, SourceId, Step},
};

/// What a source or protocol may use during its turn.
pub struct Context<'a> {
    /// The time of this turn.
    pub clock: &'a Clock,
    /// Whether the server is shutting down. Connections then close after the responses in progress.
    pub draining: bool,
    /// Whether a shutdown has been requested. The server may still accept connections, and each
    /// should close after its next response.
    pub stopping: bool,
    /// The source whose turn it is.
    pub source: SourceId,
    /// The key of the source in the loop.
    pub(crate) key: usize,
    /// How long a peer may go without accepting data.
    pub(crate) send_timeout: Option<Duration>,
    /// How many bytes a blocked peer must accept within the send timeout to get that time again.
    pub(crate) least_sent: u64,
    /// How many bytes per second a peer must send or accept, or 0.
    pub(crate) min_rate: u32,
    /// The maximum number of reads and writes of the source in this turn.
    pub(crate) max_calls: usize,
    /// The observers, which see each step.
    pub observers: &'a mut Observers,
    /// The budget for long work, see [`Context::take_work`].
    pub work: &'a mut WorkBudget,
    /// The memory that all sources together may use for input that they keep. A protocol that
    /// copies input that it has consumed takes a share.
    pub input: &'a InputBudget,
    /// What sources ask the loop to do at the end of its turn.
    pub requests: &'a mut LoopRequests,
    /// What the loop counts.
    pub counters: &'a mut LoopCounters,
}

impl<'a> Context<'a> {
    /// Returns a context for a protocol that is called without a loop, for example in a test. The
    /// requests of the protocol are put into `requests`, and nothing acts on them.
    pub fn without_loop(
        clock: &'a Clock,
        observers: &'a mut Observers,
        work: &'a mut WorkBudget,
        input: &'a InputBudget,
        requests: &'a mut LoopRequests,
        counters: &'a mut LoopCounters,
    ) -> Context<'a> {
        let (source, key) = (SourceId::Connection(1), usize::MAX);
        Context {
            clock,
            draining: false,
            stopping: false,
            source,
            key,
            send_timeout: None,
            least_sent: 0,
            min_rate: 0,
            max_calls: usize::MAX,
            observers,
            work,
            input,
            requests,
            counters,
        }
    }

    /// Returns whether an observer is attached. Measure durations only if one is.
    #[inline]
    pub fn is_traced(&self) -> bool {
        !self.observers.is_empty()
    }

    /// Reports a step of this source to the observers.
    #[inline]
    pub fn trace(&mut self, step: impl FnOnce() -> Step) {
        self.observers.trace(self.source, step);
    }

    /// Returns the key with which another source can wake this one.
    pub fn wake_key(&self) -> WakeKey {
        WakeKey { key: self.key, id: self.source }
    }

    /// Gives another source a turn in which its protocol's `resume` is called, for example
    /// [`Protocol::resume`](super::Protocol::resume). Does nothing if that source is closed.
    pub fn wake(&mut self, target: WakeKey) {
        self.requests.wakes.push(target);
    }

    /// Takes one piece of the turn's budget for long work and returns `true`. If none is left, puts
    /// this source into the queue for the next turns and returns `false`. The protocol should then
    /// return [`Progress::WaitUntil(None)`](super::Progress::WaitUntil) and take a piece when it is
    /// resumed.
    #[must_use]
    pub fn take_work(&mut self) -> bool {
        self.work.take(self.wake_key())
    }

    /// Takes all long work of a turn, as [`Context::take_work`] takes one piece.
    #[must_use]
    pub fn take_all_work(&mut self) -> bool {
        self.work.take_all(self.wake_key())
    }

    /// Makes the loop accept no connection for `time`, at most
    /// [`MAX_DISRUPTION`](super::MAX_DISRUPTION): they wait in the backlog. Does nothing if a stall
    /// is in progress, or ended less than its own length ago.
    pub fn stall_accept(&mut self, time: Duration) {
        self.requests.disruptions.stall_accept(time, self.clock.now());
    }

    /// Makes the loop block for `time`, at most [`MAX_DISRUPTION`](super::MAX_DISRUPTION), at the
    /// end of its turn: no source is served, and no timer runs. Does nothing if the loop has begun
    /// to block less than `interval`, or twice that time, ago, or shuts down. Returns whether the
    /// loop will block.
    pub fn block_loop(&mut self, time: Duration, interval: Duration) -> bool {
        !self.draining && self.requests.disruptions.block(time, interval, self.clock.now())
    }

    /// Makes the loop shut down in an orderly way, as after SIGTERM. A client calls this when its
    /// conversation is over.
    pub fn stop(&mut self) {
        self.requests.stop = true;
    }
}

/// A key with which one source wakes another, see [`Context::wake`]. A key whose source is closed
/// wakes nothing, even if the loop has reused the source's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WakeKey {
    /// The place of the source in the loop.
    pub(crate) key: usize,
    /// The identifier of the source, which is never reused.
    pub(crate) id: SourceId,
}

/// What the protocols ask the loop to do. The loop acts on it at the end of each of its turns.
#[derive(Debug, Default)]
pub struct LoopRequests {
    /// The sources to wake.
    pub(crate) wakes: Vec<WakeKey>,
    /// Whether to shut down.
    pub(crate) stop: bool,
    /// The disruptions to cause. A stall begins at once.
    pub(crate) disruptions: Disruptions,
}
