//! The reasons for closing a source.

use std::fmt;

/// Why a source was closed: a closed set, for logs and for those who watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
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

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CloseReason::Done => "done",
            CloseReason::Eof => "eof",
            CloseReason::HeadTimeout => "head-timeout",
            CloseReason::IdleTimeout => "idle-timeout",
            CloseReason::SendTimeout => "send-timeout",
            CloseReason::Reset => "reset",
            CloseReason::BrokenPipe => "broken-pipe",
            CloseReason::BadRequest => "bad-request",
            CloseReason::Limit => "limit",
            CloseReason::Shutdown => "shutdown",
            CloseReason::FileChanged => "file-changed",
        })
    }
}
