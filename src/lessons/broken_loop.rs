//! The loop's twin with a bug: what a first `epoll` server often gets wrong, one thing at a time.
//!
//! It speaks the same protocol and tells its steps in the same words, so that the two can be read side by side. It has neither
//! budgets nor deadlines. It is for lessons, on loopback, and for nothing else.

use std::{
    cell::RefCell,
    io::{self, ErrorKind, Read},
    os::fd::AsRawFd,
    rc::Rc,
    time::Duration,
};

use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use slab::Slab;

use super::harness::{LoopUnderTest, Transcript};
use crate::{
    clock::Clock,
    connection::{WriteResult, write_once},
    event_loop::flags,
    protocol::{CloseReason, Context, Outbox, Progress, Protocol, ProtocolFactory, WorkBudget},
    trace::{Observer, Observers, SourceId, Step},
};

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// What one read brings is taken for one message, and nothing is kept for the next read.
    OneReadOneMessage,
    /// What does not fit into the send buffer is waited for on the spot.
    WriteAll,
    /// One read an event, with a small buffer, although an edge is told once.
    NoDrain,
    /// One accept an event.
    AcceptOnce,
    /// The end of input is the end of the conversation.
    CloseOnEof,
    /// Nobody is ever late.
    NoDeadline,
    /// Whoever has work is served until it has none.
    NoBudget,
    /// Everybody is asked in each turn, as select(2) does.
    ScanAll,
}

impl Bug {
    pub fn name(self) -> &'static str {
        match self {
            Bug::OneReadOneMessage => "one-read-one-message",
            Bug::WriteAll => "write-all",
            Bug::NoDrain => "no-drain",
            Bug::AcceptOnce => "accept-once",
            Bug::CloseOnEof => "close-on-eof",
            Bug::NoDeadline => "no-deadline",
            Bug::NoBudget => "no-budget",
            Bug::ScanAll => "scan-all",
        }
    }
}

const LISTENER: Token = Token(usize::MAX);
/// How long a lesson looks at a loop that stands still.
const STANDSTILL: Duration = Duration::from_millis(200);

struct SourceState {
    id: SourceId,
    socket: TcpStream,
    protocol: Box<dyn Protocol>,
    inbox: Vec<u8>,
    outbox: Outbox,
    has_ended: bool,
    is_armed: bool,
}

/// A loop with one bug.
pub struct BrokenLoop {
    bug: Bug,
    poll: Poll,
    events: Events,
    listener: TcpListener,
    factory: Box<dyn ProtocolFactory>,
    sources: Slab<SourceState>,
    connections: u64,
    clock: Clock,
    observers: Observers,
    work: WorkBudget,
    transcript: Rc<RefCell<Transcript>>,
}

impl BrokenLoop {
    /// Listens on `listener` and has `observer` watch.
    ///
    /// # Errors
    /// The system gives no poller.
    pub fn new(
        bug: Bug,
        listener: std::net::TcpListener,
        factory: Box<dyn ProtocolFactory>,
        clock: Clock,
        observer: Box<dyn Observer>,
        transcript: Rc<RefCell<Transcript>>,
    ) -> io::Result<BrokenLoop> {
        listener.set_nonblocking(true)?;
        let mut listener = TcpListener::from_std(listener);
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let mut observers = Observers::default();
        observers.add(observer);
        let (events, sources) = (Events::with_capacity(1024), Slab::new());
        Ok(BrokenLoop {
            bug,
            poll,
            events,
            listener,
            factory,
            sources,
            connections: 0,
            clock,
            observers,
            work: WorkBudget::default(),
            transcript,
        })
    }

    fn accept(&mut self) -> io::Result<()> {
        const L1: SourceId = SourceId::Listener(1);
        loop {
            let Ok((socket, peer)) = self.listener.accept() else {
                self.observers.trace(L1, || Step::BacklogEmpty);
                return Ok(());
            };
            self.connections += 1;
            let (connection, fd) = (self.connections, socket.as_raw_fd());
            let open = self.sources.len() + 1;
            self.observers.trace(L1, || Step::Accepted { connection, peer, fd, open });
            let key = self.sources.insert(SourceState {
                id: SourceId::Connection(connection),
                socket,
                protocol: self.factory.create(peer),
                inbox: Vec::new(),
                outbox: Outbox::default(),
                has_ended: false,
                is_armed: false,
            });
            let socket = &mut self.sources[key].socket;
            self.poll.registry().register(socket, Token(key), Interest::READABLE)?;
            if self.bug == Bug::AcceptOnce {
                return Ok(());
            }
        }
    }

    /// Reads, understands, writes; and closes where there is no more to come.
    fn handle(&mut self, key: usize) -> io::Result<()> {
        let Some(peer) = self.sources.get_mut(key) else { return Ok(()) };
        let id = peer.id;
        self.work.refill();
        let mut cx = Context {
            clock: &self.clock,
            draining: false,
            source: id,
            observers: &mut self.observers,
            work: &mut self.work,
        };
        let reason = match peer.converse(self.bug, &mut cx, &self.transcript) {
            Ok(()) if peer.has_ended && peer.outbox.is_empty() => CloseReason::Eof,
            Ok(()) => return peer.arm(key, &self.poll, &mut self.observers),
            Err(reason) => reason,
        };
        let unread = peer.inbox.len();
        self.observers.trace(id, || Step::Closed { reason, unread });
        self.sources.remove(key);
        Ok(())
    }
}

