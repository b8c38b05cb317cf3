//! The answers to the questions of the lessons, computed from their transcripts.

use std::time::Duration;

use super::transcript::{ClientAction, NotedEvent, TranscriptEntry};
use crate::trace::{SourceId, Step};

pub const L1: SourceId = SourceId::Listener(1);
pub const C1: SourceId = SourceId::Connection(1);
pub const C2: SourceId = SourceId::Connection(2);
pub const C4: SourceId = SourceId::Connection(4);
pub const U2: SourceId = SourceId::Udp(2);

fn yes_or_no(is_true: bool) -> String {
    if is_true { "yes".into() } else { "no".into() }
}

/// Returns `yes` if the kernel reported A after A had reset its connection, otherwise `no`.
pub fn yes_if_reported_after_reset(entries: &[TranscriptEntry]) -> String {
    let reset = NotedEvent::Client('A', ClientAction::Reset);
    let from = entries.iter().position(|entry| entry.noted() == Some(reset)).unwrap_or(entries.len());
    yes_or_no(count_wakes(&entries[from..], C1) != "0")
}

/// Returns the entries after the one that says that the client `name` connects.
pub fn after_connect(entries: &[TranscriptEntry], name: char) -> &[TranscriptEntry] {
    let connect = NotedEvent::Client(name, ClientAction::Connect);
    let at = entries.iter().position(|entry| entry.noted() == Some(connect));
    &entries[at.unwrap_or(entries.len())..]
}

/// Returns how many of the loop's outgoing connections the kernel reported as writable.
pub fn count_writable_outgoing(entries: &[TranscriptEntry]) -> String {
    let outgoing = steps_in(entries).filter(|(_, step)| matches!(step, Step::Connecting { .. }));
    let is_reported = |id: SourceId| {
        steps_in(entries).any(|(_, step)| match step {
            Step::Woke { ready, .. } => ready.iter().any(|(source, flags)| *source == id && flags.writable),
            _ => false,
        })
    };
    outgoing.filter(|(id, _)| is_reported(*id)).count().to_string()
}

/// Returns `yes` if a step of `source` says that it is connected, otherwise `no`.
pub fn yes_if_connected(entries: &[TranscriptEntry], source: SourceId) -> String {
    yes_or_no(steps_in(entries).any(|(by, step)| by == source && *step == Step::Connected))
}

/// Returns the number of clients that were connected before the loop accepted one.
pub fn connected_before_accept(entries: &[TranscriptEntry]) -> String {
    let notes = entries.iter().map_while(TranscriptEntry::noted);
    notes.filter(|event| matches!(event, NotedEvent::Client(_, ClientAction::Connect))).count().to_string()
}

/// Returns `yes` if the client `name` has done `action`, otherwise `no`.
pub fn yes_if_noted(entries: &[TranscriptEntry], name: char, action: ClientAction) -> String {
    let event = Some(NotedEvent::Client(name, action));
    yes_or_no(entries.iter().any(|entry| entry.noted() == event))
}

/// Returns the number of open connections after the last one was accepted.
pub fn open_at_last_accept(entries: &[TranscriptEntry]) -> String {
    let open = steps_in(entries).filter_map(|(_, step)| match step {
        Step::Accepted { open, .. } => Some(*open),
        _ => None,
    });
    open.last().unwrap_or(0).to_string()
}

/// Returns the number of reads by `source` that returned bytes.
pub fn count_reads(entries: &[TranscriptEntry], source: SourceId) -> String {
    count(entries, source, |step| matches!(step, Step::Read { .. }))
}

/// Returns the number of steps of a kind by `source`.
pub fn count(entries: &[TranscriptEntry], source: SourceId, is_counted: fn(&Step) -> bool) -> String {
    steps_in(entries).filter(|(by, step)| *by == source && is_counted(step)).count().to_string()
}

