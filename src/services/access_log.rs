//! The access log: one line a request, in the Common Log Format, written once a turn.

use std::{io::Write, net::IpAddr};

use crate::{clock::Clock, http::Status, sink::Sink};

/// Lines of more than this are written before the turn ends.
const FULL: usize = 256 * 1024;
/// No more than this of a request line is shown, escapes included.
const MAX_LINE: usize = 2048;

/// Gathers the lines of a turn.
pub struct AccessLog {
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
    pub fn new(sink: Sink) -> AccessLog {
        AccessLog { lines: Vec::new(), sink, has_warned: false }
    }

    /// Adds a line: `host - - [time] "request line" status length`. The line is written when the response is planned, so
    /// `length` is that of its whole body, even if the peer goes away before it has all of it.
    pub fn note(&mut self, peer: IpAddr, clock: &Clock, request_line: &[u8], status: Status, length: u64) {
        let out = &mut self.lines;
        // Writing to a vector cannot fail.
        let _ = write!(out, "{} - - [", peer.to_canonical());
        append_time(out, clock.date());
        out.extend_from_slice(b"] \"");
        append_escaped(out, request_line);
        let _ = match length {
            0 => writeln!(out, "\" {} -", status.code()),
            _ => writeln!(out, "\" {} {length}", status.code()),
        };
        if self.lines.len() > FULL {
            self.write();
        }
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
}

/// `06/Nov/1994:08:49:37 +0000` out of `Sun, 06 Nov 1994 08:49:37 GMT`.
fn append_time(out: &mut Vec<u8>, date: &[u8; 29]) {
    let [day, month, year, time] = [&date[5..7], &date[8..11], &date[12..16], &date[17..25]];
    for piece in [day, b"/", month, b"/", year, b":", time, b" +0000"] {
        out.extend_from_slice(piece);
    }
}

/// Nothing that a peer sent can end the line, its quotes, or reach a terminal as a control.
fn append_escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    let end = out.len() + MAX_LINE;
    for byte in bytes {
        if out.len() >= end {
            return;
        }
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b' '..=b'~' => out.push(*byte),
            other => {
                let _ = write!(out, "\\x{other:02x}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Read,
        net::Ipv6Addr,
        os::unix::net::UnixStream,
        time::{Duration, SystemTime},
    };

    use super::*;

    #[test]
    fn lines_of_the_common_log_format() {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
        let mut log = AccessLog::new(Sink::new(ours.into()));
        let clock = Clock::frozen(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777));
        log.note([127, 0, 0, 1].into(), &clock, b"GET / HTTP/1.1", Status::Ok, 1024);
        let mapped = Ipv6Addr::from([0, 0, 0, 0, 0, 0xffff, 0x7f00, 1]);
        log.note(mapped.into(), &clock, b"GET /\"\\\x1b[31m\xff\n HTTP/1.1", Status::BadRequest, 0);
        log.write();
        drop(log);
        let mut got = String::new();
        theirs.read_to_string(&mut got).expect("read");
        let expected = "127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] \"GET / HTTP/1.1\" 200 1024\n\
             127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] \"GET /\\\"\\\\\\x1b[31m\\xff\\x0a HTTP/1.1\" 400 -\n";
        assert_eq!(got, expected);
    }
}
