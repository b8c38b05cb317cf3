//! The access log: one line a response, written once a turn.
//!
//! A line is begun when the response is decided on, and ended when the system has taken its last byte, or when the
//! connection is over: so it says what was really sent, and how long that took.

mod format;

use std::{cell::RefCell, collections::VecDeque, mem, net::IpAddr, rc::Rc, time::Instant};

use self::format::End;
pub use self::format::Format;
use crate::{clock::Clock, http::Status, sink::Sink};

/// Lines of more than this are written before the turn ends.
const FULL: usize = 256 * 1024;

/// Gathers the lines of a turn.
pub struct AccessLog {
    format: Format,
    lines: Vec<u8>,
    sink: Sink,
    /// The operator was told that lines are lost.
    has_warned: bool,
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.write();
        if self.sink.dropped() > 0 {
            log::warn!("{} lines of the access log were lost", self.sink.dropped());
        }
    }
}

impl AccessLog {
    pub fn new(sink: Sink, format: Format) -> AccessLog {
        AccessLog { format, lines: Vec::new(), sink, has_warned: false }
    }

    /// Writes the lines of the turn.
    pub fn write(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        self.sink.write(&self.lines);
        self.lines.clear();
        if self.sink.dropped() > 0 && !self.has_warned {
            self.has_warned = true;
            log::warn!(
                "the access log loses lines: nobody takes them as fast as they come, or its disk is full"
            );
        }
    }

    fn add(&mut self, line: &Line, sent: u64, is_whole: bool, clock: &Clock) {
        let seconds = clock.read().saturating_duration_since(line.since).as_secs_f64();
        let (start, rest) = line.text.split_at(line.end_at);
        self.lines.extend_from_slice(start);
        self.format.append_end(&End { sent, seconds, is_whole }, rest, &mut self.lines);
        if self.lines.len() > FULL {
            self.write();
        }
    }
}

/// What the log wants to know of a request: bytes as the peer sent them.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub line: &'a [u8],
    pub referer: Option<&'a [u8]>,
    pub user_agent: Option<&'a [u8]>,
    /// When it had come.
    pub since: Instant,
}

/// The lines of one connection's responses that are not sent to their end. Positions are those of its outbox.
pub struct Journal {
    log: Rc<RefCell<AccessLog>>,
    peer: IpAddr,
    open: VecDeque<Line>,
}

/// A line that is begun.
struct Line {
    text: Vec<u8>,
    /// Where in `text` belongs what is known at the end.
    end_at: usize,
    since: Instant,
    /// Where the response's body begins.
    body: u64,
    /// Where it ends, once that is known.
    end: Option<u64>,
}

impl Journal {
    pub fn new(log: Rc<RefCell<AccessLog>>, peer: IpAddr) -> Journal {
        Journal { log, peer: peer.to_canonical(), open: VecDeque::new() }
    }

    /// Begins the line of a response whose body begins at `body`.
    pub fn begin(&mut self, asked: &Asked<'_>, status: Status, body: u64, clock: &Clock) {
        let (text, end_at) = self.log.borrow().format.begin(self.peer, asked, status, clock);
        self.open.push_back(Line { text, end_at, since: asked.since, body, end: None });
    }

    /// The response that was begun last ends at `end`.
    pub fn end(&mut self, end: u64) {
        if let Some(line) = self.open.back_mut() {
            line.end = Some(end);
        }
    }

    /// The response that ended last is given once more; it is `len` bytes long.
    pub fn again(&mut self, len: u64) {
        if let Some(last) = self.open.back() {
            let (text, body, end) = (last.text.clone(), last.body + len, last.end.map(|end| end + len));
            self.open.push_back(Line { text, body, end, ..*last });
        }
    }

    /// Everything up to `sent` is sent.
    pub fn sent(&mut self, sent: u64, clock: &Clock) {
        while let Some(Line { body, end: Some(end), .. }) = self.open.front()
            && *end <= sent
        {
            let sent = end - body;
            if let Some(line) = self.open.pop_front() {
                self.log.borrow_mut().add(&line, sent, true, clock);
            }
        }
        if self.open.is_empty() {
            self.open = VecDeque::new(); // a silent connection holds no buffer
        }
    }

    /// The connection is over, and nothing behind `sent` was sent.
    pub fn closed(&mut self, sent: u64, clock: &Clock) {
        self.sent(sent, clock);
        for line in mem::take(&mut self.open) {
            self.log.borrow_mut().add(&line, sent.saturating_sub(line.body), false, clock);
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

    #[test]
    fn a_line_waits_until_its_response_is_sent_or_the_connection_is_over() {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
        let log = Rc::new(RefCell::new(AccessLog::new(Sink::new(ours.into()), Format::Common)));
        let mut clock = Clock::frozen(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777));
        let mut journal = Journal::new(Rc::clone(&log), [127, 0, 0, 1].into());
        let mut begin = |line: &[u8], body, end: Option<u64>| {
            let asked = Asked { line, referer: None, user_agent: None, since: clock.now() };
            journal.begin(&asked, Status::Ok, body, &clock);
            end.inspect(|end| journal.end(*end));
        };
        begin(b"GET /1", 100, Some(150));
        begin(b"GET /2", 250, Some(250));
        begin(b"GET /3", 350, None);
        journal.sent(149, &clock);
        assert!(log.borrow().lines.is_empty());
        clock.advance(Duration::from_millis(1500));
        journal.sent(300, &clock);
        journal.end(400);
        journal.closed(360, &clock);
        assert!(journal.open.is_empty());
        drop((journal, log));
        let mut got = String::new();
        theirs.read_to_string(&mut got).expect("read");
        let expected = [("/1", "50 1.500000"), ("/2", "- 1.500000"), ("/3", "10 1.500000 aborted")].map(
            |(path, end)| format!("127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] \"GET {path}\" 200 {end}\n"),
        );
        assert_eq!(got, expected.concat());
    }
}
