//! The stepper's views of the loop and its sources.

use std::time::Duration;

use crate::trace::{
    SourceId, SourceList,
    field::format_time,
    model::{Model, SourceState},
    redact::{escaped, redacted},
};

/// The maximum number of bytes of a buffer that a view shows.
const MAX_SHOWN: usize = 1024;

/// Formats a wake-up as `#3 woke after 214.0ms: c3[R] c7[W]   carried over: +c5`. The sources that
/// the kernel reported are shown separately from the loop's own carried-over work.
pub fn wake(model: &Model, at: Duration) -> String {
    let (turn, slept) = (model.turn, format_time(model.slept));
    let mut line = match &model.ready[..] {
        [] => format!("#{turn} woke after {slept}: nothing is ready"),
        ready => format!("#{turn} woke after {slept}: {}", SourceList::new(ready, &[])),
    };
    if !model.carried.is_empty() {
        line.push_str(&format!("   carried over: {}", SourceList::new(&[], &model.carried)));
    }
    line.push_str(&next_deadline(model, at));
    line
}

fn next_deadline(model: &Model, at: Duration) -> String {
    match model.next_deadline() {
        Some((source, reason, deadline)) => {
            format!("   next deadline: {source} {reason} {}", until(deadline, at))
        }
        None => "   no deadline".into(),
    }
}

fn until(deadline: Duration, at: Duration) -> String {
    match deadline.checked_sub(at) {
        Some(left) if !left.is_zero() => format!("in {}", format_time(left)),
        _ => "is due".into(),
    }
}

/// Formats the state of the loop and the state of each source, one per line.
pub fn states(model: &Model, at: Duration) -> String {
    let (turn, open) = (model.turn, model.open_connections());
    let mut lines = vec![format!("loop turn={turn} open={open}{}", next_deadline(model, at))];
    lines.extend(model.sources.iter().map(|(source, known)| state(*source, known, at)));
    lines.join("\n")
}

/// Formats the state of one source as
/// `c3 SEND in=0 out=43008/1048719 interest=RW send-timeout in 29.900s turns=2`.
pub fn state(source: SourceId, state: &SourceState, at: Duration) -> String {
    let mut words = vec![format!("{source} {}", state.activity.name())];
    match source {
        SourceId::Connection(_) => {
            words.push(format!("in={} out={}/{}", state.input.len, state.sent, state.of));
        }
        _ => words.extend(state.address.as_ref().map(|address| address.to_string())),
    }
    words.push(format!("interest={}", if state.is_armed { "RW" } else { "R" }));
    words.extend(state.deadline.map(|(reason, deadline)| format!("{reason} {}", until(deadline, at))));
    words.push(format!("turns={}", state.turns));
    words.join(" ")
}

/// Formats the unparsed input, the head of the last response, and the amount of output that has
/// been sent.
pub fn buffers(source: SourceId, state: &SourceState) -> String {
    let mut text = match (state.input.len, state.visible_input()) {
        (0, _) => format!("{source} in: nothing to parse"),
        (len, Some(visible)) => format!("{source} in: {len} bytes, not parsed yet\n{}", lines(&visible)),
        (len, None) => format!("{source} in: {len} bytes, not shown: their beginning was not traced"),
    };
    if !state.head.is_empty() {
        let (len, head) = (state.head.len(), lines(&redacted(&state.head)));
        text.push_str(&format!("\n{source} head of the last response: {len} bytes\n{head}"));
    }
    let unsent = state.of.saturating_sub(state.sent);
    text.push_str(&format!("\n{source} out: {} bytes sent, {unsent} unsent", state.sent));
    text
}

