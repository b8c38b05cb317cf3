//! Confines the process, so that a fault in the server cannot reach what the server does not need.
//!
//! From then on, a file can be opened only as the rules allow, no program can be executed, no TCP
//! socket can be bound or connected, and no signal can be sent to another process. What is open
//! already is not affected: the listening sockets, the connections and the log. Nothing can lift
//! the sandbox again. Only Linux has one, which is Landlock (landlock(7)).

#[cfg(all(target_os = "linux", not(feature = "portable")))]
mod landlock;
#[cfg(any(not(target_os = "linux"), feature = "portable"))]
#[path = "no_landlock.rs"]
mod landlock;

use std::{
    io,
    path::{Path, PathBuf},
};

/// What a confined process may still do with files.
#[derive(Debug, Default)]
pub struct Sandbox {
    rules: Vec<(PathBuf, Permission)>,
}

/// What a rule allows with the files in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Permission {
    Read,
    /// For a rule about a file.
    ReadFile,
    Write,
    Remove,
    Manage,
}

/// How much of the sandbox the kernel enforces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confinement {
    /// All restrictions.
    Full,
    /// Those that this kernel knows. Before Linux 6.12 this is less than all.
    Partial,
    /// None, because the kernel is older than Linux 5.13, has no Landlock, or is not Linux.
    Absent,
}

impl Sandbox {
    /// Returns a sandbox in which no file can be opened.
    pub fn new() -> Sandbox {
        Sandbox::default()
    }

    /// Allows to read the files and list the directories in the directory `path`, and in what is
    /// mounted there, or to read the file `path`.
    #[must_use]
    pub fn read(self, path: &Path) -> Sandbox {
        self.allow(path, if path.is_file() { Permission::ReadFile } else { Permission::Read })
    }

    /// Allows to create regular files in `dir` and to write to those that exist.
    #[must_use]
    pub fn write(self, dir: &Path) -> Sandbox {
        self.allow(dir, Permission::Write)
    }

    /// Allows to remove files from `dir`.
    #[must_use]
    pub fn remove(self, dir: &Path) -> Sandbox {
        self.allow(dir, Permission::Remove)
    }

    /// Allows to read, create, write, move and remove regular files in `dir`.
    #[must_use]
    pub fn manage(self, dir: &Path) -> Sandbox {
        self.allow(dir, Permission::Manage)
    }

    fn allow(mut self, dir: &Path, permission: Permission) -> Sandbox {
        self.rules.push((dir.to_owned(), permission));
        self
    }

    /// Confines this thread, and the threads and processes that it starts from now on. Returns how
    /// much of the sandbox this kernel enforces.
    ///
    /// # Errors
    /// Fails if the path of a rule cannot be opened, or if the kernel refuses the rules. The
    /// process is not confined then. A directory that the process has no permission to reach needs
    /// no rule, and is not an error.
    pub fn enter(self) -> io::Result<Confinement> {
        landlock::confine(self.rules)
    }
}
