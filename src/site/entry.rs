//! One file as it was found: what it is, what it holds, and how to tell that it is still the same.

use std::{
    fs::File,
    io::{self, ErrorKind},
    os::{fd::OwnedFd, unix::fs::FileExt},
    rc::Rc,
    time::{Duration, SystemTime},
};

use rustix::fs::{AtFlags, FileType, Stat, fstat, statat};
use xxhash_rust::xxh3::xxh3_128;

use crate::http::{Coding, Facts, Validators, last_modified, media_type};

/// Up to this length a file is read into memory; a longer one is sent by `sendfile`. Of what is longer than about 124 KiB a
/// socket takes only a part at once, and then a copy costs twice as much.
pub const SMALL: u64 = 120 * 1024;

/// Clocks of file systems tick, and what is changed twice between two ticks shows one time. Most tick every few
/// milliseconds, those that show whole seconds every two seconds at worst (FAT).
const FINE: Duration = Duration::from_millis(100);
const COARSE: Duration = Duration::from_millis(2100);

/// A file found in the site.
#[derive(Debug)]
pub struct Entry {
    pub facts: Facts,
    pub content: Content,
    identity: Identity,
    /// A change from now on would show.
    is_settled: bool,
}

/// Where the content of a file is.
#[derive(Debug)]
pub enum Content {
    Memory(Rc<[u8]>),
    Disk(Rc<File>),
}

/// What of a file's status changes when the file does: inode(7). The change time cannot be set by anybody, so it tells
/// of a change even where the modification time was put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
    len: i64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    pub fn of(stat: &Stat) -> Identity {
        Identity {
            device: stat.st_dev,
            inode: stat.st_ino,
            len: stat.st_size,
            modified: (stat.st_mtime, stat.st_mtime_nsec as i64),
            changed: (stat.st_ctime, stat.st_ctime_nsec as i64),
        }
    }
}

/// Whether a variant of the time `variant` is older than its original. Tools that give it the time of that may cut it to
/// seconds, so one without a fraction is compared by seconds.
fn is_older(variant: (i64, i64), original: (i64, i64)) -> bool {
    match variant {
        (seconds, 0) => seconds < original.0,
        exact => exact < original,
    }
}

/// Whether a file that was changed at `time` cannot be changed again under the same time.
fn has_settled(time: (i64, i64), now: SystemTime) -> bool {
    // A time without a fraction comes from a clock that shows none.
    is_past(time, if time.1 == 0 { COARSE } else { FINE }, now)
}

/// Whether `time`, in seconds and nanoseconds since the epoch, was more than `ago` before `now`.
fn is_past(time: (i64, i64), ago: Duration, now: SystemTime) -> bool {
    let time = Duration::new(time.0.max(0) as u64, time.1.clamp(0, 999_999_999) as u32);
    SystemTime::UNIX_EPOCH.checked_add(time + ago).is_some_and(|past| past < now)
}

impl Entry {
    /// Reads the regular file `fd`, which is the one called `name`, or a variant of it in `coding`. `None`: it is no
    /// regular file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(
        fd: OwnedFd,
        name: &[u8],
        coding: Option<Coding>,
        now: SystemTime,
    ) -> io::Result<Option<Entry>> {
        let file = Rc::new(File::from(fd));
        let mut before = fstat(&*file)?;
        if FileType::from_raw_mode(before.st_mode) != FileType::RegularFile {
            return Ok(None);
        }
        let mut tries = 3;
        loop {
            let content = read(&file, before.st_size as u64)?;
            // A file that is written to while it is read has one identity before and another after.
            let after = fstat(&*file)?;
            let is_whole = Identity::of(&before) == Identity::of(&after);
            if is_whole || tries == 0 {
                return Ok(Some(Entry::new(content, name, coding, &after, is_whole, now)));
            }
            before = after;
            tries -= 1;
        }
    }

    fn new(
        content: Content,
        name: &[u8],
        coding: Option<Coding>,
        stat: &Stat,
        is_whole: bool,
        now: SystemTime,
    ) -> Entry {
        let len = match &content {
            Content::Memory(bytes) => bytes.len() as u64,
            Content::Disk(_) => stat.st_size as u64,
        };
        let identity = Identity::of(stat);
        let is_settled = is_whole && has_settled(identity.changed, now);
        let coding_name = coding.map_or("", Coding::name);
        let validators = Validators {
            tag: match &content {
                Content::Memory(bytes) => format!("\"{len:x}-{:x}{coding_name}\"", xxh3_128(bytes)),
                Content::Disk(_) => tag_by_status(&identity, is_settled, now),
            },
            modified: last_modified(stat.st_mtime, now),
            is_dated: is_past(identity.modified, COARSE, now),
            // The system sets both times at a write; where they differ, the first was set by somebody.
            is_date_strong: is_settled
                && identity.modified == identity.changed
                && is_past(identity.modified, COARSE, now),
        };
        let facts = Facts::new(len, media_type(name), coding, validators);
        Entry { facts, content, identity, is_settled }
    }

    /// Whether it may be kept: it is in memory, and a change would show.
    pub fn is_keepable(&self) -> bool {
        self.is_settled && matches!(self.content, Content::Memory(_))
    }

    /// Whether this file, a variant of `original`, was made of what that holds now.
    pub fn is_variant_of(&self, original: &Entry) -> bool {
        !is_older(self.identity.modified, original.identity.modified)
    }

    /// Whether what is at `path`, from `root`, has the status of the file that was read.
    pub fn is_still_at(&self, path: &[u8], root: &OwnedFd, flags: AtFlags) -> bool {
        statat(root, path, flags).is_ok_and(|stat| Identity::of(&stat) == self.identity)
    }

    /// Whether a later reading of the same path gave the same file, with the same content, of which the same is said.
    pub fn is_confirmed_by(&self, later: &Entry) -> bool {
        // The tag of a file in memory is made of its content.
        self.identity == later.identity
            && self.facts.validators == later.facts.validators
            && later.is_keepable()
    }

    /// The device that it is on.
    pub fn device(&self) -> u64 {
        self.identity.device
    }
}

