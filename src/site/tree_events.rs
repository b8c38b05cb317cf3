//! The events of the entries of watched directories, from inotify to the tree.

use super::change_log::PathEvent;

/// The maximum number of events that [`TreeEvents`] holds.
#[cfg(all(target_os = "linux", not(feature = "portable")))]
const MAX_TREE_EVENTS: usize = 1024;

/// What happened to the entries of the watched directories.
#[derive(Debug, Default)]
pub struct TreeEvents {
    /// The path of each entry, what happened, and whether the entry is a directory.
    pub paths: Vec<(Box<[u8]>, PathEvent, bool)>,
    /// Whether anything may have happened.
    pub overflowed: bool,
}

#[cfg(all(target_os = "linux", not(feature = "portable")))]
impl TreeEvents {
    /// Records what happened to the entry `name` in `directory`.
    pub fn push(&mut self, directory: &[u8], name: &[u8], event: PathEvent, is_dir: bool) {
        if self.overflowed || self.paths.len() >= MAX_TREE_EVENTS {
            (self.overflowed, self.paths) = (true, Vec::new());
            return;
        }
        let separator: &[u8] = if directory.is_empty() { b"" } else { b"/" };
        let path = [directory, separator, name].concat().into();
        self.paths.push((path, event, is_dir));
    }

    /// Returns whether nothing has happened.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty() && !self.overflowed
    }
}
