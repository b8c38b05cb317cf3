//! The access-log formats.
//!
//! Common and Combined are the formats that log analyzers know, plus two fields at the end of the
//! line that analyzers ignore: the duration of the response in seconds, and `aborted` if the client
//! did not receive all of it. Text from a client must never be able to forge a line.

use std::{fmt, io::Write, net::IpAddr, time::SystemTime};

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::brief;
use crate::{
    address::Address,
    clock::Clock,
    http::{RequestInfo, Status},
    printable::hide_userinfo,
};

/// The maximum length in bytes of one client-supplied string in a line, including escapes.
pub const MAX_TEXT: usize = 2048;

/// The format of the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AccessLogFormat {
    /// The Common Log Format: `host - - [time] "request line" status bytes`.
    #[default]
    Common,
    /// Common, followed by `"referer" "user agent"`.
    Combined,
    /// One JSON object per line.
    Json,
    /// Status, size, time and request in columns, for a person at a terminal.
    Brief {
        /// Whether the lines have colours, which only a terminal shows.
        is_colored: bool,
    },
}

/// The log entry for one response. Text is stored as the client sent it.
#[derive(Debug, Clone, PartialEq)]
pub struct LogEntry {
    line: Box<[u8]>,
    referer: Option<Box<[u8]>>,
    user_agent: Option<Box<[u8]>>,
    status: Status,
    /// When the response was decided, as a `Date` value. `time` is the same moment with full
    /// precision.
    date: [u8; 29],
    time: SystemTime,
    /// The number of body bytes sent, including the framing of chunks.
    pub sent: u64,
    /// The time from the request to the last byte of the response, in seconds.
    pub seconds: f64,
    /// Whether the connection closed before the whole response was sent.
    pub is_aborted: bool,
}

impl LogEntry {
    /// Creates the log entry for a response to `request`, none of which has been sent yet. Keeps at
    /// most `max_text` bytes of each text.
    pub fn new(request: &RequestInfo<'_>, status: Status, max_text: usize, clock: &Clock) -> LogEntry {
        let cut = |text: &[u8]| Box::from(&text[..text.len().min(max_text)]);
        let mut line = cut(request.line);
        // A request whose URL has a password is refused before it has a path.
        if request.path.is_none() {
            hide_userinfo(&mut line, false);
        }
        LogEntry {
            line,
            referer: request.referer.map(cut),
            user_agent: request.user_agent.map(cut),
            status,
            date: *clock.date(),
            time: clock.wall(),
            sent: 0,
            seconds: 0.0,
            is_aborted: false,
        }
    }

    /// Returns the request line, as the client sent it.
    pub fn line(&self) -> &[u8] {
        &self.line
    }

    /// Returns the status code of the response.
    pub fn status_code(&self) -> u16 {
        self.status.code()
    }

    /// Returns the number of bytes of text that the entry holds.
    pub fn text_len(&self) -> usize {
        let len = |text: &Option<Box<[u8]>>| text.as_deref().map_or(0, <[u8]>::len);
        self.line.len() + len(&self.referer) + len(&self.user_agent)
    }
}

/// The peer, or the client behind it, as the log shows it: its IP address, or `unix:` for a peer on
/// a Unix socket, as nginx shows it.
#[derive(Clone, Copy)]
pub struct LoggedPeer(Option<IpAddr>);

impl LoggedPeer {
    /// Returns what the log shows for the peer at `address`.
    pub fn new(address: &Address) -> LoggedPeer {
        LoggedPeer(address.ip().map(|address| address.ip().to_canonical()))
    }

    /// Returns the peer's IP address, or `None` for a peer on a Unix socket.
    pub fn ip(self) -> Option<IpAddr> {
        self.0
    }

    /// Returns what the log shows for the client at `ip`, for which the peer is a proxy.
    pub fn client(ip: IpAddr) -> LoggedPeer {
        LoggedPeer(Some(ip))
    }

    /// Returns whether the peer is on this machine.
    pub fn is_local(self) -> bool {
        self.0.is_none_or(|ip| ip.is_loopback())
    }
}

impl fmt::Display for LoggedPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(ip) => ip.fmt(f),
            None => f.write_str("unix:"),
        }
    }
}

impl Serialize for LoggedPeer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A line in the JSON format.
#[derive(Serialize)]
struct JsonLine<'a> {
    time: String,
    peer: LoggedPeer,
    method: String,
    target: String,
    version: String,
    referer: String,
    user_agent: String,
    status: u16,
    bytes: u64,
    seconds: &'a RawValue,
    aborted: bool,
}

