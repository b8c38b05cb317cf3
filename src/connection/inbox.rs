//! Bytes received and not yet parsed.
//!
//! Reading goes through one buffer of the loop. Only what is left over is stored here, in a buffer
//! of just its size: a connection between two requests holds none.

/// What a connection keeps from one read to the next.
#[derive(Default)]
pub struct Inbox {
    rest: Vec<u8>,
    /// The protocol stopped before it was done: the rest can be parsed without another read.
    pub has_work: bool,
}

impl Inbox {
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn bytes(&self) -> &[u8] {
        &self.rest
    }

    /// Moves the rest to the front of `buffer`, for the next read to go behind it. Returns its
    /// length in bytes.
    pub fn take_into(&mut self, buffer: &mut [u8]) -> usize {
        let len = self.rest.len();
        buffer[..len].copy_from_slice(&self.rest);
        self.clear();
        len
    }

    /// Stores what the protocol left.
    pub fn store(&mut self, rest: &[u8], has_work: bool) {
        debug_assert!(self.rest.is_empty(), "the old rest was taken before");
        if !rest.is_empty() {
            self.rest = rest.to_vec();
        }
        self.has_work = has_work;
    }

    pub fn clear(&mut self) {
        self.rest = Vec::new();
        self.has_work = false;
    }
}
