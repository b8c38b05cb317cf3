//! Names by which a file system finds a file that has another name: `GIT~1` for `.git` on vfat, or
//! a name with code points that a case-insensitive directory ignores.
//!
//! A hidden file must stay hidden under all of them. So where a file system has such names, this
//! module looks for the requested name in the directory itself. It must never let a name pass that
//! may be another name of a hidden file.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
    os::fd::OwnedFd,
    time::Instant,
};

use lru::LruCache;
use rustix::{
    fs::{AtFlags, Dev, Dir, Mode, OFlags, fstat, openat, statat},
    io::Errno,
};

use super::{RECHECK_AFTER, stamp::FileStamp};
use crate::{clock::Clock, site_path::DotfilePolicy, system};

/// The magic numbers (statfs(2)) of file systems that find a file by its own name alone, or also by
/// the same name in another case: XFS, Btrfs, ramfs, SquashFS, EROFS, proc, sysfs.
const EXACT: [u32; 7] =
    [0x5846_5342, 0x9123_683E, 0x8584_58F6, 0x7371_7368, 0xE0F5_E1E2, 0x9FA0, 0x6265_6572];
/// The magic numbers of file systems that compare names by Unicode rules in directories with the
/// flag `FS_CASEFOLD_FL`: ext4, tmpfs, F2FS, overlayfs and bcachefs.
const FLAGGED: [u32; 5] = [0xEF53, 0x0102_1994, 0xF2F5_2010, 0x794C_7630, 0xCA45_1A4E];
/// The magic number of ZFS, which may compare names by Unicode rules that no flag shows.
const ZFS: u32 = 0x2FC1_2FC1;
/// The maximum number of entries of a directory in which a name is looked for, so that no request
/// stops the others for long. Also the number of entries to remember, which take about 4 MB.
const MAX_ENTRIES: usize = 100_000;

/// The names by which a file system may find a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameMatching {
    /// No dotfile has a name that begins with another character.
    Exact,
    /// Like `Folding`, but only in directories with the flag `FS_CASEFOLD_FL`.
    FoldingIfFlagged,
    /// A name that begins with a non-ASCII character may be another name of a dotfile. (No Unicode
    /// rule turns an ASCII character into a dot.)
    Folding,
    /// Any name may be another name of a dotfile.
    Any,
}

impl NameMatching {
    /// Returns how the file system of the open file or directory `fd` matches names.
    pub fn of(fd: &OwnedFd) -> NameMatching {
        match system::file_system(fd) {
            Some(magic) if EXACT.contains(&magic) => NameMatching::Exact,
            Some(magic) if FLAGGED.contains(&magic) => NameMatching::FoldingIfFlagged,
            Some(ZFS) => NameMatching::Folding,
            // vfat, exFAT, NTFS, CIFS, 9P, FUSE, NFS, HFS+ and any other, also one that does not
            // say what it is.
            _ => NameMatching::Any,
        }
    }

    /// Returns whether `name` may be another name of a dotfile.
    pub fn may_be_alias(self, name: &[u8]) -> bool {
        match self {
            NameMatching::Exact => false,
            NameMatching::Folding | NameMatching::FoldingIfFlagged => {
                name.first().is_some_and(|byte| !byte.is_ascii())
            }
            NameMatching::Any => true,
        }
    }
}

/// The check of names, and what it read from directories a moment ago.
pub struct AliasCheck {
    dotfiles: DotfilePolicy,
    /// The directories, by device, inode and whether they are the root. (`.well-known` is visible
    /// there alone.)
    directories: LruCache<(Dev, u64, bool), DirectoryNames>,
    /// The number of entries of all these directories.
    entries: usize,
    hasher: RandomState,
}

impl AliasCheck {
    /// Creates a check that hides what `dotfiles` does not allow.
    pub fn new(dotfiles: DotfilePolicy) -> AliasCheck {
        AliasCheck { dotfiles, directories: LruCache::unbounded(), entries: 0, hasher: RandomState::new() }
    }

