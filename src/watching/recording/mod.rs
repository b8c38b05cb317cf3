//! A recording of the loop for a viewer: Perfetto, or Chrome's own.
//!
//! The track `loop` has a slice `wait` for each poll and one for each turn; in that, one for each source that has its turn;
//! and in that, one for each call and decision. Each connection has a track of its own. What the recording itself costs lies
//! between the calls, and is told. It is written once a turn, and what is closed is forgotten.

mod events;
mod facts;
mod lanes;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    fs::File,
    time::Duration,
};

use self::{
    events::{Events, Track},
    facts::facts,
    lanes::Lanes,
};
use super::{glossary, line::Line, model::Model};
use crate::{
    clock::Stopwatch,
    observer::{Flags, Observer, Step, Who},
};

/// Records each step in a file.
pub struct Recording {
    stopwatch: Stopwatch,
    model: Model,
    events: Events,
    /// When the last step was recorded: what the next one tells of began then.
    since: Duration,
    is_in_turn: bool,
    /// Whose turn it is.
    current: Option<Who>,
    causes: HashMap<Who, Cause>,
    lanes: Lanes,
    /// Connections that are open.
    open: u64,
    /// Bytes that were put in and are not sent, of everybody.
    unsent: u64,
    /// What the poll was asked for.
    poll: String,
    /// The numbers that were told last.
    told: BTreeMap<&'static str, u64>,
    /// What it cost to record this turn.
    cost: Duration,
}

/// Why a source has its turn: what the kernel said of it, and that it had work left over.
#[derive(Default)]
struct Cause {
    flags: Option<Flags>,
    is_carried: bool,
}

/// ` R W`, ` +`.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(flags) = self.flags {
            write!(f, " {flags}")?;
        }
        f.write_str(if self.is_carried { " +" } else { "" })
    }
}

impl Recording {
    /// Records in `file`, which is to be empty.
    pub fn new(file: File) -> Recording {
        let mut events = Events::to(file);
        events.name_process("oneloop");
        events.name(Track::LOOP, "loop");
        Recording {
            stopwatch: Stopwatch::start(),
            model: Model::default(),
            events,
            since: Duration::ZERO,
            is_in_turn: false,
            current: None,
            causes: HashMap::new(),
            lanes: Lanes::default(),
            open: 0,
            unsent: 0,
            poll: String::new(),
            told: BTreeMap::new(),
            cost: Duration::ZERO,
        }
    }

