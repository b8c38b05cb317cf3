//! Word from the kernel of changed files, so that a cached file needs no `stat` in every turn:
//! inotify(7).
//!
//! The file itself is watched, by whatever path it is written to, and so is every directory on the
//! way to it. Not trusted to inotify are paths with links in them, file systems other than the
//! root's, and those that other machines write to. It reports no stores through a shared memory
//! map, no asynchronous writes of the kernel (io_submit(2)), and no mounts. All these are found
//! when the path is opened again, within a second.

use std::{
    collections::HashMap,
    mem::MaybeUninit,
    os::fd::{AsRawFd, OwnedFd},
    rc::Rc,
};

use rustix::{
    fs::{
        AtFlags, FsWord, fstat, fstatfs,
        inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags},
    },
    io::Errno,
};

use super::{file::StaticFile, root::RootDir};

/// At most this many files and directories are watched: each holds an inode in the kernel's memory.
const MAX_FILES: usize = 10_000;
const MAX_DIRECTORIES: usize = 10_000;
/// At most this many events are read in one turn; more count as an overflow.
const EVENT_BUDGET: usize = 16_384;

/// File systems on which every change is made through this kernel (statfs(2)): ext4, XFS, Btrfs,
/// tmpfs, F2FS. overlayfs is not among them: there a file that is written to becomes another one.
const LOCAL: [FsWord; 5] = [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0xF2F5_2010];

const FILE_EVENTS: WatchFlags =
    WatchFlags::MODIFY.union(WatchFlags::ATTRIB).union(WatchFlags::MOVE_SELF).union(WatchFlags::DELETE_SELF);
const DIRECTORY_EVENTS: WatchFlags = WatchFlags::ATTRIB
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::CREATE)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::ONLYDIR);

/// What has changed.
#[derive(Debug, Default)]
pub struct Changes {
    /// The keys of cached files that changed.
    pub keys: Vec<Box<[u8]>>,
    /// Something was created where nothing was.
    pub created: bool,
    /// Events were lost, or a directory moved: anything may have changed.
    pub overflowed: bool,
}

/// What a watch descriptor stands for.
enum Watched {
    /// A file, cached under these keys.
    File(Vec<Box<[u8]>>),
    /// A directory on the way to files.
    Directory,
}

/// The files and directories that are watched.
pub struct Inotify {
    fd: Rc<OwnedFd>,
    by_wd: HashMap<i32, Watched>,
    /// The watch descriptors of the directories.
    directories: HashMap<Box<[u8]>, i32>,
    /// Whether the root is on one of the [`LOCAL`] file systems, once that was asked.
    is_local: Option<bool>,
}

impl Inotify {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// The system gives no inotify instance.
    pub fn new() -> Result<Inotify, Errno> {
        let fd = Rc::new(inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?);
        Ok(Inotify { fd, by_wd: HashMap::new(), directories: HashMap::new(), is_local: None })
    }

    /// The descriptor that is readable when something has changed.
    pub fn fd(&self) -> &Rc<OwnedFd> {
        &self.fd
    }

    /// Watches the file at `path`, which was read as `file` and is cached under `key`. Returns its
    /// watch descriptor, or `None` if it cannot be watched or the path leads elsewhere by now.
    pub fn add<D>(&mut self, path: &[u8], key: &[u8], file: &StaticFile<D>, root: &RootDir) -> Option<i32> {
        if self.by_wd.len() - self.directories.len() >= MAX_FILES {
            return None;
        }
        if fstat(root.fd()).ok()?.st_dev != file.device() {
            return None;
        }
        // There is no link on the way, and inotify reports it if one appears.
        self.watch_ancestors(path, root)?;
        let wd = self.add_watch(root.fd(), path, FILE_EVENTS)?;
        match self.by_wd.entry(wd).or_insert_with(|| Watched::File(Vec::new())) {
            Watched::File(keys) => keys.push(key.into()),
            Watched::Directory => return None,
        }
        // Whatever changed before the watch began shows now; the rest will be reported.
        if file.matches_stat(path, root.fd(), AtFlags::SYMLINK_NOFOLLOW) {
            return Some(wd);
        }
        self.remove(wd, key);
        None
    }

