//! Names by which a file system finds a file that has another name: `GIT~1` for `.git` on vfat, or
//! a name with code points that a case-insensitive directory ignores.
//!
//! A hidden file must stay hidden under all of them. So where a file system has such names, this
//! module looks for the requested name in the directory itself. It must never let a name pass that
//! may be another name of a hidden file.

use std::os::fd::OwnedFd;

use rustix::{
    fs::{AtFlags, Dir, FsWord, Mode, OFlags, fstatfs, ioctl_getflags, openat, statat},
    io::Errno,
};

use crate::site_path::DotfilePolicy;

/// The magic numbers (statfs(2)) of file systems that find a file by its own name alone, or also by
/// the same name in another case: XFS, Btrfs, ramfs, SquashFS, EROFS, proc, sysfs.
const EXACT: [FsWord; 7] =
    [0x5846_5342, 0x9123_683E, 0x8584_58F6, 0x7371_7368, 0xE0F5_E1E2, 0x9FA0, 0x6265_6572];
/// The magic numbers of file systems that may compare names by Unicode rules: ext4, tmpfs, F2FS,
/// overlayfs, bcachefs and ZFS. No rule turns an ASCII character into a dot, so only a name that
/// begins with another character can be another name of a dotfile.
const FOLDING: [FsWord; 6] = [0xEF53, 0x0102_1994, 0xF2F5_2010, 0x794C_7630, 0xCA45_1A4E, 0x2FC1_2FC1];
/// The magic number of ZFS, which compares names by rules that no inode flag shows.
const ZFS: FsWord = 0x2FC1_2FC1;
/// The inode flag of a directory that compares names by Unicode rules (`FS_CASEFOLD_FL`,
/// ioctl_iflags(2)).
const CASEFOLD: u32 = 0x4000_0000;
/// The maximum number of entries in which a name is looked for, so that no request stops the others
/// for long.
const MAX_ENTRIES: usize = 100_000;

/// The names by which a file system may find a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameMatching {
    /// No dotfile has a name that begins with another character.
    Exact,
    /// A name that begins with a non-ASCII character may be another name of a dotfile.
    Folding,
    /// Any name may be another name of a dotfile.
    Any,
}

impl NameMatching {
    /// Returns how the file system of the open file or directory `fd` matches names.
    pub fn of(fd: &OwnedFd) -> NameMatching {
        match fstatfs(fd).map(|stat| stat.f_type) {
            Ok(magic) if EXACT.contains(&magic) => NameMatching::Exact,
            Ok(magic) if FOLDING.contains(&magic) => NameMatching::Folding,
            // vfat, exFAT, NTFS, CIFS, 9P, FUSE, NFS, HFS+ and any other, also one that does not
            // say what it is.
            _ => NameMatching::Any,
        }
    }

    /// Returns whether `name` may be another name of a dotfile.
    pub fn may_be_alias(self, name: &[u8]) -> bool {
        match self {
            NameMatching::Exact => false,
            NameMatching::Folding => name.first().is_some_and(|byte| !byte.is_ascii()),
            NameMatching::Any => true,
        }
    }
}

/// Returns whether `name` is another name of an entry of `dir` that `dotfiles` does not allow, or
/// may be one. `depth` is the number of names before it in its path.
///
/// # Errors
/// Fails if the directory cannot be read, and with `E2BIG` if it has too many entries.
pub fn is_alias_of_hidden(
    dir: &OwnedFd,
    name: &[u8],
    depth: usize,
    dotfiles: DotfilePolicy,
) -> Result<bool, Errno> {
    if !NameMatching::of(dir).may_be_alias(name) {
        return Ok(false);
    }
    let inode = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?.st_ino;
    let readable = openat(dir, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    if compares_bytes(&readable) {
        return Ok(false);
    }
    is_hidden_entry(readable, name, inode, |entry| dotfiles.allow(entry, depth))
}

/// Returns whether a directory of a [`FOLDING`] file system compares names byte by byte.
fn compares_bytes(dir: &OwnedFd) -> bool {
    let has_no_flag = || ioctl_getflags(dir).is_ok_and(|flags| flags.bits() & CASEFOLD == 0);
    fstatfs(dir).is_ok_and(|stat| FOLDING.contains(&stat.f_type) && stat.f_type != ZFS) && has_no_flag()
}

/// Looks for the entry that `name`, with the number `inode`, refers to. Returns whether it is, or
/// may be, one that is not allowed. An entry with this very name is the one: the client may know
/// its name. Any other one is known by its inode number, which not all file systems report.
fn is_hidden_entry(
    dir: OwnedFd,
    name: &[u8],
    inode: u64,
    is_allowed: impl Fn(&[u8]) -> bool,
) -> Result<bool, Errno> {
    let (mut dir, mut is_visible, mut is_hidden) = (Dir::new(dir)?, false, false);
    for _ in 0..MAX_ENTRIES {
        let Some(entry) = dir.read() else { return Ok(is_hidden || !is_visible) };
        let entry = entry?;
        match entry.file_name().to_bytes() {
            b"." | b".." => {}
            found if found == name => return Ok(false),
            // A file with several hard links is hidden if one of their names is.
            found if entry.ino() == inode => {
                *(if is_allowed(found) { &mut is_visible } else { &mut is_hidden }) = true;
            }
            _ => {}
        }
    }
    Err(Errno::TOOBIG)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::MetadataExt};

    use super::*;

    #[test]
    fn names_that_may_be_other_names_of_dotfiles() {
        let table = [
            (NameMatching::Exact, [false, false, false]),
            (NameMatching::Folding, [false, true, false]),
            (NameMatching::Any, [true, true, true]),
        ];
        for (matching, expected) in table {
            let names = [&b"GIT~1"[..], "\u{200b}.git".as_bytes(), b"a\xff"];
            assert_eq!(names.map(|name| matching.may_be_alias(name)), expected, "{matching:?}");
        }
    }

    /// The directory has no other names. The test says which entry each of them would refer to.
    #[test]
    fn alias_is_hidden_if_it_may_refer_to_a_hidden_entry() {
        let dir = tempfile::tempdir().expect("a directory");
        for name in [".git", "visible", ".linked"] {
            fs::write(dir.path().join(name), "").expect("write");
        }
        fs::hard_link(dir.path().join(".linked"), dir.path().join("linked")).expect("link");
        let is_hidden = |name: &str, file: &str| {
            let inode = fs::metadata(dir.path().join(file)).map_or(u64::MAX, |file| file.ino());
            let open = fs::File::open(dir.path()).expect("open");
            let is_allowed = |name: &[u8]| DotfilePolicy::Visible.allow(name, 0);
            is_hidden_entry(open.into(), name.as_bytes(), inode, is_allowed).expect("read")
        };
        let table = [
            ("GIT~1", ".git", true),
            ("\u{200b}.git", ".git", true),
            ("VISIBLE", "visible", false),
            ("visible", "visible", false),
            ("visible", "an inode number that the directory does not report", false),
            ("VISIBLE", "an inode number that the directory does not report", true),
            ("linked", "linked", false),
            ("LINKED", "linked", true),
            ("anything", ".", true),
        ];
        for (name, file, expected) in table {
            assert_eq!(is_hidden(name, file), expected, "{name} of {file}");
        }
    }
}
