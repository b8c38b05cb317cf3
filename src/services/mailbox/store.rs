//! Where a mailbox keeps its messages besides memory.

use std::{
    io,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::maildir::Maildir;

/// A store for messages.
pub trait MessageStore {
    /// Stores a message that arrived at `now`, and returns its name, which no other message has or
    /// has had.
    ///
    /// # Errors
    /// Fails if the store cannot guarantee to keep the message. The message is then not in the
    /// store.
    fn insert(&mut self, content: &[u8], now: SystemTime) -> io::Result<Vec<u8>>;

    /// Removes the message named `name`.
    ///
    /// # Errors
    /// Fails if the message cannot be removed. It is then still in the store.
    fn remove(&mut self, name: &[u8]) -> io::Result<()>;

    /// Returns whether the calls wait for a disk.
    fn is_on_disk(&self) -> bool;
}

impl MessageStore for Maildir {
    fn insert(&mut self, content: &[u8], now: SystemTime) -> io::Result<Vec<u8>> {
        Maildir::insert(self, content, now)
    }

    fn remove(&mut self, name: &[u8]) -> io::Result<()> {
        Maildir::remove(self, name)
    }

    fn is_on_disk(&self) -> bool {
        true
    }
}

/// The store of a mailbox that exists only in memory: it gives names to messages and keeps nothing.
#[derive(Default)]
pub struct MemoryStore {
    /// The number of names given so far.
    given: u64,
}

impl MessageStore for MemoryStore {
    fn insert(&mut self, _content: &[u8], now: SystemTime) -> io::Result<Vec<u8>> {
        self.given += 1;
        // The time distinguishes the names from those that an earlier process has given.
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(format!("{}.M{:06}Q{}", since.as_secs(), since.subsec_micros(), self.given).into_bytes())
    }

    fn remove(&mut self, _name: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn is_on_disk(&self) -> bool {
        false
    }
}
