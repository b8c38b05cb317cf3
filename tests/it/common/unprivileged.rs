//! A server that may not read everything, although the tests may.

use std::{
    fs::{self, Permissions},
    io::ErrorKind,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::{Command, Stdio},
};

use rustix::process::geteuid;

use super::{Server, Site, skip::skip};

/// The user `nobody`, and its group.
const NOBODY: u32 = 65_534;

impl Server {
    /// Does the same as [`Server::with`] as a user whom file modes bind: root gives its rights up.
    /// Returns `None`, and reports that the test is skipped, where root cannot become another user
    /// or the other user cannot reach the site.
    pub fn unprivileged(site: &Site, args: &[&str]) -> Option<Server> {
        if !geteuid().is_root() {
            return Some(Server::with(site, args));
        }
        // The other user may be shut out of the directory that the binary is in.
        let bin = Site::empty();
        let binary = bin.at("oneloop");
        // By another process: a child that another test starts meanwhile would inherit our writing
        // end, and a file that is open for writing cannot be run (ETXTBSY).
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
        Some(Server::spawn(command)) // it runs on when the copy is gone
    }
}
