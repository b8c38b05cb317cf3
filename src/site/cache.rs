//! The cache of the site: small files, and paths where nothing exists, kept in memory and never
//! served stale.
//!
//! The cache must never return an entry that it cannot prove to be current. After each refresh, an
//! entry has a [`Freshness`]: inotify reports its changes, one `stat` checks it, or it is due to be
//! opened and read again. Every entry is due within a second. The cache owns the inotify instance.

mod absent;
mod answered;

use std::{os::fd::OwnedFd, rc::Rc};

pub use self::answered::Answered;
use super::{
    disk::DiskState,
    entries::Entries,
    entry::{Cached, Entry, Freshness, Watch, due},
    file::{Describe, StaticFile},
    inotify::Inotify,
    lease::Lease,
    refresh::{Refreshes, WORK_OF_ANSWER},
    root::RootDir,
};
use crate::clock::Clock;

/// A cache of files and absent files. It removes the least recently used entries first.
pub struct Cache<D> {
    entries: Entries<D>,
    /// The keys of the entries for absent files, which are removed together.
    absent: Vec<Box<[u8]>>,
    /// The inotify instance, if inotify is used.
    pub inotify: Option<Inotify>,
    refreshes: Refreshes,
    /// The lease on the answers since it was begun, if they have one.
    lease: Option<Lease>,
    /// The state of the disk that all files share.
    pub disk: Rc<DiskState>,
    jitter: u32,
}

impl<D: Describe> Cache<D> {
    /// Creates an empty cache. Without `inotify`, every file is checked by `stat`.
    pub fn new(inotify: Option<Inotify>, disk: Rc<DiskState>) -> Cache<D> {
        Cache {
            entries: Entries::new(),
            absent: Vec::new(),
            inotify,
            refreshes: Refreshes::default(),
            lease: None,
            disk,
            jitter: 0,
        }
    }

    /// Returns the entry for `key`, if the entry is current.
    pub fn get(&mut self, key: &[u8], root: &RootDir, clock: &Clock) -> Cached<D> {
        if self.refreshes.count(WORK_OF_ANSWER, clock) {
            self.read_changes();
        }
        let refresh = self.refreshes.number(clock);
        let lease = self.lease.take(); // an answer from elsewhere has none
        let Some(entry) = self.entries.get_mut(key) else { return Cached::Unknown };
        // In order of cost: an entry that was checked since the last refresh or is watched needs no
        // system call, an entry to check needs one `stat`, and a due entry is opened and read.
        let freshness = entry.freshness(refresh, clock);
        let is_current = match (freshness, &entry.found) {
            (Freshness::Checked | Freshness::Watched, _) => true,
            // An absent file has no status to compare. Keep the entry: `insert_absent` refreshes it
            // after the lookup.
            (_, None) => return Cached::Unknown,
            (Freshness::Check, Some(file)) => {
                // The second request for a file starts its watch. A file that is requested only
                // once is not worth a watch.
                if let (Watch::Pending, Some(inotify)) = (entry.watch, &mut self.inotify) {
                    let wd = inotify.add(&entry.path, key, file, root);
                    entry.watch = wd.map_or(Watch::Unavailable, |wd| Watch::Active(Some(wd)));
                }
                // `Inotify::add` compares the status after the watch starts, so a new watch needs
                // no second `stat`.
                matches!(entry.watch, Watch::Active(_)) || entry.matches_stat(root)
            }
            (Freshness::Due, Some(_)) => {
                self.jitter = self.jitter.wrapping_add(1);
                entry.due = due(clock.now(), self.jitter);
                if entry.watch == Watch::Unavailable {
                    entry.watch = Watch::Pending; // a watch may be available by now
                }
                // Open and read the file again, even if its status is unchanged. The path may lead
                // elsewhere now, perhaps out of the root. Also, a store through a shared memory
                // map, into a page that was written to before, does not change the status.
                entry.is_found_again(root, &self.disk, clock)
            }
        };
        if !is_current {
            self.remove(key);
            return Cached::Unknown;
        }
        entry.checked = refresh;
        self.lease = lease.and_then(|lease| lease.with(entry));
        entry.found.as_ref().map_or(Cached::Absent, |file| Cached::File(Rc::clone(file)))
    }

    /// Inserts `file`, which was just read from `path`, under `key`. Removes the least
    /// recently used entries if the cache is full.
    pub fn insert(&mut self, key: &[u8], path: &[u8], file: &Rc<StaticFile<D>>, clock: &Clock) {
        self.put(key, path, Some(Rc::clone(file)), Watch::Pending, clock);
        while let Some((key, entry)) = self.entries.remove_excess() {
            self.unwatch(&key, &entry);
            self.refreshes.invalidate_answers(); // a later change of this file is not reported
        }
    }

