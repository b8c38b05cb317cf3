//! The log of changes to the files of a site: which files changed, in bursts.
//!
//! A program that saves a file causes several events, and a build causes hundreds. The log collects
//! them in a burst, which ends when the files have been quiet for a moment. It owns the last bursts
//! and their numbers. It must never hold more than a few hundred paths.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

/// How long the files must be quiet until a burst ends.
const QUIET: Duration = Duration::from_millis(80);
/// How long a burst lasts at most, although files go on changing.
const MAX_BURST: Duration = Duration::from_secs(2);
/// The maximum number of paths in one burst. More of them count as a change of everything.
const MAX_PATHS: usize = 256;
/// The maximum number of bursts that the log holds.
const MAX_BURSTS: usize = 32;

/// What has changed in a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeChange {
    /// The files and directories at these paths, or none.
    Paths(BTreeSet<Box<[u8]>>),
    /// Anything may have changed.
    Everything,
}

impl TreeChange {
    /// No change.
    pub const NOTHING: TreeChange = TreeChange::Paths(BTreeSet::new());

    /// Adds another change to this one.
    pub fn add(&mut self, other: &TreeChange) {
        match (&mut *self, other) {
            (TreeChange::Paths(paths), TreeChange::Paths(more)) => paths.extend(more.iter().cloned()),
            _ => *self = TreeChange::Everything,
        }
    }
}

/// What happened to a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathEvent {
    /// It was created, or moved here.
    Appeared,
    /// Its content changed.
    Changed,
    /// It was deleted, or moved away.
    Vanished,
}

/// The log of changes.
#[derive(Debug, Default)]
pub struct ChangeLog {
    /// The number of the last burst that has ended.
    number: u64,
    ended: VecDeque<EndedBurst>,
    current: Option<Burst>,
}

/// A burst that has ended.
#[derive(Debug)]
struct EndedBurst {
    /// The time of its last change.
    at: Instant,
    change: TreeChange,
}

/// A burst that goes on.
#[derive(Debug)]
struct Burst {
    first: Instant,
    last: Instant,
    /// The changed paths, each with whether it did not exist before the burst.
    paths: BTreeMap<Box<[u8]>, bool>,
    has_everything: bool,
}

impl ChangeLog {
    /// Returns the number of the last burst that has ended. The first one has number 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Records what happened to `path` at `now`. Returns whether a burst begins.
    pub fn note(&mut self, path: Box<[u8]>, event: PathEvent, now: Instant) -> bool {
        let begins = self.current.is_none();
        let burst = self.burst(now);
        if burst.has_everything {
            return begins;
        }
        match (event, burst.paths.get(&path)) {
            // A temporary file, such as the one that vim creates to test the directory.
            (PathEvent::Vanished, Some(true)) => drop(burst.paths.remove(&path)),
            (_, Some(_)) => {}
            (event, None) => drop(burst.paths.insert(path, event == PathEvent::Appeared)),
        }
        if burst.paths.len() > MAX_PATHS {
            burst.has_everything = true;
            burst.paths.clear();
        }
        begins
    }

    /// Records that anything may have changed at `now`. Returns whether a burst begins.
    pub fn note_everything(&mut self, now: Instant) -> bool {
        let begins = self.current.is_none();
        let burst = self.burst(now);
        burst.has_everything = true;
        burst.paths.clear();
        begins
    }

    /// Returns the current burst, which goes on at least until `now`.
    fn burst(&mut self, now: Instant) -> &mut Burst {
        let start = || Burst { first: now, last: now, paths: BTreeMap::new(), has_everything: false };
        let burst = self.current.get_or_insert_with(start);
        burst.last = burst.last.max(now);
        burst
    }

    /// Returns when the current burst ends, if there is one and nothing else changes.
    pub fn ends_at(&self) -> Option<Instant> {
        self.current.as_ref().map(|burst| (burst.last + QUIET).min(burst.first + MAX_BURST))
    }

    /// Ends the current burst if its time has come.
    pub fn update(&mut self, now: Instant) {
        if self.ends_at().is_none_or(|end| end > now) {
            return;
        }
        let Some(burst) = self.current.take() else { return };
        let change = match burst.has_everything {
            true => TreeChange::Everything,
            // Only temporary files have come and gone.
            false if burst.paths.is_empty() => return,
            false => TreeChange::Paths(burst.paths.into_keys().collect()),
        };
        self.number += 1;
        self.ended.push_back(EndedBurst { at: burst.last, change });
        if self.ended.len() > MAX_BURSTS {
            self.ended.pop_front();
        }
    }

    /// Returns what has changed after the burst `number`. The result for a number that is not in
    /// the log is [`TreeChange::Everything`].
    pub fn since(&self, number: u64) -> TreeChange {
        match self.number.checked_sub(number).map(usize::try_from) {
            Some(Ok(count)) if count <= self.ended.len() => {
                merge(self.ended.iter().skip(self.ended.len() - count))
            }
            _ => TreeChange::Everything,
        }
    }