/// Returns `yes` if a step of one kind by `source` follows a step of another kind, otherwise `no`.
pub fn yes_if_after(
    entries: &[TranscriptEntry],
    source: SourceId,
    is_first: fn(&Step) -> bool,
    is_next: fn(&Step) -> bool,
) -> String {
    let mut steps = steps_in(entries).filter(|(by, _)| *by == source).map(|(_, step)| step);
    let follows = steps.any(is_first) && steps.any(is_next);
    yes_or_no(follows)
}

/// Returns `no` if there is a step of a kind by `source`, otherwise `yes`.
pub fn yes_unless(entries: &[TranscriptEntry], source: SourceId, is_sought: fn(&Step) -> bool) -> String {
    yes_or_no(count(entries, source, is_sought) == "0")
}

/// Returns the number of bytes behind the first message.
pub fn left_over_first(entries: &[TranscriptEntry]) -> String {
    let left = steps_in(entries).find_map(|(_, step)| match step {
        Step::Understood { left, .. } => Some(*left),
        _ => None,
    });
    left.unwrap_or(0).to_string()
}

/// Returns how long B waited while the loop was blocked.
pub fn time_that_b_waited(entries: &[TranscriptEntry]) -> String {
    format!("B waited {} ms while A read nothing", time_blocked(entries).as_millis())
}

/// Returns how many answers A got before B got its own.
pub fn responses_before_b(entries: &[TranscriptEntry]) -> String {
    format!("B waited for {} of A's answers", count_responses_before(entries, C1, C2))
}

/// Returns `yes` if `source` got a response, otherwise `no`.
pub fn yes_if_response(entries: &[TranscriptEntry], source: SourceId) -> String {
    yes_or_no(steps_in(entries).any(|step| is_response(step, source)))
}

/// Returns the number of wake-ups in which the kernel reported `source`.
pub fn count_wakes(entries: &[TranscriptEntry], source: SourceId) -> String {
    let is_reported = |(_, step): &(SourceId, &Step)| match step {
        Step::Woke { ready, .. } => ready.iter().any(|(reported, _)| *reported == source),
        _ => false,
    };
    steps_in(entries).filter(is_reported).count().to_string()
}

/// Returns the timeout in seconds of the first wait after the clock was moved forward.
pub fn timeout_while_time_passes(entries: &[TranscriptEntry]) -> String {
    let is_pause = |entry: &TranscriptEntry| entry.noted() == Some(NotedEvent::TimePasses);
    let pause = entries.iter().position(is_pause).unwrap_or(0);
    first_timeout(&entries[pause..])
}

/// Returns the timeout in seconds of the first wait.
fn first_timeout(entries: &[TranscriptEntry]) -> String {
    let timeout = steps_in(entries).find_map(|(_, step)| match step {
        Step::Waiting { timeout, .. } => Some(*timeout),
        _ => None,
    });
    timeout.flatten().map_or("never".into(), |timeout| timeout.as_secs().to_string())
}

/// Returns the number of responses that `hog` got before `other` got its first one.
pub fn count_responses_before(entries: &[TranscriptEntry], hog: SourceId, other: SourceId) -> String {
    let before = steps_in(entries).take_while(|step| !is_response(*step, other));
    before.filter(|step| is_response(*step, hog)).count().to_string()
}

/// Returns the number of sources that the kernel reported in the last wake-up.
pub fn ready_at_last_wake(entries: &[TranscriptEntry]) -> String {
    let ready = steps_in(entries).filter_map(|(_, step)| match step {
        Step::Woke { ready, .. } => Some(ready.len()),
        _ => None,
    });
    ready.last().unwrap_or(0).to_string()
}

fn is_response((by, step): (SourceId, &Step), source: SourceId) -> bool {
    by == source && step.response_head().is_some()
}

/// Returns the steps of a transcript with their sources.
fn steps_in(entries: &[TranscriptEntry]) -> impl Iterator<Item = (SourceId, &Step)> {
    entries.iter().filter_map(|entry| match entry {
        TranscriptEntry::Step(traced) => Some((traced.line.source, &traced.step)),
        TranscriptEntry::Note(_) => None,
    })
}

