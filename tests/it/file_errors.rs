//! File systems that fail: an error is never reported as absence, what fails for a moment is
//! repeated, and the log has one line a minute and cause.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::process::Signal;

use crate::{common::*, listings::list};

/// Makes a system call of the server fail, until it is dropped.
struct Injection(Child);

impl Injection {
    /// Injects `fault`, such as `openat2:error=EIO:when=2+4` (strace(1)), into the calls of
    /// `server`. Returns `None` and reports that the test is skipped if strace cannot do that.
    fn new(server: &Server, fault: &str) -> Option<Injection> {
        let (call, _) = fault.split_once(':').expect("a call and its fault");
        let mut strace = Command::new("strace");
        strace.args(["-p", &server.pid().to_string(), "-o", "/dev/null", "-e", &format!("trace={call}")]);
        strace.args(["-e", &format!("inject={fault}")]).stderr(Stdio::piped());
        let Ok(mut child) = strace.spawn() else {
            skip("strace is not installed");
            return None;
        };
        let mut line = String::new();
        BufReader::new(child.stderr.take().expect("piped")).read_line(&mut line).expect("read");
        if !line.contains("attached") {
            let _ = child.wait();
            skip(&format!("strace cannot attach: {line}"));
            return None;
        }
        Some(Injection(child))
    }
}

impl Drop for Injection {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn site() -> Site {
    let site = Site::new();
    site.write("page.html", "page\n");
    site.write("dir/page.html", "page\n");
    for i in 0..20 {
        site.write(format!("list/{i:02}"), "x");
    }
    site
}

/// Old kernels lack these calls. Containers and sandboxes refuse them, each with its own errno.
#[test]
fn server_does_without_calls_that_a_kernel_may_refuse() {
    if !Command::new("strace").args(["-o", "/dev/null", "true"]).status().is_ok_and(|s| s.success()) {
        return skip("strace cannot trace");
    }
    let site = site();
    let large = pattern(300_000);
    site.write("large.bin", &large);
    for call in [
        "openat2",
        "sendfile",
        "preadv2",
        "fadvise64",
        "inotify_init1",
        "inotify_add_watch",
        "fstatfs",
        "landlock_create_ruleset",
        "landlock_restrict_self",
    ] {
        for error in ["ENOSYS", "EPERM", "EINVAL", "EOPNOTSUPP"] {
            let script = format!(
                "exec strace -D -f -o /dev/null -e trace={call} -e inject={call}:error={error} \"$0\" \"$@\""
            );
            let server = Server::in_shell(&script, &site, &[]);
            for _ in 0..3 {
                assert_eq!(server.get("/page.html").text(), "page\n", "{call} {error}");
            }
            assert_eq!(server.get("/large.bin").body, large, "{call} {error}");
            assert_eq!(server.get("/dir").status, 301, "{call} {error}");
            assert_eq!(server.get("/missing").status, 404, "{call} {error}");
        }
    }
}

#[test]
fn failing_disk_is_an_error_and_never_a_404_or_a_redirect_or_the_spa_page() {
    if leaves_out("openat2") {
        return;
    }
    let site = site();
    let server = Server::with(&site, &["--no-watch", "--clean-urls", "--listing", "--spa=index.html"]);
    for (error, status) in [("EIO", 500), ("ENOTCONN", 500), ("EMFILE", 503), ("EINTR", 503)] {
        let Some(_injection) = Injection::new(&server, &format!("openat2:error={error}")) else { return };
        for path in ["/hello.txt", "/page", "/dir", "/missing", "/list/", "/"] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n");
            assert_eq!(server.ask(request).status, status, "{error} {path}");
        }
    }
}

/// Its status is sent before it is read.
#[test]
fn file_of_unknown_length_that_cannot_be_read_ends_without_a_last_chunk() {
    if std::fs::read("/proc/kallsyms").unwrap_or_default().len() < 1 << 20 {
        return skip_for_kernel("no large file in /proc");
    }
    let folder = Site::empty();
    let log = folder.at("log");
    let log_flag = format!("--access-log={}", log.display());
    let mut server = Server::on(Path::new("/proc"), &[&log_flag]);
    let Some(_injection) = Injection::new(&server, "pread64:error=EIO:when=100+") else { return };
    let mut client = server.connect();
    client.send(get("/kallsyms"));
    assert_eq!(client.head().status, 200);
    let body = client.rest();
    assert!(body.len() > 10_000 && !body.ends_with(b"0\r\n\r\n"), "{} bytes", body.len());
    let mut stderr = BufReader::new(server.stderr());
    let mut line = String::new();
    stderr.read_line(&mut line).expect("read");
    assert!(line.contains("cannot read 'a file of unknown length': Input/output error"), "{line}");
    eventually("the access log has it", || {
        std::fs::read_to_string(&log).is_ok_and(|log| log.contains("GET /kallsyms"))
    });
}

