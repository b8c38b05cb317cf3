//! What leads out of the served directory, and what is mounted inside it.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::{
    common::*,
    listings::{entries, text},
};

const WAYS_TO_NOTICE: [&[&str]; 2] = [&[], &["--no-watch"]];
/// Longer than a file that is kept in memory.
const LARGE: usize = 200_000;

/// A thread that exchanges two names over and over, until it is dropped.
struct Swapping {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Swapping {
    /// Returns `None` and reports that the test is skipped if the file system cannot exchange
    /// names.
    fn new(one: PathBuf, other: PathBuf) -> Option<Swapping> {
        let swap = move || renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE);
        if let Err(errno) = swap() {
            skip_for_kernel(&format!("no exchange of names: {errno}"));
            return None;
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let is_over_there = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            while !is_over_there.load(Ordering::Relaxed) {
                swap().expect("swap");
            }
        });
        Some(Swapping { is_over, thread: Some(thread) })
    }
}

impl Drop for Swapping {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The sandbox would refuse the outside as well, so it is off.
#[test]
fn link_that_replaces_a_file_or_directory_meanwhile_never_leads_out() {
    for args in WAYS_TO_NOTICE {
        for (name, target) in [("dir", "../outside"), ("dir/deep", "../../outside/deep")] {
            let top = Site::empty();
            for dir in ["site/dir", "outside"] {
                top.write(format!("{dir}/deep/small"), &dir[..1]);
                top.write(format!("{dir}/deep/large"), dir[..1].repeat(LARGE));
            }
            let (dir, link) = (top.at(format!("site/{name}")), top.at(format!("site/{name}-link")));
            symlink(target, &link).expect("a link");
            let server = Server::on(&top.at("site"), &[args, &["--no-sandbox"]].concat());
            let Some(_swapping) = Swapping::new(dir, link) else { return };
            let mut client = server.connect();
            let mut seen = [0, 0];
            // Both states of the directory are seen, however slow the machine is.
            while seen.iter().any(|count| *count < 200) {
                for path in ["/dir/deep/small", "/dir/deep/large"] {
                    client.send(get(path));
                    let response = client.response_to(get(path).as_ref());
                    let text = response.text();
                    assert!(matches!(response.status, 200 | 404), "{path} is a {}", response.status);
                    assert!(!text.starts_with('o'), "{path} leads out");
                    seen[usize::from(response.status == 404)] += 1;
                }
            }
        }
    }
}

/// Returns the status and the content of `path`.
fn answer(server: &Server, path: &str) -> (u16, String) {
    let response = server.get(path);
    (response.status, if response.status == 200 { response.text() } else { String::new() })
}

/// Mounts a tmpfs or another directory at `path`.
fn mounted(is_bind: bool, other: &Site, path: &Path) -> Option<Mount> {
    Mount::new(is_bind.then_some(other.path()), path)
}

#[test]
fn mount_inside_the_site_is_served_and_its_changes_are_seen_at_once() {
    each(WAYS_TO_NOTICE, |args| {
        for is_bind in [false, true] {
            let (site, other) = (Site::new(), Site::empty());
            fs::create_dir(site.at("mount")).expect("a directory");
            let Some(_mount) = mounted(is_bind, &other, &site.at("mount")) else { return };
            site.write("mount/dir/a.txt", "old");
            site.write("mount/large", "x".repeat(LARGE));
            site.write("mount/.hidden", "secret");
            symlink("../hello.txt", site.at("mount/link")).expect("a link");
            symlink("../../hello.txt", site.at("mount/out")).expect("a link");
            let server = Server::on(site.path(), &[args, &["--listing"][..]].concat());
            for _ in 0..4 {
                assert_eq!(answer(&server, "/mount/dir/a.txt"), (200, "old".into()));
                assert_eq!(answer(&server, "/mount/dir/late.txt").0, 404);
                assert_eq!(answer(&server, "/mount/link"), (200, "hello\n".into()));
                assert_eq!(answer(&server, "/mount/large").1.len(), LARGE);
                for path in ["/mount/.hidden", "/mount/out"] {
                    assert_eq!(answer(&server, path).0, 404, "{path}");
                }
            }
            site.write("mount/dir/a.txt", "new and longer");
            assert_eq!(answer(&server, "/mount/dir/a.txt").1, "new and longer");
            site.write("mount/dir/late.txt", "late");
            assert_eq!(answer(&server, "/mount/dir/late.txt").1, "late");
            let listed = entries(&server, "/mount/");
            let mut names: Vec<_> = listed.iter().map(|entry| text(entry, "name")).collect();
            names.sort_unstable();
            assert_eq!(names, ["dir", "large", "link"]);
        }
    });
}

/// No event reports a mount, so a path is opened again after a second at the latest, also while it
/// is requested all the time.
#[test]
fn mount_over_known_files_and_absences_is_noticed() {
    each(WAYS_TO_NOTICE, |args| {
        for is_bind in [false, true] {
            let (site, other) = (Site::new(), Site::empty());
            site.write("dir/a.txt", "below");
            let server = Server::on(site.path(), args);
            let is = |a: &str, late: u16| {
                let seen = [answer(&server, "/dir/a.txt").1, answer(&server, "/dir/late.txt").0.to_string()];
                seen == [a.to_owned(), late.to_string()]
            };
            // The cache and the watches have both by now.
            for _ in 0..4 {
                assert!(is("below", 404));
            }
            let Some(mount) = mounted(is_bind, &other, &site.at("dir")) else { return };
            site.write("dir/a.txt", "above");
            site.write("dir/late.txt", "late");
            eventually("the mount is noticed", || is("above", 200));
            for _ in 0..4 {
                assert!(is("above", 200));
            }
            drop(mount);
            eventually("the unmount is noticed", || is("below", 404));
        }
    });
}
