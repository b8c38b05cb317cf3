//! What was answered with 250 survives `kill -9`, once and whole.

use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, SystemTime},
};

use rustix::process::Signal;

use super::*;

/// The maximum number of messages in the mailbox.
const MAX_MESSAGES: u64 = 1000;
/// The number of times that the server is killed.
const ROUNDS: u64 = 12;
/// The number of clients that send at the same time.
const SENDERS: u64 = 4;

/// A number that looks random and depends on `seed` (splitmix64).
fn scramble(seed: u64) -> u64 {
    let mut z = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Returns the content of the message `id`: up to 40,000 bytes that depend on it.
fn content(id: u64) -> String {
    let lines = scramble(id) % 1000;
    let body: String =
        (0..lines).map(|line| format!("{:016x} {line}\r\n", scramble(id ^ line << 32))).collect();
    format!("Subject: {id}\r\n\r\n{body}")
}

/// Sends messages until the server is gone. Returns the numbers of those that were answered with
/// 250. Does not wait for the server between commands, so that it is killed at every point.
fn send_until_killed(address: SocketAddr, ids: impl Iterator<Item = u64>, is_over: &AtomicBool) -> Vec<u64> {
    let mut stored = Vec::new();
    let Ok(socket) = TcpStream::connect(address) else { return stored };
    socket.set_read_timeout(Some(SOON)).expect("set a timeout");
    let mut replies = Replies { socket: &socket, buffer: Vec::new() };
    for id in ids {
        let commands = "EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n";
        let message = format!("{commands}{}.\r\n", content(id));
        if (&socket).write_all(message.as_bytes()).is_err() {
            assert_killed(is_over);
            break;
        }
        match replies.next_after("354 ") {
            Some(line) if line.starts_with("250 ") => stored.push(id),
            Some(line) => panic!("message {id} is refused: {line}"),
            None => {
                assert_killed(is_over);
                break;
            }
        }
    }
    stored
}

/// Asserts that the connection was closed because the server has been killed.
fn assert_killed(is_over: &AtomicBool) {
    assert!(is_over.load(Ordering::Relaxed), "the server closed the connection");
}

/// Reads lines until the connection ends.
struct Replies<'a> {
    socket: &'a TcpStream,
    buffer: Vec<u8>,
}

impl Replies<'_> {
    /// Returns the line after the next one that begins with `prefix`, or `None` if the connection
    /// ends before.
    fn next_after(&mut self, prefix: &str) -> Option<String> {
        while !self.next()?.starts_with(prefix) {}
        self.next()
    }

    fn next(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.iter().position(|b| *b == b'\n') {
                return Some(lossy(&self.buffer.drain(..=end).collect::<Vec<_>>()));
            }
            let mut chunk = [0; 4096];
            match uninterrupted(|| self.socket.read(&mut chunk)) {
                Ok(0) | Err(_) => return None,
                Ok(got) => self.buffer.extend_from_slice(&chunk[..got]),
            }
        }
    }
}

#[test]
fn mail_answered_with_250_survives_sigkill() {
    let dir = tempfile::tempdir().expect("a directory");
    let since = SystemTime::UNIX_EPOCH.elapsed().expect("a time after 1970");
    let seed = since.as_nanos() as u64;
    // The messages that must be in the mailbox.
    let mut expected: Vec<u64> = Vec::new();
    let mut total = 0;
    for round in 0..ROUNDS {
        let what = format!("round {round}, seed {seed}");
        let catcher = Catcher::in_dir(dir.path());
        let (address, is_over) = (catcher.server.addr_of("smtp://"), AtomicBool::new(false));
        let stored: Vec<u64> = thread::scope(|scope| {
            let senders: Vec<_> = (0..SENDERS)
                .map(|sender| {
                    let first = (round * SENDERS + sender) * 1_000_000;
                    let is_over = &is_over;
                    // All rounds together must not fill the mailbox.
                    let ids = first..first + MAX_MESSAGES / (ROUNDS * SENDERS);
                    scope.spawn(move || send_until_killed(address, ids, is_over))
                })
                .collect();
            thread::sleep(Duration::from_micros(5_000 + scramble(seed ^ round) % 60_000));
            is_over.store(true, Ordering::Relaxed);
            catcher.server.signal(Signal::KILL);
            senders.into_iter().flat_map(|sender| sender.join().expect("a sender")).collect()
        });
        total += stored.len();
        expected.extend(stored);
        drop(catcher);
        expected = check(&Catcher::in_dir(dir.path()), &expected, round % 3 == 2, &what);
    }
    assert!(total > ROUNDS as usize, "only {total} messages in {ROUNDS} rounds");
}

/// Asserts that each of `expected` is in the mailbox exactly once and that every message there is
/// whole. Deletes half of them if `deletes`. Returns the numbers of the messages that are left.
fn check(catcher: &Catcher, expected: &[u64], deletes: bool, what: &str) -> Vec<u64> {
    let mut counts: HashMap<u64, usize> = HashMap::new();
    let messages = catcher.messages();
    let mut ids = Vec::new();
    for message in &messages {
        let id = message.strip_prefix("Subject: ").and_then(|rest| rest.split("\r\n").next());
        let id: u64 = id.and_then(|id| id.parse().ok()).unwrap_or_else(|| panic!("{what}: {message:?}"));
        assert!(*message == content(id), "{what}: message {id} is not whole");
        *counts.entry(id).or_default() += 1;
        ids.push(id);
    }
    for id in expected {
        assert_eq!(counts.get(id), Some(&1), "{what}: message {id}");
    }
    assert!(counts.values().all(|count| *count == 1), "{what}: {counts:?}");
    if !deletes {
        return ids;
    }
    let mut reader = catcher.reader();
    for number in (1..=ids.len()).step_by(2) {
        assert!(pop3(&mut reader, &format!("DELE {number}")), "{what}");
    }
    assert!(pop3(&mut reader, "QUIT"), "{what}");
    reader.expect_close();
    ids.into_iter().skip(1).step_by(2).collect()
}

