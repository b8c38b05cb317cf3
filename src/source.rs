//! The contract between the loop and one source: what is ready, which buffers it may use, and what
//! it wants next.
//!
//! The loop lends its [`Buffers`] to one source at a time and keeps a [`Readiness`] for each. A
//! source does what it can without blocking and returns a [`Want`]. Neither side knows more of the
//! other.

use std::time::Duration;

use crate::close_reason::CloseReason;

/// What is known of a source's readiness. The poller reports edges: that a source *became* ready.
/// This remembers that it still *is*, until a call returns `WouldBlock` (epoll(7),
/// "Edge-triggered").
#[derive(Debug, Clone, Copy)]
pub struct Readiness {
    pub readable: bool,
    pub writable: bool,
    /// The peer has closed its side: behind the data comes an end of input, and no further event.
    pub read_closed: bool,
}

impl Readiness {
    /// The readiness of a new source: nothing has come, and its send buffer is empty.
    pub fn new() -> Readiness {
        Readiness { readable: false, writable: true, read_closed: false }
    }
}

/// What a source waits for after its turn.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Input.
    Readable,
    /// Room in the send buffer.
    Writable,
    /// Another turn: its budget is used up.
    Turn,
    /// Another turn after this time: it waits for something that no poller reports.
    Retry(Duration),
    /// To be closed.
    Close(CloseReason),
}

/// Buffers of the loop that each source uses in its turn and none keeps.
pub struct Buffers {
    /// What one read can take: more than a protocol ever keeps, and more than any datagram.
    pub input: Box<[u8]>,
    /// The spare buffer that an outbox works on: see
    /// [`Outbox::lend_buffer`](crate::protocol::Outbox::lend_buffer).
    pub output: Vec<u8>,
}

impl Buffers {
    /// Allocates both buffers, 144 KiB in all.
    pub fn new() -> Buffers {
        Buffers { input: vec![0; 64 * 1024].into(), output: Vec::with_capacity(80 * 1024) }
    }
}
