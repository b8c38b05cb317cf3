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

impl Server {
    /// Starts a server like [`Server::with`] as a user to whom file modes apply; root drops its
    /// privileges. Returns `None` and reports that the test is skipped if root cannot become
    /// another user or that user cannot reach the site.
    pub fn unprivileged(site: &Site, args: &[&str]) -> Option<Server> {
        if !geteuid().is_root() {
            return Some(Server::with(site, args));
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
        let as_nobody = |command: &mut Command| {
            command.uid(NOBODY).gid(NOBODY);
        };
        let mut probe = Command::new(&binary);
        as_nobody(&mut probe);
        let reaches_site = probe.args(["completions", "bash"]).current_dir(site.path()).stdout(Stdio::null());
        match reaches_site.status() {
            Ok(status) => assert!(status.success(), "{status}"),
            Err(e) if matches!(e.kind(), ErrorKind::PermissionDenied | ErrorKind::InvalidInput) => {
                skip(&format!("root cannot become another user: {e}"));
                return None;
            }
            Err(e) => panic!("cannot run the copy: {e}"),
        }
        let mut command = Command::new(&binary);
        as_nobody(&mut command);
        command.args(["--port", "0", "--allow-host", "*"]).args(args).arg(site.path()).stderr(Stdio::piped());
        Some(Server::spawn(command)) // the process keeps running when the copy is removed
    }
}
