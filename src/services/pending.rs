//! The responses of one connection that have not been completely sent. The access log and the
//! statistics read the same record of each.
//!
//! An entry is created when its response is decided, and completed when the socket has taken the
//! last byte of the response or the connection has closed. So both show how much was actually sent,
//! and how long that took.

use std::{cell::RefCell, collections::VecDeque, mem, net::IpAddr, rc::Rc, time::Instant};

use super::{
    access_log::{AccessLog, LogEntry, LoggedPeer, MAX_TEXT, SHORT_TEXT, request_text},
    statistics::Statistics,
};
use crate::{
    address::Address,
    clock::Clock,
    http::{Plan, Recorded, RequestInfo, Status, TrustedProxies},
};

/// The number of bytes of text that the pending entries of one connection may hold before the texts
/// of further entries are cut short. A client that reads no responses makes them wait.
const MAX_PENDING_TEXT: usize = 64 * 1024;

/// The number of entries for which an idle connection keeps room: the smallest number for which a
/// queue allocates.
const KEPT_ENTRIES: usize = 4;

/// The entries of the responses of one connection that have not been completely sent. Positions
/// refer to the connection's outbox ([`Outbox::position`](crate::protocol::Outbox::position)).
pub struct PendingEntries {
    log: Option<Rc<RefCell<AccessLog>>>,
    statistics: Option<Rc<RefCell<Statistics>>>,
    peer: LoggedPeer,
    /// The trusted proxies, if there is a log and the peer is one of them.
    proxies: Option<Rc<TrustedProxies>>,
    pending: VecDeque<PendingEntry>,
    /// The number of bytes of text that `pending` holds.
    text_len: usize,
    /// The position up to which the bytes have been counted.
    counted: u64,
}

/// The record of a response.
struct PendingEntry {
    /// What the log will show, if there is a log that has a line for it.
    log_entry: Option<Box<LogEntry>>,
    /// The run of the statistics that counts it, if one does.
    run: Option<u32>,
    /// The peer, or the client behind it.
    peer: LoggedPeer,
    status: Status,
    since: Instant,
    /// The positions in the outbox where the body begins and ends.
    body: u64,
    /// `None` until all of the body is in the outbox.
    end: Option<u64>,
}

impl PendingEntries {
    /// Creates the record of a connection for the log and the statistics, or for one of them.
    pub fn new(
        log: Option<Rc<RefCell<AccessLog>>>,
        statistics: Option<Rc<RefCell<Statistics>>>,
        peer: &Address,
    ) -> PendingEntries {
        // Log an IPv4 client with its IPv4 address, even if it connects through an IPv6 socket.
        let peer = LoggedPeer::new(peer);
        let proxies = log.as_ref().map(|log| Rc::clone(log.borrow().proxies()));
        let proxies = proxies.filter(|proxies| proxies.trust(peer.ip()));
        let (pending, text_len, counted) = (VecDeque::new(), 0, 0);
        PendingEntries { log, statistics, peer, proxies, pending, text_len, counted }
    }

    /// Returns the address of the client that the request head at the start of `input` names, if
    /// the peer is a trusted proxy.
    pub fn client(&self, input: &[u8]) -> Option<IpAddr> {
        self.proxies.as_ref()?.client(input)
    }

    /// Returns the peer's IP address, unless it is on a Unix socket.
    pub fn peer(&self) -> Option<IpAddr> {
        self.peer.ip()
    }

    /// Starts the entry for the response `plan` to `request`, which was received at `since`. `body`
    /// is the position at which the response's body begins.
    pub fn begin(
        &mut self,
        request: &RequestInfo<'_>,
        since: Instant,
        plan: &Plan<'_>,
        body: u64,
        clock: &Clock,
    ) {
        self.add(request, since, (plan.status, plan.recorded), body, clock);
    }

    /// Starts the entry for a kept response with this `status` to `request`. `body` is the position
    /// at which the response's body begins.
    pub fn begin_kept(&mut self, request: &RequestInfo<'_>, status: Status, body: u64, clock: &Clock) {
        self.add(request, clock.now(), (status, Recorded::Everywhere), body, clock);
    }

    fn add(
        &mut self,
        request: &RequestInfo<'_>,
        since: Instant,
        (status, recorded): (Status, Recorded),
        body: u64,
        clock: &Clock,
    ) {
        let log_entry = (self.log.is_some() && recorded != Recorded::Nowhere).then(|| {
            let max_text = if self.text_len < MAX_PENDING_TEXT { MAX_TEXT } else { SHORT_TEXT };
            Box::new(LogEntry::new(request, status, max_text, clock))
        });
        self.text_len += log_entry.as_ref().map_or(0, |entry| entry.text_len());
        let statistics = self.statistics.as_ref().filter(|_| recorded == Recorded::Everywhere);
        let run = statistics.map(|statistics| statistics.borrow_mut().begin());
        let peer = request.client.map_or(self.peer, LoggedPeer::client);
        let entry = PendingEntry { log_entry, run, peer, status, since, body, end: None };
        self.pending.push_back(entry);
    }

