//! All access to the served files goes through the site. The site takes a path and returns a
//! [`StaticFile`] or an [`Error`].
//!
//! The site owns the root directory, the cache, inotify and read-ahead. It opens only regular files
//! beneath the root; unless links may be followed out of it, openat2(2) (or a walk where the kernel
//! lacks openat2) refuses a path that leads elsewhere. It must never open anything that could
//! block, so it checks the type of a file first. (It follows links within the root, even one to a
//! hidden file: creating such a link is the operator's decision.)
//!
//! The site must know nothing about HTTP or listings. A service derives what it needs from each
//! file through [`Describe`]. The site is also a source in the event loop: it handles the file
//! changes that inotify reports.

mod cache;
mod directory;
mod entry;
mod error;
mod file;
mod inotify;
mod readahead;
mod root;
mod stamp;
mod steps;

use std::{
    cell::{Cell, RefCell},
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    rc::Rc,
    time::{Duration, Instant},
};

use rustix::{
    fs::{CWD, FileType, Mode, OFlags, Stat, fstat, openat, stat},
    io::Errno,
};

use self::{
    cache::{Cache, Cached},
    file::Reading,
    inotify::Inotify,
    root::RootDir,
};
pub use self::{
    directory::{DirectoryReader, RowQuota},
    error::Error,
    file::{Content, Describe, FileVersion, Metadata, StaticFile},
    steps::STEP_DOCS,
};
use crate::{
    clock::Clock,
    protocol::{Context, PrioritySource},
    site_path::{DotfilePolicy, SitePath},
};

/// How long to trust that the root directory and the files in it are still at their paths.
const RECHECK_AFTER: Duration = Duration::from_secs(1);

/// The flags for opening a file after its type has been checked. `NONBLOCK` is set because a FIFO
/// may have replaced the file since the check.
const FOR_READING: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// A directory that is served. `D` is the description that the service derives from each file.
pub struct Site<D> {
    /// The absolute path of the directory. Another directory may later replace it at this path.
    dir: PathBuf,
    options: SiteOptions,
    state: RefCell<SiteState<D>>,
    /// The inotify descriptor, which is readable when a file has changed.
    changes: Option<Rc<OwnedFd>>,
    /// The number of rows that all listings in progress hold together.
    rows: Rc<Cell<usize>>,
}

/// The options of a site.
#[derive(Debug, Clone)]
pub struct SiteOptions {
    /// The name of index files.
    pub index: String,
    /// Which dotfiles can be requested and are listed.
    pub dotfiles: DotfilePolicy,
    /// Whether to also follow links that lead out of the directory.
    pub follow_links: bool,
    /// Whether to use inotify, where available, instead of a `stat` per file and turn.
    pub inotify: bool,
}

impl Default for SiteOptions {
    fn default() -> SiteOptions {
        SiteOptions {
            index: "index.html".into(),
            dotfiles: DotfilePolicy::Visible,
            follow_links: false,
            inotify: true,
        }
    }
}

/// The result of resolving a path.
pub enum Resolved<D> {
    /// A regular file.
    File(Rc<StaticFile<D>>),
    /// A directory that was requested without a trailing slash.
    Directory,
}

/// The root directory as of the last check, and the cache of its files.
struct SiteState<D> {
    root: RootDir,
    /// The device and inode numbers of the root. The root is open, so no other directory can have
    /// the same inode.
    root_id: (u64, u64),
    /// When the site's path was last checked.
    checked_at: Option<Instant>,
    /// The turn in which the site's path was last checked.
    checked_in: u64,
    cache: Cache<D>,
    /// A reusable buffer for the cache keys of variants.
    key: Vec<u8>,
}

impl<D: Describe> Site<D> {
    /// Opens the directory `dir` as a site.
    ///
    /// # Errors
    /// Fails if `dir` is not a directory or cannot be opened.
    pub fn open(dir: &Path, options: SiteOptions) -> io::Result<Site<D>> {
        let dir = std::path::absolute(dir)?;
        let (root, root_id) = open_root(&dir, options.follow_links)?;
        let inotify = options.inotify.then(Inotify::new).and_then(|inotify| {
            inotify.inspect_err(|e| log::info!("inotify is not available: {e}; checking files by stat")).ok()
        });
        let changes = inotify.as_ref().map(|inotify| Rc::clone(inotify.fd()));
        let cache = Cache::new(inotify, Rc::default());
        let state = SiteState { root, root_id, checked_at: None, checked_in: 0, cache, key: Vec::new() };
        Ok(Site { dir, options, state: RefCell::new(state), changes, rows: Rc::default() })
    }

    /// Returns the options that the site was opened with.
    pub fn options(&self) -> &SiteOptions {
        &self.options
    }

