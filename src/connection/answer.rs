//! What a shutdown waits for and an observer sees: the answer that a connection is sending, and its
//! peer.

use rustix::net::getpeername;

use super::{Connection, Pending, Phase};
use crate::address::Address;

impl Connection {
    /// Returns whether an answer is in progress, which a shutdown waits for.
    pub fn is_answering(&self) -> bool {
        let is_sending = matches!(self.phase, Phase::Open | Phase::Finishing { .. });
        let is_due = self.pending != Pending::Input && !self.protocol.ends_at_shutdown();
        is_sending && (!self.outbox.is_empty() || is_due)
    }

    /// Returns the number of output bytes that the socket has not taken yet.
    pub fn unsent(&self) -> u64 {
        self.outbox.left()
    }

    /// Returns the number of output bytes that the socket has taken.
    pub fn sent(&self) -> u64 {
        self.outbox.sent()
    }

    /// Returns the address of the peer. A peer whose address is not known counts as an unnamed Unix
    /// socket.
    pub fn peer(&self) -> Address {
        let peer = getpeername(&self.socket).ok().flatten();
        peer.map_or(Address::Unix(None), Address::from)
    }

    /// Describes the answer in progress for the operator: the message that it answers, or `unnamed`
    /// if the protocol does not know it, and the address of the peer.
    pub fn describe_answer(&self, unnamed: &str) -> String {
        let message = self.protocol.answered_message().map(|message| message + " ");
        format!("{}to {}", message.as_deref().unwrap_or(unnamed), self.peer())
    }
}
