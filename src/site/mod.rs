//! The site: the only access to the file system. A path goes in, a [`StaticFile`] comes out, or the
//! [`Error`] that says why not.
//!
//! Only regular files beneath the root are opened, and the kernel enforces "beneath". Nothing is
//! opened that could block: the type of a file is checked first. (A link is the operator's
//! decision: one within the root may lead to a hidden file and show it.)
//!
//! It knows no HTTP and no listing: what a service derives from a file, it [describes](Describe)
//! itself. The site is also the loop's source of changed files (inotify).

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
    file::{Content, Describe, Metadata, StaticFile, Version},
    steps::STEP_DOCS,
};
use crate::{
    clock::Clock,
    protocol::{Context, PrioritySource},
    site_path::{DotfilePolicy, SitePath},
};

/// How long a directory and the paths in it are trusted to stay where they are.
const RECHECK_AFTER: Duration = Duration::from_secs(1);

/// How a file is opened after its type was checked. `NONBLOCK`: something else may have taken its
/// place.
const FOR_READING: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// A directory that is served; `D` is what the service derives from each file.
pub struct Site<D> {
    /// Where it is, absolute: another directory may be there tomorrow.
    dir: PathBuf,
    options: SiteOptions,
    state: RefCell<State<D>>,
    /// The descriptor that is readable when a file has changed.
    changes: Option<Rc<OwnedFd>>,
    /// Rows of all listings that are being made or sent.
    rows: Rc<Cell<usize>>,
}

/// Which part of the directory is served, and how.
#[derive(Debug, Clone)]
pub struct SiteOptions {
    /// The name of the file that stands for its directory.
    pub index: String,
    /// Which names that begin with a dot may be requested, and are listed.
    pub dotfiles: DotfilePolicy,
    /// Follow links out of the directory too.
    pub follow_links: bool,
    /// Learn of changes from inotify, where the system has it, instead of a `stat` in every turn.
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

/// What a path leads to.
pub enum Resolved<D> {
    /// A regular file.
    File(Rc<StaticFile<D>>),
    /// A directory that was requested without its slash.
    Directory,
}

/// The directory that was at the site's path when it was last checked, and what is known of its
/// files.
struct State<D> {
    root: RootDir,
    /// Its device and inode. It is held open, so that no other directory can have them.
    root_id: (u64, u64),
    /// When and in which turn the site's path was last checked.
    checked_at: Option<Instant>,
    checked_in: u64,
    cache: Cache<D>,
    /// A buffer for the cache keys of variants.
    key: Vec<u8>,
}

impl<D: Describe> Site<D> {
    /// Opens the directory `dir`.
    ///
    /// # Errors
    /// `dir` is not a directory that can be opened.
    pub fn open(dir: &Path, options: SiteOptions) -> io::Result<Site<D>> {
        let dir = std::path::absolute(dir)?;
        let (root, root_id) = open_root(&dir, options.follow_links)?;
        let inotify = options.inotify.then(Inotify::new).and_then(|inotify| {
            inotify.inspect_err(|e| log::info!("inotify is not available: {e}; checking files by stat")).ok()
        });
        let changes = inotify.as_ref().map(|inotify| Rc::clone(inotify.fd()));
        let cache = Cache::new(inotify, Rc::default());
        let state = State { root, root_id, checked_at: None, checked_in: 0, cache, key: Vec::new() };
        Ok(Site { dir, options, state: RefCell::new(state), changes, rows: Rc::default() })
    }

    /// The options that the site was opened with.
    pub fn options(&self) -> &SiteOptions {
        &self.options
    }

    /// Returns the descriptor that is readable when a file has changed, if there is one. Before
    /// anything is served in a turn in which it is, this site is to be called as a
    /// [`PrioritySource`].
    pub fn changes(&self) -> Option<Rc<OwnedFd>> {
        self.changes.clone()
    }

