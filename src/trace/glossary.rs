//! `docs/TRACE.md`, made from the descriptions of the steps.

use super::{
    loop_steps::LOOP_STEPS,
    step_doc::{StepDoc, TraceLevel},
    text::OBSERVER_LINES,
};

/// The verbs of a trace, a closed set, in the order in which a connection meets them.
pub(super) const VERBS: [&str; 22] = [
    "bind", "wait", "wake", "signal", "file", "accept", "park", "read", "eof", "parse", "plan", "write",
    "arm", "disarm", "carry", "deadline", "recv", "send", "shutdown", "close", "fault", "lost",
];

/// Returns the page. `service_steps` are the descriptions of the services' steps. It has a section
/// for each verb of the closed set, and none for other verbs.
pub fn page(service_steps: &[&StepDoc]) -> String {
    let docs = || service_steps.iter().chain(LOOP_STEPS).chain(OBSERVER_LINES);
    let mut page = String::from(INTRODUCTION);
    for verb in VERBS {
        page.push_str(&format!("\n## {verb}\n"));
        docs().filter(|doc| doc.verb == verb).for_each(|doc| page.push_str(&entry(doc)));
    }
    page
}

/// Returns what the page says about one kind of step.
fn entry(doc: &StepDoc) -> String {
    let gloss = if doc.gloss.is_empty() { String::new() } else { format!(" -- {}", doc.gloss) };
    let level = if doc.level == TraceLevel::Wakes { "wakes" } else { "io" };
    let meaning = wrap(&format!("{} (from `--trace={level}` on)", doc.meaning));
    format!("\n    {}{gloss}\n\n{meaning}\n", doc.usage())
}

/// Wraps a paragraph at 100 columns.
fn wrap(paragraph: &str) -> String {
    let mut wrapped = String::new();
    let mut column = 0;
    for word in paragraph.split_whitespace() {
        if column > 0 && column + 1 + word.len() > 100 {
            wrapped.push('\n');
            column = 0;
        } else if column > 0 {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        column += word.len();
    }
    wrapped
}

const INTRODUCTION: &str = "\
# The words of the trace

<!-- Made from the descriptions of the steps (src/trace/loop_steps.rs and others). Change them
     there, then run `UPDATE=1 cargo test --test it trace`. -->

`oneloop --trace` writes to standard error what the loop does, one line a step:

    time #turn source verb fields [-- gloss]

`time` is in seconds since the start, and `#turn` counts the turns of the loop. `source` is `loop`,
a listening socket `L1`, a connection `c3` (numbers are never used again), a datagram socket `u1`,
`signals`, `files`, or the `terminal` of `--step`. Everything before ` -- ` is stable and ASCII, for
`grep` and for tests. The gloss behind it is for people and may change.

- `--trace=wakes` shows when the loop wakes, and which connections come and go.
- `--trace=io`, which is what `--trace` means, shows every call and decision too.
- `--trace=bytes` shows up to 64 bytes of what came and went too. They are escaped. Stars replace
  everything but first lines and the values of fields that are known to be harmless. Input whose
  beginning was not seen is not shown. (URLs are shown, as in an access log, and may hold secrets.)
- `--trace-only c3,L1` shows these sources alone, whichever way the trace is turned on.
- SIGUSR1 turns the trace of a running server on, and off again.

Lines are gathered and written once a turn. If the reader is too slow, lines are dropped, and the
server does not wait.

`oneloop --trace-file run.json` records the same steps for a viewer: open the file at
<https://ui.perfetto.dev> or in `chrome://tracing`. The verbs are the names of the slices there, and
the fields are their arguments.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_describes_each_step_once() {
        let page = page(&[]);
        for doc in LOOP_STEPS.iter().chain(OBSERVER_LINES) {
            let times = page.matches(&entry(doc)).count();
            assert_eq!(times, 1, "{doc:?}");
        }
    }

    #[test]
    fn paragraph_is_wrapped_at_100_columns() {
        let wrapped = wrap(&"word ".repeat(50));
        assert_eq!(wrapped.lines().map(str::len).collect::<Vec<_>>(), [99, 99, 49]);
        assert_eq!(wrap("one two"), "one two");
    }
}
