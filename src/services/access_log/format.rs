//! How a line of the access log looks.
//!
//! Common and Combined are the formats that log readers know, with two fields more at the end of the line, where those
//! readers look no more: the seconds that the response took, and `aborted` where the peer did not get all of it.

use std::{io::Write, net::IpAddr};

use super::Asked;
use crate::{clock::Clock, http::Status};

/// No more than this of a peer's text is shown, escapes included.
const MAX_TEXT: usize = 2048;

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// The Common Log Format: `host - - [time] "request line" status bytes`.
    #[default]
    Common,
    /// Common, and where the peer came from and what it is: `"referer" "user agent"`.
    Combined,
    /// One JSON object a line.
    Json,
}

/// What is known when a response is over. `sent` counts bytes of the body as it is on the wire: chunks with their framing.
pub struct End {
    pub sent: u64,
    pub seconds: f64,
    pub is_whole: bool,
}

// Writing to a vector cannot fail, so that what `write!` returns is passed over in this file.
impl Format {
    /// A line as far as it is known when the response begins, and where in it the rest belongs.
    pub fn begin(self, peer: IpAddr, asked: &Asked<'_>, status: Status, clock: &Clock) -> (Vec<u8>, usize) {
        let mut out = Vec::with_capacity(160);
        if self == Format::Json {
            begin_json(&mut out, peer, asked, status, clock);
            let end_at = out.len();
            return (out, end_at);
        }
        let _ = write!(out, "{peer} - - [");
        append_time(&mut out, clock.date());
        out.extend_from_slice(b"] \"");
        append_escaped(&mut out, asked.line, b"\"\\");
        let _ = write!(out, "\" {} ", status.code());
        let end_at = out.len();
        if self == Format::Combined {
            for text in [asked.referer, asked.user_agent] {
                out.extend_from_slice(b" \"");
                append_escaped(&mut out, text.unwrap_or(b"-"), b"\"\\");
                out.push(b'"');
            }
        }
        (out, end_at)
    }

    /// The rest of a line; `rest` is what stands behind its number of bytes.
    pub fn append_end(self, end: &End, rest: &[u8], out: &mut Vec<u8>) {
        let End { sent, seconds, is_whole } = end;
        if self == Format::Json {
            let _ = writeln!(out, "\"bytes\":{sent},\"seconds\":{seconds:.6},\"aborted\":{}}}", !is_whole);
            return;
        }
        let _ = if *sent == 0 { write!(out, "-") } else { write!(out, "{sent}") };
        out.extend_from_slice(rest);
        let _ = writeln!(out, " {seconds:.6}{}", if *is_whole { "" } else { " aborted" });
    }
}

fn begin_json(out: &mut Vec<u8>, peer: IpAddr, asked: &Asked<'_>, status: Status, clock: &Clock) {
    let time = humantime::format_rfc3339_millis(clock.wall());
    let _ = write!(out, "{{\"time\":\"{time}\",\"peer\":\"{peer}\",");
    let mut words = asked.line.splitn(3, |b| *b == b' ');
    let line = ["method", "target", "version"].map(|name| (name, words.next().unwrap_or_default()));
    let fields = [("referer", asked.referer), ("user_agent", asked.user_agent)]
        .map(|(name, text)| (name, text.unwrap_or_default()));
    for (name, text) in line.into_iter().chain(fields) {
        let mut shown = Vec::new();
        append_escaped(&mut shown, text, b"\\");
        let _ = write!(out, "\"{name}\":");
        let _ = serde_json::to_writer(&mut *out, &String::from_utf8_lossy(&shown));
        out.push(b',');
    }
    let _ = write!(out, "\"status\":{},", status.code());
}

/// `06/Nov/1994:08:49:37 +0000` out of `Sun, 06 Nov 1994 08:49:37 GMT`.
fn append_time(out: &mut Vec<u8>, date: &[u8; 29]) {
    let [day, month, year, time] = [&date[5..7], &date[8..11], &date[12..16], &date[17..25]];
    for piece in [day, b"/", month, b"/", year, b":", time, b" +0000"] {
        out.extend_from_slice(piece);
    }
}

