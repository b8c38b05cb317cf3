//! File change notification with inotify(7), so that a cached file does not need a `stat` in every
//! turn.
//!
//! This module watches each cached file, to notice a write through any path, and every directory on
//! the path to the file. It must never claim to watch something whose changes inotify does not
//! report reliably: a path with links or mounts, or a file system that other machines write to.
//! inotify also does not report stores through a shared memory map, asynchronous writes
//! (io_submit(2)) or mounts. The cache notices such changes within a second, when it opens the path
//! again.

mod events;
mod root_path;

use std::{
    collections::HashMap,
    os::fd::{AsRawFd, OwnedFd},
    rc::Rc,
};

use rustix::{
    fs::{
        fstat,
        inotify::{self, CreateFlags, WatchFlags},
    },
    io::Errno,
};

use super::{
    file::StaticFile,
    root::{RootDir, or_root},
    tree_events::TreeEvents,
};
use crate::system::{self, open_direct};

/// The maximum number of files to watch. Each watch keeps an inode in kernel memory.
const MAX_FILES: usize = 10_000;
/// The maximum number of directories to watch.
const MAX_DIRECTORIES: usize = 10_000;
/// The number of abandoned watches removed at once.
const REMOVALS: usize = 64;

/// The magic numbers (statfs(2)) of file systems on which every change is made through this kernel:
/// ext4, XFS, Btrfs, tmpfs, F2FS. overlayfs is not one of them, because a write there can replace
/// the file with another one.
const LOCAL: [u32; 5] = [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0xF2F5_2010];

const FILE_EVENTS: WatchFlags =
    WatchFlags::MODIFY.union(WatchFlags::ATTRIB).union(WatchFlags::MOVE_SELF).union(WatchFlags::DELETE_SELF);
const DIRECTORY_EVENTS: WatchFlags = WatchFlags::ATTRIB
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::CREATE)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::ONLYDIR);
/// The events of an entry that leaves a directory.
const REMOVALS_OF_ENTRIES: WatchFlags = WatchFlags::DELETE.union(WatchFlags::MOVED_FROM);
/// The events of a directory whose entries are all observed. `CLOSE_WRITE` reports a file that is
/// complete. `MODIFY` would also report each line of a log, and a page that causes one would be
/// reloaded forever.
const TREE_EVENTS: WatchFlags = DIRECTORY_EVENTS.union(REMOVALS_OF_ENTRIES).union(WatchFlags::CLOSE_WRITE);

/// The target of a watch descriptor.
enum Watched {
    /// A file that is cached under these keys.
    File(Vec<Box<[u8]>>),
    /// The directory at this path, which leads to a cached file or is in a tree.
    Directory(Box<[u8]>),
}

/// An inotify instance and its watches.
pub struct Inotify {
    fd: Rc<OwnedFd>,
    by_wd: HashMap<i32, Watched>,
    /// The watches to remove. To remove all at once would hold up the loop.
    abandoned: HashMap<i32, Watched>,
    /// The watch descriptors of the directories, by path.
    directories: HashMap<Box<[u8]>, i32>,
    /// The number of directories above the root that are watched, if all of them are.
    watched_above: Option<usize>,
    /// Whether the root is on one of the [`LOCAL`] file systems, or `None` until the first check.
    is_local: Option<bool>,
    /// The events of the entries of all directories, if a tree is observed.
    tree: Option<Box<TreeEvents>>,
    /// Whether a watch could not be added because there are too many.
    has_run_out: bool,
}

impl Inotify {
    /// Creates an inotify instance without watches.
    ///
    /// # Errors
    /// Fails if no instance is available (inotify_init1(2)).
    pub fn new() -> Result<Inotify, Errno> {
        let fd = Rc::new(inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?);
        let (by_wd, abandoned) = (HashMap::new(), HashMap::new());
        Ok(Inotify {
            fd,
            by_wd,
            abandoned,
            directories: HashMap::new(),
            watched_above: None,
            is_local: None,
            tree: None,
            has_run_out: false,
        })
    }

    /// Collects the events of all entries of watched directories from now on.
    pub fn observe_tree(&mut self) {
        self.tree = Some(Box::default());
    }

    /// Returns the events of entries since the last call, if there are any.
    pub fn take_tree_events(&mut self) -> Option<TreeEvents> {
        self.tree
            .as_deref_mut()
            .filter(|events| !events.paths.is_empty() || events.overflowed)
            .map(std::mem::take)
    }

    /// Watches the directory at `path` and the directories that lead to it.
    ///
    /// # Errors
    /// Fails if the directory cannot be watched, with whether there are too many watches.
    pub fn watch_tree_directory(&mut self, path: &[u8], root: &RootDir) -> Result<(), bool> {
        self.has_run_out = false;
        let path = if path.is_empty() { Vec::new() } else { [path, b"/"].concat() };
        self.watch_ancestors(&path, root).map_err(|_| self.has_run_out)
    }

