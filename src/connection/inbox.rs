//! The input that a connection has received but not yet parsed.
//!
//! Every read goes into one buffer that the loop owns. Only unparsed input is stored here, in an
//! allocation of exactly its size, so a connection between two requests holds no buffer. The inbox
//! of an idle connection must never hold memory.

/// The unparsed input that a connection keeps between reads.
#[derive(Default)]
pub struct Inbox {
    rest: Vec<u8>,
    /// Whether the stored bytes can be parsed without another read, because the protocol stopped
    /// parsing early.
    pub has_work: bool,
}

impl Inbox {
    /// Returns whether the inbox is empty.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Returns the stored input.
    pub fn bytes(&self) -> &[u8] {
        &self.rest
    }

    /// Moves the stored input to the front of `buffer`, so that the next read can append to it.
    /// Returns its length in bytes.
    pub fn take_into(&mut self, buffer: &mut [u8]) -> usize {
        let len = self.rest.len();
        buffer[..len].copy_from_slice(&self.rest);
        self.clear();
        len
    }

    /// Stores the input that the protocol did not consume.
    pub fn store(&mut self, rest: &[u8], has_work: bool) {
        debug_assert!(self.rest.is_empty(), "the old rest was taken before");
        if !rest.is_empty() {
            self.rest = rest.to_vec();
        }
        self.has_work = has_work;
    }

    /// Drops the stored input.
    pub fn clear(&mut self) {
        self.rest = Vec::new();
        self.has_work = false;
    }
}
