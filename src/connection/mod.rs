//! One connection: read, parse, respond and write, within a budget.
//!
//! A connection owns its socket, its unparsed input and its unsent output. It knows nothing about
//! HTTP, the poller or files. The loop passes in the connection's readiness; the connection does
//! what it can without blocking, and returns what it wants next. A connection must never read while
//! output is unsent, unless its protocol reads while it sends. This backpressure limits its memory
//! use.

mod answer;
mod buffers;
mod connect;
mod idle;
mod inbox;
mod read;
mod slow;
mod throttle;
#[cfg(feature = "tls")]
mod tls;
mod transport;
mod write;

use std::{
    ops::ControlFlow::{self, Break, Continue},
    os::fd::{AsRawFd, OwnedFd, RawFd},
    time::{Duration, Instant},
};

use rustix::net::{Shutdown, shutdown, sockopt};

#[cfg(feature = "lessons")] // the lessons' broken loop uses the same code to write
pub use self::write::{WriteResult, write_once};
pub use self::{buffers::Buffers, idle::Idle};
use self::{inbox::Inbox, throttle::Throttle};
use crate::{
    clock::{Clock, CompactInstant},
    protocol::{CloseReason, Context, Outbox, Progress, Protocol, Timeout},
    source::{Readiness, Want},
    trace::Step,
};

/// The maximum number of rounds in one turn. A round writes, then reads.
const ROUND_LIMIT: usize = 16;
/// The maximum number of responses that the protocol may make in one turn. One read can return
/// thousands of messages.
const MESSAGE_BUDGET: usize = 64;
/// The approximate maximum number of bytes written in one turn, so that one download does not delay
/// the other connections.
const WRITE_BUDGET: usize = 512 * 1024;
/// How long the peer may take to close its side after we have shut down our side.
const LINGER: Duration = Duration::from_secs(2);

/// How long a connection that [expects a message](Connection::expects_message) may stay open after
/// a shutdown has begun.
const MESSAGE_GRACE: Duration = Duration::from_secs(1);

/// The phase of a connection, from open to closed.
///
/// | phase | input | output | next |
/// |---|---|---|---|
/// | `Connecting` | none yet | none yet | `Open` when the connection is established, or closed |
/// | `Open` | is parsed and answered | is sent | `Finishing` when the protocol closes the connection, or a message times out |
/// | `Finishing` | stays unread | is sent | closed, or `Lingering` if the peer may still send |
/// | `Lingering` | is read and dropped | is shut down | closed when the peer closes, or after [`LINGER`] |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// An outgoing connection that has not been established yet.
    Connecting,
    Open,
    /// The last response is being sent. `linger` is true if the peer may still be sending.
    Finishing {
        reason: CloseReason,
        linger: bool,
    },
    /// Our side is shut down, and input is dropped. Closing a socket that has unread input sends a
    /// reset, which can destroy the last response in transit (RFC 9112 section 9.6).
    Lingering {
        reason: CloseReason,
    },
}

/// What a connection may still do in this turn.
struct Budget {
    /// The bytes to write.
    bytes: usize,
    /// The messages to answer.
    messages: usize,
    /// The reads and writes.
    calls: usize,
}

/// What the protocol waits for before it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pending {
    /// Input.
    Input,
    /// The next turn.
    Turn,
    /// [`Connection::wake_at`], or another source.
    Wake,
}

/// One connection: accepted, or outgoing.
pub struct Connection {
    /// A stream socket, TCP or Unix.
    socket: OwnedFd,
    /// The TLS session on the socket, if there is one.
    #[cfg(feature = "tls")]
    tls: Option<Box<tls::TlsSession>>,
    protocol: Box<dyn Protocol>,
    inbox: Inbox,
    outbox: Outbox,
    phase: Phase,
    /// Whether the connection has been accepted and its first message has not arrived.
    is_fresh: bool,
    /// What the protocol waits for. Unless it is input, the protocol is resumed before more input
    /// is parsed.
    pending: Pending,
    /// The time that the protocol waits for, if it waits for one.
    wake_at: Option<CompactInstant>,
    /// Whether the protocol has ended its output. Our side is shut down once the outbox is empty.
    half_closes: bool,
    /// Whether input has been parsed or output sent since the deadline was last set.
    progress: bool,
    /// The start of the last turn with progress.
    active_at: CompactInstant,
    /// The close reason if the deadline passes.
    waiting: CloseReason,
    deadline: Option<CompactInstant>,
    /// Whether the protocol has consumed the beginning of a message.
    is_partial: bool,
    /// The number of bytes that the socket had taken when the deadline was set.
    sent_before: u64,
    /// The limit on the rate at which output is sent, if there is one.
    throttle: Option<Box<Throttle>>,
}