    /// Returns the descriptor, which becomes readable when something changes.
    pub fn fd(&self) -> &Rc<OwnedFd> {
        &self.fd
    }

    /// Watches the file at `path`, which was read as `file` and is cached under `key`. Returns the
    /// watch descriptor, or `None` if the file cannot be watched or has changed since it was read.
    pub fn add<D>(&mut self, path: &[u8], key: &[u8], file: &StaticFile<D>, root: &RootDir) -> Option<i32> {
        let directories = self.directories.len() + self.watched_above.unwrap_or(0);
        if self.by_wd.len() - directories >= MAX_FILES {
            return None;
        }
        // This fails if there is a link on the path. From now on, inotify reports any link that
        // appears.
        self.watch_ancestors(path, root).ok()?;
        let wd = self.add_watch(root.fd(), path, FILE_EVENTS)?;
        // An inode has one watch descriptor, so a file that is cached under several keys has one
        // watch.
        match self.by_wd.entry(wd).or_insert_with(|| Watched::File(Vec::new())) {
            Watched::File(keys) => keys.push(key.into()),
            Watched::Directory(_) => return None,
        }
        // The file may have changed between the read and the watch, or a mount on the path may hide
        // the directories that are watched. This check finds both; inotify reports every later
        // change but a mount.
        if open_direct(root.fd(), or_root(path)).and_then(fstat).is_ok_and(|stat| file.has_status(&stat)) {
            return Some(wd);
        }
        self.remove(wd, key);
        None
    }

    /// Watches the directories on the path to the absent file `path`. Returns whether inotify will
    /// report the creation of the file.
    pub fn watch_absent(&mut self, path: &[u8], root: &RootDir) -> bool {
        // If a directory on the path is missing, it appears before the file does, in a directory
        // that is watched by now.
        let first_missing = self.watch_ancestors(path, root).err().unwrap_or(path);
        // Behind a dangling link or a mount, the file may appear without an event here. Neither
        // counts as absent.
        matches!(open_direct(root.fd(), or_root(first_missing)), Err(Errno::NOENT))
    }

