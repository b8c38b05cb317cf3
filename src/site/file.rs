//! One file as it was read: its metadata, its content, and the stamp that reveals a later change.
//!
//! A read that overlaps a write must never be cached.

use std::{fs::File, os::fd::OwnedFd, rc::Rc, time::SystemTime};

use rustix::{
    fs::{AtFlags, FileType, Stat, fstat, statat},
    io::{Errno, pread},
};
use xxhash_rust::xxh3::xxh3_128;

use super::{
    disk::{DiskFile, DiskState},
    stamp::{COARSE_CLOCK, FileStamp, FileVersion, consistent_mtime, is_older, is_past, version_by_status},
    unmeasured::UnmeasuredFile,
};
use crate::clock::Clock;

/// The size in bytes of the largest file that is read into memory. A larger file is sent with
/// sendfile(2). (A socket accepts about 124 KiB in one write. Beyond that, sending from memory
/// costs twice as much.)
pub const SMALL: u64 = 120 * 1024;

/// A description that a service derives from a file when the file is read, such as its header
/// fields. The description is stored with the file.
pub trait Describe: Sized {
    /// What a description depends on besides the file.
    type Rules;

    /// Returns the description of a file with this origin, `metadata` and `content`, by the rules.
    fn describe(by: &Self::Rules, of: FileOrigin<'_, Self>, metadata: &Metadata, content: &Content) -> Self;

    /// Returns the number of bytes of memory that the description uses.
    fn size(&self) -> usize;
}

/// Where the content of a file comes from. Descriptions are of type `D`.
#[derive(Debug, Clone, Copy)]
pub enum FileOrigin<'a, D> {
    /// The file at this path.
    Path(&'a [u8]),
    /// A compressed variant of the file with the description `original`. The variant's name adds
    /// `extension`, such as `.gz`, to the name of that file.
    Variant { original: &'a D, extension: &'static str },
}

/// A file in the site, with its description of type `D`.
#[derive(Debug)]
pub struct StaticFile<D> {
    /// The description, created when the file was read.
    pub description: D,
    /// The content, in memory or on disk.
    pub content: Content,
    /// The metadata.
    pub metadata: Metadata,
    pub(super) stamp: FileStamp,
    /// Whether a later change may leave the stamp unchanged.
    pub(super) is_racy: bool,
}

/// The content of a file.
#[derive(Debug)]
pub enum Content {
    /// The bytes of a small file.
    Memory(Rc<[u8]>),
    /// A large file, which is kept open.
    Disk(DiskFile),
    /// A large file whose status says that it is small.
    Unmeasured(UnmeasuredFile),
}

/// The length, modification time and version of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// The length in bytes. Not meaningful for [`Content::Unmeasured`].
    pub len: u64,
    /// The modification time in whole seconds, if it is [consistent](consistent_mtime).
    pub modified: Option<SystemTime>,
    /// Whether the modification time is settled, that is, so old that a later version must have a
    /// different time.
    pub is_mtime_settled: bool,
    /// Whether the modification time is settled and was not set by a program.
    pub is_mtime_genuine: bool,
    /// The version of the file's content.
    pub version: FileVersion,
}

/// The result of reading a file, before it is described.
pub struct Reading {
    content: Content,
    metadata: Metadata,
    stamp: FileStamp,
    is_racy: bool,
}

impl Reading {
    /// Reads the regular file `fd`. Returns `None` if it is not a regular file.
    ///
    /// # Errors
    /// Fails if the file cannot be read. A transient failure ([`retry`](super::error::retry)) may be
    /// one of this open file alone, so that the path must be opened again.
    pub fn read(fd: OwnedFd, disk: &Rc<DiskState>, clock: &Clock) -> Result<Option<Reading>, Errno> {
        let file = File::from(fd);
        let mut before = fstat(&file)?;
        if FileType::from_raw_mode(before.st_mode) != FileType::RegularFile {
            return Ok(None);
        }
        let mut tries = 3;
        loop {
            let bytes = read(&file, &before)?;
            // A file that is written to during the read has a different stamp afterwards. Try
            // again, and after the last try return a racy result, which is not cached.
            let after = fstat(&file)?;
            let is_unchanged = FileStamp::of(&before) == FileStamp::of(&after);
            if is_unchanged || tries == 0 {
                let is_settled = is_unchanged && disk.is_settled(&FileStamp::of(&after), clock);
                let content = match bytes {
                    Some(bytes) => Content::Memory(bytes),
                    None if after.st_size as u64 > SMALL => {
                        Content::Disk(DiskFile::new(Rc::new(file), after.st_dev, Rc::clone(disk)))
                    }
                    None => Content::Unmeasured(UnmeasuredFile::new(file)),
                };
                return Ok(Some(Reading::new(content, &after, is_settled, clock.wall())));
            }
            before = after;
            tries -= 1;
        }
    }

