//! How the loop and its sources stand, for a person who looks.

use std::time::Duration;

use crate::{
    trace::SourceId,
    trace::{Model, SourceState, escaped, line::NAMED, redacted, span},
};

/// At most so many bytes of a buffer are shown.
const SHOWN: usize = 1024;

/// `#3 woke after 214.0ms: c3[R] c7[W]  carried over: +c5`: the kernel's word, and our own affair, apart.
pub fn wake(model: &Model, at: Duration) -> String {
    let ready: Vec<String> = model.ready.iter().map(|(id, flags)| format!("{id}[{flags}]")).collect();
    let carried: Vec<String> = model.carried.iter().map(|id| format!("+{id}")).collect();
    let ready_names = if ready.is_empty() { "nothing is ready".into() } else { named(&ready) };
    let mut line = format!("#{} woke after {}: {ready_names}", model.turn, span(model.slept));
    if !carried.is_empty() {
        line.push_str(&format!("   carried over: {}", named(&carried)));
    }
    line.push_str(&next_deadline(model, at));
    line
}

fn named(names: &[String]) -> String {
    let (named, unnamed) = names.split_at(names.len().min(NAMED));
    let rest = if unnamed.is_empty() { String::new() } else { format!(" and {} more", unnamed.len()) };
    named.join(" ") + &rest
}

fn next_deadline(model: &Model, at: Duration) -> String {
    match model.next_deadline() {
        Some((id, reason, deadline)) => format!("   next deadline: {id} {reason} {}", until(deadline, at)),
        None => "   no deadline".into(),
    }
}

fn until(deadline: Duration, at: Duration) -> String {
    match deadline.checked_sub(at) {
        Some(left) if !left.is_zero() => format!("in {}", span(left)),
        _ => "is due".into(),
    }
}

/// The loop on a line, and each of its sources.
pub fn states(model: &Model, at: Duration) -> String {
    let (turn, open) = (model.turn, model.open());
    let mut lines = vec![format!("loop turn={turn} open={open}{}", next_deadline(model, at))];
    lines.extend(model.sources.iter().map(|(id, peer)| state(*id, peer, at)));
    lines.join("\n")
}

/// `c3 SEND in=0 out=43008/1048719 interest=RW send-timeout in 29.900s turns=2`.
pub fn state(id: SourceId, peer: &SourceState, at: Duration) -> String {
    let mut facts = vec![format!("{id} {}", peer.state.name())];
    match id {
        SourceId::Connection(_) => {
            facts.push(format!("in={} out={}/{}", peer.inbox.len, peer.sent, peer.of));
        }
        _ => facts.extend(peer.address.map(|address| address.to_string())),
    }
    facts.push(format!("interest={}", if peer.is_armed { "RW" } else { "R" }));
    facts.extend(peer.deadline.map(|(reason, deadline)| format!("{reason} {}", until(deadline, at))));
    facts.push(format!("turns={}", peer.turns));
    facts.join(" ")
}

/// What came and is not understood, what was planned, and how much of what is to go is gone.
pub fn buffers(id: SourceId, peer: &SourceState) -> String {
    let mut text = match (peer.inbox.len, peer.inbox.visible()) {
        (0, _) => format!("{id} in: nothing is left to understand"),
        (len, Some(visible)) => format!("{id} in: {len} bytes, not understood yet\n{}", lines(&visible)),
        (len, None) => format!("{id} in: {len} bytes that nobody will understand"),
    };
    if !peer.head.is_empty() {
        let len = peer.head.len();
        text.push_str(&format!(
            "\n{id} head that was planned last: {len} bytes\n{}",
            lines(&redacted(&peer.head))
        ));
    }
    let unsent = peer.of.saturating_sub(peer.sent);
    text.push_str(&format!("\n{id} out: {} bytes sent, {unsent} to be sent", peer.sent));
    text
}

