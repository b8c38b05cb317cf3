//! The boundary: the traits and types that the loop and the services share.
//!
//! The loop moves bytes and knows no protocol. A protocol decides what to send, and must never do
//! I/O. This module owns a trait for streams, one for datagrams, one for other input such as
//! standard input, and one for sources that are read before any request is handled. It also owns
//! the outboxes, which a protocol fills and the loop empties.

mod context;
mod counters;
mod datagram;
mod disruption;
mod input_budget;
mod outbox;
mod work;

use std::{
    num::NonZeroU64,
    time::{Duration, Instant},
};

pub use context::{Context, LoopRequests, WakeKey};
pub use counters::LoopCounters;
pub use datagram::{DatagramOutbox, DatagramProtocol};
pub use disruption::MAX_DISRUPTION;
pub use input_budget::{InputBudget, InputShare};
pub use outbox::{Body, FileBody, NextWrite, Outbox, Sendable, SpareBuffer};
pub use work::WorkBudget;

pub use crate::close_reason::CloseReason;
use crate::{address::Address, clock::Clock};

/// The protocol of one connection: a state machine from input bytes to output bytes.
pub trait Protocol {
    /// Starts the conversation. The loop calls this method once, when a connection has been
    /// accepted or an outgoing connection has been established. The side that speaks first puts its
    /// first bytes into `out` here.
    fn on_connected(&mut self, _out: &mut Outbox, _cx: &mut Context<'_>) -> Progress {
        Progress::NeedInput
    }

