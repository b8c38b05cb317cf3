//! The memory that all connections together may use for input that they keep.
//!
//! Each connection bounds what it keeps, but ten thousand clients that each send most of a long
//! head would still take a lot. The budget bounds the sum. Short input does not count, so clients
//! that send long heads cannot keep the others out. Nothing waits for memory: a peer whose input
//! does not fit is refused, so connections cannot wait for each other.

use std::{cell::Cell, rc::Rc};

/// The number of bytes of each share that do not count. Most request heads are shorter.
const FREE: usize = 4 * 1024;

/// The memory that all connections together may use for input that they keep.
#[derive(Debug)]
pub struct InputBudget {
    used: Rc<Cell<usize>>,
    max: usize,
}

/// A share of an [`InputBudget`], for some bytes that are kept. Dropping it returns the share.
#[derive(Debug)]
pub struct InputShare {
    used: Rc<Cell<usize>>,
    len: usize,
}

impl Default for InputBudget {
    /// Returns a budget of [`InputBudget::DEFAULT`] bytes.
    fn default() -> InputBudget {
        InputBudget::new(InputBudget::DEFAULT)
    }
}

impl InputBudget {
    /// The default maximum in bytes.
    pub const DEFAULT: usize = 16 * 1024 * 1024;

    /// Creates a budget of `max` bytes.
    pub fn new(max: usize) -> InputBudget {
        InputBudget { used: Rc::default(), max }
    }

    /// Takes a share for `len` bytes. Returns `None` if the budget has not enough left.
    pub fn take(&self, len: usize) -> Option<InputShare> {
        let len = len.saturating_sub(FREE);
        let used = self.used.get() + len;
        // Short input always fits.
        (len == 0 || used <= self.max).then(|| {
            self.used.set(used);
            InputShare { used: Rc::clone(&self.used), len }
        })
    }
}

impl Drop for InputShare {
    fn drop(&mut self) {
        self.used.set(self.used.get() - self.len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_budget_bounds_the_sum_of_long_input() {
        let budget = InputBudget::new(10_000);
        let long = budget.take(FREE + 9_000).expect("a share");
        assert!(budget.take(FREE + 1_001).is_none());
        let rest = budget.take(FREE + 1_000).expect("a share");
        let short: Vec<_> = (0..100).map(|_| budget.take(FREE).expect("short input is free")).collect();
        assert!(budget.take(FREE + 1).is_none());
        drop(long);
        assert!(budget.take(FREE + 9_000).is_some());
        drop((rest, short));
        assert_eq!(budget.used.get(), 0);
    }
}
