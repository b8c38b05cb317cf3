//! Word from the kernel of changes, so that a file that is kept need not be asked for its status in every turn.
//!
//! The watch is on the file itself, whatever path it is written by, and on every directory that leads to it (inotify(7)).
//! What it does not tell of is not trusted to it: paths with links in them, other file systems than the root's, and those
//! that somebody else writes to. Nor does it tell of stores through a shared memory map, of asynchronous writes by the
//! kernel (io_submit(2)), and of mounts and what is moved beneath them; all these are seen when the path is opened anew.

use std::{
    collections::HashMap,
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::{
        AtFlags, FsWord, fstat, fstatfs,
        inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags},
    },
    io::Errno,
};

use super::{beneath::Beneath, entry::Entry};

/// Watched files at most, and directories: each holds an inode in the kernel's memory.
const MAX_FILES: usize = 10_000;
const MAX_DIRECTORIES: usize = 10_000;
/// So many events are read in one turn; who makes more of them makes us forget everything.
const EVENTS: usize = 16_384;

/// File systems of this machine alone, on which every change is made through this kernel: statfs(2). Not among them is
/// overlayfs, where a file that is written to becomes another.
const LOCAL: [FsWord; 5] = [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0xF2F5_2010];

const OF_FILES: WatchFlags =
    WatchFlags::MODIFY.union(WatchFlags::ATTRIB).union(WatchFlags::MOVE_SELF).union(WatchFlags::DELETE_SELF);
const OF_DIRECTORIES: WatchFlags = WatchFlags::ATTRIB
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::CREATE)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::ONLYDIR);

/// What has changed.
#[derive(Debug, Default)]
pub struct Changes {
    /// The files kept under these keys.
    pub keys: Vec<Box<[u8]>>,
    /// Something is where nothing was.
    pub has_new: bool,
    /// Nobody knows what else.
    pub everything: bool,
}

/// The files and directories that are watched.
pub struct Watch {
    inotify: OwnedFd,
    /// The keys under which a watched file is kept, by its number.
    files: HashMap<i32, Vec<Box<[u8]>>>,
    /// The numbers of watched directories, by path.
    directories: HashMap<Box<[u8]>, i32>,
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

impl Watch {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// The system has no watch to give.
    pub fn new() -> Result<Watch, Errno> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        Ok(Watch { inotify, files: HashMap::new(), directories: HashMap::new() })
    }

    /// Watches the file at `path`, which was read as `entry` and is kept under `key`; returns its number. `None`: it is
    /// not to be had, or the path leads elsewhere by now.
    pub fn add(&mut self, path: &[u8], key: &[u8], entry: &Entry, site: &Beneath) -> Option<i32> {
        if self.files.len() >= MAX_FILES {
            return None;
        }
        if fstat(site.root()).ok()?.st_dev != entry.device() {
            return None;
        }
        // There is no link on the way, and should there come to be one, that is told.
        self.add_way_to(path, site)?;
        let number = self.number_of(site.root(), path, OF_FILES)?;
        self.files.entry(number).or_default().push(key.into());
        // Whatever changed before the watch began shows now; the rest will be told.
        if entry.is_still_at(path, site.root(), AtFlags::SYMLINK_NOFOLLOW) {
            return Some(number);
        }
        self.remove(number, key);
        None
    }

    /// Whether it will be told when something comes to be at `path`, where nothing is.
    pub fn tells_of_new(&mut self, path: &[u8], site: &Beneath) -> bool {
        // A link that leads nowhere may lead somewhere without a word.
        self.add_way_to(path, site).is_some() && matches!(site.open_without_links(path), Err(Errno::NOENT))
    }

    /// Watches every directory on the way to `path`.
    fn add_way_to(&mut self, path: &[u8], site: &Beneath) -> Option<()> {
        if self.directories.is_empty() {
            let is_local = fstatfs(site.root()).is_ok_and(|stat| LOCAL.contains(&stat.f_type));
            is_local.then_some(())?;
        }
        let slashes = path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| at);
        std::iter::once(0).chain(slashes).try_for_each(|end| self.add_directory(&path[..end], site))
    }

    fn add_directory(&mut self, path: &[u8], site: &Beneath) -> Option<()> {
        if !self.directories.contains_key(path) {
            if self.directories.len() >= MAX_DIRECTORIES {
                return None;
            }
            let directory = site.open_without_links(path).ok()?;
            let number = self.number_of(&directory, b"", OF_DIRECTORIES)?;
            self.directories.insert(path.into(), number);
        }
        Some(())
    }

    /// The number of the watch on what is at `path`, which is relative to the directory `fd`; the empty one is that itself.
    fn number_of(&self, fd: &OwnedFd, path: &[u8], flags: WatchFlags) -> Option<i32> {
        let mut name = format!("/proc/self/fd/{}/", fd.as_raw_fd()).into_bytes();
        name.extend_from_slice(path);
        inotify::add_watch(&self.inotify, name, flags | WatchFlags::DONT_FOLLOW).ok()
    }

    /// What was kept under `key` is no more.
    pub fn remove(&mut self, number: i32, key: &[u8]) {
        let Some(keys) = self.files.get_mut(&number) else { return };
        keys.retain(|kept| &**kept != key);
        if keys.is_empty() {
            self.files.remove(&number);
            // It fails if the file is gone, and the watch with it.
            let _ = inotify::remove_watch(&self.inotify, number);
        }
    }

    /// Watches nothing any more.
    pub fn clear(&mut self) {
        for number in
            self.files.drain().map(|(number, _)| number).chain(self.directories.drain().map(|(_, n)| n))
        {
            let _ = inotify::remove_watch(&self.inotify, number);
        }
    }

    /// What has changed since it was last asked for.
    pub fn read(&mut self) -> Changes {
        let mut changes = Changes::default();
        let mut buffer = [const { MaybeUninit::uninit() }; 4096];
        let mut reader = Reader::new(&self.inotify, &mut buffer);
        for _ in 0..EVENTS {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::AGAIN) => return changes,
                Err(Errno::INTR) => continue,
                Err(_) => break,
            };
            let (number, flags) = (event.wd(), event.events());
            if let Some(keys) = self.files.get(&number) {
                changes.keys.extend(keys.iter().cloned());
            } else if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                break;
            } else if event.file_name().is_some() {
                // Of a name in a directory.
                changes.has_new |= flags.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO);
            } else {
                // IGNORED is the last word of a watch that was taken back.
                let is_directory = self.directories.values().any(|directory| *directory == number);
                changes.everything |= is_directory && !flags.contains(ReadFlags::IGNORED);
            }
        }
        Changes { everything: true, ..changes }
    }
}
