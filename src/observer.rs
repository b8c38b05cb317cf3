//! The glossary of the loop: every step that it can take, and who may watch.
//!
//! An observer sees; it never changes what the loop does. With nobody watching, a step costs one branch: its facts are
//! gathered only when there is somebody to tell. So a step may own copies of what it tells of.

use std::{fmt, net::SocketAddr, os::fd::RawFd, time::Duration};

/// Who takes a step. The numbers are for people and are never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Who {
    /// The loop itself.
    Loop,
    /// Signals to the process.
    Signals,
    /// Word of changes to files.
    Files,
    /// Where a person types who steps the loop.
    Terminal,
    /// A listening socket, `L1`.
    Listener(u64),
    /// A connection, `c3`.
    Connection(u64),
    /// A datagram socket, `u1`.
    Datagrams(u64),
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Loop => f.write_str("loop"),
            Who::Signals => f.write_str("signals"),
            Who::Files => f.write_str("files"),
            Who::Terminal => f.write_str("terminal"),
            Who::Listener(n) => write!(f, "L{n}"),
            Who::Connection(n) => write!(f, "c{n}"),
            Who::Datagrams(n) => write!(f, "u{n}"),
        }
    }
}

/// What the kernel said of a source: epoll(7) by its own names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags {
    /// `EPOLLIN`.
    pub readable: bool,
    /// `EPOLLOUT`.
    pub writable: bool,
    /// `EPOLLRDHUP`, or `EPOLLHUP` with `EPOLLIN`: the peer sends no more.
    pub read_closed: bool,
    /// `EPOLLHUP`, or an error alone: neither side sends.
    pub write_closed: bool,
    /// `EPOLLERR`.
    pub error: bool,
}

/// `R`, `W`, `rc`, `wc`, `e`.
impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = [
            (self.readable, "R"),
            (self.writable, "W"),
            (self.read_closed, "rc"),
            (self.write_closed, "wc"),
            (self.error, "e"),
        ];
        let mut is_first = true;
        for (_, letters) in flags.iter().filter(|(is_set, _)| *is_set) {
            f.write_str(if is_first { "" } else { " " })?;
            f.write_str(letters)?;
            is_first = false;
        }
        Ok(())
    }
}

/// One step of the loop. Lengths are in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A socket was bound and registered.
    Bound { address: SocketAddr, fd: RawFd },
    /// The poll begins, and with it the end of `turn`; `timeout` is not later than the nearest deadline, and zero when
    /// `carried` sources have work left over.
    Waiting { turn: u64, timeout: Option<Duration>, carried: usize },
    /// The poll returned: who became ready, and who has work left over from the last turn. Nothing is done yet.
    Woke { turn: u64, ready: Vec<(Who, Flags)>, carried: Vec<Who> },
    /// A source's turn begins.
    Begun,
    /// A signal came.
    Signalled { number: i32 },
    /// What is looked at first was looked at: the kernel told of changes to files, or somebody typed.
    Looked,
    /// `accept` gave a connection; `open` counts it.
    Accepted { connection: u64, peer: SocketAddr, fd: RawFd, open: usize },
    /// `accept` would block: the backlog is empty.
    BacklogEmpty,
    /// The house is full, by the bound on connections or because the system gives no more `descriptors`: the listener
    /// waits until something closes, or soon.
    Parked { descriptors: bool },
    /// `read` got some of the room offered; `kept` bytes were there before.
    Read { offered: usize, bytes: Vec<u8>, kept: usize },
    /// `read` would block: everything that had come was taken.
    Drained,
    /// `read` returned 0: the peer sends no more.
    EndOfInput,
    /// The protocol has not enough to understand anything: of `have` bytes it waits for `need`.
    Incomplete { have: usize, need: &'static str },
    /// The protocol understood a message that begins with `start`, `len` bytes long, and left `left`.
    Understood { start: Vec<u8>, len: usize, left: usize },
    /// The protocol refused the input.
    Refused { reason: &'static str },
    /// The file system was asked about `path`.
    Found { path: Vec<u8>, took: Duration },
    /// Names of a directory were read, for a listing: so many until now.
    Gathered { names: usize },
    /// A response was decided on: its head as it is sent, and how long its body is; `None`: it is made on the way.
    Planned { status: u16, head: Vec<u8>, body: Option<u64> },
    /// A call took `got` of the bytes offered; `sent` of `of` bytes that were put in until now are gone.
    Wrote { by: Call, offered: usize, got: usize, sent: u64, of: u64 },
    /// A write would block: the send buffer is full.
    Blocked { by: Call, offered: usize },
    /// What is to be sent next, behind `sent` bytes, is not in memory: the disk was asked for it.
    NotInMemory { sent: u64 },
    /// The source now waits for writability, too (`wlist.append`).
    Armed,
    /// The source waits for readability alone again (`wlist.remove`).
    Disarmed,
    /// The budget is used up; the rest is left for the next turn.
    CarriedOver,
    /// The peer may take that long from now on, else it is closed, and why; `None`: for ever.
    Patient { why: Why, within: Option<Duration> },
    /// Patience ran out `late` ago; `got` bytes of a message had come.
    Deadline { why: Why, late: Duration, got: usize },
    /// A datagram came.
    Received { offered: usize, bytes: Vec<u8>, from: SocketAddr },
    /// A datagram was sent.
    Sent { got: usize, to: SocketAddr },
    /// Our side is shut down, and the peer's end is waited for.
    ShutDown,
    /// The source is closed; `unread` bytes of a message were kept.
    Closed { why: Why, unread: usize },
}

/// A system call that sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Bytes from one buffer.
    Write,
    /// A head, and a body from where it lies in memory.
    Writev,
    /// A head that waits for the body behind it: send(2) with `MSG_MORE`.
    Send,
    /// A body from the page cache.
    Sendfile,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Call::Write => "write",
            Call::Writev => "writev",
            Call::Send => "send",
            Call::Sendfile => "sendfile",
        })
    }
}

