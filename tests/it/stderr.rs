//! Standard error as the log, and standard output: whatever happens to their readers, the server
//! keeps running, exits when it should, and reports why.

use std::{
    fs::OpenOptions,
    io::{PipeReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{fs::OpenOptionsExt, net::UnixStream},
    },
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::common::*;
use rustix::{
    fs::OFlags,
    process::{Pid, Signal},
};

/// The option that logs everything.
const VERBOSE: [&str; 1] = ["-vvv"];

/// Descriptors that must stay open while a server runs.
type Kept = Vec<OwnedFd>;

/// A kind of standard error: its name, and a function that starts a server with it.
type Case = (&'static str, fn(&Site) -> (Server, Kept));

const CASES: [Case; 6] = [
    ("a full pipe", |site| {
        let (reader, writer) = full_pipe();
        (with_stderr(site, writer), vec![reader.into()])
    }),
    ("a pipe that becomes full", |site| {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        (with_stderr(site, writer.into()), vec![reader.into()])
    }),
    ("a pipe without a reader", |site| {
        let (_, writer) = std::io::pipe().expect("a pipe");
        (with_stderr(site, writer.into()), vec![])
    }),
    ("a closed descriptor", |site| (Server::in_shell("exec \"$0\" \"$@\" 2>&-", site, &VERBOSE), vec![])),
    ("a full socket", |site| {
        let (theirs, ours) = UnixStream::pair().expect("a socket pair");
        theirs.set_nonblocking(true).expect("set non-blocking");
        while (&theirs).write(&[b'x'; 1024]).is_ok() {}
        theirs.set_nonblocking(false).expect("set blocking, as a terminal is");
        (with_stderr(site, theirs.into()), vec![ours.into()])
    }),
    ("a socket without a peer", |site| {
        let (theirs, _) = UnixStream::pair().expect("a socket pair");
        (with_stderr(site, theirs.into()), vec![])
    }),
];

/// Starts a server that logs everything to `stderr`.
fn with_stderr(site: &Site, stderr: OwnedFd) -> Server {
    let mut command = Server::command(site.path(), &VERBOSE);
    command.stderr(stderr);
    Server::spawn(command)
}

/// Returns a full pipe whose write end blocks.
fn full_pipe() -> (PipeReader, OwnedFd) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    // A second open file description leaves the server's end blocking.
    let mut filler = OpenOptions::new()
        .write(true)
        .custom_flags(OFlags::NONBLOCK.bits() as i32)
        .open(format!("/proc/self/fd/{}", writer.as_raw_fd()))
        .expect("open the pipe");
    while filler.write(&[b'x'; 4096]).is_ok() {}
    while filler.write(b"x").is_ok() {}
    (reader, writer.into())
}

/// Returns a port that nothing listens on.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    listener.local_addr().expect("read its address").port()
}

/// Requests `count` files on as many connections and resets some of them, so that each connection
/// logs lines.
fn assert_serves(server: &Server, count: usize) {
    for i in 0..count {
        let begun = Instant::now();
        assert_eq!(server.get("/hello.txt").text(), "hello\n");
        assert!(begun.elapsed() < PROMPT, "request {i} took {:?}", begun.elapsed());
        if i % 10 == 0 {
            let mut client = server.connect();
            client.send("GET /hel");
            client.reset();
        }
    }
}

/// Asserts that SIGTERM ends the server with exit code 0.
fn assert_ends(server: &mut Server) {
    let begun = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(server.exit().code(), Some(0));
    assert!(begun.elapsed() < PROMPT, "it took {:?} to exit", begun.elapsed());
}

#[test]
fn stderr_in_any_state_does_not_block() {
    let site = Site::new();
    each(CASES.map(|(name, _)| name).into_iter().enumerate(), |&(number, _)| {
        let (mut server, _kept) = CASES[number].1(&site);
        assert_serves(&server, 1000); // more lines than a pipe holds
        assert!(server.is_running());
        assert_idle(&server, Duration::from_millis(200));
        assert_ends(&mut server);
    });
}

#[test]
fn stderr_reader_may_go_away_later() {
    let site = Site::new();
    let (reader, writer) = full_pipe();
    let mut server = with_stderr(&site, writer);
    assert_serves(&server, 50);
    drop(reader);
    assert_serves(&server, 50);
    assert_ends(&mut server);
}

#[test]
fn stderr_reader_that_comes_back_gets_whole_lines() {
    let site = Site::new();
    let (mut reader, writer) = full_pipe();
    let mut server = with_stderr(&site, writer);
    assert_serves(&server, 50);
    reader.read_exact(&mut [0; 32 << 10]).expect("room for new lines");
    assert_serves(&server, 50);
    assert_ends(&mut server);
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("UTF-8");
    let lines = text.trim_start_matches('x');
    assert!(lines.contains("closed, eof"), "it logs again: {}", lossy(lines.as_bytes()));
    assert!(lines.ends_with('\n') && lines.lines().all(|line| line.len() < 200), "whole lines");
}

