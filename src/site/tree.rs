//! The whole directory tree of a site, for a service that reports every change to its clients.
//!
//! A directory is watched with inotify where that is reliable. Elsewhere, and where watches have
//! run out, it is *polled*: its entries are compared with what they were. The tree is explored in
//! pieces of a few tenths of a millisecond. This module owns the list of directories and the
//! [`ChangeLog`], and must never read an entry that a client could not request.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant, SystemTime},
};

use rustix::{
    fs::{AtFlags, Dir, FileType, OFlags, Stat, statat},
    io::Errno,
};

use super::{
    change_log::{ChangeLog, PathEvent},
    inotify::Inotify,
    root::RootDir,
    stamp::FileStamp,
    tree_events::TreeEvents,
    tree_options::TreeOptions,
};
use crate::clock::Clock;

/// The number of directory entries that one piece reads.
const ENTRIES: usize = 128;
/// The time between the end of one look at all polled directories and the next one.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// How often to check that the root is still at the site's path.
const ROOT_INTERVAL: Duration = Duration::from_secs(1);
/// The same, while the root is missing.
const ROOT_RETRY: Duration = Duration::from_millis(100);
/// The maximum number of entries of polled directories. A look at all of them takes about 50 ms.
const MAX_POLLED: usize = 20_000;
/// The number of directories to read at which all are explored again instead.
const MAX_TODO: usize = 10_000;
/// The maximum depth of a directory. With links, a tree may have no end.
const MAX_DEPTH: usize = 32;

/// The directories of a site, and the log of their changes.
pub struct Tree {
    options: TreeOptions,
    pub log: ChangeLog,
    /// The directories to read.
    todo: Vec<Box<[u8]>>,
    reading: Option<TreeReading>,
    polled: HashMap<Box<[u8]>, PolledEntries>,
    /// The number of entries in `polled`.
    entry_count: usize,
    /// When to look at the polled directories again.
    poll_at: Option<Instant>,
    /// When to check the root again.
    root_at: Option<Instant>,
    /// Whether there is a directory at the site's path.
    has_root: bool,
    /// Whether all directories have been explored at least once.
    is_explored: bool,
    /// Whether there is work that the caller does not know about yet.
    became_due: bool,
    /// Whether a warning has said that directories are polled.
    has_warned_of_polling: bool,
    /// Whether a warning has said that files are not observed.
    has_warned_of_files: bool,
}

/// The entries of a polled directory.
type PolledEntries = HashMap<Box<[u8]>, EntryStamp>;

/// What identifies the state of an entry: `None` for a directory, whose content is polled itself.
type EntryStamp = Option<FileStamp>;

/// A directory that is being read.
struct TreeReading {
    path: Box<[u8]>,
    dir: Dir,
    /// The entries that have been read, if the directory is polled.
    entries: Option<PolledEntries>,
}

impl Tree {
    pub fn new(options: TreeOptions) -> Tree {
        Tree {
            options,
            log: ChangeLog::default(),
            todo: vec![Box::default()],
            reading: None,
            polled: HashMap::new(),
            entry_count: 0,
            poll_at: None,
            root_at: None,
            has_root: true,
            is_explored: false,
            became_due: false,
            has_warned_of_polling: false,
            has_warned_of_files: false,
        }
    }

    /// Returns whether all directories have been explored at least once.
    pub fn is_explored(&self) -> bool {
        self.is_explored
    }

    /// Returns when [`Tree::explore`] has something to do.
    pub fn due(&self, now: Instant) -> Instant {
        let root_at = self.root_at.unwrap_or(now);
        if self.has_root && self.has_work() {
            return now;
        }
        let end = self.log.ends_at().filter(|_| self.has_root);
        self.poll_at.into_iter().chain(end).fold(root_at, Instant::min)
    }

    /// Returns whether a directory waits to be read.
    fn has_work(&self) -> bool {
        self.reading.is_some() || !self.todo.is_empty()
    }

    /// Returns whether [`Tree::due`] has become earlier since the last call.
    pub fn take_became_due(&mut self) -> bool {
        std::mem::take(&mut self.became_due)
    }

    /// Returns whether to check the root now, and counts it as checked.
    pub fn should_check_root(&mut self, now: Instant) -> bool {
        let is_due = self.root_at.is_none_or(|at| at <= now);
        if is_due {
            self.root_at = Some(now + if self.has_root { ROOT_INTERVAL } else { ROOT_RETRY });
        }
        is_due
    }

    /// Records whether there is a directory at the site's path. While there is none, because a
    /// build tool creates it again, nothing is reported.
    pub fn set_root(&mut self, is_there: bool, now: Instant) {
        if self.has_root && !is_there {
            self.root_at = Some(now + ROOT_RETRY);
        }
        self.has_root = is_there;
    }

    /// Explores all directories again, because any of them may have changed.
    pub fn restart(&mut self, now: Instant) {
        self.todo = vec![Box::default()];
        self.reading = None;
        self.polled.clear();
        (self.entry_count, self.poll_at, self.root_at) = (0, None, None);
        self.log.note_everything(now);
        self.became_due = true;
    }

