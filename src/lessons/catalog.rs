//! The lessons: their scripts, the answers to their questions, and their bugs.

use std::{io, time::Duration};

use super::{
    MAX_BLOCK,
    broken_loop::Bug,
    harness::{Harness, TranscriptEntry},
};
use crate::trace::{SourceId, Step};

/// One lesson.
pub struct Lesson {
    /// The number that selects the lesson on the command line.
    pub number: u8,
    /// The title of the lesson.
    pub title: &'static str,
    /// The text of the lesson, a page of `docs/lessons`.
    pub page: &'static str,
    /// The bugs that the lesson can show.
    pub bugs: &'static [Bug],
    /// The size of each connection's send buffer in bytes, which the kernel doubles; `None` for the
    /// default size.
    pub send_buffer: Option<usize>,
    /// The number of descriptors that the lesson needs.
    pub descriptors: u64,
    /// Runs the scripted clients.
    pub script: fn(&mut Harness) -> io::Result<()>,
    /// Returns the answer to the page's question, computed from the transcript.
    pub answer: fn(&[TranscriptEntry]) -> String,
    /// Text in the line of the transcript that the lesson is about.
    pub decisive: &'static str,
    /// Returns the answer to the page's second question, which is asked before that line.
    pub second_answer: fn(&[TranscriptEntry]) -> String,
    /// Returns a sentence about what a bug costs the other client, if there is another one.
    pub cost: Option<fn(&[TranscriptEntry]) -> String>,
}

macro_rules! lessons {
    ($($number:literal $title:literal $bugs:expr, $script:ident ($send_buffer:expr, $descriptors:expr), $answer:expr,
        $decisive:literal $second_answer:expr, $cost:expr;)*) => {
        /// All lessons, in order.
        pub const LESSONS: &[Lesson] = &[$(Lesson {
            number: $number,
            title: $title,
            page: include_str!(concat!("../../docs/lessons/", $number, ".md")),
            bugs: &$bugs,
            send_buffer: $send_buffer,
            descriptors: $descriptors,
            script: $script,
            answer: $answer,
            decisive: $decisive,
            second_answer: $second_answer,
            cost: $cost,
        }),*];
    };
}

const L1: SourceId = SourceId::Listener(1);
const C1: SourceId = SourceId::Connection(1);
const C2: SourceId = SourceId::Connection(2);

lessons! {
    1 "Readable is not \"request ready\"" [], drip_request (None, 64), |entries| count_reads(entries, C1),
        "parse GET" |entries| count(entries, C1, |step| matches!(step, Step::Incomplete { .. })), None;
    2 "A stream has no messages" [Bug::OneReadOneMessage], pipeline_requests (None, 64), |entries| count_reads(entries, C1),
        "leftover=44" left_over_first, None;
    3 "A client that does not read" [Bug::WriteAll], stop_reading (Some(16 * 1024), 64), |entries| yes_if_response(entries, C2),
        "arm W" |entries| yes_if_after(entries, C1, |step| matches!(step, Step::Blocked { .. }), |step| matches!(step, Step::Read { .. })), Some(time_that_b_waited);
    4 "An edge is reported once" [Bug::NoDrain, Bug::AcceptOnce], leave_input_unread (None, 64), |entries| count_wakes(entries, L1),
        "queue empty" |entries| count(entries, L1, |step| matches!(step, Step::Accepted { .. })), None;
    5 "The end of input is not the end" [Bug::CloseOnEof], half_close_client (None, 64), |entries| yes_if_response(entries, C1),
        " eof" |entries| yes_if_after(entries, C1, |step| matches!(step, Step::EndOfInput), |step| matches!(step, Step::Read { .. })), None;
    6 "Deadlines" [Bug::NoDeadline], miss_deadlines (None, 64), timeout_while_time_passes,
        "deadline head-timeout" |entries| yes_if_response(entries, C1), None;
    7 "A hog and a small request" [Bug::NoBudget], send_many_requests (None, 64), |entries| count_responses_before(entries, C1, C2),
        "carry" |entries| count(entries, C1, |step| matches!(step, Step::CarriedOver)), Some(responses_before_b);
    8 "A thousand silent clients cost no time" [Bug::ScanAll], connect_silent_clients (None, 2100), ready_at_last_wake,
        "c1001[R]" |entries| count(entries, SourceId::Connection(1001), |step| matches!(step, Step::Read { .. })), None;
    9 "Writing to a client that is gone" [Bug::IgnoreErrors], reset_connection (Some(16 * 1024), 64), open_at_last_accept,
        "reason=reset" yes_if_reported_after_reset, None;
}

