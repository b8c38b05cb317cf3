//! `oneloop replay`: a recording of the real server, step by step in both directions.

use std::{fs, path::Path, process::Command};

use crate::{common::*, observe::Observed};
use rustix::process::Signal;

/// Runs `oneloop replay FILE` with these commands, and returns its exit code, output and errors.
fn replay(file: &Path, commands: &str) -> (Option<i32>, String, String) {
    let script = file.with_extension("script");
    fs::write(&script, commands).expect("write the script");
    let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
    command.arg("replay").arg(file).arg("--step-script").arg(script);
    let output = command.output().expect("run oneloop");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    (output.status.code(), text, lossy(&output.stderr))
}

/// Records a server that answers one request.
pub fn recording(dir: &Path) -> std::path::PathBuf {
    let site = Site::empty();
    site.write("hello.txt", "hello\n");
    let file = dir.join("run.json");
    let mut server = Server::with(&site, &["--trace-file", file.to_str().expect("text")]);
    let mut client = server.connect();
    client.send(get("/hello.txt"));
    client.response();
    client.finish();
    client.rest();
    server.signal(Signal::TERM);
    assert!(server.exit().success());
    file
}

#[test]
fn replay_goes_through_a_recording_in_both_directions() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = recording(dir.path());
    let commands = format!("t\np sets\nb eof\nc\np c1\nback e\n{}t\nq\n", "back\n".repeat(10));
    let (code, output, errors) = replay(&file, &commands);
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{output}");
    let expected = [
        "L1 bind 127.0.0.1:",
        "#1 loop wake slept=",
        "-> rs={L1} ws={}",
        "breakpoint 1: eof",
        "c1 eof -- the peer sends no more",
        "replay> p c1\nc1 IDLE in=0 out=",
        "replay> back e\n#",
        " c1 has its turn\n",
        "replay> back\n#",
        "This is the beginning",
        "replay> t\n",
        "#1 loop wake",
    ];
    let mut rest = output.as_str();
    for text in expected {
        let text = text.strip_suffix(" -- the peer sends no more").unwrap_or(text);
        let at = rest.find(text).unwrap_or_else(|| panic!("{text:?} is missing in {rest}"));
        rest = &rest[at + text.len()..];
    }
    let all = replay(&file, "i\n".repeat(100).as_str()).1;
    for text in ["c1 parse GET /hello.txt HTTP/1.1 len=", "c1 plan 200 head=", "c1 close reason=eof"] {
        assert!(all.contains(text), "{text:?} is missing in {all}");
    }
}

#[test]
fn replay_of_a_killed_server_works() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = recording(dir.path());
    let text = fs::read_to_string(&file).expect("read");
    fs::write(&file, &text[..text.len() * 3 / 4]).expect("write");
    let (code, output, _) = replay(&file, "c\n");
    assert_eq!(code, Some(0));
    assert!(output.contains("the end of the recording"), "{output}");
}

#[test]
fn replay_on_a_page_has_all_turns_and_opens_at_its_url_only() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = recording(dir.path());
    let mut observed = Observed::of_recording(&file);
    let mut turns = observed.turns();
    let info = &turns.hello["state"]["recording"];
    let kept = info["kept"].as_u64().expect("a number");
    assert_eq!((info["turns"].as_u64(), info["name"].as_str()), (Some(kept), file.to_str()));
    let all = turns.until("close reason=eof");
    let numbers: Vec<_> = all.iter().filter_map(|turn| turn["turn"].as_u64()).collect();
    assert!(numbers.len() as u64 == kept && numbers[0] == 1, "{numbers:?}");
    let request = all.iter().find(|turn| turn["lines"].to_string().contains("c1 parse GET /hello.txt"));
    let request = request.expect("the turn of the request");
    assert!(request["phases"].to_string().contains("\"read\""), "{request}");
    assert!(request["rows"].to_string().contains("\"request\":\"GET /hello.txt HTTP/1.1\""), "{request}");
    assert_eq!(request["rs"], "{c1}");
    let (host, path) = observed.parts();
    let own = format!("Host: {host}\r\n");
    for (path, fields, status) in [(path, &*own, 200), (path, "Host: a\r\n", 421), ("/", &own, 404)] {
        assert_eq!(observed.ask("GET", path, fields).status, status, "{path} {fields}");
    }
    observed.server.signal(Signal::INT);
    assert!(observed.server.exit().success());
}

#[test]
fn replay_on_a_page_refuses_mistakes() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("a.json");
    fs::write(&file, "{}").expect("write");
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
        let output = command.arg("replay").arg(&file).args(args).output().expect("run oneloop");
        (output.status.code(), lossy(&output.stderr))
    };
    let (code, errors) = run(&["--observe"]);
    assert_eq!((code, errors.lines().count()), (Some(2), 1), "{errors}");
    assert!(errors.contains("a.json") && errors.contains("--trace-file"), "{errors}");
    assert_eq!(run(&["--observe", "--step-script", "a"]).0, Some(2));
    let (code, errors) = run(&["--health=x"]);
    assert_eq!((code, errors.lines().count()), (Some(2), 1), "{errors}");
    assert!(errors.contains("'--health' is an option of the server"), "{errors}");
    fs::remove_file(&file).expect("remove");
    fs::rename(recording(dir.path()), &file).expect("rename");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let port = taken.local_addr().expect("an address").port();
    for args in [&[&*format!("--observe={port}")][..], &["--observe", &port.to_string()]] {
        let (code, errors) = run(args);
        assert_eq!((code, errors.lines().count()), (Some(1), 1), "{errors}");
        assert!(errors.contains("choose another port"), "{errors}");
    }
}

#[test]
fn replay_refuses_other_files() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("a.json");
    let (code, _, errors) = replay(&file, "");
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.contains("a.json"), "{errors}");
    for text in ["", "{}", "[1, 2]\n"] {
        fs::write(&file, text).expect("write");
        let (code, _, errors) = replay(&file, "");
        assert_eq!((code, errors.lines().count()), (Some(2), 1), "{errors}");
        assert!(errors.contains("--trace-file"), "{errors}");
    }
}