/// A tag that no two versions of a large file share: the change time moves with every change. A file that was changed a
/// moment ago may be changed again and look the same, so its tag holds for this one reading only. (The tag of a small
/// file is made of its content, which is at hand.)
fn tag_by_status(identity: &Identity, is_settled: bool, now: SystemTime) -> String {
    let Identity { len, inode, changed: (seconds, nanoseconds), .. } = identity;
    let changed = i128::from(*seconds) * 1_000_000_000 + i128::from(*nanoseconds);
    if is_settled {
        return format!("\"{len:x}-{changed:x}-{inode:x}\"");
    }
    let moment = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("\"{len:x}-{changed:x}-{inode:x}-{:x}\"", moment.as_nanos())
}

/// The content of a file that is about `len` bytes long: in memory if it is small.
fn read(file: &Rc<File>, len: u64) -> io::Result<Content> {
    if len > SMALL {
        return Ok(Content::Disk(Rc::clone(file)));
    }
    // One byte more than is expected, so that a short read shows the end.
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
            // Longer than its status said: it grows, or it is one of the kernel's, which say 0.
            bytes.resize((at * 2).clamp(4096, SMALL as usize + 1), 0);
        }
    }
    Ok(Content::Disk(Rc::clone(file)))
}

#[cfg(test)]
impl Entry {
    /// The reading of a small file that held `content` then, although its status is as it is now.
    pub fn that_held(content: &[u8], file: &File, now: SystemTime) -> Entry {
        let stat = fstat(file).expect("its status");
        Entry::new(Content::Memory(content.into()), b"name", None, &stat, true, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_file(path: &std::path::Path, now: SystemTime) -> Entry {
        let fd = OwnedFd::from(File::open(path).expect("open"));
        Entry::read(fd, b"name", None, now).expect("read").expect("a regular file")
    }

    #[test]
    fn small_files_are_in_memory_and_large_ones_on_disk() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        for (len, small) in [(0, true), (1, true), (4096, true), (SMALL, true), (SMALL + 1, false)] {
            let bytes: Vec<u8> = (0..len).map(|i| i as u8).collect();
            std::fs::write(&path, &bytes).expect("write");
            let entry = read_file(&path, SystemTime::now());
            assert_eq!(entry.facts.len, len);
            match entry.content {
                Content::Memory(content) => assert!(small && *content == *bytes, "{len}"),
                Content::Disk(_) => assert!(!small, "{len}"),
            }
        }
    }

    #[test]
    fn a_file_of_the_kernel_says_nothing_of_its_length_and_is_read_whole() {
        let entry = read_file(std::path::Path::new("/proc/self/status"), SystemTime::now());
        assert!(matches!(&entry.content, Content::Memory(content) if content.starts_with(b"Name:")));
    }

    #[test]
    fn a_file_changed_a_moment_ago_is_not_kept() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        std::fs::write(&path, "content").expect("write");
        let now = SystemTime::now();
        assert!(!read_file(&path, now).is_keepable());
        assert!(read_file(&path, now + Duration::from_secs(60)).is_keepable());
    }

    #[test]
    fn what_confirms_a_reading() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        std::fs::write(&path, "content").expect("write");
        let written = SystemTime::now();
        let after = |seconds| read_file(&path, written + Duration::from_secs(seconds));
        let (one, two, later) = (after(1), after(1), after(60));
        assert!(one.is_confirmed_by(&two));
        assert!(!one.is_confirmed_by(&later), "by now its date names it alone");
        assert!(later.is_confirmed_by(&after(61)));
        let stored = Entry::that_held(
            b"CONTENT",
            &File::open(&path).expect("open"),
            written + Duration::from_secs(60),
        );
        assert!(!stored.is_confirmed_by(&later), "a store through a shared memory map");
        let large =
            || Entry { content: Content::Disk(Rc::new(File::open(&path).expect("open"))), ..after(60) };
        assert!(!large().is_confirmed_by(&large()), "its content was not looked at");
        std::fs::rename(&path, dir.path().join("other")).expect("move it");
        std::fs::write(&path, "content").expect("write");
        assert!(!later.is_confirmed_by(&after(60)), "another file");
    }

    #[test]
    fn a_small_files_tag_is_its_contents_and_a_large_ones_that_of_its_status() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        let now = SystemTime::now();
        let tag = |content: &[u8], now| {
            std::fs::write(&path, content).expect("write");
            read_file(&path, now).facts.validators.tag
        };
        let (one, two) = (tag(b"one", now), tag(b"two", now));
        assert_ne!(one, two);
        assert_eq!(tag(b"one", now + Duration::from_secs(60)), one);
        let as_gzip = OwnedFd::from(File::open(&path).expect("open"));
        let as_gzip = Entry::read(as_gzip, b"name", Some(Coding::Gzip), now).expect("read").expect("a file");
        assert_ne!(as_gzip.facts.validators.tag, one, "another coding is another representation");

        std::fs::write(&path, vec![0; SMALL as usize + 1]).expect("write");
        let tag = |now| read_file(&path, now).facts.validators.tag;
        let later = now + Duration::from_secs(60);
        assert_ne!(tag(now), tag(now + Duration::from_nanos(1)), "two readings, two tags");
        assert_eq!(tag(later), tag(later + Duration::from_secs(1)), "one version, one tag");
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
