//! The reasons for closing a source. Logs and traces print them, so their names are part of the
//! interface.

use std::{fmt, io::ErrorKind};

/// Why a source was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The last response was sent, and the connection does not persist.
    Done,
    /// The peer closed its side.
    Eof,
    /// A complete message did not arrive in time.
    HeadTimeout,
    /// No input arrived in time.
    IdleTimeout,
    /// The peer accepted no data in time.
    SendTimeout,
    /// The peer accepted or sent data, but less than the minimum rate.
    TooSlow,
    /// The peer reset the connection.
    Reset,
    /// The protocol ended the connection with a reset instead of an orderly close (RFC 9293 section
    /// 3.10.5, ABORT). What the kernel has not delivered yet is lost.
    Aborted,
    /// The server wrote to a connection that the peer had closed.
    BrokenPipe,
    /// The request was refused, and the rest of the input cannot be parsed.
    BadRequest,
    /// A limit was reached, or the poller could not be updated for the source.
    Limit,
    /// The connection was idle, and the server needed its place for another peer.
    Evicted,
    /// The peer's address has too many connections.
    AddressLimit,
    /// The server is shutting down.
    Shutdown,
    /// The client does not speak TLS as it should, or not at all.
    TlsFailed,
    /// A file was truncated while it was being sent, or could not be read.
    FileChanged,
    /// An outgoing connection could not be established.
    ConnectFailed(ErrorKind),
    /// An outgoing connection was not established in time.
    ConnectTimeout,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CloseReason::Done => "done",
            CloseReason::Eof => "eof",
            CloseReason::HeadTimeout => "head-timeout",
            CloseReason::IdleTimeout => "idle-timeout",
            CloseReason::SendTimeout => "send-timeout",
            CloseReason::TooSlow => "too-slow",
            CloseReason::Reset => "reset",
            CloseReason::Aborted => "aborted",
            CloseReason::BrokenPipe => "broken-pipe",
            CloseReason::BadRequest => "bad-request",
            CloseReason::Limit => "limit",
            CloseReason::Evicted => "evicted",
            CloseReason::AddressLimit => "address-limit",
            CloseReason::Shutdown => "shutdown",
            CloseReason::TlsFailed => "tls-failed",
            CloseReason::FileChanged => "file-changed",
            CloseReason::ConnectFailed(_) => "connect-failed",
            CloseReason::ConnectTimeout => "connect-timeout",
        })
    }
}
