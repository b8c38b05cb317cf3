//! What an observer knows of the loop and of each source, from the steps that it has seen.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    os::fd::RawFd,
    time::Duration,
};

use super::redact::redacted;
use crate::close_reason::CloseReason;
use crate::trace::{EventFlags, SourceId, Step};

/// The loop, as far as it was seen. Times are since the watching began.
#[derive(Debug, Default)]
pub struct Model {
    pub turn: u64,
    /// When the last poll began, and how long it slept.
    waited_since: Duration,
    pub slept: Duration,
    pub ready: Vec<(SourceId, EventFlags)>,
    pub carried: Vec<SourceId>,
    pub sources: BTreeMap<SourceId, SourceState>,
    /// What is received is kept until it is understood.
    keeps_bytes: bool,
    /// Who moved something since the last wake.
    moved: BTreeSet<SourceId>,
    /// Wakes in a row for nobody.
    empty_wakes: u64,
    /// Who spins, and for how many wakes.
    pub spin: Option<(SourceId, u64)>,
}

/// One source.
#[derive(Debug, Default)]
pub struct SourceState {
    pub state: Activity,
    pub address: Option<SocketAddr>,
    pub fd: Option<RawFd>,
    /// When it was accepted; `None`: before the watching began.
    pub since: Option<Duration>,
    pub inbox: Inbox,
    /// The head that was planned last.
    pub head: Vec<u8>,
    /// Bytes sent, and put in, since the beginning.
    pub sent: u64,
    pub of: u64,
    /// Writability is waited for, too.
    pub is_armed: bool,
    /// When patience ends, and why it will be closed then.
    pub deadline: Option<(CloseReason, Duration)>,
    /// Turns that it has had.
    pub turns: u64,
    /// Wakes in a row for it in which nothing moved.
    idle_wakes: u64,
}

/// What a source has received and not yet understood.
#[derive(Debug)]
pub struct Inbox {
    pub len: usize,
    /// The bytes, if they are kept, and known from the beginning of their message.
    bytes: Option<Vec<u8>>,
    /// Nothing more is understood.
    is_over: bool,
}

impl Default for Inbox {
    fn default() -> Inbox {
        Inbox { len: 0, bytes: Some(Vec::new()), is_over: false }
    }
}

impl Inbox {
    const OVER: Inbox = Inbox { len: 0, bytes: None, is_over: true };
    const UNKNOWN: Inbox = Inbox { len: 0, bytes: None, is_over: false };

    fn read(&mut self, bytes: &[u8], kept: usize, keeps_bytes: bool) {
        if self.is_over || !keeps_bytes || kept != self.len {
            self.bytes = None;
        } else if let Some(known) = &mut self.bytes {
            known.extend_from_slice(bytes);
        }
        self.len = kept + bytes.len();
    }

    fn understood(&mut self, len: usize, left: usize) {
        self.len = left;
        match &mut self.bytes {
            // Whatever comes now begins a message.
            _ if left == 0 && !self.is_over => *self = Inbox::default(),
            Some(bytes) => drop(bytes.drain(..len.min(bytes.len()))),
            None => {}
        }
    }

    /// The bytes, without secrets; `None`: what was before them is not known, so that nothing can be shown.
    pub fn visible(&self) -> Option<Vec<u8>> {
        self.bytes.as_deref().map(redacted)
    }
}

/// How far a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Activity {
    /// Nothing is asked.
    #[default]
    Idle,
    /// A part of a request has come.
    Head,
    /// A response is on its way.
    Send,
    /// The send buffer is full.
    Blocked,
    /// All is said; the peer's end is waited for.
    Linger,
    /// A socket that is bound.
    Bound,
}

impl Activity {
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
    /// A model that keeps what is received until it is understood, for those who show it.
    pub fn with_bytes() -> Model {
        Model { keeps_bytes: true, ..Model::default() }
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.sources.keys().filter(|id| matches!(id, SourceId::Connection(_))).count()
    }

    /// The nearest deadline, and whose it is.
    pub fn next_deadline(&self) -> Option<(SourceId, CloseReason, Duration)> {
        let deadlines =
            self.sources.iter().filter_map(|(id, peer)| peer.deadline.map(|(reason, at)| (*id, reason, at)));
        deadlines.min_by_key(|(_, _, at)| *at)
    }

    /// Takes note of a step that was taken `at` that time. A source that is closed is known until
    /// [`Model::forget`].
    pub fn trace(&mut self, id: SourceId, step: &Step, at: Duration) {
        if is_progress(step) {
            self.moved.insert(id);
        }
        match step {
            Step::Waiting { turn, .. } => {
                self.turn = *turn;
                self.waited_since = at;
                self.count_idle_wakes();
            }
            Step::Woke { turn, ready, carried } => {
                self.turn = *turn;
                self.slept = at.saturating_sub(self.waited_since);
                self.ready.clone_from(ready);
                self.carried.clone_from(carried);
                self.moved.clear();
            }
            Step::Accepted { connection, peer, fd, .. } => {
                let new = SourceState {
                    address: Some(*peer),
                    fd: Some(*fd),
                    since: Some(at),
                    ..SourceState::default()
                };
                self.sources.insert(SourceId::Connection(*connection), new);
            }
            _ if matches!(id, SourceId::Loop | SourceId::Signals | SourceId::Named(_)) => {}
            _ => {
                let unknown = || SourceState { inbox: Inbox::UNKNOWN, ..SourceState::default() };
                self.sources.entry(id).or_insert_with(unknown).trace(step, at, self.keeps_bytes);
            }
        }
    }

