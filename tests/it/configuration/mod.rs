//! Configuration by options and environment variables, and the commands that only print: help,
//! completions, the man page and the version. A usage error is one message.
//!
//! The tests read the list of options from `--help`, so a new option needs a row in the tables
//! below.

mod printed;
mod variables;

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Output, Stdio},
};

use crate::common::*;

/// Returns a command for the program with `args` in `dir`, with only the environment variables
/// `vars`.
pub fn oneloop(dir: &Path, args: &[&str], vars: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
    command.current_dir(dir).args(args).env_clear().envs(vars.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A server that is killed when the test ends. (The servers in `common` have no variables of their
/// own.)
pub struct Started {
    pub child: Child,
    pub stdout: BufReader<ChildStdout>,
}

impl Started {
    /// Starts the server in `dir`, on any free port unless `vars` set the port.
    pub fn with(dir: &Path, args: &[&str], vars: &[(&str, &str)]) -> Started {
        let has_port = vars.iter().any(|(name, _)| *name == "ONELOOP_PORT");
        let port: &[&str] = if has_port { &[] } else { &["--port", "0"] };
        let mut child = oneloop(dir, &[args, port].concat(), vars).spawn().expect("start oneloop");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        Started { child, stdout }
    }

    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    /// Sends `request` to the address on the next line of output and returns the response, with its
    /// body if it has a Content-Length.
    pub fn ask(&mut self, request: &str) -> Response {
        let url = self.line();
        let address = url.strip_prefix("http://").and_then(|url| url.split_once('/')).expect("a URL").0;
        let mut client = Client::connect(address.parse().expect("an address"));
        client.send(request);
        let mut response = client.head();
        if let Some(len) = response.header("content-length") {
            response.body = client.take(len.parse().expect("a number"));
        }
        response
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the program until it exits. If it starts to serve instead, it is killed once it prints its
/// address.
pub fn run(dir: &Path, args: &[&str], vars: &[(&str, &str)]) -> Output {
    let mut child = oneloop(dir, args, vars).spawn().expect("start oneloop");
    let mut line = Vec::new();
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    if stdout.read_until(b'\n', &mut line).expect("read its output") > 0 {
        child.kill().expect("kill it");
    }
    child.wait_with_output().expect("wait for it")
}

/// Returns the program's standard output; asserts that it succeeds without a message.
pub fn printed(args: &[&str], vars: &[(&str, &str)]) -> String {
    let output = oneloop(Path::new("/"), args, vars).output().expect("run oneloop");
    assert_eq!((output.status.code(), lossy(&output.stderr)), (Some(0), String::new()), "{args:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Returns the options from `--help`: the declaration (`--port <PORT>`) and the heading above it.
pub fn options() -> Vec<(String, String, String)> {
    let (mut options, mut heading) = (Vec::new(), String::new());
    for line in printed(&["--help"], &[]).lines() {
        let text = line.trim_start();
        if !line.starts_with(' ') && line.ends_with(':') && line.len() < 40 {
            heading = text.trim_end_matches(':').to_owned();
        } else if line.len() - text.len() <= 6 && text.starts_with('-') {
            let long = &text[text.find("--").expect("a long name")..];
            let is_part = |c: char| c == '-' || c.is_ascii_lowercase() || c.is_ascii_digit();
            let end = long.find(|c: char| !is_part(c)).unwrap_or(long.len());
            let (name, value) = long.split_at(end);
            options.push((heading.clone(), name.to_owned(), value.trim().trim_matches('.').to_owned()));
        }
    }
    assert!(options.len() > 20, "{options:?}");
    options
}

/// Returns the names of all options.
pub fn names() -> BTreeSet<String> {
    options().into_iter().map(|(_, name, _)| name).collect()
}

/// Returns the environment variable of `option`: `ONELOOP_IDLE_TIMEOUT` for `--idle-timeout`.
pub fn variable(option: &str) -> String {
    format!("ONELOOP_{}", option.trim_start_matches('-').to_ascii_uppercase().replace('-', "_"))
}

/// Asserts that `output` is a refusal to start: exit code 2 and one message that contains each of
/// `named`.
pub fn assert_usage_error(output: &Output, named: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert_eq!(stderr.matches("error: ").count() + stderr.matches("oneloop: ").count(), 1, "{stderr}");
    assert!(stderr.starts_with("error: ") || stderr.trim_end().lines().count() == 1, "{stderr}");
    for word in named {
        assert!(stderr.contains(word), "{stderr:?} does not contain {word:?}");
    }
}