/// Returns the place behind the first answer that was lost.
fn after_loss(entries: &[TranscriptEntry]) -> &[TranscriptEntry] {
    let is_loss = |entry: &TranscriptEntry| match entry {
        TranscriptEntry::Step(traced) => traced.line.doc.verb == "drop",
        TranscriptEntry::Note(_) => false,
    };
    entries.iter().position(is_loss).map_or(&[], |at| &entries[at + 1..])
}

/// Returns `yes` if the kernel reported u2 between the first loss and the next datagram of u2,
/// otherwise `no`.
pub fn yes_if_loss_is_reported(entries: &[TranscriptEntry]) -> String {
    let entries = after_loss(entries);
    let is_sent = |entry: &TranscriptEntry| match entry {
        TranscriptEntry::Step(traced) => traced.line.source == U2 && matches!(traced.step, Step::Sent { .. }),
        TranscriptEntry::Note(_) => false,
    };
    let until = entries.iter().position(is_sent).unwrap_or(entries.len());
    yes_or_no(count_wakes(&entries[..until], U2) != "0")
}

/// Returns the timeout in seconds of the first wait after a loss.
pub fn timeout_after_loss(entries: &[TranscriptEntry]) -> String {
    first_timeout(after_loss(entries))
}

/// Returns how many datagrams u2 sent, and how many came back.
pub fn datagrams_until_answered(entries: &[TranscriptEntry]) -> String {
    let sent = count(entries, U2, |step| matches!(step, Step::Sent { .. }));
    let received = count(entries, U2, |step| matches!(step, Step::Received { .. }));
    format!("u2 has sent {sent} datagrams and received {received}")
}

/// Returns `yes` if B was sent something before A, otherwise `no`.
pub fn yes_if_b_is_first(entries: &[TranscriptEntry]) -> String {
    let first = steps_in(entries).find(|(_, step)| matches!(step, Step::Wrote { .. }));
    yes_or_no(first.is_some_and(|(source, _)| source == C2))
}

/// Returns `yes` if the kernel reported A after a part of its file was not in memory.
pub fn yes_if_disk_is_reported(entries: &[TranscriptEntry]) -> String {
    let is_missing = |entry: &TranscriptEntry| match entry {
        TranscriptEntry::Step(traced) => matches!(traced.step, Step::NotCached { .. }),
        TranscriptEntry::Note(_) => false,
    };
    let from = entries.iter().position(is_missing).unwrap_or(entries.len());
    yes_or_no(count_wakes(&entries[from..], C1) != "0")
}

/// Returns how long the loop was blocked by the disk.
pub fn time_blocked_by_disk(entries: &[TranscriptEntry]) -> String {
    format!("B waited {} ms for the disk", time_blocked(entries).as_millis())
}

/// Returns how long the loop was blocked.
fn time_blocked(entries: &[TranscriptEntry]) -> Duration {
    let blocked = entries.iter().find_map(|entry| match entry.noted() {
        Some(NotedEvent::Blocked(time)) => Some(time),
        _ => None,
    });
    blocked.unwrap_or_default()
}

/// Returns `yes` if D was sent a line after B's send buffer was full, otherwise `no`.
pub fn yes_if_d_is_served_while_b_is_blocked(entries: &[TranscriptEntry]) -> String {
    let is_blocked = |(source, step): &(SourceId, &Step)| *source == C2 && matches!(step, Step::Armed);
    let mut steps = steps_in(entries).skip_while(|step| !is_blocked(step));
    let is_served = steps.any(|(source, step)| source == C4 && matches!(step, Step::Wrote { .. }));
    yes_or_no(is_served)
}

/// Returns the number of members to which the last line of A was sent.
pub fn members_of_last_line(entries: &[TranscriptEntry]) -> String {
    let mut lines = entries.iter().filter_map(|entry| match entry {
        TranscriptEntry::Step(traced) if traced.line.source == C1 => {
            traced.line.to_string().split_once("members=").map(|(_, members)| members.to_owned())
        }
        _ => None,
    });
    let last = lines.next_back().unwrap_or_default();
    last.split(' ').next().unwrap_or_default().to_owned()
}
