//! Files that a service generates and sends as it sends the files of the site.

use std::rc::Rc;

use super::{
    file::{Content, Metadata, StaticFile},
    stamp::{FileStamp, FileVersion},
};

impl<D> StaticFile<D> {
    /// Returns a file that a service generates. It is never cached here.
    pub fn generated(content: Rc<[u8]>, description: D) -> StaticFile<D> {
        let metadata = Metadata {
            len: content.len() as u64,
            modified: None,
            is_mtime_settled: false,
            is_mtime_genuine: false,
            version: FileVersion::Hash(0),
        };
        let stamp = FileStamp { device: 0, inode: 0, len: 0, modified: (0, 0), changed: (0, 0) };
        StaticFile { description, content: Content::Memory(content), metadata, stamp, is_racy: true }
    }
}
