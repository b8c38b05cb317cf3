//! Reports tests that cannot run on this machine.

use std::io::Write;

/// Reports that the current test cannot run on this machine, and why. Writes to standard error,
/// past the test runner's capture, and appends to the file that `ONELOOP_SKIPPED` names. In CI,
/// `.ci/run` fails if that file is not empty.
pub fn skip(why: &str) {
    let line = report(why);
    if let Some(path) = std::env::var_os("ONELOOP_SKIPPED") {
        let file = std::fs::File::options().create(true).append(true).open(path);
        let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
    }
}

/// Reports that the current test cannot run because of the kernel, or because it needs root. No
/// setup can change that, so it does not fail in CI.
pub fn skip_for_kernel(why: &str) {
    report(why);
}

/// Returns whether the feature `portable` leaves out `what`, which the current test is about, and
/// reports that if so.
pub fn leaves_out(what: &str) -> bool {
    let is_left_out = cfg!(feature = "portable");
    if is_left_out {
        report(&format!("the feature `portable` leaves out {what}"));
    }
    is_left_out
}

fn report(why: &str) -> String {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let line = format!("SKIPPED {test}: {why}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
    line
}
