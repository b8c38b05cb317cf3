//! Stands in for `inotify.rs` on systems without inotify(7), so that the cache checks its files by
//! `stat`. There is no instance, and so no call to one.

use std::{os::fd::OwnedFd, path::Path, rc::Rc};

use rustix::io::Errno;

use super::{changes::Changes, file::StaticFile, root::RootDir, tree_events::TreeEvents};

/// An inotify instance, of which there is none.
#[derive(Debug)]
pub enum Inotify {}

impl Inotify {
    /// Creates no instance.
    ///
    /// # Errors
    /// Always fails, with `ENOSYS`.
    pub fn new() -> Result<Inotify, Errno> {
        Err(Errno::NOSYS)
    }

    /// Collects the events of all entries of watched directories from now on.
    pub fn observe_tree(&mut self) {
        match *self {}
    }

    /// Returns the events of entries since the last call, if there are any.
    pub fn take_tree_events(&mut self) -> Option<TreeEvents> {
        match *self {}
    }

    /// Watches the directory at `path` and the directories that lead to it.
    ///
    /// # Errors
    /// Returns whether there are too many watches.
    pub fn watch_tree_directory(&mut self, _: &[u8], _: &RootDir) -> Result<(), bool> {
        match *self {}
    }

    /// Returns the descriptor, which becomes readable when something changes.
    pub fn fd(&self) -> &Rc<OwnedFd> {
        match *self {}
    }

    /// Watches the file at `path`.
    pub fn add<D>(&mut self, _: &[u8], _: &[u8], _: &StaticFile<D>, _: &RootDir) -> Option<i32> {
        match *self {}
    }

    /// Watches the directories on the path to an absent file.
    pub fn watch_absent(&mut self, _: &[u8], _: &RootDir) -> bool {
        match *self {}
    }

    /// Watches the directories on the path of the root.
    pub fn watch_root_path(&mut self, _: &Path, _: &RootDir) -> bool {
        match *self {}
    }

    /// Removes a key from a watch.
    pub fn remove(&mut self, _: i32, _: &[u8]) {
        match *self {}
    }

    /// Abandons all watches.
    pub fn clear(&mut self) {
        match *self {}
    }

    /// Reads the events since the last call.
    pub fn read(&mut self) -> Changes {
        match *self {}
    }
}
