//! A Maildir: a directory of messages, one file per message, with which mail programs can share
//! messages without locks (<https://cr.yp.to/proto/maildir.html>).
//!
//! [`Maildir::insert`] returns only after the message is safe on the disk: it writes the file in
//! `tmp`, syncs it, moves it to `new` and syncs the directory. A crash at any moment leaves either
//! the whole message in `new` or a part of it in `tmp`, which no reader looks at.
//!
//! This module owns the files of the directory and knows nothing about SMTP or POP3. It must never
//! replace a file that exists. Its calls block, because no poller reports that a disk has finished
//! ([`Maildir::insert`] waits for two syncs). The caller must limit their number per turn.

mod names;

use std::{
    collections::HashMap,
    ffi::OsStr,
    fs::{self, DirBuilder, DirEntry, File},
    io::{self, ErrorKind, Read, Write},
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::{DirBuilderExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rustix::{fs::Access, io::Errno};

use self::names::{UniqueNames, sort_key, without_flags};
use crate::system;

/// The age from which a file in `tmp` counts as left over from a failed delivery. (The rules of
/// Maildir: a delivery ends within 24 hours, and a reader removes files older than 36 hours.)
const MAX_DELIVERY: Duration = Duration::from_secs(36 * 60 * 60);

/// An open Maildir.
pub struct Maildir {
    dir: PathBuf,
    /// The descriptor of `new`, to sync it after each delivery.
    new: File,
    names: UniqueNames,
    /// Where [`Maildir::remove`] has last found the messages that mail programs have moved, by
    /// unique name.
    moved: HashMap<Vec<u8>, StoredName>,
}

/// The name of a message's file in a Maildir.
#[derive(Debug)]
pub struct StoredName {
    /// The directory of the message's file.
    folder: &'static str,
    /// The name of the file.
    name: Vec<u8>,
}

impl StoredName {
    /// Returns the unique part of the name. It stays the same when a mail program changes the
    /// message's flags.
    pub fn unique(&self) -> &[u8] {
        without_flags(&self.name)
    }
}

impl Maildir {
    /// Opens the Maildir `dir` at time `now`. Creates it if it is missing, and removes the files in
    /// `tmp` that failed deliveries left more than 36 hours ago.
    ///
    /// # Errors
    /// Fails if a directory cannot be created, read or synced.
    pub fn open(dir: &Path, now: SystemTime) -> io::Result<Maildir> {
        let missing: Vec<&Path> = dir.ancestors().take_while(|dir| !dir.exists()).collect();
        for folder in ["tmp", "new", "cur"] {
            // Mail is private, whatever the process's umask allows.
            DirBuilder::new().recursive(true).mode(0o700).create(dir.join(folder))?;
            // Otherwise, the first sender would find out that the directory is read-only.
            rustix::fs::access(dir.join(folder), Access::WRITE_OK | Access::EXEC_OK)?;
        }
        // A directory survives a crash of the system only if the directory that names it is synced.
        sync(dir)?;
        missing.iter().filter_map(|dir| dir.parent()).try_for_each(sync)?;
        let host = rustix::system::uname();
        let names = UniqueNames::new(std::process::id(), &host.nodename().to_string_lossy());
        let new = File::open(dir.join("new"))?;
        let maildir = Maildir { new, dir: dir.into(), names, moved: HashMap::new() };
        maildir.remove_failed_deliveries(now)?;
        Ok(maildir)
    }

    /// Removes the files in `tmp` that were last written more than [`MAX_DELIVERY`] ago.
    fn remove_failed_deliveries(&self, now: SystemTime) -> io::Result<()> {
        for file in self.files("tmp")? {
            let age = file.metadata().and_then(|metadata| metadata.modified());
            if age.is_ok_and(|written| now.duration_since(written).is_ok_and(|age| age > MAX_DELIVERY)) {
                // If another program removes the file first, there is nothing left to do.
                let _ = fs::remove_file(file.path());
            }
        }
        Ok(())
    }

    /// Returns the names of all messages, in the order of their arrival.
    ///
    /// # Errors
    /// Fails if a directory cannot be read.
    pub fn messages(&self) -> io::Result<Vec<StoredName>> {
        let mut messages = Vec::new();
        for folder in ["new", "cur"] {
            let names = self.files(folder)?.into_iter().map(|file| file.file_name().into_vec());
            messages.extend(names.map(|name| StoredName { folder, name }));
        }
        messages.sort_by(|a, b| sort_key(&a.name).cmp(&sort_key(&b.name)));
        Ok(messages)
    }

    /// Returns the regular files in `folder` whose names do not begin with a dot.
    fn files(&self, folder: &str) -> io::Result<Vec<DirEntry>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(self.dir.join(folder))? {
            let entry = entry?;
            // Opening a FIFO would block, and a link may lead anywhere.
            if entry.file_type()?.is_file() && !entry.file_name().as_bytes().starts_with(b".") {
                files.push(entry);
            }
        }
        Ok(files)
    }

    /// Reads a message. Returns `None` if it is longer than `max` bytes.
    ///
    /// # Errors
    /// Fails if the file cannot be opened or read.
    pub fn read(&self, name: &StoredName, max: usize) -> io::Result<Option<Vec<u8>>> {
        let mut content = Vec::new();
        File::open(self.path(name))?.take(max as u64 + 1).read_to_end(&mut content)?;
        Ok((content.len() <= max).then_some(content))
    }

    /// Stores a message that arrived at `now`, and returns its unique name. After this call, the
    /// message survives a crash of the process or the system.
    ///
    /// # Errors
    /// Fails if a system call fails. The message is then not in the Maildir.
    pub fn insert(&mut self, content: &[u8], now: SystemTime) -> io::Result<Vec<u8>> {
        let (mut file, name) = loop {
            let name = self.names.next(now);
            let mut options = File::options();
            options.write(true).create_new(true).mode(0o600);
            match options.open(self.dir.join("tmp").join(&name)) {
                Ok(file) => break (file, name),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e),
            }
        };
        let (tmp, path) = (self.dir.join("tmp").join(&name), self.dir.join("new").join(&name));
        let mut current = &tmp;
        let result = file.write_all(content).and_then(|()| file.sync_all()).and_then(|()| {
            move_to(&tmp, &path)?;
            current = &path;
            self.new.sync_all()
        });
        if let Err(e) = result {
            // The sender gets an error and will send the message again.
            let _ = fs::remove_file(current);
            return Err(e);
        }
        Ok(name.into_bytes())
    }

    /// Removes the message with the given unique name. Succeeds if it is already gone. The removal
    /// is not synced: after a crash of the system, the message may be there again.
    ///
    /// # Errors
    /// Fails if the file cannot be removed.
    pub fn remove(&mut self, unique: &[u8]) -> io::Result<()> {
        let delivered = StoredName { folder: "new", name: unique.into() };
        match fs::remove_file(self.path(&delivered)) {
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            result => return result,
        }
        // A mail program has moved the message to `cur` or changed its flags. A program usually
        // moves many messages, so one search must serve all of them.
        if self.remove_moved(unique)? {
            return Ok(());
        }
        self.moved = self.messages()?.into_iter().map(|name| (name.unique().to_vec(), name)).collect();
        self.remove_moved(unique).map(drop)
    }

    /// Removes the message from where the last search has found it. Returns whether it was there.
    fn remove_moved(&mut self, unique: &[u8]) -> io::Result<bool> {
        let Some(name) = self.moved.get(unique) else { return Ok(false) };
        match fs::remove_file(self.path(name)) {
            Ok(()) => {
                self.moved.remove(unique);
                Ok(true)
            }
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn path(&self, name: &StoredName) -> PathBuf {
        self.dir.join(name.folder).join(OsStr::from_bytes(&name.name))
    }
}

/// Syncs a directory, so that its entries survive a crash of the system. The empty path is the
/// current directory.
fn sync(dir: &Path) -> io::Result<()> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    File::open(dir)?.sync_all()
}

/// Renames a file. Fails if `to` exists.
fn move_to(from: &Path, to: &Path) -> io::Result<()> {
    match system::rename_new(from, to) {
        // The system or the file system cannot do this in one call. A hard link does not replace a
        // file either.
        Err(Errno::INVAL | Errno::NOSYS) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        result => Ok(result?),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::FileTimes;

    use super::*;
    use crate::testing::dirs;

    fn open(dir: &Path) -> Maildir {
        Maildir::open(dir, SystemTime::now()).expect("open")
    }

    fn contents(maildir: &Maildir) -> Vec<Vec<u8>> {
        let read = |name| maildir.read(name, 1000).expect("read").expect("a short message");
        maildir.messages().expect("read the directory").iter().map(read).collect()
    }

    #[test]
    fn maildir_keeps_messages_in_order_and_removes_them() {
        for dir in dirs() {
            let path = dir.path().join("a/b");
            let mut maildir = open(&path);
            let now = SystemTime::now();
            let messages: Vec<Vec<u8>> = (0..12).map(|n| format!("message {n}").into_bytes()).collect();
            let names: Vec<Vec<u8>> =
                messages.iter().map(|message| maildir.insert(message, now).expect("insert")).collect();
            assert_eq!(contents(&maildir), messages);
            let found = maildir.messages().expect("read the directory");
            assert_eq!(found.iter().map(StoredName::unique).collect::<Vec<_>>(), names);
            assert_eq!(fs::read_dir(path.join("tmp")).expect("tmp").count(), 0);
            let mut again = open(&path);
            assert_eq!(contents(&again), messages);
            again.remove(&names[3]).expect("remove");
            again.remove(&names[3]).expect("it is gone");
            assert_eq!(contents(&maildir), [&messages[..3], &messages[4..]].concat());
            assert_eq!(maildir.read(&found[0], 8).expect("read"), None);
        }
    }

    #[test]
    fn maildir_never_replaces_a_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut maildir = open(dir.path());
        let now = SystemTime::now();
        let taken = maildir.names.clone().next(now);
        fs::write(dir.path().join("tmp").join(&taken), "another delivery").expect("write");
        maildir.insert(b"ours", now).expect("insert");
        assert_eq!(contents(&maildir), [b"ours"]);
        assert_eq!(fs::read(dir.path().join("tmp").join(&taken)).expect("read"), b"another delivery");
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::write(&from, "new").expect("write");
        fs::write(&to, "old").expect("write");
        assert_eq!(move_to(&from, &to).expect_err("it exists").kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&to).expect("read"), b"old");
    }

    #[test]
    fn maildir_finds_a_message_that_a_mail_program_has_moved() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut maildir = open(dir.path());
        let name = maildir.insert(b"read by mutt", SystemTime::now()).expect("insert");
        let unique = OsStr::from_bytes(&name);
        let mut seen = dir.path().join("cur").join(unique).into_os_string();
        seen.push(":2,S");
        fs::rename(dir.path().join("new").join(unique), seen).expect("rename");
        let found = maildir.messages().expect("read the directory");
        assert_eq!((found.len(), found[0].unique()), (1, &name[..]));
        maildir.remove(&name).expect("remove");
        assert!(contents(&maildir).is_empty());
    }

    #[test]
    fn maildir_removes_moved_messages_with_one_search() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut maildir = open(dir.path());
        let now = SystemTime::now();
        let names: Vec<Vec<u8>> = (0..4).map(|_| maildir.insert(b"read", now).expect("insert")).collect();
        let path = |name: &[u8], flags: &str| {
            let mut path = dir.path().join("cur").join(OsStr::from_bytes(name)).into_os_string();
            path.push(flags);
            path
        };
        for name in &names {
            let new = dir.path().join("new").join(OsStr::from_bytes(name));
            fs::rename(new, path(name, ":2,S")).expect("rename");
        }
        maildir.remove(&names[0]).expect("remove");
        assert_eq!(maildir.moved.len(), 3);
        maildir.remove(&names[1]).expect("remove");
        assert_eq!(maildir.moved.len(), 2, "no second search");
        // What the search has found may be out of date.
        fs::rename(path(&names[2], ":2,S"), path(&names[2], ":2,RS")).expect("rename");
        fs::remove_file(path(&names[3], ":2,S")).expect("remove");
        maildir.remove(&names[2]).expect("remove");
        maildir.remove(&names[3]).expect("it is gone");
        assert!(contents(&maildir).is_empty());
    }

    #[test]
    fn maildir_ignores_what_is_not_a_message() {
        let dir = tempfile::tempdir().expect("a directory");
        let maildir = open(dir.path());
        fs::write(dir.path().join("new/.hidden"), "").expect("write");
        fs::write(dir.path().join("tmp/partial"), "half a mess").expect("write");
        fs::create_dir(dir.path().join("cur/folder")).expect("create");
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("new/link")).expect("link");
        assert!(contents(&maildir).is_empty());
    }

    #[test]
    fn maildir_removes_old_partial_deliveries() {
        let dir = tempfile::tempdir().expect("a directory");
        open(dir.path());
        let now = SystemTime::now();
        for (name, hours) in [("old", 37), ("young", 35)] {
            let file = File::create(dir.path().join("tmp").join(name)).expect("create");
            let written = now - Duration::from_secs(hours * 3600);
            file.set_times(FileTimes::new().set_modified(written)).expect("set the time");
        }
        Maildir::open(dir.path(), now).expect("open");
        let left: Vec<_> = fs::read_dir(dir.path().join("tmp")).expect("tmp").flatten().collect();
        assert_eq!(left.iter().map(DirEntry::file_name).collect::<Vec<_>>(), ["young"]);
    }

    #[test]
    fn failed_delivery_leaves_nothing_behind() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut maildir = open(dir.path());
        fs::remove_dir(dir.path().join("new")).expect("remove");
        maildir.insert(b"lost?", SystemTime::now()).expect_err("new is missing");
        assert_eq!(fs::read_dir(dir.path().join("tmp")).expect("tmp").count(), 0);
    }
}