const HELLO: &[u8] = b"GET /hello.txt HTTP/1.1\r\nHost: localhost\r\n\r\n";
const BIG: &[u8] = b"GET /big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn drip_request(harness: &mut Harness) -> io::Result<()> {
    harness.connect('A', false)?;
    for piece in HELLO.chunks(HELLO.len().div_ceil(5)) {
        harness.send('A', piece)?;
    }
    harness.receive('A')
}

fn pipeline_requests(harness: &mut Harness) -> io::Result<()> {
    harness.connect('A', false)?;
    harness.send('A', &[HELLO, HELLO].concat())?;
    harness.receive('A')?;
    harness.send_datagrams(&[b"one", b"two"])
}

fn stop_reading(harness: &mut Harness) -> io::Result<()> {
    harness.connect('A', true)?;
    harness.connect('B', false)?;
    harness.send_only('A', BIG)?;
    harness.send_only('B', HELLO)?;
    harness.run_until_idle()?;
    harness.receive('B')?;
    harness.receive('A')?;
    harness.run_until_idle()
}

fn leave_input_unread(harness: &mut Harness) -> io::Result<()> {
    for name in ['A', 'B', 'C'] {
        harness.connect_only(name, false)?;
    }
    harness.run_until_idle()?;
    harness.send('A', HELLO)?;
    harness.receive('A')?;
    // An empty line before a request is allowed, and causes one more edge.
    harness.send('A', b"\r\n")?;
    harness.receive('A')?;
    harness.send('C', HELLO)?;
    harness.receive('C')
}

fn half_close_client(harness: &mut Harness) -> io::Result<()> {
    harness.connect('A', false)?;
    harness.send_only('A', HELLO)?;
    harness.half_close('A')?;
    harness.run_until_idle()?;
    harness.receive('A')
}

fn miss_deadlines(harness: &mut Harness) -> io::Result<()> {
    harness.connect('A', false)?;
    harness.connect('B', false)?;
    harness.send('B', HELLO)?;
    harness.receive('B')?;
    harness.send('A', &HELLO[..20])?;
    harness.advance(Duration::from_secs(10))?;
    harness.receive('A')?;
    harness.advance(Duration::from_secs(2))?;
    harness.advance(Duration::from_secs(63))?;
    harness.receive('B')
}

fn send_many_requests(harness: &mut Harness) -> io::Result<()> {
    harness.connect('A', false)?;
    harness.connect('B', false)?;
    harness.send_only('A', &HELLO.repeat(150))?;
    harness.send_only('B', HELLO)?;
    harness.run_until_idle()?;
    harness.receive('B')?;
    harness.receive('A')
}

fn connect_silent_clients(harness: &mut Harness) -> io::Result<()> {
    harness.connect_many(1000)?;
    harness.connect('A', false)?;
    harness.send('A', HELLO)?;
    harness.receive('A')
}

fn reset_connection(harness: &mut Harness) -> io::Result<()> {
    harness.connect('A', true)?;
    harness.send('A', BIG)?;
    harness.reset('A')?;
    harness.run_until_idle()?;
    harness.connect('B', false)?;
    harness.send('B', HELLO)?;
    harness.receive('B')
}

/// Returns `yes` if the kernel reported A after A had reset its connection, otherwise `no`.
fn yes_if_reported_after_reset(entries: &[TranscriptEntry]) -> String {
    let is_reset =
        |entry: &TranscriptEntry| matches!(entry, TranscriptEntry::Note(text) if text.contains(" resets "));
    let reset = entries.iter().position(is_reset).unwrap_or(entries.len());
    if count_wakes(&entries[reset..], C1) == "0" { "no".into() } else { "yes".into() }
}

