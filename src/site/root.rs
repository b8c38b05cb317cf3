//! Opens files beneath a root directory. No link or `..` may ever lead out of the root, and no name
//! may lead to a hidden file that has [another name](super::alias).
//!
//! The kernel enforces the former where it can (openat2(2), `RESOLVE_BENEATH`). Elsewhere the path
//! is [walked](super::walk), component by component, with the same results.

use std::{cell::RefCell, os::fd::OwnedFd};

use rustix::{
    fs::{AtFlags, Mode, OFlags, Stat, fstat, openat, statat},
    io::Errno,
};

use super::{
    alias::{AliasCheck, NameMatching},
    error::retry,
    walk::{status_beneath, walk_beneath},
};
use crate::{
    clock::Clock,
    site_path::DotfilePolicy,
    system::{self, Bounds, open_within},
};

/// The flags for opening a file after its type has been checked. `NONBLOCK` is set because a FIFO
/// may have replaced the file since the check.
pub const FOR_READING: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// A root directory. No path leads out of it, unless it was created with
/// [`RootDir::following_links`].
pub struct RootDir {
    fd: OwnedFd,
    resolution: Resolution,
    /// The bounds within which the kernel resolves a path like `resolution`, but refuses to leave
    /// the root's mount. `None` where it cannot.
    on_mount: Option<Bounds>,
    /// How the root's own file system matches names.
    matching: NameMatching,
    dotfiles: DotfilePolicy,
    /// The only file that can be opened, if there is one.
    only: Option<Vec<u8>>,
    aliases: RefCell<AliasCheck>,
}

/// How a path is resolved.
#[derive(Debug, Clone, Copy)]
enum Resolution {
    /// The kernel keeps it beneath the root (openat2(2)).
    Kernel,
    /// The [walk](super::walk) keeps it beneath the root.
    Walk,
    /// Links lead anywhere.
    Following,
}

impl RootDir {
    /// Creates a root that follows links wherever they lead, even out of `root`. (The paths
    /// themselves contain no `..`.)
    pub fn following_links(root: OwnedFd, dotfiles: DotfilePolicy) -> RootDir {
        let has_openat2 = probe(&root).is_ok();
        let on_mount = has_openat2.then_some(Bounds::Mount);
        let (matching, aliases) = (NameMatching::of(&root), RefCell::new(AliasCheck::new(dotfiles)));
        RootDir {
            fd: root,
            resolution: Resolution::Following,
            on_mount,
            matching,
            dotfiles,
            only: None,
            aliases,
        }
    }

    /// Creates a root that no path leads out of.
    pub fn new(root: OwnedFd, dotfiles: DotfilePolicy) -> RootDir {
        let (resolution, on_mount) = match probe(&root) {
            Ok(_) => (Resolution::Kernel, Some(Bounds::RootMount)),
            Err(errno) => {
                log::info!("openat2 is not available: {errno}; resolving paths component by component");
                (Resolution::Walk, None)
            }
        };
        let (matching, aliases) = (NameMatching::of(&root), RefCell::new(AliasCheck::new(dotfiles)));
        RootDir { fd: root, resolution, on_mount, matching, dotfiles, only: None, aliases }
    }

    /// Sets the name of the only file that can be opened. `None` allows all files.
    pub fn with_only(self, only: Option<Vec<u8>>) -> RootDir {
        RootDir { only, ..self }
    }

    /// Returns the descriptor of the root directory, opened with [`system::DIRECTORY`].
    pub fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Opens `path`, relative to the root. The empty path is the root itself.
    ///
    /// # Errors
    /// May fail for a transient reason ([`retry`]), for example with `EAGAIN` because of a
    /// concurrent rename.
    /// Returns `EXDEV` if the path leads out of the root, `ELOOP` for a magic link
    /// (`/proc/*/fd`, symlink(7)) or too many links, and `ENOENT` if a name in it may be another
    /// name of a hidden file, or if it is not the only file that can be opened.
    pub fn open(&self, path: &[u8], flags: OFlags, clock: &Clock) -> Result<OwnedFd, Errno> {
        if !self.is_offered(path) {
            return Err(Errno::NOENT);
        }
        if self.dotfiles == DotfilePolicy::All {
            return self.open_known(path, flags);
        }
        // The usual case costs one call: on the root's own mount, no such name can be an alias.
        let may_have_alias = || names(path).any(|(_, name)| self.matching.may_be_alias(name));
        if let Some(bounds) = self.on_mount
            && !may_have_alias()
        {
            match open_within(&self.fd, or_root(path), flags, bounds) {
                Err(Errno::XDEV) => {} // on another mount, or out of the root
                result => return result,
            }
        }
        self.check_names(path, clock)?;
        self.open_known(path, flags)
    }

