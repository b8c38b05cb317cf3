//! Keys of sources in the order of a time, at most one entry for each key.
//!
//! The timers and the idle connections use the same structure. It knows nothing about sources: the
//! caller decides what the time of a key means.

use std::{collections::BTreeSet, ops::Bound, time::Instant};

/// Keys ordered by a time. Every operation costs at most O(log n).
#[derive(Default)]
pub struct KeyQueue {
    queue: BTreeSet<(Instant, usize)>,
    /// The time of each key's entry in `queue`, indexed by key.
    times: Vec<Option<Instant>>,
}

impl KeyQueue {
    /// Sets the time of `key`, and adds the key if it is not in the queue.
    pub fn put(&mut self, key: usize, time: Instant) {
        self.remove(key);
        if key >= self.times.len() {
            self.times.resize(key + 1, None);
        }
        self.times[key] = Some(time);
        self.queue.insert((time, key));
    }

    /// Removes `key`, if it is in the queue.
    pub fn remove(&mut self, key: usize) {
        if let Some(time) = self.times.get_mut(key).and_then(Option::take) {
            self.queue.remove(&(time, key));
        }
    }

    /// Returns the time of `key`, or `None` if it is not in the queue.
    pub fn time(&self, key: usize) -> Option<Instant> {
        self.times.get(key).copied().flatten()
    }

    /// Returns the earliest time and its key.
    pub fn first(&self) -> Option<(Instant, usize)> {
        self.queue.first().copied()
    }

    /// Returns the first entry behind `last`, or the first of all entries without it.
    pub fn next_after(&self, last: Option<(Instant, usize)>) -> Option<(Instant, usize)> {
        let behind = last.map_or(Bound::Unbounded, Bound::Excluded);
        self.queue.range((behind, Bound::Unbounded)).next().copied()
    }
}
