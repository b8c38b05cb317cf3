//! The descriptions of the loop's steps: the name, fields and meaning of each step.
//!
//! A service describes its own steps next to its code. A step of the loop without a description
//! here is not shown.

use super::{
    field::{Field, SourceList, Value},
    redact::visible_command,
    source_id::SourceId,
    step::Step,
    step_doc::{StepDoc, TraceLevel},
};
use crate::printable::hide_userinfo;

macro_rules! step_docs {
    ($($name:ident $level:ident $verb:literal $form:literal $gloss:literal $meaning:literal)*) => {
        $(const $name: StepDoc = StepDoc {
            verb: $verb, form: $form, gloss: $gloss, meaning: $meaning, level: TraceLevel::$level,
        };)*
        /// The descriptions of the loop's steps, in the order in which a connection goes through
        /// them.
        pub const LOOP_STEPS: &[&StepDoc] = &[$(&$name),*];
    };
}

step_docs! {
    BIND Wakes "bind" "{address:ADDR} fd={fd:N}" ""
        "A socket was bound and registered with the poller."
    WAIT Io "wait" "timeout={timeout_us:TIME|never} carried={carried:N}" ""
        "The poll begins: the only place where the process sleeps (but see `block`). The timeout is never later than \
         the nearest deadline. It is at most a millisecond while a disk read is pending, and 0 \
         while work is carried over from the last turn. (A deadline that was moved may leave its old entry, \
         which costs one empty wake-up.)"
    WAKE Wakes "wake"
        "slept={slept_us:TIME} kernel={kernel:N} carried={carried:N} \
         {sources:WHO[FLAGS] ... +WHO ... and N more} trace={trace_us:TIME}" ""
        "The poll returned, and nothing is done yet. `kernel` sources became ready, each with its \
         flags: `R` readable, `W` writable, `rc` the peer sends no more, `wc` neither side sends \
         any more, `e` error. `carried` sources, each with a `+`, have work carried over from the \
         last turn. That is our own work; the kernel did not report it. The line names at most 16 sources. \
         If it names none, a deadline or a signal ended the sleep. `trace` is the time that \
         tracing the last turn took."
    SIGNAL Wakes "signal" "{number:N}" ""
        "A signal arrived. `number` is its number; see signal(7)."
    ACCEPT Wakes "accept" "-> {connection:WHO} {address:ADDR} fd={fd:N} open={open:N}" ""
        "A connection was taken out of the backlog. The trace calls it WHO from now on."
    CONNECT Wakes "connect" "-> {got:EINPROGRESS} {address:ADDR} fd={fd:N} open={open:N}" "becomes writable when it succeeds or fails"
        "connect(2) started an outgoing connection and returned at once. The loop serves other \
         sources until the socket becomes writable."
    CONNECTED Wakes "connect" "-> {got:ok}" "SO_ERROR is 0"
        "The socket became writable, and the socket option SO_ERROR is 0: the connection is \
         established."
    CONNECT_FAILED Wakes "connect" "-> {error:ERROR}" "from SO_ERROR"
        "The socket became writable, but the socket option SO_ERROR has an error: the connection \
         could not be established."
    WOKEN Io "woken" "" "by another source"
        "Another source woke this source in its own turn, for example to deliver a line of the chat \
         room."
    POSTPONE Io "postpone" "for={within_us:TIME|woken}" "nothing is read until then"
        "The source waits for a time or, if it is `woken`, for another source. The loop reads \
         nothing from it until then."
    ACCEPT_EMPTY Io "accept" "-> {got:WouldBlock}" "queue empty, safe to sleep"
        "The backlog is empty. Under edge triggers only this answer makes it safe to sleep: no \
         event would report a peer that was left in the backlog."
    PARK Wakes "park" "{limit:limit|descriptors|stall}" "peers wait in the backlog"
        "The connection limit is reached, or the system gives no more descriptors. The listener \
         accepts again when a connection closes or a delay is over. `stall`: a protocol stalls the \
         listeners on purpose, and only the time ends that."
    BLOCK Wakes "block" "for={time_us:TIME}" "on purpose; every source waits"
        "A protocol has made the loop block, to show what a handler that blocks does to all connections: \
         until the time is over, no source is served and no timer runs."
    READ Io "read" "{offered} -> {got} buf={buf:N}" ""
        "One `read`: the room offered, the bytes it returned, and how many bytes wait to be parsed \
         now."
    HANDSHAKE Io "tls" "received={received:N} sent={sent:N}" ""
        "Messages of TLS itself arrived or were sent: the handshake, a ticket for the next one, or an \
         alert. They do not extend a deadline."
    READ_EMPTY Io "read" "-> {got:WouldBlock}" "drained"
        "There is nothing more to read now."
    EOF Io "eof" "" "the peer sends no more; unsent output still goes out"
        "`read` returned 0: the peer closed its side."
    INCOMPLETE Io "parse" "incomplete have={have:N} need={need:WHAT}" "readable is not \"request ready\""
        "The bytes that arrived are not a whole message yet. `need` is the missing part: the empty \
         line that ends the head, or the rest of the body."
    PARSE Io "parse" "{message} len={len:N} leftover={leftover:N}" ""
        "A message was parsed: its first line, its length, and how many bytes are left behind it. \
         They may be the next message."
    REFUSED Io "parse" "refused \"{reason}\"" "the connection ends with this response"
        "The bytes that arrived are not a message that this server accepts. A response says why, \
         and the connection ends."
    NOT_CACHED Io "file" "sent={sent:N} not in memory" "the disk reads it; other connections are served meanwhile"
        "The next slice of a large file is not in the page cache. To send it now would block the \
         whole loop, and no event reports when it is in memory. So the kernel was asked to read it \
         ahead, and the loop tries again in a millisecond."
    WRITE Io "write" "{offered} -> {got} by={by:CALL} sent={sent:N}/{of:N}" ""
        "One call that sends took all the bytes offered. `by` is the system call. `sent` counts \
         since the connection began: the bytes sent, and the bytes put into the outbox."
    WRITE_PARTLY Io "write" "{offered} -> {got} by={by:CALL} sent={sent:N}/{of:N}" "partial"
        "The send buffer took some of the bytes. The rest waits, and its offset is kept."
    WRITE_BLOCKED Io "write" "{offered} -> {got:WouldBlock} by={by:CALL}" "send buffer full; keep the offset"
        "The send buffer takes nothing now. Other connections are served meanwhile."
    ARM Sets "arm" "W" "also wait for room to send (wlist.append)"
        "The poller reports writability too from now on. The loop asks for that only after a write \
         would block."
    DISARM Sets "disarm" "W" "nothing is unsent (wlist.remove)"
        "The poller reports readability alone again."
    CARRY Io "carry" "" "the rest waits for the next turn"
        "Work is carried over although nothing blocks: a budget is used up, or the last response to a \
         late client waits. The next poll does not sleep."
    DEADLINE Wakes "deadline" "{reason:REASON|linger} late={late_us:TIME} got={got:N}" ""
        "The deadline of a connection passed. `late` is how long ago, `got` how many bytes of an \
         incomplete message had arrived. `linger`: our side was shut down, and the peer did not \
         close its side."
    RECV Io "recv" "{offered} -> {got} from={from:ADDR}" "one recv, one datagram"
        "A whole datagram was received. Datagrams have boundaries; streams have none."
    RECV_EMPTY Io "recv" "-> {got:WouldBlock}" "drained"
        "No datagram is left to receive."
    SEND_BLOCKED Io "send" "{offered} -> {got:WouldBlock} by={by:CALL}"
        "send buffer full; the answer is kept, and no more is received"
        "The datagram did not fit. It is sent, whole, when there is room."
    SEND Io "send" "-> {got} to={to:ADDR}" ""
        "A datagram was sent."
    SHUTDOWN Io "shutdown" ""
        "all output is sent; further input is dropped until the peer closes"
        "Our side of the connection was shut down. To close with unread input would send a reset, \
         which can destroy the response on its way."
    HALF_CLOSE Io "shutdown" "" "we send no more; input is still read"
        "The protocol ended its output, so our side of the connection was shut down. The peer \
         reads an end of input, and can still send."
    CLOSE Wakes "close" "reason={reason} unread={unread:N} life={life_us:TIME|?}" ""
        "The source was closed after that time and removed from the poller. (`?`: it was accepted \
         before the trace began.) The reason is one of: done eof head-timeout idle-timeout \
         send-timeout too-slow reset aborted broken-pipe bad-request limit evicted address-limit \
         shutdown file-changed tls-failed connect-failed connect-timeout."
}

