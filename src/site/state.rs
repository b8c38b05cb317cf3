//! The state of a site: its open root directory, the cache, and the look-up of what the cache does
//! not hold.

use std::{io, path::Path, rc::Rc, time::Instant};

use rustix::{
    fs::{CWD, Dev, FileType, Mode, Stat, fstat, openat, stat},
    io::Errno,
};

use super::{
    RECHECK_AFTER, Resolved, SiteOptions,
    cache::Cache,
    entry::Cached,
    error::{Error, retry},
    file::{Describe, FileOrigin, Reading, StaticFile},
    inotify::Inotify,
    root::{FOR_READING, RootDir},
    tree::Tree,
    tree_options::TreeOptions,
};
use crate::{clock::Clock, site_path::SitePath, system};

/// The root directory as of the last check, and the cache of its files.
pub struct SiteState<D: Describe> {
    /// The root directory.
    pub root: RootDir,
    /// The device and inode numbers of the root. The root is open, so no other directory can have
    /// the same inode.
    root_id: (Dev, u64),
    /// When the site's path was last checked.
    checked_at: Option<Instant>,
    /// The [refresh](super::refresh) after which the site's path was last checked.
    checked_after: u64,
    /// The number of changes before that check.
    changes_before: u64,
    /// Whether inotify reports it if another directory replaces the root, or `None` if that is not
    /// known since the last change.
    is_path_watched: Option<bool>,
    /// The files and absent files that were looked up.
    pub cache: Cache<D>,
    /// The whole tree of directories, if its changes are logged.
    pub tree: Option<Box<Tree>>,
    /// A reusable buffer for the cache keys of variants.
    key: Vec<u8>,
    /// How the files are described.
    rules: D::Rules,
}

impl<D: Describe> SiteState<D> {
    /// Opens the root directory `dir`, with an empty cache. The files are described according to
    /// `rules`.
    ///
    /// # Errors
    /// Fails if `dir` is not a directory or cannot be opened.
    pub fn open(dir: &Path, options: &SiteOptions, rules: D::Rules) -> io::Result<SiteState<D>> {
        let (root, root_id) = open_root(dir, options)?;
        let inotify = options.inotify.then(Inotify::new);
        match &inotify {
            Some(Ok(_)) => log::info!("file changes: inotify"),
            Some(Err(e)) => log::info!("file changes: stat, because inotify is not available: {e}"),
            None => log::info!("file changes: stat"),
        }
        let mut inotify = inotify.and_then(Result::ok);
        let tree = options.logs_changes.then(|| Box::new(Tree::new(TreeOptions::of(options))));
        if let (Some(_), Some(inotify)) = (&tree, &mut inotify) {
            inotify.observe_tree();
        }
        let (cache, key) = (Cache::new(inotify, Rc::default()), Vec::new());
        Ok(SiteState {
            root,
            root_id,
            checked_at: None,
            checked_after: 0,
            changes_before: 0,
            is_path_watched: None,
            cache,
            tree,
            key,
            rules,
        })
    }

    /// Calls [`SiteState::reopen_if_replaced`] unless the path was checked in the last second.
    pub fn reopen_if_due(&mut self, dir: &Path, options: &SiteOptions, clock: &Clock) -> bool {
        let is_due = self.checked_at.is_none_or(|at| clock.now() >= at + RECHECK_AFTER);
        is_due && self.reopen_if_replaced(dir, options, clock)
    }

    /// Reopens the root directory if another directory has replaced it at the site's path. Returns
    /// whether it was replaced. Checks at most once per refresh. If there is no directory at the
    /// path, keeps the old root.
    pub fn reopen_if_replaced(&mut self, dir: &Path, options: &SiteOptions, clock: &Clock) -> bool {
        let (refresh, changes) = (self.cache.refresh(clock), self.cache.change_count());
        let is_recent = self.checked_at.is_some_and(|at| clock.now() < at + RECHECK_AFTER);
        let is_unchanged = self.changes_before == changes;
        if self.checked_after == refresh || is_recent && is_unchanged && self.is_path_watched == Some(true) {
            return false;
        }
        (self.checked_at, self.checked_after, self.changes_before) = (Some(clock.now()), refresh, changes);
        let watched = self.is_path_watched.take().filter(|_| is_unchanged);
        let is_same = |stat: Stat| (stat.st_dev, stat.st_ino) == self.root_id;
        if retry(|| stat(dir)).is_ok_and(is_same) {
            // To watch the path takes longer than a few checks, so while files change all the time,
            // it is not worth it.
            self.is_path_watched = watched.or_else(|| is_unchanged.then(|| self.watch_path(dir)));
            return false;
        }
        let Ok((root, root_id)) = retry(|| open_root(dir, options)) else { return false };
        self.cache.clear();
        (self.root, self.root_id) = (root, root_id);
        if let Some(tree) = &mut self.tree {
            tree.restart(clock.now());
        }
        true
    }

