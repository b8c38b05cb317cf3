//! One peer: read, parse, respond, write, within a budget.
//!
//! A connection owns its socket, the input that is not parsed and the output that is not sent. It
//! knows no protocol, no poller and no file: it is given what is ready, does what it can without
//! blocking, and returns what it wants next. It must never read while something is unsent: that is
//! the backpressure which bounds its memory.

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
#[cfg(feature = "lessons")] // their broken loop writes as this one does
pub use self::write::{WriteResult, write_once};
use crate::{
    clock::Clock,
    protocol::{CloseReason, Context, Outbox, Protocol, Timeout},
    source::{Buffers, Readiness, Want},
    trace::Step,
};

/// Reads and writes at most this often in one turn.
const ROUND_LIMIT: usize = 16;
/// Asks the protocol for at most this many responses in one turn: one read can bring thousands of
/// messages.
const MESSAGE_BUDGET: usize = 64;
/// Writes about this many bytes at most in one turn, so that others are served.
const WRITE_BUDGET: usize = 512 * 1024;
/// How long a peer may take to close after we have, before its connection is closed for good.
const LINGER: Duration = Duration::from_secs(2);

/// How a connection comes to its end.
///
/// | phase | input | output | next |
/// |---|---|---|---|
/// | `Open` | is parsed and answered | is sent | `Finishing` when the protocol closes, or a message is late |
/// | `Finishing` | stays unread | is sent | closed, or `Lingering` if the peer may still be sending |
/// | `Lingering` | is read and dropped | is shut down | closed when the peer closes, or after [`LINGER`] |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// `linger`: the peer may still be sending.
    Finishing {
        reason: CloseReason,
        linger: bool,
    },
    /// A close with unread input would send a reset, which can destroy the response on its way (RFC
    /// 9112 section 9.6).
    Lingering {
        reason: CloseReason,
    },
}

/// What a connection may still do in this turn.
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
    /// The protocol has yielded: it is resumed before more is parsed.
    has_yielded: bool,
    /// Something was parsed or sent since the deadline was set.
    progress: bool,
    /// What happens at the deadline.
    waiting: CloseReason,
    deadline: Option<Instant>,
    /// How long the peer may accept no data.
    send_timeout: Option<Duration>,
}

impl Connection {
    pub fn new(
        socket: TcpStream,
        protocol: Box<dyn Protocol>,
        send_timeout: Option<Duration>,
        now: Instant,
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
            deadline: after(now, limit),
            send_timeout,
        }
    }

    /// Returns when to call [`Connection::on_timeout`]; `None`: never.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// Describes the deadline, as it is seen from `now`.
    pub fn deadline_step(&self, now: Instant) -> Step {
        let within = self.deadline.map(|deadline| deadline.saturating_duration_since(now));
        Step::DeadlineSet { reason: self.waiting, within }
    }

    /// Returns how many bytes were received and not parsed.
    pub fn unread(&self) -> usize {
        self.inbox.bytes().len()
    }

    pub fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Takes one turn: sends what is unsent, parses and answers what has come, and sends again,
    /// until nothing more can be done without blocking or the budget is used up.
    pub fn handle(&mut self, ready: &mut Readiness, buffers: &mut Buffers, cx: &mut Context<'_>) -> Want {
        self.take_turn(true, ready, buffers, cx)
    }

    /// `probe`: see [`FileBody::sendable`](crate::protocol::FileBody::sendable).
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
        self.set_deadline(want, cx.clock.now());
        want
    }

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
                // Input that came while the response was sent would turn a close into a reset.
                Phase::Finishing { reason, linger } => {
                    self.half_close(reason, linger || ready.readable, cx)?;
                }
                Phase::Lingering { reason } => self.discard(ready, buffer, reason, cx)?,
            }
        }
        Continue(())
    }

    /// Closes at once if the peer has nothing more to say; otherwise shuts our side down.
    /// Everything is sent.
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

    /// Moves the deadline after progress, or when the connection waits for something else. Progress
    /// is input that was parsed or output that was sent: a head that trickles in makes none.
    fn set_deadline(&mut self, want: Want, now: Instant) {
        let Timeout { limit, reason } = match (self.phase, want) {
            (_, Want::Close(_)) => return,
            (Phase::Lingering { reason }, _) => Timeout { limit: Some(LINGER), reason },
            (Phase::Open, Want::Readable) => self.protocol.timeout(!self.inbox.is_empty()),
            (_, _) => Timeout { limit: self.send_timeout, reason: CloseReason::SendTimeout },
        };
        if self.progress || reason != self.waiting {
            self.progress = false;
            self.waiting = reason;
            self.deadline = after(now, limit);
        }
    }

    /// Takes the turn of a connection whose deadline has passed: sends a last response if a message
    /// was incomplete, otherwise wants to be closed.
    pub fn on_timeout(&mut self, ready: &mut Readiness, buffers: &mut Buffers, cx: &mut Context<'_>) -> Want {
        let reason = self.waiting;
        let late = self.deadline.map(|deadline| cx.clock.now().saturating_duration_since(deadline));
        cx.trace(|| Step::Deadline { reason, late: late.unwrap_or_default(), got: self.unread() });
        if reason == CloseReason::SendTimeout {
            return self.probe_write(ready, buffers, cx);
        }
        if self.phase != Phase::Open || self.inbox.is_empty() {
            return Want::Close(reason);
        }
        self.outbox.lend_buffer(&mut buffers.output);
        self.protocol.on_timeout(self.inbox.bytes(), &mut self.outbox, cx);
        self.outbox.return_buffer(&mut buffers.output);
        self.phase = Phase::Finishing { reason, linger: true };
        self.progress = true;
        self.set_deadline(Want::Turn, cx.clock.now());
        Want::Turn
    }

    /// Writes once more before the connection is given up. The kernel reports room only when a
    /// third of the send buffer is free, and a slow reader may not have freed that much: only a
    /// write shows whether it has taken nothing at all.
    fn probe_write(&mut self, ready: &mut Readiness, buffers: &mut Buffers, cx: &mut Context<'_>) -> Want {
        ready.writable = true;
        let want = self.take_turn(false, ready, buffers, cx);
        let is_late = self.deadline.is_some_and(|deadline| deadline <= cx.clock.now());
        if is_late { Want::Close(CloseReason::SendTimeout) } else { want }
    }

    /// Closes the connection. A peer that takes nothing gets a reset, so that the kernel does not
    /// keep data for it.
    pub fn close(mut self, reason: CloseReason, clock: &Clock) {
        self.protocol.on_closed(self.outbox.sent(), clock);
        if reason == CloseReason::SendTimeout {
            let _ = socket2::SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
        }
    }
}

/// Returns the moment when `limit` has passed; `None` where there is no limit, or no such moment.
fn after(now: Instant, limit: Option<Duration>) -> Option<Instant> {
    limit.and_then(|limit| now.checked_add(limit))
}
