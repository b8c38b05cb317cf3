//! Reports tests that cannot run on this machine.

use std::{fs::File, io::Write};

/// Reports that the current test cannot run, and why: to standard error, past the test runner's
/// capture, and to the file that `ONELOOP_SKIPPED` names, for `.ci/run`.
pub fn skip(why: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let line = format!("SKIPPED {test}: {why}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(path) = std::env::var_os("ONELOOP_SKIPPED") {
        let file = File::options().create(true).append(true).open(path);
        let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
    }
}
