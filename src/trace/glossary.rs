//! What each step is called, how it is written, and what it means: the definitions of the narration and of
//! `docs/TRACE.md`.

use crate::trace::{SourceId, Step};

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TraceLevel {
    /// When the loop wakes, and who comes and goes.
    Wakes,
    /// Every call and decision.
    Io,
    /// And the first bytes of what came and went.
    Bytes,
}

/// A word of the narration.
#[derive(Debug, PartialEq, Eq)]
pub struct StepDoc {
    /// One of a closed set.
    pub verb: &'static str,
    /// How its facts are written: `N`, `ADDR` and the like stand for what differs.
    pub form: &'static str,
    /// What is said behind ` -- `, if anything.
    pub gloss: &'static str,
    /// What it means, at more length.
    pub meaning: &'static str,
    /// From which level on it is told.
    pub level: TraceLevel,
}

macro_rules! words {
    ($($name:ident $level:ident $verb:literal $form:literal $gloss:literal $meaning:literal)*) => {
        $(pub const $name: StepDoc = StepDoc {
            verb: $verb, form: $form, gloss: $gloss, meaning: $meaning, level: TraceLevel::$level,
        };)*
        /// All words, in the order in which a connection meets them.
        pub const STEP_DOCS: &[StepDoc] = &[$($name),*];
    };
}

