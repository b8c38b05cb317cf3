//! Keys of sources in the order of a time, at most one entry for each key.
//!
//! The timers and the idle connections use the same structure. It knows nothing about sources: the
//! caller decides what the time of a key means. Every open connection has entries here, so they are
//! small: a time is 8 bytes, and a key and its place are 4 each. A tree would need twice as much.

use std::{
    num::NonZeroU64,
    time::{Duration, Instant},
};

/// The number of children of a place in the heap. With 4, the heap is half as deep as with 2.
const CHILDREN: usize = 4;

/// Keys ordered by a time: a heap that knows the place of each key. Every operation costs at most
/// O(log n).
pub struct KeyQueue {
    /// The entries. Each is earlier than its children.
    heap: Vec<QueueEntry>,
    /// The place of each key's entry in `heap`, plus 1, indexed by key. 0 if it has none.
    places: Vec<u32>,
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
        KeyQueue { heap: Vec::new(), places: Vec::new(), start }
    }

    /// Sets the time of `key`, and adds the key if it is not in the queue.
    pub fn put(&mut self, key: usize, time: Instant) {
        if key >= self.places.len() {
            self.places.resize(key + 1, 0);
        }
        let entry = QueueEntry::new(self.pack(time), key);
        let place = self.place(key).unwrap_or(self.heap.len());
        if place == self.heap.len() {
            self.heap.push(entry);
        }
        self.heap[place] = entry;
        self.move_up_or_down(place);
    }

    /// Removes `key`, if it is in the queue.
    pub fn remove(&mut self, key: usize) {
        let Some(place) = self.place(key) else { return };
        self.places[key] = 0;
        self.heap.swap_remove(place);
        if place < self.heap.len() {
            self.move_up_or_down(place);
        }
    }

    /// Returns whether `key` is in the queue.
    pub fn contains(&self, key: usize) -> bool {
        self.place(key).is_some()
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
        self.heap.first().map(|entry| self.unpack(*entry))
    }

    /// Moves the entry at `place` until it is later than its parent and earlier than its children.
    fn move_up_or_down(&mut self, mut place: usize) {
        let entry = self.heap[place];
        while place > 0 && entry < self.heap[(place - 1) / CHILDREN] {
            let parent = (place - 1) / CHILDREN;
            self.set(place, self.heap[parent]);
            place = parent;
        }
        loop {
            let first = place * CHILDREN + 1;
            let children = first..(first + CHILDREN).min(self.heap.len());
            let Some(least) = children.min_by_key(|child| self.heap[*child]) else { break };
            if entry < self.heap[least] {
                break;
            }
            self.set(place, self.heap[least]);
            place = least;
        }
        self.set(place, entry);
    }

    fn set(&mut self, place: usize, entry: QueueEntry) {
        self.heap[place] = entry;
        self.places[entry.key as usize] = place as u32 + 1;
    }

    /// Returns the place of the entry of `key` in the heap.
    fn place(&self, key: usize) -> Option<usize> {
        self.places.get(key)?.checked_sub(1).map(|place| place as usize)
    }

    fn packed_time(&self, key: usize) -> Option<QueueTime> {
        self.place(key).map(|place| self.heap[place].time)
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
    use std::collections::BTreeMap;

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
        queue.remove(0);
        assert!(!queue.contains(0) && !queue.is_due_by(0, start) && queue.contains(1));
        assert_eq!(queue.first(), Some((start + Duration::from_nanos(1), 1)));
        assert_eq!(size_of::<QueueEntry>(), 12);
    }

    #[test]
    fn key_queue_returns_keys_in_order_after_any_changes() {
        let start = Instant::now();
        let mut queue = KeyQueue::new(start);
        let mut times: BTreeMap<usize, u64> = BTreeMap::new();
        let mut random = oorandom::Rand32::new(1);
        for round in 0..5000 {
            let key = random.rand_range(0..300) as usize;
            if random.rand_range(0..3) == 0 {
                queue.remove(key);
                times.remove(&key);
            } else {
                // Few times, so that many are equal.
                let time = random.rand_range(0..50).into();
                queue.put(key, start + Duration::from_secs(time));
                times.insert(key, time);
            }
            let first = times.iter().map(|(key, time)| (*time, *key)).min();
            let expected = first.map(|(time, key)| (start + Duration::from_secs(time), key));
            assert_eq!(queue.first(), expected, "round {round}");
            assert_eq!(queue.contains(key), times.contains_key(&key));
        }
        let all = std::iter::from_fn(|| {
            let (time, key) = queue.first()?;
            queue.remove(key);
            Some((time.duration_since(start).as_secs(), key))
        });
        let mut expected: Vec<_> = times.iter().map(|(key, time)| (*time, *key)).collect();
        expected.sort_unstable();
        assert_eq!(all.collect::<Vec<_>>(), expected);
    }
}
