//! The datagrams of discovery: a client broadcasts a question, and every server that receives it
//! announces its name and its URLs.
//!
//! Both are text, so that `nc -u` can ask. The question is one line, padded with spaces:
//!
//! ```text
//! oneloop/1 discover
//! ```
//!
//! The answer is a few lines. `{sender}` in a URL stands for the address that the answer comes
//! from, because a server that listens on all addresses cannot know which one the client reaches:
//!
//! ```text
//! oneloop/1 here
//! url: http://{sender}:8000/
//! name: workshop
//! id: 18f3a2c4
//! ```
//!
//! The source address of a question can be forged, so an answer is at most [`AMPLIFICATION`] times
//! as long as the question. A question without padding gets the lines that fit.

use std::{fmt::Write, net::IpAddr};

use crate::printable::replace_unprintable;

/// The first line of a question.
const QUESTION: &str = "oneloop/1 discover";
/// The first line of an answer.
const ANSWER: &str = "oneloop/1 here";
/// The length of a padded question in bytes.
const QUESTION_LEN: usize = 256;
/// How many times as long as its question an answer may be.
pub const AMPLIFICATION: usize = 3;
/// The maximum length of an answer in bytes. It fits into one packet on common networks.
const MAX_ANSWER: usize = 1200;
/// Stands for the IP address that an answer comes from.
pub const SENDER: &str = "{sender}";

/// What a server announces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// The server's URLs.
    pub urls: Vec<String>,
    /// The name of the machine.
    pub name: String,
    /// Identifies the running server, which may answer from several addresses.
    pub id: String,
}

/// Returns a question, long enough for a complete answer.
pub fn question() -> Vec<u8> {
    format!("{QUESTION:<width$}\n", width = QUESTION_LEN - 1).into_bytes()
}

/// Returns whether `datagram` is a question: whether it begins with the first line of a question.
pub fn is_question(datagram: &[u8]) -> bool {
    let line = datagram.split(|byte| *byte == b'\n').next().unwrap_or_default();
    line.trim_ascii_end() == QUESTION.as_bytes()
}

impl Announcement {
    /// Returns the answer to `question`. Lines that would make it too long are left out.
    pub fn answer(&self, question: &[u8]) -> Vec<u8> {
        let max = (question.len() * AMPLIFICATION).min(MAX_ANSWER);
        let urls = self.urls.iter().map(|url| ("url", url));
        let mut answer = format!("{ANSWER}\n");
        for (field, value) in urls.chain([("name", &self.name), ("id", &self.id)]) {
            if answer.len() + field.len() + value.len() + ": \n".len() <= max {
                // Writing to a string cannot fail.
                let _ = writeln!(answer, "{field}: {value}");
            }
        }
        answer.into_bytes()
    }

    /// Parses an answer that came from `sender`. Returns `None` if `answer` is not one, or is too
    /// long. Ignores fields that this version does not know, and URLs that are not HTTP. The name
    /// and the URLs are safe to print.
    pub fn parse(answer: &[u8], sender: IpAddr) -> Option<Announcement> {
        let text = std::str::from_utf8(answer).ok().filter(|text| text.len() <= MAX_ANSWER)?;
        let mut lines = text.lines();
        if lines.next()?.trim_end() != ANSWER {
            return None;
        }
        let mut announcement = Announcement { urls: Vec::new(), name: String::new(), id: String::new() };
        for (field, value) in lines.filter_map(|line| line.split_once(": ")) {
            match field {
                "url" if is_url(value) && value.bytes().all(|b| b.is_ascii_graphic()) => {
                    announcement.urls.push(value.replacen(SENDER, &url_host(sender), 1));
                }
                "name" => announcement.name = replace_unprintable(value.as_bytes()),
                "id" => announcement.id = value.into(),
                _ => {}
            }
        }
        Some(announcement)
    }
}

