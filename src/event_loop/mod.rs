//! The event loop: waits for the ready set, and gives each ready source its turn.
//!
//! The loop owns three things: the sources and the poller (`sources`), the timers and the clock
//! (`timers`), and the observers (`tracing`). It knows nothing about protocols or files. It must
//! never block anywhere but in its poll (or on purpose, in `block`), and no source may delay the
//! others by more than its own budget. Read [`EventLoop::turn`] first, next to the `select()`
//! program that it mirrors.

mod accept;
mod add;
mod addresses;
mod block;
mod caller;
mod connect;
mod counters;
mod idle;
mod input;
mod interest;
mod key_queue;
mod limits;
mod ready;
mod shutdown;
mod signals;
mod source;
mod sources;
mod timers;
mod tracing;
mod udp;

use std::{
    io,
    time::{Duration, Instant},
};

pub use self::{
    addresses::AddressLimit,
    connect::ConnectOptions,
    limits::Limits,
    shutdown::{Handle, StopOnDrop},
};
use self::{
    addresses::Addresses,
    idle::IdleConnections,
    shutdown::Shutdown,
    signals::StopSignals,
    source::{Source, SourceKind},
    sources::Sources,
    timers::Timers,
};
#[cfg(feature = "lessons")]
pub(crate) use self::{connect::start_connect, tracing::flags};
use crate::{
    clock::{Clock, CompactInstant},
    connection::Buffers,
    protocol::{CloseReason, Context, InputBudget, LoopCounters, LoopRequests, WakeKey, WorkBudget},
    source::Want,
    trace::{Observers, SourceId, Step},
};

/// The maximum number of due timers handled in one turn.
const TIMER_BUDGET: usize = 256;

/// An event loop. It is not `Send`: create it on the thread that runs it.
pub struct EventLoop {
    sources: Sources,
    timers: Timers,
    idle: IdleConnections,
    addresses: Addresses,
    observers: Observers,
    buffers: Buffers,
    state: LoopState,
}

/// What all sources share besides the clock and the observers.
struct LoopState {
    limits: Limits,
    /// How many bytes a blocked peer must accept within the send timeout.
    least_sent: u64,
    work: WorkBudget,
    input: InputBudget,
    requests: LoopRequests,
    counters: LoopCounters,
    /// When to start the shutdown that a signal has asked for.
    drain_at: Option<Instant>,
    shutdown: Option<Shutdown>,
    signals: StopSignals,
    /// When a turn ends at the latest, see [`EventLoop::return_by`].
    return_by: Option<Instant>,
}

impl LoopState {
    /// Returns the context that the source with this key may use during its turn.
    fn context<'a>(
        &'a mut self,
        key: usize,
        source: SourceId,
        timers: &'a Timers,
        observers: &'a mut Observers,
    ) -> Context<'a> {
        Context {
            clock: &timers.clock,
            draining: self.shutdown.is_some(),
            stopping: self.shutdown.is_some() || self.drain_at.is_some(),
            source,
            key,
            send_timeout: self.limits.send_timeout,
            least_sent: self.least_sent,
            min_rate: self.limits.min_rate,
            max_calls: self.limits.max_calls,
            observers,
            work: &mut self.work,
            input: &self.input,
            requests: &mut self.requests,
            counters: &mut self.counters,
        }
    }
}

impl EventLoop {
    /// Creates an event loop that has no sources.
    ///
    /// # Errors
    /// Fails if the poller cannot be created (epoll_create1(2)).
    pub fn new(limits: Limits, clock: Clock) -> io::Result<EventLoop> {
        Ok(EventLoop {
            sources: Sources::new()?,
            timers: Timers::new(clock),
            idle: IdleConnections::default(),
            addresses: Addresses::new(limits.max_per_address, limits.max_connections),
            observers: Observers::default(),
            buffers: Buffers::new(limits.max_message),
            state: LoopState {
                limits,
                least_sent: limits.least_sent(),
                work: WorkBudget::default(),
                input: InputBudget::new(limits.max_input.max(limits.max_message)),
                requests: LoopRequests::default(),
                counters: LoopCounters::default(),
                drain_at: None,
                shutdown: None,
                signals: StopSignals::default(),
                return_by: None,
            },
        })
    }

