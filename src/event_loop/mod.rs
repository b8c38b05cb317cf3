//! The loop: wait for the ready set, and for each ready source accept, converse or answer.
//!
//! It owns the poller, the sources, the ready queue, the deadlines and the clock, and nothing else: it knows no
//! protocol and no file. It must never block anywhere but in its poll, and never let one source keep the others
//! waiting. Read [`EventLoop::turn`] first, beside the `select()` program that it mirrors.

mod datagrams;
mod deadlines;
mod house;
mod ready;
mod source;
mod watched;

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    time::{Duration, Instant},
};

use mio::{Events, Poll, net::TcpStream};
use rustix::io::Errno;
use signal_hook::consts::SIGUSR1;
use slab::Slab;

pub(crate) use self::watched::flags;
use self::{
    deadlines::Deadlines,
    ready::Ready,
    source::{Kind, Source},
};
use crate::{
    clock::Clock,
    connection::{Connection, Outcome, Scratch},
    observer::{Step, Steps, Who},
    protocol::Context,
};

/// Accepts at most this many connections a listener and turn.
const ACCEPTS: usize = 64;
/// Looks at most at this many sources a turn whose time has come.
const LATE: usize = 256;
/// Asks a listener again after this long when descriptors or memory ran out.
const RETRY_ACCEPT: Duration = Duration::from_millis(200);
/// Looks again after this long whether the disk has read what is to be sent.
const RETRY_DISK: Duration = Duration::from_millis(1);
/// Tells the operator of that at most this often.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// Bounds that hold for every connection. `None`: no bound.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections open at once; further peers wait in the backlog.
    pub max_connections: usize,
    /// How long a peer may take nothing of what is sent to it.
    pub send_timeout: Option<Duration>,
    /// How long the responses under way may take once the loop [drains](EventLoop::drain).
    pub drain_timeout: Option<Duration>,
}

/// One thread's event loop.
pub struct EventLoop {
    poll: Poll,
    events: Events,
    sources: Slab<Source>,
    ready: Ready,
    deadlines: Deadlines,
    clock: Clock,
    steps: Steps,
    scratch: Scratch,
    limits: Limits,
    /// Connections open now, and sources opened ever, by kind: `c3` is the third connection.
    open: usize,
    connections: u64,
    listeners: u64,
    datagrams: u64,
    /// Listeners that have met a full house.
    parked: Vec<usize>,
    /// When the operator was last told that descriptors or memory ran out.
    complained: Option<Instant>,
    draining: bool,
    drained_by: Option<Instant>,
}

impl EventLoop {
    /// An event loop with nothing to poll.
    ///
    /// # Errors
    /// The system gives no poller.
    pub fn new(limits: Limits, clock: Clock) -> io::Result<EventLoop> {
        Ok(EventLoop {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            sources: Slab::new(),
            ready: Ready::default(),
            deadlines: Deadlines::default(),
            clock,
            steps: Steps::default(),
            scratch: Scratch::new(),
            limits,
            open: 0,
            connections: 0,
            listeners: 0,
            datagrams: 0,
            parked: Vec::new(),
            complained: None,
            draining: false,
            drained_by: None,
        })
    }

    /// One turn of the loop: waits for the ready set and gives each ready source its turn.
    ///
    /// # Errors
    /// The poller itself failed. One peer's trouble is never an error here.
    pub fn turn(&mut self) -> io::Result<()> {
        // rs, ws, xs = select(rlist, wlist, xlist, timeout)
        self.wait()?;
        // for r in rs + ws:
        for _ in 0..self.ready.count() {
            let Some(key) = self.ready.pop() else { break };
            match self.sources.get(key).map(|source| &source.kind) {
                // if r is self.sockfd:
                Some(Kind::Listener(_)) => self.accept(key),
                // else: self.handle(r)
                Some(Kind::Connection(_)) => self.converse(key),
                Some(Kind::Datagrams(_)) => self.answer(key),
                Some(Kind::Signals(_)) => self.heed_signals(key),
                Some(Kind::Watcher(_)) => self.look(key),
                // It was closed earlier in this turn.
                None => {}
            }
        }
        // And whoever's time has come: late peers, above all.
        self.see_to_the_late();
        Ok(())
    }

    /// Sleeps until something is ready or late, or not at all while work is left over; then reads the clock and
    /// remembers each event on its source.
    fn wait(&mut self) -> io::Result<()> {
        let carried = self.ready.count();
        let timeout = match carried {
            0 => self.clock.until(self.deadlines.next().into_iter().chain(self.drained_by).min()),
            _ => Some(Duration::ZERO),
        };
        self.steps.note(Who::Loop, || Step::Waiting { turn: self.clock.turn(), timeout, carried });
        let left_over = self.left_over();
        match self.poll.poll(&mut self.events, self.clock.sleep(timeout)) {
            Err(e) if e.kind() == ErrorKind::Interrupted => self.events.clear(),
            result => result?,
        }
        self.clock.hold(self.steps.held());
        self.clock.tick();
        for event in &self.events {
            // An event is a hint. What it does not find costs nothing; what it finds unready, one call that would block.
            if let Some(source) = self.sources.get_mut(event.token().0) {
                source.note(event);
                match source.kind {
                    Kind::Watcher(_) => self.ready.push_front(event.token().0),
                    _ => self.ready.push(event.token().0),
                }
            }
        }
        self.tell_who_woke(left_over);
        Ok(())
    }