#[test]
fn file_call_that_fails_for_a_moment_is_repeated() {
    if leaves_out("openat2") {
        return;
    }
    let site = site();
    for fault in [
        "openat2:error=EINTR:when=2+5",
        "openat2:error=ESTALE:when=2+4",
        "openat2:error=EAGAIN:when=2+4",
        "fstat:error=ESTALE:when=3+5",
        "pread64:error=ESTALE:when=3+5",
        "pread64:error=EINTR:when=2+3",
        "newfstatat:error=ESTALE:when=2+3",
        "getdents64:error=EINTR:when=1+2",
    ] {
        let server = Server::with(&site, &["--no-watch", "--listing"]);
        let Some(_injection) = Injection::new(&server, fault) else { return };
        for i in 0..20 {
            assert_eq!(server.get(&format!("/list/{i:02}")).status, 200, "{fault} {i}");
        }
        let listing = list(&server, "/list/", "");
        assert_eq!(listing.status, 200, "{fault}");
        let listing = String::from_utf8_lossy(&listing.body);
        assert!((0..20).all(|i| listing.contains(&format!(">{i:02}<"))), "{fault}: {listing}");
    }
}

#[test]
fn listing_with_an_entry_that_cannot_be_read_is_an_error_and_not_shorter() {
    let site = site();
    let server = Server::with(&site, &["--no-watch", "--listing"]);
    let Some(_injection) = Injection::new(&server, "newfstatat:error=EIO:when=9") else { return };
    assert_eq!(server.get("/list/").status, 500);
    assert_eq!(list(&server, "/list/", "").status, 200);
}

#[test]
fn failing_disk_is_logged_once_for_each_cause() {
    if leaves_out("openat2") {
        return;
    }
    let site = site();
    let mut server = Server::spawn(Server::command(site.path(), &["--no-watch"]));
    for error in ["EIO", "ENOTCONN"] {
        let Some(_injection) = Injection::new(&server, &format!("openat2:error={error}")) else { return };
        (0..20).for_each(|i| assert_eq!(server.get(&format!("/list/{i:02}")).status, 500));
    }
    server.signal(Signal::TERM);
    let mut log = String::new();
    server.stderr().read_to_string(&mut log).expect("read");
    assert_eq!(log.matches("cannot read 'list/00'").count(), 2, "{log}");
    assert_eq!(log.matches("cannot read").count(), 2, "{log}");
}

#[test]
fn variant_that_cannot_be_read_is_not_taken_for_absent() {
    let site = site();
    site.write("hello.txt.gz", "not really gzip");
    let server = Server::with(&site, &["--no-watch"]);
    let Some(injection) = Injection::new(&server, "pread64:error=EIO") else { return };
    let ask = |accept: &str| {
        server.ask(format!("GET /hello.txt HTTP/1.1\r\nHost: x\r\nAccept-Encoding: {accept}\r\n\r\n"))
    };
    assert_eq!(ask("gzip").status, 500, "the file itself cannot be read either");
    drop(injection);
    // The file is read, and then its variant.
    let Some(_injection) = Injection::new(&server, "pread64:error=EIO:when=3+4") else { return };
    let response = ask("gzip, identity;q=0");
    assert_eq!(response.status, 500, "{response:?}");
}

/// A file system or a sandbox may lack sendfile. The first response that meets the refusal must be
/// whole, and the next ones must not try again.
#[test]
fn large_file_is_sent_whole_where_sendfile_is_refused() {
    let site = site();
    let content = pattern(3 << 20);
    site.write("large.bin", &content);
    for error in ["EINVAL", "ENOSYS", "EPERM", "EOPNOTSUPP"] {
        let mut server = Server::with(&site, &["--trace=io"]);
        let Some(_injection) = Injection::new(&server, &format!("sendfile:error={error}")) else { return };
        for _ in 0..2 {
            let response = server.get("/large.bin");
            assert!(response.status == 200 && response.body == content, "{error}: {}", response.body.len());
        }
        let part = server.ask("GET /large.bin HTTP/1.1\r\nHost: x\r\nRange: bytes=9-1999999\r\n\r\n");
        assert!(part.status == 206 && part.body == content[9..2_000_000], "{error}");
        server.signal(Signal::TERM);
        let mut trace = String::new();
        server.stderr().read_to_string(&mut trace).expect("read");
        assert!(trace.contains("pread+send"), "{error}: {trace}");
        assert!(!trace.contains("cannot send"), "{error}: {trace}");
    }
}
