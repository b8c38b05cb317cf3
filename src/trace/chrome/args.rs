//! What is told of a step in a recording: the members of a JSON object, by the names of the glossary.

use std::time::Duration;

use super::writer::text;
use crate::{trace::Step, trace::escaped};

/// The facts of `step`. Of what peers sent, only first lines and paths are among them.
pub fn args(step: &Step) -> String {
    match step {
        Step::Bound { address, fd } => format!(r#""address":"{address}","fd":{fd}"#),
        Step::Waiting { timeout, carried, .. } => {
            let timeout = timeout.map_or("null".into(), micros);
            format!(r#""timeout_us":{timeout},"carried":{carried}"#)
        }
        Step::Woke { ready, carried, .. } => {
            format!(r#""kernel":{},"carried":{}"#, ready.len(), carried.len())
        }
        Step::Signalled { number } => format!(r#""number":{number}"#),
        Step::Accepted { connection, peer, fd, open } => {
            format!(r#""who":"c{connection}","address":"{peer}","fd":{fd},"open":{open}"#)
        }
        Step::BacklogEmpty | Step::Drained => r#""got":"WouldBlock""#.into(),
        Step::Read { offered, bytes, kept } => {
            let got = bytes.len();
            format!(r#""offered":{offered},"got":{got},"buf":{}"#, kept + got)
        }
        Step::EndOfInput => r#""got":0"#.into(),
        Step::Incomplete { have, need } => format!(r#""have":{have},"need":{}"#, text(need)),
        Step::Understood { start, len, left } => {
            format!(r#""message":{},"len":{len},"leftover":{left}"#, text(&escaped(start)))
        }
        Step::Refused { reason } => format!(r#""refused":{}"#, text(reason)),
        Step::FileLookup { path, took } => {
            format!(r#""path":{},"took_us":{}"#, text(&escaped(path)), micros(*took))
        }
        Step::Planned { status, head, body } => {
            let body = body.map_or("null".into(), |len| len.to_string());
            format!(r#""status":{status},"head":{},"body":{body}"#, head.len())
        }
        Step::Wrote { by, offered, got, sent, of } => {
            format!(r#""by":"{by}","offered":{offered},"got":{got},"sent":{sent},"of":{of}"#)
        }
        Step::Blocked { by, offered } => {
            format!(r#""by":"{by}","offered":{offered},"got":"WouldBlock""#)
        }
        Step::NotCached { sent } => format!(r#""sent":{sent},"in_memory":false"#),
        Step::Deadline { reason, late, got } => {
            format!(r#""reason":"{reason}","late_us":{},"got":{got}"#, micros(*late))
        }
        Step::Received { offered, bytes, from } => {
            format!(r#""offered":{offered},"got":{},"from":"{from}""#, bytes.len())
        }
        Step::Sent { got, to } => format!(r#""got":{got},"to":"{to}""#),
        Step::Closed { reason, unread } => format!(r#""reason":"{reason}","unread":{unread}"#),
        Step::AcceptPaused { out_of_fds } => format!(r#""descriptors":{out_of_fds}"#),
        Step::EntriesRead { names } => format!(r#""names":{names}"#),
        Step::TurnBegan
        | Step::Polled
        | Step::Armed
        | Step::Disarmed
        | Step::CarriedOver
        | Step::DeadlineSet { .. }
        | Step::ShutDown => String::new(),
    }
}

fn micros(time: Duration) -> String {
    time.as_micros().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close_reason::CloseReason;
    use crate::trace::SendCall;

    #[test]
    fn facts_are_members_of_an_object_and_fields_are_not_among_them() {
        let address = "[::1]:80".parse().expect("an address");
        let line = b"GET /\"\\\x1b\xff?a=b HTTP/1.1".to_vec();
        let secret = b"GET / HTTP/1.1\r\nCookie: secret\r\n".to_vec();
        let steps = [
            Step::Bound { address, fd: 1 },
            Step::Waiting { turn: 1, timeout: None, carried: 0 },
            Step::Waiting { turn: 1, timeout: Some(Duration::from_secs(1)), carried: 0 },
            Step::Accepted { connection: 1, peer: address, fd: 1, open: 1 },
            Step::Read { offered: 1, bytes: secret.clone(), kept: 0 },
            Step::Incomplete { have: 1, need: "a \"quote\"" },
            Step::Understood { start: line.clone(), len: 1, left: 1 },
            Step::Refused { reason: "a \"quote\"" },
            Step::FileLookup { path: line, took: Duration::ZERO },
            Step::Planned { status: 200, head: secret.clone(), body: None },
            Step::Wrote { by: SendCall::Writev, offered: 2, got: 1, sent: 1, of: 2 },
            Step::Blocked { by: SendCall::Sendfile, offered: 1 },
            Step::NotCached { sent: 1 },
            Step::Deadline { reason: CloseReason::HeadTimeout, late: Duration::ZERO, got: 1 },
            Step::Received { offered: 1, bytes: secret, from: address },
            Step::Closed { reason: CloseReason::Reset, unread: 1 },
            Step::ShutDown,
        ];
        for step in steps {
            let object = format!("{{{}}}", args(&step));
            assert!(serde_json::from_str::<serde_json::Value>(&object).is_ok(), "{object} of {step:?}");
            assert!(!object.contains("secret"), "{object}");
            assert!(object.bytes().all(|b| (b' '..=b'~').contains(&b)), "{object}");
        }
    }
}
