//! What a page shows of one turn: its phases, the sets of its poll, the connections that changed
//! and the lines of the trace.
//!
//! Everything here is bounded, because a page cannot show more, and a turn may serve thousands of
//! sources.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::Serialize;

use super::details::Details;
use crate::trace::{
    SourceId, Step, TraceLevel,
    field::Field,
    model::{Model, SourceState},
    sets,
    text::TraceLine,
};

/// The maximum number of phases of one turn.
const MAX_PHASES: usize = 64;
/// The maximum number of connections in one record.
const MAX_ROWS: usize = 100;
/// The maximum number of lines in one record.
const MAX_LINES: usize = 60;
/// The maximum number of verbs in the summary of a phase.
const MAX_VERBS: usize = 8;

/// The arguments of the poll.
#[derive(Default)]
pub struct PollArguments {
    /// `rlist` and `wlist`.
    pub lists: [String; 2],
    pub timeout: Option<Duration>,
}

/// Returns the value of a field as a trace shows it.
pub fn text(field: Field) -> String {
    field.value.to_string()
}

/// Returns `time` in microseconds.
pub fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The state of the loop for a new page.
#[derive(Debug, Default, Serialize)]
pub struct LoopSnapshot {
    pub turn: u64,
    pub now_us: u64,
    pub open: usize,
    pub listeners: Vec<String>,
    pub rows: Vec<ConnectionRow>,
    pub more_rows: usize,
    /// What the page shows instead of a live loop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recording: Option<RecordingInfo>,
}

/// A recording whose turns are shown.
#[derive(Debug, Clone, Serialize)]
pub struct RecordingInfo {
    pub name: String,
    /// The number of turns in it.
    pub turns: u64,
    /// The number of turns that the page gets: the last ones.
    pub kept: usize,
}

/// One turn of the loop.
#[derive(Debug, Serialize)]
pub struct TurnRecord {
    pub turn: u64,
    /// When the poll returned, since the start of the recorder.
    pub woke_us: u64,
    pub slept_us: u64,
    /// The timeout of the poll; `None` if it had none.
    pub timeout_us: Option<u64>,
    /// How long the sources had their turns.
    pub work_us: u64,
    /// The part of `work_us` that served pages.
    pub page_us: u64,
    /// The number of turns since the last record that served nothing but pages.
    pub hidden: u64,
    pub open: usize,
    pub rlist: String,
    pub wlist: String,
    pub rs: String,
    pub ws: String,
    pub carried: Vec<String>,
    pub phases: Vec<TurnPhase>,
    /// The number of phases that are not in `phases`.
    pub more_phases: usize,
    /// The sources whose work is carried over to the next turn.
    pub carried_to_next: Vec<String>,
    pub rows: Vec<ConnectionRow>,
    /// The number of changed connections that are not in `rows`.
    pub more_rows: usize,
    pub lines: Vec<(u64, String)>,
    pub more_lines: usize,
}

/// The turn of one source within a turn of the loop.
#[derive(Debug, Serialize)]
pub struct TurnPhase {
    pub source: String,
    pub kind: &'static str,
    /// When it began, since the poll returned.
    pub at_us: u64,
    pub took_us: u64,
    /// The verbs of its steps.
    pub does: Vec<Cow<'static, str>>,
    #[serde(skip)]
    id: SourceId,
}

/// One connection, as a page shows it.
#[derive(Debug, Serialize)]
pub struct ConnectionRow {
    pub id: String,
    pub peer: String,
    pub state: &'static str,
    /// The number of bytes received and not yet parsed.
    pub unread: usize,
    pub received: u64,
    pub sent: u64,
    pub of: u64,
    pub is_armed: bool,
    pub requests: u64,
    pub request: String,
    /// The close reason of the deadline, and when it is due.
    pub deadline: Option<(String, u64)>,
    pub since_us: Option<u64>,
    pub turns: u64,
    /// A hash of the client's `User-Agent`, as a string, because a script has no such integers.
    pub agent: Option<String>,
    pub closed: Option<String>,
}

impl ConnectionRow {
    /// Returns the row of a connection.
    pub fn new(source: SourceId, state: &SourceState, details: Option<&Details>) -> ConnectionRow {
        ConnectionRow {
            id: source.to_string(),
            peer: state.address.as_ref().map_or_else(String::new, |address| address.to_string()),
            state: state.activity.name(),
            unread: state.input.len,
            received: details.map_or(0, |details| details.received).max(state.input.len as u64),
            sent: state.sent,
            of: state.of,
            is_armed: state.is_armed,
            requests: details.map_or(0, |details| details.requests),
            request: details.map_or_else(String::new, |details| details.request.clone()),
            deadline: state.deadline.map(|(reason, at)| (reason.to_string(), micros(at))),
            since_us: state.since.map(micros),
            turns: state.turns,
            agent: details.and_then(|details| details.agent).map(|agent| format!("{agent:x}")),
            closed: details.and_then(|details| details.closed.clone()),
        }
    }
}

/// A turn in progress.
pub struct OpenTurn {
    number: u64,
    woke_at: Duration,
    /// Whether anything but a page was served.
    pub is_shown: bool,
    /// Whether a page was served.
    pub is_own: bool,
    page_time: Duration,
    phases: Vec<TurnPhase>,
    more_phases: usize,
    carried_to_next: BTreeSet<SourceId>,
    changed: BTreeSet<SourceId>,
    lines: Vec<(u64, String)>,
    more_lines: usize,
}