    /// Returns the request whose response is being sent, escaped and perhaps cut short, if there is
    /// a log.
    pub fn first_request(&self) -> Option<String> {
        self.pending.front()?.log_entry.as_ref().map(|entry| request_text(entry.line()))
    }

    /// Records that the last response ends at position `end`.
    pub fn end(&mut self, end: u64) {
        if let Some(last) = self.pending.back_mut() {
            last.end = Some(end);
        }
    }

    /// Completes the responses that end at or before position `sent`.
    pub fn on_sent(&mut self, sent: u64, clock: &Clock) {
        self.count_bytes(sent);
        let mut now = None;
        // Responses are sent in order, so stop at the first unfinished one.
        while let Some(PendingEntry { body, end: Some(end), .. }) = self.pending.front()
            && *end <= sent
        {
            let sent = end - body;
            // One write may complete many responses, and one reading of the clock serves them all.
            let now = *now.get_or_insert_with(|| clock.precise_now());
            if let Some(pending) = self.pending.pop_front() {
                self.complete(pending, sent, true, now);
            }
        }
        // An idle connection holds no large buffer. To allocate a small one for each request would
        // cost more than to keep it.
        if self.pending.is_empty() && self.pending.capacity() > KEPT_ENTRIES {
            self.pending = VecDeque::new();
        }
    }

    /// Counts the bytes up to position `sent`, without the responses that the statistics skip.
    fn count_bytes(&mut self, sent: u64) {
        let Some(statistics) = &self.statistics else { return };
        let mut statistics = statistics.borrow_mut();
        let mut bytes = 0;
        for PendingEntry { run, end, .. } in &self.pending {
            let end = end.unwrap_or(sent).min(sent);
            if *run == Some(statistics.run()) {
                bytes += end.saturating_sub(self.counted);
            }
            self.counted = end;
            if end == sent {
                break;
            }
        }
        statistics.count_sent(bytes);
    }

    /// Completes the remaining responses, as aborted, when the connection closes. `sent` is the
    /// number of bytes sent on the connection.
    pub fn on_closed(&mut self, sent: u64, clock: &Clock) {
        self.on_sent(sent, clock);
        for pending in mem::take(&mut self.pending) {
            let sent = sent.saturating_sub(pending.body);
            self.complete(pending, sent, false, clock.precise_now());
        }
    }

    /// Counts and logs a response, which ended at `now`.
    fn complete(&mut self, pending: PendingEntry, sent: u64, is_complete: bool, now: Instant) {
        let took = now.saturating_duration_since(pending.since);
        if let Some(statistics) = &self.statistics {
            let mut statistics = statistics.borrow_mut();
            let is_counted = pending.run == Some(statistics.run());
            match is_complete {
                _ if !is_counted => {}
                true => statistics.complete(pending.status.code(), took),
                false => statistics.abort(),
            }
        }
        if let (Some(log), Some(mut entry)) = (&self.log, pending.log_entry) {
            self.text_len -= entry.text_len();
            (entry.sent, entry.seconds, entry.is_aborted) = (sent, took.as_secs_f64(), !is_complete);
            log.borrow_mut().add(pending.peer, &entry);
        }
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
    use crate::{http::ResponseBody, lossy_writer::LossyWriter, services::AccessLogFormat};

    #[test]
    fn log_entries_that_wait_hold_little_text() {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
        let log =
            Rc::new(RefCell::new(AccessLog::new(LossyWriter::new(ours.into()), AccessLogFormat::Common)));
        let clock = Clock::frozen(SystemTime::UNIX_EPOCH);
        let mut entries = PendingEntries::new(Some(Rc::clone(&log)), None, &Address::Unix(None));
        let line = [&b"GET /"[..], &[b'x'; 1000]].concat();
        let request = RequestInfo { line: &line, ..RequestInfo::unparsed(b"") };
        let plan = Plan::made(&request, Status::Ok, "", ResponseBody::Empty);
        for at in 1..=300 {
            entries.begin(&request, clock.now(), &plan, at, &clock);
            entries.end(at);
        }
        let held: usize =
            entries.pending.iter().flat_map(|pending| &pending.log_entry).map(|entry| entry.text_len()).sum();
        assert!(held == entries.text_len && held < 2 * MAX_PENDING_TEXT, "{held} bytes");
        entries.on_sent(300, &clock);
        assert_eq!(entries.text_len, 0);
        entries.begin(&request, clock.now(), &plan, 301, &clock);
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
        let mut entries =
            PendingEntries::new(Some(Rc::clone(&log)), None, &Address::Ip(([127, 0, 0, 1], 1).into()));
        let mut begin = |line: &[u8], body, end: Option<u64>| {
            let request = RequestInfo { line, ..RequestInfo::unparsed(b"") };
            let plan = Plan::made(&request, Status::Ok, "", ResponseBody::Empty);
            entries.begin(&request, clock.now(), &plan, body, &clock);
            end.inspect(|end| entries.end(*end));
        };
        begin(b"GET /1", 100, Some(150));
        begin(b"GET /2", 250, Some(250));
        begin(b"GET /3", 350, None);
        entries.on_sent(149, &clock);
        assert_eq!(entries.pending.len(), 3);
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