    /// Returns the inotify descriptor, if inotify is used. The caller must poll the descriptor.
    /// When it is readable, the caller must call this site as a [`PrioritySource`] before it
    /// handles any request in that turn.
    pub fn changes(&self) -> Option<Rc<OwnedFd>> {
        self.changes.clone()
    }

    /// Returns the file or directory at `path` in this turn. Does not check for dotfiles, which is
    /// up to the caller.
    ///
    /// # Errors
    /// Returns the reason why the file or directory cannot be returned.
    pub fn resolve(&self, path: &SitePath<'_>, clock: &Clock) -> Result<Resolved<D>, Error> {
        let state = &mut *self.state.borrow_mut();
        if state.checked_at.is_none_or(|at| clock.now() >= at + RECHECK_AFTER) {
            state.reopen_if_replaced(&self.dir, &self.options, clock);
        }
        // The root is checked before the cache is used, so that no file from a replaced directory
        // is served for longer than `RECHECK_AFTER`.
        match state.cache.get(path.bytes(), &state.root, clock) {
            Cached::File(file) => return Ok(Resolved::File(file)),
            // A build tool often replaces the whole directory. So if a file is missing, check
            // whether the root is still the same directory (at most once per turn).
            Cached::Absent if !state.reopen_if_replaced(&self.dir, &self.options, clock) => {
                return Err(Error::NotFound);
            }
            Cached::Absent | Cached::Unknown => {}
        }
        let file = file_at(path, &self.options.index);
        let found = match state.look_up(path, &file, clock) {
            Err(Error::NotFound) if state.reopen_if_replaced(&self.dir, &self.options, clock) => {
                state.look_up(path, &file, clock)
            }
            found => found,
        };
        if matches!(found, Err(Error::NotFound)) {
            state.cache.insert_absent(path.bytes(), &file, &state.root, clock);
        }
        found
    }

    /// Returns the compressed variant of the file `original` at `path`: the file whose name has
    /// `extension` appended. Returns `None` if there is no variant, or if the variant is older than
    /// the original.
    pub fn variant(
        &self,
        path: &SitePath<'_>,
        original: &StaticFile<D>,
        extension: &'static str,
        clock: &Clock,
    ) -> Option<Rc<StaticFile<D>>> {
        let state = &mut *self.state.borrow_mut();
        let variant = state.variant(path, &self.options.index, extension, clock)?;
        variant.is_variant_of(original).then_some(variant)
    }

    /// Opens the directory at `path` for reading.
    ///
    /// # Errors
    /// Returns the reason why the directory cannot be read.
    pub fn read_directory(&self, path: &SitePath<'_>) -> Result<(DirectoryReader, RowQuota), Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let fd = self.state.borrow().root.open(path.bytes(), flags)?;
        let directory = DirectoryReader::new(fd, path, self.options.dotfiles)?;
        Ok((directory, RowQuota::new(Rc::clone(&self.rows))))
    }

    /// Returns whether `path` is a directory.
    pub fn is_directory(&self, path: &SitePath<'_>) -> bool {
        self.status(path.bytes())
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
    }
}

impl<D> Site<D> {
    /// Returns the status of the file or directory at `path`. Follows links.
    fn status(&self, path: &[u8]) -> Result<Stat, Errno> {
        fstat(self.state.borrow().root.open(path, OFlags::PATH)?)
    }
}

impl<D: Describe> PrioritySource for Rc<Site<D>> {
    fn on_readable(&mut self, cx: &mut Context<'_>) {
        // Not every event is a change: removing a watch causes one as well.
        if self.state.borrow_mut().cache.apply_changes() {
            cx.trace(steps::changed);
        }
    }
}

