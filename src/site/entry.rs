//! What is known of one path, and how long it can be trusted.

use std::{rc::Rc, time::Instant};

use rustix::fs::AtFlags;

use super::{
    FOR_READING, RECHECK_AFTER,
    file::{Describe, Reading, StaticFile},
    readahead::DiskQueue,
    root::RootDir,
};
use crate::clock::Clock;

/// An entry counts for this many bytes on top of its content, names and description.
pub const OVERHEAD: usize = 512;

/// What is known of one path.
pub struct Entry<D> {
    /// `None`: nothing is there.
    pub found: Option<Rc<StaticFile<D>>>,
    /// The path of the file itself: that of an index file is not the requested one.
    pub path: Box<[u8]>,
    /// The turn in which it was last read or checked.
    pub checked: u64,
    /// When the path has to be opened again. Checks do not move it.
    pub due: Instant,
    pub watch: Watch,
}

/// Whether inotify reports changes of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// Not asked for yet: it was not requested again since it was read.
    Pending,
    /// It does; for a file, by this watch descriptor.
    Active(Option<i32>),
    /// It does not.
    Unavailable,
}

/// How an entry can be trusted in a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// It was read or checked in this turn.
    Checked,
    /// inotify would have reported a change.
    Watched,
    /// One `stat` in each turn tells.
    CheckEachTurn,
    /// Its path has to be opened again.
    Due,
}

impl<D: Describe> Entry<D> {
    /// Returns how the entry can be trusted in this turn.
    pub fn freshness(&self, clock: &Clock) -> Freshness {
        if self.checked == clock.turn() {
            Freshness::Checked
        } else if clock.now() >= self.due {
            Freshness::Due
        } else if matches!(self.watch, Watch::Active(_)) {
            Freshness::Watched
        } else {
            Freshness::CheckEachTurn
        }
    }

    /// Returns whether the path leads to a file with the status of the one that was read.
    pub fn matches_stat(&self, root: &RootDir) -> bool {
        self.found.as_ref().is_some_and(|file| file.matches_stat(&self.path, root.fd(), AtFlags::empty()))
    }

    /// Returns whether the path still leads to the file beneath the root, and reading it gives the
    /// same.
    pub fn is_found_again(&self, root: &RootDir, queue: &Rc<DiskQueue>, clock: &Clock) -> bool {
        let read_again = || {
            let fd = root.open(&self.path, FOR_READING).ok()?;
            Reading::read(fd, queue, clock.wall()).ok()?
        };
        // The stat comes first: to open something else could have effects.
        self.matches_stat(root)
            && self.found.as_ref().zip(read_again()).is_some_and(|(file, later)| file.matches(&later))
    }

    /// Returns how many bytes the entry counts for, under `key`.
    pub fn weight(&self, key: &[u8]) -> usize {
        let file = self.found.as_ref().map_or(0, |file| file.description.size() + file.metadata.len as usize);
        key.len() + self.path.len() + file + OVERHEAD
    }
}

/// Returns when an entry is due that is read now: after three quarters of a second at least, and a
/// second at most. Files that were opened together, as those of a page are, are not all opened
/// again in one turn.
pub fn due(now: Instant, jitter: u32) -> Instant {
    let part = jitter.wrapping_mul(0x9e37_79b9) >> 24; // by the golden ratio, neighbours are far apart
    now + RECHECK_AFTER - RECHECK_AFTER / 4 * part / 256
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn entries_are_not_due_together_that_were_made_together() {
        let now = Instant::now();
        let due: Vec<Duration> = (0..1000).map(|i| due(now, i) - now).collect();
        assert!(due.iter().all(|due| (RECHECK_AFTER * 3 / 4..=RECHECK_AFTER).contains(due)));
        for ms in 750..1000 {
            let (from, to) = (Duration::from_millis(ms), Duration::from_millis(ms + 10));
            let together = due.iter().filter(|due| (from..to).contains(*due)).count();
            assert!(together <= 50, "{together} in the 10 ms from {from:?}");
        }
    }
}