    /// Parses one message at the start of `input` and puts its response into `out`.
    ///
    /// `input` holds all bytes that have been received but not yet consumed. The next call gets the
    /// bytes that this call does not consume, followed by newer ones. The loop calls this method
    /// only while `out` has room. An implementation should return [`Progress::Again`] after one
    /// response, so that the loop can check the room in `out` and its own budgets.
    fn receive(&mut self, input: &[u8], out: &mut Outbox, cx: &mut Context<'_>) -> Received;

    /// Continues without new input. The loop calls this method when `out` has room, after
    /// [`Progress::Yield`], at the time of [`Progress::WaitUntil`], or because another source has
    /// [woken](Context::wake) this one. A source can be woken at any time, also while it waits for
    /// input. After [`Progress::Again`], the loop passes the input that is still unparsed to
    /// [`Protocol::receive`]; after [`Progress::NeedInput`], only when more input has arrived.
    fn resume(&mut self, _out: &mut Outbox, _cx: &mut Context<'_>) -> Progress {
        Progress::Again
    }

    /// Returns whether to pass input to [`Protocol::receive`] while output is unsent. `receive`
    /// must then put nothing into `out`. Only a protocol whose output does not answer its input may
    /// return true, such as a client that sends standard input: if neither side read before its own
    /// output was sent, both could wait for each other forever.
    fn reads_while_sending(&self) -> bool {
        false
    }

    /// Returns how long to wait for input, and the close reason if none arrives. `partial` says
    /// whether the beginning of a message has been received.
    fn timeout(&self, partial: bool) -> Timeout;

    /// Returns whether the peer loses nothing if the connection closes while it waits for input: no
    /// response is due, and the peer can connect again. The loop closes such a connection if it
    /// needs the place for another peer. It closes the one that has been idle longest.
    fn is_idle(&self) -> bool {
        false
    }

    /// Returns the message that the protocol is answering, such as a request line, as printable
    /// text for the operator. `None` if no answer is in progress, or if the protocol has not kept
    /// the message.
    fn answered_message(&self) -> Option<String> {
        None
    }

    /// Returns how many bytes per second the connection may send, if it imitates a slow network.
    /// The loop asks once, before the connection sends anything.
    fn send_rate(&self) -> Option<NonZeroU64> {
        None
    }

    /// Returns whether the protocol closes the connection as soon as the loop shuts down. The
    /// shutdown then does not say that it waits for a response.
    fn ends_at_shutdown(&self) -> bool {
        false
    }

    /// Returns whether the connection is of no use once the peer has ended its output. The loop
    /// then closes it, although it waits for a time or for another source.
    fn ends_with_peer(&self) -> bool {
        false
    }

    /// Puts a last response into `out`, if the protocol has one. The loop calls this method before
    /// it closes a connection that waits for input, because the time for the input has passed or
    /// because the loop is shutting down. `partial` is the beginning of a message that has not
    /// arrived completely, or empty.
    fn last_response(
        &mut self,
        _reason: CloseReason,
        _partial: &[u8],
        _out: &mut Outbox,
        _cx: &mut Context<'_>,
    ) {
    }

    /// Notifies the protocol that the socket has taken more bytes. `sent` is the total since the
    /// connection was established. Compare it with [`Outbox::position`].
    fn on_sent(&mut self, _sent: u64, _clock: &Clock) {}

    /// Notifies the protocol that the connection is closed for `reason`. The socket has taken
    /// `sent` bytes in total. The loop also calls this method for an outgoing connection that
    /// cannot be established.
    fn on_closed(&mut self, _reason: CloseReason, _sent: u64, _cx: &mut Context<'_>) {}
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
    /// As [`Progress::NeedInput`], but what has been consumed belongs to a message that has not
    /// arrived completely. It does not extend the time in which the message must arrive.
    Partial,
    /// Call [`Protocol::receive`] again: the rest of the input may hold another message.
    Again,
    /// Call [`Protocol::resume`] in the next turn in which the outbox has room, because the
    /// response is not finished. A response that takes a long time to make is made in pieces this
    /// way, so that it does not delay the other connections.
    Yield,
    /// Call [`Protocol::resume`] at this time or when another source wakes this one, whichever is
    /// earlier. `None` means only when woken. Until then, the loop reads no input, so the peer
    /// waits. The end of the peer's output is noticed only afterwards, unless the protocol
    /// [ends with it](Protocol::ends_with_peer), but a reset closes the connection. When the loop
    /// starts to shut down, it wakes the connection once, so that the protocol can finish early.
    WaitUntil(Option<Instant>),
    /// Send the outbox, then shut down the sending side and continue to read (shutdown(2)). The
    /// protocol must put nothing more into the outbox.
    HalfClose,
    /// Send the outbox, then close. With [`CloseReason::Done`] the peer has nothing more to send;
    /// with other reasons it may still be sending. With [`CloseReason::Aborted`] the close is a
    /// reset, and a session of TLS is not ended.
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

/// A factory that creates the [`Protocol`] of each connection that a listener accepts.
pub trait ProtocolFactory {
    /// Creates the protocol for a connection accepted from `peer`.
    fn create(&mut self, peer: &Address) -> Box<dyn Protocol>;
}

impl<F: FnMut(&Address) -> Box<dyn Protocol>> ProtocolFactory for F {
    fn create(&mut self, peer: &Address) -> Box<dyn Protocol> {
        self(peer)
    }
}

/// A source that is read before any request in a turn is handled, such as inotify.
pub trait PrioritySource {
    /// Reads the source's descriptor until a read would block.
    fn on_readable(&mut self, cx: &mut Context<'_>);
}

/// The protocol of a readable descriptor that is not a socket, such as standard input.
pub trait InputProtocol {
    /// Handles input. The loop calls this method only while [`InputProtocol::has_room`] returns
    /// true.
    fn receive(&mut self, input: &[u8], cx: &mut Context<'_>);

    /// Notifies the protocol that the input has ended. The loop then closes the descriptor.
    fn on_end(&mut self, cx: &mut Context<'_>);

    /// Returns whether the protocol accepts input. If not, the loop reads nothing until another
    /// source [wakes](Context::wake) this one. This provides backpressure.
    fn has_room(&self) -> bool;
}
