//! The lessons: what the clients do, what is asked before it is shown, and which bugs belong to it.

use std::{io, time::Duration};

use super::{
    stage::{Entry, Stage},
    twin::Bug,
};
use crate::observer::Who;

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
    pub script: fn(&mut Stage) -> io::Result<()>,
    /// Finds the answer to the page's question in what happened.
    pub answer: fn(&[Entry]) -> String,
}

macro_rules! lessons {
    ($($number:literal $title:literal $bugs:expr, $script:ident ($send_buffer:expr, $descriptors:expr), $answer:expr;)*) => {
        pub const LESSONS: &[Lesson] = &[$(Lesson {
            number: $number,
            title: $title,
            page: include_str!(concat!("../../docs/lessons/", $number, ".md")),
            bugs: &$bugs,
            send_buffer: $send_buffer,
            descriptors: $descriptors,
            script: $script,
            answer: $answer,
        }),*];
    };
}

lessons! {
    1 "Readable is not \"request ready\"" [], dripped (None, 64), |entries| count(entries, Who::Connection(1), "read");
    2 "A stream has no messages" [Bug::OneReadOneMessage], pipelined (None, 64), |entries| count(entries, Who::Connection(1), "read");
    3 "A peer that does not read" [Bug::WriteAll], stalled (Some(16 * 1024), 64), |entries| yes_no(tells(entries, Who::Connection(2), "plan"));
    4 "An edge is told once" [Bug::NoDrain, Bug::AcceptOnce], edges (None, 64), |entries| wakes_of(entries, Who::Listener(1));
    5 "The end of input is not the end" [Bug::CloseOnEof], half_closed (None, 64), |entries| yes_no(tells(entries, Who::Connection(1), "plan"));
    6 "Patience" [Bug::NoDeadline], late (None, 64), |entries| timeout_of_last_wait_before_time_passes(entries);
    7 "Nobody waits for a hog" [Bug::NoBudget], hog (None, 64), |entries| answers_before(entries, Who::Connection(1), Who::Connection(2));
    8 "A thousand silent peers cost nothing" [Bug::ScanAll], crowd (None, 2100), |entries| named_by_last_wake(entries);
}

const HELLO: &[u8] = b"GET /hello.txt HTTP/1.1\r\nHost: localhost\r\n\r\n";
const BIG: &[u8] = b"GET /big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn dripped(stage: &mut Stage) -> io::Result<()> {
    stage.connect('A', false)?;
    for piece in HELLO.chunks(HELLO.len().div_ceil(5)) {
        stage.send('A', piece)?;
    }
    stage.take('A')
}

fn pipelined(stage: &mut Stage) -> io::Result<()> {
    stage.connect('A', false)?;
    stage.send('A', &[HELLO, HELLO].concat())?;
    stage.take('A')?;
    stage.datagrams(&[b"one", b"two"])
}

fn stalled(stage: &mut Stage) -> io::Result<()> {
    stage.connect('A', true)?;
    stage.connect('B', false)?;
    stage.push('A', BIG)?;
    stage.push('B', HELLO)?;
    stage.settle()?;
    stage.take('B')?;
    stage.take('A')?;
    stage.settle()
}

fn edges(stage: &mut Stage) -> io::Result<()> {
    for name in ['A', 'B', 'C'] {
        stage.knock(name, false)?;
    }
    stage.settle()?;
    stage.send('A', HELLO)?;
    stage.take('A')?;
    // An empty line before a request is allowed, and one more edge.
    stage.send('A', b"\r\n")?;
    stage.take('A')?;
    stage.send('C', HELLO)?;
    stage.take('C')
}

fn half_closed(stage: &mut Stage) -> io::Result<()> {
    stage.connect('A', false)?;
    stage.push('A', HELLO)?;
    stage.half_close('A')?;
    stage.settle()?;
    stage.take('A')
}

fn late(stage: &mut Stage) -> io::Result<()> {
    stage.connect('A', false)?;
    stage.connect('B', false)?;
    stage.send('B', HELLO)?;
    stage.take('B')?;
    stage.send('A', &HELLO[..20])?;
    stage.pass(Duration::from_secs(10))?;
    stage.take('A')?;
    stage.pass(Duration::from_secs(2))?;
    stage.pass(Duration::from_secs(48))?;
    stage.take('B')
}

fn hog(stage: &mut Stage) -> io::Result<()> {
    stage.connect('A', false)?;
    stage.connect('B', false)?;
    stage.push('A', &HELLO.repeat(150))?;
    stage.push('B', HELLO)?;
    stage.settle()?;
    stage.take('B')?;
    stage.take('A')
}

fn crowd(stage: &mut Stage) -> io::Result<()> {
    stage.crowd(1000)?;
    stage.connect('A', false)?;
    stage.send('A', HELLO)?;
    stage.take('A')
}

/// How often `who` did what `verb` says, with something to show for it.
fn count(entries: &[Entry], who: Who, verb: &str) -> String {
    let lines = entries.iter().filter_map(told);
    lines.filter(|(by, of, facts)| *by == who && *of == verb && !facts.starts_with("->")).count().to_string()
}

fn tells(entries: &[Entry], who: Who, verb: &str) -> bool {
    entries.iter().filter_map(told).any(|(by, of, _)| by == who && of == verb)
}

fn yes_no(is_so: bool) -> String {
    if is_so { "yes" } else { "no" }.into()
}

/// How many wakes the kernel had for `who`.
fn wakes_of(entries: &[Entry], who: Who) -> String {
    let name = format!(" {who}[");
    let wakes =
        entries.iter().filter_map(told).filter(|(_, verb, facts)| *verb == "wake" && facts.contains(&name));
    wakes.count().to_string()
}

/// In seconds.
fn timeout_of_last_wait_before_time_passes(entries: &[Entry]) -> String {
    let at = entries.iter().position(|entry| matches!(entry, Entry::Said(text) if text.ends_with(" s pass")));
    let mut waits = entries[at.unwrap_or(0)..].iter().filter_map(told).filter(|(_, verb, _)| *verb == "wait");
    let timeout = waits.next().and_then(|(_, _, facts)| facts.strip_prefix("timeout="));
    timeout.and_then(|timeout| timeout.split(['.', ' ']).next()).unwrap_or("never").into()
}

fn answers_before(entries: &[Entry], hog: Who, other: Who) -> String {
    let plans = entries.iter().filter_map(told).filter(|(_, verb, _)| *verb == "plan");
    plans.take_while(|(who, _, _)| *who != other).filter(|(who, _, _)| *who == hog).count().to_string()
}

fn named_by_last_wake(entries: &[Entry]) -> String {
    let wake = entries.iter().rev().filter_map(told).find(|(_, verb, _)| *verb == "wake");
    let kernel =
        wake.and_then(|(_, _, facts)| facts.split(' ').find_map(|fact| fact.strip_prefix("kernel=")));
    kernel.unwrap_or("0").into()
}

fn told(entry: &Entry) -> Option<(Who, &'static str, &str)> {
    match entry {
        Entry::Told(line) => Some((line.who, line.word.verb, &line.facts)),
        Entry::Said(_) => None,
    }
}