    /// Returns what has changed at `time` or later, in bursts that have ended. If the log does not
    /// reach back to `time`, the result is [`TreeChange::Everything`].
    pub fn since_time(&self, time: Instant) -> TreeChange {
        let has_forgotten = self.number > self.ended.len() as u64;
        if has_forgotten && self.ended.front().is_some_and(|burst| burst.at >= time) {
            return TreeChange::Everything;
        }
        merge(self.ended.iter().filter(|burst| burst.at >= time))
    }
}

/// Returns the changes of all `bursts` together.
fn merge<'a>(bursts: impl Iterator<Item = &'a EndedBurst>) -> TreeChange {
    let mut all = TreeChange::NOTHING;
    bursts.for_each(|burst| all.add(&burst.change));
    all
}

#[cfg(test)]
mod tests {
    use super::{PathEvent::*, *};

    const MS: Duration = Duration::from_millis(1);

    fn paths(paths: &[&str]) -> TreeChange {
        TreeChange::Paths(paths.iter().map(|path| path.as_bytes().into()).collect())
    }

    /// Applies events, a millisecond apart, ends the burst and returns its change.
    fn burst(events: &[(&str, PathEvent)]) -> TreeChange {
        let (mut log, start) = (ChangeLog::default(), Instant::now());
        let mut now = start;
        for (index, (path, event)) in events.iter().enumerate() {
            assert_eq!(log.note(path.as_bytes().into(), *event, now), index == 0);
            now += MS;
        }
        log.update(now + QUIET - 2 * MS);
        assert_eq!(log.number(), 0, "not quiet for long enough");
        log.update(now + QUIET);
        assert_eq!(log.ends_at(), None);
        log.since(0)
    }

    #[test]
    fn burst_forgets_temporary_files() {
        let vim = [
            ("4913", Appeared),
            ("4913", Vanished),
            ("a.css", Vanished),
            ("a.css", Appeared),
            ("a.css", Changed),
        ];
        assert_eq!(burst(&vim), paths(&["a.css"]));
        let rename = [("tmp", Appeared), ("tmp", Changed), ("tmp", Vanished), ("a.css", Appeared)];
        assert_eq!(burst(&rename), paths(&["a.css"]));
        assert_eq!(burst(&[("a", Vanished), ("a", Appeared), ("a", Vanished)]), paths(&["a"]));
        let (mut log, now) = (ChangeLog::default(), Instant::now());
        log.note(b"x"[..].into(), Appeared, now);
        log.note(b"x"[..].into(), Vanished, now);
        log.update(now + QUIET);
        assert_eq!((log.number(), log.ends_at()), (0, None), "nothing has changed");
    }

    #[test]
    fn burst_ends_although_files_go_on_changing() {
        let (mut log, start) = (ChangeLog::default(), Instant::now());
        let mut now = start;
        while log.number() == 0 {
            log.note(b"log"[..].into(), Changed, now);
            now += 10 * MS;
            log.update(now);
        }
        assert!((MAX_BURST..MAX_BURST + 20 * MS).contains(&(now - start)), "{:?}", now - start);
    }

    #[test]
    fn burst_of_many_files_is_a_change_of_everything() {
        let many: Vec<String> = (0..=MAX_PATHS).map(|i| i.to_string()).collect();
        let events: Vec<_> = many.iter().map(|path| (path.as_str(), Changed)).collect();
        assert_eq!(burst(&events), TreeChange::Everything);
        assert_ne!(burst(&events[1..]), TreeChange::Everything);
    }

    #[test]
    fn log_returns_what_changed_since_a_number_or_a_time() {
        let (mut log, start) = (ChangeLog::default(), Instant::now());
        let second = Duration::from_secs(1);
        for number in 1..=40_u32 {
            log.note(format!("{number:02}").into_bytes().into(), Changed, start + number * second);
            log.update(start + number * second + QUIET);
        }
        assert_eq!(log.number(), 40);
        assert_eq!(log.since(40), TreeChange::NOTHING);
        assert_eq!(log.since(38), paths(&["39", "40"]));
        assert_ne!(log.since(8), TreeChange::Everything);
        for unknown in [7, 0, 41, u64::MAX] {
            assert_eq!(log.since(unknown), TreeChange::Everything, "{unknown}");
        }
        assert_eq!(log.since_time(start + 39 * second), paths(&["39", "40"]));
        assert_eq!(log.since_time(start), TreeChange::Everything, "the first bursts are forgotten");
        log.note_everything(start + 41 * second);
        log.note(b"more"[..].into(), Changed, start + 41 * second);
        log.update(start + 41 * second + QUIET);
        assert_eq!(log.since(39), TreeChange::Everything);
    }
}
