//! Walks a path beneath a root directory, component by component, where the kernel cannot resolve
//! it within bounds. The results are those of openat2(2) with `RESOLVE_BENEATH`: no link and no
//! `..` leads out of the root.

use std::{collections::VecDeque, os::fd::OwnedFd};

use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, Stat, openat, readlinkat, statat},
    io::Errno,
};

use crate::system;

/// The maximum number of symbolic links followed in one path, as in the kernel
/// (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// Opens `path` beneath `root` by walking its components.
pub fn walk_beneath(root: &OwnedFd, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    // NOFOLLOW: do not follow a link that has replaced the file since the walk checked it.
    walk(root, path, |dir, name| openat(dir, name, flags | OFlags::NOFOLLOW, Mode::empty()))
}

/// Returns the status of `path` beneath `root` by walking its components.
pub fn status_beneath(root: &OwnedFd, path: &[u8]) -> Result<Stat, Errno> {
    walk(root, path, |dir, name| statat(dir, name, AtFlags::SYMLINK_NOFOLLOW))
}

/// Walks the components of `path` beneath `root`. Calls `at_end` with the directory and the name at
/// its end, which is `.` for a directory. `at_end` must not follow links.
fn walk<T>(
    root: &OwnedFd,
    path: &[u8],
    at_end: impl FnOnce(&OwnedFd, &[u8]) -> Result<T, Errno>,
) -> Result<T, Errno> {
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
            return at_end(here, &name);
        } else {
            let next = openat(here, &name[..], system::DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
            walked.push(next);
        }
    }
    at_end(walked.last().unwrap_or(root), b".")
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

    use rustix::fs::{CWD, RenameFlags, ResolveFlags, fstat, openat2, renameat_with};

    use super::*;

    type Resolve = fn(&OwnedFd, &[u8], OFlags) -> Result<OwnedFd, Errno>;

    /// Opens a path as the kernel does, with or without the feature that leaves this out.
    fn open_beneath(root: &OwnedFd, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        openat2(root, path, flags, Mode::empty(), resolve)
    }

    fn open_following(root: &OwnedFd, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        openat(root, path, flags, Mode::empty())
    }

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
    fn walk_resolves_as_the_kernel_does() {
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
            let status = status_beneath(&root, path.as_bytes()).map(|stat| stat.st_ino);
            assert_eq!(status, kernel, "the status of {path}");
        }
    }

    #[test]
    fn walk_is_not_led_out_by_a_link_that_replaces_a_directory_meanwhile() {
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