/// Why a source was closed: a closed set, for logs and for those who watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// All was said.
    Done,
    /// The peer closed its side and everything owed was answered.
    Eof,
    /// A message did not come whole in time.
    HeadTimeout,
    /// Nothing came in time.
    IdleTimeout,
    /// The peer took nothing in time.
    SendTimeout,
    /// The peer reset the connection.
    Reset,
    /// The peer was gone when we wrote.
    BrokenPipe,
    /// The peer was refused.
    BadRequest,
    /// A bound was reached.
    Limit,
    /// The server shuts down.
    Shutdown,
    /// A file became shorter while it was sent, or could not be read.
    FileChanged,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Why::Done => "done",
            Why::Eof => "eof",
            Why::HeadTimeout => "head-timeout",
            Why::IdleTimeout => "idle-timeout",
            Why::SendTimeout => "send-timeout",
            Why::Reset => "reset",
            Why::BrokenPipe => "broken-pipe",
            Why::BadRequest => "bad-request",
            Why::Limit => "limit",
            Why::Shutdown => "shutdown",
            Why::FileChanged => "file-changed",
        })
    }
}

/// Somebody who watches the loop turn.
pub trait Observer {
    /// Sees one step, in the order in which they are taken.
    fn see(&mut self, who: Who, step: &Step);

    /// It is sent away, and sees no more for now: what it has gathered is to be told.
    fn leave(&mut self) {}

    /// How long the loop has stood still since this was last asked, because a person looked at it: time that does not
    /// count, so that no deadline passes meanwhile.
    fn held(&mut self) -> Duration {
        Duration::ZERO
    }
}

/// The loop's side of watching.
#[derive(Default)]
pub struct Steps {
    observers: Vec<Box<dyn Observer>>,
    /// Watches when somebody asks for it: see [`Steps::toggle`].
    on_demand: Option<Box<dyn Observer>>,
    /// It is the last of `observers` now.
    is_demanded: bool,
}

impl Steps {
    /// From now on `observer` sees every step.
    pub fn watch(&mut self, observer: Box<dyn Observer>) {
        self.observers.insert(0, observer);
    }

    /// `observer` is the one whom [`Steps::toggle`] calls and sends away.
    pub fn keep(&mut self, observer: Box<dyn Observer>) {
        self.on_demand = Some(observer);
    }

    /// Calls the observer that was kept for this, and returns it; or sends it away.
    pub fn toggle(&mut self) -> Option<&mut dyn Observer> {
        match self.on_demand.take() {
            Some(observer) => {
                self.observers.push(observer);
                self.is_demanded = true;
                self.observers.last_mut().map(|observer| &mut **observer as &mut dyn Observer)
            }
            None if self.is_demanded => {
                self.on_demand = self.observers.pop();
                self.is_demanded = false;
                self.on_demand.iter_mut().for_each(|observer| observer.leave());
                None
            }
            None => None,
        }
    }

    /// Whether anybody watches: what is gathered for a step across several calls is gathered only then.
    #[inline]
    pub fn are_watched(&self) -> bool {
        !self.observers.is_empty()
    }

    /// Tells whoever watches of the step that `facts` describes.
    #[inline]
    pub fn note(&mut self, who: Who, facts: impl FnOnce() -> Step) {
        if self.are_watched() {
            self.tell(who, facts);
        }
    }

    /// Out of line, so that what is gathered for those who watch does not stand in the way of the others.
    #[cold]
    #[inline(never)]
    fn tell(&mut self, who: Who, facts: impl FnOnce() -> Step) {
        let step = facts();
        self.observers.iter_mut().for_each(|observer| observer.see(who, &step));
    }

    /// How long the loop has stood still: see [`Observer::held`].
    pub fn held(&mut self) -> Duration {
        self.observers.iter_mut().map(|observer| observer.held()).sum()
    }
}
