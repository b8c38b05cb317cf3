//! The budget for long work, and the queue of the sources that wait for a piece of it.
//!
//! A source that finds the budget used up joins the queue. It costs nothing while it waits, and is
//! woken in the turn in which a piece is free for it. So a turn costs the same whether ten or ten
//! thousand sources wait. This module must never lose a source that waits, and never keep one that
//! has closed.

use std::collections::{BTreeMap, HashMap};

use super::{LoopRequests, WakeKey};

/// The number of pieces of work in one turn. Together they take a few milliseconds at most.
const PIECES: usize = 4;

/// The budget for long work in one turn, shared by all sources. It counts pieces of work that take
/// a fraction of a millisecond each.
#[derive(Debug)]
pub struct WorkBudget {
    /// The pieces that anyone may take in this turn.
    left: usize,
    /// The sources that were woken for this turn. Their pieces are no longer in `left`.
    granted: Vec<WakeKey>,
    /// The sources that wait, and the pieces that each needs, in the order in which they came.
    queue: BTreeMap<u64, (WakeKey, usize)>,
    /// The place of each source in `queue`.
    places: HashMap<WakeKey, u64>,
    next_place: u64,
}

impl Default for WorkBudget {
    fn default() -> WorkBudget {
        WorkBudget {
            left: PIECES,
            granted: Vec::new(),
            queue: BTreeMap::new(),
            places: HashMap::new(),
            next_place: 0,
        }
    }
}

impl WorkBudget {
    /// Restores the full budget at the end of a turn. Gives it to the sources that have waited
    /// longest, and wakes them.
    pub fn refill(&mut self, requests: &mut LoopRequests) {
        self.left = PIECES;
        // A source that was woken and did not take its piece, because its peer accepts no data,
        // asks again when it can continue.
        self.granted.clear();
        while let Some(next) = self.queue.first_entry() {
            let (source, pieces) = *next.get();
            if pieces > self.left {
                break;
            }
            next.remove();
            self.places.remove(&source);
            self.left -= pieces;
            self.granted.push(source);
            requests.wakes.push(source);
        }
    }

    /// Takes one piece for `source` and returns `true`. If none is left, `source` joins the queue.
    pub(super) fn take(&mut self, source: WakeKey) -> bool {
        self.take_pieces(source, 1)
    }

    /// Takes the work of a whole turn for `source` and returns `true`. If a piece of this turn has
    /// been taken, `source` joins the queue.
    pub(super) fn take_all(&mut self, source: WakeKey) -> bool {
        self.take_pieces(source, PIECES)
    }

    fn take_pieces(&mut self, source: WakeKey, pieces: usize) -> bool {
        if let Some(at) = self.granted.iter().position(|granted| *granted == source) {
            self.granted.swap_remove(at);
            return true;
        }
        // Nobody overtakes those who wait.
        if self.queue.is_empty() && self.left >= pieces {
            self.left -= pieces;
            return true;
        }
        // A source that asks again, for example at a shutdown, keeps its place.
        self.places.entry(source).or_insert_with(|| {
            self.next_place += 1;
            self.queue.insert(self.next_place, (source, pieces));
            self.next_place
        });
        false
    }

    /// Removes `source`, which has closed, from the queue.
    pub(crate) fn remove(&mut self, source: WakeKey) {
        if !self.queue.is_empty()
            && let Some(place) = self.places.remove(&source)
        {
            self.queue.remove(&place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::SourceId;

    fn source(number: u64) -> WakeKey {
        WakeKey { key: number as usize, id: SourceId::Connection(number) }
    }

    /// Ends a turn, and returns the numbers of the sources that it wakes.
    fn refill(work: &mut WorkBudget) -> Vec<usize> {
        let mut requests = LoopRequests::default();
        work.refill(&mut requests);
        requests.wakes.iter().map(|source| source.key).collect()
    }

    #[test]
    fn work_is_taken_in_the_order_of_the_queue() {
        let mut work = WorkBudget::default();
        let taken: Vec<bool> = (1..=10).map(|number| work.take(source(number))).collect();
        assert_eq!(taken, [true, true, true, true, false, false, false, false, false, false]);
        assert_eq!(refill(&mut work), [5, 6, 7, 8]);
        assert!(!work.take(source(11)), "a newcomer overtakes nobody");
        assert!((5..=8).all(|number| work.take(source(number))));
        assert!(!work.take(source(5)), "it has had its piece");
        assert_eq!(refill(&mut work), [9, 10, 11, 5]);
        assert_eq!(refill(&mut work), [0; 0]);
        assert!(work.take(source(12)), "nobody waits");
    }

    #[test]
    fn work_queue_holds_a_source_once_and_forgets_the_closed_ones() {
        let mut work = WorkBudget::default();
        (1..=4).for_each(|number| assert!(work.take(source(number))));
        for number in [5, 6, 5, 7, 5, 8, 9] {
            assert!(!work.take(source(number)));
        }
        for number in [6, 8, 6, 99] {
            work.remove(source(number));
        }
        assert_eq!(refill(&mut work), [5, 7, 9]);
        assert!(work.queue.is_empty() && work.places.is_empty());
    }

    #[test]
    fn work_of_a_whole_turn_waits_for_one() {
        let mut work = WorkBudget::default();
        assert!(work.take(source(1)));
        assert!(!work.take_all(source(2)), "a piece is taken");
        assert!(!work.take(source(3)), "the next in the queue waits behind it");
        assert_eq!(refill(&mut work), [2]);
        assert!(work.take_all(source(2)) && !work.take(source(4)));
        assert_eq!(refill(&mut work), [3, 4]);
        assert!(work.take(source(5)));
    }
}
