//! The commands in docs/LOAD-TESTING.md: each block of shell runs as printed, with fewer requests
//! and less time, and each tool reports that all is well.

use std::{
    fs,
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    thread,
};

use rustix::process::{Pid, Signal, kill_process_group};

use super::root;
use crate::common::*;

const PAGE: &str = "docs/LOAD-TESTING.md";
/// The address on the page.
const SHOWN: &str = "127.0.0.1:8001";
/// A tool, what it prints if it has found nothing wrong, and what it prints if it has.
const TOOLS: [(&str, &str, &str); 7] = [
    ("wrk", " requests in ", "Socket errors|Non-2xx"),
    ("ab", "Failed requests: 0 ", "Non-2xx"),
    ("hey", "Status code distribution: [200] ", "Get \"|[404]"),
    ("h2load", " 2000 succeeded, 0 failed, 0 errored, 0 timeout ", " 0 2xx"),
    ("siege", "\"failed_transactions\": 0,", "\"successful_transactions\": 0,"),
    ("oha", "Success rate: 100.00%", "[404]"),
    ("ss", "127.0.0.1:", "Error"),
];
/// No package of Debian has it, so `.ci/setup` does not install it.
const UNPACKAGED: &str = "oha";
/// What is printed, and what takes less time.
const SHORTER: [(&str, &str); 5] =
    [("-d10s", "-d1s"), ("-z 10s", "-z 1s"), ("-z 30s", "-z 2s"), ("100000", "2000"), ("-r 1000", "-r 4")];

/// Returns the blocks of shell on the page.
fn blocks(page: &str) -> Vec<&str> {
    page.split("\n```sh\n").skip(1).filter_map(|rest| rest.split("\n```").next()).collect()
}

/// Returns whether a command of the block is `tool`, whose output is shown.
fn shows(block: &str, tool: &str) -> bool {
    let is_it = |line: &str| line.starts_with(&format!("{tool} ")) && !line.contains(">/dev/null");
    block.lines().any(is_it)
}

/// Returns whether a command of the block is `tool`.
fn runs(block: &str, tool: &str) -> bool {
    block.lines().any(|line| line.starts_with(&format!("{tool} ")))
}

/// Returns whether all tools of the block are installed. Reports the first one that is not.
fn has_tools(block: &str) -> bool {
    for (tool, ..) in TOOLS.into_iter().filter(|(tool, ..)| runs(block, tool)) {
        let found =
            Command::new("sh").args(["-c", &format!("command -v {tool}")]).stdout(Stdio::null()).status();
        if !found.expect("run a shell").success() {
            let report = if tool == UNPACKAGED { skip_for_kernel } else { skip };
            report(&format!("{tool} is not installed"));
            return false;
        }
    }
    true
}

/// Runs a block against a server of its own. Returns what it prints, with single spaces.
fn run(block: &str) -> String {
    let server = Server::on(&root().join("static"), &["--target"]);
    let dir = tempfile::tempdir().expect("a directory");
    let mut script = SHORTER.iter().fold(block.to_owned(), |text, (shown, real)| text.replace(shown, real));
    for (shown, real) in [(SHOWN, server.addr().to_string()), (":8001", format!(":{}", server.addr().port()))]
    {
        script = script.replace(shown, &real);
    }
    // A program in the background may hold a pipe open, so the output goes to a file.
    let output = fs::File::create(dir.path().join("output")).expect("create");
    let mut shell = Command::new("bash");
    shell.args(["-ec", &script]).env("pid", server.pid().to_string()).env("HOME", dir.path());
    shell.stdin(Stdio::null()).stdout(output.try_clone().expect("a copy")).stderr(output).process_group(0);
    let mut shell = shell.spawn().expect("start bash");
    let status = shell.wait().expect("wait");
    let _ = kill_process_group(Pid::from_child(&shell), Signal::KILL);
    server.signal(Signal::CONT);
    let text = fs::read(dir.path().join("output")).expect("the output");
    let text = String::from_utf8_lossy(&text);
    assert!(status.success(), "{status}:\n{script}\n{text}");
    text.split_whitespace().collect::<Vec<_>>().join(" ") + " "
}

/// Asserts that what a block prints is what the page says about it.
fn check(block: &str) {
    let output = run(block);
    for (tool, good, bad) in TOOLS.into_iter().filter(|(tool, ..)| shows(block, tool)) {
        assert!(output.contains(good), "{tool} does not print {good:?}:\n{block}\n{output}");
        for bad in bad.split('|') {
            assert!(!output.contains(bad), "{tool} prints {bad:?}:\n{block}\n{output}");
        }
    }
    if block.contains("ns of CPU") {
        let time: u64 = output.split(' ').next().expect("a word").parse().expect("a number");
        assert!(time > 100, "{output}");
    }
    if block.contains("ss -ltn") {
        let waiting = output.split("LISTEN ").nth(1).and_then(|rest| rest.split(' ').next());
        assert!(waiting.is_some_and(|number| number.parse::<u32>().expect("a number") > 0), "{output}");
    }
}

#[test]
fn load_testing_commands_run_as_printed() {
    let page = fs::read_to_string(root().join(PAGE)).expect("the page");
    let blocks = blocks(&page);
    for (tool, ..) in TOOLS {
        assert!(blocks.iter().any(|block| shows(block, tool)), "{PAGE} has no command of {tool}");
    }
    // Servers and builds are left out. Another test checks the options.
    let is_load = |block: &&&str| !block.contains("oneloop --") && !block.contains("cargo ");
    let able: Vec<&str> = blocks.iter().filter(is_load).copied().filter(|block| has_tools(block)).collect();
    thread::scope(|scope| {
        for block in &able {
            scope.spawn(|| check(block));
        }
    });
}

#[test]
fn load_testing_blocks_are_those_of_shell() {
    let page = "a\n```sh\nwrk -t1 x\nab y >/dev/null\n```\nb\n```text\nhey z\n```\n";
    assert_eq!(blocks(page), ["wrk -t1 x\nab y >/dev/null"]);
    let block = blocks(page)[0];
    assert!(shows(block, "wrk") && !shows(block, "ab") && runs(block, "ab") && !runs(block, "hey"));
}
