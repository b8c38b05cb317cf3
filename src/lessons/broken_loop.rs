//! A loop with one bug of a kind that a first `epoll` server often has.
//!
//! The broken loop runs the same protocol and traces the same steps as the real loop, so that their
//! transcripts can be read side by side. It has neither budgets nor deadlines, and it is only for
//! lessons on loopback.

use std::{
    io::{self, ErrorKind},
    iter::once,
    net::{SocketAddr, TcpListener},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    time::Duration,
};

use mio::{Events, Interest, Poll, Token, unix::SourceFd};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{RecvFlags, recv},
};
use slab::Slab;

use super::{
    bug::{Bug, BugSettings, Damage, OnDamage},
    harness::LoopUnderTest,
    level::poll_level,
};
use crate::{
    address::Address,
    clock::Clock,
    connection::{WriteResult, write_once},
    event_loop::{ConnectOptions, flags, start_connect},
    protocol::{
        CloseReason, Context, InputBudget, LoopCounters, LoopRequests, Outbox, Progress, Protocol,
        ProtocolFactory, WorkBudget,
    },
    trace::{EventFlags, Observers, SourceId, Step},
};

const LISTENER: Token = Token(usize::MAX);
const READABLE_OR_WRITABLE: Interest = Interest::READABLE.add(Interest::WRITABLE);
/// How many times in a row a bug calls `accept` and fails. It would never stop by itself.
const MAX_RETRIES: usize = 1000;

struct BrokenConnection {
    id: SourceId,
    socket: OwnedFd,
    protocol: Box<dyn Protocol>,
    inbox: Vec<u8>,
    outbox: Outbox,
    /// Whether the loop has called connect(2), and has seen no event since.
    is_connecting: bool,
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
    open: Slab<BrokenConnection>,
    /// The number of connections so far.
    connections: u64,
    clock: Clock,
    observers: Observers,
    work: WorkBudget,
    input: InputBudget,
    /// What the protocol asks for. The lessons' protocols ask for nothing.
    requests: LoopRequests,
    counters: LoopCounters,
    on_damage: OnDamage,
    settings: BugSettings,
}

impl BrokenLoop {
    /// Creates a loop that accepts connections from `listener` and passes its steps to `observers`.
    ///
    /// # Errors
    /// Fails if the poller cannot be created or cannot poll the listener (epoll_create1(2),
    /// epoll_ctl(2)).
    pub fn new(
        bug: Bug,
        listener: TcpListener,
        factory: Box<dyn ProtocolFactory>,
        clock: Clock,
        observers: Observers,
        on_damage: OnDamage,
        settings: BugSettings,
    ) -> io::Result<BrokenLoop> {
        listener.set_nonblocking(true)?;
        let poll = Poll::new()?;
        poll.registry().register(&mut SourceFd(&listener.as_raw_fd()), LISTENER, Interest::READABLE)?;
        let (events, open) = (Events::with_capacity(1024), Slab::new());
        Ok(BrokenLoop {
            bug,
            poll,
            events,
            listener,
            factory,
            open,
            connections: 0,
            clock,
            observers,
            work: WorkBudget::default(),
            input: InputBudget::default(),
            requests: LoopRequests::default(),
            counters: LoopCounters::default(),
            on_damage,
            settings,
        })
    }

    /// Polls, and returns what is ready.
    fn wait(&mut self) -> io::Result<Vec<(Token, EventFlags)>> {
        if self.settings.is_level {
            let open = self.open.iter().map(|(key, open)| (Token(key), open.socket.as_fd(), open.is_armed));
            return poll_level(once((LISTENER, self.listener.as_fd(), false)).chain(open));
        }
        self.poll.poll(&mut self.events, Some(self.settings.poll))?;
        Ok(self.events.iter().map(|event| (event.token(), flags(event))).collect())
    }