    /// Records the events that inotify has reported.
    pub fn note(&mut self, events: TreeEvents, now: Instant) {
        // While no one explores the tree, a program may create any number of directories.
        if events.overflowed || self.todo.len() > MAX_TODO {
            return self.restart(now);
        }
        for (path, event, is_directory) in events.paths {
            if !self.options.is_visible(&path) {
                continue;
            }
            if is_directory && event == PathEvent::Appeared {
                self.todo.push(path.clone());
                self.became_due = true;
            }
            self.became_due |= self.log.note(path, event, now);
        }
    }

    /// Does one piece of work, if one is due: reads a few directory entries, or ends a burst of
    /// changes.
    pub fn explore(&mut self, root: &RootDir, inotify: Option<&mut Inotify>, clock: &Clock) {
        let now = clock.now();
        if self.poll_at.is_some_and(|at| at <= now) && !self.has_work() {
            self.poll_at = None;
            self.todo.extend(self.polled.keys().cloned());
        }
        if let Some(reading) = self.reading.take() {
            self.read(reading, root, clock);
        } else if let Some(path) = self.todo.pop() {
            self.open(path, root, inotify, clock);
        }
        if !self.has_work() {
            self.is_explored = true;
            if self.poll_at.is_none() && !self.polled.is_empty() {
                self.poll_at = Some(now + POLL_INTERVAL);
            }
            if self.has_root {
                self.log.update(now);
            }
        }
    }

    /// Watches the directory at `path`, or polls it, and starts to read it.
    fn open(&mut self, path: Box<[u8]>, root: &RootDir, inotify: Option<&mut Inotify>, clock: &Clock) {
        if let Some(only) = &self.options.only {
            // The directory is not served, so the process may have no right to read it.
            let stamp =
                root.status_of_known(only).ok().map(|stat| (only.clone().into(), Some(FileStamp::of(&stat))));
            return self.compare(path, stamp.into_iter().collect(), clock);
        }
        // Watch before reading, so that no entry appears between the two.
        let is_watched = !self.polled.contains_key(&path)
            && inotify.is_some_and(|inotify| match inotify.watch_tree_directory(&path, root) {
                Ok(()) => true,
                Err(has_run_out) => {
                    if has_run_out {
                        warn_once(
                            &mut self.has_warned_of_polling,
                            &format!(
                                "too many directories for inotify (fs.inotify.max_user_watches); looking for \
                                 changes every {POLL_INTERVAL:?} instead"
                            ),
                        );
                    }
                    false
                }
            });
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        match root.open(&path, flags, clock).and_then(Dir::new) {
            Ok(dir) => {
                self.reading =
                    Some(TreeReading { path, dir, entries: (!is_watched).then(PolledEntries::new) });
            }
            // It was deleted or replaced by a file. That was reported for its own directory.
            Err(Errno::NOENT | Errno::NOTDIR) => self.forget(&HashSet::from([path])),
            Err(_) => {}
        }
    }

    /// Reads a few entries of a directory.
    fn read(&mut self, mut reading: TreeReading, root: &RootDir, clock: &Clock) {
        let depth = reading.path.split(|b| *b == b'/').filter(|name| !name.is_empty()).count();
        for _ in 0..ENTRIES {
            let Some(Ok(entry)) = reading.dir.read() else {
                return self.finish(reading, clock);
            };
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") || !self.options.is_name_visible(name, depth) {
                continue;
            }
            let path = join(&reading.path, name);
            let (mut kind, mut stamp) = (entry.file_type(), None);
            let is_link = kind == FileType::Symlink;
            let may_be_directory = kind == FileType::Unknown || is_link && self.options.follow_links;
            let mut leads_up = false;
            if may_be_directory || reading.entries.is_some() && kind != FileType::Directory {
                let stat = match is_link {
                    true => root.status_of_known(&path),
                    false => reading.dir.fd().and_then(|dir| statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)),
                };
                let Ok(stat) = stat else { continue };
                kind = FileType::from_raw_mode(stat.st_mode);
                stamp = Some(FileStamp::of(&stat));
                leads_up = is_link && kind == FileType::Directory && leads_to_ancestor(&path, &stat, root);
            }
            if kind == FileType::Directory {
                stamp = None;
                let is_closed = is_link && !self.options.follow_links || leads_up;
                let is_known = self.polled.contains_key(&path) || is_closed;
                let is_new = match (&reading.entries, self.polled.get(&reading.path)) {
                    (Some(_), Some(before)) => before.get(name) != Some(&None),
                    _ => true,
                };
                if is_new && !is_known && depth < MAX_DEPTH {
                    self.todo.push(path);
                }
            }
            if let Some(entries) = &mut reading.entries {
                entries.insert(name.into(), stamp);
            }
        }
        self.reading = Some(reading);
    }

    /// Ends reading a directory.
    fn finish(&mut self, reading: TreeReading, clock: &Clock) {
        if let Some(entries) = reading.entries {
            self.compare(reading.path, entries, clock);
        }
    }

    /// Compares the entries of a polled directory with the entries before.
    fn compare(&mut self, path: Box<[u8]>, entries: PolledEntries, clock: &Clock) {
        let before = self.polled.remove(&path);
        if let Some(before) = &before {
            self.entry_count -= before.len();
            for (name, stamp) in &entries {
                let event = match before.get(name) {
                    Some(known) if known == stamp => continue,
                    Some(_) => PathEvent::Changed,
                    None => PathEvent::Appeared,
                };
                self.log.note(join(&path, name), event, changed_at(stamp, clock));
            }
            let vanished = before.keys().filter(|name| !entries.contains_key(*name));
            let vanished: HashSet<_> = vanished.map(|name| join(&path, name)).collect();
            self.forget(&vanished);
            for path in vanished {
                self.log.note(path, PathEvent::Vanished, clock.now());
            }
        }
        if self.entry_count + entries.len() > MAX_POLLED {
            return warn_once(
                &mut self.has_warned_of_files,
                "too many files to look at all of them; some changes are not noticed",
            );
        }
        self.entry_count += entries.len();
        self.polled.insert(path, entries);
    }

    /// Forgets the directories at `paths` and all directories in them. Takes them all at once,
    /// because a program may delete thousands.
    fn forget(&mut self, paths: &HashSet<Box<[u8]>>) {
        if paths.is_empty() {
            return;
        }
        self.polled.retain(|polled, entries| {
            let mut parents = memchr::memchr_iter(b'/', polled).map(|end| &polled[..end]);
            let is_kept = !paths.contains(polled) && !parents.any(|parent| paths.contains(parent));
            self.entry_count -= if is_kept { 0 } else { entries.len() };
            is_kept
        });
    }
}

