//! What an observer knows of the loop and of each source, from the steps that it has seen.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    os::fd::RawFd,
    time::Duration,
};

use super::{
    field::{Field, Value},
    redact::redacted,
    source_id::{EventFlags, SourceId},
    step::Step,
};
use crate::close_reason::CloseReason;

/// A loop that slept for so long did not spin.
const SLEEP: Duration = Duration::from_millis(1);

/// The state of the loop. Times are since the trace began.
#[derive(Debug, Default)]
pub struct Model {
    /// The number of the turn.
    pub turn: u64,
    /// When the last poll began.
    waiting_since: Duration,
    /// How long the last poll slept.
    pub slept: Duration,
    /// The sources that the last poll reported.
    pub ready: Vec<(SourceId, EventFlags)>,
    /// The sources that had work left over at the last wake-up.
    pub carried: Vec<SourceId>,
    /// The sources that were seen and are not [forgotten](Model::forget).
    pub sources: BTreeMap<SourceId, SourceState>,
    /// Keep the bytes that are received until they are parsed.
    keeps_bytes: bool,
    /// The sources that moved something since the last wake-up.
    moved: BTreeSet<SourceId>,
    /// Wake-ups in a row that reported nothing.
    empty_wakes: u64,
    /// The source that spins, and for how many wake-ups in a row.
    pub spin: Option<(SourceId, u64)>,
}

/// The state of one source.
#[derive(Debug, Default)]
pub struct SourceState {
    /// What it does.
    pub activity: Activity,
    /// The address of the peer, or the local address of a socket that is bound.
    pub address: Option<SocketAddr>,
    /// The descriptor.
    pub fd: Option<RawFd>,
    /// When it was accepted. `None`: before the trace began.
    pub since: Option<Duration>,
    /// The bytes that were received and not parsed.
    pub input: Unparsed,
    /// The head of the last response.
    pub head: Vec<u8>,
    /// How many bytes were sent since the connection began.
    pub sent: u64,
    /// How many bytes were put into the outbox since the connection began.
    pub of: u64,
    /// It waits for writability too.
    pub is_armed: bool,
    /// The next deadline, and the reason to close with when it passes.
    pub deadline: Option<(CloseReason, Duration)>,
    /// How many turns it has had.
    pub turns: u64,
    /// Wake-ups in a row for this source in which it moved nothing.
    idle_wakes: u64,
}

/// The bytes that a source has received and its protocol has not parsed.
#[derive(Debug)]
pub struct Unparsed {
    /// How many bytes there are.
    pub len: usize,
    /// The bytes, if they are kept and are known from the beginning of their message.
    bytes: Option<Vec<u8>>,
    /// The protocol parses no more.
    is_ended: bool,
}

impl Default for Unparsed {
    fn default() -> Unparsed {
        Unparsed { len: 0, bytes: Some(Vec::new()), is_ended: false }
    }
}

impl Unparsed {
    const ENDED: Unparsed = Unparsed { len: 0, bytes: None, is_ended: true };
    const UNKNOWN: Unparsed = Unparsed { len: 0, bytes: None, is_ended: false };

    /// Appends `bytes` behind the `kept` ones that were there.
    fn append(&mut self, bytes: &[u8], kept: usize, keeps_bytes: bool) {
        if self.is_ended || !keeps_bytes || kept != self.len {
            self.bytes = None;
        } else if let Some(known) = &mut self.bytes {
            known.extend_from_slice(bytes);
        }
        self.len = kept + bytes.len();
    }

    /// Removes a message of `len` bytes that was parsed, with `left` bytes behind it.
    fn remove(&mut self, len: usize, left: usize) {
        self.len = left;
        match &mut self.bytes {
            // The next byte begins a message.
            _ if left == 0 && !self.is_ended => *self = Unparsed::default(),
            Some(bytes) => drop(bytes.drain(..len.min(bytes.len()))),
            None => {}
        }
    }

    /// Returns the bytes without secrets. `None`: the bytes before them are not known, so nothing
    /// can be shown.
    pub fn visible(&self) -> Option<Vec<u8>> {
        self.bytes.as_deref().map(redacted)
    }
}

/// What a source does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Activity {
    /// It waits for a request.
    #[default]
    Idle,
    /// A part of a request has arrived.
    Head,
    /// It sends a response.
    Send,
    /// It has a response to send, and its send buffer is full.
    Blocked,
    /// It has sent everything, and waits for the peer to close.
    Linger,
    /// It is a socket that is bound.
    Bound,
}

impl Activity {
    /// Returns the name that traces show.
    pub fn name(self) -> &'static str {
        match self {
            Activity::Idle => "IDLE",
            Activity::Head => "HEAD",
            Activity::Send => "SEND",
            Activity::Blocked => "BLOCKED",
            Activity::Linger => "LINGER",
            Activity::Bound => "BOUND",
        }
    }
}

impl Model {
    /// Makes a model that keeps the bytes that are received until they are parsed, to show them.
    pub fn with_bytes() -> Model {
        Model { keeps_bytes: true, ..Model::default() }
    }

    /// Returns how many connections are open.
    pub fn open_connections(&self) -> usize {
        self.sources.keys().filter(|source| matches!(source, SourceId::Connection(_))).count()
    }

    /// Returns the nearest deadline, with its source and the reason to close with.
    pub fn next_deadline(&self) -> Option<(SourceId, CloseReason, Duration)> {
        let deadlines = self
            .sources
            .iter()
            .filter_map(|(source, state)| state.deadline.map(|(reason, at)| (*source, reason, at)));
        deadlines.min_by_key(|(_, _, at)| *at)
    }