    fn accept(&mut self) -> io::Result<()> {
        const L1: SourceId = SourceId::Listener(1);
        let mut failed = 0;
        loop {
            let (socket, peer) = match self.listener.accept() {
                Ok(accepted) => accepted,
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    self.observers.trace(L1, || Step::BacklogEmpty);
                    return Ok(());
                }
                Err(_) => {
                    failed += 1;
                    if self.bug == Bug::RetryAccept && failed < MAX_RETRIES {
                        continue;
                    }
                    (self.on_damage)(Damage::AcceptFailed(failed));
                    return Ok(());
                }
            };
            socket.set_nonblocking(true)?;
            let (connection, fd) = (self.connections + 1, socket.as_raw_fd());
            let open = self.open.len() + 1;
            self.observers.trace(L1, || Step::Accepted { connection, peer: peer.into(), fd, open });
            let protocol = self.factory.create(&peer.into());
            self.add(socket.into(), protocol, false)?;
            if self.bug == Bug::AcceptOnce {
                return Ok(());
            }
        }
    }

    /// Adds a connection, and polls it.
    fn add(&mut self, socket: OwnedFd, protocol: Box<dyn Protocol>, is_connecting: bool) -> io::Result<()> {
        self.connections += 1;
        let fd = socket.as_raw_fd();
        let key = self.open.insert(BrokenConnection {
            id: SourceId::Connection(self.connections),
            socket,
            protocol,
            inbox: Vec::new(),
            outbox: Outbox::default(),
            is_connecting,
            has_ended: false,
            is_armed: is_connecting,
        });
        let interest = if is_connecting { READABLE_OR_WRITABLE } else { Interest::READABLE };
        self.poll.registry().register(&mut SourceFd(&fd), Token(key), interest)
    }

    /// Gives one connection its turn: reads, parses and writes, and closes the connection after the
    /// end of input.
    fn handle(&mut self, key: usize) -> io::Result<()> {
        let Some(connection) = self.open.get_mut(key) else { return Ok(()) };
        let id = connection.id;
        self.work.refill(&mut self.requests);
        let mut cx = Context {
            clock: &self.clock,
            draining: false,
            stopping: false,
            source: id,
            key,
            send_timeout: None,
            least_sent: 0,
            min_rate: 0,
            max_calls: usize::MAX,
            observers: &mut self.observers,
            work: &mut self.work,
            input: &self.input,
            requests: &mut self.requests,
            counters: &mut self.counters,
        };
        let reason = match connection.handle(self.bug, self.settings, &mut cx, &self.on_damage) {
            Ok(()) if connection.has_ended && connection.outbox.is_empty() => CloseReason::Eof,
            Ok(()) => return connection.arm(key, &self.poll, &mut self.observers),
            Err(reason) => reason,
        };
        let unread = connection.inbox.len();
        self.observers.trace(id, || Step::Closed { reason, unread });
        self.open.remove(key);
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
        let events = self.wait()?;
        self.clock.tick();
        let id = |token: Token| match token {
            LISTENER => Some(SourceId::Listener(1)),
            Token(key) => self.open.get(key).map(|connection| connection.id),
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
        let scans_all = self.bug == Bug::ScanAll && events.iter().any(|(token, _)| *token != LISTENER);
        let keys: Vec<usize> = match scans_all {
            true => self.open.iter().map(|(key, _)| key).collect(),
            false => events.iter().map(|(token, _)| token.0).collect(),
        };
        keys.into_iter().try_for_each(|key| self.handle(key))
    }

    fn connect(&mut self, address: SocketAddr, protocol: Box<dyn Protocol>) -> io::Result<()> {
        let peer = Address::from(address);
        let socket = start_connect(&peer, ConnectOptions::default())?;
        let (fd, open) = (socket.as_raw_fd(), self.open.len() + 1);
        self.add(socket, protocol, true)?;
        let id = SourceId::Connection(self.connections);
        self.observers.trace(id, || Step::Connecting { peer, fd, open });
        self.observers.trace(id, || Step::Armed);
        Ok(())
    }

    fn advance(&mut self, by: Duration) {
        self.clock.advance(by);
    }
}

