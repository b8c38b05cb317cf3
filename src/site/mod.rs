//! The site: the only access to the file system. A path goes in, an [`Entry`] comes out, or the refusal that says why
//! not.
//!
//! Only regular files beneath the root are opened, and the kernel sees to "beneath". Nothing is opened that could
//! block: what a path leads to is asked first. (A link is the operator's own word: one within the root may lead to a
//! hidden file and show it.)

mod beneath;
mod cache;
mod entry;
mod listing;
mod watch;

use std::{
    cell::{Cell, RefCell},
    io, mem,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    rc::Rc,
    time::{Duration, Instant},
};

use hashbrown::HashSet;
use rustix::{
    fs::{CWD, FileType, Mode, OFlags, Stat, fstat, openat, stat},
    io::Errno,
};

use self::{beneath::Beneath, cache::Cache, watch::Watch};
pub use self::{
    entry::{Content, Entry},
    listing::{Directory, Share},
};
use crate::{
    clock::Clock,
    http::{Coding, Names, Refusal, SitePath},
};

/// How long a directory and the paths in it are trusted to stay where they are.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How a file is opened after it was looked at. `NONBLOCK`, for what may have taken its place since.
const FOR_READING: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// A directory that is served.
pub struct Site {
    /// Where it is, absolute: what is there may be another directory tomorrow.
    dir: PathBuf,
    options: Options,
    tree: RefCell<Tree>,
    /// Rows of all the listings that are being made or sent.
    listed: Rc<Cell<usize>>,
}

/// What of the directory is served, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The name of the file that stands for its directory.
    pub index: String,
    /// The names that may be asked for, and are listed.
    pub names: Names,
    /// Links are followed wherever they lead, out of the directory, too.
    pub follow_links: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options { index: "index.html".into(), names: Names::Visible, follow_links: false }
    }
}

/// What a path leads to.
pub enum Found {
    File(Rc<Entry>),
    /// A directory that was not asked for as one: its slash is missing.
    Directory,
}

impl Site {
    /// Serves `dir`.
    ///
    /// # Errors
    /// `dir` is no directory that can be opened.
    pub fn open(dir: &Path, options: Options) -> io::Result<Site> {
        let dir = std::path::absolute(dir)?;
        let tree = RefCell::new(Tree::open(&dir, options.follow_links)?);
        Ok(Site { dir, options, tree, listed: Rc::default() })
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    /// What `path` leads to, as it is in this turn.
    ///
    /// # Errors
    /// 404 for what is missing, leads out of the root, or is neither file nor directory; 403, 500 and 503 as the system
    /// says.
    pub fn find(&self, path: &SitePath<'_>, clock: &Clock) -> Result<Found, Refusal> {
        let mut tree = self.tree.borrow_mut();
        if tree.seen.is_none_or(|seen| clock.now() >= seen + LOOK_AGAIN) {
            tree.look_again(self, clock);
            tree.absent.told.clear();
        }
        // A site that is built anew is often a new directory of the same name.
        if tree.absent.has(path.bytes(), clock.turn()) && !tree.look_again(self, clock) {
            return Err(Refusal::NOT_FOUND);
        }
        let found = match tree.find(path, &self.options.index, clock) {
            Err(Refusal::NOT_FOUND) if tree.look_again(self, clock) => {
                tree.find(path, &self.options.index, clock)
            }
            found => found,
        };
        if matches!(found, Err(Refusal::NOT_FOUND)) {
            let file = file_at(path, &self.options.index);
            let is_told = tree.tells_of_new(&file);
            tree.absent.add(path.bytes(), clock.turn(), is_told);
        }
        found
    }

    /// The variant in `coding` of the file `original` at `path`, if it lies beside it and is not older.
    pub fn variant(
        &self,
        path: &SitePath<'_>,
        original: &Entry,
        coding: Coding,
        clock: &Clock,
    ) -> Option<Rc<Entry>> {
        let tree = &mut *self.tree.borrow_mut();
        let variant = tree.variant(path, &self.options.index, coding, clock)?;
        variant.is_variant_of(original).then_some(variant)
    }

    /// From now on the kernel tells of changes, where it can: the descriptor becomes readable, and then
    /// [`Site::note_changes`] is to be called, before anything is served. `None`: it cannot.
    pub fn watch(&self) -> Option<OwnedFd> {
        let cache = &mut self.tree.borrow_mut().cache;
        let watch = Watch::new().inspect_err(|e| log::info!("the kernel tells of no changes: {e}")).ok()?;
        let readable = watch.as_fd().try_clone_to_owned().ok()?;
        cache.watch = Some(watch);
        Some(readable)
    }

    /// Takes note of what has changed.
    pub fn note_changes(&self) {
        let tree = &mut *self.tree.borrow_mut();
        if tree.cache.note_changes() {
            tree.absent.told.clear();
        }
    }

    /// Begins to list the directory at `path`.
    ///
    /// # Errors
    /// As for [`Site::find`].
    pub fn list(&self, path: &SitePath<'_>) -> Result<(Directory, Share), Refusal> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let fd = self.tree.borrow().beneath.open(path.bytes(), flags).map_err(refusal)?;
        let directory = Directory::new(fd, path, self.options.names)?;
        Ok((directory, Share::of(Rc::clone(&self.listed))))
    }

    /// Whether a directory is at `path`.
    pub fn is_directory(&self, path: &SitePath<'_>) -> bool {
        self.status(path.bytes())
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
    }

    /// What kind of thing is at `path`, which may be a link.
    fn status(&self, path: &[u8]) -> Result<Stat, Errno> {
        fstat(self.tree.borrow().beneath.open(path, OFlags::PATH)?)
    }
}

/// The file that `path` means.
fn file_at(path: &SitePath<'_>, index: &str) -> Vec<u8> {
    match path.is_directory() {
        true => [path.bytes(), index.as_bytes()].concat(),
        false => path.bytes().to_vec(),
    }
}

/// Paths that lead nowhere, as was seen in one turn: what holds for a file holds for the lack of one.
#[derive(Default)]
struct Absent {
    turn: u64,
    paths: HashSet<Box<[u8]>>,
    /// Those of which the kernel tells when something comes to be there.
    told: HashSet<Box<[u8]>>,
}

impl Absent {
    /// Remembers at most this many.
    const MOST: usize = 256;

