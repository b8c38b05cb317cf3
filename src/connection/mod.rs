//! One peer: read → receive → flush, within a budget.
//!
//! A connection owns its socket, what came and is not understood, and what is to be sent and is not. It knows no
//! protocol and no poller: it is told what is ready, does what can be done without blocking, and says what it needs
//! next. It must never read while something is unsent: that is the backpressure which bounds its memory.

mod disk;
mod flush;
mod inbox;
mod receive;

use std::{
    net::Shutdown,
    ops::ControlFlow::{self, Break, Continue},
    os::fd::{AsRawFd, RawFd},
    time::{Duration, Instant},
};

use mio::net::TcpStream;

pub use self::flush::{Wrote, write_once};
use self::{
    disk::{Disk, Queue},
    inbox::Inbox,
};
use crate::{
    clock::Clock,
    observer::Step,
    protocol::{Context, Outbox, Patience, Protocol, Why},
};

/// Reads and writes at most this often in one turn.
const ROUNDS: usize = 16;
/// Asks a protocol for about this many answers at most in one turn: one read can bring thousands of messages.
const MESSAGES: usize = 64;
/// Writes about this many bytes at most in one turn, so that others are served.
const WRITE_BUDGET: usize = 512 * 1024;
/// How long a peer may take to notice that we are done, before its connection is closed for good.
const LINGER: Duration = Duration::from_secs(2);

/// What is known of a source's readiness. The poller reports edges, that something *became* ready; here it is remembered
/// that it still *is*, until a call would block.
#[derive(Debug, Clone, Copy)]
pub struct Readiness {
    pub readable: bool,
    pub writable: bool,
    /// The peer has closed its side: after the data comes an end of input, and no further event.
    pub hung_up: bool,
}

impl Readiness {
    /// Of a new source: nothing has come; what is sent first finds an empty send buffer.
    pub fn new() -> Readiness {
        Readiness { readable: false, writable: true, hung_up: false }
    }
}

/// What each connection works with in its turn, and none keeps.
pub struct Scratch {
    /// What one read can take: more than a protocol ever keeps.
    input: Box<[u8]>,
    /// The spare outbox buffer.
    output: Vec<u8>,
    /// What is known of the disk.
    queue: Queue,
}

impl Scratch {
    pub fn new() -> Scratch {
        Scratch {
            input: vec![0; 64 * 1024].into(),
            output: Vec::with_capacity(80 * 1024),
            queue: Queue::default(),
        }
    }

    /// A buffer that holds any datagram.
    pub fn input(&mut self) -> &mut [u8] {
        &mut self.input
    }
}

/// What a connection needs after its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// To be readable.
    Wait,
    /// To be writable.
    Blocked,
    /// Another turn: its budget is used up.
    Again,
    /// A moment: the disk reads what is to be sent next.
    Later,
    /// To be closed.
    Closed(Why),
}

/// How far the conversation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Input is understood and answered.
    Open,
    /// No more is understood; what is in the outbox still goes out. `linger`: the peer may still be sending.
    Finishing { why: Why, linger: bool },
    /// Our side is shut down, and what the peer still sends is dropped until it closes, too. A close with unread input
    /// would be a reset, which can destroy the answer on its way.
    Lingering { why: Why },
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
    disk: Disk,
    phase: Phase,
    /// Something was understood or sent since patience was last measured.
    progress: bool,
    /// What the deadline is for.
    waiting: Why,
    deadline: Option<Instant>,
    /// How long the peer may take nothing of what is sent.
    send_timeout: Option<Duration>,
}

impl Connection {
    pub fn new(
        socket: TcpStream,
        protocol: Box<dyn Protocol>,
        send_timeout: Option<Duration>,
        now: Instant,
    ) -> Connection {
        let Patience { limit, why } = protocol.patience(false);
        Connection {
            socket,
            protocol,
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            disk: Disk::default(),
            phase: Phase::Open,
            progress: false,
            waiting: why,
            deadline: after(now, limit),
            send_timeout,
        }
    }

    /// When patience with this peer ends; `None`: never.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// How long this peer may take from `now` on, and for what, as a step.
    pub fn patience(&self, now: Instant) -> Step {
        let within = self.deadline.map(|deadline| deadline.saturating_duration_since(now));
        Step::Patient { why: self.waiting, within }
    }

    /// Whether it waits for the disk, which no event tells of.
    pub fn awaits_disk(&self) -> bool {
        self.disk.is_awaited()
    }

    /// How many bytes came that are not understood.
    pub fn unread(&self) -> usize {
        self.inbox.bytes().len()
    }

    /// The number of the socket's descriptor.
    pub fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// One turn: sends what is unsent, understands what has come, answers, and sends again, until nothing more can be
    /// done without blocking or the budget is used up.
    pub fn converse(
        &mut self,
        ready: &mut Readiness,
        scratch: &mut Scratch,
        cx: &mut Context<'_>,
    ) -> Outcome {
        self.outbox.borrow(&mut scratch.output);
        let outcome = match self.rounds(ready, scratch, cx) {
            Continue(()) => Outcome::Again,
            Break(outcome) => outcome,
        };
        self.outbox.give_back(&mut scratch.output);
        self.set_deadline(outcome, cx.clock.now());
        outcome
    }

    fn rounds(
        &mut self,
        ready: &mut Readiness,
        scratch: &mut Scratch,
        cx: &mut Context<'_>,
    ) -> ControlFlow<Outcome> {
        let mut budget = Budget { bytes: WRITE_BUDGET, messages: MESSAGES };
        for _ in 0..ROUNDS {
            self.flush(&mut budget, ready, scratch, cx)?;
            let buffer = &mut scratch.input;
            match self.phase {
                Phase::Open => self.receive(&mut budget, ready, buffer, cx)?,
                // What came while the answer was sent would make a close a reset.
                Phase::Finishing { why, linger } => self.say_goodbye(why, linger || ready.readable, cx)?,
                Phase::Lingering { why } => self.discard(ready, buffer, why, cx)?,
            }
        }
        Continue(())
    }

