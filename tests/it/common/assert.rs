//! Assertions, and what shows where one fails.

use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit, setrlimit};

use super::SOON;

/// Bytes that show as text where a test fails.
pub struct Raw<'a>(pub &'a [u8]);

impl std::fmt::Debug for Raw<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// Runs `check` on every row of a table, and fails at the end with all the rows that did not hold.
pub fn each<T: std::fmt::Debug>(rows: impl IntoIterator<Item = T>, check: impl Fn(&T)) {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    let mut failed = Vec::new();
    for row in rows {
        if catch_unwind(AssertUnwindSafe(|| check(&row))).is_err() {
            failed.push(format!("{row:?}"));
        }
    }
    assert!(failed.is_empty(), "{} rows do not hold:\n{}", failed.len(), failed.join("\n"));
}

/// Lets this process, and the servers that it starts from now on, hold as many descriptors as the
/// system allows.
pub fn allow_many_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("raise the soft limit to the hard one");
}

/// Polls `condition` until it holds; fails the test after [`SOON`].
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < end, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A fact of the narration, without what differs from run to run.
pub fn masked_fact(fact: &str) -> String {
    match fact.split_once('=') {
        Some((name @ ("slept" | "trace" | "took" | "late" | "life" | "fd"), _)) => format!("{name}=_"),
        Some(("timeout", time)) if time != "never" => "timeout=_".into(),
        Some(("from", _)) => "from=_".into(),
        Some(("to", _)) => "to=_".into(),
        _ if fact.starts_with("127.0.0.1:") => "ADDR".into(),
        _ => fact.into(),
    }
}

pub fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(500)]).into_owned()
}
