//! The turns of the loop for pages that show them live.
//!
//! [`TurnRecorder`] is an observer that keeps the last turns as JSON. It is attached only while a
//! page is open, and then records a limited number of turns in each period: nobody can look at
//! thousands of turns a second, and their record would slow down what it shows. The sources that
//! serve the pages are hidden, and their turns are counted.
//!
//! [`RecordedTurns`] has the turns of a recording instead.
//!
//! All memory here is bounded: the ring of turns, and each turn in it.

mod allowance;
mod details;
mod record;
mod recorded;
mod ring;
#[cfg(test)]
mod tests;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashSet},
    mem,
    net::SocketAddr,
    rc::Rc,
    time::Duration,
};

use serde::Serialize;

pub use self::recorded::RecordedTurns;
use self::{
    allowance::Allowance,
    details::{Details, agent_hash},
    record::{ConnectionRow, LoopSnapshot, OpenTurn, PollArguments, micros, text},
    ring::{Ring, RingLimits},
};
use super::{
    model::{Model, SourceState},
    observer::{Observer, OpenConnection, TurnFeed},
    sets,
    source_id::SourceId,
    step::Step,
    step_doc::TraceLevel,
    text::TraceLine,
};
use crate::{address::Address, clock::Stopwatch};

/// The maximum number of connections in the state for a new page.
const MAX_ROWS: usize = 500;
/// How many turns are kept for a page.
const KEPT: RingLimits = RingLimits { turns: 2000, bytes: 8 * 1024 * 1024 };

/// An observer that records turns for pages. Clones share the record.
#[derive(Clone)]
pub struct TurnRecorder {
    recorder: Rc<RefCell<Recorder>>,
}

/// The handle that the loop owns while the recorder is attached.
struct Attached(Rc<RefCell<Recorder>>);

struct Recorder {
    /// The address at which pages are served. Its listener and connections are hidden.
    own: SocketAddr,
    stopwatch: Stopwatch,
    model: Model,
    details: BTreeMap<SourceId, Details>,
    hidden: HashSet<SourceId>,
    pages: usize,
    is_attached: bool,
    /// The connections that were open when the observer was attached.
    present: BTreeSet<SourceId>,
    /// The connections that changed while the observer was not attached.
    changed: Vec<SourceId>,
    /// The sources that have closed in this turn, whose record still shows them.
    closed: Vec<SourceId>,
    allowance: Allowance,
    poll: PollArguments,
    turn: Option<OpenTurn>,
    /// When the last step was taken.
    last_at: Duration,
    hidden_turns: u64,
    ring: Ring,
}

/// What happened to connections while no observer was attached.
#[derive(Serialize)]
struct MissedChanges {
    open: usize,
    rows: Vec<ConnectionRow>,
    /// The connections that have closed.
    gone: Vec<String>,
}

impl TurnRecorder {
    /// Creates a recorder for pages that are served at `own`.
    pub fn new(own: SocketAddr) -> TurnRecorder {
        let recorder = Recorder {
            own,
            stopwatch: Stopwatch::start(),
            model: Model::default(),
            details: BTreeMap::new(),
            hidden: HashSet::new(),
            pages: 0,
            is_attached: false,
            present: BTreeSet::new(),
            changed: Vec::new(),
            closed: Vec::new(),
            allowance: Allowance::new(),
            poll: PollArguments::default(),
            turn: None,
            last_at: Duration::ZERO,
            hidden_turns: 0,
            ring: Ring::new(KEPT),
        };
        TurnRecorder { recorder: Rc::new(RefCell::new(recorder)) }
    }
}

impl TurnFeed for TurnRecorder {
    fn open_page(&self) {
        self.recorder.borrow_mut().pages += 1;
    }

    fn close_page(&self) {
        let mut recorder = self.recorder.borrow_mut();
        recorder.pages = recorder.pages.saturating_sub(1);
        if recorder.pages == 0 {
            recorder.ring.clear();
        }
    }

    fn hide(&self, source: SourceId) {
        let mut recorder = self.recorder.borrow_mut();
        recorder.hidden.insert(source);
        if recorder.model.sources.contains_key(&source) {
            recorder.forget(source);
            recorder.record_missed(&[], &[source]);
        }
    }

    fn show(&self, source: SourceId, peer: &Address, user_agent: &[u8]) {
        let mut recorder = self.recorder.borrow_mut();
        recorder.hidden.remove(&source);
        recorder.model.sources.entry(source).or_default().address = Some(peer.clone());
        recorder.details.entry(source).or_default().agent = Some(agent_hash(user_agent));
    }

