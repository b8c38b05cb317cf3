//! The seam: all that the loop and the services share.
//!
//! The loop moves bytes and knows no protocol; a protocol decides and does no I/O. Between them stand one trait for
//! streams, one for datagrams, and the [`Outbox`] that a protocol fills and a connection empties.

mod outbox;

use std::{net::SocketAddr, os::fd::AsFd, time::Duration};

pub use outbox::{Body, Front, Outbox};

pub use crate::observer::Why;
use crate::{
    clock::Clock,
    observer::{Step, Steps, Who},
};

/// What is spoken on one connection.
pub trait Protocol {
    /// Understands as much of `input` as it can and puts the answer into `out`.
    ///
    /// `input` is all that was received and not yet consumed; what is not consumed now comes again, with more behind
    /// it. It is called only while `out` has room, and should stop at one answer ([`Next::Again`]) so that the loop
    /// can look at that room again.
    fn receive(&mut self, input: &[u8], out: &mut Outbox, cx: &mut Context<'_>) -> Received;

    /// How long to wait for the next input, and as what to close when it does not come. `partial` says that some
    /// bytes are waiting for the rest of their message.
    fn patience(&self, partial: bool) -> Patience;

    /// The rest of a message did not come in time: last words, if there are any.
    fn late(&mut self, _partial: &[u8], _out: &mut Outbox, _cx: &mut Context<'_>) {}

    /// The system took more of the outbox: `sent` bytes since the conversation began, which is an
    /// [`Outbox::position`].
    fn sent(&mut self, _sent: u64, _clock: &Clock) {}

    /// The conversation is over; nothing behind `sent` was taken.
    fn closed(&mut self, _sent: u64, _clock: &Clock) {}
}

/// What [`Protocol::receive`] made of its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Bytes understood, from the beginning of the input.
    pub consumed: usize,
    /// How the conversation goes on.
    pub next: Next,
}

/// How a conversation goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing more can be understood until more has come.
    NeedInput,
    /// There may be more to understand in what is left.
    Again,
    /// The answer goes on, whatever comes: its next piece is to be asked for in the next turn, if there is room then.
    /// So an answer that is long in the making is made in pieces, and keeps nobody waiting.
    More,
    /// Send what is in the outbox, then close. [`Why::Done`]: all is said on both sides; else the peer may still be
    /// sending what nobody will read.
    Finish(Why),
}

/// How long to wait, and why to close when the wait was in vain. `None`: wait for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    pub limit: Option<Duration>,
    pub why: Why,
}

/// What a protocol may know about its surroundings while it decides.
pub struct Context<'a> {
    pub clock: &'a Clock,
    /// The server is shutting down: no conversation goes on after the answers under way.
    pub draining: bool,
    /// Who is speaking, for those who watch.
    pub who: Who,
    pub steps: &'a mut Steps,
}

impl Context<'_> {
    /// Whether anybody watches.
    #[inline]
    pub fn is_watched(&self) -> bool {
        self.steps.are_watched()
    }

    /// Tells whoever watches of a step.
    #[inline]
    pub fn note(&mut self, facts: impl FnOnce() -> Step) {
        self.steps.note(self.who, facts);
    }
}

/// Makes the [`Protocol`] of each connection that a listener accepts.
pub trait Service {
    /// Who speaks with `peer`, on a connection that was just accepted.
    fn welcome(&mut self, peer: SocketAddr) -> Box<dyn Protocol>;
}

impl<F: FnMut(SocketAddr) -> Box<dyn Protocol>> Service for F {
    fn welcome(&mut self, peer: SocketAddr) -> Box<dyn Protocol> {
        self(peer)
    }
}

/// What is looked at before anybody is served, in a turn in which its descriptor is readable.
pub trait Watcher: AsFd {
    /// Reads what there is to be told.
    fn look(&mut self);
}

/// What is spoken on a datagram socket: one message in, at most one out.
pub trait Responder {
    /// The answer to `datagram`, to be sent to `from`.
    fn respond<'a>(&'a mut self, datagram: &'a [u8], from: SocketAddr) -> Option<&'a [u8]>;
}
