//! The site: the only access to the file system. A path goes in, an [`Entry`] comes out, or the refusal that says why
//! not.
//!
//! Only regular files beneath the root are opened, and the kernel sees to "beneath". Nothing is opened that could
//! block: what a path leads to is asked first.

mod beneath;
mod cache;
mod entry;

use std::{cell::RefCell, io, path::Path, rc::Rc};

use rustix::{
    fs::{CWD, FileType, Mode, OFlags, fstat, openat},
    io::Errno,
};

pub use self::entry::{Content, Entry};
use self::{beneath::Beneath, cache::Cache};
use crate::{
    clock::Clock,
    http::{Refusal, SitePath},
};

/// A directory that is served.
pub struct Site {
    beneath: Beneath,
    /// The name of the file that stands for its directory.
    index: String,
    cache: RefCell<Cache>,
}

/// What a path leads to.
pub enum Found {
    File(Rc<Entry>),
    /// A directory that was not asked for as one: its slash is missing.
    Directory,
}

impl Site {
    /// Serves `dir`, with `index` as the name of a directory's index file.
    ///
    /// # Errors
    /// `dir` is no directory that can be opened.
    pub fn open(dir: &Path, index: &str) -> io::Result<Site> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, dir, flags, Mode::empty())?;
        Ok(Site { beneath: Beneath::new(root), index: index.to_owned(), cache: RefCell::new(Cache::new()) })
    }

    /// What `path` leads to, as it is in this turn.
    ///
    /// # Errors
    /// 404 for what is missing, leads out of the root, or is neither file nor directory; 403, 500 and 503 as the system
    /// says.
    pub fn find(&self, path: &SitePath<'_>, clock: &Clock) -> Result<Found, Refusal> {
        let path_bytes = path.bytes();
        let mut cache = self.cache.borrow_mut();
        if let Some(entry) = cache.fresh(path_bytes, &self.beneath, clock) {
            return Ok(Found::File(entry));
        }
        let file = match path.is_directory() {
            true => [path_bytes, self.index.as_bytes()].concat(),
            false => path_bytes.to_vec(),
        };
        // Opening a FIFO or a device has effects, so ask first; O_PATH only looks.
        let look = self.beneath.open(&file, OFlags::PATH).map_err(refusal)?;
        match FileType::from_raw_mode(fstat(look).map_err(refusal)?.st_mode) {
            FileType::RegularFile => {}
            FileType::Directory if !path.is_directory() => return Ok(Found::Directory),
            _ => return Err(Refusal::NOT_FOUND),
        }
        // NONBLOCK, for what may have taken its place since.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let fd = self.beneath.open(&file, flags).map_err(refusal)?;
        let entry = Entry::read(fd, &file, clock.wall()).map_err(|e| {
            log::warn!("{}: {e}", String::from_utf8_lossy(&file).escape_debug());
            Refusal::BROKEN
        })?;
        let entry = Rc::new(entry.ok_or(Refusal::NOT_FOUND)?);
        if entry.is_keepable() {
            cache.keep(path_bytes, &file, &entry, clock);
        }
        Ok(Found::File(entry))
    }
}

/// What the system's answer means to a peer: open(2), openat2(2).
fn refusal(errno: Errno) -> Refusal {
    match errno {
        // XDEV: leads out of the root. LOOP: links without end, or of the kernel's making. NXIO: a socket.
        Errno::NOENT
        | Errno::NOTDIR
        | Errno::XDEV
        | Errno::LOOP
        | Errno::NAMETOOLONG
        | Errno::NXIO
        | Errno::INVAL => Refusal::NOT_FOUND,
        Errno::ACCESS | Errno::PERM => Refusal::FORBIDDEN,
        Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN => Refusal::BUSY,
        errno => {
            log::warn!("a file could not be opened: {errno}");
            Refusal::BROKEN
        }
    }
}
