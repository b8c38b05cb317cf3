//! `--user`: a server that is started as root gives up root when its sockets and logs are open.

use std::{
    fs::{self, Permissions},
    io::{BufRead, BufReader},
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    process::Stdio,
};

use rustix::process::{Signal, geteuid};

use crate::common::*;
use crate::configuration::{assert_usage_error, run};

/// A user that every system has, and its ID.
const USER: &str = "nobody";
const NOBODY: u32 = 65_534;

/// Returns a site that every user can read, or `None` if this process cannot become another user.
fn readable_site() -> Option<Site> {
    if !geteuid().is_root() {
        skip_for_kernel("only root can become another user");
        return None;
    }
    let site = Site::new();
    Unprivileged::program(&site)?; // makes the site readable
    Some(site)
}

/// Returns the values of the line `name` in the status of the server's process.
fn status(server: &Server, name: &str) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("read the status");
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect(name);
    line.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn server_gives_up_root_for_good() {
    let Some(site) = readable_site() else { return };
    let server = Server::with(&site, &["--user", USER]);
    let nobody = NOBODY.to_string();
    assert_eq!(status(&server, "Uid:"), [nobody.as_str(); 4], "real, effective, saved and file system");
    assert!(status(&server, "Gid:").iter().all(|group| group != "0"));
    assert!(status(&server, "Groups:").iter().all(|group| group != "0"), "root's groups as well");
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(status(&server, set), ["0000000000000000"], "{set}");
    }
    assert_eq!(status(&server, "Threads:"), ["1"]);
    assert_eq!(server.get("/hello.txt").text(), "hello\n");
    // Another user than the one that has opened the directory still gets its changes.
    assert_eq!(server.get("/hello.txt").text(), "hello\n");
    site.write("hello.txt", "changed\n");
    assert_eq!(server.get("/hello.txt").text(), "changed\n");
    site.write("private", "secret");
    fs::set_permissions(site.at("private"), Permissions::from_mode(0o600)).expect("restrict it");
    assert_eq!(server.get("/private").status, 403, "file modes apply");
}

#[test]
fn log_that_root_has_opened_is_written_by_the_user() {
    let Some(site) = readable_site() else { return };
    let logs = Site::empty();
    let (log, old) = (logs.at("access.log"), logs.at("access.log.1"));
    let flag = format!("--access-log={}", log.display());
    let mut server = Server::with(&site, &["--user", USER, &flag]);
    assert_eq!(fs::metadata(&log).expect("the log").uid(), 0);
    let mut stderr = BufReader::new(server.stderr());
    let mut warning = String::new();
    stderr.read_line(&mut warning).expect("a line");
    assert!(warning.contains("cannot open") && warning.contains("make it the owner"), "{warning}");
    let lines = |path| fs::read_to_string(path).unwrap_or_default().lines().count();
    server.get("/hello.txt");
    eventually("the log has a line", || lines(&log) == 1);
    // The user cannot create a file here, so the server goes on with the old one.
    fs::rename(&log, &old).expect("rotate");
    server.signal(Signal::HUP);
    let mut warning = String::new();
    stderr.read_line(&mut warning).expect("a line");
    assert!(warning.contains("using the old file"), "{warning}");
    server.get("/hello.txt");
    eventually("the old log has another line", || lines(&old) == 2);
    // Now it can.
    fs::set_permissions(logs.path(), Permissions::from_mode(0o755)).expect("let it be searched");
    fs::write(&log, "").and_then(|()| chown(&log, Some(NOBODY), None)).expect("create a log");
    server.signal(Signal::HUP);
    eventually("the new log has a line", || {
        server.get("/hello.txt");
        lines(&log) > 0
    });
}

#[test]
fn file_that_the_user_cannot_reach_is_a_usage_error() {
    let Some(site) = readable_site() else { return };
    let mail = Site::empty();
    let mail_dir = mail.at("mail");
    let mail_dir = mail_dir.to_str().expect("UTF-8");
    let args = ["-p", "0", "--user", USER, "--smtp", "127.0.0.1:0", "--mail-dir", mail_dir, "."];
    assert_usage_error(&run(site.path(), &args, &[]), &[USER, mail_dir, "run chown -R nobody"]);
    fs::set_permissions(site.path(), Permissions::from_mode(0o700)).expect("restrict it");
    assert_usage_error(&run(site.path(), &["-p", "0", "--user", USER, "."], &[]), &[USER, "cannot read '.'"]);
}

#[test]
fn user_that_cannot_be_assumed_is_a_usage_error() {
    let site = Site::new();
    let refused = |user: &str| run(site.path(), &["-p", "0", "--user", user, "."], &[]);
    assert_usage_error(&refused("no-such-user"), &["there is no user 'no-such-user'", "create it first"]);
    assert_usage_error(&refused("root"), &["would keep root", "name another user"]);
    let Some(mut program) = Unprivileged::program(&site) else { return };
    program.command.args(["-p", "0", "--user", "daemon"]).arg(site.path());
    let output = program.command.stdin(Stdio::null()).output().expect("run oneloop");
    assert_usage_error(&output, &["only root can become another user", "leave out --user"]);
}
