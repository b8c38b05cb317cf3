//! The transcript of a lesson: the steps of its loop, and notes about everything else that happens.

use std::{cell::RefCell, fmt, rc::Rc, time::Duration};

use super::bug::Damage;
use crate::trace::{Observer, SourceId, Step, TraceLevel, TraceLine, model::Model};

/// One entry of a transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TranscriptEntry {
    /// What else happened.
    Note(TranscriptNote),
    /// A step of the loop.
    Step(TracedStep),
}

/// A note between the steps of a transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TranscriptNote {
    /// What the note reports.
    pub event: NotedEvent,
    /// The note, for people.
    pub text: String,
}

/// What a note reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotedEvent {
    /// The client with this name acts.
    Client(char, ClientAction),
    /// The loop's clock is moved forward.
    TimePasses,
    /// The loop has waited for one client for this long, and closes its connection.
    Blocked(Duration),
    /// Anything else.
    Remark,
}

/// An action of a scripted client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAction {
    /// Connects to the loop.
    Connect,
    /// Starts to connect to the loop, and does not wait for the result.
    StartConnect,
    /// Is the peer to which the loop connects next.
    AwaitLoop,
    /// Finds that its connection is neither established nor refused.
    StillConnecting,
    /// Finds that its connection is established.
    Connected,
    /// Finds that its connection is refused.
    Refused,
    /// Closes its socket.
    GiveUp,
    /// Sends bytes on its connection.
    Send,
    /// Sends a datagram to the loop's UDP socket.
    SendDatagram,
    /// Shuts down its sending side.
    HalfClose,
    /// Resets its connection.
    Reset,
    /// Reads what has arrived.
    Receive,
}

impl ClientAction {
    /// Returns whether the loop notices the action.
    pub(super) fn reaches_loop(self) -> bool {
        use ClientAction::{Connect, HalfClose, Reset, Send, SendDatagram};
        matches!(self, Connect | Send | SendDatagram | HalfClose | Reset)
    }
}

/// A step, together with its line in a text trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracedStep {
    /// The line of the text trace.
    pub line: TraceLine,
    /// The step.
    pub step: Step,
}

impl TranscriptEntry {
    /// Returns what the entry reports, if it is a note.
    pub fn noted(&self) -> Option<NotedEvent> {
        match self {
            TranscriptEntry::Note(note) => Some(note.event),
            TranscriptEntry::Step(_) => None,
        }
    }
}

/// Formats the entry as one line. Notes are indented.
impl fmt::Display for TranscriptEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TranscriptEntry::Note(note) => write!(f, "   {}", note.text),
            TranscriptEntry::Step(traced) => traced.line.fmt(f),
        }
    }
}

/// The transcript of a lesson. Turns in which nothing happens are neither recorded nor counted.
#[derive(Default)]
pub struct Transcript {
    /// The notes and steps, in order.
    entries: Vec<TranscriptEntry>,
    /// The last wait and, in `wake`, the last wake-up. They are added once another step follows.
    wait: Option<TracedStep>,
    wake: Option<TracedStep>,
    /// Whether to keep the current wait, however many turns the harness runs meanwhile.
    is_waiting: bool,
    turns: u64,
    model: Model,
    now: Duration,
}

impl Transcript {
    /// Adds a note.
    pub fn note(&mut self, event: NotedEvent, text: impl Into<String>) {
        self.entries.push(TranscriptEntry::Note(TranscriptNote { event, text: text.into() }));
    }

    /// Adds notes about the damage that a bug has done.
    pub fn note_damage(&mut self, damage: Damage) {
        self.begin_turn();
        match damage {
            Damage::Blocked(waited) => {
                self.note(NotedEvent::Remark, "(the loop blocks here, and so B waits, until A reads)");
                let text = format!("(B has waited {} ms; the lesson closes A)", waited.as_millis());
                self.note(NotedEvent::Blocked(waited), text);
            }
            Damage::AcceptFailed(1) => {
                self.note(NotedEvent::Remark, "(accept fails; the loop waits for the next event)");
            }
            Damage::AcceptFailed(times) => {
                let text =
                    format!("(accept fails {times} times in a row, and A waits, until the lesson ends it)");
                self.note(NotedEvent::Remark, text);
            }
        }
    }

    /// Adds a remark about the turn that is in progress.
    pub fn remark_in_turn(&mut self, text: String) {
        self.begin_turn();
        self.note(NotedEvent::Remark, text);
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Removes the entries from the place `at` on, and counts turns from 0 again.
    pub fn forget_from(&mut self, at: usize) {
        self.entries.truncate(at);
        self.turns = 0;
    }

    /// Removes the entries from the place `at` on that `is_kept` does not select. The others become
    /// one turn, with the number `turn`.
    pub fn condense_from(&mut self, at: usize, turn: u64, is_kept: fn(&TranscriptEntry) -> bool) {
        let mut kept = self.entries.split_off(at);
        kept.retain(is_kept);
        for entry in &mut kept {
            if let TranscriptEntry::Step(traced) = entry {
                traced.line.turn = turn;
            }
        }
        self.entries.extend(kept);
        self.turns = turn;
    }

    /// Returns whether a line contains `text`.
    pub fn contains(&self, text: &str) -> bool {
        self.entries.iter().any(|entry| entry.to_string().contains(text))
    }

    /// Returns the number of turns in which something happened.
    pub fn turns(&self) -> u64 {
        self.turns
    }

    /// Removes and returns all entries.
    pub fn take_entries(&mut self) -> Vec<TranscriptEntry> {
        std::mem::take(&mut self.entries)
    }

    /// Moves the transcript's clock forward. The wait that is in progress lasts until then.
    pub fn advance(&mut self, time: Duration) {
        self.is_waiting = true;
        self.now += time;
    }

    fn add(&mut self, turn: u64, mut traced: TracedStep) {
        traced.line.turn = turn;
        self.entries.push(TranscriptEntry::Step(traced));
    }

    /// Adds the last wait and the last wake-up, if they have not been added.
    fn begin_turn(&mut self) {
        let Some(wake) = self.wake.take() else { return };
        // As in a trace, the wait belongs to the turn before it.
        if let Some(wait) = self.wait.take() {
            self.add(self.turns, wait);
        }
        self.turns += 1;
        self.is_waiting = false;
        self.add(self.turns, wake);
    }

    fn on_step(&mut self, source: SourceId, step: &Step) {
        if self.is_waiting && matches!(step, Step::Waiting { .. }) {
            return;
        }
        self.model.apply(source, step, self.now);
        let Some(line) = TraceLine::new(source, step, &self.model, self.now, TraceLevel::Io) else { return };
        let traced = TracedStep { line, step: step.clone() };
        match step {
            Step::Waiting { .. } => self.wait = Some(traced),
            Step::Woke { .. } => self.wake = Some(traced),
            _ => {
                self.begin_turn();
                self.add(self.turns, traced);
                if matches!(step, Step::Closed { .. }) {
                    self.model.forget(source);
                }
            }
        }
    }
}

/// An observer that adds the steps of a loop to the harness's [`Transcript`].
pub struct TranscriptObserver(pub Rc<RefCell<Transcript>>);

impl Observer for TranscriptObserver {
    fn on_step(&mut self, source: SourceId, step: &Step) {
        self.0.borrow_mut().on_step(source, step);
    }
}