    fn has(&self, path: &[u8], turn: u64) -> bool {
        (self.turn == turn && self.paths.contains(path)) || self.told.contains(path)
    }

    fn add(&mut self, path: &[u8], turn: u64, is_told: bool) {
        if self.turn != turn {
            self.turn = turn;
            self.paths.clear();
        }
        let paths = if is_told { &mut self.told } else { &mut self.paths };
        if paths.len() < Absent::MOST {
            paths.insert(path.into());
        }
    }
}

/// The directory that was at the site's path when it was last looked at.
struct Tree {
    beneath: Beneath,
    cache: Cache,
    absent: Absent,
    /// Where the key of a variant is put together.
    key: Vec<u8>,
    /// Device and inode. The directory is held open, so that no other can have them.
    identity: (u64, u64),
    seen: Option<Instant>,
    /// The turn in which it was last looked at.
    turn: u64,
}

impl Tree {
    fn open(dir: &Path, follow_links: bool) -> io::Result<Tree> {
        let root = openat(CWD, dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let stat = fstat(&root)?;
        let identity = (stat.st_dev, stat.st_ino);
        Ok(Tree {
            beneath: if follow_links { Beneath::with_links_out(root) } else { Beneath::new(root) },
            cache: Cache::new(),
            absent: Absent::default(),
            key: Vec::new(),
            identity,
            seen: None,
            turn: 0,
        })
    }

    /// Takes the directory that is at the site's path now, if it is another one. Says whether it was. One look a turn is
    /// enough; where nothing is, the old one stays.
    fn look_again(&mut self, site: &Site, clock: &Clock) -> bool {
        if self.turn == clock.turn() {
            return false;
        }
        (self.seen, self.turn) = (Some(clock.now()), clock.turn());
        if stat(&site.dir).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == self.identity) {
            return false;
        }
        let Ok(tree) = Tree::open(&site.dir, site.options.follow_links) else { return false };
        // The watch is polled, so it is the new directory's now.
        self.cache.clear();
        let cache = mem::replace(&mut self.cache, Cache::new());
        *self = Tree { seen: self.seen, turn: self.turn, cache, ..tree };
        true
    }