/// Returns `ip` as the host of a URL: an IPv6 address has brackets.
fn url_host(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// Returns whether `text` is the URL of a web server.
fn is_url(text: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    fn announcement() -> Announcement {
        let urls = vec!["http://{sender}:8000/".into(), "http://10.0.0.1:8000/app/".into()];
        Announcement { urls, name: "workshop".into(), id: "18f3".into() }
    }

    #[test]
    fn question_is_recognized_by_its_first_line() {
        assert_eq!(question().len(), QUESTION_LEN);
        assert!(is_question(&question()));
        let table: [(&[u8], bool); 11] = [
            (b"oneloop/1 discover", true),
            (b"oneloop/1 discover\n", true),
            (b"oneloop/1 discover\r\n", true),
            (b"oneloop/1 discover  \n\xff\0anything", true),
            (b"", false),
            (b"\n", false),
            (b" oneloop/1 discover", false),
            (b"oneloop/1 discovery", false),
            (b"oneloop/2 discover", false),
            (b"oneloop/1 here", false),
            (b"ONELOOP/1 DISCOVER", false),
        ];
        for (datagram, expected) in table {
            assert_eq!(is_question(datagram), expected, "{}", datagram.escape_ascii());
        }
    }

    #[test]
    fn answer_is_readable_and_parses_to_what_was_announced() {
        let answer = announcement().answer(&question());
        assert_eq!(
            answer.escape_ascii().to_string().replace("\\n", "\n"),
            "oneloop/1 here\nurl: http://{sender}:8000/\nurl: http://10.0.0.1:8000/app/\nname: workshop\nid: 18f3\n"
        );
        assert!(!is_question(&answer), "beacons do not answer each other");
        for (sender, url) in [
            (IpAddr::from(Ipv4Addr::new(10, 0, 0, 9)), "http://10.0.0.9:8000/"),
            (IpAddr::from(Ipv6Addr::LOCALHOST), "http://[::1]:8000/"),
        ] {
            let mut expected = announcement();
            expected.urls[0] = url.into();
            assert_eq!(Announcement::parse(&answer, sender), Some(expected));
        }
    }

    #[test]
    fn answer_is_bounded_by_the_question_and_by_one_packet() {
        let mut long = announcement();
        for length in QUESTION.len()..300 {
            let answer = long.answer(&vec![b' '; length]);
            assert!(answer.len() <= AMPLIFICATION * length, "{} bytes for {length}", answer.len());
            assert!(answer.starts_with(b"oneloop/1 here\n") && answer.ends_with(b"\n"));
        }
        let to_nc = long.answer(b"oneloop/1 discover\n");
        assert!(to_nc.ends_with(b"url: http://{sender}:8000/\nname: workshop\n"), "{}", to_nc.escape_ascii());
        long.urls = vec!["http://10.0.0.1:8000/".into(); 100];
        assert!(long.answer(&[b' '; 60_000]).len() <= MAX_ANSWER);
    }

    #[test]
    fn parse_ignores_what_it_does_not_know() {
        let sender = IpAddr::from(Ipv4Addr::LOCALHOST);
        let parse = |text: &[u8]| Announcement::parse(text, sender);
        let table: [(&[u8], bool); 6] = [
            (b"oneloop/1 here", true),
            (b"oneloop/1 here\r\nname: x\r\n", true),
            (b"oneloop/1 here\n\n::\nno field\n", true),
            (b"", false),
            (b"oneloop/1 discover\n", false),
            (b"oneloop/1 here\nname: \xff\n", false),
        ];
        for (text, is_answer) in table {
            assert_eq!(parse(text).is_some(), is_answer, "{}", text.escape_ascii());
        }
        let long = format!("oneloop/1 here\n{}", "url: http://a/\n".repeat(MAX_ANSWER / 10));
        assert_eq!(parse(long.as_bytes()), None);
        let hostile = b"oneloop/1 here\nname: a\x1b[2J\nurl: javascript:1\nurl: http://a/\x07\nfuture: 1\n";
        let parsed = parse(hostile).expect("an answer");
        assert_eq!((parsed.name.as_str(), parsed.urls.len()), ("a\u{fffd}[2J", 0));
    }
}
