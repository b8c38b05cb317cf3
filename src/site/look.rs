//! How old the site's knowledge of its files may be within a turn.
//!
//! The loop reads inotify once, when its poll returns. In a long turn, a request may arrive after
//! that and still be answered in the same turn. So the site looks for changes again after every few
//! answers.

use crate::clock::Clock;

/// The maximum number of answers from the cache after one look. Together they take a fraction of a
/// millisecond.
const MAX_ANSWERS: u32 = 16;

/// The current look: all answers given after one look may use what was checked after it.
#[derive(Debug, Default)]
pub struct Look {
    number: u64,
    turn: u64,
    answers: u32,
}

impl Look {
    /// Returns the number of the current look. Each turn begins with a look, because the loop has
    /// just read inotify.
    pub fn number(&mut self, clock: &Clock) -> u64 {
        if self.turn != clock.turn() {
            *self = Look { number: self.number + 1, turn: clock.turn(), answers: 0 };
        }
        self.number
    }

    /// Counts an answer. Returns `true` if another look is needed before this answer; that look has
    /// begun then, and the caller must read inotify.
    #[must_use]
    pub fn count(&mut self, clock: &Clock) -> bool {
        self.number(clock);
        let is_over = self.answers == MAX_ANSWERS;
        if is_over {
            (self.number, self.answers) = (self.number + 1, 0);
        }
        self.answers += 1;
        is_over
    }
}