/// A kill does not show what a power failure would lose, but the order of the system calls does:
/// the reply comes after both syncs.
#[test]
fn mail_is_synced_before_the_reply() {
    if leaves_out("renameat2") {
        return;
    }
    if !Command::new("strace").arg("true").output().is_ok_and(|output| output.status.success()) {
        return skip("strace is not installed, or may not trace");
    }
    let (site, dir) = (Site::new(), tempfile::tempdir().expect("a directory"));
    let calls = dir.path().join("calls");
    let mut strace = Command::new("strace");
    // -D: the server stays our child, and strace ends with it.
    strace.args(["-D", "--quiet=all", "-e", "trace=openat,write,fsync,renameat2,sendto", "-o"]).arg(&calls);
    strace.args([env!("CARGO_BIN_EXE_oneloop"), "--port", "0", "--smtp", "127.0.0.1:0", "--mail-dir"]);
    strace.arg(dir.path().join("mail")).arg(site.path()).stderr(Stdio::piped());
    let server = Server::spawn(strace);
    let mut client = Client::connect(server.addr_of("smtp://"));
    assert_eq!((code(&mut client), command(&mut client, "EHLO a")), (220, 250));
    assert_eq!(send_message(&mut client, b"x\r\n"), 250);
    let mut log = String::new();
    eventually("strace has written", || {
        log = std::fs::read_to_string(&calls).expect("read the calls");
        log.contains("\"250 OK: the message is kept")
    });
    let mut rest = &*log;
    let order =
        ["O_CREAT|O_EXCL", "\nwrite(", "\nfsync(", "\nrenameat2(", "\nfsync(", "\"250 OK: the message"];
    for call in order {
        let at = rest.find(call).unwrap_or_else(|| panic!("no {call} in its place: {log}"));
        rest = &rest[at + call.len()..];
    }
}

#[test]
fn mail_directory_that_cannot_be_written_is_a_temporary_error() {
    let dir = tempfile::tempdir().expect("a directory");
    let catcher = Catcher::in_dir(dir.path());
    let mut client = catcher.greeted();
    assert_eq!(send_message(&mut client, b"one\r\n"), 250);
    let (new, away) = (dir.path().join("new"), dir.path().join("away"));
    std::fs::rename(&new, &away).expect("rename");
    assert_eq!(send_message(&mut client, b"two\r\n"), 451);
    std::fs::rename(&away, &new).expect("rename");
    assert_eq!(send_message(&mut client, b"three\r\n"), 250);
    assert_eq!(catcher.messages(), ["one\r\n", "three\r\n"]);
    drop(catcher);
    assert_eq!(Catcher::in_dir(dir.path()).messages(), ["one\r\n", "three\r\n"]);
}

#[test]
fn mail_directory_needs_a_mail_service_and_room() {
    let site = Site::new();
    let refused = |args: &[&str]| {
        let output = Server::command(site.path(), args).output().expect("run oneloop");
        (output.status.code(), lossy(&output.stderr))
    };
    let dir = site.at("mail");
    let dir = dir.to_str().expect("UTF-8");
    let (code, message) = refused(&["--mail-dir", dir]);
    assert!(code == Some(2) && message.contains("add --smtp or --pop3"), "{message}");
    assert!(!site.at("mail").exists());
    let (code, message) =
        refused(&["--mail-dir", site.at("hello.txt").to_str().expect("UTF-8"), "--smtp", "127.0.0.1:0"]);
    assert!(code == Some(2) && message.contains("cannot use the mail directory"), "{message}");
    site.crowd("mail/cur", (0..1001).map(|number| format!("{number}.M1P1Q1.host:2,S")));
    let (code, message) = refused(&["--mail-dir", dir, "--pop3", "127.0.0.1:0"]);
    assert!(code == Some(2) && message.contains("limit of 1000 messages"), "{message}");
}

#[test]
fn mail_that_others_can_read_is_a_warning() {
    let warnings = |site: &Site, args: &[&str]| {
        let mut server = Server::with(site, args);
        let mut text = String::new();
        let mut stderr = server.stderr();
        server.signal(Signal::TERM);
        stderr.read_to_string(&mut text).expect("read");
        text
    };
    let site = Site::new();
    let (inside, hidden) = (site.at("mail"), site.at(".mail"));
    let [inside, hidden] = [&inside, &hidden].map(|dir| dir.to_str().expect("UTF-8"));
    let text = warnings(&site, &["--smtp", "127.0.0.1:0", "--mail-dir", inside]);
    assert!(text.contains("is in the served directory"), "{text}");
    let text = warnings(&site, &["--smtp", "127.0.0.1:0", "--mail-dir", hidden]);
    assert!(!text.contains("is in the served directory"), "{text}");
    let text = warnings(&site, &["--smtp", "0.0.0.0:0", "--pop3", "[::]:0"]);
    for flag in ["--smtp 0.0.0.0:", "--pop3 [::]:"] {
        assert!(text.contains(flag) && text.contains("from other machines without authentication"), "{text}");
    }
}
