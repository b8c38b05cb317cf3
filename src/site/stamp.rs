//! File times: when a time proves that a file is unchanged, and when it does not.

use std::time::{Duration, SystemTime};

use rustix::fs::{Dev, Stat};

/// The period in which two changes may get the same timestamp on most file systems, whose clocks
/// tick every few milliseconds.
const FINE_CLOCK: Duration = Duration::from_millis(100);
/// The period in which two changes may get the same timestamp if timestamps are whole seconds. FAT
/// is the worst case, with two seconds.
pub const COARSE_CLOCK: Duration = Duration::from_millis(2100);

/// The fields of a file's status that change with the file (inode(7)). No program can set the
/// change time, so it reveals a change even if the modification time was set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp {
    /// The device.
    pub device: Dev,
    /// The inode number.
    pub inode: u64,
    /// The length in bytes.
    pub len: i64,
    /// The modification time, in seconds and nanoseconds.
    pub modified: (i64, i64),
    /// The status change time, in seconds and nanoseconds.
    pub changed: (i64, i64),
}

impl FileStamp {
    /// Returns the stamp of a file with this status.
    pub fn of(stat: &Stat) -> FileStamp {
        FileStamp {
            device: stat.st_dev,
            inode: stat.st_ino,
            len: stat.st_size,
            modified: (stat.st_mtime, stat.st_mtime_nsec as i64),
            changed: (stat.st_ctime, stat.st_ctime_nsec as i64),
        }
    }

    /// Returns whether both times are old enough that another change to the file would get a later
    /// one. Some FUSE file systems keep no change time.
    pub fn has_settled(&self, now: SystemTime) -> bool {
        has_settled(self.changed, now) && (self.modified <= self.changed || has_settled(self.modified, now))
    }
}

/// Returns the modification time `seconds` after the epoch if it is plausible, in whole seconds. A
/// time after `now` counts as `now`. Several packaging tools write 0 or 1 for an unknown time, so
/// the result for 0, 1 and earlier times is `None`.
pub fn plausible_mtime(seconds: i64, now: SystemTime) -> Option<SystemTime> {
    let seconds = u64::try_from(seconds).ok().filter(|s| *s > 1)?;
    let now = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs());
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.min(now)))
}

/// Returns the [plausible](plausible_mtime) modification time, or `None` if it is in the future
/// because two clocks differ: `now` in its place would be another time in each response.
pub fn consistent_mtime(seconds: i64, now: SystemTime) -> Option<SystemTime> {
    let slack = COARSE_CLOCK.as_secs() as i64;
    let is_future = !is_past((seconds.saturating_sub(slack), 0), Duration::ZERO, now);
    plausible_mtime(seconds, now).filter(|_| !is_future)
}

/// Returns whether the modification time `variant` is older than `original`. Compressors often copy
/// a time truncated to seconds, so a time without a fraction is compared with this precision.
pub fn is_older(variant: (i64, i64), original: (i64, i64)) -> bool {
    match variant {
        (seconds, 0) => seconds < original.0,
        exact => exact < original,
    }
}

/// Returns whether `time` is old enough that another change to the file would get a later time.
fn has_settled(time: (i64, i64), now: SystemTime) -> bool {
    // A time without a fraction probably comes from a coarse clock.
    is_past(time, if time.1 == 0 { COARSE_CLOCK } else { FINE_CLOCK }, now)
}

/// Returns whether `time`, in seconds and nanoseconds since the epoch, was more than `ago` before
/// `now`.
pub fn is_past(time: (i64, i64), ago: Duration, now: SystemTime) -> bool {
    let time = Duration::new(time.0.max(0) as u64, time.1.clamp(0, 999_999_999) as u32);
    SystemTime::UNIX_EPOCH.checked_add(time + ago).is_some_and(|past| past < now)
}

/// The version of a file. Files with different content have different versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileVersion {
    /// The hash of the content (xxh3-128), for a file in memory.
    Hash(u128),
    /// The status of a large file. Every change sets the change time, or at least the modification
    /// time where a file system keeps no change time. `read` is when the file was read, if it was
    /// changed so recently that another change could leave the same times. All are in nanoseconds.
    Status { changed: i128, modified: i128, inode: u64, read: Option<u128> },
}

/// Returns the version of a large file, whose content is not hashed.
pub fn version_by_status(stamp: &FileStamp, is_racy: bool, now: SystemTime) -> FileVersion {
    let nanoseconds = |(s, ns): (i64, i64)| i128::from(s) * 1_000_000_000 + i128::from(ns);
    let (changed, modified) = (nanoseconds(stamp.changed), nanoseconds(stamp.modified));
    let read = || now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
    FileVersion::Status { changed, modified, inode: stamp.inode, read: is_racy.then(read) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validators_omit_an_implausible_mtime() {
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
    fn mtime_of_another_clock_is_not_stated() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        for (seconds, expected) in
            [(1, None), (999, Some(at(999))), (1001, Some(at(1000))), (1003, None), (i64::MAX, None)]
        {
            assert_eq!(consistent_mtime(seconds, at(1000)), expected, "{seconds}");
        }
    }

    #[test]
    fn variant_older_than_its_original_is_recognized() {
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
    fn stamp_settles_after_its_granularity() {
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

    /// Some FUSE file systems keep no change time.
    #[test]
    fn version_of_a_large_file_depends_on_each_of_its_times() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(9);
        let stamp = |modified, changed| FileStamp { device: 1, inode: 2, len: 3, modified, changed };
        let version = |modified, changed| version_by_status(&stamp(modified, changed), false, now);
        let first = version((1, 0), (0, 0));
        assert!(first != version((1, 1), (0, 0)) && first != version((1, 0), (0, 1)));
        assert!(stamp((1, 0), (0, 0)).has_settled(now) && !stamp((8, 0), (0, 0)).has_settled(now));
    }
}
