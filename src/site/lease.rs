//! Leases: how long everything holds that the site has answered for one request, for a caller that
//! keeps its response.
//!
//! Only what inotify reports can be leased. A lease must never hold longer than the answers, and
//! the caller must ask [`Site::is_current`] before each use.

use std::time::Instant;

use super::{
    RECHECK_AFTER, Site,
    entry::{Entry, Watch},
    file::Describe,
};
use crate::clock::Clock;

/// A lease on the answers of a site to one request. It ends when something changes, and after a
/// second at the latest.
#[derive(Debug, Clone, Copy)]
pub struct Lease {
    /// The number of changes when the answers were given.
    changes: u64,
    until: Instant,
    /// Whether a path that does not exist is among the answers.
    has_absent: bool,
}

impl Lease {
    /// Creates a lease on answers that follow `changes` changes.
    pub fn new(changes: u64, until: Instant) -> Lease {
        Lease { changes, until, has_absent: false }
    }

    /// Returns a lease on `entry` as well, or `None` if inotify does not report its changes.
    pub fn with<D>(self, entry: &Entry<D>) -> Option<Lease> {
        let is_watched = matches!(entry.watch, Watch::Active(_));
        let has_absent = self.has_absent || entry.found.is_none();
        is_watched.then_some(Lease { has_absent, until: self.until.min(entry.due), ..self })
    }

    /// Returns whether the leased answers were given after `changes` changes.
    pub fn is_on_answers_after(&self, changes: u64) -> bool {
        self.changes == changes
    }

    /// Returns whether the lease has not ended by `now`.
    pub fn holds_at(&self, now: Instant) -> bool {
        now < self.until
    }

    /// Returns whether nothing has changed between the answers of the two leases.
    pub fn is_on_same_answers_as(&self, other: &Lease) -> bool {
        self.changes == other.changes
    }
}

impl<D: Describe> Site<D> {
    /// Begins a lease on the answers that follow, until [`Site::take_lease`]. The caller must know
    /// how long everything else holds that its response depends on.
    pub fn begin_lease(&self, clock: &Clock) {
        self.state.borrow_mut().cache.begin_lease(clock.now() + RECHECK_AFTER);
    }

    /// Returns the lease on the answers since [`Site::begin_lease`], and begins no other. Returns
    /// `None` if one of them may become wrong without a report.
    pub fn take_lease(&self) -> Option<Lease> {
        self.state.borrow_mut().cache.take_lease()
    }

    /// Ends all leases, because a caller makes something else of the same answers from now on.
    pub fn end_leases(&self) {
        self.state.borrow_mut().cache.end_leases();
    }

    /// Returns whether the site would give the same answers again. This needs no system call,
    /// except for the checks that [`Site::resolve`] makes as well: of inotify after every few
    /// answers, and of the root directory once a second, or if something was missing.
    pub fn is_current(&self, lease: &Lease, clock: &Clock) -> bool {
        let state = &mut *self.state.borrow_mut();
        if !state.cache.is_current(lease, clock) {
            return false;
        }
        // As in `resolve`: a build tool may have replaced the directory.
        let is_replaced = match lease.has_absent {
            true => state.reopen_if_replaced(&self.dir, &self.options, clock),
            false => state.reopen_if_due(&self.dir, &self.options, clock),
        };
        !is_replaced
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::site::SiteOptions;

    #[test]
    fn lease_outlives_a_check_of_the_root_unless_the_root_is_replaced() {
        let top = tempfile::tempdir().expect("a directory");
        let [old, new, away] = ["old", "new", "away"].map(|name| top.path().join(name));
        for dir in [&old, &new] {
            std::fs::create_dir(dir).expect("create it");
        }
        let options = SiteOptions { inotify: false, ..SiteOptions::default() };
        let site = Site::<()>::open(&old, options, ()).expect("open it");
        let mut clock = Clock::frozen(SystemTime::now());
        let lease = |clock: &Clock| {
            site.begin_lease(clock);
            site.take_lease().expect("a lease on nothing")
        };
        let wait = |clock: &mut Clock, parts| {
            clock.advance(RECHECK_AFTER * parts / 10);
            clock.tick();
        };
        assert!(site.is_current(&lease(&clock), &clock), "the root is checked");
        wait(&mut clock, 9);
        let begun = lease(&clock);
        wait(&mut clock, 2);
        assert!(site.is_current(&begun, &clock), "the root is checked again");
        std::fs::rename(&old, away).and_then(|()| std::fs::rename(new, &old)).expect("replace it");
        wait(&mut clock, 2);
        assert!(site.is_current(&begun, &clock), "nothing reports it");
        let last = lease(&clock);
        wait(&mut clock, 9);
        assert!(!site.is_current(&last, &clock), "the root is checked once a second");
    }
}
