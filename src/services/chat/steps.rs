//! The steps that the chat room adds to a trace.

use std::time::Duration;

use crate::{
    protocol::CloseReason,
    trace::{Effect, Field, Step, StepDoc, TraceLevel, Value},
};

/// The descriptions of the chat room's steps, for `--trace` and the documentation.
pub const STEP_DOCS: &[&StepDoc] = &[&JOINED, &LINE, &SLOWED, &DROPPED, &LEFT];

const JOINED: StepDoc = StepDoc {
    verb: "chat",
    form: "joined {name} members={members:N}",
    gloss: "",
    meaning: "The connection gave its name and became a member of the chat room, which now has this \
              many members.",
    level: TraceLevel::Io,
};

const LINE: StepDoc = StepDoc {
    verb: "chat",
    form: "line {len:N} -> members={members:N}",
    gloss: "one copy, shared by their queues",
    meaning: "A line of this many bytes was queued for this many other members. Each member whose \
              queue was empty is woken, and sends the line in its own turn.",
    level: TraceLevel::Io,
};

const SLOWED: StepDoc = StepDoc {
    verb: "chat",
    form: "slowed for={for_us:TIME}",
    gloss: "nothing is read meanwhile",
    meaning: "The member sends lines faster than the room allows. Its connection waits for this time. \
              What the peer sends meanwhile fills the socket buffers, and then the peer must wait.",
    level: TraceLevel::Io,
};

const DROPPED: StepDoc = StepDoc {
    verb: "chat",
    form: "dropped {name}",
    gloss: "does not read",
    meaning: "A line arrived for this member while its queue was full, so the room removed the member. Its \
              connection closes when the peer reads, or after the send timeout.",
    level: TraceLevel::Io,
};

const LEFT: StepDoc = StepDoc {
    verb: "chat",
    form: "left {name} members={members:N} why={why:REASON}",
    gloss: "",
    meaning: "The member left the chat room, which now has this many members.",
    level: TraceLevel::Io,
};

/// Returns the step that reports a new member, and how many members the room has with it.
pub fn joined(name: &str, members: usize) -> Step {
    Step::service(&JOINED, vec![named(name), Field::new("members", members)], Effect::Progress)
}

/// Returns the step that reports a line of `len` bytes for `members` other members.
pub fn line(len: usize, members: usize) -> Step {
    Step::service(&LINE, vec![Field::new("len", len), Field::new("members", members)], Effect::Progress)
}

/// Returns the step that reports a member that must wait before it may send its next line.
pub fn slowed(time: Duration) -> Step {
    Step::service(&SLOWED, vec![Field::new("for_us", time)], Effect::None)
}

/// Returns the step that reports a member that was dropped because it does not read.
pub fn dropped(name: &str) -> Step {
    Step::service(&DROPPED, vec![named(name)], Effect::Progress)
}

/// Returns the step that reports a member whose connection closed, and how many are left.
pub fn left(name: &str, members: usize, why: CloseReason) -> Step {
    let fields = vec![named(name), Field::new("members", members), Field::new("why", why.to_string())];
    Step::service(&LEFT, fields, Effect::Progress)
}

/// Returns the field for a name, which a trace shows escaped to ASCII.
fn named(name: &str) -> Field {
    Field::new("name", Value::PeerBytes(name.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::assert_described;

    #[test]
    fn each_step_has_the_fields_that_its_form_names() {
        assert_described(
            STEP_DOCS,
            [
                (joined("client1", 3), "joined client1 members=3"),
                (line(5, 299), "line 5 -> members=299"),
                (slowed(Duration::from_millis(100)), "slowed for=100.0ms"),
                (dropped("\u{4f60}"), r"dropped \xe4\xbd\xa0"),
                (left("client1", 2, CloseReason::Reset), "left client1 members=2 why=reset"),
            ],
        );
    }
}