impl LoopUnderTest for BrokenLoop {
    fn turn(&mut self) -> io::Result<()> {
        self.observers.trace(SourceId::Loop, || Step::Waiting {
            turn: self.clock.turn(),
            timeout: None,
            carried: 0,
        });
        self.poll.poll(&mut self.events, Some(Duration::ZERO))?;
        self.clock.tick();
        let events: Vec<_> = self.events.iter().map(|event| (event.token(), flags(event))).collect();
        let id = |token: Token| match token {
            LISTENER => Some(SourceId::Listener(1)),
            Token(key) => self.sources.get(key).map(|peer| peer.id),
        };
        let ready = events.iter().filter_map(|(token, flags)| Some((id(*token)?, *flags))).collect();
        self.observers.trace(SourceId::Loop, || Step::Woke {
            turn: self.clock.turn(),
            ready,
            carried: Vec::new(),
        });
        if events.iter().any(|(token, _)| *token == LISTENER) {
            self.accept()?;
        }
        let everybody = self.bug == Bug::ScanAll && events.iter().any(|(token, _)| *token != LISTENER);
        let keys: Vec<usize> = match everybody {
            true => self.sources.iter().map(|(key, _)| key).collect(),
            false => events.iter().map(|(token, _)| token.0).collect(),
        };
        keys.into_iter().try_for_each(|key| self.handle(key))
    }

    fn advance(&mut self, by: Duration) {
        self.clock.advance(by);
    }
}

impl SourceState {
    fn converse(
        &mut self,
        bug: Bug,
        cx: &mut Context<'_>,
        transcript: &RefCell<Transcript>,
    ) -> Result<(), CloseReason> {
        if self.outbox.is_empty() {
            self.read(bug, cx)?;
            if self.has_ended && bug == Bug::CloseOnEof {
                return Err(CloseReason::Eof);
            }
        }
        loop {
            self.understand(bug, cx);
            let is_empty = self.outbox.is_empty();
            self.flush(bug, cx, transcript)?;
            if is_empty || !self.outbox.is_empty() {
                return Ok(());
            }
        }
    }

    fn read(&mut self, bug: Bug, cx: &mut Context<'_>) -> Result<(), CloseReason> {
        let mut buffer = [0; 65536];
        let offered = if bug == Bug::NoDrain { 16 } else { buffer.len() };
        loop {
            match self.socket.read(&mut buffer[..offered]) {
                Ok(0) => {
                    cx.trace(|| Step::EndOfInput);
                    self.has_ended = true;
                    return Ok(());
                }
                Ok(got) => {
                    let kept = self.inbox.len();
                    cx.trace(|| Step::Read { offered, bytes: buffer[..got].to_vec(), kept });
                    self.inbox.extend_from_slice(&buffer[..got]);
                    if matches!(bug, Bug::NoDrain | Bug::OneReadOneMessage) {
                        return Ok(());
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    cx.trace(|| Step::Drained);
                    return Ok(());
                }
                Err(_) => return Err(CloseReason::Reset),
            }
        }
    }

    fn understand(&mut self, bug: Bug, cx: &mut Context<'_>) {
        while self.outbox.has_room() && !self.inbox.is_empty() {
            let got = self.protocol.receive(&self.inbox, &mut self.outbox, cx);
            self.inbox.drain(..got.consumed.min(self.inbox.len()));
            if bug == Bug::OneReadOneMessage {
                self.inbox.clear();
            }
            if got.progress != Progress::Again || got.consumed == 0 {
                return;
            }
        }
    }

    fn flush(
        &mut self,
        bug: Bug,
        cx: &mut Context<'_>,
        transcript: &RefCell<Transcript>,
    ) -> Result<(), CloseReason> {
        loop {
            match write_once(&mut self.outbox, &mut self.socket, usize::MAX)? {
                WriteResult::Nothing => return Ok(()),
                WriteResult::Sent { by, offered, got } => {
                    let (sent, of) = (self.outbox.sent(), self.outbox.position());
                    cx.trace(|| Step::Wrote { by, offered, got, sent, of });
                }
                WriteResult::WouldBlock { by, offered } => {
                    cx.trace(|| Step::Blocked { by, offered });
                    if bug != Bug::WriteAll {
                        return Ok(());
                    }
                    if !self.wait_for_room() {
                        transcript
                            .borrow_mut()
                            .say("(the loop stands still in here until this peer reads, and serves nobody)");
                        transcript.borrow_mut().say("(after 200 ms the lesson ends that)");
                        return Err(CloseReason::SendTimeout);
                    }
                }
            }
        }
    }

    /// What no loop must ever do.
    fn wait_for_room(&self) -> bool {
        let timeout = Timespec { tv_sec: 0, tv_nsec: STANDSTILL.as_nanos() as i64 };
        poll(&mut [PollFd::new(&self.socket, PollFlags::OUT)], Some(&timeout)).is_ok_and(|ready| ready > 0)
    }

    fn arm(&mut self, key: usize, poll: &Poll, steps: &mut Observers) -> io::Result<()> {
        let writable = !self.outbox.is_empty();
        if writable == self.is_armed {
            return Ok(());
        }
        self.is_armed = writable;
        steps.trace(self.id, || if writable { Step::Armed } else { Step::Disarmed });
        let interest = if writable { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        poll.registry().reregister(&mut self.socket, Token(key), interest)
    }
}
