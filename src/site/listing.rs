//! A directory, read a few names at a time: it may hold any number of them, and nobody is to wait for all.
//!
//! What could not be asked for is not listed: hidden names, links that lead nowhere or out of the site, and what is
//! neither file nor directory.

use std::{cell::Cell, os::fd::OwnedFd, rc::Rc};

use rustix::{
    fs::{AtFlags, Dir, FileType, Stat, statat},
    io::Errno,
};

use super::{Site, refusal};
use crate::{
    clock::Clock,
    http::{Names, Refusal, Row, Rows, SitePath, Status, last_modified},
};

/// Rows of all listings together, while they are made and sent: about 30 MB. More must wait.
const MAX_ROWS: usize = 400_000;
const TOO_LARGE: Refusal =
    Refusal::new(Status::InternalServerError, "This directory holds too many files to be listed.");

/// A directory that is being read.
pub struct Directory {
    dir: Dir,
    path: SitePath<'static>,
    names: Names,
    /// How many names come before one of this directory in its path.
    depth: usize,
}

/// Rows that one listing holds of those that all together may hold.
pub struct Share {
    all: Rc<Cell<usize>>,
    ours: usize,
}

impl Share {
    pub(super) fn of(all: Rc<Cell<usize>>) -> Share {
        Share { all, ours: 0 }
    }

    fn take_one(&mut self) -> Result<(), Refusal> {
        if self.all.get() >= MAX_ROWS {
            return Err(if self.ours >= MAX_ROWS { TOO_LARGE } else { Refusal::BUSY });
        }
        self.all.set(self.all.get() + 1);
        self.ours += 1;
        Ok(())
    }

    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.ours
    }

    /// A row is gone.
    pub fn give_back(&mut self) {
        if self.ours > 0 {
            self.all.set(self.all.get() - 1);
            self.ours -= 1;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.all.set(self.all.get() - self.ours);
    }
}

impl Directory {
    pub(super) fn new(fd: OwnedFd, path: &SitePath<'_>, names: Names) -> Result<Directory, Refusal> {
        let dir = Dir::new(fd).map_err(refusal)?;
        let (path, depth) = (path.clone().into_owned(), path.names().count());
        Ok(Directory { dir, path, names, depth })
    }

    /// Reads the next `count` names and puts those that are shown into `rows`. Says whether there may be more.
    ///
    /// # Errors
    /// 503 where too much is being listed already, 500 where the directory is too large or cannot be read.
    pub fn read(
        &mut self,
        count: usize,
        rows: &mut Rows,
        share: &mut Share,
        site: &Site,
        clock: &Clock,
    ) -> Result<bool, Refusal> {
        for _ in 0..count {
            let Some(entry) = self.dir.read() else { return Ok(false) };
            let entry = entry.map_err(refusal)?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") || !self.names.allow(name, self.depth) {
                continue;
            }
            if let Some(row) = self.row(name, site, clock) {
                share.take_one()?;
                rows.put(row);
            }
        }
        Ok(true)
    }

    /// What is known of `name`, if it is shown.
    fn row<'a>(&self, name: &'a [u8], site: &Site, clock: &Clock) -> Option<Row<'a>> {
        let stat = self.status(name, site).ok()?;
        let is_directory = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => true,
            FileType::RegularFile => false,
            _ => return None,
        };
        let len = if is_directory { 0 } else { u64::try_from(stat.st_size).unwrap_or(0) };
        Some(Row { name, is_directory, len, modified: last_modified(stat.st_mtime, clock.wall()) })
    }

    /// The status of what `name` leads to; a link is resolved as if it were asked for.
    fn status(&self, name: &[u8], site: &Site) -> Result<Stat, Errno> {
        let stat = statat(self.dir.fd()?, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => site.status(&[self.path.bytes(), name].concat()),
            _ => Ok(stat),
        }
    }
}
