//! The SMTP service: a mail catcher for developing programs that send mail. It keeps every message
//! in a [`Mailbox`] and delivers none (RFC 5321).
//!
//! The service owns the state of each conversation. It must never do I/O, and never trace or log a
//! password or the content of a message.

mod auth;
mod command;
mod connection;
mod data;
mod envelope;
mod reply;

use self::connection::SmtpConnection;
use super::mailbox::Mailbox;
use crate::{
    address::Address,
    protocol::{Protocol, ProtocolFactory},
};

/// The SMTP service: creates the protocol of each connection, which puts messages into one mailbox.
pub struct SmtpService {
    mailbox: Mailbox,
}

impl SmtpService {
    /// Creates a service that puts messages into `mailbox`.
    pub fn new(mailbox: Mailbox) -> SmtpService {
        SmtpService { mailbox }
    }
}

impl ProtocolFactory for SmtpService {
    fn create(&mut self, peer: &Address) -> Box<dyn Protocol> {
        Box::new(SmtpConnection::new(self.mailbox.clone(), peer.clone()))
    }
}
