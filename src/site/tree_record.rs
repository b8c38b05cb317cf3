//! Turns the events of inotify(7) into those of the tree.

use rustix::fs::inotify::ReadFlags;

use super::{change_log::PathEvent, tree_events::TreeEvents};

/// The maximum number of events of entries to collect.
const MAX_TREE_EVENTS: usize = 1024;

/// Records the event `flags` of the entry `name` in `directory`.
pub fn record(events: &mut TreeEvents, directory: &[u8], name: &[u8], flags: ReadFlags) {
    let event = if flags.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO) {
        PathEvent::Appeared
    } else if flags.intersects(ReadFlags::DELETE | ReadFlags::MOVED_FROM) {
        PathEvent::Vanished
    } else if flags.contains(ReadFlags::CLOSE_WRITE) {
        PathEvent::Changed
    } else {
        return; // another owner or mode
    };
    if events.overflowed || events.paths.len() >= MAX_TREE_EVENTS {
        *events = TreeEvents { paths: Vec::new(), overflowed: true };
        return;
    }
    let separator: &[u8] = if directory.is_empty() { b"" } else { b"/" };
    let path = [directory, separator, name].concat().into();
    events.paths.push((path, event, flags.contains(ReadFlags::ISDIR)));
}