/// Nothing that a peer sent can end the line, or reach a terminal as a control. `quoted` gets a backslash.
fn append_escaped(out: &mut Vec<u8>, bytes: &[u8], quoted: &[u8]) {
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
    use std::{
        net::Ipv6Addr,
        time::{Duration, SystemTime},
    };

    use super::*;

    fn nothing() -> Asked<'static> {
        Asked {
            line: b"",
            referer: None,
            user_agent: None,
            since: Clock::frozen(SystemTime::UNIX_EPOCH).now(),
        }
    }

    fn line(format: Format, asked: &Asked<'_>, end: &End) -> String {
        let clock = Clock::frozen(SystemTime::UNIX_EPOCH + Duration::from_millis(784_111_777_250));
        let peer = Ipv6Addr::LOCALHOST.into();
        let (mut text, end_at) = format.begin(peer, asked, Status::Ok, &clock);
        let rest = text.split_off(end_at);
        format.append_end(end, &rest, &mut text);
        String::from_utf8(text).expect("ASCII")
    }

    #[test]
    fn a_response_in_each_format() {
        let asked = Asked {
            line: b"GET /a?b HTTP/1.1",
            referer: Some(b"http://localhost/"),
            user_agent: Some(b"wrk \"4\"\\"),
            ..nothing()
        };
        let whole = End { sent: 1024, seconds: 0.000_123_4, is_whole: true };
        let start = "::1 - - [06/Nov/1994:08:49:37 +0000] \"GET /a?b HTTP/1.1\" 200";
        assert_eq!(line(Format::Common, &asked, &whole), format!("{start} 1024 0.000123\n"));
        assert_eq!(
            line(Format::Combined, &asked, &whole),
            format!("{start} 1024 \"http://localhost/\" \"wrk \\\"4\\\"\\\\\" 0.000123\n")
        );
        assert_eq!(
            line(Format::Json, &asked, &whole),
            "{\"time\":\"1994-11-06T08:49:37.250Z\",\"peer\":\"::1\",\"method\":\"GET\",\"target\":\"/a?b\",\
             \"version\":\"HTTP/1.1\",\"referer\":\"http://localhost/\",\"user_agent\":\"wrk \\\"4\\\"\\\\\\\\\",\
             \"status\":200,\"bytes\":1024,\"seconds\":0.000123,\"aborted\":false}\n"
        );
    }

    #[test]
    fn nothing_is_known_of_a_peer_that_says_nothing_and_leaves() {
        let gone = End { sent: 0, seconds: 2.5, is_whole: false };
        let asked = nothing();
        let start = "::1 - - [06/Nov/1994:08:49:37 +0000] \"\" 200 -";
        assert_eq!(line(Format::Common, &asked, &gone), format!("{start} 2.500000 aborted\n"));
        assert_eq!(line(Format::Combined, &asked, &gone), format!("{start} \"-\" \"-\" 2.500000 aborted\n"));
        let json = line(Format::Json, &asked, &gone);
        assert!(json.contains("\"method\":\"\",\"target\":\"\",\"version\":\"\""), "{json}");
        assert!(json.ends_with("\"bytes\":0,\"seconds\":2.500000,\"aborted\":true}\n"), "{json}");
    }

    #[test]
    fn a_peers_bytes_can_end_neither_the_line_nor_its_quotes() {
        let nasty = b"GET /\"\\\x1b[31m\xff\n\x7f HTTP/1.1";
        let asked = Asked { line: nasty, referer: Some(nasty), user_agent: Some(nasty), ..nothing() };
        let end = End { sent: 1, seconds: 0.0, is_whole: true };
        for (format, shown) in [
            (Format::Common, "\"GET /\\\"\\\\\\x1b[31m\\xff\\x0a\\x7f HTTP/1.1\""),
            (Format::Combined, "\"GET /\\\"\\\\\\x1b[31m\\xff\\x0a\\x7f HTTP/1.1\" 0.000000\n"),
            (Format::Json, "\"target\":\"/\\\"\\\\\\\\\\\\x1b[31m\\\\xff\\\\x0a\\\\x7f\""),
        ] {
            let line = line(format, &asked, &end);
            assert!(line.contains(shown), "{format:?}: {line}");
            assert!(line.trim_end_matches('\n').bytes().all(|b| (b' '..=b'~').contains(&b)), "{line:?}");
        }
        let json = line(Format::Json, &asked, &end);
        assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{json}");
        let long = Asked { user_agent: Some(&[1; 100_000]), ..nothing() };
        assert!(line(Format::Combined, &long, &end).len() < 2 * MAX_TEXT);
    }
}
