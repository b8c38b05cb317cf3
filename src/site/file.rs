//! One file as it was read: its metadata, its content, and how to tell that it is still the same.

use std::{
    fs::File,
    io::{self, ErrorKind},
    os::{fd::OwnedFd, unix::fs::FileExt},
    rc::Rc,
    time::{Duration, SystemTime},
};

use rustix::fs::{AtFlags, FileType, Stat, fstat, statat};
use xxhash_rust::xxh3::xxh3_128;

use super::readahead::{DiskFile, DiskQueue};

/// Up to this length, in bytes, a file is read into memory; a longer one is sent by sendfile(2). A socket takes only a part
/// at once of what is longer than about 124 KiB, and then a copy costs twice as much.
pub const SMALL: u64 = 120 * 1024;

/// Clocks of file systems tick, and two changes between two ticks show one time. Most clocks tick every few milliseconds.
const FINE_CLOCK: Duration = Duration::from_millis(100);
/// Clocks that show whole seconds tick every two seconds at worst (FAT).
const COARSE_CLOCK: Duration = Duration::from_millis(2100);

/// What a service makes of a file once for each reading, and keeps beside it.
pub trait Describe {
    /// Describes the file called `name` (for a variant the name of its original) that was read with `metadata`.
    /// `extension`: what the name of a variant has behind that of its original.
    fn describe(name: &[u8], extension: Option<&'static str>, metadata: &Metadata) -> Self;

    /// How many bytes of memory it takes.
    fn size(&self) -> usize;
}

/// A file of the site, with its description `D`.
#[derive(Debug)]
pub struct StaticFile<D> {
    pub description: D,
    pub content: Content,
    pub metadata: Metadata,
    stamp: FileStamp,
    /// A later change may leave the stamp as it is.
    is_racy: bool,
}

/// The content of a file.
#[derive(Debug)]
pub enum Content {
    /// A small file, read.
    Memory(Rc<[u8]>),
    /// A large file, open.
    Disk(DiskFile),
}

/// What is known of a file's version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// The length in bytes.
    pub len: u64,
    /// The modification time in whole seconds, if it is [plausible](plausible_mtime).
    pub modified: Option<SystemTime>,
    /// The file was not modified within the last moments, in which its time cannot tell two versions apart.
    pub is_mtime_settled: bool,
    /// And its modification time was never set by hand.
    pub is_mtime_genuine: bool,
    pub version: Version,
}

/// What tells one version of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// The hash of the content (xxh3-128), for a file in memory.
    Hash(u128),
    /// The status of a large file. The change time moves with every change. `read`: when a file was read, in nanoseconds
    /// since the epoch, that was changed a moment ago and may be changed again without a new change time.
    Status { changed: i128, inode: u64, read: Option<u128> },
}

/// The parts of a file's status that change with the file (inode(7)). Nobody can set the change time, so it shows a change
/// even where the modification time was put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp {
    device: u64,
    inode: u64,
    len: i64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileStamp {
    pub fn of(stat: &Stat) -> FileStamp {
        FileStamp {
            device: stat.st_dev,
            inode: stat.st_ino,
            len: stat.st_size,
            modified: (stat.st_mtime, stat.st_mtime_nsec as i64),
            changed: (stat.st_ctime, stat.st_ctime_nsec as i64),
        }
    }
}

/// One reading of a file, before it is described.
pub struct Reading {
    content: Content,
    metadata: Metadata,
    stamp: FileStamp,
    is_racy: bool,
}

