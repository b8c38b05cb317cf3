//! An observer that records the steps of the loop in the Chrome Trace Event format, for Perfetto or
//! Chrome's trace viewer.
//!
//! The `loop` track has a `wait` slice for each poll and a slice for each turn. The slice for a
//! turn contains a slice for each source that had its turn, and the slice for a source contains a
//! slice for each call and decision. Each connection also has its own track, up to a maximum number
//! of tracks. The time that recording itself takes falls between the calls and is recorded as well.
//! Events are written to the file once per turn. Memory use must not grow with the number of closed
//! connections.

mod tracks;
mod writer;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    fs::File,
    time::Duration,
};

use self::{
    tracks::Tracks,
    writer::{TraceWriter, TrackId},
};
use super::{
    field::Field,
    model::Model,
    observer::Observer,
    source_id::{EventFlags, SourceId},
    step::Step,
    text::TraceLine,
};
use crate::clock::Stopwatch;

/// An observer that records each step to a file.
pub struct ChromeTrace {
    stopwatch: Stopwatch,
    model: Model,
    writer: TraceWriter,
    /// When the recording of the last step ended. The slice for the next step starts there.
    since: Duration,
    is_in_turn: bool,
    /// The source whose slice is open.
    current: Option<SourceId>,
    causes: HashMap<SourceId, Cause>,
    tracks: Tracks,
    /// The number of open connections.
    open: u64,
    /// The number of unsent bytes in the outboxes of all connections.
    unsent: u64,
    /// The fields of the last [`Step::Waiting`].
    wait_fields: Vec<Field>,
    /// The last value written for each counter.
    counters: BTreeMap<&'static str, u64>,
    /// The time spent recording in the current turn.
    cost: Duration,
}

/// Why a source has its turn: the kernel reported the source, or the source has work carried over.
#[derive(Default)]
struct Cause {
    flags: Option<EventFlags>,
    is_carried: bool,
}

/// Formats the cause as ` R W` for flags and ` +` for work carried over.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(flags) = self.flags {
            write!(f, " {flags}")?;
        }
        f.write_str(if self.is_carried { " +" } else { "" })
    }
}