    fn find(&mut self, path: &SitePath<'_>, index: &str, clock: &Clock) -> Result<Found, Refusal> {
        if let Some(entry) = self.cache.fresh(path.bytes(), &self.beneath, clock) {
            return Ok(Found::File(entry));
        }
        let file = file_at(path, index);
        let Some(fd) = self.open_file(&file)? else {
            return if path.is_directory() { Err(Refusal::NOT_FOUND) } else { Ok(Found::Directory) };
        };
        let entry = read(fd, &file, None, clock)?;
        if entry.is_keepable() {
            self.cache.keep(path.bytes(), &file, &entry, clock);
        }
        Ok(Found::File(entry))
    }

    /// The variant in `coding` of the file that `path` means.
    fn variant(
        &mut self,
        path: &SitePath<'_>,
        index: &str,
        coding: Coding,
        clock: &Clock,
    ) -> Option<Rc<Entry>> {
        // No path has a NUL, so that no variant is taken for a file that was asked for by its own name.
        self.key.clear();
        for piece in [path.bytes(), b"\0", coding.extension().as_bytes()] {
            self.key.extend_from_slice(piece);
        }
        if self.absent.has(&self.key, clock.turn()) {
            return None;
        }
        if let Some(entry) = self.cache.fresh(&self.key, &self.beneath, clock) {
            return Some(entry);
        }
        let original = file_at(path, index);
        let file = [&original, coding.extension().as_bytes()].concat();
        let entry = match self.open_file(&file) {
            Ok(Some(fd)) => read(fd, &original, Some(coding), clock).ok(),
            _ => None,
        };
        match &entry {
            Some(entry) if entry.is_keepable() => self.cache.keep(&self.key, &file, entry, clock),
            Some(_) => {}
            None => {
                let is_told = self.tells_of_new(&file);
                self.absent.add(&self.key, clock.turn(), is_told);
            }
        }
        entry
    }

    /// Whether the kernel tells when something comes to be at `file`, where nothing is.
    fn tells_of_new(&mut self, file: &[u8]) -> bool {
        self.cache.watch.as_mut().is_some_and(|watch| watch.tells_of_new(file, &self.beneath))
    }

    /// Opens the regular file called `file`; `None`: it is a directory.
    fn open_file(&self, file: &[u8]) -> Result<Option<OwnedFd>, Refusal> {
        // Opening a FIFO or a device has effects, so ask first; O_PATH only looks.
        let look = self.beneath.open(file, OFlags::PATH).map_err(refusal)?;
        match FileType::from_raw_mode(fstat(look).map_err(refusal)?.st_mode) {
            FileType::RegularFile => {}
            FileType::Directory => return Ok(None),
            _ => return Err(Refusal::NOT_FOUND),
        }
        self.beneath.open(file, FOR_READING).map(Some).map_err(refusal)
    }
}

/// Reads the file `fd`, which is the one called `name` or a variant of it.
fn read(fd: OwnedFd, name: &[u8], coding: Option<Coding>, clock: &Clock) -> Result<Rc<Entry>, Refusal> {
    let entry = Entry::read(fd, name, coding, clock.wall()).map_err(|e| {
        log::warn!("{}: {e}", String::from_utf8_lossy(name).escape_debug());
        Refusal::BROKEN
    })?;
    entry.map(Rc::new).ok_or(Refusal::NOT_FOUND)
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

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::http::locate;

    #[test]
    fn what_is_missing_is_asked_for_once_a_turn_and_anew_in_the_next() {
        let dir = tempfile::tempdir().expect("a directory");
        let site = Site::open(dir.path(), Options::default()).expect("open it");
        let mut clock = Clock::frozen(SystemTime::now());
        let path = locate(b"/late.txt").expect("a path");
        let is_there = |clock: &Clock| site.find(&path, clock).is_ok();
        clock.tick();
        assert!(!is_there(&clock));
        std::fs::write(dir.path().join("late.txt"), "late").expect("write");
        assert!(!is_there(&clock), "one look a turn");
        clock.tick();
        assert!(is_there(&clock));
        for i in 0..2 * Absent::MOST {
            let missing = format!("/{i}");
            assert!(site.find(&locate(missing.as_bytes()).expect("a path"), &clock).is_err());
        }
        assert_eq!(site.tree.borrow().absent.paths.len(), Absent::MOST, "it is bounded");
    }
}
