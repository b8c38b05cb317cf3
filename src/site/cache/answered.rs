//! How long an answer of the cache holds, for a caller that keeps what it made of the answer.

use std::time::Instant;

use super::Cache;
use crate::{
    clock::Clock,
    site::{Lease, RECHECK_AFTER, entry::Watch, file::Describe, refresh::WORK_OF_LEASED_ANSWER},
};

/// When an answer of the cache was given. It holds until something changes, at most for a second,
/// and only until the next [refresh](crate::site::refresh) if no change would be reported.
#[derive(Debug, Clone, Copy)]
pub struct Answered {
    changes: u64,
    refresh: Option<u64>,
    until: Instant,
}

impl Answered {
    /// Returns how long both answers hold.
    pub fn and(self, other: Answered) -> Answered {
        Answered {
            changes: self.changes.min(other.changes),
            refresh: self.refresh.into_iter().chain(other.refresh).min(),
            until: self.until.min(other.until),
        }
    }

    /// Returns whether a lease may cover the answer: whether inotify reports its changes. Before
    /// each use of the lease, the caller must ask the cache whether the answer
    /// [holds](Cache::holds).
    pub fn may_be_leased(&self, lease: &Lease) -> bool {
        self.refresh.is_none() && lease.is_on_answers_after(self.changes)
    }
}

impl<D: Describe> Cache<D> {
    /// Returns how long the answer that was just given for `key` holds.
    pub fn answered(&mut self, key: &[u8], clock: &Clock) -> Answered {
        let entry = self.entries.peek(key);
        let is_watched = entry.is_some_and(|entry| matches!(entry.watch, Watch::Active(_)));
        // To look for an absent file in every turn would cost more than such a file is worth.
        let is_absent = entry.is_some_and(|entry| entry.found.is_none());
        let until = entry.map_or_else(|| clock.now() + RECHECK_AFTER, |entry| entry.due);
        let refresh = (!is_watched && !is_absent).then(|| self.refreshes.number(clock));
        Answered { changes: self.refreshes.changes(), refresh, until }
    }

    /// Returns whether nothing is known that may make the answer wrong.
    pub fn holds(&mut self, answered: &Answered, clock: &Clock) -> bool {
        answered.changes == self.refreshes.changes()
            && clock.now() < answered.until
            && answered.refresh.is_none_or(|refresh| refresh == self.refreshes.number(clock))
    }

    /// Returns the number of changes so far.
    pub fn change_count(&self) -> u64 {
        self.refreshes.changes()
    }

    /// Ends all leases, although no answer has changed.
    pub fn end_leases(&mut self) {
        self.refreshes.invalidate_answers();
    }

    /// Begins a lease on the answers that follow, which ends at `until` at the latest.
    pub fn begin_lease(&mut self, until: Instant) {
        self.lease = Some(Lease::new(self.refreshes.changes(), until));
    }

    /// Returns the lease on the answers since it was begun, if all of them have one. Ends it.
    pub fn take_lease(&mut self) -> Option<Lease> {
        self.lease.take().filter(|lease| lease.is_on_answers_after(self.refreshes.changes()))
    }

    /// Returns whether everything is still as it was when `lease` was taken. This counts as an
    /// answer, so it may read inotify.
    pub fn is_current(&mut self, lease: &Lease, clock: &Clock) -> bool {
        if self.refreshes.count(WORK_OF_LEASED_ANSWER, clock) {
            self.read_changes();
        }
        lease.is_on_answers_after(self.refreshes.changes()) && lease.holds_at(clock.now())
    }
}
