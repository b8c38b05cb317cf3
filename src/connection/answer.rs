//! What a shutdown waits for: the answer that a connection is sending.

use rustix::net::getpeername;

use super::{Connection, Pending, Phase};
use crate::address::Address;

impl Connection {
    /// Returns whether an answer is in progress, which a shutdown waits for.
    pub fn is_answering(&self) -> bool {
        let is_sending = matches!(self.phase, Phase::Open | Phase::Finishing { .. });
        is_sending && (!self.outbox.is_empty() || self.pending != Pending::Input)
    }

    /// Returns the number of output bytes that the socket has not taken yet.
    pub fn unsent(&self) -> u64 {
        self.outbox.left()
    }

    /// Describes the answer in progress for the operator: the message that it answers, if
    /// the protocol knows it, and the address of the peer.
    pub fn describe_answer(&self) -> String {
        let message = self.protocol.answered_message().map(|message| message + " ").unwrap_or_default();
        let peer = getpeername(&self.socket).ok().flatten();
        format!("{message}to {}", peer.map_or(Address::Unix(None), Address::from))
    }
}
