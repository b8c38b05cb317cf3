//! The narration: one line a step.

use std::{fmt, fmt::Write as _, time::Duration};

use super::{
    escape::{escaped, redacted},
    glossary::{self, Word},
    model::{Model, State},
};
use crate::{
    clock::Stopwatch,
    observer::{Observer, Step, Who},
    sink::Sink,
};

/// How many sources a wake names.
pub(super) const NAMED: usize = 16;
/// How many bytes of what came or went are shown.
const SHOWN: usize = 64;
/// How many bytes of an address are told.
const LONGEST: usize = 128;

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// When the loop wakes, and who comes and goes.
    Wakes,
    /// Every call and decision.
    Io,
    /// And the first bytes of what came and went.
    Bytes,
}

/// One line, without the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub turn: u64,
    pub who: Who,
    pub word: &'static Word,
    pub facts: String,
}

impl Line {
    /// What is said of `step`, which `model` has noted already, if anything is at that level.
    pub fn of(who: Who, step: &Step, model: &Model, at: Duration, level: Level) -> Option<Line> {
        let word = glossary::word(who, step).filter(|word| word.level <= level)?;
        let mut facts = facts(who, step, model, at);
        if level == Level::Bytes
            && let Some(bytes) = shown(who, step, model)
        {
            let _ = write!(facts, " \"{}\"", escaped(&bytes));
        }
        Some(Line { turn: model.turn, who, word, facts })
    }

    /// The line of a spin, if there is one: told at 2, 4, 8 … wakes in a row.
    pub fn of_fault(model: &Model) -> Option<Line> {
        let (who, wakes) = model.spin.filter(|(_, wakes)| wakes.is_power_of_two())?;
        let facts = format!("no-progress wakes={wakes}");
        Some(Line { turn: model.turn, who, word: &glossary::FAULT, facts })
    }
}

/// `#3 c3 read 65536 -> 29 buf=29 -- gloss`.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Line { turn, who, word, facts } = self;
        write!(f, "#{turn} {who} {}", word.verb)?;
        if !facts.is_empty() {
            write!(f, " {facts}")?;
        }
        if !word.gloss.is_empty() {
            write!(f, " -- {}", word.gloss)?;
        }
        Ok(())
    }
}

/// What the forms of the glossary stand for.
fn facts(who: Who, step: &Step, model: &Model, at: Duration) -> String {
    match step {
        Step::Bound { address, fd } => format!("{address} fd={fd}"),
        Step::Waiting { timeout, carried, .. } => match timeout {
            Some(timeout) => format!("timeout={} carried={carried}", span(*timeout)),
            None => format!("timeout=never carried={carried}"),
        },
        Step::Woke { ready, carried, .. } => {
            let (kernel, left_over) = (ready.len(), carried.len());
            let mut facts = format!("slept={} kernel={kernel} carried={left_over}", span(model.slept));
            let kernel = ready.iter().map(|(who, flags)| format!(" {who}[{flags}]"));
            let ours = carried.iter().map(|who| format!(" +{who}"));
            facts.extend(kernel.chain(ours).take(NAMED));
            let unnamed = (ready.len() + carried.len()).saturating_sub(NAMED);
            if unnamed > 0 {
                let _ = write!(facts, " and {unnamed} more");
            }
            facts
        }
        Step::Signalled { number } => number.to_string(),
        Step::Looked => "changed".into(),
        Step::Accepted { connection, peer, fd, open } => {
            format!("-> c{connection} {peer} fd={fd} open={open}")
        }
        Step::BacklogEmpty | Step::Drained => "-> WouldBlock".into(),
        Step::Read { offered, bytes, kept } => {
            format!("{offered} -> {} buf={}", bytes.len(), kept + bytes.len())
        }
        Step::Incomplete { have, need } => format!("incomplete have={have} need={need}"),
        Step::Understood { start, len, left } => {
            let start = if start.is_empty() { "message".into() } else { brief(start) };
            format!("{start} len={len} leftover={left}")
        }
        Step::Refused { reason } => format!("refused \"{reason}\""),
        Step::Found { path, took } => format!("{} took={}", brief(path), span(*took)),
        Step::Gathered { names } => format!("names={names}"),
        Step::Planned { status, head, body } => {
            let body = body.map_or("?".into(), |len| len.to_string());
            format!("{status} head={} body={body}", head.len())
        }
        Step::Wrote { by, offered, got, sent, of } => format!("{offered} -> {got} by={by} sent={sent}/{of}"),
        Step::Blocked { by, offered } => format!("{offered} -> WouldBlock by={by}"),
        Step::Armed | Step::Disarmed => "W".into(),
        Step::Deadline { why, late, got } => {
            let is_lingering = model.peers.get(&who).is_some_and(|peer| peer.state == State::Linger);
            let what = if is_lingering { "linger".into() } else { why.to_string() };
            format!("{what} late={} got={got}", span(*late))
        }
        Step::Received { offered, bytes, from } => format!("{offered} -> {} from={from}", bytes.len()),
        Step::Sent { got, to } => format!("-> {got} to={to}"),
        Step::Closed { why, unread } => {
            let since = model.peers.get(&who).and_then(|peer| peer.since);
            let life = since.map_or("?".into(), |since| span(at.saturating_sub(since)));
            format!("reason={why} unread={unread} life={life}")
        }
        Step::Parked { descriptors } => if *descriptors { "descriptors" } else { "limit" }.into(),
        Step::Begun | Step::EndOfInput | Step::CarriedOver | Step::ShutDown | Step::Patient { .. } => {
            String::new()
        }
    }
}

