//! What an observer knows of the loop and of each source, from the steps that it has seen.

use std::{collections::BTreeMap, net::SocketAddr, os::fd::RawFd, time::Duration};

use crate::observer::{Flags, Step, Who, Why};

/// The loop, as far as it was seen. Times are since the watching began.
#[derive(Debug, Default)]
pub struct Model {
    pub turn: u64,
    /// When the last poll began, and how long it slept.
    waited_since: Duration,
    pub slept: Duration,
    pub ready: Vec<(Who, Flags)>,
    pub carried: Vec<Who>,
    pub peers: BTreeMap<Who, Peer>,
    /// Something moved since the last wake.
    progress: bool,
    /// Wakes in a row in which nothing moved.
    pub idle_wakes: u64,
}

/// One source.
#[derive(Debug, Default)]
pub struct Peer {
    pub state: State,
    pub address: Option<SocketAddr>,
    pub fd: Option<RawFd>,
    /// When it was first seen.
    pub since: Duration,
    /// Received and not yet understood.
    pub inbox: Vec<u8>,
    /// The head that was planned last.
    pub head: Vec<u8>,
    /// Bytes sent, and put in, since the beginning.
    pub sent: u64,
    pub of: u64,
    /// Writability is waited for, too.
    pub is_armed: bool,
    /// When patience ends, and why it will be closed then.
    pub deadline: Option<(Why, Duration)>,
    /// Turns that it has had.
    pub turns: u64,
}

/// How far a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
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

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::Idle => "IDLE",
            State::Head => "HEAD",
            State::Send => "SEND",
            State::Blocked => "BLOCKED",
            State::Linger => "LINGER",
            State::Bound => "BOUND",
        }
    }
}

impl Model {
    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.peers.keys().filter(|who| matches!(who, Who::Connection(_))).count()
    }

    /// The nearest deadline, and whose it is.
    pub fn next_deadline(&self) -> Option<(Who, Why, Duration)> {
        let deadlines =
            self.peers.iter().filter_map(|(who, peer)| peer.deadline.map(|(why, at)| (*who, why, at)));
        deadlines.min_by_key(|(_, _, at)| *at)
    }

    /// Takes note of a step that was taken `at` that time. A source that is closed is known until
    /// [`Model::forget`].
    pub fn note(&mut self, who: Who, step: &Step, at: Duration) {
        self.progress |= is_progress(step);
        match step {
            Step::Waiting { .. } => {
                self.waited_since = at;
                self.count_idle_wakes();
            }
            Step::Woke { turn, ready, carried } => {
                self.turn = *turn;
                self.slept = at.saturating_sub(self.waited_since);
                self.ready.clone_from(ready);
                self.carried.clone_from(carried);
                self.progress = false;
            }
            Step::Accepted { connection, peer, fd, .. } => {
                let new = Peer { address: Some(*peer), fd: Some(*fd), since: at, ..Peer::default() };
                self.peers.insert(Who::Connection(*connection), new);
            }
            _ if matches!(who, Who::Loop | Who::Signals | Who::Files | Who::Terminal) => {}
            _ => {
                self.peers.entry(who).or_insert_with(|| Peer { since: at, ..Peer::default() }).note(step, at)
            }
        }
    }

    /// A source that was closed is no longer known.
    pub fn forget(&mut self, who: Who) {
        self.peers.remove(&who);
    }

    /// A wake is in vain if nothing moved in it, though it had a reason. Whoever is blocked and is sent more has none: it is
    /// not read from while it takes nothing.
    fn count_idle_wakes(&mut self) {
        let is_held_back = |(who, flags): &(Who, Flags)| {
            !flags.writable && self.peers.get(who).is_some_and(|peer| peer.is_armed)
        };
        let had_reason = !self.carried.is_empty() || !self.ready.iter().all(is_held_back);
        self.idle_wakes = if had_reason && !self.progress { self.idle_wakes + 1 } else { 0 };
    }
}

/// Whether `step` moves something. To plan and to write nothing does not.
fn is_progress(step: &Step) -> bool {
    match step {
        Step::Wrote { got, .. } => *got > 0,
        Step::Waiting { .. }
        | Step::Woke { .. }
        | Step::Begun
        | Step::BacklogEmpty
        | Step::Drained
        | Step::Incomplete { .. }
        | Step::Blocked { .. }
        | Step::CarriedOver
        | Step::Patient { .. } => false,
        _ => true,
    }
}

impl Peer {
    fn note(&mut self, step: &Step, at: Duration) {
        match step {
            Step::Bound { address, fd } => {
                (self.state, self.address, self.fd) = (State::Bound, Some(*address), Some(*fd));
            }
            Step::Begun => self.turns += 1,
            Step::Read { bytes, kept, .. } => {
                let known = self.inbox.len();
                self.inbox.drain(..known.saturating_sub(*kept));
                self.inbox.extend_from_slice(bytes);
                if self.state == State::Idle {
                    self.state = State::Head;
                }
            }
            Step::Understood { len, .. } => drop(self.inbox.drain(..(*len).min(self.inbox.len()))),
            Step::Refused { .. } => self.inbox.clear(),
            // What has come of a message that is late is never understood. Who is late in taking may have sent the next.
            Step::Planned { head, .. } => {
                self.state = State::Send;
                self.head.clone_from(head);
            }
            Step::Wrote { sent, of, .. } => {
                (self.sent, self.of) = (*sent, *of);
                self.state = match sent == of {
                    true if self.inbox.is_empty() => State::Idle,
                    true => State::Head,
                    false => State::Send,
                };
            }
            Step::Blocked { .. } => self.state = State::Blocked,
            Step::Armed => self.is_armed = true,
            Step::Disarmed => self.is_armed = false,
            Step::ShutDown => {
                self.state = State::Linger;
                self.inbox.clear();
            }
            Step::Patient { why, within } => self.deadline = within.map(|within| (*why, at + within)),
            _ => {}
        }
    }
}
