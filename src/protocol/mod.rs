//! The boundary: all that the loop and the services share.
//!
//! The loop moves bytes and knows no protocol; a protocol decides and does no I/O. Between them
//! stand one trait for streams, one for datagrams, one for descriptors that are read before
//! anything is served, and the [`Outbox`] that a protocol fills and a connection empties.

mod outbox;

use std::{net::SocketAddr, time::Duration};

pub use outbox::{Body, FileBody, NextWrite, Outbox, Sendable};

pub use crate::close_reason::CloseReason;
use crate::{
    clock::Clock,
    trace::{Observers, SourceId, Step},
};

/// What is spoken on one connection.
pub trait Protocol {
    /// Parses as much of `input` as it can and puts the response into `out`.
    ///
    /// `input` is all that was received and not yet consumed; the rest comes again, with more
    /// behind it. This is called only while `out` has room. It should stop after one response and
    /// return [`Progress::Again`], so that the loop can check the room and its budgets.
    fn receive(&mut self, input: &[u8], out: &mut Outbox, cx: &mut Context<'_>) -> Received;

    /// Continues a response after [`Progress::Yield`], in a later turn in which `out` has room.
    fn resume(&mut self, _out: &mut Outbox, _cx: &mut Context<'_>) -> Progress {
        Progress::Again
    }

    /// Returns how long to wait for input, and the close reason if it does not come. `partial`: the
    /// beginning of a message has been received.
    fn timeout(&self, partial: bool) -> Timeout;

    /// Puts a last response into `out`, if there is one: the rest of the message that begins with
    /// `partial` did not come in time.
    fn on_timeout(&mut self, _partial: &[u8], _out: &mut Outbox, _cx: &mut Context<'_>) {}

    /// Called when the socket has taken more of the outbox: `sent` bytes since the connection
    /// began, which is an [`Outbox::position`].
    fn on_sent(&mut self, _sent: u64, _clock: &Clock) {}

    /// Called when the connection is closed; the socket took nothing beyond `sent`.
    fn on_closed(&mut self, _sent: u64, _clock: &Clock) {}
}

/// The result of [`Protocol::receive`].
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// How many bytes were parsed, from the beginning of the input. More than the input's length is
    /// a fault of the protocol: the loop logs an error and closes the connection with
    /// [`CloseReason::Limit`].
    pub consumed: usize,
    /// How the connection goes on.
    pub progress: Progress,
}

/// How a connection goes on.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Nothing more can be parsed until more input has come.
    NeedInput,
    /// The rest of the input may hold another message.
    Again,
    /// The response is not finished: call [`Protocol::resume`] in the next turn in which the outbox
    /// has room. A response that takes long to make is made in pieces this way, and keeps no other
    /// connection waiting.
    Yield,
    /// Send what is in the outbox, then close. [`CloseReason::Done`]: neither side has more to say;
    /// otherwise the peer may still be sending input that is not read.
    Close(CloseReason),
}

/// How long to wait, and why to close afterwards. `limit: None` waits without end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeout {
    /// The time, counted from the last progress.
    pub limit: Option<Duration>,
    /// The reason to close with when the time is over.
    pub reason: CloseReason,
}

/// What a protocol may know of its surroundings.
pub struct Context<'a> {
    /// The time of this turn.
    pub clock: &'a Clock,
    /// The server is shutting down: connections close after the responses that they owe.
    pub draining: bool,
    /// The source whose turn it is.
    pub source: SourceId,
    /// Who sees the steps of this turn.
    pub observers: &'a mut Observers,
    /// Long work that this turn still has room for.
    pub work: &'a mut WorkBudget,
}

impl Context<'_> {
    /// Returns whether anybody observes: what takes time to measure is measured only then.
    #[inline]
    pub fn is_traced(&self) -> bool {
        !self.observers.is_empty()
    }

    /// Shows the observers a step of this source.
    #[inline]
    pub fn trace(&mut self, step: impl FnOnce() -> Step) {
        self.observers.trace(self.source, step);
    }
}

/// The pieces of long work (a fraction of a millisecond each) that one turn has room for, all
/// sources together.
#[derive(Debug, Default)]
pub struct WorkBudget {
    left: usize,
}

impl WorkBudget {
    /// Pieces of work in one turn: a few milliseconds at most.
    const PIECES: usize = 4;

    /// Starts a turn.
    pub fn refill(&mut self) {
        self.left = WorkBudget::PIECES;
    }

    /// Takes one piece. Returns `false` if there is none left: yield, and ask again in the next
    /// turn.
    #[must_use]
    pub fn take(&mut self) -> bool {
        let has_one = self.left > 0;
        self.left -= usize::from(has_one);
        has_one
    }
}

/// Makes the [`Protocol`] of each connection that a listener accepts.
pub trait ProtocolFactory {
    /// Makes the protocol of a connection that was just accepted from `peer`.
    fn create(&mut self, peer: SocketAddr) -> Box<dyn Protocol>;
}

impl<F: FnMut(SocketAddr) -> Box<dyn Protocol>> ProtocolFactory for F {
    fn create(&mut self, peer: SocketAddr) -> Box<dyn Protocol> {
        self(peer)
    }
}

/// Whatever has to be read before anything is served in a turn: word of changed files, say.
pub trait PrioritySource {
    /// Reads its descriptor until it would block.
    fn on_readable(&mut self, cx: &mut Context<'_>);
}

/// What is spoken on a datagram socket: one datagram in, at most one out.
pub trait DatagramProtocol {
    /// Returns the answer to `datagram`, to be sent to `from`.
    fn respond<'a>(&'a mut self, datagram: &'a [u8], from: SocketAddr) -> Option<&'a [u8]>;
}
