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

mod alias;
mod cache;
mod change_log;
mod changes;
mod directory;
mod disk;
mod entries;
mod entry;
mod error;
mod file;
mod generated;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
mod inotify;
#[cfg(any(not(target_os = "linux"), feature = "portable"))]
#[path = "no_inotify.rs"]
mod inotify;
mod lease;
mod readahead;
mod refresh;
mod root;
mod stamp;
mod state;
mod steps;
mod tree;
mod tree_events;
mod tree_options;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
mod tree_record;
mod unmeasured;
mod walk;

use std::{
    cell::{Cell, RefCell},
    ffi::OsStr,
    io,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
    rc::Rc,
    time::{Duration, Instant},
};

use rustix::{
    fs::{FileType, OFlags, Stat},
    io::Errno,
};

pub use self::{
    cache::Answered,
    change_log::TreeChange,
    directory::{DirectoryReader, RowQuota},
    error::Error,
    file::{Content, Describe, FileOrigin, Metadata, StaticFile},
    lease::Lease,
    stamp::FileVersion,
    steps::STEP_DOCS,
    unmeasured::UnmeasuredFile,
};
use self::{entry::Cached, error::retry, state::SiteState};
use crate::{
    clock::Clock,
    protocol::{Context, PrioritySource},
    site_path::{DotfilePolicy, SitePath},
};

/// How long to trust that the root directory and the files in it are still at their paths.
const RECHECK_AFTER: Duration = Duration::from_secs(1);

/// A directory that is served. `D` is the description that the service derives from each file.
pub struct Site<D: Describe> {
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
    /// The name of the only file of the site. The root then leads to this file, and nothing else in
    /// the directory can be opened.
    pub file: Option<Vec<u8>>,
    /// Whether to log the changes of all files, see [`Site::explore`].
    pub logs_changes: bool,
}

impl Default for SiteOptions {
    fn default() -> SiteOptions {
        SiteOptions {
            index: "index.html".into(),
            dotfiles: DotfilePolicy::Visible,
            follow_links: false,
            inotify: true,
            file: None,
            logs_changes: false,
        }
    }
}

impl SiteOptions {
    /// Returns the options of a site that consists of the file `name`. The operator has chosen this
    /// file, so it may be hidden, or a link that leads elsewhere.
    fn for_file(self, name: &OsStr) -> SiteOptions {
        let file = Some(name.as_bytes().to_vec());
        SiteOptions { file, dotfiles: DotfilePolicy::All, follow_links: true, ..self }
    }

