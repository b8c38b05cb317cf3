//! The bugs of the lessons, and the damage that they do.

use std::time::Duration;

/// The bug of a broken loop, or of a protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// Treats the bytes of one read as one message, and keeps nothing for the next read.
    OneReadOneMessage,
    /// Blocks until the send buffer has taken everything.
    WriteAll,
    /// Reads once for each event, into a small buffer, although an edge is reported only once.
    NoDrain,
    /// Accepts once for each event.
    AcceptOnce,
    /// Closes a connection at the end of input, even if a response is unsent.
    CloseOnEof,
    /// Has no deadlines.
    NoDeadline,
    /// Serves a connection until it has no more work.
    NoBudget,
    /// Checks every connection in each turn, as select(2) does.
    ScanAll,
    /// Goes on after a write that has failed.
    IgnoreErrors,
    /// Calls accept again at once after it has failed.
    RetryAccept,
    /// Waits for the next event after accept has failed.
    AwaitEdge,
    /// Takes an outgoing connection that becomes writable for established.
    TrustWritable,
    /// Makes room for as many bytes as a message announces, whatever it announces.
    TrustLength,
    /// Takes the bytes of the length that have arrived for the whole length.
    HalfLength,
    /// Waits for an answer without a timeout.
    NoTimeout,
    /// Sends a file without checking that it is in memory, and so waits for the disk.
    WaitForDisk,
    /// Keeps lines without limit for a member that does not read.
    UnboundedQueue,
}

impl Bug {
    /// Returns whether the bug is in a protocol, which the real loop runs.
    pub fn is_in_protocol(self) -> bool {
        matches!(
            self,
            Bug::TrustLength | Bug::HalfLength | Bug::NoTimeout | Bug::WaitForDisk | Bug::UnboundedQueue
        )
    }

    /// Returns the name of the bug, as given to `--break`.
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
            Bug::IgnoreErrors => "ignore-errors",
            Bug::RetryAccept => "retry-accept",
            Bug::AwaitEdge => "await-edge",
            Bug::TrustWritable => "trust-writable",
            Bug::TrustLength => "trust-length",
            Bug::HalfLength => "half-length",
            Bug::NoTimeout => "no-timeout",
            Bug::WaitForDisk => "wait-for-disk",
            Bug::UnboundedQueue => "unbounded-queue",
        }
    }
}

/// How long a broken loop sleeps, and what its bug may do.
#[derive(Debug, Clone, Copy)]
pub struct BugSettings {
    /// The timeout of each poll.
    pub poll: Duration,
    /// The longest time that a bug blocks the loop.
    pub max_block: Duration,
    /// The number of bytes that one read accepts, if the bug is a small read.
    pub small_read: usize,
    /// Whether the poller is level-triggered.
    pub is_level: bool,
}

/// What a bug does to the clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// The loop has blocked for this time, the longest that it may.
    Blocked(Duration),
    /// `accept` has failed this many times in a row, and the loop gives up.
    AcceptFailed(usize),
}

/// Is called when a bug has done damage.
pub type OnDamage = Box<dyn Fn(Damage)>;
