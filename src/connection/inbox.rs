//! The input that a connection has received but not yet parsed.
//!
//! Every read goes into one buffer that the loop owns. Only unparsed input is stored here, in an
//! allocation of exactly its size, so a connection between two requests holds no buffer. The inbox
//! of an idle connection must never hold memory, and all inboxes together must stay within the
//! loop's [`InputBudget`].

use crate::protocol::{InputBudget, InputShare};

/// The unparsed input that a connection keeps between reads.
#[derive(Default)]
pub struct Inbox {
    stored: Option<Box<StoredInput>>,
}

/// Stored input. It is never empty.
struct StoredInput {
    bytes: Box<[u8]>,
    /// Whether the bytes can be parsed without another read, because the protocol stopped parsing
    /// early.
    has_work: bool,
    _share: InputShare,
}

impl Inbox {
    /// Returns whether the inbox is empty.
    pub fn is_empty(&self) -> bool {
        self.stored.is_none()
    }

    /// Returns whether the stored bytes can be parsed without another read.
    pub fn has_work(&self) -> bool {
        self.stored.as_ref().is_some_and(|stored| stored.has_work)
    }

    /// Returns the stored input.
    pub fn bytes(&self) -> &[u8] {
        self.stored.as_ref().map_or(&[], |stored| &stored.bytes)
    }

    /// Moves the stored input to the front of `buffer`, so that the next read can append to it.
    /// Returns its length in bytes.
    pub fn take_into(&mut self, buffer: &mut [u8]) -> usize {
        let Some(stored) = self.stored.take() else { return 0 };
        let len = stored.bytes.len();
        buffer[..len].copy_from_slice(&stored.bytes);
        len
    }

    /// Stores the input that the protocol did not consume. Returns whether it fits into `budget`.
    #[must_use]
    pub fn store(&mut self, rest: &[u8], has_work: bool, budget: &InputBudget) -> bool {
        debug_assert!(self.stored.is_none(), "the old rest was taken before");
        if rest.is_empty() {
            return true;
        }
        let share = budget.take(rest.len());
        self.stored =
            share.map(|share| Box::new(StoredInput { bytes: rest.into(), has_work, _share: share }));
        self.stored.is_some()
    }

    /// Drops the stored input.
    pub fn clear(&mut self) {
        self.stored = None;
    }
}
