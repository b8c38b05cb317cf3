//! Configuration by options and environment variables, and what the program only prints: help,
//! completions, the man page, its version. A mistake is reported in one message.
//!
//! The options are not listed here but read from `--help`, so that a new one needs a row in the
//! tables below.

mod printed;
mod variables;

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Output, Stdio},
};

use crate::common::*;

/// The program with `args`, in `dir`, knowing no variables but `vars`.
pub fn oneloop(dir: &Path, args: &[&str], vars: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
    command.current_dir(dir).args(args).env_clear().envs(vars.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A server that is killed when the test ends. (Those of the harness know no variables of their
/// own.)
pub struct Started {
    pub child: Child,
    pub stdout: BufReader<ChildStdout>,
}

impl Started {
    /// Starts it on any free port, or on what `vars` say of ports, in `dir`.
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

    /// The response to `request` of who is announced next; all of it, if it is as long as it says.
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

/// Runs the program to its end. Where it serves instead, it is killed: the first that it prints is
/// its address.
pub fn run(dir: &Path, args: &[&str], vars: &[(&str, &str)]) -> Output {
    let mut child = oneloop(dir, args, vars).spawn().expect("start oneloop");
    let mut line = Vec::new();
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    if stdout.read_until(b'\n', &mut line).expect("its output") > 0 {
        child.kill().expect("kill it");
    }
    child.wait_with_output().expect("its end")
}

/// What the program prints, all of it, in good order.
pub fn printed(args: &[&str], vars: &[(&str, &str)]) -> String {
    let output = oneloop(Path::new("/"), args, vars).output().expect("run oneloop");
    assert_eq!((output.status.code(), lossy(&output.stderr)), (Some(0), String::new()), "{args:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The options as `--help` introduces them: `--port <PORT>`, with the heading under which they
/// stand.
pub fn options() -> Vec<(String, String, String)> {
    let (mut options, mut heading) = (Vec::new(), String::new());
    for line in printed(&["--help"], &[]).lines() {
        let text = line.trim_start();
        if !line.starts_with(' ') && line.ends_with(':') && line.len() < 40 {
            heading = text.trim_end_matches(':').to_owned();
        } else if line.len() - text.len() <= 6 && text.starts_with('-') {
            let long = &text[text.find("--").expect("a long name")..];
            let end = long.find(|c: char| c != '-' && !c.is_ascii_lowercase()).unwrap_or(long.len());
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

/// `ONELOOP_IDLE_TIMEOUT` of `--idle-timeout`.
pub fn variable(option: &str) -> String {
    format!("ONELOOP_{}", option.trim_start_matches('-').to_ascii_uppercase().replace('-', "_"))
}

/// Asserts that `output` is a refusal to start: 2, and one message that has each of `named`.
pub fn assert_mistake(output: &Output, named: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert_eq!(stderr.matches("error: ").count() + stderr.matches("oneloop: ").count(), 1, "{stderr}");
    assert!(stderr.starts_with("error: ") || stderr.trim_end().lines().count() == 1, "{stderr}");
    for word in named {
        assert!(stderr.contains(word), "{stderr:?} does not say {word:?}");
    }
}
