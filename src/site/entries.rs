//! The entries of the cache, bounded by their total size.

use lru::LruCache;

use super::entry::Entry;

/// The maximum size of all entries in bytes, including content, names and descriptions.
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// The entries by key, in the order of their last use.
pub struct Entries<D> {
    map: LruCache<Box<[u8]>, Entry<D>>,
    bytes: usize,
}

impl<D: super::Describe> Entries<D> {
    /// Returns an empty collection.
    pub fn new() -> Entries<D> {
        Entries { map: LruCache::unbounded(), bytes: 0 }
    }

    /// Returns the entry for `key`, which counts as used.
    pub fn get_mut(&mut self, key: &[u8]) -> Option<&mut Entry<D>> {
        self.map.get_mut(key)
    }

    /// Returns the entry for `key`, which does not count as used.
    pub fn peek(&self, key: &[u8]) -> Option<&Entry<D>> {
        self.map.peek(key)
    }

    /// Inserts an entry for `key`, which has none.
    pub fn insert(&mut self, key: &[u8], entry: Entry<D>) {
        self.bytes += entry.weight(key);
        self.map.put(key.into(), entry);
    }

    /// Removes and returns the entry for `key`.
    pub fn remove(&mut self, key: &[u8]) -> Option<Entry<D>> {
        let entry = self.map.pop(key)?;
        self.bytes -= entry.weight(key);
        Some(entry)
    }

    /// If the entries are too large together, removes and returns the least recently used one.
    pub fn remove_excess(&mut self) -> Option<(Box<[u8]>, Entry<D>)> {
        if self.bytes <= MAX_BYTES {
            return None;
        }
        let (key, entry) = self.map.pop_lru()?;
        self.bytes -= entry.weight(&key);
        Some((key, entry))
    }

    /// Removes all entries.
    pub fn clear(&mut self) {
        self.map.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::site::entry::Watch;

    #[test]
    fn entries_are_bounded_and_the_least_recently_used_is_removed_first() {
        let entry = |len: usize| Entry::<()> {
            found: None,
            path: vec![b'x'; len].into(),
            checked: 0,
            due: Instant::now(),
            watch: Watch::Pending,
        };
        let mut entries = Entries::new();
        let mut count = 0;
        while entries.remove_excess().is_none() {
            entries.insert(format!("{count:05}").as_bytes(), entry(64 * 1024));
            entries.get_mut(b"00000");
            count += 1;
        }
        assert!(entries.bytes <= MAX_BYTES && entries.bytes > MAX_BYTES - 70_000);
        assert!(entries.peek(b"00000").is_some() && entries.peek(b"00001").is_none());
        for number in 0..count {
            entries.remove(format!("{number:05}").as_bytes());
        }
        assert_eq!(entries.bytes, 0, "what was removed weighs nothing");
    }
}
