//! The events of the entries of watched directories, from inotify to the tree.

use super::change_log::PathEvent;

/// What happened to the entries of the watched directories.
#[derive(Debug, Default)]
pub struct TreeEvents {
    /// The path of each entry, what happened, and whether the entry is a directory.
    pub paths: Vec<(Box<[u8]>, PathEvent, bool)>,
    /// Whether anything may have happened.
    pub overflowed: bool,
}