/// The bytes that a step is about, without secrets.
fn shown(who: Who, step: &Step, model: &Model) -> Option<Vec<u8>> {
    let mut shown = match step {
        // Seen together with what was there before, for a value that is cut is secret in both halves.
        Step::Read { bytes, .. } => {
            let mut waiting = model.peers.get(&who)?.inbox.visible()?;
            waiting.split_off(waiting.len().checked_sub(bytes.len())?)
        }
        Step::Received { bytes, .. } => redacted(bytes),
        Step::Planned { head, .. } => redacted(head),
        _ => return None,
    };
    shown.truncate(SHOWN);
    Some(shown)
}

/// The beginning of what a peer has asked for.
fn brief(bytes: &[u8]) -> String {
    let end = if bytes.len() > LONGEST { "..." } else { "" };
    escaped(&bytes[..bytes.len().min(LONGEST)]) + end
}

/// `57us`, `12.3ms`, `2.114s`.
pub fn span(time: Duration) -> String {
    match time.as_micros() {
        0 => "0".into(),
        us @ 1..1000 => format!("{us}us"),
        us @ 1000..1_000_000 => format!("{:.1}ms", us as f64 / 1e3),
        _ => format!("{:.3}s", time.as_secs_f64()),
    }
}

/// Tells of each step on a line, and writes the lines once a turn.
pub struct Narrator {
    level: Level,
    /// Of whom alone is told; empty: of everybody.
    only: Vec<Who>,
    stopwatch: Stopwatch,
    model: Model,
    lines: String,
    sink: Sink,
    /// Lines that nobody took, as far as that was told.
    lost: u64,
    /// What it cost to tell of this turn.
    cost: Duration,
}

impl Narrator {
    /// Tells `sink` of `only`, or of everybody where that is empty.
    pub fn new(level: Level, only: Vec<Who>, sink: Sink) -> Narrator {
        Narrator {
            level,
            only,
            stopwatch: Stopwatch::start(),
            model: Narrator::model(level),
            lines: String::new(),
            sink,
            lost: 0,
            cost: Duration::ZERO,
        }
    }

    fn model(level: Level) -> Model {
        if level == Level::Bytes { Model::with_bytes() } else { Model::default() }
    }

    /// Writes what was gathered, and first of all tells what was lost.
    fn write_out(&mut self) {
        let lost = self.sink.dropped() - self.lost;
        if lost > 0 {
            self.lost += lost;
            let line = Line {
                turn: self.model.turn,
                who: Who::Loop,
                word: &glossary::LOST,
                facts: format!("lines={lost}"),
            };
            self.lines.insert_str(0, &format!("{:>9.6} {line}\n", self.stopwatch.elapsed().as_secs_f64()));
        }
        self.sink.write(self.lines.as_bytes());
        self.lines.clear();
    }

    fn concerns(&self, who: Who, step: &Step) -> bool {
        let is_among = |who: &Who| self.only.is_empty() || self.only.contains(who);
        is_among(&who)
            || match step {
                Step::Woke { ready, carried, .. } => {
                    ready.iter().map(|(who, _)| who).chain(carried).any(is_among)
                }
                Step::Accepted { connection, .. } => is_among(&Who::Connection(*connection)),
                _ => false,
            }
    }

    fn tell(&mut self, line: &Line, at: Duration) {
        let _ = write!(self.lines, "{:>9.6} {line}", at.as_secs_f64());
    }
}

impl Observer for Narrator {
    fn see(&mut self, who: Who, step: &Step) {
        let at = self.stopwatch.elapsed();
        self.model.note(who, step, at);
        if let (Step::Waiting { .. }, Some(line)) = (step, Line::of_fault(&self.model)) {
            self.tell(&line, at);
            self.lines.push('\n');
        }
        if self.concerns(who, step)
            && let Some(line) = Line::of(who, step, &self.model, at, self.level)
        {
            self.tell(&line, at);
            if matches!(step, Step::Woke { .. }) && !self.cost.is_zero() {
                let _ = write!(self.lines, " trace={}", span(self.cost));
            }
            self.lines.push('\n');
        }
        match step {
            Step::Woke { .. } => self.cost = Duration::ZERO,
            Step::Closed { .. } => self.model.forget(who),
            Step::Waiting { .. } => {
                self.write_out();
                self.model.wait_from(self.stopwatch.elapsed());
            }
            _ => {}
        }
        self.cost += self.stopwatch.elapsed().saturating_sub(at);
    }

    /// What happens meanwhile is not known when it comes again.
    fn leave(&mut self) {
        self.write_out();
        self.model = Narrator::model(self.level);
    }
}

/// What is gathered of a turn that does not end is told, too.
impl Drop for Narrator {
    fn drop(&mut self) {
        self.write_out();
    }
}

/// Reads `c3`, `L1`, `u1`, `loop`.
///
/// # Errors
/// It is nobody's name: a sentence that says what is.
pub fn who(name: &str) -> Result<Who, String> {
    let number = |prefix: char| name.strip_prefix(prefix).and_then(|digits| digits.parse().ok());
    let named = match name {
        "loop" => Some(Who::Loop),
        "signals" => Some(Who::Signals),
        "files" => Some(Who::Files),
        "terminal" => Some(Who::Terminal),
        _ => number('c')
            .map(Who::Connection)
            .or_else(|| number('L').map(Who::Listener))
            .or_else(|| number('u').map(Who::Datagrams)),
    };
    named.ok_or_else(|| "give a name such as c3, L1, u1 or loop".into())
}
