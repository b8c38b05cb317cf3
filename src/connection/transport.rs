//! What carries the output of a connection: the socket itself, or a TLS session on it.

use super::{
    Connection,
    write::{WriteResult, write_once},
};
use crate::{clock::Clock, protocol::CloseReason};

impl Connection {
    /// Sends once, through the TLS session if there is one.
    pub(super) fn send(
        &mut self,
        at_most: usize,
        limit: usize,
        buffer: &mut [u8],
        clock: &Clock,
    ) -> Result<WriteResult, CloseReason> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut self.tls {
            return tls.write(&mut self.outbox, &self.socket, at_most, limit, buffer, clock);
        }
        write_once(&mut self.outbox, &self.socket, at_most, limit, buffer, clock)
    }

    /// Returns whether the next bytes of the outbox are encrypted, and so no longer read from their
    /// file.
    pub(super) fn has_encrypted(&self) -> bool {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return tls.has_encrypted();
        }
        false
    }
}
