//! Reads the events of inotify.

use std::mem::MaybeUninit;

use rustix::{
    fs::inotify::{ReadFlags, Reader},
    io::Errno,
};

use super::{Inotify, Watched};
use crate::site::{changes::Changes, tree_record::record};

/// The maximum number of events read at once. More events count as an overflow.
const EVENT_BUDGET: usize = 16_384;
/// The maximum number of changed keys reported at once. To drop them one by one takes about a
/// millisecond; more of them count as an overflow, because to drop everything takes no longer.
pub const MAX_CHANGES: usize = 512;

impl Inotify {
    /// Reads the events since the last call.
    pub fn read(&mut self) -> Changes {
        self.remove_abandoned();
        self.read_events()
    }

    fn read_events(&mut self) -> Changes {
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
                Some(Watched::File(keys)) if !changes.overflowed => {
                    changes.keys.extend(keys.iter().cloned());
                    changes.overflowed = changes.keys.len() > MAX_CHANGES;
                }
                Some(Watched::File(_)) => {}
                // An event for a name in the directory.
                Some(Watched::Directory(path)) if event.file_name().is_some() => {
                    changes.created |= flags.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO);
                    changes.removed_from_root |=
                        path.is_empty() && flags.intersects(ReadFlags::DELETE | ReadFlags::MOVED_FROM);
                    if let (Some(events), Some(name)) = (&mut self.tree, event.file_name()) {
                        record(events, path, name.to_bytes(), flags);
                    }
                }
                // The directory itself was moved or deleted, or its permissions changed.
                Some(Watched::Directory(_)) => changes.overflowed = true,
                // The last event of a watch that was removed, here or with its file.
                None if flags.contains(ReadFlags::IGNORED) => {
                    self.abandoned.remove(&event.wd());
                }
                None => {}
            }
        }
        Changes { overflowed: true, ..changes }
    }
}
