//! Assertions, and readable output for failed ones.

use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit, setrlimit};

use super::SOON;

/// Bytes that print as text when an assertion fails.
pub struct Raw<'a>(pub &'a [u8]);

impl std::fmt::Debug for Raw<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// Runs `check` on every row of a table, then fails with all the rows for which it panicked.
pub fn each<T: std::fmt::Debug>(rows: impl IntoIterator<Item = T>, check: impl Fn(&T)) {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    let mut failed = Vec::new();
    for row in rows {
        if catch_unwind(AssertUnwindSafe(|| check(&row))).is_err() {
            failed.push(format!("{row:?}"));
        }
    }
    assert!(failed.is_empty(), "{} rows fail:\n{}", failed.len(), failed.join("\n"));
}

/// Raises the open-file limit of this process, and of the servers that it starts afterwards, to the
/// hard limit.
pub fn allow_many_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("raise the soft limit to the hard one");
}

/// Polls `condition` until it holds; fails the test after [`SOON`].
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < end, "timed out: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Returns a trace line's fact without the parts that differ between runs.
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