impl ChromeTrace {
    /// Creates an observer that records to `file`, which must be empty.
    pub fn new(file: File) -> ChromeTrace {
        let mut writer = TraceWriter::new(file);
        writer.name_process("oneloop");
        writer.name_track(TrackId::LOOP, "loop");
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
            wait_fields: Vec::new(),
            counters: BTreeMap::new(),
            cost: Duration::ZERO,
        }
    }

    /// Ends the turn, and writes its events to the file before the poll starts.
    fn wait(&mut self, source: SourceId, step: &Step, at: Duration) {
        self.wait_fields = self.model.fields(source, step, at);
        if let Some(fault) = TraceLine::fault(&self.model) {
            self.writer.instant(TrackId::LOOP, at, fault.doc.verb, &fault.fields);
        }
        self.end_turn(at);
        self.writer.flush();
        self.writer.slice(TrackId::LOOP, at, self.stopwatch.elapsed(), "recording", &[]);
    }

    /// Records the poll that has just returned, and starts a turn. The poll started after the
    /// events of the last turn had been written.
    fn wake(&mut self, source: SourceId, step: &Step, at: Duration) {
        let Step::Woke { turn, ready, carried } = step else { return };
        self.writer.slice(TrackId::LOOP, self.since, at, "wait", &self.wait_fields);
        let fields = self.model.fields(source, step, at);
        self.writer.begin_slice(TrackId::LOOP, at, format_args!("turn {turn}"), &fields);
        self.is_in_turn = true;
        self.cost = Duration::ZERO;
        self.causes.clear();
        for (source, flags) in ready {
            self.causes.entry(*source).or_default().flags = Some(*flags);
        }
        for source in carried {
            self.causes.entry(*source).or_default().is_carried = true;
        }
        self.count("ready", ready.len() as u64, at);
        self.count("carried", carried.len() as u64, at);
    }

    /// Ends the open slices on the loop's track.
    fn end_turn(&mut self, at: Duration) {
        self.count("open", self.open, at);
        self.count("unsent", self.unsent, at);
        if self.current.take().is_some() {
            self.writer.end_slice(TrackId::LOOP, at, &[]);
        }
        if self.is_in_turn {
            self.is_in_turn = false;
            self.writer.end_slice(TrackId::LOOP, at, &[Field::new("recording_us", self.cost)]);
        }
    }

    /// Starts the slice for `source`, unless it is already open.
    fn turn_to(&mut self, source: SourceId, step: &Step) {
        // A source whose deadline passed may have had a regular turn just before, so start another
        // slice.
        let is_late = matches!(step, Step::Deadline { .. });
        if self.current == Some(source) && !is_late {
            return;
        }
        if self.current.replace(source).is_some() {
            self.writer.end_slice(TrackId::LOOP, self.since, &[]);
        }
        let begin = |writer: &mut TraceWriter, name| writer.begin_slice(TrackId::LOOP, self.since, name, &[]);
        match self.causes.get(&source) {
            _ if is_late => begin(&mut self.writer, format_args!("{source} late")),
            Some(cause) => begin(&mut self.writer, format_args!("{source}{cause}")),
            None => begin(&mut self.writer, format_args!("{source}")),
        }
    }

    /// Records a step of `source` as a slice from the end of the last step until now.
    fn record(&mut self, source: SourceId, step: &Step, at: Duration) {
        self.turn_to(source, step);
        let Some(doc) = step.doc(source) else { return };
        let fields = self.model.fields(source, step, at);
        self.writer.slice(TrackId::LOOP, self.since, at, doc.verb, &fields);
        match step {
            Step::Accepted { connection, peer, .. } => {
                let accepted = SourceId::Connection(*connection);
                self.open += 1;
                self.tracks.add(*connection, peer, at, &mut self.writer);
                self.mark(accepted, doc.verb, &fields, at);
                self.follow(accepted, at);
            }
            Step::Connecting { peer, .. } => {
                self.open += 1;
                if let SourceId::Connection(number) = source {
                    self.tracks.add(number, peer, at, &mut self.writer);
                }
                self.mark(source, doc.verb, &fields, at);
                self.follow(source, at);
            }
            Step::BacklogEmpty | Step::Drained | Step::Blocked { .. } => {
                self.mark(source, "wouldblock", &fields, at);
                self.follow(source, at);
            }
            Step::EndOfInput | Step::Deadline { .. } => self.mark(source, doc.verb, &fields, at),
            Step::Closed { .. } => {
                self.mark(source, doc.verb, &fields, at);
                self.forget(source, at);
            }
            _ => {
                let is_message = matches!(step, Step::Understood { .. }) || step.response_head().is_some();
                // A source without its own track already has a slice on the loop's track.
                if is_message && self.tracks.track(source).is_some() {
                    self.mark(source, doc.verb, &fields, at);
                }
                self.follow(source, at);
            }
        }
    }

    /// Writes an instant event on the track of `source`, or on the loop's track if `source` has
    /// none.
    fn mark(&mut self, source: SourceId, name: &str, args: &[Field], at: Duration) {
        self.writer.instant(self.tracks.track(source).unwrap_or(TrackId::LOOP), at, name, args);
    }

    /// Shows the current activity of `source` on its track.
    fn follow(&mut self, source: SourceId, at: Duration) {
        if let Some(state) = self.model.sources.get(&source) {
            self.tracks.enter(source, state.activity, at, &mut self.writer);
        }
    }

    /// Ends the track of a closed source, and forgets the source.
    fn forget(&mut self, source: SourceId, at: Duration) {
        self.open = self.open.saturating_sub(u64::from(matches!(source, SourceId::Connection(_))));
        self.unsent -= self.unsent_by(source);
        self.tracks.end(source, at, &mut self.writer);
        self.model.forget(source);
    }

    /// Returns the number of unsent bytes in the outbox of `source`.
    fn unsent_by(&self, source: SourceId) -> u64 {
        self.model.sources.get(&source).map_or(0, |state| state.of.saturating_sub(state.sent))
    }

    /// Writes the value of a counter if it has changed.
    fn count(&mut self, name: &'static str, value: u64, at: Duration) {
        if self.counters.insert(name, value) != Some(value) {
            self.writer.counter(at, name, value);
        }
    }
}

impl Observer for ChromeTrace {
    fn on_step(&mut self, source: SourceId, step: &Step) {
        if self.writer.is_finished() {
            return;
        }
        let at = self.stopwatch.elapsed();
        let unsent_before = self.unsent_by(source);
        self.model.apply(source, step, at);
        self.unsent = self.unsent + self.unsent_by(source) - unsent_before;
        match step {
            Step::Waiting { .. } => self.wait(source, step, at),
            Step::Woke { .. } => self.wake(source, step, at),
            Step::DeadlineSet { .. } => {}
            _ => self.record(source, step, at),
        }
        self.since = self.stopwatch.elapsed();
        self.cost += self.since.saturating_sub(at);
    }
}

/// Ends all open slices and closes the array, so that the file is complete.
impl Drop for ChromeTrace {
    fn drop(&mut self) {
        self.end_turn(self.since);
        self.tracks.end_all(self.since, &mut self.writer);
        self.writer.finish();
    }
}