impl Reading {
    /// Reads the regular file `fd`. Returns `None` if it is not one.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(fd: OwnedFd, queue: &Rc<DiskQueue>, now: SystemTime) -> io::Result<Option<Reading>> {
        let file = Rc::new(File::from(fd));
        let mut before = fstat(&*file)?;
        if FileType::from_raw_mode(before.st_mode) != FileType::RegularFile {
            return Ok(None);
        }
        let mut tries = 3;
        loop {
            let content = read(&file, before.st_size as u64, queue)?;
            // A file that is written to while it is read has another stamp afterwards.
            let after = fstat(&*file)?;
            let is_whole = FileStamp::of(&before) == FileStamp::of(&after);
            if is_whole || tries == 0 {
                return Ok(Some(Reading::new(content, &after, is_whole, now)));
            }
            before = after;
            tries -= 1;
        }
    }

    fn new(content: Content, stat: &Stat, is_whole: bool, now: SystemTime) -> Reading {
        let stamp = FileStamp::of(stat);
        let is_racy = !is_whole || !has_settled(stamp.changed, now);
        let is_mtime_settled = is_past(stamp.modified, COARSE_CLOCK, now);
        let (len, version) = match &content {
            Content::Memory(bytes) => (bytes.len() as u64, Version::Hash(xxh3_128(bytes))),
            Content::Disk(_) => (stat.st_size as u64, version_by_status(&stamp, is_racy, now)),
        };
        let metadata = Metadata {
            len,
            modified: plausible_mtime(stat.st_mtime, now),
            is_mtime_settled,
            // A write sets both times; where they differ, somebody set the first.
            is_mtime_genuine: !is_racy && is_mtime_settled && stamp.modified == stamp.changed,
            version,
        };
        Reading { content, metadata, stamp, is_racy }
    }

    /// Returns the file, described; `name` and `extension` as for [`Describe::describe`].
    pub fn into_file<D: Describe>(self, name: &[u8], extension: Option<&'static str>) -> StaticFile<D> {
        let Reading { content, metadata, stamp, is_racy } = self;
        let description = D::describe(name, extension, &metadata);
        StaticFile { description, content, metadata, stamp, is_racy }
    }

    /// Returns whether the content is in memory and any later change will show in the stamp.
    fn is_cacheable(&self) -> bool {
        !self.is_racy && matches!(self.content, Content::Memory(_))
    }
}

impl<D> StaticFile<D> {
    /// Returns whether the file may be cached: it is in memory, and any later change will show in its stamp.
    pub fn is_cacheable(&self) -> bool {
        !self.is_racy && matches!(self.content, Content::Memory(_))
    }

    /// Returns whether this file, a compressed variant, is not older than its `original`.
    pub fn is_variant_of(&self, original: &StaticFile<D>) -> bool {
        !is_older(self.stamp.modified, original.stamp.modified)
    }

    /// Returns whether the file at `path` below the directory `root` still has the stamp of the file that was read.
    pub fn matches_stat(&self, path: &[u8], root: &OwnedFd, flags: AtFlags) -> bool {
        statat(root, path, flags).is_ok_and(|stat| FileStamp::of(&stat) == self.stamp)
    }

    /// Returns whether `later`, a second reading of the same path, is the same file with the same content and version.
    pub fn matches(&self, later: &Reading) -> bool {
        // The version of a file in memory is the hash of its content.
        self.stamp == later.stamp && self.metadata == later.metadata && later.is_cacheable()
    }

    /// The device that the file is on.
    pub fn device(&self) -> u64 {
        self.stamp.device
    }
}

/// Returns the modification time of `seconds` since the epoch, if it can be believed. Several packers write 0 and 1 for an
/// unknown time, and an earlier one cannot be shown. A time after `now` counts as `now`. Whole seconds.
pub fn plausible_mtime(seconds: i64, now: SystemTime) -> Option<SystemTime> {
    let seconds = u64::try_from(seconds).ok().filter(|s| *s > 1)?;
    let now = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs());
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.min(now)))
}

/// Returns whether the variant is older than its original. Compressors often copy the time truncated to seconds, so a time
/// without a fraction is compared at that precision.
fn is_older(variant: (i64, i64), original: (i64, i64)) -> bool {
    match variant {
        (seconds, 0) => seconds < original.0,
        exact => exact < original,
    }
}

/// Returns whether a file that was changed at `time` cannot be changed again under the same time.
fn has_settled(time: (i64, i64), now: SystemTime) -> bool {
    // A time without a fraction comes from a coarse clock.
    is_past(time, if time.1 == 0 { COARSE_CLOCK } else { FINE_CLOCK }, now)
}

/// Returns whether `time`, in seconds and nanoseconds since the epoch, was more than `ago` before `now`.
fn is_past(time: (i64, i64), ago: Duration, now: SystemTime) -> bool {
    let time = Duration::new(time.0.max(0) as u64, time.1.clamp(0, 999_999_999) as u32);
    SystemTime::UNIX_EPOCH.checked_add(time + ago).is_some_and(|past| past < now)
}

fn version_by_status(stamp: &FileStamp, is_racy: bool, now: SystemTime) -> Version {
    let (seconds, nanoseconds) = stamp.changed;
    let changed = i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
    let read = || now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
    Version::Status { changed, inode: stamp.inode, read: is_racy.then(read) }
}

