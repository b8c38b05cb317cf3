//! `oneloop lesson --against`: the clients of the lessons, against servers that do as the lessons
//! say, and against servers with the bugs of the lessons.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use crate::common::*;
use oneloop::{
    internals::BrokenServer,
    lessons::{Bug, TRIALS},
};
use serde_json::Value;

fn lesson(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_oneloop")).arg("lesson").args(args).output().expect("run the lesson")
}

/// Returns what the program printed.
fn text_of(output: &Output) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(&output.stdout)
}

/// Plays all trials, or the trials of one lesson, and returns the exit code and the results.
fn play(args: &[&str]) -> (Option<i32>, Value) {
    let output = lesson(&[args, &["--json"]].concat());
    let json = serde_json::from_slice(&output.stdout);
    (output.status.code(), json.unwrap_or_else(|e| panic!("{args:?}: {e}: {}", lossy(&output.stderr))))
}

/// Returns the result of each trial that was played.
fn results(json: &Value) -> Vec<(&str, &str)> {
    let trials = json["trials"].as_array().expect("trials");
    trials
        .iter()
        .map(|trial| (trial["trial"].as_str().expect("a name"), trial["result"].as_str().expect("a result")))
        .collect()
}

/// Whether a server must end.
#[derive(Default)]
struct Over(AtomicBool);

/// Ends a server when it is dropped, also by a panic.
struct EndOnDrop<'a>(&'a Over);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `play` against a server with `bug`.
fn with_bug<T>(bug: Bug, play: impl FnOnce(&str) -> T) -> T {
    let site = Site::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("its address").to_string();
    site.write("index.html", pattern(400));
    let is_over = Over::default();
    thread::scope(|scope| {
        scope.spawn(|| {
            let block = Duration::from_secs(5);
            let mut server = BrokenServer::new(bug, listener, site.path(), block).expect("a server");
            while !is_over.0.load(Ordering::Relaxed) {
                server.turn().expect("a turn");
            }
        });
        let _end = EndOnDrop(&is_over);
        play(&address)
    })
}

#[test]
fn against_oneloop_all_lessons_pass() {
    allow_many_descriptors();
    let site = Site::new();
    site.write("index.html", pattern(400));
    let server = Server::with(&site, &["--head-timeout", "1s"]);
    let (code, json) = play(&["--against", &server.addr().to_string()]);
    assert_eq!(code, Some(0), "{json:#}");
    let expected: Vec<_> = TRIALS.iter().map(|trial| (trial.name, "passed")).collect();
    assert_eq!(results(&json), expected, "{json:#}");
}

#[test]
fn against_a_broken_loop_the_lesson_of_the_bug_fails() {
    allow_many_descriptors();
    for trial in TRIALS {
        let Some(bug) = trial.bug else { continue };
        // A client whose connection the backlog has no room for tries again after a second.
        let timeout = if bug == Bug::ScanAll { "3s" } else { "500ms" };
        let number = trial.lesson.to_string();
        let attempt = |_| {
            let times = ["--timeout", timeout, "--deadline", "500ms"];
            with_bug(bug, |address| play(&[&[&number, "--against", address], &times[..]].concat()))
        };
        // Some bugs only make others wait, which a busy machine can hide.
        let found = |(code, _): &(Option<i32>, Value)| *code == Some(1);
        let (code, json) = (0..4).map(attempt).find(found).unwrap_or_else(|| attempt(4));
        assert_eq!(code, Some(1), "{}: {json:#}", bug.name());
        let failed = json["trials"].as_array().expect("trials").iter().find(|of| of["trial"] == trial.name);
        let failed = failed.expect("the trial");
        assert_eq!((&failed["result"], &failed["bug"]), (&"failed".into(), &bug.name().into()), "{json:#}");
    }
}

#[test]
fn against_a_program_of_the_course_speaks_lines() {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/course/blocking.py");
    let Ok(mut server) = Command::new("python3").args([program, "0"]).stdout(Stdio::piped()).spawn() else {
        return skip("python3 is not installed");
    };
    let mut line = String::new();
    BufReader::new(server.stdout.take().expect("piped")).read_line(&mut line).expect("its address");
    let address = line.split(',').next().expect("an address").trim();
    let arguments = ["--against", address, "--lines", "--timeout", "300ms", "--deadline", "300ms"];
    let [two, three] = ["2", "3"].map(|number| lesson(&[&[number], &arguments[..]].concat()));
    server.kill().expect("kill it");
    server.wait().expect("its end");
    let text = text_of(&two);
    assert!(two.status.success() && text.contains("2 passed, 0 failed"), "{text}");
    // It serves one client at a time.
    let text = text_of(&three);
    let parts =
        ["FAILED  3  never-reads", "B got no answer", "expected: ", "look for: ", "--break write-all"];
    assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    assert_eq!(
        (three.status.code(), &*lossy(&three.stderr)),
        (Some(1), "oneloop: the server failed 1 of 1 trials\n")
    );
}

#[test]
fn against_a_server_that_closes_each_connection_shows_less() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("its address").to_string();
    thread::scope(|scope| {
        scope.spawn(|| {
            for client in listener.incoming() {
                let mut client = client.expect("a client");
                let mut request = [0; 1024];
                match client.read(&mut request).expect("a request") {
                    0 => break,
                    _ => client.write_all(b"HTTP/1.0 200 OK\r\n\r\nhello\n").expect("answer"),
                }
            }
        });
        let (code, json) = play(&["2", "--against", &address]);
        let end = TcpStream::connect(&address).expect("connect");
        end.shutdown(Shutdown::Write).expect("end the server");
        assert_eq!(code, Some(0), "{json:#}");
        assert_eq!(results(&json), [("pipeline", "not_shown"), ("split", "not_shown")]);
    });
}

#[test]
fn against_reports_errors_in_one_sentence() {
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let closed = closed.to_string();
    let table: [(&[&str], i32, &str); 7] = [
        (&["--against", "192.0.2.1:80"], 2, "192.0.2.1 is a public address"),
        (&["--against", "[2001:db8::1]:80"], 2, "2001:db8::1 is a public address"),
        (&["--against", "localhost"], 2, "use HOST:PORT"),
        (&["10", "--against", "127.0.0.1:80"], 2, "lesson 10 has no clients"),
        (&["2", "--break", "one-read-one-message", "--against", "127.0.0.1:80"], 2, "--against"),
        (&["--json"], 2, "--against"),
        (&["--against", &closed], 1, "connection refused"),
    ];
    for (args, code, words) in table {
        let output = lesson(args);
        let stderr = lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
        assert!(stderr.contains(words) && output.stdout.is_empty(), "{args:?}: {stderr}");
    }
    let (code, json) = play(&["--against", &closed]);
    assert!(code == Some(1) && json["error"].as_str().is_some_and(|text| text.contains("refused")), "{json}");
}
