//! Gives up root for another user (`--user`) when the sockets and logs are open.

use std::{
    ffi::CString,
    path::{Path, PathBuf},
};

#[cfg(not(target_vendor = "apple"))]
use nix::unistd::initgroups;
use nix::unistd::{Uid, User, geteuid, setgid, setuid};
use rustix::fs::{Access, access};

use super::{
    args::Cli,
    errors::{Failure, io_message},
    output,
};
#[cfg(target_vendor = "apple")]
use no_groups::initgroups;

/// The directories of a Maildir.
const MAILDIR: [&str; 3] = ["tmp", "new", "cur"];

/// Nothing can set the groups of this process on macOS without `unsafe`.
#[cfg(target_vendor = "apple")]
mod no_groups {
    use std::ffi::CStr;

    use nix::{Result, errno::Errno, unistd::Gid};

    /// Fails with `ENOSYS`.
    pub fn initgroups(_user: &CStr, _group: Gid) -> Result<()> {
        Err(Errno::ENOSYS)
    }
}

/// The user to become, and the files that this user needs.
pub struct Account {
    user: User,
    served: Vec<PathBuf>,
    mail_dir: Option<PathBuf>,
    log: Option<PathBuf>,
}

/// Returns the user that the arguments name, or `None` if they name none.
///
/// # Errors
/// Fails if the user does not exist, or if this process cannot become another user.
pub fn account(cli: &Cli) -> Result<Option<Account>, Failure> {
    let Some(name) = &cli.listen.user else { return Ok(None) };
    let user = User::from_name(name)
        .map_err(|e| Failure::system(&format!("cannot look up user '{name}'"), &e.into()))?
        .ok_or_else(|| Failure::Usage(format!("there is no user '{name}' for --user; create it first")))?;
    if user.uid.is_root() {
        return Err(Failure::Usage(format!("--user '{name}' would keep root; name another user")));
    }
    if !geteuid().is_root() {
        return Err(Failure::Usage("only root can become another user; leave out --user".into()));
    }
    let is_file = |path: &PathBuf| !output::is_inherited(path);
    Ok(Some(Account {
        user,
        served: cli.served().map(Path::to_owned).collect(),
        mail_dir: cli.conversations.mail.mail_dir.clone(),
        log: cli.output.access_log.clone().filter(is_file),
    }))
}

impl Account {
    /// Makes this process run as the user, with the user's groups and without privileges. What is
    /// open stays open.
    ///
    /// # Errors
    /// Fails if the system refuses, or if the user cannot reach the files that the server needs.
    pub fn assume(self) -> Result<(), Failure> {
        let name = CString::new(self.user.name.as_str()).unwrap_or_default();
        // The groups first, because only root can change them.
        let result = initgroups(&name, self.user.gid)
            .and_then(|()| setgid(self.user.gid))
            .and_then(|()| setuid(self.user.uid));
        let what = || format!("cannot become user '{}'", self.user.name);
        result.map_err(|e| Failure::system(&what(), &e.into()))?;
        if setuid(Uid::from_raw(0)).is_ok() {
            return Err(Failure::System(format!("{}: it could become root again", what())));
        }
        self.check_files()
    }

    /// Checks that the user can reach the files that the server needs, because otherwise every
    /// request would fail.
    fn check_files(&self) -> Result<(), Failure> {
        let name = &self.user.name;
        let search = Access::READ_OK | Access::EXEC_OK;
        for path in &self.served {
            let (how, advice) = if path.is_dir() {
                (search, "let it read the directory and all above it")
            } else {
                (Access::READ_OK, "let it read the file and search all directories above it")
            };
            self.check(path, how, "read", advice)?;
        }
        if let Some(mail_dir) = &self.mail_dir {
            for dir in MAILDIR {
                let advice = format!("run chown -R {name} {}", mail_dir.display());
                self.check(&mail_dir.join(dir), search | Access::WRITE_OK, "write to", &advice)?;
            }
        }
        if let Some(log) = self.log.as_deref().filter(|log| access(*log, Access::WRITE_OK).is_err()) {
            let log = log.display();
            log::warn!("user '{name}' cannot open '{log}' again after SIGHUP; make it the owner of the log");
        }
        Ok(())
    }

    fn check(&self, path: &Path, how: Access, verb: &str, advice: &str) -> Result<(), Failure> {
        access(path, how).map_err(|e| {
            let (path, why) = (path.display(), io_message(&e.into()));
            Failure::Usage(format!("user '{}' cannot {verb} '{path}': {why}; {advice}", self.user.name))
        })
    }
}
