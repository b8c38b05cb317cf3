//! A recording of the loop for a viewer: Perfetto, or Chrome's own.
//!
//! The track `loop` has a slice `wait` for each poll and one for each turn; in that, one for each source that has its turn;
//! and in that, one for each call and decision. Each connection has a track of its own. What the recording itself costs lies
//! between the calls, and is told. It is written once a turn, and what is closed is forgotten.

mod args;
mod tracks;
mod writer;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    fs::File,
    time::Duration,
};

use self::{
    args::args,
    tracks::Tracks,
    writer::{TraceWriter, TrackId},
};
use super::{glossary, line::TraceLine, model::Model};
use crate::{
    clock::Stopwatch,
    trace::{EventFlags, Observer, SourceId, Step},
};

/// Records each step in a file.
pub struct ChromeTrace {
    stopwatch: Stopwatch,
    model: Model,
    writer: TraceWriter,
    /// When the last step was recorded: what the next one tells of began then.
    since: Duration,
    is_in_turn: bool,
    /// Whose turn it is.
    current: Option<SourceId>,
    causes: HashMap<SourceId, Cause>,
    tracks: Tracks,
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
    flags: Option<EventFlags>,
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

impl ChromeTrace {
    /// Records in `file`, which is to be empty.
    pub fn new(file: File) -> ChromeTrace {
        let mut writer = TraceWriter::to(file);
        writer.name_process("oneloop");
        writer.name(TrackId::LOOP, "loop");
        ChromeTrace {
            stopwatch: Stopwatch::start(),
            model: Model::default(),
            writer,
            since: Duration::ZERO,
            is_in_turn: false,
            current: None,
            causes: HashMap::new(),
            tracks: Tracks::default(),
            open: 0,
            unsent: 0,
            poll: String::new(),
            told: BTreeMap::new(),
            cost: Duration::ZERO,
        }
    }