impl OpenTurn {
    /// Begins a turn whose poll returned at `woke_at`.
    pub fn new(number: u64, woke_at: Duration) -> OpenTurn {
        OpenTurn {
            number,
            woke_at,
            is_shown: false,
            is_own: false,
            page_time: Duration::ZERO,
            phases: Vec::new(),
            more_phases: 0,
            carried_to_next: BTreeSet::new(),
            changed: BTreeSet::new(),
            lines: Vec::new(),
            more_lines: 0,
        }
    }

    /// Adds a step that serves a page and took `time`.
    pub fn add_page_time(&mut self, time: Duration) {
        self.is_own = true;
        self.page_time += time;
    }

    /// Adds a step, which is applied to `model` already. It began at `began` and ended at `at`.
    pub fn add(&mut self, source: SourceId, step: &Step, model: &Model, began: Duration, at: Duration) {
        self.add_line(source, step, model, at);
        let verb = step.doc(source).map(|doc| doc.verb.into());
        self.add_to_phases(source, Some(step), verb, began, at);
    }

    /// Adds a step to the phases: its verb, and what is known of it otherwise. It began at `began`
    /// and ended at `at`.
    pub fn add_to_phases(
        &mut self,
        source: SourceId,
        step: Option<&Step>,
        verb: Option<Cow<'static, str>>,
        began: Duration,
        at: Duration,
    ) {
        self.is_shown = true;
        if matches!(source, SourceId::Connection(_)) {
            self.changed.insert(source);
        }
        match step {
            Some(Step::Accepted { connection, .. }) => {
                self.changed.insert(SourceId::Connection(*connection));
            }
            Some(Step::CarriedOver) => {
                self.carried_to_next.insert(source);
            }
            // They belong to another phase: to the accept, or to the source that woke this one.
            Some(Step::DeadlineSet { .. } | Step::Woken) => return,
            _ => {}
        }
        let begins = step == Some(&Step::TurnBegan);
        if self.phases.last().is_none_or(|last| last.id != source || begins) {
            if self.phases.len() == MAX_PHASES {
                self.more_phases += usize::from(begins);
                return;
            }
            let kind = match source {
                _ if matches!(step, Some(Step::Deadline { .. })) => "deadline",
                SourceId::Listener(_) => "accept",
                SourceId::Connection(_) | SourceId::Udp(_) => "handle",
                _ => "other",
            };
            let at_us = micros(began.saturating_sub(self.woke_at));
            let does = Vec::new();
            self.phases.push(TurnPhase {
                source: source.to_string(),
                kind,
                at_us,
                took_us: 0,
                does,
                id: source,
            });
        }
        let Some(phase) = self.phases.last_mut() else { return };
        phase.took_us = micros(at.saturating_sub(self.woke_at)).saturating_sub(phase.at_us);
        if let Some(verb) = verb
            && phase.does.last() != Some(&verb)
            && phase.does.len() < MAX_VERBS
        {
            phase.does.push(verb);
        }
    }

    /// Adds the line of a step, unless there are too many.
    pub fn add_line(&mut self, source: SourceId, step: &Step, model: &Model, at: Duration) {
        if step.doc(source).is_some() {
            self.push_line(at, || {
                TraceLine::new(source, step, model, at, TraceLevel::Io).map(|line| line.to_string())
            });
        }
    }

    /// Adds the line that `make` returns, unless there are too many.
    pub fn push_line(&mut self, at: Duration, make: impl FnOnce() -> Option<String>) {
        if self.lines.len() == MAX_LINES {
            self.more_lines += 1;
        } else {
            self.lines.extend(make().map(|line| (micros(at), line)));
        }
    }

    /// Ends the turn at `at`. `poll` are the arguments of its poll, and `hidden` is the number of
    /// turns before it that served nothing but pages.
    pub fn end(
        self,
        poll: PollArguments,
        hidden: u64,
        model: &Model,
        details: &BTreeMap<SourceId, Details>,
        at: Duration,
    ) -> TurnRecord {
        let [rlist, wlist] = poll.lists;
        let [rs, ws] = sets::ready_fields(model).map(text);
        // The model forgets them only after this record, which still shows them.
        let is_closed = |source: &&SourceId| details.get(source).is_some_and(|known| known.closed.is_some());
        let closed = self.changed.iter().filter(is_closed).count();
        let row = |source: &SourceId| {
            let state = model.sources.get(source)?;
            Some(ConnectionRow::new(*source, state, details.get(source)))
        };
        TurnRecord {
            turn: self.number,
            woke_us: micros(self.woke_at),
            slept_us: micros(model.slept),
            timeout_us: poll.timeout.map(micros),
            work_us: micros(at.saturating_sub(self.woke_at)),
            page_us: micros(self.page_time),
            hidden,
            open: model.open_connections().saturating_sub(closed),
            rlist,
            wlist,
            rs,
            ws,
            carried: model.carried.iter().take(MAX_PHASES).map(ToString::to_string).collect(),
            phases: self.phases,
            more_phases: self.more_phases,
            carried_to_next: self.carried_to_next.iter().take(MAX_PHASES).map(ToString::to_string).collect(),
            more_rows: self.changed.len().saturating_sub(MAX_ROWS),
            rows: self.changed.iter().take(MAX_ROWS).filter_map(row).collect(),
            lines: self.lines,
            more_lines: self.more_lines,
        }
    }
}
