//! Makes inotify report when another directory takes the root's place, which otherwise takes one
//! `stat` in each turn.
//!
//! A directory leaves its path when it, or a directory above it, is moved or deleted. inotify
//! reports a move of the directory itself. It does not report that a directory is deleted while
//! that is open, as the root is; but first the last entry of the directory must be removed, and
//! that is reported.

use std::path::{Component, Path};

use rustix::{
    fs::{Dir, Mode, OFlags, fstat, inotify::WatchFlags, openat},
    io::Errno,
};

use super::{Inotify, LOCAL, Watched};
use crate::{
    site::root::RootDir,
    system::{self, open_without_links},
};

/// The events of a directory above the root.
const EVENTS: WatchFlags = WatchFlags::MOVE_SELF.union(WatchFlags::DELETE_SELF).union(WatchFlags::ONLYDIR);

impl Inotify {
    /// Watches the directories on the absolute path `dir` of the root. Returns whether inotify will
    /// report that the root leaves this path, or that its last entry is removed. It reports no
    /// mount.
    pub fn watch_root_path(&mut self, dir: &Path, root: &RootDir) -> bool {
        self.watch_ancestors(b"", root).is_ok()
            && self.watch_above(dir).is_some()
            && is_at(dir, root).unwrap_or(false)
            && has_entries(root).unwrap_or(false)
    }

    /// Watches the directories above `dir`, unless they are already watched.
    fn watch_above(&mut self, dir: &Path) -> Option<()> {
        if self.watched_above.is_some() {
            return Some(());
        }
        // The name before `..` says nothing about the directory that `..` leads to.
        if dir.components().any(|component| component == Component::ParentDir) {
            return None;
        }
        let mut watched = 0;
        for above in dir.ancestors().skip(1) {
            let directory = open_without_links(above).ok()?;
            system::file_system(&directory).filter(|magic| LOCAL.contains(magic))?;
            let wd = self.add_watch(&directory, b"", EVENTS)?;
            self.by_wd.insert(wd, Watched::Directory(b"..".as_slice().into()));
            watched += 1;
        }
        self.watched_above = Some(watched);
        Some(())
    }
}

/// Returns whether `dir` leads to the root without a link on the way.
fn is_at(dir: &Path, root: &RootDir) -> Result<bool, Errno> {
    let [found, root] = [fstat(open_without_links(dir)?)?, fstat(root.fd())?];
    Ok((found.st_dev, found.st_ino) == (root.st_dev, root.st_ino))
}

/// Returns whether there is anything in the root.
fn has_entries(root: &RootDir) -> Result<bool, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let entries = Dir::new(openat(root.fd(), ".", flags, Mode::empty())?)?;
    Ok(entries.flatten().any(|entry| !matches!(entry.file_name().to_bytes(), b"." | b"..")))
}