impl Connection {
    /// Creates a connection from an accepted socket, which must be non-blocking. Its first deadline
    /// counts from the start of the turn.
    pub fn new(socket: OwnedFd, protocol: Box<dyn Protocol>, clock: &Clock) -> Connection {
        let Timeout { limit, reason } = protocol.timeout(false);
        let throttle = protocol.send_rate().map(|rate| Box::new(Throttle::new(rate, clock.now())));
        Connection {
            socket,
            #[cfg(feature = "tls")]
            tls: None,
            protocol,
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            phase: Phase::Open,
            is_fresh: true,
            pending: Pending::Input,
            wake_at: None,
            half_closes: false,
            progress: false,
            active_at: clock.compact_now(),
            waiting: reason,
            deadline: clock.compact_after(limit),
            is_partial: false,
            sent_before: 0,
            throttle,
        }
    }

    /// Lets the protocol speak first, if it does. Returns whether the connection needs a turn
    /// before any input arrives.
    pub fn start(&mut self, cx: &mut Context<'_>) -> bool {
        let progress = self.protocol.on_connected(&mut self.outbox, cx);
        self.settle(progress, &[], cx);
        progress != Progress::NeedInput || !self.outbox.is_empty()
    }

    /// Returns when to call [`Connection::on_timeout`], or `None` if never.
    pub fn deadline(&self) -> Option<CompactInstant> {
        self.deadline
    }

    /// Returns the step that reports the deadline, relative to `now`.
    pub fn deadline_step(&self, now: Instant) -> Step {
        let within = self.deadline.map(|deadline| Instant::from(deadline).saturating_duration_since(now));
        Step::DeadlineSet { reason: self.waiting, within }
    }

    /// Returns whether the protocol waits for a time or for another source.
    pub fn is_postponed(&self) -> bool {
        self.pending == Pending::Wake
    }

    /// Returns the number of input bytes that have not been parsed.
    pub fn unread(&self) -> usize {
        self.inbox.bytes().len()
    }

    /// Returns the socket's descriptor, for the poller and for traces.
    pub fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Takes one turn: sends unsent output, parses and answers input, and sends again. Stops when
    /// it cannot continue without blocking, or when a budget is used up.
    pub fn handle(&mut self, ready: &mut Readiness, buffers: &mut Buffers, cx: &mut Context<'_>) -> Want {
        self.take_turn(true, ready, buffers, cx)
    }

    /// Takes one turn with the loop's buffers, then sets the deadline. For `probe`, see
    /// [`FileBody::sendable`](crate::protocol::FileBody::sendable).
    fn take_turn(
        &mut self,
        probe: bool,
        ready: &mut Readiness,
        buffers: &mut Buffers,
        cx: &mut Context<'_>,
    ) -> Want {
        self.outbox.lend_buffer(&mut buffers.output);
        let want = match self.rounds(probe, ready, &mut buffers.input, cx) {
            Continue(()) => Want::Turn,
            Break(want) => want,
        };
        self.outbox.return_buffer(&mut buffers.output);
        self.set_deadline(want, cx);
        want
    }

    /// Repeats rounds of writing, then reading or closing. Returns `Break` with what the connection
    /// wants next, or `Continue` if the rounds are used up.
    fn rounds(
        &mut self,
        mut probe: bool,
        ready: &mut Readiness,
        buffer: &mut [u8],
        cx: &mut Context<'_>,
    ) -> ControlFlow<Want> {
        let mut budget = Budget { bytes: WRITE_BUDGET, messages: MESSAGE_BUDGET, calls: cx.max_calls };
        for _ in 0..ROUND_LIMIT {
            if let Break(want) = self.write(&mut budget, &mut probe, ready, buffer, cx) {
                if self.phase != Phase::Open || !self.protocol.reads_while_sending() {
                    return Break(want);
                }
                return match want {
                    Want::Writable => {
                        self.receive_while_blocked(&mut budget, ready, buffer, cx)?;
                        Break(want)
                    }
                    Want::Close(_) => self.receive_the_rest(want, &mut budget, ready, buffer, cx),
                    _ => Break(want),
                };
            }
            match self.phase {
                Phase::Open => self.receive(&mut budget, ready, buffer, cx)?,
                Phase::Connecting => self.finish_connecting(ready, cx)?,
                // Closing now would send a reset if input has arrived during the response.
                Phase::Finishing { reason, linger } => {
                    self.half_close(reason, linger || ready.readable, cx)?;
                }
                Phase::Lingering { reason } => self.discard(&mut budget, ready, buffer, reason, cx)?,
            }
        }
        Continue(())
    }

    /// Shuts down our side and lingers if the peer may still be sending (`linger`); otherwise
    /// closes at once. The caller has already sent all output.
    fn half_close(&mut self, reason: CloseReason, linger: bool, cx: &mut Context<'_>) -> ControlFlow<Want> {
        #[cfg(feature = "tls")]
        self.announce_end(reason);
        // A reset takes the place of the shutdown.
        let lingers = linger && reason != CloseReason::Aborted;
        if !lingers || shutdown(&self.socket, Shutdown::Write).is_err() {
            return Break(Want::Close(reason));
        }
        cx.trace(|| Step::ShutDown);
        self.inbox.clear();
        self.phase = Phase::Lingering { reason };
        self.progress = true;
        Continue(())
    }

