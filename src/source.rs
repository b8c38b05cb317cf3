//! The contract between the loop and one source: its readiness, the buffers it may use, and what it
//! wants next.
//!
//! The loop lends its [`Buffers`] to one source at a time and keeps a [`Readiness`] for each
//! source. A source does what it can without blocking and returns a [`Want`]. Neither the loop nor
//! the source may know more about the other.

use std::time::Instant;

use crate::close_reason::CloseReason;

/// The readiness of a source. The poller reports edges, the moments at which a source *becomes*
/// ready. A flag records that the source *is* ready, and stays set until a call returns
/// `WouldBlock` (epoll(7), "Edge-triggered").
#[derive(Debug, Clone, Copy)]
pub struct Readiness {
    /// Whether a read may succeed.
    pub readable: bool,
    /// Whether a write may succeed.
    pub writable: bool,
    /// Whether the peer has closed its side. The end of input then follows the data, without
    /// another event.
    pub read_closed: bool,
    /// Whether the poller has reported an error, such as a reset by the peer.
    pub failed: bool,
    /// Whether another source has woken this one. Stays set until the source has been resumed.
    pub woken: bool,
}

impl Readiness {
    /// Returns the readiness of a new source: no input yet, and an empty send buffer.
    pub fn new() -> Readiness {
        Readiness { readable: false, writable: true, read_closed: false, failed: false, woken: false }
    }

    /// Returns whether another source has woken this one, and counts the source as resumed.
    pub fn take_woken(&mut self) -> bool {
        std::mem::take(&mut self.woken)
    }
}

/// What a source wants after its turn.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// To be called when input arrives.
    Readable,
    /// To be called when the send buffer has room.
    Writable,
    /// Another turn, because the source's budget is used up.
    Turn,
    /// Another turn at this time, because the source waits for something that no poller reports.
    /// `None` means that another source must wake this one.
    WaitUntil(Option<Instant>),
    /// To be closed.
    Close(CloseReason),
}

/// The loop's buffers, which each source borrows for its turn.
pub struct Buffers {
    /// The buffer for reads. It is as large as any message that a protocol leaves unparsed, and
    /// larger than any datagram.
    pub input: Box<[u8]>,
    /// The spare buffer that the loop lends to an outbox (see
    /// [`Outbox::lend_buffer`](crate::protocol::Outbox::lend_buffer)).
    pub output: Vec<u8>,
}

impl Buffers {
    /// The length of the input buffer in bytes, unless a message may be longer.
    pub const INPUT: usize = 64 * 1024;

    /// Allocates both buffers, usually 144 KiB in total.
    pub fn new(max_message: usize) -> Buffers {
        Buffers {
            input: vec![0; max_message.max(Buffers::INPUT)].into(),
            output: Vec::with_capacity(80 * 1024),
        }
    }
}