    fn new(content: Content, stat: &Stat, is_settled: bool, now: SystemTime) -> Reading {
        let stamp = FileStamp::of(stat);
        let is_racy = !is_settled;
        let is_mtime_settled = is_past(stamp.modified, COARSE_CLOCK, now);
        let (len, version) = match &content {
            Content::Memory(bytes) => (bytes.len() as u64, FileVersion::Hash(xxh3_128(bytes))),
            Content::Disk(_) | Content::Unmeasured(_) => {
                (stat.st_size as u64, version_by_status(&stamp, is_racy, now))
            }
        };
        let metadata = Metadata {
            len,
            modified: consistent_mtime(stat.st_mtime, now),
            is_mtime_settled,
            // A write sets the modification and change times to the same value. If they differ, a
            // program has set the modification time.
            is_mtime_genuine: !is_racy && is_mtime_settled && stamp.modified == stamp.changed,
            version,
        };
        Reading { content, metadata, stamp, is_racy }
    }

    /// Describes the file by the rules.
    pub fn into_file<D: Describe>(self, rules: &D::Rules, origin: FileOrigin<'_, D>) -> StaticFile<D> {
        let Reading { content, metadata, stamp, is_racy } = self;
        let description = D::describe(rules, origin, &metadata, &content);
        StaticFile { description, content, metadata, stamp, is_racy }
    }
}

impl<D> StaticFile<D> {
    /// Returns whether the file may be cached: its content is in memory, and any later change will
    /// change its stamp.
    pub fn is_cacheable(&self) -> bool {
        !self.is_racy && matches!(self.content, Content::Memory(_))
    }

    /// Returns whether this compressed variant is at least as new as `original`.
    pub fn is_variant_of(&self, original: &StaticFile<D>) -> bool {
        !is_older(self.stamp.modified, original.stamp.modified)
    }

    /// Returns whether `other` was read from the same file, perhaps under another name.
    pub fn is_same_file(&self, other: &StaticFile<D>) -> bool {
        (self.stamp.device, self.stamp.inode) == (other.stamp.device, other.stamp.inode)
    }

    /// Calls `stat` on `path` beneath `root`. Returns whether the file still has the same stamp.
    pub fn matches_stat(&self, path: &[u8], root: &OwnedFd) -> bool {
        statat(root, path, AtFlags::empty()).is_ok_and(|stat| self.has_status(&stat))
    }

    /// Returns whether `stat` has the stamp that the file had when it was read.
    pub fn has_status(&self, stat: &Stat) -> bool {
        FileStamp::of(stat) == self.stamp
    }

    /// Returns whether `later`, a second reading of the path of this cached file, has the same
    /// stamp and content, and can be cached in its place.
    pub fn matches(&self, later: &Reading) -> bool {
        // The version of a file in memory is the hash of its content, so `later` is in memory too.
        let is_same = self.stamp == later.stamp && self.metadata == later.metadata;
        is_same && self.is_cacheable() && !later.is_racy
    }
}

/// Reads a file of about the length that `stat` states. Returns `None` if it is not small.
fn read(file: &File, stat: &Stat) -> Result<Option<Rc<[u8]>>, Errno> {
    let len = stat.st_size as u64;
    if len > SMALL {
        return Ok(None);
    }
    // One byte more than expected, so that a file of the expected length needs no larger buffer to
    // find its end.
    let mut bytes = vec![0; len as usize + 1];
    let mut at = 0;
    while at as u64 <= SMALL {
        match pread(file, &mut bytes[at..], at as u64) {
            Ok(0) => {
                bytes.truncate(at);
                return Ok(Some(bytes.into()));
            }
            Ok(got) => at += got,
            // For a path, EINVAL means that no file can have this name. This file exists.
            Err(Errno::INVAL) => return Err(Errno::IO),
            Err(errno) => return Err(errno),
        }
        if at == bytes.len() {
            // The file is longer than its status says. The file is growing, or it is a kernel file
            // with length 0, such as a file in /proc.
            bytes.resize((at * 2).clamp(4096, SMALL as usize + 1), 0);
        }
    }
    Ok(None)
}

#[cfg(test)]
impl Reading {
    /// Returns a reading with `content`, and with the current status of `file`.
    pub fn that_held(content: &[u8], file: &File, now: SystemTime) -> Reading {
        let stat = fstat(file).expect("its status");
        Reading::new(Content::Memory(content.into()), &stat, FileStamp::of(&stat).has_settled(now), now)
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::Duration};

    use super::*;

    fn reading(path: &Path, now: SystemTime) -> Reading {
        let fd = OwnedFd::from(File::open(path).expect("open"));
        Reading::read(fd, &Rc::default(), &Clock::frozen(now)).expect("read").expect("a regular file")
    }

