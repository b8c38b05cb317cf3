//! The sandbox: a confined server reads its site and writes its log, and nothing else.

use std::{
    fs::{self, File},
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::symlink,
    process::Command,
    thread,
};

use oneloop::sandbox::{Confinement, Sandbox};
use rustix::process::{getppid, test_kill_process};

use crate::common::*;

/// Confines a thread of its own and calls `act` there. Returns whether the kernel can do that, and
/// reports a skipped test if not.
fn confined(sandbox: Sandbox, act: impl FnOnce(Confinement) + Send + 'static) -> bool {
    let confined = thread::spawn(move || {
        let confinement = sandbox.enter().expect("enter the sandbox");
        if confinement != Confinement::Absent {
            act(confinement);
        }
        confinement != Confinement::Absent
    });
    let is_confined = confined.join().expect("the confined thread");
    if !is_confined && !leaves_out("Landlock") {
        skip("the kernel has no Landlock");
    }
    is_confined
}

fn denied<T>(result: std::io::Result<T>) -> bool {
    result.is_err_and(|e| e.kind() == ErrorKind::PermissionDenied)
}

#[test]
fn confined_code_reads_its_directory_and_nothing_else() {
    let (site, other) = (Site::new(), Site::new());
    other.write("secret", "secret");
    symlink(other.path(), site.at("link")).expect("link");
    let (dir, secret) = (site.path().to_owned(), other.at("secret"));
    let mut open = File::open(&secret).expect("open");
    confined(Sandbox::new().read(&dir), move |_| {
        assert_eq!(fs::read(dir.join("hello.txt")).expect("read"), b"hello\n");
        assert!(fs::read_dir(&dir).is_ok());
        let mut content = String::new();
        open.read_to_string(&mut content).expect("what is open stays open");
        assert_eq!(content, "secret");
        for path in
            [secret.as_path(), &dir.join("link/secret"), "/etc/passwd".as_ref(), "/proc/self/maps".as_ref()]
        {
            assert!(denied(File::open(path)), "{}", path.display());
        }
        assert!(denied(fs::read_dir("/")));
    });
}

#[test]
fn confined_code_writes_only_where_it_may() {
    let (site, logs) = (Site::new(), Site::empty());
    logs.write("access.log", "");
    let (dir, log) = (site.path().to_owned(), logs.at("access.log"));
    let is_confined = confined(Sandbox::new().read(&dir).write(logs.path()), move |_| {
        let append = || File::options().create(true).append(true).open(&log);
        append().and_then(|mut log| log.write_all(b"line\n")).expect("append");
        assert!(denied(File::open(&log)), "it is not readable");
        assert!(denied(fs::remove_file(&log)) && denied(fs::rename(&log, dir.join("moved"))));
        for path in [dir.join("new"), dir.join("hello.txt"), std::env::temp_dir().join("beside")] {
            assert!(denied(File::create(&path)), "{}", path.display());
        }
        assert!(denied(fs::remove_file(dir.join("hello.txt"))));
        assert!(denied(fs::create_dir(dir.join("new"))) && denied(symlink("/etc", dir.join("new"))));
    });
    if !is_confined {
        return;
    }
    assert_eq!(fs::read(logs.at("access.log")).expect("read"), b"line\n");
    assert_eq!(fs::read(site.at("hello.txt")).expect("read"), b"hello\n");
}

#[test]
fn confined_code_executes_connects_and_signals_nothing() {
    let site = Site::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let address = listener.local_addr().expect("its address");
    let peer = TcpStream::connect(address).expect("connect");
    test_kill_process(getppid().expect("a parent")).expect("without a sandbox it may");
    confined(Sandbox::new().read(site.path()), move |confinement| {
        assert!(denied(Command::new("/bin/true").status()));
        assert!(listener.accept().is_ok(), "a socket that listens already goes on");
        if confinement != Confinement::Full {
            return skip("before Linux 6.12, Landlock does not restrict sockets and signals");
        }
        assert!(denied(TcpStream::connect(address)));
        assert!(denied(TcpListener::bind("127.0.0.1:0")));
        assert!(test_kill_process(getppid().expect("a parent")).is_err());
    });
    drop(peer);
}

#[test]
fn mail_directory_can_be_used_in_the_sandbox() {
    let dir = Site::empty();
    fs::create_dir(dir.at("new")).and_then(|()| fs::create_dir(dir.at("cur"))).expect("create");
    let path = dir.path().to_owned();
    confined(Sandbox::new().manage(&path), move |_| {
        fs::write(path.join("new/1"), "mail").expect("write");
        fs::rename(path.join("new/1"), path.join("cur/1")).expect("move");
        assert_eq!(fs::read(path.join("cur/1")).expect("read"), b"mail");
        fs::remove_file(path.join("cur/1")).expect("remove");
    });
}

#[test]
fn server_is_confined_unless_a_flag_says_otherwise() {
    let (parent, outside) = (Site::empty(), Site::new());
    if !confined(Sandbox::new(), |_| {}) {
        return;
    }
    for (flag, status) in [(None, 403), (Some("--no-sandbox"), 200)] {
        let dir = parent.at("site");
        let _ = fs::remove_file(&dir);
        parent.write("site/hello.txt", "hello\n");
        let mut args = vec!["--no-watch"];
        args.extend(flag);
        let server = Server::spawn(Server::command(&dir, &args));
        assert_eq!(server.get("/hello.txt").status, 200);
        // Deleted and created again, as build tools do.
        fs::remove_dir_all(&dir).expect("remove");
        parent.write("site/hello.txt", "again\n");
        eventually("the new directory is served", || server.get("/hello.txt").body == b"again\n");
        // Now the name leads elsewhere, where the server has no business.
        fs::remove_dir_all(&dir).expect("remove");
        symlink(outside.path(), &dir).expect("link");
        eventually("the other directory is seen", || server.get("/index.html").status != 404);
        assert_eq!(server.get("/index.html").status, status, "{flag:?}");
    }
}