    fn close(&self, source: SourceId) {
        let mut recorder = self.recorder.borrow_mut();
        recorder.hidden.remove(&source);
        // Without a page, no record reports that the source has closed.
        if recorder.pages == 0 {
            recorder.forget(source);
        }
    }

    fn mark_of(&self, user_agent: &[u8]) -> String {
        format!("{:x}", agent_hash(user_agent))
    }

    fn begin_period(&self) -> Option<Box<dyn Observer>> {
        let mut recorder = self.recorder.borrow_mut();
        let now = recorder.stopwatch.elapsed();
        recorder.allowance.begin_period(now);
        if recorder.is_attached || recorder.pages == 0 || recorder.allowance.is_used_up() {
            return None;
        }
        (recorder.is_attached, recorder.turn) = (true, None);
        recorder.present.clear();
        Some(Box::new(Attached(Rc::clone(&self.recorder))))
    }

    fn state(&self) -> (String, u64) {
        let recorder = self.recorder.borrow();
        (json(&recorder.state()), recorder.ring.first())
    }

    fn turns(&self, from: u64, max: usize) -> Option<(String, u64)> {
        self.recorder.borrow().ring.turns(from, max)
    }
}

impl Recorder {
    fn state(&self) -> LoopSnapshot {
        let connections = || {
            let is_connection = |(source, _): &(&SourceId, _)| matches!(source, SourceId::Connection(_));
            self.model.sources.iter().filter(is_connection)
        };
        let others = self.model.sources.iter().filter(|(id, _)| !matches!(id, SourceId::Connection(_)));
        let name = |address: Option<&Address>| address.map_or_else(String::new, |a| format!(" {a}"));
        let row = |(id, state): (&SourceId, _)| ConnectionRow::new(*id, state, self.details.get(id));
        let open = self.model.open_connections();
        LoopSnapshot {
            turn: self.model.turn,
            now_us: micros(self.stopwatch.elapsed()),
            open,
            listeners: others.map(|(id, state)| format!("{id}{}", name(state.address.as_ref()))).collect(),
            rows: connections().take(MAX_ROWS).map(row).collect(),
            more_rows: open.saturating_sub(MAX_ROWS),
            recording: None,
        }
    }

    /// Removes a source that is closed or hidden.
    fn forget(&mut self, source: SourceId) {
        self.model.forget(source);
        self.details.remove(&source);
    }

    fn on_wake(&mut self, step: &Step, at: Duration) {
        let Step::Woke { turn, ready, carried } = step else { return };
        let is_shown = |source: &SourceId| !self.hidden.contains(source);
        let shown_ready: Vec<_> = ready.iter().filter(|(source, _)| is_shown(source)).copied().collect();
        let shown_carried: Vec<_> = carried.iter().filter(|source| is_shown(source)).copied().collect();
        let mut open = OpenTurn::new(*turn, at);
        open.is_shown = !shown_ready.is_empty() || !shown_carried.is_empty();
        open.is_own = shown_ready.len() + shown_carried.len() < ready.len() + carried.len();
        let shown = Step::Woke { turn: *turn, ready: shown_ready, carried: shown_carried };
        self.model.apply(SourceId::Loop, &shown, at);
        open.add_line(SourceId::Loop, &shown, &self.model, at);
        self.turn = Some(open);
    }

    fn on_source_step(&mut self, source: SourceId, step: &Step, at: Duration) {
        // The connections of pages do not count.
        let open = self.model.open_connections() + 1;
        let shown = match step {
            Step::Accepted { connection, peer, fd, .. } => {
                Some(Step::Accepted { connection: *connection, peer: peer.clone(), fd: *fd, open })
            }
            _ => None,
        };
        let step = shown.as_ref().unwrap_or(step);
        self.model.apply(source, step, at);
        let began = self.last_at;
        let Some(turn) = &mut self.turn else { return };
        if matches!(source, SourceId::Connection(_)) {
            self.details.entry(source).or_default().apply(step);
        }
        turn.add(source, step, &self.model, began, at);
        if let Step::Closed { .. } = step {
            self.closed.push(source);
        }
    }

    /// Ends a turn, whose poll is about to begin.
    fn on_wait(&mut self, step: &Step, at: Duration) {
        let Step::Waiting { turn, timeout, .. } = step else { return };
        let Some(open) = self.turn.take() else {
            self.begin();
            self.note_poll(*turn, *timeout, 0, at);
            return;
        };
        if open.is_own && !open.is_shown {
            self.hidden_turns += 1;
            return;
        }
        let (poll, hidden) = (mem::take(&mut self.poll), mem::take(&mut self.hidden_turns));
        let mut record = open.end(poll, hidden, &self.model, &self.details, at);
        mem::take(&mut self.closed).into_iter().for_each(|source| self.forget(source));
        let line = self.note_poll(*turn, *timeout, record.carried_to_next.len(), at);
        record.lines.extend(line.map(|line| (micros(at), line.to_string())));
        self.ring.push(json(&record));
        self.allowance.use_turn();
    }

