//! The site: the only access to the file system. A path goes in, an [`Entry`] comes out, or the refusal that says why
//! not.
//!
//! Only regular files beneath the root are opened, and the kernel sees to "beneath". Nothing is opened that could
//! block: what a path leads to is asked first. (A link is the operator's own word: one within the root may lead to a
//! hidden file and show it.)

mod beneath;
mod cache;
mod entry;

use std::{
    cell::RefCell,
    collections::HashSet,
    io,
    path::{Path, PathBuf},
    rc::Rc,
    time::{Duration, Instant},
};

use rustix::{
    fs::{CWD, FileType, Mode, OFlags, fstat, openat, stat},
    io::Errno,
};

pub use self::entry::{Content, Entry};
use self::{beneath::Beneath, cache::Cache};
use crate::{
    clock::Clock,
    http::{Refusal, SitePath},
};

/// How long a directory and the paths in it are trusted to stay where they are.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A directory that is served.
pub struct Site {
    /// Where it is, absolute: what is there may be another directory tomorrow.
    dir: PathBuf,
    /// The name of the file that stands for its directory.
    index: String,
    tree: RefCell<Tree>,
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
        let dir = std::path::absolute(dir)?;
        let tree = RefCell::new(Tree::open(&dir)?);
        Ok(Site { dir, index: index.to_owned(), tree })
    }

    /// What `path` leads to, as it is in this turn.
    ///
    /// # Errors
    /// 404 for what is missing, leads out of the root, or is neither file nor directory; 403, 500 and 503 as the system
    /// says.
    pub fn find(&self, path: &SitePath<'_>, clock: &Clock) -> Result<Found, Refusal> {
        let mut tree = self.tree.borrow_mut();
        if tree.seen.is_none_or(|seen| clock.now() >= seen + LOOK_AGAIN) {
            tree.look_again(&self.dir, clock);
        }
        if tree.absent.has(path.bytes(), clock.turn()) {
            return Err(Refusal::NOT_FOUND);
        }
        let found = match tree.find(path, &self.index, clock) {
            // A site that is built anew is often a new directory of the same name.
            Err(Refusal::NOT_FOUND) if tree.look_again(&self.dir, clock) => {
                tree.find(path, &self.index, clock)
            }
            found => found,
        };
        if matches!(found, Err(Refusal::NOT_FOUND)) {
            tree.absent.add(path.bytes(), clock.turn());
        }
        found
    }
}

/// Paths that lead nowhere, as was seen in one turn: what holds for a file holds for the lack of one.
#[derive(Default)]
struct Absent {
    turn: u64,
    paths: HashSet<Box<[u8]>>,
}

impl Absent {
    /// Remembers at most this many.
    const MOST: usize = 256;

    fn has(&self, path: &[u8], turn: u64) -> bool {
        self.turn == turn && self.paths.contains(path)
    }

    fn add(&mut self, path: &[u8], turn: u64) {
        if self.turn != turn {
            self.turn = turn;
            self.paths.clear();
        }
        if self.paths.len() < Absent::MOST {
            self.paths.insert(path.into());
        }
    }
}

/// The directory that was at the site's path when it was last looked at.
struct Tree {
    beneath: Beneath,
    cache: Cache,
    absent: Absent,
    /// Device and inode. The directory is held open, so that no other can have them.
    identity: (u64, u64),
    seen: Option<Instant>,
    /// The turn in which it was last looked at.
    turn: u64,
}

impl Tree {
    fn open(dir: &Path) -> io::Result<Tree> {
        let root = openat(CWD, dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let stat = fstat(&root)?;
        let identity = (stat.st_dev, stat.st_ino);
        Ok(Tree {
            beneath: Beneath::new(root),
            cache: Cache::new(),
            absent: Absent::default(),
            identity,
            seen: None,
            turn: 0,
        })
    }

    /// Takes the directory that is at `dir` now, if it is another one. Says whether it was. One look a turn is enough;
    /// where nothing is, the old one stays.
    fn look_again(&mut self, dir: &Path, clock: &Clock) -> bool {
        if self.turn == clock.turn() {
            return false;
        }
        (self.seen, self.turn) = (Some(clock.now()), clock.turn());
        if stat(dir).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == self.identity) {
            return false;
        }
        let Ok(tree) = Tree::open(dir) else { return false };
        *self = Tree { seen: self.seen, turn: self.turn, ..tree };
        true
    }

    fn find(&mut self, path: &SitePath<'_>, index: &str, clock: &Clock) -> Result<Found, Refusal> {
        if let Some(entry) = self.cache.fresh(path.bytes(), &self.beneath, clock) {
            return Ok(Found::File(entry));
        }
        let file = match path.is_directory() {
            true => [path.bytes(), index.as_bytes()].concat(),
            false => path.bytes().to_vec(),
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
            self.cache.keep(path.bytes(), &file, &entry, clock);
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

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::http::locate;

    #[test]
    fn what_is_missing_is_asked_for_once_a_turn_and_anew_in_the_next() {
        let dir = tempfile::tempdir().expect("a directory");
        let site = Site::open(dir.path(), "index.html").expect("open it");
        let mut clock = Clock::frozen(SystemTime::now());
        let path = locate("/late.txt").expect("a path");
        let is_there = |clock: &Clock| site.find(&path, clock).is_ok();
        clock.tick();
        assert!(!is_there(&clock));
        std::fs::write(dir.path().join("late.txt"), "late").expect("write");
        assert!(!is_there(&clock), "one look a turn");
        clock.tick();
        assert!(is_there(&clock));
        for i in 0..2 * Absent::MOST {
            let missing = format!("/{i}");
            assert!(site.find(&locate(&missing).expect("a path"), &clock).is_err());
        }
        assert_eq!(site.tree.borrow().absent.paths.len(), Absent::MOST, "it is bounded");
    }
}