    /// Takes connections out of the backlog until it is empty: under edge triggers nobody would tell us of the rest.
    fn accept(&mut self, key: usize) {
        self.note_begun(key);
        for _ in 0..ACCEPTS {
            let Some(Source { kind: Kind::Listener(listener), who, .. }) = self.sources.get_mut(key) else {
                return;
            };
            let who = *who;
            if self.open >= self.limits.max_connections {
                return self.park(key, who, None);
            }
            match listener.socket.accept() {
                Ok((socket, peer)) => self.welcome(key, who, socket, peer),
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    return self.steps.note(who, || Step::BacklogEmpty);
                }
                Err(e) if is_exhaustion(&e) => {
                    self.complain(&e);
                    return self.park(key, who, Some(RETRY_ACCEPT));
                }
                // Trouble of one peer that was gone before it was accepted: accept(2), "Error handling".
                Err(e) => log::debug!("{who}: a connection was lost before it was accepted: {e}"),
            }
        }
        self.carry_over(key);
    }

    /// Tells the operator that the system gives no more, but not at each of the many tries.
    fn complain(&mut self, e: &io::Error) {
        let now = self.clock.now();
        if self.complained.is_none_or(|last| now >= last + COMPLAIN_EVERY) {
            self.complained = Some(now);
            log::warn!("cannot accept: {e}; peers wait, and are tried again soon");
        }
    }

    /// A new connection joins the sources: `rlist.append(c)`.
    fn welcome(&mut self, listener: usize, who: Who, socket: TcpStream, peer: SocketAddr) {
        let Some(Source { kind: Kind::Listener(listener), .. }) = self.sources.get_mut(listener) else {
            return;
        };
        let protocol = listener.service.welcome(peer);
        let connection = Connection::new(socket, protocol, self.limits.send_timeout, self.clock.now());
        let deadline = connection.deadline();
        self.connections += 1;
        let number = self.connections;
        match self.insert(Kind::Connection(Box::new(connection)), Who::Connection(number)) {
            Ok(key) => {
                self.open += 1;
                self.deadlines.set(key, deadline);
                self.tell_of_welcome(who, number, key, peer);
            }
            Err(e) => log::warn!("cannot poll a connection: {e}"),
        }
    }

    /// Lets one connection do what it can, and sees to what it needs next.
    fn converse(&mut self, key: usize) {
        let Some((connection, ready, scratch, mut cx)) = self.connection(key) else { return };
        cx.note(|| Step::Begun);
        let outcome = connection.converse(ready, scratch, &mut cx);
        self.see_to(key, outcome);
    }

    /// Waits, arms, carries over or closes, as a source needs.
    fn see_to(&mut self, key: usize, outcome: Outcome) {
        match outcome {
            Outcome::Wait => self.arm(key, false),
            Outcome::Blocked => self.arm(key, true),
            Outcome::Again => self.carry_over(key),
            Outcome::Later => self.deadlines.set(key, Some(self.clock.now() + RETRY_DISK)),
            Outcome::Closed(why) => return self.close(key, why),
        }
        if let Some(Source { kind: Kind::Connection(connection), who, .. }) = self.sources.get(key) {
            self.deadlines.set(key, connection.deadline());
            self.steps.note(*who, || connection.patience(self.clock.now()));
        }
    }

    /// Receives datagrams and answers each, until none is left or the send buffer is full.
    fn answer(&mut self, key: usize) {
        let Some(Source { kind: Kind::Datagrams(datagrams), ready, who, .. }) = self.sources.get_mut(key)
        else {
            return;
        };
        let mut cx =
            Context { clock: &self.clock, draining: self.draining, who: *who, steps: &mut self.steps };
        cx.note(|| Step::Begun);
        let outcome = datagrams.answer(ready, self.scratch.input(), &mut cx);
        self.see_to(key, outcome);
    }

    /// What is told now holds for everybody who is served in this turn.
    fn look(&mut self, key: usize) {
        if let Some(Source { kind: Kind::Watcher(watched), who, .. }) = self.sources.get_mut(key) {
            watched.0.look();
            self.steps.note(*who, || Step::Looked);
        }
    }

    /// SIGUSR1: who watches on demand comes, or goes. Any other signal that is heeded: an orderly end begins.
    fn heed_signals(&mut self, key: usize) {
        let Some(Source { kind: Kind::Signals(signals), .. }) = self.sources.get_mut(key) else { return };
        let numbers: Vec<i32> = signals.pending().collect();
        for number in numbers {
            self.steps.note(Who::Signals, || Step::Signalled { number });
            match number {
                SIGUSR1 => self.toggle_watch(),
                _ => self.drain(),
            }
        }
    }

    /// Sees to each source whose time has come: who is late, who waits for the disk, whom to ask again. Those beyond the
    /// budget are next.
    fn see_to_the_late(&mut self) {
        for _ in 0..LATE {
            let Some(key) = self.deadlines.pop_due(self.clock.now()) else { break };
            match self.sources.get(key).map(|source| &source.kind) {
                Some(Kind::Connection(connection)) => match connection.deadline() {
                    Some(deadline) if deadline <= self.clock.now() => self.late(key),
                    _ if connection.awaits_disk() => self.converse(key),
                    later => self.deadlines.set(key, later),
                },
                Some(Kind::Listener(_)) => self.unpark(),
                _ => {}
            }
        }
        if self.drained_by.is_some_and(|by| by <= self.clock.now()) {
            self.close_all_connections();
        }
    }

    fn late(&mut self, key: usize) {
        let Some((connection, ready, scratch, mut cx)) = self.connection(key) else { return };
        let outcome = connection.late(ready, scratch, &mut cx);
        self.see_to(key, outcome);
    }
}

/// No descriptors or no memory: accept(2). Waiting helps, asking at once does not.
fn is_exhaustion(e: &io::Error) -> bool {
    matches!(Errno::from_io_error(e), Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}