    /// The poll begins: the turn is over, and is written.
    fn wait(&mut self, step: &Step, at: Duration) {
        self.poll = args(step);
        if let Some(fault) = TraceLine::of_fault(&self.model) {
            let args = format!(r#""no_progress_wakes":{}"#, self.model.spin.map_or(0, |(_, wakes)| wakes));
            self.writer.instant(TrackId::LOOP, at, fault.doc.verb, &args);
        }
        self.end_turn(at);
        self.writer.write_out();
        self.writer.slice(TrackId::LOOP, at, self.stopwatch.elapsed(), "recording", "");
    }

    /// The poll returned: it had begun when the last turn was written.
    fn wake(&mut self, step: &Step, at: Duration) {
        let Step::Woke { turn, ready, carried } = step else { return };
        self.writer.slice(TrackId::LOOP, self.since, at, "wait", &self.poll);
        self.writer.begin(TrackId::LOOP, at, format_args!("turn {turn}"), &args(step));
        self.is_in_turn = true;
        self.cost = Duration::ZERO;
        self.causes.clear();
        for (id, flags) in ready {
            self.causes.entry(*id).or_default().flags = Some(*flags);
        }
        for id in carried {
            self.causes.entry(*id).or_default().is_carried = true;
        }
        self.count("ready", ready.len() as u64, at);
        self.count("carried", carried.len() as u64, at);
    }

    /// Ends what is open on the track of the loop.
    fn end_turn(&mut self, at: Duration) {
        self.count("open", self.open, at);
        self.count("unsent", self.unsent, at);
        if self.current.take().is_some() {
            self.writer.end(TrackId::LOOP, at, "");
        }
        if self.is_in_turn {
            self.is_in_turn = false;
            let args = format!(r#""recording_us":{}"#, self.cost.as_micros());
            self.writer.end(TrackId::LOOP, at, &args);
        }
    }

    /// The loop turns to `id`, unless it has already.
    fn turn_to(&mut self, id: SourceId, step: &Step) {
        // Who is late may have had its turn for something else.
        let is_late = matches!(step, Step::Deadline { .. });
        if self.current == Some(id) && !is_late {
            return;
        }
        if self.current.replace(id).is_some() {
            self.writer.end(TrackId::LOOP, self.since, "");
        }
        let begin = |writer: &mut TraceWriter, name| writer.begin(TrackId::LOOP, self.since, name, "");
        match self.causes.get(&id) {
            _ if is_late => begin(&mut self.writer, format_args!("{id} late")),
            Some(cause) => begin(&mut self.writer, format_args!("{id}{cause}")),
            None => begin(&mut self.writer, format_args!("{id}")),
        }
    }

    /// Records what `id` did since the last step.
    fn record(&mut self, id: SourceId, step: &Step, at: Duration) {
        self.turn_to(id, step);
        let Some(doc) = glossary::doc(id, step) else { return };
        let args = args(step);
        self.writer.slice(TrackId::LOOP, self.since, at, doc.verb, &args);
        match step {
            Step::Accepted { connection, peer, .. } => {
                let id = SourceId::Connection(*connection);
                self.open += 1;
                self.tracks.make(*connection, *peer, at, &mut self.writer);
                self.mark(id, doc.verb, &args, at);
                self.follow(id, at);
            }
            Step::BacklogEmpty | Step::Drained | Step::Blocked { .. } => {
                self.mark(id, "wouldblock", &args, at);
                self.follow(id, at);
            }
            Step::EndOfInput | Step::Deadline { .. } => self.mark(id, doc.verb, &args, at),
            // On the track of the loop a slice tells of it already.
            Step::Understood { .. } | Step::Planned { .. } if self.tracks.track(id).is_some() => {
                self.mark(id, doc.verb, &args, at);
                self.follow(id, at);
            }
            Step::Closed { .. } => {
                self.mark(id, doc.verb, &args, at);
                self.forget(id, at);
            }
            _ => self.follow(id, at),
        }
    }

    /// An instant on the track of `id`, or on that of the loop.
    fn mark(&mut self, id: SourceId, name: &str, args: &str, at: Duration) {
        self.writer.instant(self.tracks.track(id).unwrap_or(TrackId::LOOP), at, name, args);
    }

    /// Shows what `id` is about now.
    fn follow(&mut self, id: SourceId, at: Duration) {
        if let Some(peer) = self.model.sources.get(&id) {
            self.tracks.enter(id, peer.state, at, &mut self.writer);
        }
    }

    fn forget(&mut self, id: SourceId, at: Duration) {
        self.open = self.open.saturating_sub(u64::from(matches!(id, SourceId::Connection(_))));
        self.unsent -= self.owed_to(id);
        self.tracks.end(id, at, &mut self.writer);
        self.model.forget(id);
    }

    /// Bytes that are owed to `id`.
    fn owed_to(&self, id: SourceId) -> u64 {
        self.model.sources.get(&id).map_or(0, |peer| peer.of.saturating_sub(peer.sent))
    }

    /// Tells of a number, if it has changed.
    fn count(&mut self, name: &'static str, value: u64, at: Duration) {
        if self.told.insert(name, value) != Some(value) {
            self.writer.counter(at, name, value);
        }
    }
}

impl Observer for ChromeTrace {
    fn see(&mut self, id: SourceId, step: &Step) {
        if self.writer.have_ended() {
            return;
        }
        let at = self.stopwatch.elapsed();
        let owed = self.owed_to(id);
        self.model.trace(id, step, at);
        self.unsent = self.unsent + self.owed_to(id) - owed;
        match step {
            Step::Waiting { .. } => self.wait(step, at),
            Step::Woke { .. } => self.wake(step, at),
            Step::DeadlineSet { .. } => {}
            _ => self.record(id, step, at),
        }
        self.since = self.stopwatch.elapsed();
        self.cost += self.since.saturating_sub(at);
    }
}

/// What is open is closed, so that the file is whole.
impl Drop for ChromeTrace {
    fn drop(&mut self) {
        self.end_turn(self.since);
        self.tracks.end_all(self.since, &mut self.writer);
        self.writer.finish();
    }
}
