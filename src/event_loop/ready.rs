//! The ready queue: the order in which sources have their turns.
//!
//! The poller reports each readiness once, and never again what is left over when a budget ends. So
//! each source that has something to do is in this queue, once, and goes to its back when its turn
//! ends before its work does.

use std::collections::VecDeque;

/// Keys of sources that have something to do, first in, first out.
#[derive(Default)]
pub struct Ready {
    queue: VecDeque<usize>,
    /// By key: whether it is in the queue.
    queued: Vec<bool>,
}

impl Ready {
    /// Puts `key` at the back, unless it is in the queue.
    pub fn push(&mut self, key: usize) {
        if key >= self.queued.len() {
            self.queued.resize(key + 1, false);
        }
        if !self.queued[key] {
            self.queued[key] = true;
            self.queue.push_back(key);
        }
    }

    /// Puts `key` at the front, unless it is in the queue.
    pub fn push_front(&mut self, key: usize) {
        self.push(key);
        if self.queue.back() == Some(&key) {
            self.queue.rotate_right(1);
        }
    }

    /// Takes the key at the front. Its source may be closed by now and the key reused: such a turn
    /// costs one call that would block, and nothing else.
    pub fn pop(&mut self) -> Option<usize> {
        let key = self.queue.pop_front()?;
        self.queued[key] = false;
        Some(key)
    }

    /// Returns the keys, the front one first.
    pub fn keys(&self) -> impl Iterator<Item = usize> {
        self.queue.iter().copied()
    }

    /// Returns how many keys are in the queue.
    pub fn count(&self) -> usize {
        self.queue.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stands_in_the_queue_once_and_goes_to_the_back() {
        let mut ready = Ready::default();
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
