//! One play: a loop, its scripted clients, and a record of their actions and observations.

use std::{
    cell::{Ref, RefCell},
    io,
    rc::Rc,
    time::{Duration, Instant},
};

use super::{TrialLimits, TrialTarget};
use crate::{
    clients::{ClientState, ScriptedClient},
    clock::Clock,
    event_loop::{ConnectOptions, EventLoop, Limits},
    protocol::{CloseReason, WakeKey},
};

/// What a client did or saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrialEvent {
    /// The time since the play began.
    pub at: Duration,
    /// A sentence about it.
    pub text: String,
}

/// A loop with scripted clients. To drop it closes all connections.
pub struct Play<'a> {
    pub target: &'a TrialTarget,
    event_loop: EventLoop,
    clients: Vec<Player>,
    start: Instant,
    events: Vec<TrialEvent>,
}

/// A client of the play.
struct Player {
    key: WakeKey,
    state: Rc<RefCell<ClientState>>,
}

/// The number of a client in its play.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientId(usize);

impl<'a> Play<'a> {
    /// Creates a play without clients.
    ///
    /// # Errors
    /// Fails if the poller cannot be created (epoll_create1(2)).
    pub fn new(target: &'a TrialTarget) -> io::Result<Play<'a>> {
        let limits = Limits { send_timeout: None, connect_timeout: None, ..Limits::default() };
        let mut event_loop = EventLoop::new(limits, Clock::system())?;
        let start = event_loop.clock().now();
        Ok(Play { target, event_loop, clients: Vec::new(), start, events: Vec::new() })
    }

    /// Ends the play, closes its connections, and returns its events.
    pub fn end(self) -> Vec<TrialEvent> {
        self.events
    }

    pub fn limits(&self) -> TrialLimits {
        self.target.limits
    }

    /// Returns the time of the last turn, since the play began.
    pub fn now(&mut self) -> Duration {
        self.event_loop.clock().now().saturating_duration_since(self.start)
    }

    /// Adds an event.
    pub fn note(&mut self, text: impl Into<String>) {
        let event = TrialEvent { at: self.now(), text: text.into() };
        self.events.push(event);
    }

    /// Starts to connect a client. If `is_narrow`, it has a small receive buffer.
    ///
    /// # Errors
    /// Fails if the socket cannot be created.
    pub fn start_connecting(&mut self, is_narrow: bool) -> io::Result<ClientId> {
        let state = Rc::<RefCell<ClientState>>::default();
        let protocol = Box::new(ScriptedClient::new(Rc::clone(&state), &self.target.request));
        let options = ConnectOptions { receive_buffer: is_narrow.then_some(4096) };
        let key = self.event_loop.connect_with(&self.target.address, protocol, options)?;
        self.clients.push(Player { key, state });
        Ok(ClientId(self.clients.len() - 1))
    }

    /// Connects a client, and waits until the connection is established or the server has refused
    /// it.
    ///
    /// # Errors
    /// Fails if the socket cannot be created, or if polling fails.
    pub fn connect(&mut self, is_narrow: bool) -> io::Result<ClientId> {
        let client = self.start_connecting(is_narrow)?;
        self.run_until(self.limits().answer, |play| play.is_connected(client) || play.is_closed(client))?;
        Ok(client)
    }

    /// Makes a client send `bytes` in the next turn.
    pub fn send(&mut self, client: ClientId, bytes: &[u8]) {
        self.act(client, |state| state.unsent.extend_from_slice(bytes));
    }

    /// Makes a client send one request in the next turn.
    pub fn ask(&mut self, client: ClientId) {
        self.send(client, self.target.request.bytes());
    }

    /// Makes a client end its output when everything is sent.
    pub fn half_close(&mut self, client: ClientId) {
        self.act(client, |state| state.half_closes = true);
    }

    /// Makes a client read what arrives, or leave it unread.
    pub fn set_reading(&mut self, client: ClientId, reads: bool) {
        self.act(client, |state| state.reads = reads);
    }

    /// Makes a client end its connection when everything is sent.
    pub fn close(&mut self, client: ClientId, reason: CloseReason) {
        self.act(client, |state| state.end = Some(reason));
    }

    fn act(&mut self, client: ClientId, change: impl FnOnce(&mut ClientState)) {
        let player = &self.clients[client.0];
        change(&mut player.state.borrow_mut());
        self.event_loop.wake(player.key);
    }

    /// Returns what a client has seen.
    pub fn client(&self, client: ClientId) -> Ref<'_, ClientState> {
        self.clients[client.0].state.borrow()
    }

