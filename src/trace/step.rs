//! The steps of the loop, and the sources that take them.
//!
//! A step is made only while somebody observes, so it may own copies of what it describes.

use std::{fmt, net::SocketAddr, os::fd::RawFd, time::Duration};

use crate::close_reason::CloseReason;

/// Which source takes a step. Numbers are never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SourceId {
    /// The loop itself.
    Loop,
    /// Signals to the process.
    Signals,
    /// A source that is read before anything is served, by its name: `files`, `terminal`.
    Named(&'static str),
    /// A listening socket, `L1`.
    Listener(u64),
    /// A connection, `c3`.
    Connection(u64),
    /// A datagram socket, `u1`.
    Udp(u64),
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourceId::Loop => f.write_str("loop"),
            SourceId::Signals => f.write_str("signals"),
            SourceId::Named(name) => f.write_str(name),
            SourceId::Listener(n) => write!(f, "L{n}"),
            SourceId::Connection(n) => write!(f, "c{n}"),
            SourceId::Udp(n) => write!(f, "u{n}"),
        }
    }
}

/// What the kernel said of a source: epoll(7) by its own names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventFlags {
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
impl fmt::Display for EventFlags {
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
    Woke { turn: u64, ready: Vec<(SourceId, EventFlags)>, carried: Vec<SourceId> },
    /// A source's turn begins.
    TurnBegan,
    /// A signal came.
    Signalled { number: i32 },
    /// What is looked at first was looked at: the kernel told of changes to files, or somebody typed.
    Polled,
    /// `accept` gave a connection; `open` counts it.
    Accepted { connection: u64, peer: SocketAddr, fd: RawFd, open: usize },
    /// `accept` would block: the backlog is empty.
    BacklogEmpty,
    /// The house is full, by the bound on connections or because the system gives no more `descriptors`: the listener
    /// waits until something closes, or soon.
    AcceptPaused { out_of_fds: bool },
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
    FileLookup { path: Vec<u8>, took: Duration },
    /// Names of a directory were read, for a listing: so many until now.
    EntriesRead { names: usize },
    /// A response was decided on: its head as it is sent, and how long its body is; `None`: it is made on the way.
    Planned { status: u16, head: Vec<u8>, body: Option<u64> },
    /// A call took `got` of the bytes offered; `sent` of `of` bytes that were put in until now are gone.
    Wrote { by: SendCall, offered: usize, got: usize, sent: u64, of: u64 },
    /// A write would block: the send buffer is full.
    Blocked { by: SendCall, offered: usize },
    /// What is to be sent next, behind `sent` bytes, is not in memory: the disk was asked for it.
    NotCached { sent: u64 },
    /// The source now waits for writability, too (`wlist.append`).
    Armed,
    /// The source waits for readability alone again (`wlist.remove`).
    Disarmed,
    /// The budget is used up; the rest is left for the next turn.
    CarriedOver,
    /// The peer may take that long from now on, else it is closed, and why; `None`: for ever.
    DeadlineSet { reason: CloseReason, within: Option<Duration> },
    /// Patience ran out `late` ago; `got` bytes of a message had come.
    Deadline { reason: CloseReason, late: Duration, got: usize },
    /// A datagram came.
    Received { offered: usize, bytes: Vec<u8>, from: SocketAddr },
    /// A datagram was sent.
    Sent { got: usize, to: SocketAddr },
    /// Our side is shut down, and the peer's end is waited for.
    ShutDown,
    /// The source is closed; `unread` bytes of a message were kept.
    Closed { reason: CloseReason, unread: usize },
}

/// A system call that sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendCall {
    /// Bytes from one buffer.
    Write,
    /// A head, and a body from where it lies in memory.
    Writev,
    /// A head that waits for the body behind it: send(2) with `MSG_MORE`.
    Send,
    /// A body from the page cache.
    Sendfile,
}

impl fmt::Display for SendCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendCall::Write => "write",
            SendCall::Writev => "writev",
            SendCall::Send => "send",
            SendCall::Sendfile => "sendfile",
        })
    }
}
