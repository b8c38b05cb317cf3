//! Small files, kept in memory and never stale.
//!
//! Nothing is served from here unless it is known to be still the file that was read: the kernel tells of changes, to
//! files that are [watched](Watch); of others, one `stat` a file and turn is asked. Whether the path still leads there
//! *beneath the root* is asked anew within every second, by opening it again.
//!
//! One kind of change leaves no trace in a file's status: a store through a shared memory map, into a page that was
//! written to before. It is seen within that second, too, for what was opened again is read and compared.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use lru::LruCache;
use rustix::fs::AtFlags;

use super::{FOR_READING, LOOK_AGAIN, beneath::Beneath, entry::Entry, watch::Watch};
use crate::clock::Clock;

/// The cache holds at most this many bytes of content and names.
const MAX_BYTES: usize = 32 * 1024 * 1024;
/// A file counts for this much on top of its content and name.
const OVERHEAD: usize = 512;

/// Files by the path that was asked for, least recently used first to go.
pub struct Cache {
    files: LruCache<Box<[u8]>, Kept>,
    bytes: usize,
    lifetimes: Lifetimes,
    pub watch: Option<Watch>,
}

struct Kept {
    entry: Rc<Entry>,
    /// The path of the file itself: an index file's is not the one that was asked for.
    file: Box<[u8]>,
    /// The turn in which the file was last asked for its status.
    checked: u64,
    /// Until then its path is trusted.
    until: Instant,
    watched: Watched,
}

/// Whether changes of a file are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watched {
    /// It was not asked for again since it was opened.
    NotYet,
    /// Under this number.
    As(i32),
    /// They are not.
    No,
}

impl Cache {
    pub fn new() -> Cache {
        Cache { files: LruCache::unbounded(), bytes: 0, lifetimes: Lifetimes::default(), watch: None }
    }

    /// The file at `path`, if it is here and still the same.
    pub fn fresh(&mut self, path: &[u8], site: &Beneath, clock: &Clock) -> Option<Rc<Entry>> {
        let kept = self.files.get_mut(path)?;
        if kept.checked != clock.turn() {
            let is_current = if clock.now() < kept.until {
                if let (Watched::NotYet, Some(watch)) = (kept.watched, &mut self.watch) {
                    let number = watch.add(&kept.file, path, &kept.entry, site);
                    kept.watched = number.map_or(Watched::No, Watched::As);
                }
                kept.is_watched() || kept.has_its_status(site)
            } else {
                kept.renew(clock.now() + self.lifetimes.next());
                kept.is_found_again(site, clock)
            };
            if !is_current {
                self.forget(path);
                return None;
            }
            kept.checked = clock.turn();
        }
        Some(Rc::clone(&kept.entry))
    }

    /// Takes note of what the kernel told of changes, and says whether something is where nothing was.
    pub fn note_changes(&mut self) -> bool {
        let changes = self.watch.as_mut().map(Watch::read).unwrap_or_default();
        changes.keys.iter().for_each(|key| self.forget(key));
        if changes.everything {
            self.clear();
        }
        changes.has_new || changes.everything
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.files.clear();
        self.bytes = 0;
        if let Some(watch) = &mut self.watch {
            watch.clear();
        }
    }

    /// Keeps `entry`, which was read in this turn from `file`, for `path`.
    pub fn keep(&mut self, path: &[u8], file: &[u8], entry: &Rc<Entry>, clock: &Clock) {
        let (checked, until) = (clock.turn(), clock.now() + self.lifetimes.next());
        let kept =
            Kept { entry: Rc::clone(entry), file: file.into(), checked, until, watched: Watched::NotYet };
        self.forget(path);
        self.bytes += weight(path, &kept);
        self.files.put(path.into(), kept);
        while self.bytes > MAX_BYTES
            && let Some((path, kept)) = self.files.pop_lru()
        {
            self.let_go(&path, &kept);
        }
    }

    fn forget(&mut self, path: &[u8]) {
        if let Some(kept) = self.files.pop(path) {
            self.let_go(path, &kept);
        }
    }

    fn let_go(&mut self, path: &[u8], kept: &Kept) {
        self.bytes -= weight(path, kept);
        if let (Watched::As(number), Some(watch)) = (kept.watched, &mut self.watch) {
            watch.remove(number, path);
        }
    }
}