    /// Updates the model by a step that was taken at `at`. A source that is closed stays known
    /// until [`Model::forget`].
    pub fn apply(&mut self, source: SourceId, step: &Step, at: Duration) {
        if step.is_progress() {
            self.moved.insert(source);
        }
        match step {
            Step::Waiting { turn, .. } => {
                self.turn = *turn;
                self.waiting_since = at;
                self.count_idle_wakes();
            }
            Step::Woke { turn, ready, carried } => {
                self.turn = *turn;
                self.slept = at.saturating_sub(self.waiting_since);
                self.ready.clone_from(ready);
                self.carried.clone_from(carried);
                self.moved.clear();
            }
            Step::Accepted { connection, peer, fd, .. } => {
                let accepted = SourceState {
                    address: Some(*peer),
                    fd: Some(*fd),
                    since: Some(at),
                    ..SourceState::default()
                };
                self.sources.insert(SourceId::Connection(*connection), accepted);
            }
            _ if matches!(source, SourceId::Loop | SourceId::Signals | SourceId::Named(_)) => {}
            _ => {
                let unknown = || SourceState { input: Unparsed::UNKNOWN, ..SourceState::default() };
                self.sources.entry(source).or_insert_with(unknown).apply(step, at, self.keeps_bytes);
            }
        }
    }

    /// Returns the fields of `step`, which was applied already, with those that follow from earlier
    /// steps: how long the poll slept, how long the source lived, and whether a late peer only had
    /// to close.
    pub fn fields(&self, source: SourceId, step: &Step, at: Duration) -> Vec<Field> {
        let mut fields = step.fields();
        let state = self.sources.get(&source);
        match step {
            Step::Woke { .. } => fields.push(Field::new("slept_us", self.slept)),
            Step::Closed { .. } => {
                let since = state.and_then(|state| state.since);
                let life = since.map(|since| at.saturating_sub(since));
                fields.push(Field::new("life_us", Value::or(life, "?")));
            }
            Step::Deadline { .. } if state.is_some_and(|state| state.activity == Activity::Linger) => {
                for reason in fields.iter_mut().filter(|field| field.name == "reason") {
                    reason.value = "linger".into();
                }
            }
            _ => {}
        }
        fields
    }

    /// Sets the beginning of the poll: what an observer did since [`Step::Waiting`] is not sleep.
    pub fn wait_from(&mut self, at: Duration) {
        self.waiting_since = at;
    }

    /// Removes a source that was closed.
    pub fn forget(&mut self, source: SourceId) {
        self.sources.remove(&source);
    }

    /// Counts the wake-ups in which a source moved nothing. A single one is not a spin, because an
    /// event is a hint. Nor is one that the loop slept before. A source that is blocked does not
    /// read what its peer sends, so an event for that does not count.
    fn count_idle_wakes(&mut self) {
        self.spin = None;
        let has_slept = self.slept >= SLEEP;
        let is_empty = self.ready.is_empty() && self.carried.is_empty();
        self.empty_wakes =
            if is_empty && !has_slept && self.moved.is_empty() { self.empty_wakes + 1 } else { 0 };
        if self.empty_wakes > 1 {
            self.spin = Some((SourceId::Loop, self.empty_wakes));
        }
        // Work that is left over may wait for other such work, as a listing waits for its share of
        // the turn.
        let has_worked = self.carried.iter().any(|source| self.moved.contains(source));
        let carried = self.carried.iter().filter(|_| !has_worked).map(|source| (*source, true));
        let ready = self.ready.iter().map(|(source, flags)| (*source, flags.writable));
        for (source, may_write) in ready.chain(carried) {
            let Some(state) = self.sources.get_mut(&source) else { continue };
            let is_blocked = state.is_armed && !may_write;
            let is_idle = !has_slept && !is_blocked && !self.moved.contains(&source);
            state.idle_wakes = if is_idle { state.idle_wakes + 1 } else { 0 };
            if state.idle_wakes > 1 && self.spin.is_none_or(|(_, wakes)| wakes < state.idle_wakes) {
                self.spin = Some((source, state.idle_wakes));
            }
        }
    }
}

impl SourceState {
    fn apply(&mut self, step: &Step, at: Duration, keeps_bytes: bool) {
        if let Some(head) = step.response_head() {
            self.activity = Activity::Send;
            self.head = head.to_vec();
        }
        match step {
            Step::Bound { address, fd } => {
                (self.activity, self.address, self.fd) = (Activity::Bound, Some(*address), Some(*fd));
            }
            Step::TurnBegan => self.turns += 1,
            Step::Read { bytes, kept, .. } => {
                self.input.append(bytes, *kept, keeps_bytes);
                if self.activity == Activity::Idle {
                    self.activity = Activity::Head;
                }
            }
            Step::Understood { len, left, .. } => self.input.remove(*len, *left),
            Step::Refused { .. } => self.input = Unparsed::ENDED,
            // The rest of a message that is late is never parsed. A peer that accepts no data may
            // have sent its next message.
            Step::Deadline { reason, .. } if *reason != CloseReason::SendTimeout => {
                self.input.is_ended = true;
            }
            Step::Wrote { sent, of, .. } => {
                (self.sent, self.of) = (*sent, *of);
                self.activity = match sent == of {
                    true if self.input.len == 0 => Activity::Idle,
                    true => Activity::Head,
                    false => Activity::Send,
                };
            }
            Step::Blocked { .. } => self.activity = Activity::Blocked,
            Step::Armed => self.is_armed = true,
            Step::Disarmed => self.is_armed = false,
            Step::ShutDown => {
                self.activity = Activity::Linger;
                self.input = Unparsed::ENDED;
            }
            Step::DeadlineSet { reason, within } => {
                self.deadline = within.map(|within| (*reason, at + within))
            }
            _ => {}
        }
    }
}
