//! The steps that the datagram services add to a trace.

use std::{net::SocketAddr, time::Duration};

use crate::trace::{Effect, Field, Step, StepDoc, TraceLevel};

/// The descriptions of the datagram services' steps, for `--trace` and the documentation.
pub const STEP_DOCS: &[&StepDoc] = &[&IGNORED, &DROPPED, &DELAYED, &DOUBLED];

const IGNORED: StepDoc = StepDoc {
    verb: "ignore",
    form: "{bytes:N} from={from:ADDR} {reason}",
    gloss: "",
    meaning: "The datagram gets no answer, because it came from a socket of this server, from a port \
              below 1024 or from a peer above the rate limit, or because it is not a discovery question.",
    level: TraceLevel::Io,
};

const DROPPED: StepDoc = StepDoc {
    verb: "drop",
    form: "{bytes:N} to={to:ADDR} {reason}",
    gloss: "",
    meaning: "The answer is not sent, because the echo is configured to lose some answers (`loss`), or \
              because too many answers are delayed (`queue full`).",
    level: TraceLevel::Io,
};

const DELAYED: StepDoc = StepDoc {
    verb: "delay",
    form: "{bytes:N} to={to:ADDR} by={by_us:TIME}",
    gloss: "a timer sends it",
    meaning: "The answer is sent after this time, because the echo is configured to delay its answers.",
    level: TraceLevel::Io,
};

const DOUBLED: StepDoc = StepDoc {
    verb: "double",
    form: "{bytes:N} to={to:ADDR}",
    gloss: "",
    meaning: "The answer is sent twice, because the echo is configured to duplicate some answers.",
    level: TraceLevel::Io,
};

/// Returns the step that reports a datagram without an answer.
pub fn ignored(bytes: usize, from: SocketAddr, reason: &'static str) -> Step {
    let fields = vec![Field::new("bytes", bytes), Field::new("from", from), Field::new("reason", reason)];
    Step::service(&IGNORED, fields, Effect::None)
}

/// Returns the step that reports an answer that is not sent.
pub fn dropped(bytes: usize, to: SocketAddr, reason: &'static str) -> Step {
    let fields = vec![Field::new("bytes", bytes), Field::new("to", to), Field::new("reason", reason)];
    Step::service(&DROPPED, fields, Effect::None)
}

/// Returns the step that reports an answer that is sent later.
pub fn delayed(bytes: usize, to: SocketAddr, by: Duration) -> Step {
    let fields = vec![Field::new("bytes", bytes), Field::new("to", to), Field::new("by_us", by)];
    Step::service(&DELAYED, fields, Effect::None)
}

/// Returns the step that reports an answer that is sent twice.
pub fn doubled(bytes: usize, to: SocketAddr) -> Step {
    Step::service(&DOUBLED, vec![Field::new("bytes", bytes), Field::new("to", to)], Effect::None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::assert_described;

    #[test]
    fn each_step_has_the_fields_that_its_form_names() {
        let peer: SocketAddr = "127.0.0.1:5000".parse().expect("an address");
        assert_described(
            STEP_DOCS,
            [
                (ignored(3, peer, "rate exceeded"), "3 from=127.0.0.1:5000 rate exceeded"),
                (dropped(3, peer, "loss"), "3 to=127.0.0.1:5000 loss"),
                (delayed(3, peer, Duration::from_millis(100)), "3 to=127.0.0.1:5000 by=100.0ms"),
                (doubled(3, peer), "3 to=127.0.0.1:5000"),
            ],
        );
    }
}