/// Creates a list of fields, as in `fields! { got: bytes.len() }`.
macro_rules! fields {
    ($($name:ident: $value:expr),* $(,)?) => { vec![$(Field::new(stringify!($name), $value)),*] };
}

impl Step {
    /// Returns the description of this step of `source`, or `None` if the step is not shown.
    pub fn doc(&self, source: SourceId) -> Option<&'static StepDoc> {
        Some(match self {
            Step::Bound { .. } => &BIND,
            Step::Waiting { .. } => &WAIT,
            Step::Woke { .. } => &WAKE,
            Step::Signalled { .. } => &SIGNAL,
            Step::Accepted { .. } => &ACCEPT,
            Step::Connecting { .. } => &CONNECT,
            Step::Connected => &CONNECTED,
            Step::ConnectError { .. } => &CONNECT_FAILED,
            Step::Woken => &WOKEN,
            Step::Postponed { .. } => &POSTPONE,
            Step::BacklogEmpty => &ACCEPT_EMPTY,
            Step::AcceptPaused { .. } => &PARK,
            Step::LoopBlocked { .. } => &BLOCK,
            Step::Read { .. } => &READ,
            Step::Drained if matches!(source, SourceId::Udp(_)) => &RECV_EMPTY,
            Step::Handshake { .. } => &HANDSHAKE,
            Step::Drained => &READ_EMPTY,
            Step::EndOfInput => &EOF,
            Step::Incomplete { .. } => &INCOMPLETE,
            Step::Understood { .. } => &PARSE,
            Step::Refused { .. } => &REFUSED,
            Step::Wrote { offered, got, .. } if got < offered => &WRITE_PARTLY,
            Step::Wrote { .. } => &WRITE,
            Step::NotCached { .. } => &NOT_CACHED,
            Step::Blocked { .. } if matches!(source, SourceId::Udp(_)) => &SEND_BLOCKED,
            Step::Blocked { .. } => &WRITE_BLOCKED,
            Step::Armed => &ARM,
            Step::Disarmed => &DISARM,
            Step::CarriedOver => &CARRY,
            Step::Deadline { .. } => &DEADLINE,
            Step::Received { .. } => &RECV,
            Step::Sent { .. } => &SEND,
            Step::ShutDown => &SHUTDOWN,
            Step::OutputEnded => &HALF_CLOSE,
            Step::Closed { .. } => &CLOSE,
            Step::Service(step) => step.doc,
            Step::TurnBegan | Step::DeadlineSet { .. } | Step::Polled => return None,
        })
    }

    /// Returns the fields that the description's form names. An observer adds fields that depend on
    /// earlier steps, such as how long the poll slept.
    pub fn fields(&self) -> Vec<Field> {
        match self {
            Step::Bound { address, fd } => fields! { address: address.clone(), fd: *fd },
            Step::Waiting { timeout, carried, .. } => {
                fields! { timeout_us: Value::or(*timeout, "never"), carried: *carried }
            }
            Step::Woke { ready, carried, .. } => {
                let mut fields = fields! { kernel: ready.len(), carried: carried.len() };
                if !(ready.is_empty() && carried.is_empty()) {
                    fields.push(Field::new("sources", Value::Sources(SourceList::new(ready, carried))));
                }
                fields
            }
            Step::Signalled { number } => fields! { number: *number },
            Step::Accepted { connection, peer, fd, open } => {
                let connection = SourceId::Connection(*connection).to_string();
                fields! { connection: connection, address: peer.clone(), fd: *fd, open: *open }
            }
            Step::Connecting { peer, fd, open } => {
                fields! { got: "EINPROGRESS", address: peer.clone(), fd: *fd, open: *open }
            }
            Step::Connected => fields! { got: "ok" },
            Step::ConnectError { error } => fields! { error: error.to_string() },
            Step::Postponed { within } => fields! { within_us: Value::or(*within, "woken") },
            Step::AcceptPaused { reason } => fields! { limit: reason.name() },
            Step::LoopBlocked { time } => fields! { time_us: *time },
            Step::BacklogEmpty | Step::Drained => fields! { got: WOULD_BLOCK },
            Step::Read { offered, bytes, kept } => {
                fields! { offered: *offered, got: bytes.len(), buf: kept + bytes.len() }
            }
            Step::Handshake { received, sent } => fields! { received: *received, sent: *sent },
            Step::Incomplete { have, need } => fields! { have: *have, need: *need },
            Step::Understood { start, len, left } => {
                fields! { message: message(start), len: *len, leftover: *left }
            }
            Step::Refused { reason } => fields! { reason: *reason },
            Step::Wrote { by, offered, got, sent, of } => {
                fields! { offered: *offered, got: *got, by: by.name(), sent: *sent, of: *of }
            }
            Step::Blocked { by, offered } => {
                fields! { offered: *offered, got: WOULD_BLOCK, by: by.name() }
            }
            Step::NotCached { sent } => fields! { sent: *sent },
            Step::Deadline { reason, late, got } => {
                fields! { reason: reason.to_string(), late_us: *late, got: *got }
            }
            Step::Received { offered, bytes, from } => {
                fields! { offered: *offered, got: bytes.len(), from: *from }
            }
            Step::Sent { got, to } => fields! { got: *got, to: *to },
            Step::Closed { reason, unread } => fields! { reason: reason.to_string(), unread: *unread },
            Step::Service(step) => step.fields.clone(),
            _ => Vec::new(),
        }
    }
}