impl Kept {
    /// Whether changes of it would have been told.
    fn is_watched(&self) -> bool {
        matches!(self.watched, Watched::As(_))
    }

    /// Whether what its path leads to has the status of the file that was read.
    fn has_its_status(&self, site: &Beneath) -> bool {
        self.entry.is_still_at(&self.file, site.root(), AtFlags::empty())
    }

    /// Whether its path leads to it beneath the root, and reading it gives the same. It is looked at first: opening
    /// something else could have effects.
    fn is_found_again(&self, site: &Beneath, clock: &Clock) -> bool {
        let read_again = || {
            let fd = site.open(&self.file, FOR_READING).ok()?;
            Entry::read(fd, &self.file, self.entry.facts.coding, clock.wall()).ok()?
        };
        self.has_its_status(site) && read_again().is_some_and(|later| self.entry.is_confirmed_by(&later))
    }

    /// Its path is trusted again, `until` then.
    fn renew(&mut self, until: Instant) {
        self.until = until;
        if self.watched == Watched::No {
            self.watched = Watched::NotYet; // what could not be had may be had by now
        }
    }
}

/// How long a path that was opened is trusted. Files that were opened together, as those of a page are, are not all opened
/// again in one turn.
#[derive(Default)]
struct Lifetimes {
    given: u32,
}

impl Lifetimes {
    fn next(&mut self) -> Duration {
        let part = self.given.wrapping_mul(0x9e37_79b9); // the golden ratio's: neighbours are far apart
        self.given = self.given.wrapping_add(1);
        LOOK_AGAIN - LOOK_AGAIN / 4 * (part >> 24) / 256
    }
}

