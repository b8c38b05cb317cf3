//! The state of the loop and of each source, reconstructed from the steps that an observer has
//! seen.
//!
//! The model is built from steps alone, and must never query the loop.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::RawFd,
    time::Duration,
};

use super::{
    field::{Field, Value},
    observer::OpenConnection,
    redact::{hidden, redacted},
    source_id::{EventFlags, SourceId},
    step::{Effect, ServiceStep, Step},
};
use crate::{address::Address, close_reason::CloseReason};

/// The shortest sleep that rules out a spin.
const SLEEP: Duration = Duration::from_millis(1);

/// The reconstructed state of the loop. All times are relative to the start of the trace.
#[derive(Debug, Default)]
pub struct Model {
    /// The number of the current turn.
    pub turn: u64,
    /// When the last poll started.
    waiting_since: Duration,
    /// How long the last poll slept.
    pub slept: Duration,
    /// The sources that the last poll reported.
    pub ready: Vec<(SourceId, EventFlags)>,
    /// The sources that had work carried over at the last wake-up.
    pub carried: Vec<SourceId>,
    /// The known sources. A closed source stays here until [`Model::forget`] removes it.
    pub sources: BTreeMap<SourceId, SourceState>,
    /// The sources that are polled for writability.
    pub write_list: BTreeSet<SourceId>,
    /// Whether the poll has returned and nothing has been done yet.
    pub has_just_woken: bool,
    /// Whether to keep received bytes until they are parsed.
    keeps_bytes: bool,
    /// The sources that have made progress since the last wake-up.
    moved: BTreeSet<SourceId>,
    /// The number of consecutive wake-ups with no event and nothing to do.
    empty_wakes: u64,
    /// The source that spins, if there is one, and the number of its consecutive idle wake-ups.
    pub spin: Option<(SourceId, u64)>,
}

/// The state of one source.
#[derive(Debug, Default)]
pub struct SourceState {
    /// What the source is doing.
    pub activity: Activity,
    /// The peer's address for a connection, or the local address of a listener or UDP socket.
    pub address: Option<Address>,
    /// The descriptor of the socket, if known.
    pub fd: Option<RawFd>,
    /// When the connection was accepted; `None` if that was before the trace started.
    pub since: Option<Duration>,
    /// The bytes received and not yet parsed.
    pub input: Unparsed,
    /// Whether the next input is a secret.
    hides_input: bool,
    /// The head of the last response.
    pub head: Vec<u8>,
    /// The total number of bytes sent on the connection.
    pub sent: u64,
    /// The total number of bytes put into the connection's outbox.
    pub of: u64,
    /// Whether the source is polled for writability.
    pub is_armed: bool,
    /// The close reason and the time of the next deadline.
    pub deadline: Option<(CloseReason, Duration)>,
    /// The number of turns that the source has had.
    pub turns: u64,
    /// The number of consecutive wake-ups in which the source made no progress.
    idle_wakes: u64,
}

/// The bytes that a source has received and its protocol has not yet parsed.
#[derive(Debug)]
pub struct Unparsed {
    /// The number of unparsed bytes.
    pub len: usize,
    /// The bytes, if they are kept and complete from the beginning of a message.
    bytes: Option<Vec<u8>>,
    /// Whether the protocol has stopped parsing input.
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

    /// Appends `bytes` to the `kept` unparsed bytes that were received earlier.
    fn append(&mut self, bytes: &[u8], kept: usize, keeps_bytes: bool) {
        if self.is_ended || !keeps_bytes || kept != self.len {
            self.bytes = None;
        } else if let Some(known) = &mut self.bytes {
            known.extend_from_slice(bytes);
        }
        self.len = kept + bytes.len();
    }

    /// Removes a parsed message of `len` bytes, after which `left` bytes remain.
    fn remove(&mut self, len: usize, left: usize) {
        self.len = left;
        match &mut self.bytes {
            // The next byte starts a message, so all bytes from there on are known again.
            _ if left == 0 && !self.is_ended => *self = Unparsed::default(),
            Some(bytes) => drop(bytes.drain(..len.min(bytes.len()))),
            None => {}
        }
    }
}