    /// Returns the path of the file that `path` maps to. For a directory, this is the index file.
    fn file_at(&self, path: &SitePath<'_>) -> Vec<u8> {
        match &self.file {
            Some(file) if path.bytes().is_empty() => file.clone(),
            _ if path.is_directory() => [path.bytes(), self.index.as_bytes()].concat(),
            _ => path.bytes().to_vec(),
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

impl<D: Describe> Site<D> {
    /// Opens the directory at `path` as a site, whose files are described according to `rules`. If
    /// `path` is a regular file, the site has no other file.
    ///
    /// # Errors
    /// Fails if `path` is neither a directory nor a file, or cannot be opened.
    pub fn open(path: &Path, mut options: SiteOptions, rules: D::Rules) -> io::Result<Site<D>> {
        let mut dir = std::path::absolute(path)?;
        if let Some(name) = dir.file_name().filter(|_| dir.is_file()) {
            options = options.for_file(name);
            dir.pop();
        }
        let state = SiteState::open(&dir, &options, rules)?;
        let changes = state.cache.changes();
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
        state.reopen_if_due(&self.dir, &self.options, clock);
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
        let file = self.options.file_at(path);
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

    /// Returns how long the answer that [`Site::resolve`] has just given for `path` holds.
    pub fn answered(&self, path: &SitePath<'_>, clock: &Clock) -> Answered {
        self.state.borrow_mut().cache.answered(path.bytes(), clock)
    }

    /// Returns whether an answer of [`Site::resolve`] still holds, without a system call.
    pub fn holds(&self, answered: &Answered, clock: &Clock) -> bool {
        self.state.borrow_mut().cache.holds(answered, clock)
    }

    /// Returns the compressed variant of the file `original` at `path`: the file whose name has
    /// `extension` appended. Returns `None` if there is no variant, or if the variant is older than
    /// the original.
    ///
    /// # Errors
    /// Returns the reason why the variant cannot be looked up or read.
    pub fn variant(
        &self,
        path: &SitePath<'_>,
        original: &StaticFile<D>,
        extension: &'static str,
        clock: &Clock,
    ) -> Result<Option<Rc<StaticFile<D>>>, Error> {
        let state = &mut *self.state.borrow_mut();
        let variant = state.variant(path, &self.options, &original.description, extension, clock)?;
        Ok(variant.filter(|variant| variant.is_variant_of(original)))
    }

    /// Opens the directory at `path` for reading.
    ///
    /// # Errors
    /// Returns the reason why the directory cannot be read.
    pub fn read_directory(&self, path: &SitePath<'_>, clock: &Clock) -> Result<DirectoryReader, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        self.take_lease(); // nothing reports changes of this answer
        let fd = retry(|| self.state.borrow().root.open(path.bytes(), flags, clock));
        let fd = fd.map_err(|errno| self.error(errno, path.bytes(), clock))?;
        DirectoryReader::new(fd, path, self.options.dotfiles)
    }

    /// Returns an empty quota for the rows of one listing.
    pub fn row_quota(&self) -> RowQuota {
        RowQuota::new(Rc::clone(&self.rows))
    }

    /// Reads the bytes of `file` at `offset` into `buffer`. Returns their number, which is 0 at the
    /// end of the file.
    ///
    /// # Errors
    /// Returns the reason why the file cannot be read.
    pub fn read_unmeasured(
        &self,
        file: &UnmeasuredFile,
        offset: u64,
        buffer: &mut [u8],
        clock: &Clock,
    ) -> Result<usize, Error> {
        file.read(offset, buffer).map_err(|errno| self.error(errno, b"a file of unknown length", clock))
    }

    /// Does a piece of the work that finds the changes of all files, if one is due: a fraction of a
    /// millisecond. Returns when to call this method again, which may be now.
    pub fn explore(&self, clock: &Clock) -> Instant {
        let state = &mut *self.state.borrow_mut();
        state.explore(&self.dir, &self.options, clock);
        state.tree.as_ref().map_or(clock.now() + RECHECK_AFTER, |tree| tree.due(clock.now()))
    }

    /// Returns whether a change has been noticed after which [`Site::explore`] must be called
    /// earlier than it said. The next call returns false.
    pub fn take_became_due(&self, clock: &Clock) -> bool {
        let state = &mut *self.state.borrow_mut();
        state.note_tree_events(clock);
        state.tree.as_mut().is_some_and(|tree| tree.take_became_due())
    }

    /// Returns whether `path` is a directory.
    ///
    /// # Errors
    /// Returns the reason why the path cannot be looked up.
    pub fn is_directory(&self, path: &SitePath<'_>, clock: &Clock) -> Result<bool, Error> {
        self.take_lease(); // nothing reports changes of this answer
        let status = retry(|| self.state.borrow().root.status(path.bytes(), clock));
        match status {
            Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory),
            Err(errno) => match self.error(errno, path.bytes(), clock) {
                Error::NotFound => Ok(false),
                error => Err(error),
            },
        }
    }
}

impl<D: Describe> Site<D> {
    /// Opens the file or directory at `path`, which was read from its directory, as if it had been
    /// requested. Does not check the type of the file, which is up to the caller.
    ///
    /// # Errors
    /// Returns the error of the system call.
    #[cfg(feature = "compress")]
    pub fn open_entry(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        retry(|| self.state.borrow().root.open_known(path, flags))
    }

    /// Returns the number of the last burst of changes in the log, or `None` until the whole tree
    /// has been explored. Until then, changes may go unnoticed.
    pub fn change_number(&self) -> Option<u64> {
        let state = self.state.borrow();
        state.tree.as_ref().filter(|tree| tree.is_explored()).map(|tree| tree.log.number())
    }

    /// Returns what has changed after the burst `number`.
    pub fn changes_since(&self, number: u64) -> TreeChange {
        self.state.borrow().tree.as_ref().map_or(TreeChange::NOTHING, |tree| tree.log.since(number))
    }

    /// Returns what has changed at `time` or later.
    pub fn changes_since_time(&self, time: Instant) -> TreeChange {
        self.state.borrow().tree.as_ref().map_or(TreeChange::NOTHING, |tree| tree.log.since_time(time))
    }

    /// Returns the status of the file or directory at `path`, which was read from its directory.
    /// Follows links.
    ///
    /// # Errors
    /// Returns the error of the system call.
    pub fn status_of_entry(&self, path: &[u8]) -> Result<Stat, Errno> {
        self.state.borrow().root.status_of_known(path)
    }

    /// Converts the error of a system call on `path`, and logs it if the operator should know.
    fn error(&self, errno: Errno, path: &[u8], clock: &Clock) -> Error {
        self.state.borrow().cache.disk.errors.convert(errno, path, clock)
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

#[cfg(test)]
mod tests {
    use std::{borrow::Cow, time::SystemTime};

    use super::*;

    impl Describe for () {
        type Rules = ();

        fn describe(_: &(), _: FileOrigin<'_, ()>, _: &Metadata, _: &Content) {}

        fn size(&self) -> usize {
            0
        }
    }

    #[test]
    fn site_asks_for_a_missing_file_once_a_turn_and_again_in_the_next() {
        let dir = tempfile::tempdir().expect("a directory");
        let options = SiteOptions { inotify: false, ..SiteOptions::default() };
        let site: Site<()> = Site::open(dir.path(), options, ()).expect("open it");
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
