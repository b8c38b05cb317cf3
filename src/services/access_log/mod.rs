//! The access log: one line for each response, written once per turn.
//!
//! `pending` creates the entries and says when they are complete. A slow log reader must never
//! delay a response, so the [`LossyWriter`] drops lines instead.

mod brief;
mod format;

use std::rc::Rc;

pub use self::{
    brief::request_text,
    format::{AccessLogFormat, LogEntry, LoggedPeer, MAX_TEXT},
};
use crate::{http::TrustedProxies, lossy_writer::LossyWriter};

/// The number of buffered bytes above which lines are written before the turn ends.
const FLUSH_AT: usize = 256 * 1024;

/// The length in bytes to which a text is cut if there are too many.
pub const SHORT_TEXT: usize = 64;

/// The access log: collects the lines of a turn and writes them.
pub struct AccessLog {
    format: AccessLogFormat,
    lines: Vec<u8>,
    writer: LossyWriter,
    /// The number of lines that earlier writers have dropped.
    dropped: u64,
    has_warned: bool,
    /// The peers that may say in a request for which client it is.
    proxies: Rc<TrustedProxies>,
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.write();
        let dropped = self.dropped + self.writer.dropped();
        if dropped > 0 {
            log::warn!("dropped {dropped} lines of the access log");
        }
    }
}

impl AccessLog {
    /// Creates an access log that writes lines in `format` to `writer`.
    pub fn new(writer: LossyWriter, format: AccessLogFormat) -> AccessLog {
        let (lines, proxies) = (Vec::new(), Rc::default());
        AccessLog { format, lines, writer, dropped: 0, has_warned: false, proxies }
    }

    /// Sets the proxies for which the log shows the address of the client instead.
    pub fn with_proxies(mut self, proxies: Rc<TrustedProxies>) -> AccessLog {
        self.proxies = proxies;
        self
    }

    /// Writes the lines collected in this turn. Logs a warning the first time that lines are
    /// dropped.
    pub fn write(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        self.writer.write(&self.lines);
        self.lines.clear();
        if self.writer.dropped() > 0 && !self.has_warned {
            // Warn once. A warning in every turn would flood the log. The total is logged at the
            // end.
            self.has_warned = true;
            log::warn!("dropping access-log lines: the reader is too slow or the disk is full");
        }
    }

    /// Writes the collected lines, then continues with `writer`, for example after the file has
    /// been renamed.
    pub fn reopen(&mut self, writer: LossyWriter) {
        self.write();
        self.dropped += self.writer.dropped();
        self.writer = writer;
    }

    /// Returns the peers that may say in a request for which client it is.
    pub fn proxies(&self) -> &Rc<TrustedProxies> {
        &self.proxies
    }

    /// Adds the log line for `entry`, a response to `peer`.
    pub fn add(&mut self, peer: LoggedPeer, entry: &LogEntry) {
        self.format.append(peer, entry, &mut self.lines);
        if self.lines.len() > FLUSH_AT {
            self.write();
        }
    }
}