    /// Returns whether `name` is another name of a hidden entry of `dir`, or may be one. `depth` is
    /// the number of names before it in its path.
    ///
    /// # Errors
    /// Fails if the directory cannot be read, and with `E2BIG` if it has too many entries.
    pub fn is_hidden(
        &mut self,
        dir: &OwnedFd,
        name: &[u8],
        depth: usize,
        clock: &Clock,
    ) -> Result<bool, Errno> {
        let matching = NameMatching::of(dir);
        if !matching.may_be_alias(name) {
            return Ok(false);
        }
        let inode = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?.st_ino;
        let stamp = FileStamp::of(&fstat(dir)?);
        let key = (stamp.device, stamp.inode, depth == 0);
        let hash = self.hasher.hash_one(name);
        if let Some(known) = self.directories.get(&key)
            && known.is_current(&stamp, clock)
        {
            return known.is_hidden(hash, inode);
        }
        let readable = openat(dir, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        if matching == NameMatching::FoldingIfFlagged && !system::is_casefolded(&readable) {
            return Ok(false);
        }
        let is_allowed = |name: &[u8]| self.dotfiles.allow(name, depth);
        let names = DirectoryNames::read(readable, stamp, is_allowed, &self.hasher, clock)?;
        let is_hidden = names.is_hidden(hash, inode);
        self.entries += names.len();
        if let Some(old) = self.directories.put(key, names) {
            self.entries -= old.len();
        }
        while self.entries > MAX_ENTRIES
            && let Some((_, oldest)) = self.directories.pop_lru()
        {
            self.entries -= oldest.len();
        }
        is_hidden
    }
}

/// The entries of one directory.
struct DirectoryNames {
    stamp: FileStamp,
    read: Instant,
    /// Whether any later change to the directory changes its stamp.
    is_settled: bool,
    /// The hashes of all names.
    names: HashSet<u64>,
    /// Whether an inode number has a name that is not allowed. A file with several hard links is
    /// hidden if one of their names is.
    hidden: HashMap<u64, bool>,
    /// Whether any name is not allowed.
    has_hidden: bool,
    is_too_large: bool,
}

impl DirectoryNames {
    /// Reads the directory `dir`, whose stamp was `stamp`.
    ///
    /// # Errors
    /// Fails if the directory cannot be read.
    fn read(
        dir: OwnedFd,
        stamp: FileStamp,
        is_allowed: impl Fn(&[u8]) -> bool,
        hasher: &RandomState,
        clock: &Clock,
    ) -> Result<DirectoryNames, Errno> {
        let mut read = DirectoryNames {
            stamp,
            read: clock.now(),
            is_settled: stamp.has_settled(clock.wall()),
            names: HashSet::new(),
            hidden: HashMap::new(),
            has_hidden: false,
            is_too_large: false,
        };
        let mut dir = Dir::new(dir)?;
        while let Some(entry) = dir.read() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            if read.names.len() >= MAX_ENTRIES {
                (read.names, read.hidden, read.is_too_large) = (HashSet::new(), HashMap::new(), true);
                break;
            }
            read.names.insert(hasher.hash_one(name));
            let is_hidden = !is_allowed(name);
            *read.hidden.entry(entry.ino()).or_default() |= is_hidden;
            read.has_hidden |= is_hidden;
        }
        Ok(read)
    }

    /// Returns the number of entries, and 1 for the directory itself.
    fn len(&self) -> usize {
        1 + self.names.len()
    }

    /// Returns whether the directory, which has this stamp now, still has these entries. Some file
    /// systems keep no time for a directory.
    fn is_current(&self, stamp: &FileStamp, clock: &Clock) -> bool {
        self.is_settled && self.stamp == *stamp && clock.now() < self.read + RECHECK_AFTER
    }

    /// Returns whether the name with this hash, which leads to `inode`, is not allowed, or may be
    /// another name of one that is not. An entry with this very name is the one: the client may
    /// know its name. Any other one is known by its inode number, which not all file systems
    /// report. Without a hidden entry, no name can lead to one. (Some directories do not list all
    /// that can be opened in them.)
    ///
    /// # Errors
    /// Fails with `E2BIG` if the directory has too many entries.
    fn is_hidden(&self, hash: u64, inode: u64) -> Result<bool, Errno> {
        match self.is_too_large {
            true => Err(Errno::TOOBIG),
            false => {
                let is_visible = self.names.contains(&hash) || self.hidden.get(&inode) == Some(&false);
                Ok(self.has_hidden && !is_visible)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::MetadataExt,
        path::Path,
        time::{Duration, SystemTime},
    };

    use super::*;

    fn names_of(dir: &Path, clock: &Clock) -> (DirectoryNames, RandomState) {
        let (open, hasher) = (OwnedFd::from(fs::File::open(dir).expect("open")), RandomState::new());
        let stamp = FileStamp::of(&fstat(&open).expect("its status"));
        let is_allowed = |name: &[u8]| DotfilePolicy::Visible.allow(name, 0);
        (DirectoryNames::read(open, stamp, is_allowed, &hasher, clock).expect("read"), hasher)
    }

    #[test]
    fn names_that_may_be_other_names_of_dotfiles() {
        let table = [
            (NameMatching::Exact, [false, false, false]),
            (NameMatching::FoldingIfFlagged, [false, true, false]),
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
        let names = names_of(dir.path(), &Clock::frozen(SystemTime::now()));
        let is_hidden = |name: &str, file: &str| {
            let inode = fs::metadata(dir.path().join(file)).map_or(u64::MAX, |file| file.ino());
            names.0.is_hidden(names.1.hash_one(name.as_bytes()), inode).expect("not too large")
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
        let empty = tempfile::tempdir().expect("a directory");
        let (names, hasher) = names_of(empty.path(), &Clock::frozen(SystemTime::now()));
        let unlisted = hasher.hash_one(&b"unlisted"[..]);
        assert!(!names.is_hidden(unlisted, 7).expect("not too large"), "there is nothing to hide");
    }

    #[test]
    fn names_of_a_directory_are_trusted_for_a_second_while_its_stamp_proves_them() {
        let dir = tempfile::tempdir().expect("a directory");
        let stamp = || FileStamp::of(&fstat(fs::File::open(dir.path()).expect("open")).expect("its status"));
        let now = Clock::frozen(SystemTime::now());
        assert!(!names_of(dir.path(), &now).0.is_current(&stamp(), &now), "it changed a moment ago");
        let mut later = Clock::frozen(SystemTime::now() + Duration::from_secs(60));
        let names = names_of(dir.path(), &later).0;
        assert!(names.is_current(&stamp(), &later));
        let before = stamp();
        fs::write(dir.path().join("new"), "").expect("write");
        assert!(stamp() == before || !names.is_current(&stamp(), &later));
        later.advance(RECHECK_AFTER);
        assert!(!names.is_current(&before, &later));
    }
}