    /// The description in these tests: the path of the original, and the extension.
    #[derive(Debug)]
    struct Name(Vec<u8>, Option<&'static str>);

    impl Describe for Name {
        type Rules = ();
        fn describe(_: &(), origin: FileOrigin<'_, Name>, _: &Metadata, _: &Content) -> Name {
            match origin {
                FileOrigin::Path(path) => Name(path.to_vec(), None),
                FileOrigin::Variant { original, extension } => Name(original.0.clone(), Some(extension)),
            }
        }
        fn size(&self) -> usize {
            self.0.len()
        }
    }

    fn file(reading: Reading) -> StaticFile<Name> {
        reading.into_file(&(), FileOrigin::Path(b"name"))
    }

    #[test]
    fn file_small_is_in_memory_and_large_on_disk() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        for (len, small) in [(0, true), (1, true), (4096, true), (SMALL, true), (SMALL + 1, false)] {
            let bytes: Vec<u8> = (0..len).map(|i| i as u8).collect();
            std::fs::write(&path, &bytes).expect("write");
            let reading = reading(&path, SystemTime::now());
            assert_eq!(reading.metadata.len, len);
            match reading.content {
                Content::Memory(content) => assert!(small && *content == *bytes, "{len}"),
                Content::Disk(_) => assert!(!small, "{len}"),
                Content::Unmeasured(_) => panic!("its status says {len}"),
            }
        }
    }

    #[test]
    fn file_is_described_by_its_name_and_extension() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        std::fs::write(&path, "content").expect("write");
        let original = Name(b"a.js".to_vec(), None);
        let variant = FileOrigin::Variant { original: &original, extension: ".gz" };
        let file: StaticFile<Name> = reading(&path, SystemTime::now()).into_file(&(), variant);
        assert_eq!((&file.description.0[..], file.description.1), (&b"a.js"[..], Some(".gz")));
    }

    #[test]
    fn file_changed_a_moment_ago_is_not_cacheable() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        std::fs::write(&path, "content").expect("write");
        let now = SystemTime::now();
        assert!(!file(reading(&path, now)).is_cacheable());
        assert!(file(reading(&path, now + Duration::from_secs(60))).is_cacheable());
    }

    #[test]
    fn file_matches_a_second_reading_of_the_same_version() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        std::fs::write(&path, "content").expect("write");
        let written = SystemTime::now();
        let after = |seconds| reading(&path, written + Duration::from_secs(seconds));
        let (one, later) = (file(after(1)), file(after(60)));
        assert!(one.matches(&after(1)));
        assert!(!one.matches(&after(60)), "by now its time tells it from other versions");
        assert!(later.matches(&after(61)));
        let open = || File::open(&path).expect("open");
        let stored = file(Reading::that_held(b"CONTENT", &open(), written + Duration::from_secs(60)));
        assert!(!stored.matches(&after(60)), "a store through a shared memory map");
        let on_disk = || {
            let content = Content::Disk(DiskFile::new(Rc::new(open()), 0, Rc::default()));
            Reading { content, ..after(60) }
        };
        assert!(!file(on_disk()).matches(&on_disk()), "its content was not read");
        std::fs::rename(&path, dir.path().join("other")).expect("move it");
        std::fs::write(&path, "content").expect("write");
        assert!(!later.matches(&after(60)), "another file");
    }

    /// The file system's clock may be ahead of ours by any time.
    #[test]
    fn file_from_the_future_settles_by_our_own_clock() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        std::fs::write(&path, vec![0; SMALL as usize + 1]).expect("write");
        let (disk, mut clock) = (Rc::default(), Clock::frozen(SystemTime::now() - Duration::from_secs(3600)));
        let version = |clock: &Clock| {
            let fd = OwnedFd::from(File::open(&path).expect("open"));
            Reading::read(fd, &disk, clock).expect("read").expect("a regular file").metadata.version
        };
        let is_final = |version| matches!(version, FileVersion::Status { read: None, .. });
        for _ in 0..2 {
            assert!(!is_final(version(&clock)));
            clock.advance(COARSE_CLOCK - Duration::from_millis(1));
            assert!(!is_final(version(&clock)), "its clock may tick in two seconds only");
            clock.advance(Duration::from_millis(1));
            let first = version(&clock);
            clock.advance(Duration::from_secs(9));
            assert!(is_final(first) && version(&clock) == first);
            let file = File::options().append(true).open(&path).expect("open");
            std::io::Write::write_all(&mut &file, b"x").expect("write");
        }
    }

    #[test]
    fn version_of_a_small_file_is_its_content_and_of_a_large_one_its_status() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        let now = SystemTime::now();
        let version = |content: &[u8], now| {
            std::fs::write(&path, content).expect("write");
            reading(&path, now).metadata.version
        };
        let (one, two) = (version(b"one", now), version(b"two", now));
        assert_ne!(one, two);
        assert_eq!(version(b"one", now + Duration::from_secs(60)), one);

        std::fs::write(&path, vec![0; SMALL as usize + 1]).expect("write");
        let version = |now| reading(&path, now).metadata.version;
        let later = now + Duration::from_secs(60);
        assert_ne!(version(now), version(now + Duration::from_nanos(1)), "two readings, two versions");
        assert_eq!(version(later), version(later + Duration::from_secs(1)), "one version");
    }
}