    /// Watches for something to appear at `path`, where nothing is. Returns whether inotify will
    /// report it.
    pub fn watch_missing(&mut self, path: &[u8], root: &RootDir) -> bool {
        // A link that leads nowhere may lead somewhere without an event.
        self.watch_ancestors(path, root).is_some()
            && matches!(root.open_without_links(path), Err(Errno::NOENT))
    }

    /// Watches every directory on the way to `path`.
    fn watch_ancestors(&mut self, path: &[u8], root: &RootDir) -> Option<()> {
        let is_local = || fstatfs(root.fd()).is_ok_and(|stat| LOCAL.contains(&stat.f_type));
        self.is_local.get_or_insert_with(is_local).then_some(())?;
        let slashes = path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| at);
        std::iter::once(0).chain(slashes).try_for_each(|end| self.watch_directory(&path[..end], root))
    }

    fn watch_directory(&mut self, path: &[u8], root: &RootDir) -> Option<()> {
        if !self.directories.contains_key(path) {
            if self.directories.len() >= MAX_DIRECTORIES {
                return None;
            }
            let directory = root.open_without_links(path).ok()?;
            let wd = self.add_watch(&directory, b"", DIRECTORY_EVENTS)?;
            self.directories.insert(path.into(), wd);
            self.by_wd.insert(wd, Watched::Directory);
        }
        Some(())
    }

    /// Watches what is at `path` below the directory `fd`; the empty path is the directory itself.
    fn add_watch(&self, fd: &OwnedFd, path: &[u8], events: WatchFlags) -> Option<i32> {
        let mut name = format!("/proc/self/fd/{}/", fd.as_raw_fd()).into_bytes();
        name.extend_from_slice(path);
        inotify::add_watch(&*self.fd, name, events | WatchFlags::DONT_FOLLOW).ok()
    }

    /// Stops watching for `key`, which is no longer cached.
    pub fn remove(&mut self, wd: i32, key: &[u8]) {
        let Some(Watched::File(keys)) = self.by_wd.get_mut(&wd) else { return };
        keys.retain(|cached| &**cached != key);
        if keys.is_empty() {
            self.by_wd.remove(&wd);
            // It fails if the file is gone, and the watch with it.
            let _ = inotify::remove_watch(&*self.fd, wd);
        }
    }

    /// Stops watching everything; the root may be another directory from now on.
    pub fn clear(&mut self) {
        self.is_local = None;
        self.directories.clear();
        for (wd, _) in self.by_wd.drain() {
            let _ = inotify::remove_watch(&*self.fd, wd);
        }
    }

    /// Reads what has changed since the last call.
    pub fn read(&mut self) -> Changes {
        let mut changes = Changes::default();
        let mut buffer = [const { MaybeUninit::uninit() }; 4096];
        let mut reader = Reader::new(&*self.fd, &mut buffer);
        for _ in 0..EVENT_BUDGET {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::AGAIN) => return changes,
                Err(Errno::INTR) => continue,
                Err(_) => break,
            };
            let flags = event.events();
            if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                break;
            }
            match self.by_wd.get(&event.wd()) {
                Some(Watched::File(keys)) => changes.keys.extend(keys.iter().cloned()),
                // An event for a name in the directory.
                Some(Watched::Directory) if event.file_name().is_some() => {
                    changes.created |= flags.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO);
                }
                // The directory itself was moved or deleted, or its permissions changed.
                Some(Watched::Directory) => changes.overflowed = true,
                // The last event of a watch that was removed.
                None => {}
            }
        }
        Changes { overflowed: true, ..changes }
    }
}
