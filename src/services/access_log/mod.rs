//! The access log: one line for each response, written once per turn.
//!
//! An entry is created when its response is decided, and logged when the socket has taken the last
//! byte of the response or the connection has closed. So the log shows how much was actually sent,
//! and how long that took. A slow log reader must never delay a response, so the [`LossyWriter`]
//! drops lines instead.

mod brief;
mod format;

use std::{cell::RefCell, collections::VecDeque, mem, net::IpAddr, rc::Rc, time::Instant};

pub use self::format::AccessLogFormat;
use self::format::{LogEntry, LoggedPeer, MAX_TEXT};
use crate::{
    address::Address,
    clock::Clock,
    http::{RequestInfo, Status, TrustedProxies},
    lossy_writer::LossyWriter,
};

/// The number of buffered bytes above which lines are written before the turn ends.
const FLUSH_AT: usize = 256 * 1024;

/// The number of bytes of text that the pending entries of one connection may hold before the texts
/// of further entries are cut short. A client that reads no responses makes them wait.
const MAX_PENDING_TEXT: usize = 64 * 1024;
/// The length in bytes to which they are cut.
const SHORT_TEXT: usize = 64;

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
    pub fn with_proxies(mut self, proxies: TrustedProxies) -> AccessLog {
        self.proxies = Rc::new(proxies);
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

    /// Adds the log line for `entry`, a response to `peer`.
    fn add(&mut self, peer: LoggedPeer, entry: &LogEntry) {
        self.format.append(peer, entry, &mut self.lines);
        if self.lines.len() > FLUSH_AT {
            self.write();
        }
    }
}

/// The log entries for the responses of one connection that have not been completely sent.
/// Positions refer to the connection's outbox
/// ([`Outbox::position`](crate::protocol::Outbox::position)).
pub struct PendingEntries {
    log: Rc<RefCell<AccessLog>>,
    peer: LoggedPeer,
    /// The trusted proxies, if the peer is one of them.
    proxies: Option<Rc<TrustedProxies>>,
    pending: VecDeque<PendingEntry>,
    /// The number of bytes of text that `pending` holds.
    text_len: usize,
}

/// A log entry, and the positions in the outbox where its response's body begins and ends.
struct PendingEntry {
    entry: LogEntry,
    /// The peer, or the client behind it.
    peer: LoggedPeer,
    since: Instant,
    body: u64,
    /// The end of the body, or `None` until all of it is in the outbox.
    end: Option<u64>,
}

impl PendingEntries {
    pub fn new(log: Rc<RefCell<AccessLog>>, peer: &Address) -> PendingEntries {
        // Log an IPv4 client with its IPv4 address, even if it connects through an IPv6 socket.
        let peer = LoggedPeer::new(peer);
        let proxies = Rc::clone(&log.borrow().proxies);
        let proxies = proxies.trust(peer.ip()).then_some(proxies);
        PendingEntries { log, peer, proxies, pending: VecDeque::new(), text_len: 0 }
    }

    /// Returns the address of the client that the request head at the start of `input` names, if
    /// the peer is a trusted proxy.
    pub fn client(&self, input: &[u8]) -> Option<IpAddr> {
        self.proxies.as_ref()?.client(input)
    }

    /// Starts the log entry for a response to `request`, which was received at `since`. `body` is
    /// the position at which the response's body begins.
    pub fn begin(
        &mut self,
        request: &RequestInfo<'_>,
        since: Instant,
        status: Status,
        body: u64,
        clock: &Clock,
    ) {
        let max_text = if self.text_len < MAX_PENDING_TEXT { MAX_TEXT } else { SHORT_TEXT };
        let entry = LogEntry::new(request, status, max_text, clock);
        self.text_len += entry.text_len();
        let peer = request.client.map_or(self.peer, LoggedPeer::client);
        self.pending.push_back(PendingEntry { entry, peer, since, body, end: None });
    }

    /// Returns the request whose response is being sent, escaped and perhaps cut short.
    pub fn first_request(&self) -> Option<String> {
        self.pending.front().map(|pending| brief::request_text(pending.entry.line()))
    }

    /// Records that the last response ends at position `end`.
    pub fn end(&mut self, end: u64) {
        if let Some(last) = self.pending.back_mut() {
            last.end = Some(end);
        }
    }

