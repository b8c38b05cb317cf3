//! Who is late, or else to be looked at by the clock, and how long the poll may sleep.
//!
//! Each key has at most one entry, which may be *earlier* than its deadline but never later. So moving a deadline
//! further away, which every request does, is one comparison; the entry is moved when its time has come.

use std::{collections::BTreeSet, time::Instant};

/// The nearest deadline of each source. Every operation costs O(log n) at most.
#[derive(Default)]
pub struct Deadlines {
    queue: BTreeSet<(Instant, usize)>,
    /// By key: the time of its entry in `queue`.
    entries: Vec<Option<Instant>>,
}

impl Deadlines {
    /// From now on `key` is to be looked at by `deadline`. A later deadline, or none, leaves the earlier entry alone:
    /// whoever is called too early sets the rest of the time.
    pub fn set(&mut self, key: usize, deadline: Option<Instant>) {
        if key >= self.entries.len() {
            self.entries.resize(key + 1, None);
        }
        let Some(deadline) = deadline else { return };
        if self.entries[key].is_none_or(|entry| deadline < entry) {
            self.remove(key);
            self.queue.insert((deadline, key));
            self.entries[key] = Some(deadline);
        }
    }

    /// Forgets `key`.
    pub fn remove(&mut self, key: usize) {
        if let Some(entry) = self.entries.get_mut(key).and_then(Option::take) {
            self.queue.remove(&(entry, key));
        }
    }

    /// The nearest entry.
    pub fn next(&self) -> Option<Instant> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Takes out a key whose entry is not after `now`.
    pub fn pop_due(&mut self, now: Instant) -> Option<usize> {
        let (at, key) = *self.queue.first()?;
        if at > now {
            return None;
        }
        self.remove(key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_an_earlier_deadline_moves_an_entry() {
        let start = Instant::now();
        let at = |s| Some(start + Duration::from_secs(s));
        let mut deadlines = Deadlines::default();
        deadlines.set(7, at(10));
        deadlines.set(7, at(20));
        assert_eq!(deadlines.next(), at(10), "a later one waits for the entry");
        deadlines.set(7, at(5));
        assert_eq!(deadlines.next(), at(5), "an earlier one does not");
        deadlines.set(7, None);
        assert_eq!(deadlines.next(), at(5));
        assert_eq!(deadlines.queue.len(), 1, "one entry a key");
    }

    #[test]
    fn the_due_come_out_in_order_and_once() {
        let start = Instant::now();
        let after = |s| start + Duration::from_secs(s);
        let mut deadlines = Deadlines::default();
        for (key, s) in [(1, 3), (2, 1), (3, 2), (4, 9)] {
            deadlines.set(key, Some(after(s)));
        }
        deadlines.remove(3);
        deadlines.remove(99);
        assert_eq!(deadlines.pop_due(after(0)), None);
        assert_eq!(deadlines.pop_due(after(3)), Some(2));
        assert_eq!(deadlines.pop_due(after(3)), Some(1));
        assert_eq!(deadlines.pop_due(after(3)), None);
        assert_eq!(deadlines.next(), Some(after(9)));
    }
}
