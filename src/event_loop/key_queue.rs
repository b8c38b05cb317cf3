//! Keys of sources in the order of a time, at most one entry for each key.
//!
//! The timers and the idle connections use the same structure. It knows nothing about sources: the
//! caller decides what the time of a key means. Every open connection has entries here, so they are
//! small: a time is 8 bytes, and a key and its place are 4 each. A tree would need twice as much.

use crate::clock::CompactInstant;

/// The number of children of a place in the heap. With 4, the heap is half as deep as with 2.
const CHILDREN: usize = 4;

/// Keys ordered by a time: a heap that knows the place of each key. Every operation costs at most
/// O(log n).
#[derive(Default)]
pub struct KeyQueue {
    /// The entries. Each is earlier than its children.
    heap: Vec<QueueEntry>,
    /// The place of each key's entry in `heap`, plus 1, indexed by key. 0 if it has none.
    places: Vec<u32>,
}

/// An entry: a time and a key. Without padding it has 12 bytes, not 16.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(Rust, packed(4))]
struct QueueEntry {
    time: CompactInstant,
    /// Keys are reused, and a process has fewer descriptors than fit into 4 bytes.
    key: u32,
}

impl KeyQueue {
    /// Sets the time of `key`, and adds the key if it is not in the queue.
    pub fn put(&mut self, key: usize, time: CompactInstant) {
        if key >= self.places.len() {
            self.places.resize(key + 1, 0);
        }
        let entry = QueueEntry { time, key: key as u32 };
        let place = match self.place(key) {
            Some(place) => {
                self.heap[place] = entry;
                place
            }
            None => {
                self.heap.push(entry);
                self.heap.len() - 1
            }
        };
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
    pub fn is_due_by(&self, key: usize, time: CompactInstant) -> bool {
        self.time_of(key).is_some_and(|at| at <= time)
    }

    /// Returns whether the time of `key` is `time`.
    pub fn is_at(&self, key: usize, time: CompactInstant) -> bool {
        self.time_of(key) == Some(time)
    }

    /// Returns the earliest time and its key.
    pub fn first(&self) -> Option<(CompactInstant, usize)> {
        self.heap.first().map(|entry| (entry.time, entry.key as usize))
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

    /// Returns the time of `key`.
    fn time_of(&self, key: usize) -> Option<CompactInstant> {
        self.place(key).map(|place| self.heap[place].time)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        time::{Duration, Instant},
    };

    use super::*;
    use crate::clock::Clock;

    #[test]
    fn key_queue_returns_keys_in_order_after_any_changes() {
        let start = Clock::system().now();
        let mut queue = KeyQueue::default();
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
                queue.put(key, (start + Duration::from_secs(time)).into());
                times.insert(key, time);
            }
            let first = times.iter().map(|(key, time)| (*time, *key)).min();
            let expected = first.map(|(time, key)| ((start + Duration::from_secs(time)).into(), key));
            assert_eq!(queue.first(), expected, "round {round}");
            assert_eq!(queue.contains(key), times.contains_key(&key));
        }
        let all = std::iter::from_fn(|| {
            let (time, key) = queue.first()?;
            queue.remove(key);
            Some((Instant::from(time).duration_since(start).as_secs(), key))
        });
        let mut expected: Vec<_> = times.iter().map(|(key, time)| (*time, *key)).collect();
        expected.sort_unstable();
        assert_eq!(all.collect::<Vec<_>>(), expected);
        assert_eq!(size_of::<QueueEntry>(), 12);
    }
}
