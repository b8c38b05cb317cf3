//! One connection: read, parse, respond and write, within a budget.
//!
//! A connection owns its socket, its unparsed input and its unsent output. It knows nothing about
//! HTTP, the poller or files. The loop passes in the connection's readiness; the connection does
//! what it can without blocking, and returns what it wants next. A connection must never read while
//! output is unsent. This backpressure limits its memory use.

mod inbox;
mod read;
mod write;

use std::{
    net::Shutdown,
    ops::ControlFlow::{self, Break, Continue},
    os::fd::{AsRawFd, RawFd},
    time::{Duration, Instant},
};

use mio::net::TcpStream;

use self::inbox::Inbox;
#[cfg(feature = "lessons")] // the lessons' broken loop uses the same code to write
pub use self::write::{WriteResult, write_once};
use crate::{
    clock::Clock,
    protocol::{CloseReason, Context, Outbox, Protocol, Timeout},
    source::{Buffers, Readiness, Want},
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

/// The phase of a connection, from open to closed.
///
/// | phase | input | output | next |
/// |---|---|---|---|
/// | `Open` | is parsed and answered | is sent | `Finishing` when the protocol closes the connection, or a message times out |
/// | `Finishing` | stays unread | is sent | closed, or `Lingering` if the peer may still send |
/// | `Lingering` | is read and dropped | is shut down | closed when the peer closes, or after [`LINGER`] |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
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

/// The bytes and messages that a connection may still process in this turn.
struct Budget {
    bytes: usize,
    messages: usize,
}

/// One accepted connection.
pub struct Connection {
    socket: TcpStream,
    protocol: Box<dyn Protocol>,
    inbox: Inbox,
    outbox: Outbox,
    phase: Phase,
    /// Whether the protocol has yielded. If so, it is resumed before more input is parsed.
    has_yielded: bool,
    /// Whether input has been parsed or output sent since the deadline was last set.
    progress: bool,
    /// The close reason if the deadline passes.
    waiting: CloseReason,
    deadline: Option<Instant>,
    /// How long the peer may go without accepting data.
    send_timeout: Option<Duration>,
}

impl Connection {
    /// Creates a connection from an accepted socket. Its first deadline counts from the start of
    /// the turn.
    pub fn new(
        socket: TcpStream,
        protocol: Box<dyn Protocol>,
        send_timeout: Option<Duration>,
        clock: &Clock,
    ) -> Connection {
        let Timeout { limit, reason } = protocol.timeout(false);
        Connection {
            socket,
            protocol,
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            phase: Phase::Open,
            has_yielded: false,
            progress: false,
            waiting: reason,
            deadline: clock.after(limit),
            send_timeout,
        }
    }

    /// Returns when to call [`Connection::on_timeout`], or `None` if never.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Returns the socket, to register it with the poller.
    pub fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// Returns the step that reports the deadline, relative to `now`.
    pub fn deadline_step(&self, now: Instant) -> Step {
        let within = self.deadline.map(|deadline| deadline.saturating_duration_since(now));
        Step::DeadlineSet { reason: self.waiting, within }
    }

    /// Returns the number of input bytes that have not been parsed.
    pub fn unread(&self) -> usize {
        self.inbox.bytes().len()
    }

    /// Returns the socket's descriptor, for traces.
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
        self.set_deadline(want, cx.clock);
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
        let mut budget = Budget { bytes: WRITE_BUDGET, messages: MESSAGE_BUDGET };
        for _ in 0..ROUND_LIMIT {
            self.write(&mut budget, &mut probe, ready, buffer, cx)?;
            match self.phase {
                Phase::Open => self.receive(&mut budget, ready, buffer, cx)?,
                // Closing now would send a reset if input has arrived during the response.
                Phase::Finishing { reason, linger } => {
                    self.half_close(reason, linger || ready.readable, cx)?;
                }
                Phase::Lingering { reason } => self.discard(ready, buffer, reason, cx)?,
            }
        }
        Continue(())
    }

    /// Shuts down our side and lingers if the peer may still be sending (`linger`); otherwise
    /// closes at once. The caller has already sent all output.
    fn half_close(&mut self, reason: CloseReason, linger: bool, cx: &mut Context<'_>) -> ControlFlow<Want> {
        if !linger || self.socket.shutdown(Shutdown::Write).is_err() {
            return Break(Want::Close(reason));
        }
        cx.trace(|| Step::ShutDown);
        self.inbox.clear();
        self.phase = Phase::Lingering { reason };
        self.progress = true;
        Continue(())
    }

    /// Sets a new deadline after progress, or when the connection starts to wait for something
    /// else.
    fn set_deadline(&mut self, want: Want, clock: &Clock) {
        let Timeout { limit, reason } = match (self.phase, want) {
            (_, Want::Close(_)) => return,
            (Phase::Lingering { reason }, _) => Timeout { limit: Some(LINGER), reason },
            (Phase::Open, Want::Readable) => self.protocol.timeout(!self.inbox.is_empty()),
            (_, _) => Timeout { limit: self.send_timeout, reason: CloseReason::SendTimeout },
        };
        // Received bytes alone do not count as progress, so a client that sends its head byte by
        // byte does not extend the deadline.
        if self.progress || reason != self.waiting {
            self.progress = false;
            self.waiting = reason;
            self.deadline = clock.after(limit);
        }
    }

    /// Handles a deadline that has passed: sends a last response if a message is incomplete,
    /// otherwise returns [`Want::Close`].
    pub fn on_timeout(&mut self, ready: &mut Readiness, buffers: &mut Buffers, cx: &mut Context<'_>) -> Want {
        let reason = self.waiting;
        let late = self.deadline.map(|deadline| cx.clock.now().saturating_duration_since(deadline));
        cx.trace(|| Step::Deadline { reason, late: late.unwrap_or_default(), got: self.unread() });
        if reason == CloseReason::SendTimeout {
            return self.probe_write(ready, buffers, cx);
        }
        // No message has begun, or the last response has been sent: there is nothing to answer.
        if self.phase != Phase::Open || self.inbox.is_empty() {
            return Want::Close(reason);
        }
        self.outbox.lend_buffer(&mut buffers.output);
        self.protocol.on_timeout(self.inbox.bytes(), &mut self.outbox, cx);
        self.outbox.return_buffer(&mut buffers.output);
        self.phase = Phase::Finishing { reason, linger: true };
        self.progress = true;
        self.set_deadline(Want::Turn, cx.clock);
        Want::Turn
    }

    /// Tries to write once more before closing a connection whose send timeout has passed.
    fn probe_write(&mut self, ready: &mut Readiness, buffers: &mut Buffers, cx: &mut Context<'_>) -> Want {
        // The kernel reports writability only when a third of the send buffer is free. A slow
        // reader may have taken less than that, and only a write shows whether it has taken
        // anything.
        ready.writable = true;
        let want = self.take_turn(false, ready, buffers, cx);
        let is_late = self.deadline.is_some_and(|deadline| deadline <= cx.clock.now());
        if is_late { Want::Close(CloseReason::SendTimeout) } else { want }
    }

    /// Notifies the protocol and closes the socket.
    pub fn close(mut self, reason: CloseReason, clock: &Clock) {
        self.protocol.on_closed(self.outbox.sent(), clock);
        if reason == CloseReason::SendTimeout {
            // SO_LINGER with a time of 0 makes the close send a reset, so that the kernel does not
            // keep unsent data for the peer.
            let _ = socket2::SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
        }
    }
}