/// The text shown as the result of a call that would block.
const WOULD_BLOCK: &str = "WouldBlock";

/// Returns the first line of a message without passwords, or the word `message` if it has no lines.
fn message(start: &[u8]) -> Value {
    if start.is_empty() {
        return "message".into();
    }
    let mut visible = start[..visible_command(start)].to_vec();
    hide_userinfo(&mut visible, true);
    visible.extend((visible.len() < start.len()).then_some(b'*'));
    Value::PeerBytes(visible)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        close_reason::CloseReason,
        trace::{EventFlags, PauseReason, SendCall},
    };

    /// The fields that no step has, because an observer adds them.
    const ADDED_BY_OBSERVERS: [&str; 3] = ["slept_us", "trace_us", "life_us"];

    /// Returns a step of each kind. The bytes from peers contain secrets and control characters.
    fn samples() -> Vec<(SourceId, Step)> {
        let (c1, u1) = (SourceId::Connection(1), SourceId::Udp(1));
        let address: std::net::SocketAddr = "[::1]:80".parse().expect("an address");
        let secret = b"GET / HTTP/1.1\r\nCookie: secret\r\n".to_vec();
        let ready = vec![(c1, EventFlags::default())];
        let wrote = |got| Step::Wrote { by: SendCall::Writev, offered: 2, got, sent: 1, of: 2 };
        let blocked = || Step::Blocked { by: SendCall::Sendfile, offered: 1 };
        let steps = vec![
            Step::Bound { address: address.into(), fd: 1 },
            Step::Waiting { turn: 1, timeout: Some(Duration::from_secs(1)), carried: 0 },
            Step::Woke { turn: 1, ready, carried: vec![c1] },
            Step::Signalled { number: 10 },
            Step::Accepted { connection: 1, peer: address.into(), fd: 1, open: 1 },
            Step::Connecting { peer: address.into(), fd: 1, open: 1 },
            Step::Connected,
            Step::ConnectError { error: std::io::ErrorKind::ConnectionRefused },
            Step::Woken,
            Step::Postponed { within: None },
            Step::BacklogEmpty,
            Step::AcceptPaused { reason: PauseReason::Stall },
            Step::LoopBlocked { time: Duration::ZERO },
            Step::Read { offered: 1, bytes: secret.clone(), kept: 0 },
            Step::Handshake { received: 1, sent: 1 },
            Step::Drained,
            Step::EndOfInput,
            Step::Incomplete { have: 1, need: "a \"quote\"" },
            Step::Understood { start: b"GET /\"\\\x1b\xff?a=b HTTP/1.1".to_vec(), len: 1, left: 1 },
            Step::Refused { reason: "a \"quote\"" },
            Step::NotCached { sent: 1 },
            wrote(2),
            wrote(1),
            blocked(),
            Step::Armed,
            Step::Disarmed,
            Step::CarriedOver,
            Step::Deadline { reason: CloseReason::HeadTimeout, late: Duration::ZERO, got: 1 },
            Step::ShutDown,
            Step::OutputEnded,
            Step::Closed { reason: CloseReason::Reset, unread: 1 },
        ];
        let datagrams = [
            Step::Received { offered: 1, bytes: secret, from: address },
            Step::Drained,
            blocked(),
            Step::Sent { got: 1, to: address },
        ];
        let of = |source| move |step| (source, step);
        steps.into_iter().map(of(c1)).chain(datagrams.into_iter().map(of(u1))).collect()
    }

    #[test]
    fn each_kind_of_step_has_the_fields_that_its_form_names() {
        let samples = samples();
        for doc in LOOP_STEPS {
            let of_this_kind = |(source, step): &&(SourceId, Step)| step.doc(*source) == Some(doc);
            let (_, step) = samples.iter().find(of_this_kind).unwrap_or_else(|| panic!("no {doc:?}"));
            let fields = step.fields();
            let added = ADDED_BY_OBSERVERS.iter().filter(|name| doc.form.contains(**name));
            let names = fields.iter().map(|field| field.name).chain(added.copied());
            assert!(doc.has_fields(names), "{doc:?}: {fields:?}");
        }
        assert_eq!(samples.len(), LOOP_STEPS.len(), "one sample of each kind");
    }

    #[test]
    fn fields_are_safe_to_show_in_each_output() {
        for (source, step) in samples() {
            let (doc, fields) = (step.doc(source).expect("a description"), step.fields());
            let mut json = Vec::new();
            let mut serializer = serde_json::Serializer::new(&mut json);
            crate::trace::field::serialize_fields(&fields, &mut serializer).expect("JSON");
            let json = String::from_utf8(json).expect("text");
            assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok_and(|json| json.is_object()));
            for output in [doc.fill(&fields), json] {
                assert!(!output.contains("secret"), "{output}");
                assert!(output.bytes().all(|b| (b' '..=b'~').contains(&b)), "{output}");
            }
        }
    }

    #[test]
    fn forms_are_ascii_and_verbs_are_words() {
        for doc in LOOP_STEPS {
            assert!(doc.verb.bytes().all(|b| b.is_ascii_lowercase()), "{doc:?}");
            assert!(doc.form.is_ascii() && !doc.form.contains(" -- ") && !doc.meaning.is_empty(), "{doc:?}");
        }
    }

    #[test]
    fn chart_has_words_for_empty_messages_and_endless_waits() {
        let text = |step: Step| step.doc(SourceId::Loop).expect("a description").fill(&step.fields());
        let understood = Step::Understood { start: Vec::new(), len: 3, left: 0 };
        assert_eq!(text(understood), "message len=3 leftover=0");
        let password = Step::Understood { start: b"PASS secret".to_vec(), len: 13, left: 0 };
        assert_eq!(text(password), "PASS * len=13 leftover=0");
        let waiting = Step::Waiting { turn: 1, timeout: None, carried: 0 };
        assert_eq!(text(waiting), "timeout=never carried=0");
    }
}