    /// Sends what there is, and tells the protocol how far that went.
    fn flush(
        &mut self,
        budget: &mut Budget,
        ready: &mut Readiness,
        scratch: &mut Scratch,
        cx: &mut Context<'_>,
    ) -> ControlFlow<Outcome> {
        let before = self.outbox.sent();
        let flow = self.write(budget, ready, scratch, cx);
        if self.outbox.sent() != before {
            self.protocol.sent(self.outbox.sent(), cx.clock);
        }
        flow
    }

    /// Sends until the outbox is empty. Writability is waited for only after a write would block.
    fn write(
        &mut self,
        budget: &mut Budget,
        ready: &mut Readiness,
        scratch: &mut Scratch,
        cx: &mut Context<'_>,
    ) -> ControlFlow<Outcome> {
        while !self.outbox.is_empty() {
            if !ready.writable {
                return Break(Outcome::Blocked);
            }
            if budget.bytes == 0 {
                return Break(Outcome::Again);
            }
            let Scratch { input, queue, .. } = scratch;
            let at_hand = self.disk.at_hand(&self.outbox, budget.bytes, queue, input, cx.clock);
            if at_hand == 0 {
                cx.note(|| Step::NotInMemory { sent: self.outbox.sent() });
                return Break(Outcome::Later);
            }
            match write_once(&mut self.outbox, &mut self.socket, at_hand) {
                Ok(Wrote::Nothing) => {}
                Ok(Wrote::Some { by, offered, got }) => {
                    self.progress |= got > 0;
                    budget.bytes = budget.bytes.saturating_sub(got);
                    cx.note(|| {
                        let (sent, of) = (self.outbox.sent(), self.outbox.position());
                        Step::Wrote { by, offered, got, sent, of }
                    });
                }
                Ok(Wrote::WouldBlock { by, offered }) => {
                    ready.writable = false;
                    cx.note(|| Step::Blocked { by, offered });
                }
                Err(why) => return Break(Outcome::Closed(why)),
            }
        }
        Continue(())
    }

    /// Everything is sent: closes at once when the peer has nothing more to say either, else shuts our side down.
    fn say_goodbye(&mut self, why: Why, linger: bool, cx: &mut Context<'_>) -> ControlFlow<Outcome> {
        if !linger || self.socket.shutdown(Shutdown::Write).is_err() {
            return Break(Outcome::Closed(why));
        }
        cx.note(|| Step::ShutDown);
        self.inbox.clear();
        self.phase = Phase::Lingering { why };
        self.progress = true;
        Continue(())
    }

    /// Measures patience anew after progress, or when something else is waited for. Progress is what was understood or
    /// sent, so that a head which trickles in buys no time.
    fn set_deadline(&mut self, outcome: Outcome, now: Instant) {
        let Patience { limit, why } = match (self.phase, outcome) {
            (_, Outcome::Closed(_)) => return,
            (Phase::Lingering { why }, _) => Patience { limit: Some(LINGER), why },
            (Phase::Open, Outcome::Wait) => self.protocol.patience(!self.inbox.is_empty()),
            (_, _) => Patience { limit: self.send_timeout, why: Why::SendTimeout },
        };
        if self.progress || why != self.waiting {
            self.progress = false;
            self.waiting = why;
            self.deadline = after(now, limit);
        }
    }

    /// The deadline has passed: says last words if a message was under way, else the connection is to be closed.
    pub fn late(&mut self, ready: &mut Readiness, scratch: &mut Scratch, cx: &mut Context<'_>) -> Outcome {
        let why = self.waiting;
        let late = self.deadline.map(|deadline| cx.clock.now().saturating_duration_since(deadline));
        cx.note(|| Step::Deadline { why, late: late.unwrap_or_default(), got: self.unread() });
        if why == Why::SendTimeout {
            return self.try_once_more(ready, scratch, cx);
        }
        if self.phase != Phase::Open || self.inbox.is_empty() {
            return Outcome::Closed(why);
        }
        self.outbox.borrow(&mut scratch.output);
        self.protocol.late(self.inbox.bytes(), &mut self.outbox, cx);
        self.outbox.give_back(&mut scratch.output);
        self.phase = Phase::Finishing { why, linger: true };
        self.progress = true;
        self.set_deadline(Outcome::Again, cx.clock.now());
        Outcome::Again
    }

    /// The kernel tells of room only when a third of the send buffer is free, which a slow reader may not have taken in
    /// time. So whether it has taken nothing at all shows only in a write.
    fn try_once_more(
        &mut self,
        ready: &mut Readiness,
        scratch: &mut Scratch,
        cx: &mut Context<'_>,
    ) -> Outcome {
        ready.writable = true;
        self.disk.trust();
        let outcome = self.converse(ready, scratch, cx);
        let is_late = self.deadline.is_some_and(|deadline| deadline <= cx.clock.now());
        if is_late { Outcome::Closed(Why::SendTimeout) } else { outcome }
    }

    /// Closes the connection. A peer that takes nothing is reset, so that the kernel need not keep what it will not
    /// take.
    pub fn close(mut self, why: Why, clock: &Clock) {
        self.protocol.closed(self.outbox.sent(), clock);
        if why == Why::SendTimeout {
            let _ = socket2::SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
        }
    }
}

/// The moment when `limit` has passed; none where there is no limit, or no such moment.
fn after(now: Instant, limit: Option<Duration>) -> Option<Instant> {
    limit.and_then(|limit| now.checked_add(limit))
}
