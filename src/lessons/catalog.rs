//! The lessons: what the clients do, what is asked before it is shown, and which bugs belong to it.

use std::{io, time::Duration};

use super::{
    broken_loop::Bug,
    harness::{Harness, TranscriptEntry},
};
use crate::trace::SourceId;

/// One lesson. Its text is a page of its own, in `docs/lessons`.
pub struct Lesson {
    pub number: u8,
    pub title: &'static str,
    pub page: &'static str,
    pub bugs: &'static [Bug],
    /// The size of each connection's send buffer; what the kernel makes of it is twice that.
    pub send_buffer: Option<usize>,
    /// How many descriptors it takes.
    pub descriptors: u64,
    pub catalog: fn(&mut Harness) -> io::Result<()>,
    /// Finds the answer to the page's question in what happened.
    pub answer: fn(&[TranscriptEntry]) -> String,
}

macro_rules! lessons {
    ($($number:literal $title:literal $bugs:expr, $catalog:ident ($send_buffer:expr, $descriptors:expr), $answer:expr;)*) => {
        pub const LESSONS: &[Lesson] = &[$(Lesson {
            number: $number,
            title: $title,
            page: include_str!(concat!("../../docs/lessons/", $number, ".md")),
            bugs: &$bugs,
            send_buffer: $send_buffer,
            descriptors: $descriptors,
            catalog: $catalog,
            answer: $answer,
        }),*];
    };
}

lessons! {
    1 "Readable is not \"request ready\"" [], dripped (None, 64), |entries| count(entries, SourceId::Connection(1), "read");
    2 "A stream has no messages" [Bug::OneReadOneMessage], pipelined (None, 64), |entries| count(entries, SourceId::Connection(1), "read");
    3 "A peer that does not read" [Bug::WriteAll], stalled (Some(16 * 1024), 64), |entries| yes_no(tells(entries, SourceId::Connection(2), "plan"));
    4 "An edge is told once" [Bug::NoDrain, Bug::AcceptOnce], edges (None, 64), |entries| wakes_of(entries, SourceId::Listener(1));
    5 "The end of input is not the end" [Bug::CloseOnEof], half_closed (None, 64), |entries| yes_no(tells(entries, SourceId::Connection(1), "plan"));
    6 "Patience" [Bug::NoDeadline], late (None, 64), |entries| timeout_of_last_wait_before_time_passes(entries);
    7 "Nobody waits for a hog" [Bug::NoBudget], hog (None, 64), |entries| answers_before(entries, SourceId::Connection(1), SourceId::Connection(2));
    8 "A thousand silent peers cost nothing" [Bug::ScanAll], connect_many (None, 2100), |entries| named_by_last_wake(entries);
}

const HELLO: &[u8] = b"GET /hello.txt HTTP/1.1\r\nHost: localhost\r\n\r\n";
const BIG: &[u8] = b"GET /big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn dripped(harness: &mut Harness) -> io::Result<()> {
    harness.connect('A', false)?;
    for piece in HELLO.chunks(HELLO.len().div_ceil(5)) {
        harness.send('A', piece)?;
    }
    harness.take('A')
}

fn pipelined(harness: &mut Harness) -> io::Result<()> {
    harness.connect('A', false)?;
    harness.send('A', &[HELLO, HELLO].concat())?;
    harness.take('A')?;
    harness.datagrams(&[b"one", b"two"])
}

fn stalled(harness: &mut Harness) -> io::Result<()> {
    harness.connect('A', true)?;
    harness.connect('B', false)?;
    harness.send_only('A', BIG)?;
    harness.send_only('B', HELLO)?;
    harness.run_until_idle()?;
    harness.take('B')?;
    harness.take('A')?;
    harness.run_until_idle()
}

fn edges(harness: &mut Harness) -> io::Result<()> {
    for name in ['A', 'B', 'C'] {
        harness.connect_only(name, false)?;
    }
    harness.run_until_idle()?;
    harness.send('A', HELLO)?;
    harness.take('A')?;
    // An empty line before a request is allowed, and one more edge.
    harness.send('A', b"\r\n")?;
    harness.take('A')?;
    harness.send('C', HELLO)?;
    harness.take('C')
}