fn weight(path: &[u8], kept: &Kept) -> usize {
    path.len() + kept.file.len() + kept.entry.facts.fields().len() + kept.entry.facts.len as usize + OVERHEAD
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use rustix::fs::{CWD, Mode, OFlags, openat};

    use super::*;

    /// A directory with `count` files of `len` bytes, and a cache that has kept them all.
    fn cache_of(count: usize, len: usize) -> (tempfile::TempDir, Beneath, Cache, Clock) {
        let dir = tempfile::tempdir().expect("a directory");
        let root = openat(CWD, dir.path(), OFlags::PATH, Mode::empty()).expect("open it");
        let clock = Clock::frozen(SystemTime::now() + Duration::from_secs(60));
        let site = Beneath::new(root);
        let mut cache = Cache::new();
        for i in 0..count {
            let name = i.to_string();
            std::fs::write(dir.path().join(&name), vec![b'x'; len]).expect("write");
            let fd = site.open(name.as_bytes(), OFlags::RDONLY).expect("open");
            let entry = Entry::read(fd, name.as_bytes(), None, clock.wall()).expect("read").expect("a file");
            cache.keep(name.as_bytes(), name.as_bytes(), &Rc::new(entry), &clock);
        }
        (dir, site, cache, clock)
    }

    #[test]
    fn it_is_bounded_and_the_least_recently_used_goes_first() {
        let len = 64 * 1024;
        let fits = MAX_BYTES / (len + OVERHEAD);
        let (_dir, site, mut cache, mut clock) = cache_of(fits + 10, len);
        assert!(cache.bytes <= MAX_BYTES && cache.files.len() < fits);
        clock.tick();
        assert!(cache.fresh(b"0", &site, &clock).is_none(), "the first is gone");
        let last = (fits + 9).to_string();
        assert!(cache.fresh(last.as_bytes(), &site, &clock).is_some(), "the last is here");
        for i in 0..fits + 10 {
            cache.forget(i.to_string().as_bytes());
        }
        assert_eq!(cache.bytes, 0, "what is forgotten weighs nothing");
    }

    #[test]
    fn one_stat_answers_for_a_turn_and_the_next_turn_asks_again() {
        let (dir, site, mut cache, mut clock) = cache_of(1, 10);
        std::fs::remove_file(dir.path().join("0")).expect("remove");
        assert!(cache.fresh(b"0", &site, &clock).is_some(), "the turn in which it was read");
        clock.tick();
        assert!(cache.fresh(b"0", &site, &clock).is_none());
    }

    #[test]
    fn files_kept_together_are_not_opened_again_together() {
        let mut lifetimes = Lifetimes::default();
        let lifetimes: Vec<Duration> = (0..1000).map(|_| lifetimes.next()).collect();
        assert!(lifetimes.iter().all(|life| (LOOK_AGAIN * 3 / 4..=LOOK_AGAIN).contains(life)));
        for ms in 750..1000 {
            let (from, to) = (Duration::from_millis(ms), Duration::from_millis(ms + 10));
            let together = lifetimes.iter().filter(|life| (from..to).contains(*life)).count();
            assert!(together <= 50, "{together} in the 10 ms from {from:?}");
        }
    }

    #[test]
    fn a_path_that_leads_out_to_the_same_file_is_not_found_again() {
        let (dir, site, mut cache, mut clock) = cache_of(1, 10);
        let outside = tempfile::tempdir().expect("a directory");
        std::fs::rename(dir.path().join("0"), outside.path().join("0")).expect("move it out");
        std::os::unix::fs::symlink(outside.path().join("0"), dir.path().join("0")).expect("a link to it");
        let file = std::fs::File::open(dir.path().join("0")).expect("open");
        let entry = Entry::read(file.into(), b"0", None, clock.wall()).expect("read").expect("a file");
        cache.keep(b"0", b"0", &Rc::new(entry), &clock);
        clock.tick();
        assert!(cache.fresh(b"0", &site, &clock).is_some(), "its status is the same");
        clock.tick();
        clock.advance(LOOK_AGAIN);
        assert!(cache.fresh(b"0", &site, &clock).is_none());
    }

    #[test]
    fn a_change_that_left_no_trace_in_the_status_is_seen_after_a_while() {
        let (dir, site, mut cache, mut clock) = cache_of(1, 10);
        let file = std::fs::File::open(dir.path().join("0")).expect("open");
        let entry = Entry::that_held(b"stored yet", &file, clock.wall());
        cache.keep(b"0", b"0", &Rc::new(entry), &clock);
        clock.tick();
        assert!(cache.fresh(b"0", &site, &clock).is_some());
        clock.tick();
        clock.advance(LOOK_AGAIN);
        assert!(cache.fresh(b"0", &site, &clock).is_none());
    }

    #[test]
    fn a_file_is_read_anew_after_the_clock_was_set_back() {
        let (_dir, site, mut cache, clock) = cache_of(1, 10);
        assert!(cache.fresh(b"0", &site, &clock).is_some());
        let mut clock = Clock::frozen(SystemTime::now() - Duration::from_secs(60));
        clock.advance(LOOK_AGAIN + Duration::from_secs(1));
        clock.tick();
        clock.tick();
        assert!(
            cache.fresh(b"0", &site, &clock).is_none(),
            "its date would be later than that of the response"
        );
    }

    #[test]
    fn a_path_is_opened_anew_after_a_while_and_what_is_still_there_stays() {
        let (dir, site, mut cache, mut clock) = cache_of(1, 10);
        // As if the kernel told of its changes: nothing asks about it in between.
        cache.files.get_mut(&b"0"[..]).expect("it").watched = Watched::As(1);
        let entry = cache.fresh(b"0", &site, &clock).expect("it was just read");
        for _ in 0..3 {
            clock.tick();
            clock.advance(LOOK_AGAIN);
            assert!(cache.fresh(b"0", &site, &clock).is_some_and(|found| Rc::ptr_eq(&found, &entry)));
        }
        cache.files.get_mut(&b"0"[..]).expect("it").watched = Watched::No;
        clock.tick();
        clock.advance(LOOK_AGAIN);
        assert!(cache.fresh(b"0", &site, &clock).is_some());
        let kept = cache.files.get_mut(&b"0"[..]).expect("it");
        assert_eq!(kept.watched, Watched::NotYet, "it is tried again");
        kept.watched = Watched::As(1);
        // A mount leads the path elsewhere without a word from the watch.
        std::fs::rename(dir.path().join("0"), dir.path().join("1")).expect("move it");
        std::fs::write(dir.path().join("0"), [b'x'; 10]).expect("write another");
        clock.tick();
        assert!(cache.fresh(b"0", &site, &clock).is_some(), "it is trusted for a while");
        clock.advance(LOOK_AGAIN);
        clock.tick();
        assert!(cache.fresh(b"0", &site, &clock).is_none());
    }
}