    /// Reads the inotify events and removes the entries that changed. Returns whether anything has
    /// changed since the last call.
    pub fn apply_changes(&mut self) -> bool {
        self.read_changes();
        self.refreshes.take_changes()
    }

    fn read_changes(&mut self) {
        let Some(inotify) = &mut self.inotify else { return };
        let changes = inotify.read();
        if changes.overflowed {
            return self.clear();
        }
        if changes.created || changes.removed_from_root || !changes.keys.is_empty() {
            self.refreshes.count_change();
        }
        changes.keys.iter().for_each(|key| self.remove(key));
        if changes.created {
            self.remove_absent();
        }
    }

    /// Removes all entries and watches.
    pub fn clear(&mut self) {
        self.refreshes.count_change();
        self.entries.clear();
        self.absent.clear();
        if let Some(inotify) = &mut self.inotify {
            inotify.clear();
        }
    }

    /// Returns the number of the last [refresh](super::refresh).
    pub fn refresh(&mut self, clock: &Clock) -> u64 {
        self.refreshes.number(clock)
    }

    /// Returns the inotify descriptor, if inotify is used.
    pub fn changes(&self) -> Option<Rc<OwnedFd>> {
        self.inotify.as_ref().map(|inotify| Rc::clone(inotify.fd()))
    }

    /// Inserts or replaces the entry for `key`.
    fn put(
        &mut self,
        key: &[u8],
        path: &[u8],
        found: Option<Rc<StaticFile<D>>>,
        watch: Watch,
        clock: &Clock,
    ) {
        self.remove(key);
        self.jitter = self.jitter.wrapping_add(1);
        let due = due(clock.now(), self.jitter);
        let checked = self.refreshes.number(clock);
        let entry = Entry { found, path: path.into(), checked, due, watch };
        self.entries.insert(key, entry);
    }

    /// Removes the entry for `key`, if there is one.
    fn remove(&mut self, key: &[u8]) {
        if let Some(entry) = self.entries.remove(key) {
            self.unwatch(key, &entry);
        }
    }

