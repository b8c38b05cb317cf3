//! Confines the process with Landlock (landlock(7)), so that a fault in the server cannot reach
//! what the server does not need.
//!
//! From then on, a file can be opened only as the rules allow, no program can be executed, no TCP
//! socket can be bound or connected, and no signal can be sent to another process. What is open
//! already is not affected: the listening sockets, the connections and the log. The kernel has no
//! way back.

use std::{
    io,
    path::{Path, PathBuf},
};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, PathFdError,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope, make_bitflags,
};

/// The newest set of restrictions that is used (Linux 6.12). An older kernel has some of them.
const NEWEST: ABI = ABI::V6;

/// What a confined process may still do with files.
#[derive(Debug, Default)]
pub struct Sandbox {
    rules: Vec<(PathBuf, BitFlags<AccessFs>)>,
    /// Whether a rule allows that a file is moved from one directory to another.
    moves_files: bool,
}

/// How much of the sandbox the kernel enforces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confinement {
    /// All restrictions.
    Full,
    /// Those that this kernel knows. Before Linux 6.12 this is less than all.
    Partial,
    /// None, because the kernel is older than Linux 5.13 or has no Landlock.
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
        let directory = make_bitflags!(AccessFs::{ReadFile | ReadDir});
        self.allow(path, if path.is_file() { AccessFs::ReadFile.into() } else { directory })
    }

    /// Allows to create regular files in `dir` and to write to those that exist.
    #[must_use]
    pub fn write(self, dir: &Path) -> Sandbox {
        self.allow(dir, make_bitflags!(AccessFs::{MakeReg | WriteFile}))
    }

    /// Allows to remove files from `dir`.
    #[must_use]
    pub fn remove(self, dir: &Path) -> Sandbox {
        self.allow(dir, make_bitflags!(AccessFs::{ReadDir | RemoveFile}))
    }

    /// Allows to read, create, write, move and remove regular files in `dir`.
    #[must_use]
    pub fn manage(mut self, dir: &Path) -> Sandbox {
        self.moves_files = true;
        self.allow(
            dir,
            make_bitflags!(AccessFs::{ReadFile | ReadDir | WriteFile | Truncate | MakeReg | RemoveFile | Refer}),
        )
    }

    fn allow(mut self, dir: &Path, access: BitFlags<AccessFs>) -> Sandbox {
        self.rules.push((dir.to_owned(), access));
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
        let refused = |e: landlock::RulesetError| io::Error::other(e);
        let mut ruleset = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(NEWEST))
            .map_err(refused)?
            .handle_access(AccessNet::from_all(NEWEST))
            .map_err(refused)?
            .scope(Scope::from_all(NEWEST))
            .map_err(refused)?;
        if self.moves_files {
            // Before Linux 5.19, a confined process cannot move files at all. Then none of this is
            // enforced.
            let required = ruleset.set_compatibility(CompatLevel::SoftRequirement);
            ruleset = required.handle_access(AccessFs::Refer).map_err(refused)?;
            ruleset = ruleset.set_compatibility(CompatLevel::BestEffort);
        }
        let mut created = ruleset.create().map_err(refused)?;
        for (dir, access) in self.rules {
            let dir = match PathFd::new(dir) {
                Ok(dir) => dir,
                Err(e) if is_denied(&e) => continue,
                Err(e) => return Err(io::Error::other(e)),
            };
            created = created.add_rule(PathBeneath::new(dir, access)).map_err(refused)?;
        }
        match created.restrict_self().map_err(refused)?.ruleset {
            RulesetStatus::FullyEnforced => Ok(Confinement::Full),
            RulesetStatus::PartiallyEnforced => Ok(Confinement::Partial),
            RulesetStatus::NotEnforced => Ok(Confinement::Absent),
        }
    }
}

/// Returns whether a directory could not be opened for want of permission.
fn is_denied(error: &PathFdError) -> bool {
    let PathFdError::OpenCall { source, .. } = error else { return false };
    source.kind() == io::ErrorKind::PermissionDenied
}
