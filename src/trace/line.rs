//! A step on a line, in the words of the glossary.

use std::{fmt, fmt::Write as _, time::Duration};

use super::{
    glossary::{self, StepDoc, TraceLevel},
    model::{Activity, Model},
    redact::{escaped, redacted},
};
use crate::trace::{SourceId, Step};

/// How many sources a wake names.
pub(super) const NAMED: usize = 16;
/// How many bytes of what came or went are shown.
const SHOWN: usize = 64;
/// How many bytes of an address are told.
const LONGEST: usize = 128;

/// One line, without the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceLine {
    pub turn: u64,
    pub id: SourceId,
    pub doc: &'static StepDoc,
    pub facts: String,
}

impl TraceLine {
    /// What is said of `step`, which `model` has noted already, if anything is at that level.
    pub fn of(
        id: SourceId,
        step: &Step,
        model: &Model,
        at: Duration,
        level: TraceLevel,
    ) -> Option<TraceLine> {
        let doc = glossary::doc(id, step).filter(|doc| doc.level <= level)?;
        let mut facts = facts(id, step, model, at);
        if level == TraceLevel::Bytes
            && let Some(bytes) = shown(id, step, model)
        {
            let _ = write!(facts, " \"{}\"", escaped(&bytes));
        }
        Some(TraceLine { turn: model.turn, id, doc, facts })
    }

    /// The line of a spin, if there is one: told at 2, 4, 8 … wakes in a row.
    pub fn of_fault(model: &Model) -> Option<TraceLine> {
        let (id, wakes) = model.spin.filter(|(_, wakes)| wakes.is_power_of_two())?;
        let facts = format!("no-progress wakes={wakes}");
        Some(TraceLine { turn: model.turn, id, doc: &glossary::FAULT, facts })
    }
}

/// `#3 c3 read 65536 -> 29 buf=29 -- gloss`.
impl fmt::Display for TraceLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TraceLine { turn, id, doc, facts } = self;
        write!(f, "#{turn} {id} {}", doc.verb)?;
        if !facts.is_empty() {
            write!(f, " {facts}")?;
        }
        if !doc.gloss.is_empty() {
            write!(f, " -- {}", doc.gloss)?;
        }
        Ok(())
    }
}

/// What the forms of the glossary stand for.
fn facts(id: SourceId, step: &Step, model: &Model, at: Duration) -> String {
    match step {
        Step::Bound { address, fd } => format!("{address} fd={fd}"),
        Step::Waiting { timeout, carried, .. } => match timeout {
            Some(timeout) => format!("timeout={} carried={carried}", span(*timeout)),
            None => format!("timeout=never carried={carried}"),
        },
        Step::Woke { ready, carried, .. } => {
            let (kernel, left_over) = (ready.len(), carried.len());
            let mut facts = format!("slept={} kernel={kernel} carried={left_over}", span(model.slept));
            let kernel = ready.iter().map(|(id, flags)| format!(" {id}[{flags}]"));
            let ours = carried.iter().map(|id| format!(" +{id}"));
            facts.extend(kernel.chain(ours).take(NAMED));
            let unnamed = (ready.len() + carried.len()).saturating_sub(NAMED);
            if unnamed > 0 {
                let _ = write!(facts, " and {unnamed} more");
            }
            facts
        }
        Step::Signalled { number } => number.to_string(),
        Step::Polled => "changed".into(),
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
        Step::FileLookup { path, took } => format!("{} took={}", brief(path), span(*took)),
        Step::EntriesRead { names } => format!("names={names}"),
        Step::Planned { status, head, body } => {
            let body = body.map_or("?".into(), |len| len.to_string());
            format!("{status} head={} body={body}", head.len())
        }
        Step::Wrote { by, offered, got, sent, of } => format!("{offered} -> {got} by={by} sent={sent}/{of}"),
        Step::Blocked { by, offered } => format!("{offered} -> WouldBlock by={by}"),
        Step::NotCached { sent } => format!("sent={sent} not in memory"),
        Step::Armed | Step::Disarmed => "W".into(),
        Step::Deadline { reason, late, got } => {
            let is_lingering = model.sources.get(&id).is_some_and(|peer| peer.state == Activity::Linger);
            let what = if is_lingering { "linger".into() } else { reason.to_string() };
            format!("{what} late={} got={got}", span(*late))
        }
        Step::Received { offered, bytes, from } => format!("{offered} -> {} from={from}", bytes.len()),
        Step::Sent { got, to } => format!("-> {got} to={to}"),
        Step::Closed { reason, unread } => {
            let since = model.sources.get(&id).and_then(|peer| peer.since);
            let life = since.map_or("?".into(), |since| span(at.saturating_sub(since)));
            format!("reason={reason} unread={unread} life={life}")
        }
        Step::AcceptPaused { out_of_fds } => if *out_of_fds { "descriptors" } else { "limit" }.into(),
        Step::TurnBegan
        | Step::EndOfInput
        | Step::CarriedOver
        | Step::ShutDown
        | Step::DeadlineSet { .. } => String::new(),
    }
}

/// The bytes that a step is about, without secrets.
fn shown(id: SourceId, step: &Step, model: &Model) -> Option<Vec<u8>> {
    let mut shown = match step {
        // Seen together with what was there before, for a value that is cut is secret in both halves.
        Step::Read { bytes, .. } => {
            let mut waiting = model.sources.get(&id)?.inbox.visible()?;
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