impl BrokenConnection {
    fn handle(
        &mut self,
        bug: Bug,
        settings: BugSettings,
        cx: &mut Context<'_>,
        on_damage: &OnDamage,
    ) -> Result<(), CloseReason> {
        if self.is_connecting {
            // This is the bug of the only lesson that connects: SO_ERROR may say otherwise.
            self.is_connecting = false;
            let _ = self.protocol.on_connected(&mut self.outbox, cx);
        }
        if self.outbox.is_empty() {
            self.read(bug, settings.small_read, cx)?;
            if self.has_ended && bug == Bug::CloseOnEof {
                return Err(CloseReason::Eof);
            }
        }
        loop {
            self.parse(bug, cx);
            let is_empty = self.outbox.is_empty();
            let flushed = self.flush(bug, settings.max_block, cx, on_damage);
            if flushed.is_err() && bug == Bug::IgnoreErrors {
                return Ok(());
            }
            flushed?;
            if is_empty || !self.outbox.is_empty() {
                return Ok(());
            }
        }
    }

    fn read(&mut self, bug: Bug, small_read: usize, cx: &mut Context<'_>) -> Result<(), CloseReason> {
        let mut buffer = [0; 65536];
        let offered = if bug == Bug::NoDrain { small_read } else { buffer.len() };
        loop {
            match recv(&self.socket, &mut buffer[..offered], RecvFlags::empty()).map(|(got, _)| got) {
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
                Err(Errno::AGAIN) => {
                    cx.trace(|| Step::Drained);
                    return Ok(());
                }
                Err(_) => return Err(CloseReason::Reset),
            }
        }
    }

    fn parse(&mut self, bug: Bug, cx: &mut Context<'_>) {
        while self.outbox.has_room() && !self.inbox.is_empty() {
            let received = self.protocol.receive(&self.inbox, &mut self.outbox, cx);
            self.inbox.drain(..received.consumed.min(self.inbox.len()));
            if bug == Bug::OneReadOneMessage {
                self.inbox.clear();
            }
            if received.progress != Progress::Again || received.consumed == 0 {
                return;
            }
        }
    }

    fn flush(
        &mut self,
        bug: Bug,
        max_block: Duration,
        cx: &mut Context<'_>,
        on_damage: &OnDamage,
    ) -> Result<(), CloseReason> {
        // For a file that sendfile(2) refuses.
        let mut buffer = [0; 16 * 1024];
        loop {
            match write_once(&mut self.outbox, &self.socket, usize::MAX, usize::MAX, &mut buffer, cx.clock)? {
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
                    if !self.wait_for_room(max_block) {
                        on_damage(Damage::Blocked(max_block));
                        return Err(CloseReason::SendTimeout);
                    }
                }
            }
        }
    }

    /// Blocks until the socket is writable, which a loop must never do. Returns false after
    /// `max_block`.
    fn wait_for_room(&self, max_block: Duration) -> bool {
        let (tv_sec, tv_nsec) = (max_block.as_secs() as i64, max_block.subsec_nanos().into());
        let timeout = Timespec { tv_sec, tv_nsec };
        poll(&mut [PollFd::new(&self.socket, PollFlags::OUT)], Some(&timeout)).is_ok_and(|ready| ready > 0)
    }

    fn arm(&mut self, key: usize, poll: &Poll, observers: &mut Observers) -> io::Result<()> {
        let writable = !self.outbox.is_empty();
        if writable == self.is_armed {
            return Ok(());
        }
        self.is_armed = writable;
        observers.trace(self.id, || if writable { Step::Armed } else { Step::Disarmed });
        let interest = if writable { READABLE_OR_WRITABLE } else { Interest::READABLE };
        poll.registry().reregister(&mut SourceFd(&self.socket.as_raw_fd()), Token(key), interest)
    }
}
