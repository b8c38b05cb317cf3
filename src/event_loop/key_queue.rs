//! Keys of sources in the order of a time, at most one entry for each key.
//!
//! The timers and the idle connections use the same structure. It knows nothing about sources: the
//! caller decides what the time of a key means. Every open connection has entries here, so they are
//! small: a time is 8 bytes and a key is 4.

use std::{
    collections::BTreeSet,
    num::NonZeroU64,
    ops::Bound,
    time::{Duration, Instant},
};

/// Keys ordered by a time. Every operation costs at most O(log n).
pub struct KeyQueue {
    queue: BTreeSet<QueueEntry>,
    /// The time of each key's entry in `queue`, indexed by key.
    times: Vec<Option<QueueTime>>,
    /// The time that the others count from.
    start: Instant,
}

/// Nanoseconds since the start of a queue, plus 1. They last for 584 years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct QueueTime(NonZeroU64);

/// An entry: a time and a key. Without padding it has 12 bytes, not 16.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(Rust, packed(4))]
struct QueueEntry {
    time: QueueTime,
    /// Keys are reused, and a process has fewer descriptors than fit into 4 bytes.
    key: u32,
}

impl QueueEntry {
    fn new(time: QueueTime, key: usize) -> QueueEntry {
        QueueEntry { time, key: key as u32 }
    }
}

impl KeyQueue {
    /// Creates an empty queue. No time may be earlier than `start`.
    pub fn new(start: Instant) -> KeyQueue {
        KeyQueue { queue: BTreeSet::new(), times: Vec::new(), start }
    }

    /// Sets the time of `key`, and adds the key if it is not in the queue.
    pub fn put(&mut self, key: usize, time: Instant) {
        self.remove(key);
        if key >= self.times.len() {
            self.times.resize(key + 1, None);
        }
        let time = self.pack(time);
        self.times[key] = Some(time);
        self.queue.insert(QueueEntry::new(time, key));
    }

    /// Removes `key`, if it is in the queue.
    pub fn remove(&mut self, key: usize) {
        if let Some(time) = self.times.get_mut(key).and_then(Option::take) {
            self.queue.remove(&QueueEntry::new(time, key));
        }
    }

    /// Returns whether `key` is in the queue.
    pub fn contains(&self, key: usize) -> bool {
        self.packed_time(key).is_some()
    }

    /// Returns whether the time of `key` is `time` or earlier. Returns `false` if the key is not in
    /// the queue.
    pub fn is_due_by(&self, key: usize, time: Instant) -> bool {
        self.packed_time(key).is_some_and(|entry| entry <= self.pack(time))
    }

    /// Returns whether the time of `key` is `time`.
    pub fn is_at(&self, key: usize, time: Instant) -> bool {
        self.packed_time(key) == Some(self.pack(time))
    }

    /// Returns the earliest time and its key.
    pub fn first(&self) -> Option<(Instant, usize)> {
        self.queue.first().map(|entry| self.unpack(*entry))
    }

    /// Returns the first entry behind `last`, or the first of all entries without it.
    pub fn next_after(&self, last: Option<(Instant, usize)>) -> Option<(Instant, usize)> {
        let last = last.map(|(time, key)| QueueEntry::new(self.pack(time), key));
        let behind = last.map_or(Bound::Unbounded, Bound::Excluded);
        self.queue.range((behind, Bound::Unbounded)).next().map(|entry| self.unpack(*entry))
    }

    fn packed_time(&self, key: usize) -> Option<QueueTime> {
        self.times.get(key).copied().flatten()
    }

    fn pack(&self, time: Instant) -> QueueTime {
        let since = time.saturating_duration_since(self.start);
        let nanos = since.as_secs().saturating_mul(1_000_000_000).saturating_add(since.subsec_nanos().into());
        QueueTime(NonZeroU64::MIN.saturating_add(nanos))
    }

    fn unpack(&self, QueueEntry { time, key }: QueueEntry) -> (Instant, usize) {
        (self.start + Duration::from_nanos(time.0.get() - 1), key as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_queue_keeps_times_exactly() {
        let start = Instant::now();
        let mut queue = KeyQueue::new(start);
        let nanos = [0, 1, 999_999_999, 1_000_000_000, 123_456_789_012_345_678];
        for (key, nanos) in nanos.into_iter().enumerate() {
            let time = start + Duration::from_nanos(nanos);
            queue.put(key, time);
            assert!(queue.is_at(key, time) && queue.is_due_by(key, time), "{nanos}");
            assert!(!queue.is_due_by(key, time - Duration::from_nanos(1)) || nanos == 0, "{nanos}");
        }
        let mut last = None;
        for (key, nanos) in nanos.into_iter().enumerate() {
            last = queue.next_after(last);
            assert_eq!(last, Some((start + Duration::from_nanos(nanos), key)));
        }
        queue.remove(0);
        assert!(!queue.contains(0) && !queue.is_due_by(0, start) && queue.contains(1));
        assert_eq!(queue.first(), Some((start + Duration::from_nanos(1), 1)));
        assert_eq!((size_of::<Option<QueueTime>>(), size_of::<QueueEntry>()), (8, 12));
    }
}