    pub fn is_connected(&self, client: ClientId) -> bool {
        self.client(client).connected_at.is_some()
    }

    pub fn is_closed(&self, client: ClientId) -> bool {
        self.client(client).closed.is_some()
    }

    /// Returns the number of complete answers that a client has.
    pub fn answers(&self, client: ClientId) -> usize {
        self.client(client).answers.len()
    }

    /// Returns whether a client has begun to send.
    pub fn has_acted(&self, client: ClientId) -> bool {
        self.client(client).acted_at.is_some()
    }

    /// Returns how long a client has waited for its last answer.
    pub fn answer_time(&self, client: ClientId) -> Option<Duration> {
        let state = self.client(client);
        state.answers.last().zip(state.acted_at).map(|(answer, at)| answer.at - at)
    }

    /// Returns whether nothing more can come for a client that expects `answers` answers.
    pub fn is_done(&self, client: ClientId, answers: usize) -> bool {
        let state = self.client(client);
        state.answers.len() >= answers || state.closed.is_some() || state.fault.is_some()
    }

    /// Runs the loop until a client has `answers` answers, gets no more of them, or has waited for
    /// the limit. Returns whether it has them.
    ///
    /// # Errors
    /// Fails if polling fails.
    pub fn await_answers(&mut self, client: ClientId, answers: usize) -> io::Result<bool> {
        self.run_until(self.limits().answer, |play| play.is_done(client, answers))?;
        Ok(self.answers(client) >= answers)
    }

    /// Runs the loop until the condition holds, but for at most `limit`. Returns whether it holds.
    ///
    /// # Errors
    /// Fails if polling fails.
    pub fn run_until(&mut self, limit: Duration, is_met: impl Fn(&Play<'_>) -> bool) -> io::Result<bool> {
        let end = self.event_loop.clock().now() + limit;
        self.event_loop.return_by(Some(end));
        loop {
            if is_met(self) {
                return Ok(true);
            }
            if self.event_loop.clock().now() >= end {
                return Ok(false);
            }
            self.event_loop.turn()?;
        }
    }

    /// Runs the loop for `time`.
    ///
    /// # Errors
    /// Fails if polling fails.
    pub fn run_for(&mut self, time: Duration) -> io::Result<()> {
        self.run_until(time, |_| false).map(drop)
    }

    /// Returns how a client's connection stands, as the rest of a sentence.
    pub fn state_of(&self, client: ClientId) -> String {
        let state = self.client(client);
        if let Some(fault) = &state.fault {
            return format!("got something that is not an answer: {fault}");
        }
        let how = match state.closed.map(|(reason, _)| reason) {
            None if state.connected_at.is_none() => "could not connect in time",
            None => "its connection is still open",
            Some(CloseReason::ConnectFailed(kind)) => return format!("could not connect: {kind}"),
            Some(CloseReason::Eof) => "was closed by the server",
            Some(_) => "was reset by the server",
        };
        let count = state.answers.len();
        let answers = match (count, state.received) {
            (0, 0) => "no answer".to_owned(),
            (0, bytes) => format!("no whole answer ({bytes} bytes)"),
            (1, _) => "1 answer".to_owned(),
            (count, _) => format!("{count} answers"),
        };
        match state.connected_at {
            None => how.to_owned(),
            Some(_) if state.closed.is_none() => format!("got {answers}, and {how}"),
            Some(_) => format!("got {answers} and {how}"),
        }
    }
}
