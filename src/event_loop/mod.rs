//! The loop: wait for the ready set, and give each ready source its turn.
//!
//! It owns three things: `sources`, with the poller; `timers`, with the clock; and the observers,
//! who are shown each step (`tracing`). It knows no protocol and no file. It must never block
//! anywhere but in its poll, and never let one source keep the others waiting. Read
//! [`EventLoop::turn`] first, beside the `select()` program that it mirrors.

mod accept;
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
    net::{TcpListener, UdpSocket},
    os::fd::{AsRawFd, OwnedFd},
    rc::Rc,
    time::Duration,
};

pub use self::shutdown::{Handle, StopOnDrop};
#[cfg(feature = "lessons")]
pub(crate) use self::tracing::flags;
use self::{
    shutdown::Shutdown,
    source::{Listener, Priority, Source, SourceKind},
    sources::Sources,
    timers::Timers,
    udp::UdpSource,
};
use crate::{
    clock::Clock,
    protocol::{CloseReason, Context, DatagramProtocol, PrioritySource, ProtocolFactory, WorkBudget},
    source::{Buffers, Want},
    trace::{Observers, SourceId, Step},
};

/// Calls at most this many sources whose time has come in one turn.
const TIMER_BUDGET: usize = 256;

/// Bounds that hold for every connection. `None`: no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at once; further peers wait in the backlog.
    pub max_connections: usize,
    /// Close a connection whose peer accepts no data for this long.
    pub send_timeout: Option<Duration>,
    /// Close the connections that are left this long after the loop began to
    /// [drain](EventLoop::drain).
    pub drain_timeout: Option<Duration>,
}

impl Default for Limits {
    /// 512 connections, 30 seconds to send, 10 seconds to drain.
    fn default() -> Limits {
        Limits {
            max_connections: 512,
            send_timeout: Some(Duration::from_secs(30)),
            drain_timeout: Some(Duration::from_secs(10)),
        }
    }
}

/// An event loop. It must be made on the thread that turns it: it cannot be sent to another.
pub struct EventLoop {
    sources: Sources,
    timers: Timers,
    observers: Observers,
    buffers: Buffers,
    work: WorkBudget,
    limits: Limits,
    shutdown: Option<Shutdown>,
}

impl EventLoop {
    /// Makes an event loop with nothing to poll.
    ///
    /// # Errors
    /// The system gives no poller: epoll_create1(2).
    pub fn new(limits: Limits, clock: Clock) -> io::Result<EventLoop> {
        Ok(EventLoop {
            sources: Sources::new()?,
            timers: Timers::new(clock),
            observers: Observers::default(),
            buffers: Buffers::new(),
            work: WorkBudget::default(),
            limits,
            shutdown: None,
        })
    }