words! {
    BIND Wakes "bind" "ADDR fd=N" ""
        "A socket is bound and stands in the poller's list."
    WAIT Io "wait" "timeout=TIME|never carried=N" ""
        "The poll begins: the only place where the process sleeps. The timeout is never later than the nearest deadline, a millisecond at most while the disk is awaited, and 0 while work is left over from the last turn. (A deadline that has moved on may leave its old entry, which costs one empty wake.)"
    WAKE Wakes "wake" "slept=TIME kernel=N carried=N WHO[FLAGS] ... +WHO ... and N more trace=TIME" ""
        "The poll returned, and nothing is done yet. `kernel` sources became ready, each with its flags: `R` readable, `W` writable, `rc` the peer sends no more, `wc` nobody sends any more, `e` error. `carried` sources, each with a `+`, have work left over from the last turn: that is our own affair and not the kernel's word. 16 are named. Where nobody is named, a deadline or a signal has ended the sleep. `trace` is what the narration of the last turn itself cost."
    SIGNAL Wakes "signal" "N" ""
        "A signal came, by its number: signal(7)."
    CHANGED Io "file" "changed" "what was kept of them is forgotten"
        "The kernel told of changes to files (inotify), before anybody is served in this turn."
    ACCEPT Wakes "accept" "-> WHO ADDR fd=N open=N" ""
        "A connection was taken out of the backlog; from now on it is called WHO."
    ACCEPT_EMPTY Io "accept" "-> WouldBlock" "queue empty, safe to sleep"
        "The backlog is empty. Under edge triggers only this answer makes it safe to sleep: nobody would tell of a peer that was left there."
    PARK Wakes "park" "limit|descriptors" "peers wait in the backlog"
        "The bound on connections is reached, or the system gives no more descriptors. The listener is asked again when something closes, or soon."
    READ Io "read" "OFFERED -> GOT buf=N" ""
        "One read: the room offered, the bytes got, and how many are waiting to be understood now."
    READ_EMPTY Io "read" "-> WouldBlock" "drained"
        "There is nothing more to read now."
    EOF Io "eof" "" "the peer sends no more; what is owed to it still goes out"
        "A read returned 0: the peer closed its side."
    INCOMPLETE Io "parse" "incomplete have=N need=WHAT" "readable is not \"request ready\""
        "What has come is not a whole message yet. `need` is what is missing: the empty line that ends the head, or the rest of the body."
    PARSE Io "parse" "MESSAGE len=N leftover=N" ""
        "A message was understood: its first line, its length, and what is left behind it, which may be the next one."
    REFUSED Io "parse" "refused \"REASON\"" "the connection ends with the answer"
        "What has come is no message that this server takes. A response says why, and the connection ends."
    FILE Io "file" "PATH took=TIME" ""
        "The site was asked what is at the path. No poller helps here: a file is always \"ready\", and a disk that is slow to find it keeps everybody waiting."
    COLD Io "file" "sent=N not in memory" "the disk reads; others are served meanwhile"
        "The next part of a large file is on the disk alone. To send it now would keep everybody waiting, and no event tells when it is there: the disk was asked to read it, and it is looked at again in a millisecond."
    GATHER Io "file" "names=N" "a piece of a listing: nobody waits for the whole"
        "So many names of a directory are gathered until now. The listing goes on in the next turns."
    PLAN Io "plan" "STATUS head=N body=N|?" ""
        "The response is decided on: its status, the length of its head and of its body (`?`: it is made on the way)."
    WRITE Io "write" "OFFERED -> GOT by=CALL sent=N/N" ""
        "One call that sends took all it was offered. `by` is the system call; `sent` counts since the connection began."
    WRITE_PARTLY Io "write" "OFFERED -> GOT by=CALL sent=N/N" "partial"
        "The send buffer took a part. The rest waits, and where it begins is kept."
    WRITE_BLOCKED Io "write" "OFFERED -> WouldBlock by=CALL" "send buffer full; keep the offset"
        "The send buffer takes nothing now. Others are served meanwhile."
    ARM Io "arm" "W" "wait for room, too (wlist.append)"
        "From now on the poller is asked about writability, too: only after a write would block."
    DISARM Io "disarm" "W" "nothing is owed (wlist.remove)"
        "The poller is asked about readability alone again."
    CARRY Io "carry" "" "the rest is for the next turn, behind the others"
        "Work is left over although nothing blocks: a budget is used up, or the last words to a late peer wait. The next poll does not sleep."
    DEADLINE Wakes "deadline" "REASON|linger late=TIME got=N" ""
        "A peer outran our patience; `late` is how long ago, `got` what of a message had come. `linger`: it had been told that all is said, and did not close."
    RECV Io "recv" "OFFERED -> GOT from=ADDR" "one recv, one datagram"
        "A datagram came, whole: datagrams have bounds, streams have none."
    RECV_EMPTY Io "recv" "-> WouldBlock" "drained"
        "There is no datagram left."
    SEND_BLOCKED Io "send" "OFFERED -> WouldBlock by=CALL" "send buffer full; the answer is kept, and no more is received"
        "The datagram did not fit. It is sent, whole, when there is room."
    SEND Io "send" "-> GOT to=ADDR" ""
        "A datagram was sent."
    SHUTDOWN Io "shutdown" "" "all is said; what the peer still sends is read and dropped until it closes, too"
        "Our side of the connection is shut down. A close with unread input would be a reset, which can destroy the answer on its way."
    CLOSE Wakes "close" "reason=REASON unread=N life=TIME|?" ""
        "The source is closed, after that time, and out of the poller's list. The reason is one of: done eof head-timeout idle-timeout send-timeout reset broken-pipe bad-request limit shutdown file-changed."
    FAULT Wakes "fault" "no-progress wakes=N" "it wakes and nothing moves: that is a spin"
        "So many wakes in a row, none of them slept for, moved nothing for this source: no byte, no caller, no deadline. One alone is no fault, for an event is a hint. `loop` itself spins where the poll returns at once for nobody. Told at 2, 4, 8 ... wakes."
    LOST Wakes "lost" "lines=N" "nobody took them"
        "So many lines of the narration were dropped because nobody took them: the server does not wait."
}