/// What a source is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Activity {
    /// Waiting for a request.
    #[default]
    Idle,
    /// Receiving a request that has only partly arrived.
    Head,
    /// Sending a response.
    Send,
    /// Waiting to send the rest of a response, because the send buffer is full.
    Blocked,
    /// Waiting for the peer to close, after everything has been sent.
    Linger,
    /// Listening on a bound socket.
    Bound,
    /// Establishing an outgoing connection.
    Connect,
}

impl Activity {
    /// Returns the name of the activity in traces.
    pub fn name(self) -> &'static str {
        match self {
            Activity::Idle => "IDLE",
            Activity::Head => "HEAD",
            Activity::Send => "SEND",
            Activity::Blocked => "BLOCKED",
            Activity::Linger => "LINGER",
            Activity::Bound => "BOUND",
            Activity::Connect => "CONNECT",
        }
    }
}

impl Model {
    /// Creates a model that keeps received bytes until they are parsed, so that they can be shown.
    pub fn keeping_bytes() -> Model {
        Model { keeps_bytes: true, ..Model::default() }
    }

    /// Returns the number of open connections.
    pub fn open_connections(&self) -> usize {
        // The identifiers are ordered by kind. There are few listeners and UDP sockets.
        let others = self.sources.range(..SourceId::Connection(0)).count()
            + self.sources.range(SourceId::Udp(0)..).count();
        self.sources.len() - others
    }

    /// Returns the source, close reason and time of the nearest deadline.
    pub fn next_deadline(&self) -> Option<(SourceId, CloseReason, Duration)> {
        let deadlines = self
            .sources
            .iter()
            .filter_map(|(source, state)| state.deadline.map(|(reason, at)| (*source, reason, at)));
        deadlines.min_by_key(|(_, _, at)| *at)
    }