    /// The poll begins: the turn is over, and is written.
    fn wait(&mut self, step: &Step, at: Duration) {
        self.poll = facts(step);
        if let Some(fault) = Line::of_fault(&self.model) {
            let facts = format!(r#""no_progress_wakes":{}"#, self.model.spin.map_or(0, |(_, wakes)| wakes));
            self.events.instant(Track::LOOP, at, fault.word.verb, &facts);
        }
        self.end_turn(at);
        self.events.write_out();
        self.events.slice(Track::LOOP, at, self.stopwatch.elapsed(), "recording", "");
    }

    /// The poll returned: it had begun when the last turn was written.
    fn wake(&mut self, step: &Step, at: Duration) {
        let Step::Woke { turn, ready, carried } = step else { return };
        self.events.slice(Track::LOOP, self.since, at, "wait", &self.poll);
        self.events.begin(Track::LOOP, at, format_args!("turn {turn}"), &facts(step));
        self.is_in_turn = true;
        self.cost = Duration::ZERO;
        self.causes.clear();
        for (who, flags) in ready {
            self.causes.entry(*who).or_default().flags = Some(*flags);
        }
        for who in carried {
            self.causes.entry(*who).or_default().is_carried = true;
        }
        self.count("ready", ready.len() as u64, at);
        self.count("carried", carried.len() as u64, at);
    }

    /// Ends what is open on the track of the loop.
    fn end_turn(&mut self, at: Duration) {
        self.count("open", self.open, at);
        self.count("unsent", self.unsent, at);
        if self.current.take().is_some() {
            self.events.end(Track::LOOP, at, "");
        }
        if self.is_in_turn {
            self.is_in_turn = false;
            let facts = format!(r#""recording_us":{}"#, self.cost.as_micros());
            self.events.end(Track::LOOP, at, &facts);
        }
    }

    /// The loop turns to `who`, unless it has already.
    fn turn_to(&mut self, who: Who, step: &Step) {
        // Who is late may have had its turn for something else.
        let is_late = matches!(step, Step::Deadline { .. });
        if self.current == Some(who) && !is_late {
            return;
        }
        if self.current.replace(who).is_some() {
            self.events.end(Track::LOOP, self.since, "");
        }
        let begin = |events: &mut Events, name| events.begin(Track::LOOP, self.since, name, "");
        match self.causes.get(&who) {
            _ if is_late => begin(&mut self.events, format_args!("{who} late")),
            Some(cause) => begin(&mut self.events, format_args!("{who}{cause}")),
            None => begin(&mut self.events, format_args!("{who}")),
        }
    }

    /// Records what `who` did since the last step.
    fn record(&mut self, who: Who, step: &Step, at: Duration) {
        self.turn_to(who, step);
        let Some(word) = glossary::word(who, step) else { return };
        let facts = facts(step);
        self.events.slice(Track::LOOP, self.since, at, word.verb, &facts);
        match step {
            Step::Accepted { connection, peer, .. } => {
                let who = Who::Connection(*connection);
                self.open += 1;
                self.lanes.make(*connection, *peer, at, &mut self.events);
                self.mark(who, word.verb, &facts, at);
                self.follow(who, at);
            }
            Step::BacklogEmpty | Step::Drained | Step::Blocked { .. } => {
                self.mark(who, "wouldblock", &facts, at);
                self.follow(who, at);
            }
            Step::EndOfInput | Step::Deadline { .. } => self.mark(who, word.verb, &facts, at),
            // On the track of the loop a slice tells of it already.
            Step::Understood { .. } | Step::Planned { .. } if self.lanes.track(who).is_some() => {
                self.mark(who, word.verb, &facts, at);
                self.follow(who, at);
            }
            Step::Closed { .. } => {
                self.mark(who, word.verb, &facts, at);
                self.forget(who, at);
            }
            _ => self.follow(who, at),
        }
    }

    /// An instant on the track of `who`, or on that of the loop.
    fn mark(&mut self, who: Who, name: &str, facts: &str, at: Duration) {
        self.events.instant(self.lanes.track(who).unwrap_or(Track::LOOP), at, name, facts);
    }

    /// Shows what `who` is about now.
    fn follow(&mut self, who: Who, at: Duration) {
        if let Some(peer) = self.model.peers.get(&who) {
            self.lanes.enter(who, peer.state, at, &mut self.events);
        }
    }

    fn forget(&mut self, who: Who, at: Duration) {
        self.open = self.open.saturating_sub(u64::from(matches!(who, Who::Connection(_))));
        self.unsent -= self.owed_to(who);
        self.lanes.end(who, at, &mut self.events);
        self.model.forget(who);
    }

    /// Bytes that are owed to `who`.
    fn owed_to(&self, who: Who) -> u64 {
        self.model.peers.get(&who).map_or(0, |peer| peer.of.saturating_sub(peer.sent))
    }

    /// Tells of a number, if it has changed.
    fn count(&mut self, name: &'static str, value: u64, at: Duration) {
        if self.told.insert(name, value) != Some(value) {
            self.events.counter(at, name, value);
        }
    }
}

impl Observer for Recording {
    fn see(&mut self, who: Who, step: &Step) {
        if self.events.have_ended() {
            return;
        }
        let at = self.stopwatch.elapsed();
        let owed = self.owed_to(who);
        self.model.note(who, step, at);
        self.unsent = self.unsent + self.owed_to(who) - owed;
        match step {
            Step::Waiting { .. } => self.wait(step, at),
            Step::Woke { .. } => self.wake(step, at),
            Step::Patient { .. } => {}
            _ => self.record(who, step, at),
        }
        self.since = self.stopwatch.elapsed();
        self.cost += self.since.saturating_sub(at);
    }
}

/// What is open is closed, so that the file is whole.
impl Drop for Recording {
    fn drop(&mut self) {
        self.end_turn(self.since);
        self.lanes.end_all(self.since, &mut self.events);
        self.events.finish();
    }
}