    /// Watches every directory on the path to `path`, beginning at the root.
    ///
    /// # Errors
    /// Returns the first directory that cannot be watched.
    fn watch_ancestors<'p>(&mut self, path: &'p [u8], root: &RootDir) -> Result<(), &'p [u8]> {
        let is_local = || system::file_system(root.fd()).is_some_and(|magic| LOCAL.contains(&magic));
        if !*self.is_local.get_or_insert_with(is_local) {
            return Err(b"");
        }
        // The root, whose path is empty, and then each directory down to the file.
        let slashes = path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| at);
        for end in std::iter::once(0).chain(slashes) {
            self.watch_directory(&path[..end], root).ok_or(&path[..end])?;
        }
        Ok(())
    }

    /// Watches one directory, unless it is already watched.
    fn watch_directory(&mut self, path: &[u8], root: &RootDir) -> Option<()> {
        if !self.directories.contains_key(path) {
            if self.directories.len() >= MAX_DIRECTORIES {
                self.has_run_out = true;
                return None;
            }
            let directory = open_direct(root.fd(), or_root(path)).ok()?;
            let events = match path {
                _ if self.tree.is_some() => TREE_EVENTS,
                b"" => DIRECTORY_EVENTS.union(REMOVALS_OF_ENTRIES),
                _ => DIRECTORY_EVENTS,
            };
            let wd = self.add_watch(&directory, b"", events)?;
            self.directories.insert(path.into(), wd);
            self.by_wd.insert(wd, Watched::Directory(path.into()));
        }
        Some(())
    }

    /// Adds a watch for `path` beneath the directory `fd`. The empty path means the directory
    /// itself.
    fn add_watch(&mut self, fd: &OwnedFd, path: &[u8], events: WatchFlags) -> Option<i32> {
        // inotify_add_watch(2) takes no directory descriptor, so go through `/proc`.
        let mut name = format!("/proc/self/fd/{}/", fd.as_raw_fd()).into_bytes();
        name.extend_from_slice(path);
        let added = inotify::add_watch(&*self.fd, name, events | WatchFlags::DONT_FOLLOW);
        let wd = added.inspect_err(|errno| self.has_run_out |= *errno == Errno::NOSPC).ok()?;
        // An inode has one watch descriptor, so this may be an abandoned watch.
        self.abandoned.remove(&wd);
        Some(wd)
    }

    /// Removes `key`, which is no longer cached, from the watch `wd`. Removes the watch with its
    /// last key.
    pub fn remove(&mut self, wd: i32, key: &[u8]) {
        let Some(Watched::File(keys)) = self.by_wd.get_mut(&wd) else { return };
        keys.retain(|cached| &**cached != key);
        if keys.is_empty() {
            self.by_wd.remove(&wd);
            // This fails if the file was deleted, because its watch is already gone.
            let _ = inotify::remove_watch(&*self.fd, wd);
        }
    }

    /// Abandons all watches. Later watches may belong to a different root directory.
    pub fn clear(&mut self) {
        (self.is_local, self.watched_above) = (None, None);
        if let Some(events) = &mut self.tree {
            **events = TreeEvents { paths: Vec::new(), overflowed: true };
        }
        self.directories.clear();
        let watches = std::mem::take(&mut self.by_wd);
        if self.abandoned.is_empty() {
            self.abandoned = watches
        } else {
            self.abandoned.extend(watches)
        }
        self.remove_abandoned();
    }

    /// Removes some of the abandoned watches. Each removal causes an event, so that the descriptor
    /// becomes readable and [`Inotify::read`] removes the next ones.
    fn remove_abandoned(&mut self) {
        let some: Vec<i32> = self.abandoned.keys().take(REMOVALS).copied().collect();
        for wd in some {
            self.abandoned.remove(&wd);
            let _ = inotify::remove_watch(&*self.fd, wd);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::SystemTime};

    use rustix::fs::{CWD, Mode, OFlags, openat, stat};

    use super::{events::MAX_CHANGES, *};
    use crate::{
        clock::Clock,
        site::file::{FileOrigin, Reading},
    };

    /// On most machines, `/dev` and `/dev/shm` are both tmpfs, but two mounts.
    #[test]
    fn inotify_trusts_no_absence_behind_a_mount() {
        let device = |path: &str| stat(path).map(|stat| stat.st_dev).ok();
        let Ok(fd) = openat(CWD, Path::new("/dev"), OFlags::PATH, Mode::empty()) else {
            return crate::testing::skip("no /dev");
        };
        let root = RootDir::new(fd, Default::default());
        let mut inotify = Inotify::new().expect("inotify");
        if device("/dev/shm").is_none_or(|shm| Some(shm) == device("/dev"))
            || !inotify.watch_absent(b"oneloop-absent", &root)
        {
            return crate::testing::skip("/dev/shm is not a mount in a watched /dev");
        }
        assert!(!inotify.watch_absent(b"shm/oneloop-absent", &root));
        assert!(!inotify.directories.contains_key(&b"shm"[..]), "nor is the directory watched");
    }

    /// Returns a site of many files on a file system where inotify can be trusted, and a watch for
    /// each of them.
    fn watched_site() -> Option<(tempfile::TempDir, RootDir, Inotify)> {
        crate::testing::dirs().find_map(|dir| {
            let fd = openat(CWD, dir.path(), OFlags::PATH, Mode::empty()).expect("open it");
            let (root, mut inotify) = (RootDir::new(fd, Default::default()), Inotify::new().ok()?);
            let is_watched = (0..=MAX_CHANGES).all(|i| watch(&mut inotify, &dir, &root, i).is_some());
            is_watched.then_some((dir, root, inotify))
        })
    }

    /// Writes and watches file `i`.
    fn watch(inotify: &mut Inotify, dir: &tempfile::TempDir, root: &RootDir, i: usize) -> Option<i32> {
        let name = i.to_string();
        std::fs::write(dir.path().join(&name), "content").expect("write");
        let clock = Clock::frozen(SystemTime::now());
        let fd = root.open(name.as_bytes(), OFlags::RDONLY, &clock).expect("open");
        let reading = Reading::read(fd, &Rc::default(), &clock).expect("read").expect("a file");
        let file: StaticFile<()> = reading.into_file(&(), FileOrigin::Path(b""));
        inotify.add(name.as_bytes(), name.as_bytes(), &file, root)
    }

    #[test]
    fn inotify_removes_abandoned_watches_a_few_at_a_time_and_spares_those_added_again() {
        let Some((dir, root, mut inotify)) = watched_site() else {
            return crate::testing::skip("no inotify on any file system here");
        };
        let all = inotify.by_wd.len();
        inotify.clear();
        assert_eq!((inotify.by_wd.len(), inotify.abandoned.len()), (0, all - REMOVALS));
        watch(&mut inotify, &dir, &root, 0).expect("watch it again");
        for _ in 0..all.div_ceil(REMOVALS) {
            assert!(!inotify.read().overflowed);
        }
        assert!(inotify.abandoned.is_empty());
        std::fs::write(dir.path().join("0"), "another").expect("write");
        std::fs::write(dir.path().join("1"), "another").expect("write");
        assert!(inotify.read().keys.iter().all(|key| **key == *b"0"), "the other one has no watch");
        assert_eq!(inotify.by_wd.len(), 2, "the file and its directory");
    }

    #[test]
    fn inotify_reports_many_changes_as_an_overflow() {
        let Some((dir, _root, mut inotify)) = watched_site() else {
            return crate::testing::skip("no inotify on any file system here");
        };
        let change = |i: usize| std::fs::write(dir.path().join(i.to_string()), "x").expect("write");
        (0..10).for_each(change);
        let changes = inotify.read();
        assert!(!changes.overflowed && changes.keys.len() >= 10);
        (0..=MAX_CHANGES).for_each(change);
        let changes = inotify.read();
        assert!(changes.overflowed && changes.keys.len() <= MAX_CHANGES + 1);
    }
}
