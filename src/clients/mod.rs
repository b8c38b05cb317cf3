//! The clients: protocols for outgoing connections, on the same loop as the servers.
//!
//! A client connects standard input, a socket and standard output. Standard input and the socket
//! are sources of one loop. They share state, and wake each other through [`Context::wake`]. The
//! clients never do I/O of their own, except that they write what arrives to the writer that the
//! caller gives them. The clients of HTTP, SMTP and POP3 need no standard input in the loop. They
//! show both sides of their dialogue through a [`Session`].
//!
//! [`Context::wake`]: crate::protocol::Context::wake

mod answers;
mod chat;
mod dialogue;
mod discover;
mod http;
mod login;
mod ping;
mod ping_figures;
mod pop3;
mod scripted;
mod session;
mod smtp;
mod stdin;
mod stream_framing;
mod tcp;
mod udp;

use std::{cell::Cell, io::Error, rc::Rc};

pub use self::{
    chat::ChatClient,
    dialogue::Dialogue,
    discover::Discover,
    http::{HttpClient, HttpRequest, HttpServerName, HttpUrl, UrlError},
    login::{Login, LoginError},
    ping::{Ping, PingOptions, PingResult},
    ping_figures::PingFigures,
    pop3::{Pop3Action, Pop3Client},
    scripted::{AnswerSeen, ClientState, ScriptedClient, ScriptedRequest},
    session::{ClientError, ConversationResult, Session},
    smtp::{MessageError, OutgoingMail, SmtpClient},
    stdin::{StdinBuffer, StdinReader},
    stream_framing::StreamFraming,
    tcp::TcpClient,
    udp::{DatagramLines, LineReader, LineSender, MAX_DATAGRAM, TalkFailure},
};
pub use crate::discovery::Announcement;
use crate::protocol::CloseReason;

/// How a client's connection ended, shared by the client and its caller.
#[derive(Debug, Clone, Default)]
pub struct ConnectionEnd(Rc<Cell<Option<CloseReason>>>);

impl ConnectionEnd {
    /// Records that the connection was closed for `reason`.
    pub fn set(&self, reason: CloseReason) {
        self.0.set(Some(reason));
    }

    /// Returns why the connection was closed, or `None` while it is open.
    pub fn get(&self) -> Option<CloseReason> {
        self.0.get()
    }
}

/// Returns an error equal to `error`, which cannot be cloned.
fn same_error(error: &Error) -> Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), Error::from_raw_os_error)
}