// Writing to a vector cannot fail, so this file ignores the results of `write!`.
impl AccessLogFormat {
    /// Appends the log line for `entry`, a response to `peer`, to `out`.
    pub fn append(self, peer: LoggedPeer, entry: &LogEntry, out: &mut Vec<u8>) {
        match self {
            AccessLogFormat::Json => return append_json(peer, entry, out),
            AccessLogFormat::Brief { is_colored } => return brief::append(peer, entry, is_colored, out),
            AccessLogFormat::Common | AccessLogFormat::Combined => {}
        }
        let _ = write!(out, "{peer} - - [");
        append_time(out, &entry.date);
        out.extend_from_slice(b"] \"");
        append_escaped(out, &entry.line, b"\"\\");
        let _ = write!(out, "\" {} ", entry.status.code());
        let _ = if entry.sent == 0 { write!(out, "-") } else { write!(out, "{}", entry.sent) };
        if self == AccessLogFormat::Combined {
            for text in [&entry.referer, &entry.user_agent] {
                out.extend_from_slice(b" \"");
                append_escaped(out, text.as_deref().unwrap_or(b"-"), b"\"\\");
                out.push(b'"');
            }
        }
        let _ = writeln!(out, " {:.6}{}", entry.seconds, if entry.is_aborted { " aborted" } else { "" });
    }
}

fn append_json(peer: LoggedPeer, entry: &LogEntry, out: &mut Vec<u8>) {
    // Six digits after the point, as in the other formats. This is always a valid JSON number.
    let Ok(seconds) = RawValue::from_string(format!("{:.6}", entry.seconds)) else { return };
    // A refused request may have any request line. Missing words are logged as empty.
    let mut words = entry.line.splitn(3, |b| *b == b' ').map(escaped);
    let mut word = || words.next().unwrap_or_default();
    let line = JsonLine {
        time: humantime::format_rfc3339_millis(entry.time).to_string(),
        peer,
        method: word(),
        target: word(),
        version: word(),
        referer: escaped(entry.referer.as_deref().unwrap_or_default()),
        user_agent: escaped(entry.user_agent.as_deref().unwrap_or_default()),
        status: entry.status.code(),
        bytes: entry.sent,
        seconds: &seconds,
        aborted: entry.is_aborted,
    };
    let _ = serde_json::to_writer(&mut *out, &line);
    out.push(b'\n');
}

/// Returns a client's text escaped to visible ASCII, for a JSON string.
fn escaped(text: &[u8]) -> String {
    let mut out = Vec::new();
    append_escaped(&mut out, text, b"\\");
    String::from_utf8(out).unwrap_or_default()
}

/// Appends `06/Nov/1994:08:49:37 +0000` for `Sun, 06 Nov 1994 08:49:37 GMT`.
fn append_time(out: &mut Vec<u8>, date: &[u8; 29]) {
    let [day, month, year, time] = [&date[5..7], &date[8..11], &date[12..16], &date[17..25]];
    for piece in [day, b"/", month, b"/", year, b":", time, b" +0000"] {
        out.extend_from_slice(piece);
    }
}