    /// Takes one turn: waits for the ready set, then gives each ready source its turn.
    ///
    /// # Errors
    /// The poller failed: epoll_wait(2). A fault of one peer is never an error here.
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
                Some(SourceKind::Priority(_)) => self.handle_priority(key),
                Some(SourceKind::Signals(_)) => self.on_signals(key),
                Some(SourceKind::Waker) => self.drain(),
                // It was closed earlier in this turn.
                None => {}
            }
        }
        self.run_timers();
        Ok(())
    }

    /// Sleeps until a source is ready or a timer is due, or not at all while work is left over.
    /// Then reads the clock and remembers each event on its source.
    fn wait(&mut self) -> io::Result<()> {
        let carried = self.sources.ready_count();
        let by = self.shutdown.and_then(|shutdown| shutdown.deadline);
        let timeout = if carried == 0 { self.timers.timeout(by) } else { Some(Duration::ZERO) };
        let turn = self.timers.clock.turn();
        self.observers.trace(SourceId::Loop, || Step::Waiting { turn, timeout, carried });
        let carried = self.carried_sources();
        self.sources.poll(self.timers.clock.sleep(timeout))?;
        self.timers.clock.pause_for(self.observers.paused());
        self.timers.clock.tick();
        self.work.refill();
        self.sources.note_events();
        self.trace_wake(carried);
        Ok(())
    }

    /// Gives one connection its turn.
    fn handle(&mut self, key: usize) {
        let Some(Source { kind: SourceKind::Connection(connection), ready, id, .. }) =
            self.sources.get_mut(key)
        else {
            return;
        };
        let mut cx = context(*id, &self.timers, &mut self.observers, &mut self.work, self.shutdown);
        cx.trace(|| Step::TurnBegan);
        let want = connection.handle(ready, &mut self.buffers, &mut cx);
        self.apply(key, want);
    }

    /// Gives a connection its turn whose deadline has passed.
    fn on_timeout(&mut self, key: usize) {
        let Some(Source { kind: SourceKind::Connection(connection), ready, id, .. }) =
            self.sources.get_mut(key)
        else {
            return;
        };
        let mut cx = context(*id, &self.timers, &mut self.observers, &mut self.work, self.shutdown);
        let want = connection.on_timeout(ready, &mut self.buffers, &mut cx);
        self.apply(key, want);
    }

    /// Receives datagrams and answers each.
    fn handle_datagrams(&mut self, key: usize) {
        let Some(Source { kind: SourceKind::Udp(udp), ready, id, .. }) = self.sources.get_mut(key) else {
            return;
        };
        let mut cx = context(*id, &self.timers, &mut self.observers, &mut self.work, self.shutdown);
        cx.trace(|| Step::TurnBegan);
        let want = udp.handle(ready, &mut self.buffers.input, &mut cx);
        self.apply(key, want);
    }

    /// Reads what has to be known before anything is served in this turn.
    fn handle_priority(&mut self, key: usize) {
        if let Some(Source { kind: SourceKind::Priority(priority), id, .. }) = self.sources.get_mut(key) {
            let mut cx = context(*id, &self.timers, &mut self.observers, &mut self.work, self.shutdown);
            priority.source.on_readable(&mut cx);
            cx.trace(|| Step::Polled);
        }
    }

    /// Does what a source wants after its turn: waits, arms, carries over or closes.
    fn apply(&mut self, key: usize, want: Want) {
        let mut retry_at = None;
        match want {
            Want::Readable => self.arm(key, false),
            Want::Writable => self.arm(key, true),
            Want::Turn => self.carry_over(key),
            Want::Retry(after) => retry_at = Some(self.timers.clock.now() + after),
            Want::Close(reason) => return self.close(key, reason),
        }
        let Some(source) = self.sources.get_mut(key) else { return };
        source.retry_at = retry_at;
        if let SourceKind::Connection(connection) = &source.kind {
            self.timers.set(key, connection.deadline().into_iter().chain(retry_at).min());
            self.observers.trace(source.id, || connection.deadline_step(self.timers.clock.now()));
        }
    }

    /// Waits for writability at `key` too, or no longer.
    fn arm(&mut self, key: usize, writable: bool) {
        let Some(id) = self.sources.get(key).map(|source| source.id) else { return };
        match self.sources.arm(key, writable) {
            Ok(false) => {}
            Ok(true) => self.observers.trace(id, || if writable { Step::Armed } else { Step::Disarmed }),
            Err(e) => {
                log::warn!("{id}: cannot change the poller's interest: {e}; closing it");
                self.close(key, CloseReason::Limit);
            }
        }
    }

    /// Leaves the rest of a source's work for the next turn, behind the sources that are ready now.
    fn carry_over(&mut self, key: usize) {
        if let Some(source) = self.sources.get(key) {
            self.observers.trace(source.id, || Step::CarriedOver);
            self.sources.push_ready(key);
        }
    }

    /// Closes a source.
    fn close(&mut self, key: usize, reason: CloseReason) {
        let Some(source) = self.sources.remove(key) else { return };
        self.timers.remove(key);
        self.observers.trace(source.id, || Step::Closed { reason, unread: source.unread() });
        if let SourceKind::Connection(connection) = source.kind {
            log::debug!("{}: closed, {reason}", source.id);
            connection.close(reason, &self.timers.clock);
            self.resume_accept();
        }
    }

    /// Calls each source whose time has come: a deadline has passed, or it asked to be called
    /// again. Those beyond the budget are called in the next turn.
    fn run_timers(&mut self) {
        let now = self.timers.clock.now();
        for _ in 0..TIMER_BUDGET {
            let Some(key) = self.timers.pop_due() else { break };
            let Some(source) = self.sources.get(key) else { continue };
            let SourceKind::Connection(connection) = &source.kind else {
                self.resume_accept();
                continue;
            };
            let is_due = |time: Option<std::time::Instant>| time.is_some_and(|time| time <= now);
            if is_due(connection.deadline()) {
                self.on_timeout(key);
            } else if is_due(source.retry_at) {
                self.handle(key);
            } else {
                // The entry was earlier than its time.
                self.timers.set(key, connection.deadline().into_iter().chain(source.retry_at).min());
            }
        }
        self.enforce_shutdown();
    }
}

/// What joins the loop.
impl EventLoop {
    /// Accepts connections on `socket`, which is listening; `factory` makes their protocols.
    ///
    /// # Errors
    /// The socket cannot be made non-blocking, or the poller does not take it.
    pub fn add_listener(&mut self, socket: TcpListener, factory: Box<dyn ProtocolFactory>) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        let socket = mio::net::TcpListener::from_std(socket);
        let id = self.sources.next_listener_id();
        let (address, fd) = (socket.local_addr()?, socket.as_raw_fd());
        self.sources.insert(SourceKind::Listener(Listener { socket, factory }), id)?;
        self.observers.trace(id, || Step::Bound { address, fd });
        Ok(())
    }

    /// Receives datagrams on `socket`, which is bound; `protocol` answers them.
    ///
    /// # Errors
    /// The socket cannot be made non-blocking, or the poller does not take it.
    pub fn add_udp(&mut self, socket: UdpSocket, protocol: Box<dyn DatagramProtocol>) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        let socket = mio::net::UdpSocket::from_std(socket);
        let id = self.sources.next_udp_id();
        let (address, fd) = (socket.local_addr()?, socket.as_raw_fd());
        self.sources.insert(SourceKind::Udp(Box::new(UdpSource::new(socket, address, protocol))), id)?;
        self.observers.trace(id, || Step::Bound { address, fd });
        Ok(())
    }

    /// Calls `source` before anything is served, in each turn in which `fd` has become readable.
    /// Traces call it `name`.
    ///
    /// # Errors
    /// The poller does not take the descriptor.
    pub fn add_priority_source(
        &mut self,
        name: &'static str,
        fd: Rc<OwnedFd>,
        source: Box<dyn PrioritySource>,
    ) -> io::Result<()> {
        self.sources.insert(SourceKind::Priority(Priority { fd, source }), SourceId::Named(name)).map(drop)
    }

    /// The loop's clock, for tests that move it.
    pub fn clock(&mut self) -> &mut Clock {
        &mut self.timers.clock
    }

    /// Returns how many connections are open.
    pub fn open_connections(&self) -> usize {
        self.sources.open_connections()
    }
}

/// What a source may know of its surroundings.
fn context<'a>(
    source: SourceId,
    timers: &'a Timers,
    observers: &'a mut Observers,
    work: &'a mut WorkBudget,
    shutdown: Option<Shutdown>,
) -> Context<'a> {
    Context { clock: &timers.clock, draining: shutdown.is_some(), source, observers, work }
}