    /// Returns what `path` leads to in this turn.
    ///
    /// # Errors
    /// Says why nothing was found. Dotfiles are not checked here.
    pub fn resolve(&self, path: &SitePath<'_>, clock: &Clock) -> Result<Resolved<D>, Error> {
        let state = &mut *self.state.borrow_mut();
        if state.checked_at.is_none_or(|at| clock.now() >= at + RECHECK_AFTER) {
            state.reopen_if_replaced(&self.dir, &self.options, clock);
        }
        match state.cache.get(path.bytes(), &state.root, clock) {
            Cached::File(file) => return Ok(Resolved::File(file)),
            // A site that is built again is often a new directory of the same name.
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

    /// Returns the variant of the file `original` at `path` whose name has `extension` behind it,
    /// if there is one and it is not older.
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

    /// Begins to read the directory at `path`.
    ///
    /// # Errors
    /// Says why it cannot be read.
    pub fn read_directory(&self, path: &SitePath<'_>) -> Result<(DirectoryReader, RowQuota), Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let fd = self.state.borrow().root.open(path.bytes(), flags)?;
        let directory = DirectoryReader::new(fd, path, self.options.dotfiles)?;
        Ok((directory, RowQuota::new(Rc::clone(&self.rows))))
    }

    /// Returns whether a directory is at `path`.
    pub fn is_directory(&self, path: &SitePath<'_>) -> bool {
        self.status(path.bytes())
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
    }
}

impl<D> Site<D> {
    /// Returns the status of what is at `path`, which may be a link.
    fn status(&self, path: &[u8]) -> Result<Stat, Errno> {
        fstat(self.state.borrow().root.open(path, OFlags::PATH)?)
    }
}

impl<D: Describe> PrioritySource for Rc<Site<D>> {
    fn on_readable(&mut self, cx: &mut Context<'_>) {
        self.state.borrow_mut().cache.apply_changes();
        cx.trace(steps::changed);
    }
}

impl<D: Describe> State<D> {
    /// Opens the directory that is at the site's path now, if it is another one. Returns whether it
    /// is. One check in each turn is enough; where nothing is, the old directory stays.
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

    /// Opens and reads the file called `file`, which `path` stands for.
    fn look_up(&mut self, path: &SitePath<'_>, file: &[u8], clock: &Clock) -> Result<Resolved<D>, Error> {
        let Some(fd) = self.open_file(file)? else {
            return if path.is_directory() { Err(Error::NotFound) } else { Ok(Resolved::Directory) };
        };
        let found = self.read(fd, file, None, clock)?;
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
        // No path has a NUL, so that no variant is taken for a file that was requested by its own
        // name.
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

    /// Opens the regular file called `file`. Returns `None` for a directory.
    fn open_file(&self, file: &[u8]) -> Result<Option<OwnedFd>, Error> {
        // To open a FIFO or a device has effects, so check the type first: O_PATH has none.
        let fd = self.root.open(file, OFlags::PATH).map_err(|errno| error(errno, file))?;
        match FileType::from_raw_mode(fstat(fd)?.st_mode) {
            FileType::RegularFile => {}
            FileType::Directory => return Ok(None),
            _ => return Err(Error::NotFound),
        }
        self.root.open(file, FOR_READING).map(Some).map_err(|errno| error(errno, file))
    }

    /// Reads the file `fd`, which is the one called `name` or a variant of it.
    fn read(
        &self,
        fd: OwnedFd,
        name: &[u8],
        extension: Option<&'static str>,
        clock: &Clock,
    ) -> Result<Rc<StaticFile<D>>, Error> {
        let reading = Reading::read(fd, self.cache.queue(), clock.wall())
            .map_err(|e| error(Errno::from_io_error(&e).unwrap_or(Errno::IO), name))?;
        reading.map(|reading| Rc::new(reading.into_file(name, extension))).ok_or(Error::NotFound)
    }
}

fn open_root(dir: &Path, follow_links: bool) -> io::Result<(RootDir, (u64, u64))> {
    let fd = openat(CWD, dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let stat = fstat(&fd)?;
    let root = if follow_links { RootDir::following_links(fd) } else { RootDir::new(fd) };
    Ok((root, (stat.st_dev, stat.st_ino)))
}

/// Returns the path of the file that `path` stands for.
fn file_at(path: &SitePath<'_>, index: &str) -> Vec<u8> {
    if path.is_directory() { [path.bytes(), index.as_bytes()].concat() } else { path.bytes().to_vec() }
}

/// Converts the error of a system call about `file`. The operator is warned of what is not part of
/// everyday life.
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