/// Returns when an entry changed. That may be long ago if no one asked meanwhile, and a page that
/// was loaded later has the new content.
fn changed_at(stamp: &EntryStamp, clock: &Clock) -> Instant {
    let age = || {
        let (seconds, nanoseconds) = stamp.as_ref()?.changed;
        let since_epoch = Duration::new(u64::try_from(seconds).ok()?, u32::try_from(nanoseconds).ok()?);
        clock.wall().duration_since(SystemTime::UNIX_EPOCH.checked_add(since_epoch)?).ok()
    };
    age().and_then(|age| clock.now().checked_sub(age)).unwrap_or(clock.now())
}

/// Returns whether the link at `path`, which leads to a directory with this `stat`, leads to one of
/// the directories that it is in. With two such links, a tree would have more paths than anyone can
/// explore.
fn leads_to_ancestor(path: &[u8], stat: &Stat, root: &RootDir) -> bool {
    let ends = std::iter::once(0).chain(memchr::memchr_iter(b'/', path));
    ends.filter_map(|end| root.status_of_known(&path[..end]).ok())
        .any(|ancestor| (ancestor.st_dev, ancestor.st_ino) == (stat.st_dev, stat.st_ino))
}

/// Returns the path of the entry `name` in the directory at `path`.
fn join(path: &[u8], name: &[u8]) -> Box<[u8]> {
    if path.is_empty() { name.into() } else { [path, b"/", name].concat().into() }
}

/// Logs a warning, unless it `has_warned` before.
fn warn_once(has_warned: &mut bool, text: &str) {
    if !std::mem::replace(has_warned, true) {
        log::warn!("{text}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::SiteOptions;

    fn tree(polled: impl IntoIterator<Item = String>, root: &[&str]) -> Tree {
        let mut tree = Tree::new(TreeOptions::of(&SiteOptions::default()));
        tree.polled = polled.into_iter().map(|path| (path.into_bytes().into(), HashMap::new())).collect();
        let entries: PolledEntries = root.iter().map(|name| (name.as_bytes().into(), None)).collect();
        tree.entry_count = entries.len();
        tree.polled.insert(Box::default(), entries);
        tree
    }

    #[test]
    fn deleted_directory_is_forgotten_with_all_in_it() {
        let paths = ["a", "a/b", "a/b/c", "ab", "b", "b/a"].map(str::to_owned);
        let mut tree = tree(paths, &["a", "ab", "b"]);
        let left = [(b"ab"[..].into(), None), (b"b"[..].into(), None)];
        tree.compare(Box::default(), left.into_iter().collect(), &Clock::system());
        let mut polled: Vec<_> = tree.polled.keys().map(|path| String::from_utf8_lossy(path)).collect();
        polled.sort();
        assert_eq!((polled, tree.entry_count), (["", "ab", "b", "b/a"].map(Into::into).into(), 2));
    }

    #[test]
    fn thousands_of_deleted_directories_do_not_block_the_loop() {
        let names: Vec<String> = (0..MAX_POLLED).map(|i| format!("directory-{i}")).collect();
        let mut tree = tree(names.clone(), &names.iter().map(String::as_str).collect::<Vec<_>>());
        let start = Instant::now();
        tree.compare(Box::default(), PolledEntries::new(), &Clock::system());
        let took = start.elapsed();
        assert_eq!((tree.polled.len(), tree.entry_count), (1, 0));
        assert!(took < Duration::from_secs(1), "{took:?}"); // one by one, it is a minute
    }
}
