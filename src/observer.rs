//! The glossary of the loop: every step that it can take, and who may watch.
//!
//! An observer sees; it never changes what the loop does. With nobody watching, a step costs one branch: its facts are
//! gathered only when there is somebody to tell.

use std::{fmt, net::SocketAddr, time::Duration};

/// Who takes a step. The numbers are for people and are never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// The loop itself.
    Loop,
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
            Who::Listener(n) => write!(f, "L{n}"),
            Who::Connection(n) => write!(f, "c{n}"),
            Who::Datagrams(n) => write!(f, "u{n}"),
        }
    }
}

/// One step of the loop. Lengths are in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A socket was bound and registered.
    Bound { address: SocketAddr },
    /// The poll begins; `timeout` is the nearest deadline, zero when work is left over.
    Waiting { timeout: Option<Duration> },
    /// The poll returned: sources that the kernel reported, and those carried over from the last turn.
    Woke { kernel: usize, carried: usize },
    /// `accept` gave a connection; `open` counts it.
    Accepted { connection: u64, peer: SocketAddr, open: usize },
    /// `accept` would block: the backlog is empty.
    BacklogEmpty,
    /// The house is full: the listener waits until something closes, or soon.
    Parked,
    /// `read` got some of the room offered.
    Read { offered: usize, got: usize },
    /// `read` would block: everything that had come was taken.
    Drained,
    /// `read` returned 0: the peer sends no more.
    EndOfInput,
    /// The protocol understood `consumed` bytes and left `left`.
    Understood { consumed: usize, left: usize },
    /// A response was decided on, of a body that long; `None`: it is made on the way.
    Planned { status: u16, body: Option<u64> },
    /// A write took `got` of the bytes offered.
    Wrote { offered: usize, got: usize },
    /// A write would block: the send buffer is full.
    Blocked,
    /// The source now waits for writability, too (`wlist.append`).
    Armed,
    /// The source waits for readability alone again (`wlist.remove`).
    Disarmed,
    /// The budget is used up; the rest is left for the next turn.
    CarriedOver,
    /// Patience ran out.
    Deadline,
    /// A datagram came.
    Received { got: usize, from: SocketAddr },
    /// A datagram was sent.
    Sent { got: usize, to: SocketAddr },
    /// The source is closed.
    Closed { why: Why },
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
}

/// The loop's side of watching: at most one observer.
#[derive(Default)]
pub struct Steps {
    observer: Option<Box<dyn Observer>>,
}

impl Steps {
    /// From now on `observer` sees every step.
    pub fn watch(&mut self, observer: Box<dyn Observer>) {
        self.observer = Some(observer);
    }

    /// Tells the observer, if there is one, of the step that `facts` describes.
    #[inline]
    pub fn note(&mut self, who: Who, facts: impl FnOnce() -> Step) {
        if let Some(observer) = &mut self.observer {
            observer.see(who, &facts());
        }
    }
}
