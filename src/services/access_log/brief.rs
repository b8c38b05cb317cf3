//! The access-log format for a person at a terminal: status, size, time and request in columns.

use std::io::Write;

use super::{
    SHORT_TEXT,
    format::{LogEntry, LoggedPeer, append_escaped},
};
use crate::size::Size;

const DIM: &str = "\x1b[2m";
const RESET: &str = "\x1b[0m";

/// Appends a line such as `200   1.2 KiB   0.31 ms  GET /guide/` to `out`. A client on another
/// machine is named at the end. With `is_colored`, the status has the colour of its class.
pub fn append(peer: LoggedPeer, entry: &LogEntry, is_colored: bool, out: &mut Vec<u8>) {
    let color = match entry.status_code() / 100 {
        _ if !is_colored => "",
        2 => "\x1b[32m",
        3 => "\x1b[36m",
        4 => "\x1b[33m",
        _ => "\x1b[31m",
    };
    let (dim, reset) = if is_colored { (DIM, RESET) } else { ("", "") };
    let size = if entry.sent == 0 { String::from("-") } else { Size(entry.sent).to_string() };
    let time = time(entry.seconds);
    // Writing to a vector cannot fail.
    let _ = write!(out, "{color}{}{reset} {dim}{size:>10} {time:>8}{reset}  ", entry.status_code());
    append_escaped(out, request(entry.line()), b"\\");
    if !peer.is_local() {
        let _ = write!(out, "  {dim}{peer}{reset}");
    }
    if entry.is_aborted {
        let _ = write!(out, "  {}aborted{reset}", if is_colored { "\x1b[33m" } else { "" });
    }
    out.push(b'\n');
}

/// Returns the method and the target, escaped and cut to [`SHORT_TEXT`] bytes.
pub fn request_text(line: &[u8]) -> String {
    let request = request(line);
    let mut text = Vec::new();
    append_escaped(&mut text, &request[..request.len().min(SHORT_TEXT)], b"\\");
    String::from_utf8(text).unwrap_or_default()
}

/// Returns the method and the target, which is all of a malformed line.
fn request(line: &[u8]) -> &[u8] {
    let version = line.iter().rposition(|b| *b == b' ').filter(|at| line[at + 1..].starts_with(b"HTTP/"));
    &line[..version.unwrap_or(line.len())]
}

/// Formats a time with a unit and about two digits.
fn time(seconds: f64) -> String {
    match seconds {
        s if s < 0.009_95 => format!("{:.2} ms", s * 1e3),
        s if s < 0.999_5 => format!("{:.0} ms", s * 1e3),
        s if s < 99.95 => format!("{s:.1} s"),
        s => format!("{s:.0} s"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::{
        address::Address,
        clock::Clock,
        http::{RequestInfo, Status},
    };

    fn line(
        peer: &str,
        line: &[u8],
        status: Status,
        (sent, seconds): (u64, f64),
        is_colored: bool,
    ) -> String {
        let clock = Clock::frozen(SystemTime::UNIX_EPOCH);
        let info = RequestInfo { line, ..RequestInfo::unparsed(b"") };
        let mut entry = LogEntry::new(&info, status, 2048, &clock);
        (entry.sent, entry.seconds, entry.is_aborted) = (sent, seconds, sent == 7);
        let peer = LoggedPeer::new(&Address::Ip(peer.parse().expect("an address")));
        let mut out = Vec::new();
        append(peer, &entry, is_colored, &mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn brief_line_has_columns() {
        type Case = (&'static str, &'static [u8], Status, (u64, f64), &'static str);
        let table: [Case; 6] = [
            (
                "127.0.0.1:1",
                b"GET /a?b HTTP/1.1",
                Status::Ok,
                (1234, 0.000_312),
                "200    1.2 KiB  0.31 ms  GET /a?b",
            ),
            (
                "[::1]:1",
                b"HEAD / HTTP/1.0",
                Status::NotModified,
                (0, 0.012),
                "304          -    12 ms  HEAD /",
            ),
            (
                "192.168.1.5:1",
                b"GET /b HTTP/1.1",
                Status::NotFound,
                (290, 2.5),
                "404      290 B    2.5 s  GET /b  192.168.1.5",
            ),
            (
                "127.0.0.1:1",
                b"GET /c HTTP/1.1",
                Status::Ok,
                (7, 120.2),
                "200        7 B    120 s  GET /c  aborted",
            ),
            ("127.0.0.1:1", b"", Status::BadRequest, (1, 0.0), "400        1 B  0.00 ms  "),
            (
                "127.0.0.1:1",
                b"\x16\x03 nonsense",
                Status::BadRequest,
                (1, 0.0),
                "400        1 B  0.00 ms  \\x16\\x03 nonsense",
            ),
        ];
        for (peer, request, status, what, expected) in table {
            assert_eq!(line(peer, request, status, what, false), format!("{expected}\n"));
        }
    }

    #[test]
    fn brief_line_has_the_color_of_its_class_and_no_other_escape() {
        let hostile = b"GET /\x1b[2J\x9b\r\n\xc2\x9b\\ HTTP/1.1";
        for (status, color) in [
            (Status::Ok, "\x1b[32m200"),
            (Status::MovedPermanently, "\x1b[36m301"),
            (Status::NotFound, "\x1b[33m404"),
            (Status::ServiceUnavailable, "\x1b[31m503"),
        ] {
            let line = line("10.0.0.1:1", hostile, status, (7, 0.0), true);
            assert!(line.starts_with(color), "{line:?}");
            let plain = ["\x1b[32m", "\x1b[36m", "\x1b[33m", "\x1b[31m", DIM, RESET]
                .iter()
                .fold(line, |line, escape| line.replace(escape, ""));
            let text = plain.strip_suffix('\n').expect("a line");
            assert!(text.bytes().all(|b| (b' '..=b'~').contains(&b)), "{plain:?}");
            assert!(
                text.contains("GET /\\x1b[2J\\x9b\\x0d\\x0a\\xc2\\x9b\\\\  10.0.0.1  aborted"),
                "{plain:?}"
            );
        }
    }

    #[test]
    fn times() {
        let table = [
            (0.0, "0.00 ms"),
            (0.0099, "9.90 ms"),
            (0.00999, "10 ms"),
            (0.9994, "999 ms"),
            (0.9999, "1.0 s"),
            (61.0, "61.0 s"),
        ];
        for (seconds, expected) in table {
            assert_eq!(time(seconds), expected);
        }
    }
}