fn half_closed(harness: &mut Harness) -> io::Result<()> {
    harness.connect('A', false)?;
    harness.send_only('A', HELLO)?;
    harness.half_close('A')?;
    harness.run_until_idle()?;
    harness.take('A')
}

fn late(harness: &mut Harness) -> io::Result<()> {
    harness.connect('A', false)?;
    harness.connect('B', false)?;
    harness.send('B', HELLO)?;
    harness.take('B')?;
    harness.send('A', &HELLO[..20])?;
    harness.advance(Duration::from_secs(10))?;
    harness.take('A')?;
    harness.advance(Duration::from_secs(2))?;
    harness.advance(Duration::from_secs(48))?;
    harness.take('B')
}

fn hog(harness: &mut Harness) -> io::Result<()> {
    harness.connect('A', false)?;
    harness.connect('B', false)?;
    harness.send_only('A', &HELLO.repeat(150))?;
    harness.send_only('B', HELLO)?;
    harness.run_until_idle()?;
    harness.take('B')?;
    harness.take('A')
}

fn connect_many(harness: &mut Harness) -> io::Result<()> {
    harness.connect_many(1000)?;
    harness.connect('A', false)?;
    harness.send('A', HELLO)?;
    harness.take('A')
}

/// How often `id` did what `verb` says, with something to show for it.
fn count(entries: &[TranscriptEntry], id: SourceId, verb: &str) -> String {
    let lines = entries.iter().filter_map(transcript);
    lines.filter(|(by, of, facts)| *by == id && *of == verb && !facts.starts_with("->")).count().to_string()
}

fn tells(entries: &[TranscriptEntry], id: SourceId, verb: &str) -> bool {
    entries.iter().filter_map(transcript).any(|(by, of, _)| by == id && of == verb)
}

fn yes_no(is_so: bool) -> String {
    if is_so { "yes" } else { "no" }.into()
}

/// How many wakes the kernel had for `id`.
fn wakes_of(entries: &[TranscriptEntry], id: SourceId) -> String {
    let name = format!(" {id}[");
    let wakes = entries
        .iter()
        .filter_map(transcript)
        .filter(|(_, verb, facts)| *verb == "wake" && facts.contains(&name));
    wakes.count().to_string()
}

/// In seconds.
fn timeout_of_last_wait_before_time_passes(entries: &[TranscriptEntry]) -> String {
    let at = entries
        .iter()
        .position(|entry| matches!(entry, TranscriptEntry::Note(text) if text.ends_with(" s pass")));
    let mut waits =
        entries[at.unwrap_or(0)..].iter().filter_map(transcript).filter(|(_, verb, _)| *verb == "wait");
    let timeout = waits.next().and_then(|(_, _, facts)| facts.strip_prefix("timeout="));
    timeout.and_then(|timeout| timeout.split(['.', ' ']).next()).unwrap_or("never").into()
}

fn answers_before(entries: &[TranscriptEntry], hog: SourceId, other: SourceId) -> String {
    let plans = entries.iter().filter_map(transcript).filter(|(_, verb, _)| *verb == "plan");
    plans.take_while(|(id, _, _)| *id != other).filter(|(id, _, _)| *id == hog).count().to_string()
}

fn named_by_last_wake(entries: &[TranscriptEntry]) -> String {
    let wake = entries.iter().rev().filter_map(transcript).find(|(_, verb, _)| *verb == "wake");
    let kernel =
        wake.and_then(|(_, _, facts)| facts.split(' ').find_map(|fact| fact.strip_prefix("kernel=")));
    kernel.unwrap_or("0").into()
}

fn transcript(entry: &TranscriptEntry) -> Option<(SourceId, &'static str, &str)> {
    match entry {
        TranscriptEntry::Step(line) => Some((line.id, line.doc.verb, &line.facts)),
        TranscriptEntry::Note(_) => None,
    }
}