impl<D: Describe> SiteState<D> {
    /// Reopens the root directory if another directory has replaced it at the site's path. Returns
    /// whether it was replaced. Checks at most once per turn. If there is no directory at the path,
    /// keeps the old root.
    fn reopen_if_replaced(&mut self, dir: &Path, options: &SiteOptions, clock: &Clock) -> bool {
        if self.checked_in == clock.turn() {
            return false;
        }
        (self.checked_at, self.checked_in) = (Some(clock.now()), clock.turn());
        if stat(dir).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == self.root_id) {
            return false;
        }
        let Ok((root, root_id)) = open_root(dir, options.follow_links) else { return false };
        self.cache.clear();
        (self.root, self.root_id) = (root, root_id);
        true
    }

    /// Opens and reads `file`, the file that the requested `path` maps to. Adds it to the cache if
    /// it is cacheable.
    fn look_up(&mut self, path: &SitePath<'_>, file: &[u8], clock: &Clock) -> Result<Resolved<D>, Error> {
        let Some(fd) = self.open_file(file)? else {
            return if path.is_directory() { Err(Error::NotFound) } else { Ok(Resolved::Directory) };
        };
        let found = self.read(fd, file, None, clock)?;
        // Do not cache a large file, or a file whose next change may leave its stamp unchanged.
        if found.is_cacheable() {
            self.cache.insert(path.bytes(), file, &found, clock);
        }
        Ok(Resolved::File(found))
    }

    fn variant(
        &mut self,
        path: &SitePath<'_>,
        index: &str,
        extension: &'static str,
        clock: &Clock,
    ) -> Option<Rc<StaticFile<D>>> {
        // The NUL, which no path contains, distinguishes a variant's key from the key for the same
        // file when it is requested by its own name.
        self.key.clear();
        for piece in [path.bytes(), b"\0", extension.as_bytes()] {
            self.key.extend_from_slice(piece);
        }
        match self.cache.get(&self.key, &self.root, clock) {
            Cached::File(file) => return Some(file),
            Cached::Absent => return None,
            Cached::Unknown => {}
        }
        let original = file_at(path, index);
        let file = [&original, extension.as_bytes()].concat();
        let variant = match self.open_file(&file) {
            Ok(Some(fd)) => self.read(fd, &original, Some(extension), clock).ok(),
            _ => None,
        };
        match &variant {
            Some(variant) if variant.is_cacheable() => self.cache.insert(&self.key, &file, variant, clock),
            Some(_) => {}
            None => self.cache.insert_absent(&self.key, &file, &self.root, clock),
        }
        variant
    }

    /// Opens the regular file `file`. Returns `None` for a directory.
    fn open_file(&self, file: &[u8]) -> Result<Option<OwnedFd>, Error> {
        // Opening a FIFO or a device has side effects, so check the type first. Opening with
        // `O_PATH` has none.
        let fd = self.root.open(file, OFlags::PATH).map_err(|errno| error(errno, file))?;
        match FileType::from_raw_mode(fstat(fd)?.st_mode) {
            FileType::RegularFile => {}
            FileType::Directory => return Ok(None),
            _ => return Err(Error::NotFound),
        }
        self.root.open(file, FOR_READING).map(Some).map_err(|errno| error(errno, file))
    }

    /// Reads the open file `fd`, which is the file `name` or its compressed variant with
    /// `extension`.
    fn read(
        &self,
        fd: OwnedFd,
        name: &[u8],
        extension: Option<&'static str>,
        clock: &Clock,
    ) -> Result<Rc<StaticFile<D>>, Error> {
        let reading = Reading::read(fd, self.cache.queue(), clock.wall())
            .map_err(|e| error(Errno::from_io_error(&e).unwrap_or(Errno::IO), name))?;
        match reading {
            Some(reading) => Ok(Rc::new(reading.into_file(name, extension))),
            None => Err(Error::NotFound), // replaced by something else since its type was checked
        }
    }
}

/// Opens the root directory. Returns it with its device and inode numbers.
fn open_root(dir: &Path, follow_links: bool) -> io::Result<(RootDir, (u64, u64))> {
    let fd = openat(CWD, dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let stat = fstat(&fd)?;
    let root = if follow_links { RootDir::following_links(fd) } else { RootDir::new(fd) };
    Ok((root, (stat.st_dev, stat.st_ino)))
}

/// Returns the path of the file that `path` maps to. For a directory, this is the index file.
fn file_at(path: &SitePath<'_>, index: &str) -> Vec<u8> {
    if path.is_directory() { [path.bytes(), index.as_bytes()].concat() } else { path.bytes().to_vec() }
}

/// Converts the error from a system call on `file`. Logs a warning if the error is unusual.
fn error(errno: Errno, file: &[u8]) -> Error {
    let error = Error::from(errno);
    if let Error::Io(errno) = error {
        log::warn!("cannot read '{}': {errno}", String::from_utf8_lossy(file).escape_debug());
    }
    error
}

#[cfg(test)]
mod tests {
    use std::{borrow::Cow, time::SystemTime};

    use super::*;

    #[test]
    fn site_asks_for_a_missing_file_once_a_turn_and_again_in_the_next() {
        let dir = tempfile::tempdir().expect("a directory");
        let options = SiteOptions { inotify: false, ..SiteOptions::default() };
        let site: Site<()> = Site::open(dir.path(), options).expect("open it");
        let mut clock = Clock::frozen(SystemTime::now());
        let path = SitePath::parse(Cow::Borrowed(b"/late.txt")).expect("a path");
        let is_there = |clock: &Clock| site.resolve(&path, clock).is_ok();
        clock.tick();
        assert!(!is_there(&clock));
        std::fs::write(dir.path().join("late.txt"), "late").expect("write");
        assert!(!is_there(&clock), "one look a turn");
        clock.tick();
        assert!(is_there(&clock));
    }
}
