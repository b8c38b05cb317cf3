//! The boundary: the traits and types that the loop and the services share.
//!
//! The loop moves bytes and knows no protocol. A protocol decides what to send, and must never do
//! I/O. This module owns a trait for streams, one for datagrams, one for sources that are read
//! before any request is handled, and the [`Outbox`], which a protocol fills and a connection
//! empties.

mod outbox;

use std::{net::SocketAddr, time::Duration};

pub use outbox::{Body, FileBody, NextWrite, Outbox, Sendable};

pub use crate::close_reason::CloseReason;
use crate::{
    clock::Clock,
    trace::{Observers, SourceId, Step},
};

/// The protocol of one connection: a state machine from input bytes to output bytes.
pub trait Protocol {
    /// Parses one message at the start of `input` and puts its response into `out`.
    ///
    /// `input` holds all bytes that have been received but not yet consumed. The next call gets the
    /// bytes that this call does not consume, followed by newer ones. The loop calls this method
    /// only while `out` has room. An implementation should return [`Progress::Again`] after one
    /// response, so that the loop can check the room in `out` and its own budgets.
    fn receive(&mut self, input: &[u8], out: &mut Outbox, cx: &mut Context<'_>) -> Received;

    /// Continues a response after [`Progress::Yield`]. The loop calls this method in a later turn,
    /// when `out` has room.
    fn resume(&mut self, _out: &mut Outbox, _cx: &mut Context<'_>) -> Progress {
        Progress::Again
    }

    /// Returns how long to wait for input, and the close reason if none arrives. `partial` says
    /// whether the beginning of a message has been received.
    fn timeout(&self, partial: bool) -> Timeout;

    /// Puts a last response into `out`, if the protocol has one. The loop calls this method when
    /// the rest of the message that begins with `partial` has not arrived in time. The connection
    /// closes after that response.
    fn on_timeout(&mut self, _partial: &[u8], _out: &mut Outbox, _cx: &mut Context<'_>) {}

    /// Notifies the protocol that the socket has taken more bytes. `sent` is the total since the
    /// connection was accepted. Compare it with [`Outbox::position`].
    fn on_sent(&mut self, _sent: u64, _clock: &Clock) {}

    /// Notifies the protocol that the connection is closing. The socket has taken `sent` bytes in
    /// total.
    fn on_closed(&mut self, _sent: u64, _clock: &Clock) {}
}

/// The result of [`Protocol::receive`].
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// The number of bytes parsed, from the beginning of the input. A value larger than the input's
    /// length is a bug in the protocol: the loop logs an error and closes the connection with
    /// [`CloseReason::Limit`].
    pub consumed: usize,
    /// What the connection does next.
    pub progress: Progress,
}

/// What a connection does next.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Read more input before parsing again.
    NeedInput,
    /// Call [`Protocol::receive`] again: the rest of the input may hold another message.
    Again,
    /// Call [`Protocol::resume`] in the next turn in which the outbox has room, because the
    /// response is not finished. A response that takes a long time to make is made in pieces this
    /// way, so that it does not delay the other connections.
    Yield,
    /// Send the outbox, then close. With [`CloseReason::Done`] the peer has nothing more to send;
    /// with other reasons it may still be sending.
    Close(CloseReason),
}

/// How long to wait for input, and the close reason if none arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeout {
    /// The time to wait, counted from the last progress. `None` means no limit.
    pub limit: Option<Duration>,
    /// The close reason if no input arrives in this time.
    pub reason: CloseReason,
}

/// What a source or protocol may use during its turn.
pub struct Context<'a> {
    /// The time of this turn.
    pub clock: &'a Clock,
    /// Whether the server is shutting down. Connections then close after the responses in progress.
    pub draining: bool,
    /// The source whose turn it is.
    pub source: SourceId,
    /// The observers, which see each step.
    pub observers: &'a mut Observers,
    /// The budget for long work in this turn.
    pub work: &'a mut WorkBudget,
}

impl Context<'_> {
    /// Returns whether an observer is attached. Measure durations only if one is.
    #[inline]
    pub fn is_traced(&self) -> bool {
        !self.observers.is_empty()
    }

    /// Reports a step of this source to the observers.
    #[inline]
    pub fn trace(&mut self, step: impl FnOnce() -> Step) {
        self.observers.trace(self.source, step);
    }
}

/// The budget for long work in one turn, shared by all sources. It counts pieces of work that take
/// a fraction of a millisecond each.
#[derive(Debug, Default)]
pub struct WorkBudget {
    left: usize,
}

impl WorkBudget {
    /// The number of pieces in one turn. Together they take a few milliseconds at most.
    const PIECES: usize = 4;

    /// Restores the full budget at the start of a turn.
    pub fn refill(&mut self) {
        self.left = WorkBudget::PIECES;
    }

    /// Takes one piece from the budget and returns `true`. Returns `false` if none is left; the
    /// caller should then yield and try again in the next turn.
    #[must_use]
    pub fn take(&mut self) -> bool {
        let has_one = self.left > 0;
        self.left -= usize::from(has_one);
        has_one
    }
}

/// A factory that creates the [`Protocol`] of each connection that a listener accepts.
pub trait ProtocolFactory {
    /// Creates the protocol for a connection accepted from `peer`.
    fn create(&mut self, peer: SocketAddr) -> Box<dyn Protocol>;
}

impl<F: FnMut(SocketAddr) -> Box<dyn Protocol>> ProtocolFactory for F {
    fn create(&mut self, peer: SocketAddr) -> Box<dyn Protocol> {
        self(peer)
    }
}

/// A source that is read before any request in a turn is handled, such as inotify.
pub trait PrioritySource {
    /// Reads the source's descriptor until a read would block.
    fn on_readable(&mut self, cx: &mut Context<'_>);
}

/// The protocol of a datagram socket: one datagram in, at most one out.
pub trait DatagramProtocol {
    /// Returns the answer to `datagram`, which the loop sends to `from`, or `None` to send nothing.
    fn respond<'a>(&'a mut self, datagram: &'a [u8], from: SocketAddr) -> Option<&'a [u8]>;
}
