//! Opens files beneath a root directory. No link or `..` may ever lead out of the root, and no name
//! may lead to a hidden file that has [another name](super::alias).
//!
//! The kernel enforces the former where it can (openat2(2), `RESOLVE_BENEATH`). Elsewhere this
//! module walks the path, component by component, with the same results.

use std::{cell::RefCell, collections::VecDeque, os::fd::OwnedFd};

use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, openat, openat2, readlinkat, statat},
    io::Errno,
};

use super::{
    alias::{AliasCheck, NameMatching},
    error::retry,
};
use crate::{clock::Clock, site_path::DotfilePolicy};

/// The flags for opening a file after its type has been checked. `NONBLOCK` is set because a FIFO
/// may have replaced the file since the check.
pub const FOR_READING: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// A root directory. No path leads out of it, unless it was created with
/// [`RootDir::following_links`].
pub struct RootDir {
    fd: OwnedFd,
    resolve: Resolve,
    /// The flags with which openat2(2) resolves a path like `resolve`, but refuses to leave the
    /// root's mount. `None` where it is not available.
    on_mount: Option<ResolveFlags>,
    /// How the root's own file system matches names.
    matching: NameMatching,
    dotfiles: DotfilePolicy,
    /// The only file that can be opened, if there is one.
    only: Option<Vec<u8>>,
    aliases: RefCell<AliasCheck>,
}

/// Opens a path relative to a root.
type Resolve = fn(&OwnedFd, &[u8], OFlags) -> Result<OwnedFd, Errno>;

/// What openat2(2) refuses: to leave the root, also by way of a magic link (symlink(7)).
const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS);

/// The maximum number of symbolic links followed in one path, as in the kernel
/// (path_resolution(7)).
const MAX_LINKS: usize = 40;

impl RootDir {
    /// Creates a root that follows links wherever they lead, even out of `root`. (The paths
    /// themselves contain no `..`.)
    pub fn following_links(root: OwnedFd, dotfiles: DotfilePolicy) -> RootDir {
        let has_openat2 = probe(&root).is_ok();
        let on_mount = has_openat2.then_some(ResolveFlags::NO_XDEV);
        let (matching, aliases) = (NameMatching::of(&root), RefCell::new(AliasCheck::new(dotfiles)));
        RootDir { fd: root, resolve: open_following, on_mount, matching, dotfiles, only: None, aliases }
    }

    /// Creates a root that no path leads out of.
    pub fn new(root: OwnedFd, dotfiles: DotfilePolicy) -> RootDir {
        let (resolve, on_mount): (Resolve, _) = match probe(&root) {
            Ok(_) => (open_beneath, Some(BENEATH | ResolveFlags::NO_XDEV)),
            Err(errno) => {
                log::info!("openat2 is not available: {errno}; resolving paths component by component");
                (walk_beneath, None)
            }
        };
        let (matching, aliases) = (NameMatching::of(&root), RefCell::new(AliasCheck::new(dotfiles)));
        RootDir { fd: root, resolve, on_mount, matching, dotfiles, only: None, aliases }
    }

    /// Sets the name of the only file that can be opened. `None` allows all files.
    pub fn with_only(self, only: Option<Vec<u8>>) -> RootDir {
        RootDir { only, ..self }
    }