/// The word for what `id` does in `step`, if it is told at all.
pub fn doc(id: SourceId, step: &Step) -> Option<&'static StepDoc> {
    Some(match step {
        Step::Bound { .. } => &BIND,
        Step::Waiting { .. } => &WAIT,
        Step::Woke { .. } => &WAKE,
        Step::Signalled { .. } => &SIGNAL,
        Step::Polled if id == SourceId::Named("files") => &CHANGED,
        Step::Accepted { .. } => &ACCEPT,
        Step::BacklogEmpty => &ACCEPT_EMPTY,
        Step::AcceptPaused { .. } => &PARK,
        Step::Read { .. } => &READ,
        Step::Drained if matches!(id, SourceId::Udp(_)) => &RECV_EMPTY,
        Step::Drained => &READ_EMPTY,
        Step::EndOfInput => &EOF,
        Step::Incomplete { .. } => &INCOMPLETE,
        Step::Understood { .. } => &PARSE,
        Step::Refused { .. } => &REFUSED,
        Step::FileLookup { .. } => &FILE,
        Step::EntriesRead { .. } => &GATHER,
        Step::Planned { .. } => &PLAN,
        Step::Wrote { offered, got, .. } if got < offered => &WRITE_PARTLY,
        Step::Wrote { .. } => &WRITE,
        Step::NotCached { .. } => &COLD,
        Step::Blocked { .. } if matches!(id, SourceId::Udp(_)) => &SEND_BLOCKED,
        Step::Blocked { .. } => &WRITE_BLOCKED,
        Step::Armed => &ARM,
        Step::Disarmed => &DISARM,
        Step::CarriedOver => &CARRY,
        Step::Deadline { .. } => &DEADLINE,
        Step::Received { .. } => &RECV,
        Step::Sent { .. } => &SEND,
        Step::ShutDown => &SHUTDOWN,
        Step::Closed { .. } => &CLOSE,
        // What was typed is answered at the prompt.
        Step::TurnBegan | Step::DeadlineSet { .. } | Step::Polled => return None,
    })
}

/// `docs/TRACE.md`, made from the words.
pub fn page() -> String {
    let mut page = String::from(INTRODUCTION);
    let mut verbs: Vec<&str> = Vec::new();
    for doc in STEP_DOCS {
        if !verbs.contains(&doc.verb) {
            verbs.push(doc.verb);
        }
    }
    for verb in verbs {
        page.push_str(&format!("\n## {verb}\n"));
        for doc in STEP_DOCS.iter().filter(|doc| doc.verb == verb) {
            let facts = if doc.form.is_empty() { String::new() } else { format!(" {}", doc.form) };
            let gloss = if doc.gloss.is_empty() { String::new() } else { format!(" -- {}", doc.gloss) };
            let level = if doc.level == TraceLevel::Wakes { "wakes" } else { "io" };
            page.push_str(&format!(
                "\n    {verb}{facts}{gloss}\n\n{} (from `--trace={level}` on)\n",
                doc.meaning
            ));
        }
    }
    page
}

const INTRODUCTION: &str = "\
# The words of the trace

<!-- Made from src/watching/glossary.rs: change it there, then run `UPDATE=1 cargo test --test trace`. -->

`oneloop --trace` tells on standard error what the loop does, one line a step:

    time #turn who verb facts [-- gloss]

`time` is in seconds since the start, `#turn` counts the turns of the loop. `who` is `loop`, a listening socket `L1`, a connection `c3` \
(numbers are never used again), a datagram socket `u1`, `signals`, `files`, or the `terminal` of `--step`. Everything before ` -- ` is stable and in ASCII, for `grep` and for tests; \
the gloss behind it is for people, and may be put better one day.

`--trace=wakes` tells when the loop wakes, and of connections that come and go; `--trace=io` (what `--trace` means) of every call and decision as well; \
`--trace=bytes` shows up to 64 bytes of what came and went, too, escaped, with stars for all but first lines and fields that are known to be harmless, \
and nothing where the beginning of a message was not seen. (An address may hold a secret as well, and is shown, as in an access log.) \
`--trace-only c3,L1` tells of these alone, by either way of turning it on. SIGUSR1 turns the narration on in a server that runs, and off again.

Lines are gathered and written once a turn. Where nobody takes them they are dropped, and the server goes on.

`oneloop --trace-file run.json` records the same steps for a viewer: open the file at <https://ui.perfetto.dev> or in `chrome://tracing`. \
The verbs are the names of the slices there, and what is written here as facts are their arguments.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_before_the_gloss_is_ascii_and_the_verbs_are_words() {
        for doc in STEP_DOCS {
            assert!(doc.verb.bytes().all(|b| b.is_ascii_lowercase()), "{}", doc.verb);
            assert!(!doc.form.contains(" -- ") && !doc.meaning.is_empty(), "{}", doc.verb);
        }
    }
}
