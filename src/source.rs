//! The contract between the loop and one source: its readiness, and what it wants next.
//!
//! The loop keeps a [`Readiness`] for each source. A source does what it can without blocking and
//! returns a [`Want`]. Neither the loop nor the source may know more about the other.

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
