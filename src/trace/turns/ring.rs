//! The last turns of the loop, as JSON.

use std::collections::VecDeque;

/// How much a ring keeps.
#[derive(Clone, Copy)]
pub struct RingLimits {
    pub turns: usize,
    pub bytes: usize,
}

/// The last turns, as JSON, and their number.
pub struct Ring {
    limits: RingLimits,
    turns: VecDeque<String>,
    bytes: usize,
    /// The number of turns that have left the ring.
    dropped: u64,
}

impl Ring {
    pub fn new(limits: RingLimits) -> Ring {
        Ring { limits, turns: VecDeque::new(), bytes: 0, dropped: 0 }
    }

    /// Adds a turn, and drops the oldest ones if there are too many.
    pub fn push(&mut self, turn: String) {
        self.bytes += turn.len();
        self.turns.push_back(turn);
        while self.turns.len() > self.limits.turns || self.bytes > self.limits.bytes {
            let Some(oldest) = self.turns.pop_front() else { return };
            self.bytes -= oldest.len();
            self.dropped += 1;
        }
    }

    /// Returns the number of the oldest turn.
    pub fn first(&self) -> u64 {
        self.dropped
    }

    /// Returns how many turns are kept.
    pub fn len(&self) -> usize {
        self.turns.len()
    }

    /// Returns the turns from number `from` on as a JSON array, and the number that follows them.
    /// Returns at least one turn and about `max` bytes, and `None` if there are no such turns.
    pub fn turns(&self, from: u64, max: usize) -> Option<(String, u64)> {
        let from = from.max(self.dropped);
        let start = usize::try_from(from - self.dropped).ok()?;
        let mut text = String::from("[");
        let mut next = from;
        for turn in self.turns.iter().skip(start) {
            if next > from && text.len() > max {
                break;
            }
            text.push_str(if next == from { "" } else { "," });
            text.push_str(turn);
            next += 1;
        }
        text.push(']');
        (next > from).then_some((text, next))
    }

    /// Drops all turns.
    pub fn clear(&mut self) {
        self.dropped += self.turns.len() as u64;
        (self.turns, self.bytes) = (VecDeque::new(), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ring_is_bounded_in_turns_and_in_bytes() {
        let mut ring = Ring::new(RingLimits { turns: 5, bytes: 100 });
        (0..15).for_each(|_| ring.push("{}".into()));
        assert_eq!((ring.len(), ring.dropped), (5, 10));
        ring.push(" ".repeat(100));
        assert_eq!((ring.len(), ring.bytes), (1, 100));
        ring.clear();
        assert_eq!((ring.len(), ring.dropped, ring.bytes), (0, 16, 0));
    }
}
