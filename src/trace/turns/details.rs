//! What a page shows of a connection beyond the state that the steps give: its requests, what it
//! has received, and which client it belongs to.

use xxhash_rust::xxh3::xxh3_64;

use crate::trace::{Step, replay::recording::RecordedDetail};

/// The number of bytes of a read in which the field `User-Agent` is looked for.
const SEARCHED: usize = 4096;
/// The maximum length of a request line that is shown.
const MAX_REQUEST: usize = 100;

/// Further properties of a connection.
#[derive(Debug, Default)]
pub struct Details {
    /// The number of bytes received.
    pub received: u64,
    /// The number of requests parsed.
    pub requests: u64,
    /// The first line of the last request, without secrets.
    pub request: String,
    /// A hash of the last `User-Agent`.
    pub agent: Option<u64>,
    /// The name of the reason why the connection was closed.
    pub closed: Option<String>,
}

impl Details {
    /// Updates the details with a step of the connection.
    pub fn apply(&mut self, step: &Step) {
        match step {
            Step::Read { bytes, .. } => {
                self.received += bytes.len() as u64;
                self.agent = user_agent(bytes).map(agent_hash).or(self.agent);
            }
            Step::Understood { .. } => {
                let fields = step.fields();
                let message = fields.iter().find(|field| field.name == "message");
                self.add_request(message.map_or_else(String::new, |field| field.value.to_string()));
            }
            Step::Closed { reason, .. } => self.closed = Some(reason.to_string()),
            _ => {}
        }
    }

    /// Updates the details with a step of a recording.
    pub fn apply_recorded(&mut self, detail: &RecordedDetail) {
        match detail {
            RecordedDetail::Received(bytes) => self.received += *bytes as u64,
            RecordedDetail::Message(message) => self.add_request(message.clone()),
            RecordedDetail::Closed(reason) => self.closed = Some(reason.clone()),
            RecordedDetail::None | RecordedDetail::Unnamed(_) => {}
        }
    }

    fn add_request(&mut self, mut message: String) {
        message.truncate(MAX_REQUEST); // it is ASCII
        self.requests += 1;
        self.request = message;
    }
}

/// Returns the hash by which a page tells its own browser from other clients.
pub fn agent_hash(agent: &[u8]) -> u64 {
    xxh3_64(agent.trim_ascii())
}

/// Returns the value of the field `User-Agent`, if all of it is in `bytes`.
fn user_agent(bytes: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"user-agent:";
    let searched = &bytes[..bytes.len().min(SEARCHED)];
    let line = searched
        .split_inclusive(|b| *b == b'\n')
        .find(|line| line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME)))?;
    Some(line[NAME.len()..].strip_suffix(b"\n")?.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close_reason::CloseReason;

    #[test]
    fn user_agent_is_found_in_whole_lines_only() {
        let table: [(&[u8], Option<&[u8]>); 6] = [
            (b"GET / HTTP/1.1\r\nUser-Agent: a/1 (b)\r\n\r\n", Some(b"a/1 (b)")),
            (b"GET / HTTP/1.1\r\nUSER-AGENT:a\r\n", Some(b"a")),
            (b"GET / HTTP/1.1\r\nUser-Agent: a", None),
            (b"GET / HTTP/1.1\r\nX-User-Agent: a\r\n", None),
            (b"", None),
            (b"user-agent", None),
        ];
        for (bytes, expected) in table {
            assert_eq!(user_agent(bytes), expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn details_follow_the_steps() {
        let mut details = Details::default();
        let bytes = b"GET /a HTTP/1.1\r\nUser-Agent: b\r\n\r\n".to_vec();
        details.apply(&Step::Read { offered: 99, bytes, kept: 0 });
        let start = [b"GET http://u:secret@h/".to_vec(), vec![b'a'; 1000]].concat();
        details.apply(&Step::Understood { start, len: 5, left: 0 });
        details.apply(&Step::Closed { reason: CloseReason::Eof, unread: 0 });
        assert_eq!((details.received, details.requests, details.closed.as_deref()), (34, 1, Some("eof")));
        assert_eq!(details.agent, Some(agent_hash(b" b ")));
        assert!(details.request.starts_with("GET http://********@h/aaa"), "{}", details.request);
        assert_eq!(details.request.len(), MAX_REQUEST);
    }
}
