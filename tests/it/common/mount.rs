//! Mounts below a site.

use std::{
    io,
    path::{Path, PathBuf},
};

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};

use super::skip_for_kernel;

/// A mounted file system, unmounted when the test ends.
pub struct Mount(PathBuf);

impl Mount {
    /// Takes over the file system that is mounted at `path`.
    pub fn at(path: &Path) -> Mount {
        Mount(path.to_owned())
    }

    /// Mounts a new tmpfs at `path`, or the directory `source` if there is one. Returns `None` and
    /// reports that the test is skipped if this process may not mount.
    pub fn new(source: Option<&Path>, path: &Path) -> Option<Mount> {
        let mounted = match source {
            Some(source) => mount_bind(source, path),
            None => mount("oneloop-test", path, "tmpfs", MountFlags::empty(), c"size=8m"),
        };
        if let Err(errno) = mounted {
            skip_for_kernel(&format!("cannot mount: {}", io::Error::from(errno)));
            return None;
        }
        Some(Mount::at(path))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // The server may still have one of its files open.
        unmount(&self.0, UnmountFlags::DETACH).expect("unmount");
    }
}
