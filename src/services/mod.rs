//! The services. Each one implements a protocol for the loop and connects that protocol to what it
//! serves.
//!
//! The services own connection states and log entries. They must never do their own I/O or know
//! about the loop.

mod access_log;
mod chat;
mod datagrams;
mod echo;
mod http;
mod lines;
mod live;
mod mailbox;
mod monitoring;
mod observe;
mod pending;
mod pop3;
mod smtp;
mod statistics;
mod target;

pub use access_log::{AccessLog, AccessLogFormat};
pub use chat::{ChatRoom, steps as chat_steps};
pub use datagrams::{Beacon, Impairment, UdpEcho, steps as datagram_steps};
pub use echo::Echo;
pub use http::{HttpService, Timeouts, UrlOptions, directory_path, file_path, steps as http_steps};
pub use live::{Live, LiveFiles};
pub use mailbox::{MailLimits, Mailbox, steps as mail_steps};
pub use monitoring::{Monitoring, is_monitoring_path};
pub use observe::LivePage;
pub use pop3::Pop3Service;
pub use smtp::SmtpService;
pub use statistics::{Report, Statistics};
pub use target::LoadTarget;

use crate::{site, trace::StepDoc};

/// Returns the descriptions of the steps that the services and the site add to a trace.
pub fn step_docs() -> Vec<&'static StepDoc> {
    [
        site::STEP_DOCS,
        http_steps::STEP_DOCS,
        chat_steps::STEP_DOCS,
        mail_steps::STEP_DOCS,
        datagram_steps::STEP_DOCS,
    ]
    .concat()
}