/// Reads a file that is about `len` bytes long, if it is small.
fn read(file: &Rc<File>, len: u64, queue: &Rc<DiskQueue>) -> io::Result<Content> {
    let on_disk = || Ok(Content::Disk(DiskFile::new(Rc::clone(file), Rc::clone(queue))));
    if len > SMALL {
        return on_disk();
    }
    // One byte more than expected, so that a short read shows the end.
    let mut bytes = vec![0; len as usize + 1];
    let mut at = 0;
    while at as u64 <= SMALL {
        match file.read_at(&mut bytes[at..], at as u64) {
            Ok(0) => {
                bytes.truncate(at);
                return Ok(Content::Memory(bytes.into()));
            }
            Ok(got) => at += got,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
        if at == bytes.len() {
            // Longer than its status says: it grows, or it is one of the kernel's, whose length is 0.
            bytes.resize((at * 2).clamp(4096, SMALL as usize + 1), 0);
        }
    }
    on_disk()
}

#[cfg(test)]
impl Reading {
    /// A reading of a small file that held `content` then, although its status is as it is now.
    pub fn that_held(content: &[u8], file: &File, now: SystemTime) -> Reading {
        let stat = fstat(file).expect("its status");
        Reading::new(Content::Memory(content.into()), &stat, true, now)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn reading(path: &Path, now: SystemTime) -> Reading {
        let fd = OwnedFd::from(File::open(path).expect("open"));
        Reading::read(fd, &Rc::default(), now).expect("read").expect("a regular file")
    }

    /// What the description of these tests is: the name and the extension.
    #[derive(Debug)]
    struct Name(Vec<u8>, Option<&'static str>);

    impl Describe for Name {
        fn describe(name: &[u8], extension: Option<&'static str>, _: &Metadata) -> Name {
            Name(name.to_vec(), extension)
        }

        fn size(&self) -> usize {
            self.0.len()
        }
    }

    fn file(reading: Reading) -> StaticFile<Name> {
        reading.into_file(b"name", None)
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
            }
        }
    }

    #[test]
    fn file_of_the_kernel_reports_no_length_and_is_read_whole() {
        let reading = reading(Path::new("/proc/self/status"), SystemTime::now());
        assert!(matches!(&reading.content, Content::Memory(content) if content.starts_with(b"Name:")));
    }

    #[test]
    fn file_is_described_by_its_name_and_extension() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        std::fs::write(&path, "content").expect("write");
        let file: StaticFile<Name> = reading(&path, SystemTime::now()).into_file(b"a.js", Some(".gz"));
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
            let content = Content::Disk(DiskFile::new(Rc::new(open()), Rc::default()));
            Reading { content, ..after(60) }
        };
        assert!(!file(on_disk()).matches(&on_disk()), "its content was not read");
        std::fs::rename(&path, dir.path().join("other")).expect("move it");
        std::fs::write(&path, "content").expect("write");
        assert!(!later.matches(&after(60)), "another file");
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

    #[test]
    fn mtime_that_cannot_be_believed_is_not_shown() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let now = at(1_000_000) + Duration::from_millis(999);
        let table = [
            (i64::MIN, None),
            (-1, None),
            (0, None),
            (1, None),
            (2, Some(at(2))),
            (999_999, Some(at(999_999))),
            (1_000_001, Some(at(1_000_000))),
            (253_402_300_800, Some(at(1_000_000))), // the year 10000
            (i64::MAX, Some(at(1_000_000))),
        ];
        for (seconds, expected) in table {
            assert_eq!(plausible_mtime(seconds, now), expected, "{seconds}");
        }
    }

    #[test]
    fn which_variant_is_older() {
        let table = [
            ((10, 500), (10, 500), false),
            ((10, 501), (10, 500), false),
            ((10, 499), (10, 500), true),
            ((10, 0), (10, 500), false),
            ((9, 0), (10, 0), true),
            ((9, 999), (10, 0), true),
            ((11, 0), (10, 500), false),
        ];
        for (variant, original, expected) in table {
            assert_eq!(is_older(variant, original), expected, "{variant:?} {original:?}");
        }
    }

    #[test]
    fn when_a_time_has_settled() {
        let at = |seconds, nanoseconds| SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds);
        let table = [
            ((1000, 500), at(1000, 500), false),
            ((1000, 500), at(1000, 100_000_500), false),
            ((1000, 500), at(1000, 100_000_501), true),
            ((1000, 0), at(1001, 0), false),
            ((1000, 0), at(1002, 100_000_001), true),
            ((2000, 500), at(1000, 0), false),
            ((-5, 500), at(1000, 0), true),
            ((i64::MAX, 0), at(1000, 0), false),
        ];
        for (time, now, expected) in table {
            assert_eq!(has_settled(time, now), expected, "{time:?} {now:?}");
        }
    }
}