    /// Shuts down our side because the protocol has ended its output. Input is still read.
    fn end_output(&mut self, cx: &mut Context<'_>) {
        self.half_closes = false;
        #[cfg(feature = "tls")]
        self.announce_end(CloseReason::Done);
        // If this fails, the peer has reset the connection, which the next read reports.
        if shutdown(&self.socket, Shutdown::Write).is_ok() {
            cx.trace(|| Step::OutputEnded);
        }
    }

    /// Sets a new deadline after progress, or when the connection starts to wait for something
    /// else.
    fn set_deadline(&mut self, want: Want, cx: &Context<'_>) {
        // Only the handshake of TLS waits to send although the outbox is empty. It has as much time
        // as the message that it precedes.
        let is_handshake = want == Want::Writable && self.phase == Phase::Open && self.outbox.is_empty();
        let want = if is_handshake { Want::Readable } else { want };
        let Timeout { limit, reason } = match (self.phase, want) {
            (_, Want::Close(_)) => return,
            // The time to connect was set when the connection was created.
            (Phase::Connecting, _) => return,
            (Phase::Lingering { reason }, _) => Timeout { limit: Some(LINGER), reason },
            (Phase::Open, Want::Readable)
                if cx.draining && self.expects_message(cx.clock) && !self.has_begun() =>
            {
                Timeout { limit: Some(MESSAGE_GRACE), reason: CloseReason::Shutdown }
            }
            (Phase::Open, Want::Readable) => self.protocol.timeout(self.has_begun()),
            // The protocol itself has set the time.
            (Phase::Open, Want::WaitUntil(_)) if self.outbox.is_empty() => {
                Timeout { limit: None, reason: CloseReason::IdleTimeout }
            }
            // The peer cannot accept what we do not send.
            (_, Want::WaitUntil(_)) if self.throttle.is_some() => {
                Timeout { limit: None, reason: CloseReason::SendTimeout }
            }
            (_, _) => Timeout { limit: cx.send_timeout, reason: CloseReason::SendTimeout },
        };
        // Received bytes alone do not count as progress, so a client that sends its head byte by
        // byte does not extend the deadline. A protocol that waits has no deadline, and gets one
        // again when it has waited.
        let is_without = self.deadline.is_none() || limit.is_none();
        let counts = !self.is_slow(want, reason, cx);
        if self.progress && counts || reason != self.waiting || is_without {
            if self.progress {
                self.active_at = cx.clock.compact_now();
            }
            self.waiting = reason;
            self.deadline = cx.clock.compact_after(limit);
            self.sent_before = self.outbox.sent();
        }
        self.progress = false;
    }

    /// Handles a deadline that has passed: goes on if input has arrived, sends a last response if a
    /// message is incomplete, otherwise returns [`Want::Close`].
    pub fn on_timeout(&mut self, ready: &mut Readiness, buffers: &mut Buffers, cx: &mut Context<'_>) -> Want {
        let reason = self.waiting;
        let late = self.deadline.map(|deadline| cx.clock.now().saturating_duration_since(deadline.into()));
        cx.trace(|| Step::Deadline { reason, late: late.unwrap_or_default(), got: self.unread() });
        if reason == CloseReason::SendTimeout {
            return self.probe_write(ready, buffers, cx);
        }
        // The poller reports a limited number of events at once, and the process may have been
        // stopped for long (SIGSTOP).
        if self.has_input() {
            ready.readable = true;
            let want = self.take_turn(true, ready, buffers, cx);
            if matches!(want, Want::Close(_)) || !self.is_late(cx.clock) {
                return want;
            }
        }
        self.outbox.lend_buffer(&mut buffers.output);
        let has_last_response = self.phase == Phase::Open && self.put_last_response(reason, cx);
        self.outbox.return_buffer(&mut buffers.output);
        if !has_last_response {
            return Want::Close(reason);
        }
        self.set_deadline(Want::Turn, cx);
        Want::Turn
    }

    /// Lets the protocol put a last response into the outbox, and starts to finish the connection
    /// if it does. Returns whether it does.
    fn put_last_response(&mut self, reason: CloseReason, cx: &mut Context<'_>) -> bool {
        #[cfg(feature = "tls")]
        if self.tls.as_ref().is_some_and(|tls| !tls.is_established()) {
            return false;
        }
        self.protocol.last_response(reason, self.inbox.bytes(), &mut self.outbox, cx);
        if self.outbox.is_empty() {
            return false;
        }
        self.phase = Phase::Finishing { reason, linger: true };
        self.progress = true;
        true
    }

    /// Notifies the protocol and closes the socket.
    pub fn close(mut self, reason: CloseReason, cx: &mut Context<'_>) {
        self.protocol.on_closed(reason, self.outbox.sent(), cx);
        #[cfg(feature = "tls")]
        self.announce_end(reason);
        let resets = match reason {
            CloseReason::Aborted => true,
            // The kernel must not keep unsent data for the peer.
            CloseReason::SendTimeout | CloseReason::TooSlow => !self.outbox.is_empty(),
            _ => false,
        };
        if resets {
            // SO_LINGER with a time of 0 makes the close send a reset (socket(7)).
            let _ = sockopt::set_socket_linger(&self.socket, Some(Duration::ZERO));
        }
    }
}
