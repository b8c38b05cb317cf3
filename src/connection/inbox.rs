//! Bytes received and not yet understood.
//!
//! Reading goes through one buffer of the loop, and only what is left over is kept here, in a buffer of just its size:
//! a connection between two requests holds none.

/// What a connection keeps from one read to the next.
#[derive(Default)]
pub struct Inbox {
    kept: Vec<u8>,
    /// The protocol stopped before it was through: what is kept can be understood without another read.
    pub unfinished: bool,
}

impl Inbox {
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    pub fn bytes(&self) -> &[u8] {
        &self.kept
    }

    /// Moves what was kept to the front of `buffer`, for the next read to go behind it; returns its length.
    pub fn load(&mut self, buffer: &mut [u8]) -> usize {
        let len = self.kept.len();
        buffer[..len].copy_from_slice(&self.kept);
        self.clear();
        len
    }

    /// Keeps what the protocol left.
    pub fn keep(&mut self, rest: &[u8], unfinished: bool) {
        debug_assert!(self.kept.is_empty(), "kept bytes were loaded before");
        if !rest.is_empty() {
            self.kept = rest.to_vec();
        }
        self.unfinished = unfinished;
    }

    pub fn clear(&mut self) {
        self.kept = Vec::new();
        self.unfinished = false;
    }
}