    /// Begins to record. First forgets the connections that closed while no observer was attached,
    /// and records what else has changed.
    fn begin(&mut self) {
        let is_gone =
            |source: &&SourceId| matches!(source, SourceId::Connection(_)) && !self.present.contains(*source);
        let gone: Vec<SourceId> = self.model.sources.keys().filter(is_gone).copied().collect();
        gone.iter().for_each(|source| self.forget(*source));
        self.details.retain(|source, _| self.model.sources.contains_key(source));
        let changed = mem::take(&mut self.changed);
        if !changed.is_empty() || !gone.is_empty() {
            self.record_missed(&changed, &gone);
        }
    }

    /// Records that connections have changed or are no longer shown, beside the turns.
    fn record_missed(&mut self, changed: &[SourceId], gone: &[SourceId]) {
        let row = |source: &SourceId| {
            let state = self.model.sources.get(source)?;
            Some(ConnectionRow::new(*source, state, self.details.get(source)))
        };
        self.ring.push(json(&MissedChanges {
            open: self.model.open_connections(),
            rows: changed.iter().take(MAX_ROWS).filter_map(row).collect(),
            gone: gone.iter().take(MAX_ROWS).map(ToString::to_string).collect(),
        }));
    }

    /// Keeps the arguments of the poll that begins, and returns the line that reports it. The
    /// timeout is derived from the sources that are shown, because the pages wake the loop as well.
    fn note_poll(
        &mut self,
        turn: u64,
        timeout: Option<Duration>,
        carried: usize,
        at: Duration,
    ) -> Option<TraceLine> {
        let deadline = self.model.next_deadline().map(|(_, _, due)| due.saturating_sub(at));
        let timeout = match carried {
            0 => deadline.map(|deadline| timeout.map_or(deadline, |timeout| timeout.max(deadline))),
            _ => Some(Duration::ZERO),
        };
        let waiting = Step::Waiting { turn, timeout, carried };
        self.model.apply(SourceId::Loop, &waiting, at);
        let lists = sets::list_fields(&self.model).map(text);
        self.poll = PollArguments { lists, timeout };
        TraceLine::new(SourceId::Loop, &waiting, &self.model, at, TraceLevel::Io)
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".into())
}

impl Observer for Attached {
    fn on_step(&mut self, source: SourceId, step: &Step) {
        let mut recorder = self.0.borrow_mut();
        let at = recorder.stopwatch.elapsed();
        recorder.allowance.use_step();
        match step {
            Step::Bound { address, .. } if address.ip() == Some(recorder.own) => {
                recorder.hidden.insert(source);
            }
            Step::Accepted { connection, .. } if recorder.hidden.contains(&source) => {
                recorder.hidden.insert(SourceId::Connection(*connection));
            }
            _ => {}
        }
        match step {
            Step::Woke { .. } => recorder.on_wake(step, at),
            Step::Waiting { .. } => recorder.on_wait(step, at),
            _ if recorder.hidden.contains(&source) => {
                let time = at.saturating_sub(recorder.last_at);
                recorder.turn.iter_mut().for_each(|turn| turn.add_page_time(time));
            }
            _ => recorder.on_source_step(source, step, at),
        }
        recorder.last_at = at;
    }

    fn on_open_connection(&mut self, connection: &OpenConnection<'_>) {
        let mut recorder = self.0.borrow_mut();
        if recorder.hidden.contains(&connection.source) {
            return;
        }
        let at = recorder.stopwatch.elapsed();
        recorder.present.insert(connection.source);
        let known = recorder.model.sources.get(&connection.source);
        let is_known = |state: &SourceState| {
            let known = (state.sent, state.of, state.is_armed);
            known == (connection.sent, connection.of, connection.is_armed)
        };
        if !known.is_some_and(is_known) {
            recorder.changed.push(connection.source);
        }
        recorder.model.restore(connection, at);
    }

    fn is_finished(&self) -> bool {
        let mut recorder = self.0.borrow_mut();
        if recorder.pages > 0 && !recorder.allowance.is_used_up() {
            return false;
        }
        recorder.is_attached = false;
        true
    }
}