    /// Removes the watch of a removed entry.
    fn unwatch(&mut self, key: &[u8], entry: &Entry<D>) {
        if let (Watch::Active(Some(wd)), Some(inotify)) = (entry.watch, &mut self.inotify) {
            inotify.remove(wd, key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use rustix::fs::{CWD, Mode, OFlags, openat};

    use super::*;
    use crate::site::{
        RECHECK_AFTER,
        file::{FileOrigin, Reading},
    };

    /// Returns a directory with `count` files of `len` bytes, and a cache of all of them.
    fn cache_of(count: usize, len: usize) -> (tempfile::TempDir, RootDir, Cache<()>, Clock) {
        cache_in(tempfile::tempdir().expect("a directory"), count, len)
    }

    pub fn cache_in(
        dir: tempfile::TempDir,
        count: usize,
        len: usize,
    ) -> (tempfile::TempDir, RootDir, Cache<()>, Clock) {
        let fd = openat(CWD, dir.path(), OFlags::PATH, Mode::empty()).expect("open it");
        let clock = Clock::frozen(SystemTime::now() + Duration::from_secs(60));
        let root = RootDir::new(fd, Default::default());
        let mut cache = Cache::new(None, Rc::default());
        for i in 0..count {
            let name = i.to_string();
            let key = name.as_bytes();
            std::fs::write(dir.path().join(&name), vec![b'x'; len]).expect("write");
            let fd = root.open(key, OFlags::RDONLY, &clock).expect("open");
            let reading = Reading::read(fd, &Rc::default(), &clock).expect("read").expect("a file");
            cache.insert(key, key, &Rc::new(reading.into_file(&(), FileOrigin::Path(b""))), &clock);
        }
        (dir, root, cache, clock)
    }

    fn file(cached: Cached<()>) -> Option<Rc<StaticFile<()>>> {
        match cached {
            Cached::File(file) => Some(file),
            Cached::Absent | Cached::Unknown => None,
        }
    }

    #[test]
    fn cache_asks_once_a_turn() {
        let (dir, root, mut cache, mut clock) = cache_of(1, 10);
        std::fs::remove_file(dir.path().join("0")).expect("remove");
        assert!(file(cache.get(b"0", &root, &clock)).is_some(), "the turn in which it was read");
        clock.tick();
        assert!(file(cache.get(b"0", &root, &clock)).is_none());
    }

    #[test]
    fn cache_looks_for_changes_again_in_a_long_turn() {
        let dirs = |watch| crate::testing::dirs().map(move |dir| (dir, watch));
        for (dir, watch) in dirs(true).chain(dirs(false)) {
            let (dir, root, mut cache, mut clock) = cache_in(dir, 1, 10);
            cache.inotify = watch.then(Inotify::new).and_then(Result::ok);
            clock.tick();
            assert!(file(cache.get(b"0", &root, &clock)).is_some());
            let watch = cache.entries.peek(b"0").expect("it was just requested").watch;
            std::fs::write(dir.path().join("0"), "changed").expect("write");
            let answers = (0..100).take_while(|_| file(cache.get(b"0", &root, &clock)).is_some()).count();
            assert!(answers < 16, "{answers} more after the change");
            assert_eq!(cache.apply_changes(), matches!(watch, Watch::Active(_)), "it is still reported");
            assert!(!cache.apply_changes(), "but once");
        }
    }

    #[test]
    fn cache_does_not_find_a_path_again_that_leads_out_to_the_same_file() {
        let (dir, root, mut cache, mut clock) = cache_of(1, 10);
        let outside = tempfile::tempdir().expect("a directory");
        std::fs::rename(dir.path().join("0"), outside.path().join("0")).expect("move it out");
        std::os::unix::fs::symlink(outside.path().join("0"), dir.path().join("0")).expect("a link to it");
        let open = std::fs::File::open(dir.path().join("0")).expect("open");
        let reading = Reading::read(open.into(), &Rc::default(), &clock).expect("read").expect("a file");
        cache.insert(b"0", b"0", &Rc::new(reading.into_file(&(), FileOrigin::Path(b""))), &clock);
        clock.tick();
        assert!(file(cache.get(b"0", &root, &clock)).is_some(), "its status is the same");
        clock.tick();
        clock.advance(RECHECK_AFTER);
        assert!(file(cache.get(b"0", &root, &clock)).is_none());
    }

    #[test]
    fn cache_sees_a_change_that_left_no_trace_in_the_status_after_a_while() {
        let (dir, root, mut cache, mut clock) = cache_of(1, 10);
        let open = std::fs::File::open(dir.path().join("0")).expect("open");
        let reading = Reading::that_held(b"stored yet", &open, clock.wall());
        cache.insert(b"0", b"0", &Rc::new(reading.into_file(&(), FileOrigin::Path(b""))), &clock);
        clock.tick();
        assert!(file(cache.get(b"0", &root, &clock)).is_some());
        clock.tick();
        clock.advance(RECHECK_AFTER);
        assert!(file(cache.get(b"0", &root, &clock)).is_none());
    }

    #[test]
    fn cache_reads_a_file_again_after_the_clock_was_set_back() {
        let (_dir, root, mut cache, clock) = cache_of(1, 10);
        assert!(file(cache.get(b"0", &root, &clock)).is_some());
        let mut clock = Clock::frozen(SystemTime::now() - Duration::from_secs(60));
        clock.advance(RECHECK_AFTER + Duration::from_secs(1));
        clock.tick();
        clock.tick();
        let found = file(cache.get(b"0", &root, &clock));
        assert!(found.is_none(), "its Last-Modified would be later than the Date of the response");
    }

    #[test]
    fn cache_reopens_a_path_after_a_while_and_keeps_what_is_still_there() {
        let (dir, root, mut cache, mut clock) = cache_of(1, 10);
        let entry = |cache: &mut Cache<()>, watch| {
            let entry = cache.entries.get_mut(&b"0"[..]).expect("it");
            std::mem::replace(&mut entry.watch, watch)
        };
        // Pretend that inotify reports changes to the file, so that no `stat` checks it.
        entry(&mut cache, Watch::Active(Some(1)));
        let first = file(cache.get(b"0", &root, &clock)).expect("it was just read");
        for _ in 0..3 {
            clock.tick();
            clock.advance(RECHECK_AFTER);
            assert!(file(cache.get(b"0", &root, &clock)).is_some_and(|found| Rc::ptr_eq(&found, &first)));
        }
        entry(&mut cache, Watch::Unavailable);
        clock.tick();
        clock.advance(RECHECK_AFTER);
        assert!(file(cache.get(b"0", &root, &clock)).is_some());
        assert_eq!(entry(&mut cache, Watch::Active(Some(1))), Watch::Pending, "it is tried again");
        // A mount redirects the path, and inotify does not report it.
        std::fs::rename(dir.path().join("0"), dir.path().join("1")).expect("move it");
        std::fs::write(dir.path().join("0"), [b'x'; 10]).expect("write another");
        clock.tick();
        assert!(file(cache.get(b"0", &root, &clock)).is_some(), "it is trusted for a while");
        clock.advance(RECHECK_AFTER);
        clock.tick();
        assert!(file(cache.get(b"0", &root, &clock)).is_none());
    }
}
