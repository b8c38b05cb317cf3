//! Entries for absent files. Requests for paths where nothing exists are as frequent as a scanner
//! wants, so these entries are few, and are removed together.

use super::Cache;
use crate::{
    clock::Clock,
    site::{
        entry::{Watch, due},
        file::Describe,
        root::RootDir,
    },
};

/// The maximum number of entries for absent files.
const MAX_ABSENT: usize = 256;

impl<D: Describe> Cache<D> {
    /// Inserts or refreshes the entry for an absent file. Nothing was found at `path` just now.
    pub fn insert_absent(&mut self, key: &[u8], path: &[u8], root: &RootDir, clock: &Clock) {
        let is_watched = self.inotify.as_mut().is_some_and(|inotify| inotify.watch_absent(path, root));
        let watch = if is_watched { Watch::Active(None) } else { Watch::Unavailable };
        let refresh = self.refreshes.number(clock);
        if let Some(entry) = self.entries.get_mut(key)
            && entry.found.is_none()
        {
            (entry.checked, entry.due, entry.watch) = (refresh, due(clock.now(), self.jitter), watch);
            return;
        }
        // Random paths, such as a scanner's, could fill the cache. Dropping all absent entries at
        // once is simple, and costs one lookup each.
        if self.absent.len() >= MAX_ABSENT {
            self.remove_absent();
        }
        self.put(key, path, None, watch, clock);
        self.absent.push(key.into());
    }

    /// Removes the entries for all absent files.
    pub(super) fn remove_absent(&mut self) {
        for key in std::mem::take(&mut self.absent) {
            if self.entries.peek(&key).is_some_and(|entry| entry.found.is_none()) {
                self.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::{RECHECK_AFTER, cache::tests::cache_in, entry::Cached, inotify::Inotify};

    #[test]
    fn cache_remembers_absence_for_a_turn_or_while_it_is_watched_and_never_longer_than_a_second() {
        if crate::testing::leaves_out("inotify") {
            return;
        }
        let is_absent = |cached: Cached<()>| matches!(cached, Cached::Absent);
        // The first file system here on which inotify can be trusted.
        let watched = crate::testing::dirs().find_map(|dir| {
            let (dir, root, mut cache, mut clock) = cache_in(dir, 0, 0);
            cache.insert_absent(b"a", b"a", &root, &clock);
            assert!(is_absent(cache.get(b"a", &root, &clock)));
            clock.tick();
            assert!(!is_absent(cache.get(b"a", &root, &clock)), "nothing reports that it appears");
            cache.inotify = Inotify::new().ok();
            cache.insert_absent(b"a", b"a", &root, &clock);
            let entry = cache.entries.peek(&b"a"[..]).expect("it was just inserted");
            (entry.watch != Watch::Unavailable).then_some((dir, root, cache, clock))
        });
        let Some((dir, root, mut cache, mut clock)) = watched else {
            return crate::testing::skip("no inotify on any file system here");
        };
        for _ in 0..10 {
            clock.tick();
            assert!(is_absent(cache.get(b"a", &root, &clock)));
            clock.advance(RECHECK_AFTER / 16);
        }
        clock.advance(RECHECK_AFTER / 2);
        clock.tick();
        assert!(!is_absent(cache.get(b"a", &root, &clock)), "however often it was requested");
        cache.insert_absent(b"a", b"a", &root, &clock);
        std::fs::write(dir.path().join("a"), "a").expect("write");
        assert!(cache.apply_changes());
        clock.tick();
        assert!(!is_absent(cache.get(b"a", &root, &clock)));
        for i in 0..2 * MAX_ABSENT {
            cache.insert_absent(i.to_string().as_bytes(), b"x", &root, &clock);
            assert!(cache.absent.len() <= MAX_ABSENT);
        }
    }
}
