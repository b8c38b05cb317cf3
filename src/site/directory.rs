//! Reads a directory a few entries at a time. A directory may have any number of entries, and
//! reading all of them at once would delay other connections.
//!
//! This module must never return an entry that a client could not request: a hidden name, a link
//! that leads nowhere or out of the site, or anything that is neither a file nor a directory.

use std::{cell::Cell, os::fd::OwnedFd, rc::Rc, time::SystemTime};

use rustix::{
    fs::{AtFlags, Dir, FileType, Stat, statat},
    io::Errno,
};

use super::{
    Describe, Site,
    error::{Error, retry},
    stamp::plausible_mtime,
};

use crate::{
    clock::Clock,
    site_path::{DotfilePolicy, SitePath, is_rule_file},
};

/// The maximum number of rows that all listings in progress may hold together. This many rows take
/// about 30 MB of memory.
const MAX_ROWS: usize = 400_000;

/// A reader for one directory.
pub struct DirectoryReader {
    dir: Dir,
    path: SitePath<'static>,
    dotfiles: DotfilePolicy,
    /// The number of names that precede the name of an entry in its path.
    depth: usize,
}

/// One entry of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectoryEntry<'a> {
    /// The name: any bytes except NUL and slash.
    pub name: &'a [u8],
    /// Whether the entry is a directory, or a link to one.
    pub is_directory: bool,
    /// The length in bytes, or 0 for a directory.
    pub len: u64,
    /// The modification time, if it is plausible.
    pub modified: Option<SystemTime>,
}

/// The number of rows that one listing holds, counted against the total for all listings. Dropping
/// the quota releases the rows.
pub struct RowQuota {
    total: Rc<Cell<usize>>,
    taken: usize,
}

impl RowQuota {
    /// Creates an empty quota that counts against `total`.
    pub(super) fn new(total: Rc<Cell<usize>>) -> RowQuota {
        RowQuota { total, taken: 0 }
    }

    /// Claims one row.
    ///
    /// # Errors
    /// Returns [`Error::TooLarge`] if this listing alone holds the maximum number of rows, and
    /// [`Error::Busy`] if all listings together do.
    pub fn take_one(&mut self) -> Result<(), Error> {
        if self.total.get() >= MAX_ROWS {
            return Err(if self.taken >= MAX_ROWS { Error::TooLarge } else { Error::Busy });
        }
        self.total.set(self.total.get() + 1);
        self.taken += 1;
        Ok(())
    }

    /// Returns the number of rows that this listing holds.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Releases one row.
    pub fn release_one(&mut self) {
        if self.taken > 0 {
            self.total.set(self.total.get() - 1);
            self.taken -= 1;
        }
    }
}

impl Drop for RowQuota {
    fn drop(&mut self) {
        self.total.set(self.total.get() - self.taken);
    }
}

impl DirectoryReader {
    /// Creates a reader for the open directory `fd`, which is at `path` in the site.
    pub(super) fn new(
        fd: OwnedFd,
        path: &SitePath<'_>,
        dotfiles: DotfilePolicy,
    ) -> Result<DirectoryReader, Error> {
        let dir = Dir::new(fd)?;
        let (path, depth) = (path.clone().into_owned(), path.names().count());
        Ok(DirectoryReader { dir, path, dotfiles, depth })
    }

    /// Reads the next `count` entries and passes each visible one to `put`. Returns whether there
    /// may be more entries.
    ///
    /// # Errors
    /// Returns an error if the directory cannot be read, or the error that `put` returns.
    pub fn read<D: Describe>(
        &mut self,
        count: usize,
        site: &Site<D>,
        clock: &Clock,
        mut put: impl FnMut(DirectoryEntry<'_>) -> Result<(), Error>,
    ) -> Result<bool, Error> {
        for _ in 0..count {
            let Some(entry) = self.dir.read() else { return Ok(false) };
            let entry = entry.map_err(|errno| site.error(errno, self.path.bytes(), clock))?;
            let name = entry.file_name().to_bytes();
            let is_rule_file = self.depth == 0 && is_rule_file(name);
            if matches!(name, b"." | b"..") || is_rule_file || !self.dotfiles.allow(name, self.depth) {
                continue;
            }
            if let Some(entry) = self.entry(name, site, clock)? {
                put(entry)?;
            }
        }
        Ok(true)
    }

    /// Returns the entry called `name`, if it is visible.
    ///
    /// # Errors
    /// Fails if the status cannot be read although the entry may be visible. A listing without it
    /// would say that it does not exist.
    fn entry<'a, D: Describe>(
        &self,
        name: &'a [u8],
        site: &Site<D>,
        clock: &Clock,
    ) -> Result<Option<DirectoryEntry<'a>>, Error> {
        let stat = match retry(|| self.status(name, site)) {
            Ok(stat) => stat,
            Err(errno) => match site.error(errno, name, clock) {
                // It was deleted meanwhile, it is a link that leads nowhere or out of the site, or
                // a request for it would be refused.
                Error::NotFound | Error::Forbidden => return Ok(None),
                error => return Err(error),
            },
        };
        let is_directory = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => true,
            FileType::RegularFile => false,
            _ => return Ok(None),
        };
        let len = if is_directory { 0 } else { u64::try_from(stat.st_size).unwrap_or(0) };
        let modified = plausible_mtime(stat.st_mtime, clock.wall());
        Ok(Some(DirectoryEntry { name, is_directory, len, modified }))
    }

    /// Returns the status of the file or directory `name`. Resolves a link in the same way as a
    /// request for it.
    fn status<D: Describe>(&self, name: &[u8], site: &Site<D>) -> Result<Stat, Errno> {
        let stat = statat(self.dir.fd()?, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => site.status_of_entry(&[self.path.bytes(), name].concat()),
            _ => Ok(stat),
        }
    }
}
