//! What has changed, from inotify to the cache.

/// The changes since inotify was last read.
#[derive(Debug, Default)]
pub struct Changes {
    /// The keys of cached files that changed.
    pub keys: Vec<Box<[u8]>>,
    /// Whether a file or directory was created or moved in.
    pub created: bool,
    /// Whether an entry of the root was deleted or moved away.
    pub removed_from_root: bool,
    /// Whether events were lost or a directory was moved. If so, anything may have changed.
    pub overflowed: bool,
}
