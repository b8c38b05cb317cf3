//! The ready queue: the order in which sources get their turns.
//!
//! The poller reports each edge only once, even if the source's budget is used up before all its
//! work is done. So this queue holds every source that has work, each at most once. A source with
//! unfinished work goes to the back.

use std::collections::VecDeque;

/// The keys of sources that have work, first in, first out.
#[derive(Default)]
pub struct ReadyQueue {
    queue: VecDeque<usize>,
    /// Whether each key is in the queue, indexed by key.
    queued: Vec<bool>,
}

impl ReadyQueue {
    /// Puts `key` at the back, unless it is already in the queue.
    pub fn push(&mut self, key: usize) {
        if key >= self.queued.len() {
            self.queued.resize(key + 1, false);
        }
        if !self.queued[key] {
            self.queued[key] = true;
            self.queue.push_back(key);
        }
    }

    /// Puts `key` at the front, unless it is already in the queue.
    pub fn push_front(&mut self, key: usize) {
        self.push(key);
        if self.queue.back() == Some(&key) {
            self.queue.rotate_right(1);
        }
    }

    /// Removes and returns the key at the front. The key's source may have been closed and the key
    /// reused. In that case the turn costs only one call that would block.
    pub fn pop(&mut self) -> Option<usize> {
        let key = self.queue.pop_front()?;
        self.queued[key] = false;
        Some(key)
    }

    /// Returns the keys in order, from front to back.
    pub fn keys(&self) -> impl Iterator<Item = usize> {
        self.queue.iter().copied()
    }

    /// Returns the number of keys in the queue.
    pub fn count(&self) -> usize {
        self.queue.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_queue_holds_a_key_once() {
        let mut ready = ReadyQueue::default();
        for key in [3, 1, 3, 2, 1] {
            ready.push(key);
        }
        assert_eq!(ready.pop(), Some(3));
        ready.push(3);
        let order: Vec<usize> = std::iter::from_fn(|| ready.pop()).collect();
        assert_eq!(order, [1, 2, 3]);
        assert_eq!(ready.count(), 0);
        ready.push(4);
        ready.push_front(5);
        assert_eq!((ready.pop(), ready.pop()), (Some(5), Some(4)));
    }
}