    /// Returns whether inotify reports it from now on if another directory replaces the root.
    fn watch_path(&mut self, dir: &Path) -> bool {
        self.cache.inotify.as_mut().is_some_and(|inotify| inotify.watch_root_path(dir, &self.root))
    }

    /// Passes the events that inotify has reported to the tree.
    pub fn note_tree_events(&mut self, clock: &Clock) {
        if let (Some(tree), Some(inotify)) = (&mut self.tree, &mut self.cache.inotify)
            && let Some(events) = inotify.take_tree_events()
        {
            tree.note(events, clock.now());
        }
    }

    /// Does one piece of the work of the tree, if one is due.
    pub fn explore(&mut self, dir: &Path, options: &SiteOptions, clock: &Clock) {
        self.note_tree_events(clock);
        let now = clock.now();
        let Some(tree) = &mut self.tree else { return };
        if tree.should_check_root(now) {
            tree.set_root(retry(|| stat(dir)).is_ok(), now);
            self.reopen_if_replaced(dir, options, clock);
            self.note_tree_events(clock);
        }
        if let Some(tree) = &mut self.tree {
            tree.explore(&self.root, self.cache.inotify.as_mut(), clock);
        }
    }

    /// Opens and reads `file`, the file that the requested `path` maps to. Adds it to the cache if
    /// it is cacheable.
    pub fn look_up(&mut self, path: &SitePath<'_>, file: &[u8], clock: &Clock) -> Result<Resolved<D>, Error> {
        let Some(found) = self.read(file, FileOrigin::Path(file), clock)? else {
            return if path.is_directory() { Err(Error::NotFound) } else { Ok(Resolved::Directory) };
        };
        // Do not cache a large file, or a file whose next change may leave its stamp unchanged.
        if found.is_cacheable() {
            self.cache.insert(path.bytes(), file, &found, clock);
        }
        Ok(Resolved::File(found))
    }

    /// Returns the compressed variant with `extension` of the file at `path`, or `None` if it does
    /// not exist.
    pub fn variant(
        &mut self,
        path: &SitePath<'_>,
        options: &SiteOptions,
        original: &D,
        extension: &'static str,
        clock: &Clock,
    ) -> Result<Option<Rc<StaticFile<D>>>, Error> {
        // The NUL, which no path contains, distinguishes a variant's key from the key for the same
        // file when it is requested by its own name.
        self.key.clear();
        for piece in [path.bytes(), b"\0", extension.as_bytes()] {
            self.key.extend_from_slice(piece);
        }
        match self.cache.get(&self.key, &self.root, clock) {
            Cached::File(file) => return Ok(Some(file)),
            Cached::Absent => return Ok(None),
            Cached::Unknown => {}
        }
        let file = [&options.file_at(path), extension.as_bytes()].concat();
        let variant = match self.read(&file, FileOrigin::Variant { original, extension }, clock) {
            Err(Error::NotFound) => None,
            found => found?,
        };
        match &variant {
            Some(variant) if variant.is_cacheable() => self.cache.insert(&self.key, &file, variant, clock),
            Some(_) => {}
            None => self.cache.insert_absent(&self.key, &file, &self.root, clock),
        }
        Ok(variant)
    }

    /// Opens and reads the file at `path`. Returns `None` for a directory.
    fn read(
        &self,
        path: &[u8],
        origin: FileOrigin<'_, D>,
        clock: &Clock,
    ) -> Result<Option<Rc<StaticFile<D>>>, Error> {
        // If a file is replaced on its server, every call on the open file fails. So a retry begins
        // with the path.
        let reading = retry(|| self.open_and_read(path, clock));
        let reading = reading.map_err(|errno| self.cache.disk.errors.convert(errno, path, clock))?;
        Ok(reading.map(|reading| Rc::new(reading.into_file(&self.rules, origin))))
    }

    /// Opens and reads the regular file at `path`. Returns `None` for a directory.
    fn open_and_read(&self, path: &[u8], clock: &Clock) -> Result<Option<Reading>, Errno> {
        // Opening a FIFO or a device has side effects, so check the type first.
        match FileType::from_raw_mode(self.root.status(path, clock)?.st_mode) {
            FileType::RegularFile => {}
            FileType::Directory => return Ok(None),
            _ => return Err(Errno::NXIO),
        }
        let fd = self.root.open_known(path, FOR_READING)?;
        // Without a reading, something else has replaced the file since its type was checked.
        Reading::read(fd, &self.cache.disk, clock)?.map(Some).ok_or(Errno::NXIO)
    }
}

/// Opens the root directory. Returns it with its device and inode numbers.
fn open_root(dir: &Path, options: &SiteOptions) -> Result<(RootDir, (Dev, u64)), Errno> {
    let fd = openat(CWD, dir, system::DIRECTORY, Mode::empty())?;
    let stat = fstat(&fd)?;
    let create = if options.follow_links { RootDir::following_links } else { RootDir::new };
    let root = create(fd, options.dotfiles).with_only(options.file.clone());
    Ok((root, (stat.st_dev, stat.st_ino)))
}