    /// Returns the descriptor of the root directory, opened with `O_PATH`.
    pub fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Opens `path` with `O_PATH`, without following links or crossing mounts.
    ///
    /// # Errors
    /// Returns `ELOOP` if there is a link on the path, `EXDEV` if there is a mount, and `ENOSYS` if
    /// `openat2` is not available.
    pub fn open_direct(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        openat2(&self.fd, or_root(path), OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)
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
        if self.only.as_deref().is_some_and(|only| only != path) {
            return Err(Errno::NOENT);
        }
        if self.dotfiles == DotfilePolicy::All {
            return self.open_known(path, flags);
        }
        // The usual case costs one call: on the root's own mount, no such name can be an alias.
        let may_have_alias = || names(path).any(|(_, name)| self.matching.may_be_alias(name));
        if let Some(resolve) = self.on_mount
            && !may_have_alias()
        {
            match openat2(&self.fd, or_root(path), flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
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
        (self.resolve)(&self.fd, or_root(path), flags | OFlags::CLOEXEC)
    }

    /// Checks each name of `path` in its own directory, which may be on any file system. Comes
    /// before opening the path, whose errors could reveal that a hidden file exists.
    fn check_names(&self, path: &[u8], clock: &Clock) -> Result<(), Errno> {
        for (depth, (at, name)) in names(path).enumerate() {
            let dir = self.open_known(&path[..at], OFlags::PATH | OFlags::DIRECTORY)?;
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
fn or_root(path: &[u8]) -> &[u8] {
    if path.is_empty() { b"." } else { path }
}

/// Opens `path` and follows links wherever they lead.
fn open_following(root: &OwnedFd, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    openat(root, path, flags, Mode::empty())
}

/// Opens `root` itself with openat2(2). Kernels before 5.6 do not have it, and some sandboxes
/// refuse it, each with an errno of its own. A walk is as safe.
fn probe(root: &OwnedFd) -> Result<OwnedFd, Errno> {
    retry(|| open_beneath(root, b".", OFlags::PATH))
}

/// Opens `path` beneath `root` with openat2(2).
fn open_beneath(root: &OwnedFd, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    openat2(root, path, flags, Mode::empty(), BENEATH)
}

/// Opens `path` beneath `root` by walking its components.
fn walk_beneath(root: &OwnedFd, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut todo: VecDeque<Vec<u8>> = components(path).collect();
    let mut walked: Vec<OwnedFd> = Vec::new();
    let mut links = 0;
    while let Some(name) = todo.pop_front() {
        let here = walked.last().unwrap_or(root);
        match &name[..] {
            b"." => continue,
            b".." => {
                walked.pop().ok_or(Errno::XDEV)?;
                continue;
            }
            _ => {}
        }
        let kind = FileType::from_raw_mode(statat(here, &name[..], AtFlags::SYMLINK_NOFOLLOW)?.st_mode);
        if kind == FileType::Symlink {
            links += 1;
            if links > MAX_LINKS {
                return Err(Errno::LOOP);
            }
            let target = readlinkat(here, &name[..], Vec::new())?.into_bytes();
            // An absolute link counts as leading out of the root, as with `RESOLVE_BENEATH`.
            if target.first() == Some(&b'/') {
                return Err(Errno::XDEV);
            }
            // Keep the meaning of a trailing slash: the target must be a directory.
            if todo.is_empty() && wants_directory(&target) {
                todo.push_front(b".".to_vec());
            }
            components(&target).rev().for_each(|component| todo.push_front(component));
        } else if todo.is_empty() && kind != FileType::Directory {
            // NOFOLLOW: do not follow a link that has replaced the file since the check.
            return openat(here, &name[..], flags | OFlags::NOFOLLOW, Mode::empty());
        } else {
            let step = OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let next = openat(here, &name[..], step, Mode::empty())?;
            walked.push(next);
        }
    }
    openat(walked.last().unwrap_or(root), ".", flags, Mode::empty())
}

/// Returns whether `path` must lead to a directory, that is, whether it ends in `/` or `/.`.
fn wants_directory(path: &[u8]) -> bool {
    path.ends_with(b"/") || path.ends_with(b"/.")
}

/// Returns the components of a path, except empty components and `.`.
fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = Vec<u8>> + '_ {
    path.split(|b| *b == b'/').filter(|name| !matches!(*name, b"" | b".")).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::symlink,
        sync::atomic::{AtomicBool, Ordering},
    };

    use rustix::fs::{CWD, RenameFlags, fstat, renameat_with};

    use super::*;

    /// The links of the site: target and name.
    const LINKS: [(&str, &str); 19] = [
        ("file", "to-file"),
        ("a/b", "to-dir"),
        ("../file", "a/up"),
        ("../../file", "a/b/up-twice"),
        ("to-dir/deep", "chain"),
        ("to-dir/../up", "chain-up"),
        ("../secret", "out"),
        ("a/../../secret", "out-by-detour"),
        ("..", "out-dir"),
        ("/etc", "absolute"),
        ("loop-b", "loop-a"),
        ("loop-a", "loop-b"),
        ("nowhere", "dangling"),
        (".", "self"),
        ("/proc/self/root", "magic"),
        ("file/", "file-as-dir"),
        ("file/.", "file-as-dot"),
        ("a/", "dir-as-dir"),
        ("to-file/", "link-as-dir"),
    ];

    /// The paths that the walk and the kernel must resolve in the same way.
    const PATHS: [&str; 37] = [
        "file",
        "to-file",
        "a",
        "a/b",
        "a/b/deep",
        "to-dir",
        "to-dir/deep",
        "a/up",
        "a/b/up-twice",
        "chain",
        "chain-up",
        "out",
        "out-by-detour",
        "out-dir",
        "out-dir/secret",
        "absolute",
        "absolute/passwd",
        "loop-a",
        "dangling",
        "missing",
        "file/x",
        "a/missing/x",
        "self",
        "self/self/file",
        "magic",
        "..",
        "../secret",
        "a/../file",
        "a/b/../../..",
        ".",
        "a/./b",
        "to-file/x",
        "file-as-dir",
        "file-as-dot",
        "dir-as-dir",
        "dir-as-dir/b/deep",
        "link-as-dir",
    ];

    #[test]
    fn root_walk_resolves_as_the_kernel_does() {
        let outside = tempfile::tempdir().expect("a directory");
        let dir = outside.path().join("root");
        fs::create_dir_all(dir.join("a/b")).expect("folders");
        fs::write(dir.join("file"), "f").expect("a file");
        fs::write(dir.join("a/b/deep"), "d").expect("a file");
        fs::write(outside.path().join("secret"), "s").expect("a file");
        for (target, link) in LINKS {
            symlink(target, dir.join(link)).expect("a link");
        }
        let root = openat(CWD, &dir, OFlags::PATH, Mode::empty()).expect("the root");
        if open_beneath(&root, b".", OFlags::PATH).is_err() {
            return crate::testing::skip_for_kernel("no openat2 to compare with");
        }
        for path in PATHS {
            let stamp = |result: Result<OwnedFd, Errno>| result.and_then(fstat).map(|stat| stat.st_ino);
            // EAGAIN: any rename on this machine, such as another test's, while a `..` is resolved.
            let kernel = (0..100_000)
                .map(|_| open_beneath(&root, path.as_bytes(), OFlags::PATH))
                .find(|opened| !matches!(opened, Err(Errno::AGAIN)));
            let kernel = stamp(kernel.expect("no end of the renames"));
            let walk = stamp(walk_beneath(&root, path.as_bytes(), OFlags::PATH));
            assert_eq!(walk, kernel, "{path}");
        }
    }

    #[test]
    fn root_walk_is_not_led_out_by_a_link_that_replaces_a_directory_meanwhile() {
        let outside = tempfile::tempdir().expect("a directory");
        let dir = outside.path().join("root");
        fs::create_dir_all(dir.join("a")).expect("folders");
        fs::write(dir.join("a/file"), "inside").expect("a file");
        fs::write(outside.path().join("file"), "secret").expect("a file");
        symlink("..", dir.join("b")).expect("a link");
        let root = openat(CWD, &dir, OFlags::PATH, Mode::empty()).expect("the root");
        let secret =
            fstat(fs::File::open(outside.path().join("file")).expect("open")).expect("status").st_ino;
        let swap = || renameat_with(&root, "a", &root, "b", RenameFlags::EXCHANGE);
        if swap().is_err() {
            return crate::testing::skip_for_kernel("no exchange of names");
        }
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    swap().expect("swap");
                }
            });
            // A plain open shows that the names are exchanged while paths are opened.
            let (mut found, mut led_out) = (0, 0);
            for _ in 0..1_000_000 {
                if found >= 1000 && led_out >= 1000 {
                    break;
                }
                let inode =
                    |open: Resolve| open(&root, b"a/file", OFlags::PATH).and_then(fstat).map(|s| s.st_ino);
                led_out += usize::from(inode(open_following) == Ok(secret));
                let walked = inode(walk_beneath);
                found += usize::from(walked.is_ok());
                if walked == Ok(secret) {
                    is_over.store(true, Ordering::Relaxed);
                    panic!("led out");
                }
            }
            is_over.store(true, Ordering::Relaxed);
            assert!(found > 0 && led_out > 0, "{found} {led_out}");
        });
    }
}