/// Returns the number of open connections after the last one was accepted.
fn open_at_last_accept(entries: &[TranscriptEntry]) -> String {
    let open = steps_in(entries).filter_map(|(_, step)| match step {
        Step::Accepted { open, .. } => Some(*open),
        _ => None,
    });
    open.last().unwrap_or(0).to_string()
}

/// Returns the number of reads by `source` that returned bytes.
fn count_reads(entries: &[TranscriptEntry], source: SourceId) -> String {
    count(entries, source, |step| matches!(step, Step::Read { .. }))
}

/// Returns the number of steps of a kind by `source`.
fn count(entries: &[TranscriptEntry], source: SourceId, is_counted: fn(&Step) -> bool) -> String {
    steps_in(entries).filter(|(by, step)| *by == source && is_counted(step)).count().to_string()
}

/// Returns `yes` if a step of one kind by `source` follows a step of another kind, otherwise `no`.
fn yes_if_after(
    entries: &[TranscriptEntry],
    source: SourceId,
    is_first: fn(&Step) -> bool,
    is_next: fn(&Step) -> bool,
) -> String {
    let mut steps = steps_in(entries).filter(|(by, _)| *by == source).map(|(_, step)| step);
    let follows = steps.any(is_first) && steps.any(is_next);
    if follows { "yes".into() } else { "no".into() }
}

/// Returns the number of bytes behind the first message.
fn left_over_first(entries: &[TranscriptEntry]) -> String {
    let left = steps_in(entries).find_map(|(_, step)| match step {
        Step::Understood { left, .. } => Some(*left),
        _ => None,
    });
    left.unwrap_or(0).to_string()
}

/// Returns how long B waited while the loop was blocked.
fn time_that_b_waited(entries: &[TranscriptEntry]) -> String {
    let is_blocked = |entry: &TranscriptEntry| matches!(entry, TranscriptEntry::Note(text) if text.contains("B has waited"));
    let time = if entries.iter().any(is_blocked) { MAX_BLOCK.as_millis() } else { 0 };
    format!("B waited {time} ms while A read nothing")
}

/// Returns how many answers A got before B got its own.
fn responses_before_b(entries: &[TranscriptEntry]) -> String {
    format!("B waited for {} of A's answers", count_responses_before(entries, C1, C2))
}

/// Returns `yes` if `source` got a response, otherwise `no`.
fn yes_if_response(entries: &[TranscriptEntry], source: SourceId) -> String {
    if steps_in(entries).any(|step| is_response(step, source)) { "yes".into() } else { "no".into() }
}

/// Returns the number of wake-ups in which the kernel reported `source`.
fn count_wakes(entries: &[TranscriptEntry], source: SourceId) -> String {
    let is_reported = |(_, step): &(SourceId, &Step)| match step {
        Step::Woke { ready, .. } => ready.iter().any(|(reported, _)| *reported == source),
        _ => false,
    };
    steps_in(entries).filter(is_reported).count().to_string()
}

/// Returns the timeout in seconds of the first wait after the clock was moved forward.
fn timeout_while_time_passes(entries: &[TranscriptEntry]) -> String {
    let is_pause =
        |entry: &TranscriptEntry| matches!(entry, TranscriptEntry::Note(text) if text.ends_with(" s pass"));
    let pause = entries.iter().position(is_pause).unwrap_or(0);
    let timeout = steps_in(&entries[pause..]).find_map(|(_, step)| match step {
        Step::Waiting { timeout, .. } => Some(*timeout),
        _ => None,
    });
    timeout.flatten().map_or("never".into(), |timeout| timeout.as_secs().to_string())
}

/// Returns the number of responses that `hog` got before `other` got its first one.
fn count_responses_before(entries: &[TranscriptEntry], hog: SourceId, other: SourceId) -> String {
    let before = steps_in(entries).take_while(|step| !is_response(*step, other));
    before.filter(|step| is_response(*step, hog)).count().to_string()
}

/// Returns the number of sources that the kernel reported in the last wake-up.
fn ready_at_last_wake(entries: &[TranscriptEntry]) -> String {
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