/// What may be shown, as lines where it has some, and nothing that a terminal obeys.
fn lines(visible: &[u8]) -> String {
    let (shown, hidden) = visible.split_at(visible.len().min(SHOWN));
    let line = |line: &[u8]| format!("   {}", escaped(line));
    let mut lines: Vec<String> = shown.split_inclusive(|b| *b == b'\n').map(line).collect();
    if !hidden.is_empty() {
        lines.push(format!("   … {} more", hidden.len()));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close_reason::CloseReason;
    use crate::trace::{EventFlags, SendCall, Step};

    const C3: SourceId = SourceId::Connection(3);
    const SECOND: Duration = Duration::from_secs(1);

    fn woke(ready: &[u64], carried: &[u64]) -> Step {
        let flags = EventFlags { readable: true, ..EventFlags::default() };
        let ready = ready.iter().map(|n| (SourceId::Connection(*n), flags)).collect();
        Step::Woke { turn: 7, ready, carried: carried.iter().map(|n| SourceId::Connection(*n)).collect() }
    }

    #[test]
    fn what_the_kernel_said_and_what_was_left_over_stand_apart() {
        let mut model = Model::default();
        model.trace(SourceId::Loop, &Step::Waiting { turn: 0, timeout: None, carried: 0 }, SECOND);
        model.trace(SourceId::Loop, &woke(&[3], &[]), 2 * SECOND);
        assert_eq!(wake(&model, SECOND), "#7 woke after 1.000s: c3[R]   no deadline");
        model.trace(
            C3,
            &Step::DeadlineSet { reason: CloseReason::HeadTimeout, within: Some(10 * SECOND) },
            2 * SECOND,
        );
        model.trace(SourceId::Loop, &woke(&[], &[4, 5]), 4 * SECOND);
        let line = wake(&model, 4 * SECOND);
        assert!(line.contains("nothing is ready   carried over: +c4 +c5   next"), "{line}");
        assert!(line.ends_with("next deadline: c3 head-timeout in 8.000s"), "{line}");
        assert!(wake(&model, 12 * SECOND).ends_with("is due"));
        let many: Vec<u64> = (0..100).collect();
        model.trace(SourceId::Loop, &woke(&many, &[]), 4 * SECOND);
        assert!(wake(&model, SECOND).contains("c15[R] and 84 more"), "{}", wake(&model, SECOND));
    }

    #[test]
    fn a_source_on_a_line() {
        let mut model = Model::default();
        model.trace(C3, &Step::TurnBegan, SECOND);
        model.trace(C3, &Step::Planned { status: 200, head: Vec::new(), body: None }, SECOND);
        let (by, offered, got) = (SendCall::Write, 100, 40);
        model.trace(C3, &Step::Wrote { by, offered, got, sent: 40, of: 100 }, SECOND);
        model.trace(C3, &Step::Armed, SECOND);
        model.trace(
            C3,
            &Step::DeadlineSet { reason: CloseReason::SendTimeout, within: Some(30 * SECOND) },
            SECOND,
        );
        let expected = "c3 SEND in=0 out=40/100 interest=RW send-timeout in 29.000s turns=1";
        assert_eq!(state(C3, &model.sources[&C3], 2 * SECOND), expected);
    }

    #[test]
    fn buffers_show_no_secret_and_nothing_that_a_terminal_obeys() {
        let mut model = Model::with_bytes();
        let peer = "127.0.0.1:1".parse().expect("an address");
        model.trace(SourceId::Listener(1), &Step::Accepted { connection: 3, peer, fd: 9, open: 1 }, SECOND);
        let bytes = b"GET /\x1b[2J HTTP/1.1\r\nCookie: id=secret\r\nX: ".to_vec();
        let kept = bytes.len();
        model.trace(C3, &Step::Read { offered: 100, bytes, kept: 0 }, SECOND);
        let bytes = vec![b'y'; 2 * SHOWN];
        model.trace(C3, &Step::Read { offered: 100, bytes, kept }, SECOND);
        let told = buffers(C3, &model.sources[&C3]);
        assert!(told.contains(r"   GET /\x1b[2J HTTP/1.1\r\n"), "{told}");
        assert!(told.contains("Cookie: *********") && !told.contains("secret"), "{told}");
        assert!(told.contains("more") && told.len() < 2 * SHOWN, "{told}");
    }
}