/// Appends a client's text escaped, so that it cannot end the line or send control characters to a
/// terminal. Puts a backslash before the bytes in `quoted`.
pub fn append_escaped(out: &mut Vec<u8>, bytes: &[u8], quoted: &[u8]) {
    let end = out.len() + MAX_TEXT;
    for byte in bytes {
        if out.len() >= end {
            return;
        }
        match byte {
            _ if quoted.contains(byte) => out.extend_from_slice(&[b'\\', *byte]),
            b' '..=b'~' => out.push(*byte),
            other => {
                let _ = write!(out, "\\x{other:02x}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv6Addr, time::Duration};

    use super::*;

    fn request<'a>(line: &'a [u8], other: Option<&'a [u8]>, user_agent: Option<&'a [u8]>) -> RequestInfo<'a> {
        RequestInfo { line, referer: other, user_agent, ..RequestInfo::unparsed(b"") }
    }

    fn line(
        format: AccessLogFormat,
        request: &RequestInfo<'_>,
        (sent, seconds, is_aborted): (u64, f64, bool),
    ) -> String {
        let clock = Clock::frozen(SystemTime::UNIX_EPOCH + Duration::from_millis(784_111_777_250));
        let entry =
            LogEntry { sent, seconds, is_aborted, ..LogEntry::new(request, Status::Ok, MAX_TEXT, &clock) };
        let mut text = Vec::new();
        format.append(LoggedPeer(Some(Ipv6Addr::LOCALHOST.into())), &entry, &mut text);
        String::from_utf8(text).expect("ASCII")
    }

    #[test]
    fn log_line_in_each_format() {
        let info = request(b"GET /a?b HTTP/1.1", Some(b"http://localhost/"), Some(b"wrk \"4\"\\"));
        let whole = (1024, 0.000_123_4, false);
        let start = "::1 - - [06/Nov/1994:08:49:37 +0000] \"GET /a?b HTTP/1.1\" 200";
        assert_eq!(line(AccessLogFormat::Common, &info, whole), format!("{start} 1024 0.000123\n"));
        assert_eq!(
            line(AccessLogFormat::Combined, &info, whole),
            format!("{start} 1024 \"http://localhost/\" \"wrk \\\"4\\\"\\\\\" 0.000123\n")
        );
        assert_eq!(
            line(AccessLogFormat::Json, &info, whole),
            "{\"time\":\"1994-11-06T08:49:37.250Z\",\"peer\":\"::1\",\"method\":\"GET\",\"target\":\"/a?b\",\
             \"version\":\"HTTP/1.1\",\"referer\":\"http://localhost/\",\"user_agent\":\"wrk \\\"4\\\"\\\\\\\\\",\
             \"status\":200,\"bytes\":1024,\"seconds\":0.000123,\"aborted\":false}\n"
        );
    }

    #[test]
    fn log_line_hides_the_password_of_a_refused_url() {
        for (text, shown) in [
            (&b"GET http://ann:secret@a/b HTTP/1.1"[..], "GET http://**********@a/b HTTP/1.1"),
            (b"CONNECT ann:secret@a:1 HTTP/1.1", "CONNECT **********@a:1 HTTP/1.1"),
            (b"GET http://ann:sec", "GET http://*******"),
        ] {
            for format in [AccessLogFormat::Common, AccessLogFormat::Combined] {
                let line = line(format, &request(text, None, None), (1, 0.0, false));
                assert!(line.contains(&format!("\"{shown}\"")), "{line}");
            }
            let json = line(AccessLogFormat::Json, &request(text, None, None), (1, 0.0, false));
            assert!(!json.contains("ann") && !json.contains("sec\""), "{json}");
        }
    }

    #[test]
    fn log_has_no_line_for_a_silent_peer() {
        let aborted = (0, 2.5, true);
        let info = request(b"", None, None);
        let start = "::1 - - [06/Nov/1994:08:49:37 +0000] \"\" 200 -";
        assert_eq!(line(AccessLogFormat::Common, &info, aborted), format!("{start} 2.500000 aborted\n"));
        assert_eq!(
            line(AccessLogFormat::Combined, &info, aborted),
            format!("{start} \"-\" \"-\" 2.500000 aborted\n")
        );
        let json = line(AccessLogFormat::Json, &info, aborted);
        assert!(json.contains("\"method\":\"\",\"target\":\"\",\"version\":\"\""), "{json}");
        assert!(json.ends_with("\"bytes\":0,\"seconds\":2.500000,\"aborted\":true}\n"), "{json}");
    }

    #[test]
    fn log_line_escapes_bytes_of_the_peer() {
        let malformed = b"GET /\"\\\x1b[31m\xff\n\x7f HTTP/1.1";
        let info = request(malformed, Some(malformed), Some(malformed));
        let end = (1, 0.0, false);
        for (format, shown) in [
            (AccessLogFormat::Common, "\"GET /\\\"\\\\\\x1b[31m\\xff\\x0a\\x7f HTTP/1.1\""),
            (AccessLogFormat::Combined, "\"GET /\\\"\\\\\\x1b[31m\\xff\\x0a\\x7f HTTP/1.1\" 0.000000\n"),
            (AccessLogFormat::Json, "\"target\":\"/\\\"\\\\\\\\\\\\x1b[31m\\\\xff\\\\x0a\\\\x7f\""),
        ] {
            let line = line(format, &info, end);
            assert!(line.contains(shown), "{format:?}: {line}");
            assert!(line.trim_end_matches('\n').bytes().all(|b| (b' '..=b'~').contains(&b)), "{line:?}");
        }
        let json = line(AccessLogFormat::Json, &info, end);
        assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{json}");
        let long = request(b"", None, Some(&[1; 100_000]));
        assert!(line(AccessLogFormat::Combined, &long, end).len() < 2 * MAX_TEXT);
    }
}