    /// Opens `path` like [`RootDir::open`], but without a check of its names: the path has just
    /// been opened, or its last name was read from a directory that has just been opened.
    ///
    /// # Errors
    /// See [`RootDir::open`].
    pub fn open_known(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let (root, path, flags) = (&self.fd, or_root(path), flags | OFlags::CLOEXEC);
        match self.resolution {
            Resolution::Kernel => open_within(root, path, flags, Bounds::Root),
            Resolution::Walk => walk_beneath(root, path, flags),
            Resolution::Following => openat(root, path, flags, Mode::empty()),
        }
    }

    /// Returns the status of the file or directory at `path`, relative to the root, without side
    /// effects on a FIFO or a device. The empty path is the root itself.
    ///
    /// # Errors
    /// See [`RootDir::open`].
    pub fn status(&self, path: &[u8], clock: &Clock) -> Result<Stat, Errno> {
        if let Some(look_only) = system::LOOK_ONLY {
            return fstat(self.open(path, look_only, clock)?);
        }
        if !self.is_offered(path) {
            return Err(Errno::NOENT);
        }
        if self.dotfiles != DotfilePolicy::All {
            self.check_names(path, clock)?;
        }
        self.status_of_known(path)
    }

    /// Returns whether `path` is the only file that can be opened, if there is one.
    fn is_offered(&self, path: &[u8]) -> bool {
        self.only.as_deref().is_none_or(|only| only == path)
    }

    /// Returns the status like [`RootDir::status`], but without a check of the path's names. See
    /// [`RootDir::open_known`].
    ///
    /// # Errors
    /// See [`RootDir::open`].
    pub fn status_of_known(&self, path: &[u8]) -> Result<Stat, Errno> {
        if let Some(look_only) = system::LOOK_ONLY {
            return fstat(self.open_known(path, look_only)?);
        }
        match self.resolution {
            Resolution::Kernel | Resolution::Walk => status_beneath(&self.fd, or_root(path)),
            Resolution::Following => statat(&self.fd, or_root(path), AtFlags::empty()),
        }
    }

    /// Checks each name of `path` in its own directory, which may be on any file system. Comes
    /// before opening the path, whose errors could reveal that a hidden file exists.
    fn check_names(&self, path: &[u8], clock: &Clock) -> Result<(), Errno> {
        for (depth, (at, name)) in names(path).enumerate() {
            let dir = self.open_known(&path[..at], system::DIRECTORY)?;
            if self.aliases.borrow_mut().is_hidden(&dir, name, depth, clock)? {
                return Err(Errno::NOENT);
            }
        }
        Ok(())
    }
}

/// Returns the names in `path`, each with its position.
fn names(path: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut next = 0;
    let names = path.split(|b| *b == b'/').map(move |name| {
        let at = next;
        next += name.len() + 1;
        (at, name)
    });
    names.filter(|(_, name)| !name.is_empty())
}

/// Replaces the empty path with `.`, because the system calls need a name.
pub fn or_root(path: &[u8]) -> &[u8] {
    if path.is_empty() { b"." } else { path }
}

/// Opens `root` itself with openat2(2). Kernels before 5.6 do not have it, and some sandboxes
/// refuse it, each with an errno of its own. A walk is as safe.
fn probe(root: &OwnedFd) -> Result<OwnedFd, Errno> {
    retry(|| open_within(root, b".", system::DIRECTORY, Bounds::Root))
}