    /// Runs one turn of the loop: waits for the ready set, then gives each ready source its turn.
    ///
    /// # Errors
    /// Fails if polling fails (epoll_wait(2)). An error on one connection never stops the loop.
    pub fn turn(&mut self) -> io::Result<()> {
        // rs, ws, xs = select(rlist, wlist, xlist, timeout)
        self.wait()?;
        // for r in rs + ws:
        for _ in 0..self.sources.ready_count() {
            let Some(key) = self.sources.pop_ready() else { break };
            match self.sources.kind(key) {
                // if r is self.sockfd:
                Some(SourceKind::Listener(_)) => self.accept(key),
                // else: self.handle(r)
                Some(SourceKind::Connection(_)) => self.handle(key),
                Some(SourceKind::Udp(_)) => self.handle_datagrams(key),
                Some(SourceKind::Input(_)) => self.handle_input(key),
                Some(SourceKind::Priority(_)) => self.handle_priority(key),
                Some(SourceKind::Signals(_)) => self.on_signals(key),
                Some(SourceKind::Waker) => self.drain(),
                // It was closed earlier in this turn.
                None => {}
            }
        }
        self.run_timers();
        self.state.work.refill(&mut self.state.requests);
        // A stop takes effect before the caller asks whether the loop is drained.
        self.act_on_requests();
        Ok(())
    }

    /// Polls for events, then reads the clock and records each event on its source. The poll sleeps
    /// until a source is ready or a timer is due. If work was carried over from the last turn, the
    /// poll does not sleep.
    fn wait(&mut self) -> io::Result<()> {
        self.count_turn();
        let carried = self.sources.ready_count();
        let by = self.shutdown_wake_at().into_iter().chain(self.state.signals.wake_at());
        let by = by.chain(self.state.return_by).min();
        // The poller reports an edge once. Sources in the ready queue get no further event, so
        // sleeping here would stall them. A drained loop has nothing left to wait for.
        let is_awake = carried > 0 || self.is_drained();
        let timeout = if is_awake { Some(Duration::ZERO) } else { self.timers.timeout(by) };
        let turn = self.timers.clock.turn();
        self.observers.trace(SourceId::Loop, || Step::Waiting { turn, timeout, carried });
        // Before the poll, because `note_events` adds sources to the same queue.
        let carried_sources = self.carried_sources();
        self.sources.poll(self.timers.clock.sleep(timeout))?;
        // An observer may have held the loop (`--step`). That time must not expire deadlines.
        self.timers.clock.pause_for(self.observers.paused());
        self.timers.clock.tick();
        self.sources.note_events();
        self.count_wake(carried);
        self.trace_wake(carried_sources);
        Ok(())
    }

    /// Lets one connection read, respond and write.
    fn handle(&mut self, key: usize) {
        let Some(Source { kind: SourceKind::Connection(connection), ready, id, .. }) =
            self.sources.get_mut(key)
        else {
            return;
        };
        let mut cx = self.state.context(key, *id, &self.timers, &mut self.observers);
        cx.trace(|| Step::TurnBegan);
        let want = connection.handle(ready, &mut self.buffers, &mut cx);
        self.apply(key, want);
    }

    /// Handles one connection whose deadline has passed.
    fn on_timeout(&mut self, key: usize) {
        let Some(Source { kind: SourceKind::Connection(connection), ready, id, .. }) =
            self.sources.get_mut(key)
        else {
            return;
        };
        let mut cx = self.state.context(key, *id, &self.timers, &mut self.observers);
        let want = connection.on_timeout(ready, &mut self.buffers, &mut cx);
        self.apply(key, want);
    }

    /// Lets one UDP socket send and receive datagrams.
    fn handle_datagrams(&mut self, key: usize) {
        let Some(Source { kind: SourceKind::Udp(udp), ready, id, .. }) = self.sources.get_mut(key) else {
            return;
        };
        let mut cx = self.state.context(key, *id, &self.timers, &mut self.observers);
        cx.trace(|| Step::TurnBegan);
        let want = udp.handle(ready, &mut self.buffers.input, &mut cx);
        self.apply(key, want);
    }

    /// Lets one input source, such as standard input, read.
    fn handle_input(&mut self, key: usize) {
        let Some(Source { kind: SourceKind::Input(input), ready, id, .. }) = self.sources.get_mut(key) else {
            return;
        };
        let mut cx = self.state.context(key, *id, &self.timers, &mut self.observers);
        cx.trace(|| Step::TurnBegan);
        let want = input.handle(ready, &mut self.buffers.input, &mut cx);
        self.apply(key, want);
    }

    /// Lets one priority source read its descriptor, before any request in this turn is handled.
    fn handle_priority(&mut self, key: usize) {
        if let Some(Source { kind: SourceKind::Priority(priority), ready, id, .. }) =
            self.sources.get_mut(key)
        {
            ready.woken = false;
            let mut cx = self.state.context(key, *id, &self.timers, &mut self.observers);
            priority.source.on_readable(&mut cx);
            cx.trace(|| Step::Polled);
        }
    }

