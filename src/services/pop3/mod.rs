//! The POP3 service: reads the mailbox that SMTP fills (RFC 1939).
//!
//! Any name and password open the same [`Mailbox`], for one client at a time. The service owns the
//! state of each conversation. It must never do I/O, and never trace or log a password or the
//! content of a message.

mod command;
mod connection;
mod transfer;

use self::connection::Pop3Connection;
use super::mailbox::Mailbox;
use crate::{
    address::Address,
    protocol::{Protocol, ProtocolFactory},
};

/// The POP3 service: creates the protocol of each connection, which reads one mailbox.
pub struct Pop3Service {
    mailbox: Mailbox,
}

impl Pop3Service {
    /// Creates a service that reads `mailbox`.
    pub fn new(mailbox: Mailbox) -> Pop3Service {
        Pop3Service { mailbox }
    }
}

impl ProtocolFactory for Pop3Service {
    fn create(&mut self, _peer: &Address) -> Box<dyn Protocol> {
        Box::new(Pop3Connection::new(self.mailbox.clone()))
    }
}
