//! How old the site's knowledge of its files may be within a turn.
//!
//! The loop reads inotify once, when its poll returns. In a long turn, a request may arrive after
//! that and still be answered in the same turn. So the site refreshes its knowledge after every few
//! answers: it reads inotify again, and what was checked before counts as unchecked.

use crate::clock::Clock;

/// The maximum work between two refreshes, which takes a fraction of a millisecond.
const MAX_WORK: u32 = 64;
/// The work of an answer from the cache, with everything that follows from it.
pub const WORK_OF_ANSWER: u32 = 4;
/// The work of an answer on which there is a [lease](super::Lease). Its response only has to be
/// sent.
pub const WORK_OF_LEASED_ANSWER: u32 = 1;

/// Counts the refreshes, and the work since the last one.
#[derive(Debug, Default)]
pub struct Refreshes {
    number: u64,
    turn: u64,
    work: u32,
    /// How many changes have been found.
    changes: u64,
    /// How many of them have been reported.
    reported: u64,
}

impl Refreshes {
    /// Returns the number of the last refresh. Each turn begins with one, because the loop has just
    /// read inotify.
    pub fn number(&mut self, clock: &Clock) -> u64 {
        if self.turn != clock.turn() {
            (self.number, self.turn, self.work) = (self.number + 1, clock.turn(), 0);
        }
        self.number
    }

    /// Counts a change, which may make any earlier answer wrong.
    pub fn count_change(&mut self) {
        self.changes += 1;
    }

    /// Makes all earlier answers count as wrong, although nothing has changed.
    pub fn invalidate_answers(&mut self) {
        (self.changes, self.reported) = (self.changes + 1, self.reported + 1);
    }

    /// Returns the number of changes so far.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Returns whether there were changes since the last call.
    pub fn take_changes(&mut self) -> bool {
        std::mem::replace(&mut self.reported, self.changes) != self.changes
    }

    /// Counts the `work` of an answer. Returns `true` if it needs another refresh, which is counted
    /// then. The caller must read inotify.
    #[must_use]
    pub fn count(&mut self, work: u32, clock: &Clock) -> bool {
        self.number(clock);
        let is_needed = self.work + work > MAX_WORK;
        if is_needed {
            (self.number, self.work) = (self.number + 1, 0);
        }
        self.work += work;
        is_needed
    }
}