    /// Logs the responses that end at or before position `sent`.
    pub fn on_sent(&mut self, sent: u64, clock: &Clock) {
        // Responses are sent in order, so stop at the first unfinished one.
        while let Some(PendingEntry { body, end: Some(end), .. }) = self.pending.front()
            && *end <= sent
        {
            let sent = end - body;
            if let Some(pending) = self.pending.pop_front() {
                self.complete(pending, sent, true, clock);
            }
        }
        if self.pending.is_empty() {
            self.pending = VecDeque::new(); // an idle connection holds no buffer
        }
    }

    /// Logs the remaining responses, as aborted, when the connection closes. `sent` is the number
    /// of bytes sent on the connection.
    pub fn on_closed(&mut self, sent: u64, clock: &Clock) {
        self.on_sent(sent, clock);
        for pending in mem::take(&mut self.pending) {
            let sent = sent.saturating_sub(pending.body);
            self.complete(pending, sent, false, clock);
        }
    }

    /// Completes an entry and adds its line to the log.
    fn complete(&mut self, pending: PendingEntry, sent: u64, is_complete: bool, clock: &Clock) {
        let seconds = clock.precise_now().saturating_duration_since(pending.since).as_secs_f64();
        let mut entry = pending.entry;
        self.text_len -= entry.text_len();
        (entry.sent, entry.seconds, entry.is_aborted) = (sent, seconds, !is_complete);
        self.log.borrow_mut().add(pending.peer, &entry);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Read,
        os::unix::net::UnixStream,
        time::{Duration, SystemTime},
    };

    use super::*;

    #[test]
    fn log_entries_that_wait_hold_little_text() {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
        let log =
            Rc::new(RefCell::new(AccessLog::new(LossyWriter::new(ours.into()), AccessLogFormat::Common)));
        let clock = Clock::frozen(SystemTime::UNIX_EPOCH);
        let mut entries = PendingEntries::new(Rc::clone(&log), &Address::Unix(None));
        let line = [&b"GET /"[..], &[b'x'; 1000]].concat();
        let request = RequestInfo { line: &line, ..RequestInfo::unparsed(b"") };
        for at in 1..=300 {
            entries.begin(&request, clock.now(), Status::Ok, at, &clock);
            entries.end(at);
        }
        let held: usize = entries.pending.iter().map(|pending| pending.entry.text_len()).sum();
        assert!(held == entries.text_len && held < 2 * MAX_PENDING_TEXT, "{held} bytes");
        entries.on_sent(300, &clock);
        assert_eq!(entries.text_len, 0);
        entries.begin(&request, clock.now(), Status::Ok, 301, &clock);
        entries.on_closed(301, &clock);
        drop((entries, log));
        let mut got = String::new();
        theirs.read_to_string(&mut got).expect("read");
        let lens: Vec<usize> = got.lines().map(str::len).collect();
        assert!(lens.len() == 301 && lens[0] > 1000 && lens[299] < 200 && lens[300] > 1000, "{lens:?}");
    }

    #[test]
    fn log_entry_waits_until_its_response_is_sent() {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
        let log =
            Rc::new(RefCell::new(AccessLog::new(LossyWriter::new(ours.into()), AccessLogFormat::Common)));
        let mut clock = Clock::frozen(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777));
        let mut entries = PendingEntries::new(Rc::clone(&log), &Address::Ip(([127, 0, 0, 1], 1).into()));
        let mut begin = |line: &[u8], body, end: Option<u64>| {
            let request = RequestInfo { line, ..RequestInfo::unparsed(b"") };
            entries.begin(&request, clock.now(), Status::Ok, body, &clock);
            end.inspect(|end| entries.end(*end));
        };
        begin(b"GET /1", 100, Some(150));
        begin(b"GET /2", 250, Some(250));
        begin(b"GET /3", 350, None);
        entries.on_sent(149, &clock);
        assert!(log.borrow().lines.is_empty());
        clock.advance(Duration::from_millis(1500));
        entries.on_sent(300, &clock);
        entries.end(400);
        entries.on_closed(360, &clock);
        assert!(entries.pending.is_empty());
        drop((entries, log));
        let mut got = String::new();
        theirs.read_to_string(&mut got).expect("read");
        let expected = [("/1", "50 1.500000"), ("/2", "- 1.500000"), ("/3", "10 1.500000 aborted")].map(
            |(path, end)| format!("127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] \"GET {path}\" 200 {end}\n"),
        );
        assert_eq!(got, expected.concat());
    }
}