/// Formats redacted bytes, escaped, with one line of output per line of input.
fn lines(visible: &[u8]) -> String {
    let (shown, hidden) = visible.split_at(visible.len().min(MAX_SHOWN));
    let line = |line: &[u8]| format!("   {}", escaped(line));
    let mut lines: Vec<String> = shown.split_inclusive(|b| *b == b'\n').map(line).collect();
    if !hidden.is_empty() {
        lines.push(format!("   ... {} more", hidden.len()));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        address::Address,
        close_reason::CloseReason,
        trace::{
            Effect, EventFlags, SendCall, Step,
            testing::{response, with_effect},
        },
    };

    const C3: SourceId = SourceId::Connection(3);
    const SECOND: Duration = Duration::from_secs(1);

    fn woke(ready: &[u64], carried: &[u64]) -> Step {
        let flags = EventFlags { readable: true, ..EventFlags::default() };
        let ready = ready.iter().map(|n| (SourceId::Connection(*n), flags)).collect();
        Step::Woke { turn: 7, ready, carried: carried.iter().map(|n| SourceId::Connection(*n)).collect() }
    }

    #[test]
    fn wake_shows_ready_and_carried_sources_apart() {
        let mut model = Model::default();
        model.apply(SourceId::Loop, &Step::Waiting { turn: 0, timeout: None, carried: 0 }, SECOND);
        model.apply(SourceId::Loop, &woke(&[3], &[]), 2 * SECOND);
        assert_eq!(wake(&model, SECOND), "#7 woke after 1.000s: c3[R]   no deadline");
        model.apply(
            C3,
            &Step::DeadlineSet { reason: CloseReason::HeadTimeout, within: Some(10 * SECOND) },
            2 * SECOND,
        );
        model.apply(SourceId::Loop, &woke(&[], &[4, 5]), 4 * SECOND);
        let line = wake(&model, 4 * SECOND);
        assert!(line.contains("nothing is ready   carried over: +c4 +c5   next"), "{line}");
        assert!(line.ends_with("next deadline: c3 head-timeout in 8.000s"), "{line}");
        assert!(wake(&model, 12 * SECOND).ends_with("is due"));
        let many: Vec<u64> = (0..100).collect();
        model.apply(SourceId::Loop, &woke(&many, &[]), 4 * SECOND);
        assert!(wake(&model, SECOND).contains("c15[R] and 84 more"), "{}", wake(&model, SECOND));
    }

    #[test]
    fn state_is_a_line() {
        let mut model = Model::default();
        model.apply(C3, &Step::TurnBegan, SECOND);
        model.apply(C3, &response(Vec::new()), SECOND);
        let (by, offered, got) = (SendCall::Write, 100, 40);
        model.apply(C3, &Step::Wrote { by, offered, got, sent: 40, of: 100 }, SECOND);
        model.apply(C3, &Step::Armed, SECOND);
        model.apply(
            C3,
            &Step::DeadlineSet { reason: CloseReason::SendTimeout, within: Some(30 * SECOND) },
            SECOND,
        );
        let expected = "c3 SEND in=0 out=40/100 interest=RW send-timeout in 29.000s turns=1";
        assert_eq!(state(C3, &model.sources[&C3], 2 * SECOND), expected);
    }

    #[test]
    fn buffers_show_no_secrets_and_no_terminal_controls() {
        let mut model = Model::keeping_bytes();
        let peer = Address::Ip("127.0.0.1:1".parse().expect("an address"));
        model.apply(SourceId::Listener(1), &Step::Accepted { connection: 3, peer, fd: 9, open: 1 }, SECOND);
        let bytes = b"GET /\x1b[2J HTTP/1.1\r\nCookie: id=secret\r\nX: ".to_vec();
        let kept = bytes.len();
        model.apply(C3, &Step::Read { offered: 100, bytes, kept: 0 }, SECOND);
        let bytes = vec![b'y'; 2 * MAX_SHOWN];
        model.apply(C3, &Step::Read { offered: 100, bytes, kept }, SECOND);
        let text = buffers(C3, &model.sources[&C3]);
        assert!(text.contains(r"   GET /\x1b[2J HTTP/1.1\r\n"), "{text}");
        assert!(text.contains("Cookie: *********") && !text.contains("secret"), "{text}");
        assert!(text.contains("more") && text.len() < 2 * MAX_SHOWN, "{text}");
    }

    #[test]
    fn input_that_a_service_hides_is_not_shown() {
        let mut model = Model::keeping_bytes();
        let peer = Address::Ip("127.0.0.1:1".parse().expect("an address"));
        model.apply(SourceId::Listener(1), &Step::Accepted { connection: 3, peer, fd: 9, open: 1 }, SECOND);
        for (effect, expected) in [(Effect::HideInput, r"********\r\n"), (Effect::ShowInput, r"cGFzcw==\r\n")]
        {
            model.apply(C3, &with_effect(effect), SECOND);
            model.apply(C3, &Step::Read { offered: 100, bytes: b"cGFzcw==\r\n".to_vec(), kept: 0 }, SECOND);
            let text = buffers(C3, &model.sources[&C3]);
            assert!(text.contains(expected), "{text}");
            model.apply(C3, &Step::Understood { start: Vec::new(), len: 10, left: 0 }, SECOND);
        }
    }
}