    /// Updates the model with a step that was taken at time `at`. A closed source stays in the
    /// model until [`Model::forget`] removes it.
    pub fn apply(&mut self, source: SourceId, step: &Step, at: Duration) {
        if step.is_progress() {
            self.moved.insert(source);
        }
        self.has_just_woken = matches!(step, Step::Woke { .. });
        match step {
            Step::Armed => drop(self.write_list.insert(source)),
            Step::Disarmed => drop(self.write_list.remove(&source)),
            _ => {}
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
                    address: Some(peer.clone()),
                    fd: Some(*fd),
                    since: Some(at),
                    ..SourceState::default()
                };
                self.sources.insert(SourceId::Connection(*connection), accepted);
            }
            Step::Connecting { peer, fd, .. } => {
                let connecting = SourceState {
                    activity: Activity::Connect,
                    address: Some(peer.clone()),
                    fd: Some(*fd),
                    since: Some(at),
                    ..SourceState::default()
                };
                self.sources.insert(source, connecting);
            }
            _ if matches!(source, SourceId::Loop | SourceId::Signals | SourceId::Named(_)) => {}
            _ => {
                // The source is older than the trace, so its unparsed input was never seen.
                let unknown = || SourceState { input: Unparsed::UNKNOWN, ..SourceState::default() };
                self.sources.entry(source).or_insert_with(unknown).apply(step, at, self.keeps_bytes);
            }
        }
    }

    /// Adds or updates a connection that was open before the observer was attached.
    pub fn restore(&mut self, connection: &OpenConnection<'_>, at: Duration) {
        let new = || SourceState {
            address: Some((connection.peer)()),
            fd: Some(connection.fd),
            input: Unparsed::UNKNOWN,
            ..SourceState::default()
        };
        let state = self.sources.entry(connection.source).or_insert_with(new);
        (state.sent, state.of, state.is_armed) = (connection.sent, connection.of, connection.is_armed);
        state.input.len = connection.unread;
        state.activity = match state.activity {
            Activity::Linger => Activity::Linger,
            _ if connection.is_armed && connection.sent < connection.of => Activity::Blocked,
            _ if connection.sent < connection.of => Activity::Send,
            _ if connection.unread > 0 => Activity::Head,
            _ => Activity::Idle,
        };
        state.apply(&connection.deadline, at, false);
        match connection.is_armed {
            true => self.write_list.insert(connection.source),
            false => self.write_list.remove(&connection.source),
        };
    }

    /// Returns the fields of `step`, which must already be applied to the model. The fields include
    /// information from earlier steps: how long the poll slept, how long a source lived, and
    /// whether a deadline passed while lingering.
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

    /// Sets the time at which the poll started, so that the work of an observer after
    /// [`Step::Waiting`] does not count as sleep.
    pub fn wait_from(&mut self, at: Duration) {
        self.waiting_since = at;
    }

    /// Removes a closed source.
    pub fn forget(&mut self, source: SourceId) {
        self.sources.remove(&source);
        self.write_list.remove(&source);
    }

    /// Counts the consecutive idle wake-ups of each source, and sets [`Model::spin`] from the
    /// second one on.
    fn count_idle_wakes(&mut self) {
        self.spin = None;
        // A single idle wake-up is not a spin, because an event is a hint. An idle wake-up after a
        // sleep is not a spin either, because a spinning loop does not sleep.
        let has_slept = self.slept >= SLEEP;
        let is_empty = self.ready.is_empty() && self.carried.is_empty();
        self.empty_wakes =
            if is_empty && !has_slept && self.moved.is_empty() { self.empty_wakes + 1 } else { 0 };
        if self.empty_wakes > 1 {
            self.spin = Some((SourceId::Loop, self.empty_wakes));
        }
        // Carried-over work may wait for other carried-over work. A line of a chat room, for
        // example, waits because the room has accepted enough lines in this turn. So carried-over
        // work is idle only if no carried-over source made progress.
        let has_worked = self.carried.iter().any(|source| self.moved.contains(source));
        let carried = self.carried.iter().filter(|_| !has_worked).map(|source| (*source, true));
        let ready = self.ready.iter().map(|(source, flags)| (*source, flags.writable));
        for (source, may_write) in ready.chain(carried) {
            let Some(state) = self.sources.get_mut(&source) else { continue };
            // A blocked source does not read, so an event for input from its peer does not count.
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
    /// Returns the unparsed input with secrets redacted; `None` if the beginning of the message is
    /// not known.
    pub fn visible_input(&self) -> Option<Vec<u8>> {
        let show = if self.hides_input { hidden } else { redacted };
        self.input.bytes.as_deref().map(show)
    }

    fn apply(&mut self, step: &Step, at: Duration, keeps_bytes: bool) {
        if let Some(head) = step.response_head() {
            self.activity = Activity::Send;
            self.head = head.to_vec();
        }
        match step {
            Step::Bound { address, fd } => {
                (self.activity, self.address, self.fd) = (Activity::Bound, Some(address.clone()), Some(*fd));
            }
            Step::TurnBegan => self.turns += 1,
            Step::Connected => self.activity = Activity::Idle,
            Step::Read { bytes, kept, .. } => {
                self.input.append(bytes, *kept, keeps_bytes);
                if self.activity == Activity::Idle {
                    self.activity = Activity::Head;
                }
            }
            Step::Understood { len, left, .. } => self.input.remove(*len, *left),
            Step::Refused { .. } => self.input = Unparsed::ENDED,
            // The rest of a late message is never parsed. But after a send timeout, the input may
            // be the next message.
            Step::Deadline { reason, .. } if *reason != CloseReason::SendTimeout => {
                self.input.is_ended = true;
            }
            Step::Service(ServiceStep { effect: Effect::HideInput, .. }) => self.hides_input = true,
            Step::Service(ServiceStep { effect: Effect::ShowInput, .. }) => self.hides_input = false,
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