#[test]
fn stderr_gets_the_last_lines_before_the_end() {
    let site = Site::new();
    for args in [&["-v"][..], &["-vvv"]] {
        let mut server = Server::with(&site, args);
        assert_serves(&server, 20);
        let mut stderr = server.stderr();
        assert_ends(&mut server);
        let mut text = String::new();
        stderr.read_to_string(&mut text).expect("UTF-8");
        assert!(text.contains("shutting down; "), "{args:?}: {text}");
        assert_eq!(text.contains("closed, eof"), args == ["-vvv"], "{text}");
    }
}

#[test]
fn stderr_begins_with_what_runs_if_verbose() {
    let site = Site::new();
    let root = site.path().canonicalize().expect("its path");
    for (args, expected) in [
        (
            &["-v", "--max-connections=9", "--idle-timeout=2m"][..],
            [
                "timeouts: request 10s, idle 2m, send 1m, shutdown 8s",
                if cfg!(feature = "portable") { "file changes: stat" } else { "file changes: inotify" },
                "limits: 9 connections, 8 from one address, any number from loopback; ",
                "sandbox: ",
            ],
        ),
        (
            &[
                "-v",
                "--max-connections=9",
                "--max-per-address=0",
                "--no-watch",
                "--no-sandbox",
                "--idle-timeout=0",
            ],
            [
                "timeouts: request 10s, idle none, send 1m, shutdown 8s",
                "file changes: stat",
                "limits: 9 connections, any number from one address; ",
                "sandbox: none (--no-sandbox)",
            ],
        ),
    ] {
        let mut server = Server::spawn(Server::command(site.path(), args));
        let mut stderr = server.stderr();
        assert_ends(&mut server);
        let mut text = String::new();
        stderr.read_to_string(&mut text).expect("UTF-8");
        let version = format!("oneloop {}, process {}", env!("CARGO_PKG_VERSION"), server.pid());
        let root = format!("root: {}", root.display());
        let mut lines = text.lines();
        for part in [&*version, &*root].into_iter().chain(expected) {
            assert!(lines.any(|line| line.contains(part)), "{part:?} does not follow in {text}");
        }
        let mut quiet = Server::spawn(Server::command(site.path(), &[]));
        let mut stderr = quiet.stderr();
        assert_ends(&mut quiet);
        stderr.read_to_string(&mut text).expect("UTF-8");
        assert_eq!(text.matches("root: ").count(), 1, "not without -v: {text}");
    }
}

#[test]
fn stderr_gets_the_log_and_then_the_start_error() {
    let site = Site::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("listen");
    let port = taken.local_addr().expect("read its address").port().to_string();
    let fails = |stderr: Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
        command.args(["--spa=missing.html", "--port", &port]).arg(site.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).spawn().expect("start oneloop")
    };
    let output = fails(Stdio::piped()).wait_with_output().expect("read its output");
    let text = String::from_utf8(output.stderr).expect("UTF-8");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(lines.len() == 2 && lines[0].contains("missing.html"), "the warning comes first: {text}");
    assert!(lines[1].starts_with("oneloop: ") && lines[1].contains(&port), "the reason follows: {text}");
    // If the server cannot write the reason, the exit code still reports it, and the server does
    // not wait.
    let (_reader, full) = full_pipe();
    let mut child = fails(full.into());
    eventually("the server exits", || child.try_wait().expect("poll the process").is_some());
    assert_eq!(child.wait().expect("wait for it").code(), Some(1));
}

#[test]
fn stdout_full_from_the_start_does_not_block() {
    let site = Site::new();
    let port = free_port();
    let (_reader, full) = full_pipe();
    let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
    command.args(["--port", &port.to_string()]).arg(site.path());
    command.stdin(Stdio::null()).stdout(full).stderr(Stdio::null());
    let mut child = command.spawn().expect("start oneloop");
    eventually("it listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    // It handles signals once it serves.
    let mut client = Client::connect(([127, 0, 0, 1], port).into());
    client.send(get("/hello.txt"));
    assert_eq!(client.response().status, 200);
    rustix::process::kill_process(Pid::from_child(&child), Signal::TERM).expect("signal it");
    eventually("it ends", || child.try_wait().expect("poll the process").is_some());
    assert_eq!(child.wait().expect("wait for it").code(), Some(0));
}

/// An output that the server cannot reopen, because it belongs to another user.
#[test]
fn output_of_another_user_does_not_block() {
    let site = Site::new();
    let args: [&[&str]; 3] = [&["--access-log"], &["--trace"], &["-vvv"]];
    each(args, |args| {
        // Nobody reads the pipes after the first line.
        let Some(mut server) = Server::unprivileged(&site, args) else { return };
        let mut client = server.connect();
        for _ in 0..3000 {
            client.send(get("/hello.txt"));
            assert_eq!(client.response().text(), "hello\n");
        }
        drop(client); // the server would expect another request
        assert_ends(&mut server);
    });
}
