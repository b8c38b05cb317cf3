//! One variant on disk: whether it is up to date, and how it is written.

use std::{fs::File, io, os::fd::OwnedFd};

use rustix::{
    fs::{
        AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_OMIT, Uid, fchmod, fchown,
        fstat, futimens, openat, renameat, statat, unlinkat,
    },
    io::Errno,
};

use super::{
    Coding, CompressionProgress,
    encode::{CappedWriter, MonitoredReader, encode},
};

/// The reciprocal of the least part of a file that a variant must save: 5 %. Less is not worth a
/// file.
const LEAST_GAIN: u64 = 20;

/// What to do for a variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VariantChange {
    /// Write it, because it is missing or out of date.
    Write,
    /// Remove it, because it is out of date and its file is too small to have variants.
    Remove,
}

/// Returns what to do for the variant of the file `name` in `dir`, or `None` for nothing. A variant
/// is up to date if it has the modification time of its original. `original` is the status of the
/// file, and `is_large` tells whether the file is large enough to have variants.
pub fn needed_change(
    dir: &OwnedFd,
    name: &[u8],
    coding: Coding,
    original: &Stat,
    is_large: bool,
) -> Option<VariantChange> {
    let variant = statat(dir, variant_name(name, coding), AtFlags::SYMLINK_NOFOLLOW);
    match variant {
        Ok(variant) if !is_file(&variant) => None, // a link or directory is not ours
        Ok(variant) if mtime(&variant) == mtime(original) => None,
        Ok(_) => Some(if is_large { VariantChange::Write } else { VariantChange::Remove }),
        // Without a name that fits, there is no variant (errno(3)).
        Err(Errno::NAMETOOLONG) => None,
        Err(_) => is_large.then_some(VariantChange::Write),
    }
}

/// Writes a variant of `original`, the file `name` in `dir`, and gives it the mode, the owner and
/// the modification time of `original`. Returns its length, or `None` if it would not be smaller.
///
/// # Errors
/// Fails if `original` cannot be read or changes meanwhile, if the variant cannot be written, or if
/// `progress` says to stop.
pub fn write_variant(
    dir: &OwnedFd,
    name: &[u8],
    original: &File,
    coding: Coding,
    progress: &mut dyn CompressionProgress,
) -> io::Result<Option<u64>> {
    let before = fstat(original)?;
    if !is_file(&before) {
        return Err(io::Error::other("it is not a regular file any more"));
    }
    let len = u64::try_from(before.st_size).unwrap_or(0);
    let temporary = Temporary::create(dir)?;
    let mut source = MonitoredReader::new(original, progress);
    let mut out = CappedWriter::new(&temporary.file, len - len / LEAST_GAIN);
    let result = encode(coding, &mut source, len, &mut out);
    let (written, is_exceeded, read) = (out.written, out.is_exceeded, source.offset());
    let after = fstat(original)?;
    if progress.is_stopped() {
        return Err(io::Error::other("stopped"));
    }
    if (mtime(&before), before.st_size) != (mtime(&after), after.st_size) {
        return Err(io::Error::other("it changed while it was compressed; compress it again"));
    }
    if is_exceeded {
        progress.on_bytes(len.saturating_sub(read)); // the rest is not read
        return Ok(None);
    }
    result?;
    temporary.finish(&before, &variant_name(name, coding))?;
    Ok(Some(written))
}

/// Removes the variant of the file `name`. Returns whether there was one.
///
/// # Errors
/// Fails if there is one that cannot be removed.
pub fn remove(dir: &OwnedFd, name: &[u8], coding: Coding) -> io::Result<bool> {
    match unlinkat(dir, variant_name(name, coding), AtFlags::empty()) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// A hidden file that holds a variant until it is complete. Dropping it removes it.
struct Temporary<'a> {
    dir: &'a OwnedFd,
    name: String,
    file: File,
    is_finished: bool,
}

impl<'a> Temporary<'a> {
    /// Creates the file in `dir`.
    fn create(dir: &'a OwnedFd) -> io::Result<Temporary<'a>> {
        let name = format!(".oneloop-compress-{}", std::process::id());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let open = || openat(dir, &name, flags, Mode::RUSR | Mode::WUSR);
        let file = match open() {
            // A process that had this number was killed.
            Err(Errno::EXIST) => unlinkat(dir, &name, AtFlags::empty()).and_then(|()| open()),
            result => result,
        };
        Ok(Temporary { dir, file: file?.into(), name, is_finished: false })
    }

    /// Gives the file its name, and the mode, the owner and the time of `original`.
    fn finish(mut self, original: &Stat, name: &[u8]) -> io::Result<()> {
        // Only root can give a file away. Anyone else owns the variants that they write.
        let (owner, group) = (Uid::from_raw(original.st_uid), Gid::from_raw(original.st_gid));
        let _ = fchown(&self.file, Some(owner), Some(group));
        fchmod(&self.file, Mode::from_raw_mode(original.st_mode & 0o777))?;
        let (tv_sec, tv_nsec) = mtime(original);
        let last_access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        futimens(&self.file, &Timestamps { last_access, last_modification: Timespec { tv_sec, tv_nsec } })?;
        renameat(self.dir, &self.name, self.dir, name)?;
        self.is_finished = true;
        Ok(())
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.is_finished {
            let _ = unlinkat(self.dir, &self.name, AtFlags::empty());
        }
    }
}

fn variant_name(name: &[u8], coding: Coding) -> Vec<u8> {
    [name, coding.extension().as_bytes()].concat()
}

fn is_file(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

/// Returns the modification time in seconds and nanoseconds.
fn mtime(stat: &Stat) -> (i64, i64) {
    (stat.st_mtime, stat.st_mtime_nsec as i64)
}
