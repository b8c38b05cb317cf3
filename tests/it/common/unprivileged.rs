//! A server that may not read every file, even if the tests run as root.

use std::{
    fs::{self, Permissions},
    io::ErrorKind,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::{Command, Stdio},
};

use rustix::process::geteuid;

use super::{Server, Site, skip::skip};

/// The user ID and group ID of `nobody`.
const NOBODY: u32 = 65_534;

/// The program, started by a user without the rights of root.
pub struct Unprivileged {
    pub command: Command,
    /// The directory of the program, if it is a copy. A process keeps running when it is removed.
    _copy: Option<Site>,
}

impl Unprivileged {
    /// Returns the program; root drops its privileges. Returns `None` and reports that the test is
    /// skipped if root cannot become another user or that user cannot reach the site.
    pub fn program(site: &Site) -> Option<Unprivileged> {
        if !geteuid().is_root() {
            let command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
            return Some(Unprivileged { command, _copy: None });
        }
        // The other user may have no access to the directory that contains the binary.
        let bin = Site::empty();
        let binary = bin.at("oneloop");
        // Another process must make the copy. A child that another test starts meanwhile would
        // inherit our write end, and a file that is open for writing cannot be executed (ETXTBSY).
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_oneloop")).arg(&binary).status();
        assert!(copied.expect("run cp").success(), "copy the binary");
        for dir in [bin.path(), site.path()] {
            fs::set_permissions(dir, Permissions::from_mode(0o755)).expect("open the directory");
        }
        let as_nobody = || {
            let mut command = Command::new(&binary);
            command.uid(NOBODY).gid(NOBODY);
            command
        };
        let mut probe = as_nobody();
        let reaches_site = probe.args(["completions", "bash"]).current_dir(site.path()).stdout(Stdio::null());
        match reaches_site.status() {
            Ok(status) => assert!(status.success(), "{status}"),
            Err(e) if matches!(e.kind(), ErrorKind::PermissionDenied | ErrorKind::InvalidInput) => {
                skip(&format!("root cannot become another user: {e}"));
                return None;
            }
            Err(e) => panic!("cannot run the copy: {e}"),
        }
        Some(Unprivileged { command: as_nobody(), _copy: Some(bin) })
    }
}

impl Server {
    /// Starts a server like [`Server::with`] as a user without the rights of root, if that is
    /// possible ([`Unprivileged::program`]).
    pub fn unprivileged(site: &Site, args: &[&str]) -> Option<Server> {
        let Unprivileged { mut command, _copy } = Unprivileged::program(site)?;
        command.args(["--port", "0", "--allow-host", "*"]).args(args).arg(site.path()).stderr(Stdio::piped());
        Some(Server::spawn(command))
    }
}