    /// The poll begins now: what was done since it was announced is not its sleep.
    pub fn wait_from(&mut self, at: Duration) {
        self.waited_since = at;
    }

    /// A source that was closed is no longer known.
    pub fn forget(&mut self, id: SourceId) {
        self.sources.remove(&id);
    }

    /// A wake for a source is in vain if nothing moved there. One alone is no spin, for an event is a hint; nor is one that was slept
    /// for. Whoever is blocked and sends more is not read from while it takes nothing.
    fn count_idle_wakes(&mut self) {
        self.spin = None;
        let has_slept = self.slept >= SLEEP;
        let is_empty = self.ready.is_empty() && self.carried.is_empty();
        self.empty_wakes =
            if is_empty && !has_slept && self.moved.is_empty() { self.empty_wakes + 1 } else { 0 };
        if self.empty_wakes > 1 {
            self.spin = Some((SourceId::Loop, self.empty_wakes));
        }
        // Work that is left over may wait for other such work, as a listing does for its share of the turn.
        let has_worked = self.carried.iter().any(|id| self.moved.contains(id));
        let carried = self.carried.iter().filter(|_| !has_worked).map(|id| (*id, OURS));
        for (id, flags) in self.ready.iter().copied().chain(carried) {
            let Some(peer) = self.sources.get_mut(&id) else { continue };
            let is_held_back = peer.is_armed && !flags.writable;
            let is_idle = !has_slept && !is_held_back && !self.moved.contains(&id);
            peer.idle_wakes = if is_idle { peer.idle_wakes + 1 } else { 0 };
            if peer.idle_wakes > 1 && self.spin.is_none_or(|(_, wakes)| wakes < peer.idle_wakes) {
                self.spin = Some((id, peer.idle_wakes));
            }
        }
    }
}

/// Of work that was left over, which may be to write.
const OURS: EventFlags =
    EventFlags { readable: true, writable: true, read_closed: false, write_closed: false, error: false };
/// A loop that slept for so long did not spin.
const SLEEP: Duration = Duration::from_millis(1);

/// Whether `step` moves something. To understand, to plan and to arm does not.
fn is_progress(step: &Step) -> bool {
    match step {
        Step::Wrote { got, .. } => *got > 0,
        Step::Accepted { .. }
        | Step::Read { .. }
        | Step::EndOfInput
        | Step::EntriesRead { .. }
        | Step::NotCached { .. }
        | Step::Deadline { .. }
        | Step::Received { .. }
        | Step::Sent { .. }
        | Step::ShutDown
        | Step::Closed { .. }
        | Step::Signalled { .. }
        | Step::Polled => true,
        _ => false,
    }
}

impl SourceState {
    fn trace(&mut self, step: &Step, at: Duration, keeps_bytes: bool) {
        match step {
            Step::Bound { address, fd } => {
                (self.state, self.address, self.fd) = (Activity::Bound, Some(*address), Some(*fd));
            }
            Step::TurnBegan => self.turns += 1,
            Step::Read { bytes, kept, .. } => {
                self.inbox.read(bytes, *kept, keeps_bytes);
                if self.state == Activity::Idle {
                    self.state = Activity::Head;
                }
            }
            Step::Understood { len, left, .. } => self.inbox.understood(*len, *left),
            Step::Refused { .. } => self.inbox = Inbox::OVER,
            // What has come of a message that is late is never understood. Who is late in taking may have sent the next.
            Step::Deadline { reason, .. } if *reason != CloseReason::SendTimeout => self.inbox.is_over = true,
            Step::Planned { head, .. } => {
                self.state = Activity::Send;
                self.head.clone_from(head);
            }
            Step::Wrote { sent, of, .. } => {
                (self.sent, self.of) = (*sent, *of);
                self.state = match sent == of {
                    true if self.inbox.len == 0 => Activity::Idle,
                    true => Activity::Head,
                    false => Activity::Send,
                };
            }
            Step::Blocked { .. } => self.state = Activity::Blocked,
            Step::Armed => self.is_armed = true,
            Step::Disarmed => self.is_armed = false,
            Step::ShutDown => {
                self.state = Activity::Linger;
                self.inbox = Inbox::OVER;
            }
            Step::DeadlineSet { reason, within } => {
                self.deadline = within.map(|within| (*reason, at + within))
            }
            _ => {}
        }
    }
}
