//! Generates `docs/TRACE.md` from the descriptions of the steps.

use super::{
    loop_steps::LOOP_STEPS,
    sets::SETS,
    step_doc::{StepDoc, TraceLevel},
    text::OBSERVER_LINES,
};

/// All verbs that a trace can contain, in the order in which a connection goes through them.
pub(super) const VERBS: [&str; 33] = [
    "bind", "wait", "wake", "signal", "file", "accept", "park", "connect", "woken", "postpone", "tls",
    "read", "eof", "parse", "plan", "chat", "mail", "write", "arm", "disarm", "carry", "block", "deadline",
    "recv", "ignore", "drop", "delay", "double", "send", "shutdown", "close", "fault", "lost",
];

/// Returns the text of the page, with a section for each verb. `service_steps` are the descriptions
/// of the steps that services add.
pub fn page(service_steps: &[&StepDoc]) -> String {
    let docs = || service_steps.iter().chain(LOOP_STEPS).chain(OBSERVER_LINES);
    let mut page = String::from(INTRODUCTION);
    for verb in VERBS {
        page.push_str(&format!("\n## {verb}\n"));
        docs().filter(|doc| doc.verb == verb).for_each(|doc| page.push_str(&entry(doc)));
    }
    page
}

/// Returns the entry for one kind of step.
fn entry(doc: &StepDoc) -> String {
    let gloss = if doc.gloss.is_empty() { String::new() } else { format!(" -- {}", doc.gloss) };
    let shown = match doc.level {
        _ if SETS.contains(&doc) => "shown with `--trace=sets` alone",
        TraceLevel::Wakes => "shown with `--trace=wakes` and above",
        TraceLevel::Sets => "shown with `--trace=sets` and above",
        TraceLevel::Io | TraceLevel::Bytes => "shown with `--trace=io` and above",
    };
    let meaning = wrap(&format!("{} ({shown})", doc.meaning));
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

`oneloop --trace` writes the steps of the loop to standard error, one line for each:

    time #turn source verb fields [-- gloss]

`time` is in seconds since the start. `#turn` counts the turns of the loop: a turn begins with a
`wake` and ends with a `wait`. `source` is `loop`, a listening socket `L1`, a connection `c3`
(numbers are never used again), a UDP socket `u1`, `signals`, `files`, or the `terminal` of
`--step`. Everything before ` -- ` is stable and ASCII, for `grep` and for tests. The gloss after it
is for people and may change.

- `--trace=wakes` shows when the loop wakes, and which connections open and close.
- `--trace=sets` also shows the sets of each poll in the words of `select()`: `rlist`, `wlist`, `rs`
  and `ws`.
- `--trace=io`, the default of `--trace`, also shows every call and decision.
- `--trace=bytes` also shows up to 64 bytes of input and output. They are escaped. Stars replace
  passwords, mail, and everything else but first lines and the values of fields that are known to
  be harmless. Input whose beginning was not traced is not shown. (URLs are shown, as in an access
  log, and may hold secrets. Stars replace the user name and password before a host.)
- `--trace-only c3,L1` shows only these sources, with each level and with SIGUSR1.
- SIGUSR1 turns the trace of a running server on and off.

oneloop gathers the lines and writes them once a turn. If the reader is too slow, oneloop drops
lines and does not wait.

`oneloop --trace-file run.json` records the same steps for a viewer. Open the file at
<https://ui.perfetto.dev> or in `chrome://tracing`. There the verbs are the names of slices, and the
fields are their arguments. [RECORDING.md](RECORDING.md) explains what you see.
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