    /// Acts on what a source wants after its turn: polls it for an event, queues it again, sets a
    /// retry timer or closes it.
    fn apply(&mut self, key: usize, want: Want) {
        let mut retry_at = None;
        match want {
            Want::Readable => self.arm(key, false),
            Want::Writable => self.arm(key, true),
            Want::Turn => self.carry_over(key),
            Want::WaitUntil(time) => {
                self.register(key); // the poller reports a reset meanwhile
                retry_at = time;
            }
            Want::Close(reason) => return self.close(key, reason),
        }
        let Some(source) = self.sources.get_mut(key) else { return };
        source.retry_at = retry_at.map(CompactInstant::from);
        // One timer serves both the deadline and the retry. `run_timers` finds out which is due.
        self.timers.wake_by(key, source.wake_at());
        if let SourceKind::Connection(connection) = &source.kind {
            self.observers.trace(source.id, || connection.deadline_step(self.timers.clock.now()));
        }
        if want == Want::Readable {
            self.note_idle(key);
        }
    }

    /// Queues a source with unfinished work for the next turn, after the sources that are ready
    /// now.
    fn carry_over(&mut self, key: usize) {
        if let Some(source) = self.sources.get(key) {
            self.observers.trace(source.id, || Step::CarriedOver);
            self.sources.push_ready(key);
        }
    }

    /// Removes a source, notifies its protocol and closes its descriptor.
    fn close(&mut self, key: usize, reason: CloseReason) {
        let Some(source) = self.sources.remove(key) else { return };
        // The slab reuses keys, so a leftover timer would fire for another source.
        self.timers.remove(key);
        self.idle.remove(key);
        self.addresses.remove(key);
        self.state.work.remove(WakeKey { key, id: source.id });
        self.observers.trace(source.id, || Step::Closed { reason, unread: source.unread() });
        if let SourceKind::Connection(connection) = source.kind {
            log::debug!("{}: closed, {reason}", source.id);
            self.count_closed(reason);
            let mut cx = self.state.context(key, source.id, &self.timers, &mut self.observers);
            connection.close(reason, &mut cx);
            self.resume_accept();
        }
    }

    /// Calls the sources whose deadline has passed or whose retry is due, up to [`TIMER_BUDGET`]
    /// per turn. The rest are called in the next turn.
    fn run_timers(&mut self) {
        let now = self.timers.clock.compact_now();
        for _ in 0..TIMER_BUDGET {
            let Some(key) = self.timers.pop_due() else { break };
            let Some(source) = self.sources.get(key) else { continue };
            let is_due = |time: Option<CompactInstant>| time.is_some_and(|time| time <= now);
            match &source.kind {
                SourceKind::Listener(_) => self.resume_accept(),
                SourceKind::Connection(connection) if is_due(connection.deadline()) => self.on_timeout(key),
                SourceKind::Connection(_) if is_due(source.retry_at) => self.handle(key),
                SourceKind::Udp(_) if is_due(source.wake_at()) => self.handle_datagrams(key),
                // The time was moved after this entry was made (see `Timers::wake_by`).
                _ => self.timers.wake_by(key, source.wake_at()),
            }
        }
        self.state.signals.update(self.timers.clock.now());
        self.enforce_shutdown();
    }

    /// Does what the sources asked for: queues the sources that others have woken, shuts down, and
    /// blocks.
    fn act_on_requests(&mut self) {
        for index in 0..self.state.requests.wakes.len() {
            let WakeKey { key, id } = self.state.requests.wakes[index];
            // A source that was woken before is in the queue already.
            let is_open = |source: &&mut Source| source.id == id && !source.ready.woken;
            if let Some(source) = self.sources.get_mut(key).filter(is_open) {
                source.ready.woken = true;
                self.observers.trace(id, || Step::Woken);
                self.sources.push_ready(key);
            }
        }
        self.state.requests.wakes.clear();
        if self.state.requests.stop {
            self.drain();
        }
        if self.observers.has_joining() {
            self.admit_observers();
        }
        self.block_on_purpose();
    }
}

impl EventLoop {
    /// Returns the loop's clock, so that a test can advance it.
    pub fn clock(&mut self) -> &mut Clock {
        &mut self.timers.clock
    }

    /// Returns the loop's limits.
    pub fn limits(&self) -> &Limits {
        &self.state.limits
    }

    /// Returns the number of open connections.
    pub fn open_connections(&self) -> usize {
        self.sources.open_connections()
    }
}
