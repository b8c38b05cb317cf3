//! A cache entry: what exists at one path, and how long to trust that information.

use std::{rc::Rc, time::Instant};

use super::{
    RECHECK_AFTER,
    disk::DiskState,
    file::{Describe, Reading, StaticFile},
    root::{FOR_READING, RootDir},
};
use crate::clock::Clock;

/// The number of bytes that each entry counts for, in addition to its content, names and
/// description.
pub const OVERHEAD: usize = 512;

/// A cache entry: the file at one path, or its absence.
pub struct Entry<D> {
    /// The file, or `None` if nothing exists at the path.
    pub found: Option<Rc<StaticFile<D>>>,
    /// The path of the file. For an index file, it differs from the requested path.
    pub path: Box<[u8]>,
    /// The [refresh](super::refresh) after which the entry was last read or checked.
    pub checked: u64,
    /// The time at which the path must be opened again. Checks do not postpone this time.
    pub due: Instant,
    /// Whether inotify reports changes to this entry.
    pub watch: Watch,
}

/// Whether inotify reports changes to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// Not yet: the path has not been requested again since the file was read.
    Pending,
    /// Yes. For a file, the value is its watch descriptor.
    Active(Option<i32>),
    /// No: inotify is not available for this path.
    Unavailable,
}

/// What an entry needs before it can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Nothing: it was read or checked since the last refresh.
    Checked,
    /// Nothing: inotify would have reported a change.
    Watched,
    /// One `stat`.
    Check,
    /// The path must be opened and the file read again.
    Due,
}

impl<D: Describe> Entry<D> {
    /// Returns what the entry needs before it can be used after this `refresh`.
    pub fn freshness(&self, refresh: u64, clock: &Clock) -> Freshness {
        if self.checked == refresh {
            Freshness::Checked
        } else if clock.now() >= self.due {
            Freshness::Due
        } else if matches!(self.watch, Watch::Active(_)) {
            Freshness::Watched
        } else {
            Freshness::Check
        }
    }

    /// Calls `stat` on the path. Returns whether the file still has the status that it had when it
    /// was read.
    pub fn matches_stat(&self, root: &RootDir) -> bool {
        self.found.as_ref().is_some_and(|file| file.matches_stat(&self.path, root.fd()))
    }

    /// Opens the path beneath the root and reads the file again. Returns whether it is the same
    /// file with the same content.
    pub fn is_found_again(&self, root: &RootDir, disk: &Rc<DiskState>, clock: &Clock) -> bool {
        // Call stat first: opening something else, such as a FIFO, could have side effects.
        if !self.matches_stat(root) {
            return false;
        }
        let fd = root.open(&self.path, FOR_READING, clock);
        let (Some(file), Ok(fd)) = (&self.found, fd) else { return false };
        match Reading::read(fd, disk, clock) {
            Ok(Some(later)) => file.matches(&later),
            Ok(None) | Err(_) => false,
        }
    }

    /// Returns the number of bytes that the entry and its `key` count for.
    pub fn weight(&self, key: &[u8]) -> usize {
        let file = self.found.as_ref().map_or(0, |file| file.description.size() + file.metadata.len as usize);
        key.len() + self.path.len() + file + OVERHEAD
    }
}

/// Returns the time at which an entry that is read `now` is due: 0.75 to 1 second later. The jitter
/// spreads files that were read together, such as the files of one page, so that one turn does not
/// open all of them again.
pub fn due(now: Instant, jitter: u32) -> Instant {
    // Multiplying by the golden ratio spreads consecutive numbers far apart.
    let part = jitter.wrapping_mul(0x9e37_79b9) >> 24;
    now + RECHECK_AFTER - RECHECK_AFTER / 4 * part / 256
}

/// The result of [`Cache::get`](super::cache::Cache::get).
#[must_use]
pub enum Cached<D> {
    /// A current file.
    File(Rc<StaticFile<D>>),
    /// No file exists at this path.
    Absent,
    /// The path must be looked up.
    Unknown,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn entries_made_together_are_due_at_different_times() {
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
