//! The steps that the mail services add to a trace.

use crate::trace::{Effect, Field, Step, StepDoc, TraceLevel, Value};

/// The descriptions of the mail services' steps, for `--trace` and the documentation.
pub const STEP_DOCS: &[&StepDoc] = &[&STATE, &PART, &STORED, &NOT_STORED, &RETRIEVED, &REMOVED];

const STATE: StepDoc = StepDoc {
    verb: "mail",
    form: "state={state}",
    gloss: "",
    meaning: "The conversation entered this state, which decides what the next lines mean. SMTP: `command` (no \
              message begun), `login` (a name or password follows), `mail` (a sender is known), `data` (a \
              message follows). POP3: `login`, `transaction`, `update` (the marked messages are removed).",
    level: TraceLevel::Io,
};

const PART: StepDoc = StepDoc {
    verb: "mail",
    form: "part={part:N} message={message:N|-}",
    gloss: "the end of a message is a line with only a dot",
    meaning: "A part of a message was read. `message` is the length of the message so far; `-` means that \
              the message was refused, and the rest of it is dropped.",
    level: TraceLevel::Io,
};

const STORED: StepDoc = StepDoc {
    verb: "mail",
    form: "{event:stored} {id} bytes={bytes:N} recipients={recipients:N}",
    gloss: "one copy, whatever the number of recipients",
    meaning: "A message is in the mailbox, and with `--mail-dir` also safe on the disk. Only now does the \
              client get its 250 reply.",
    level: TraceLevel::Io,
};

const NOT_STORED: StepDoc = StepDoc {
    verb: "mail",
    form: "{event:refused} \"{reason}\"",
    gloss: "",
    meaning: "A message was refused, and nothing of it is kept.",
    level: TraceLevel::Io,
};

const RETRIEVED: StepDoc = StepDoc {
    verb: "mail",
    form: "{event:retrieved} {id} bytes={bytes:N}",
    gloss: "",
    meaning: "The last piece of a message (RETR) or of its beginning (TOP) was put into the outbox. `bytes` \
              counts the bytes of the message.",
    level: TraceLevel::Io,
};

const REMOVED: StepDoc = StepDoc {
    verb: "mail",
    form: "{event:removed} {id}",
    gloss: "",
    meaning: "A message that the client had marked with DELE was removed after QUIT.",
    level: TraceLevel::Io,
};

/// Returns the step that reports a new state of a conversation. `is_secret` says whether the next
/// input may hold a password or a message, which no trace shows.
pub fn state(state: &'static str, is_secret: bool) -> Step {
    let effect = if is_secret { Effect::HideInput } else { Effect::ShowInput };
    Step::service(&STATE, vec![Field::new("state", state)], effect)
}

/// Returns the step that reports a part of a message, and the length of the message so far. `None`
/// means that the message was refused.
pub fn part(part: usize, message: Option<usize>) -> Step {
    let fields = vec![Field::new("part", part), Field::new("message", Value::or(message, "-"))];
    Step::service(&PART, fields, Effect::HideInput)
}

/// Returns the step that reports a stored message.
pub fn stored(id: &str, bytes: usize, recipients: usize) -> Step {
    let counts = [Field::new("bytes", bytes), Field::new("recipients", recipients)];
    let fields = [event("stored"), Field::new("id", id.to_owned())].into_iter().chain(counts);
    Step::service(&STORED, fields.collect(), Effect::Progress)
}

/// Returns the step that reports a refused message.
pub fn not_stored(reason: String) -> Step {
    Step::service(&NOT_STORED, vec![event("refused"), Field::new("reason", reason)], Effect::None)
}

/// Returns the step that reports a message whose last piece is in the outbox.
pub fn retrieved(id: &str, bytes: usize) -> Step {
    let fields = vec![event("retrieved"), Field::new("id", id.to_owned()), Field::new("bytes", bytes)];
    Step::service(&RETRIEVED, fields, Effect::Progress)
}

/// Returns the step that reports a removed message.
pub fn removed(id: &str) -> Step {
    let fields = vec![event("removed"), Field::new("id", id.to_owned())];
    Step::service(&REMOVED, fields, Effect::Progress)
}

/// Returns the field that says what happened to a message. A recording has fields only.
fn event(name: &'static str) -> Field {
    Field::new("event", name)
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
                (state("data", true), "state=data"),
                (part(65536, Some(70000)), "part=65536 message=70000"),
                (stored("1.M2Q3", 498, 2), "stored 1.M2Q3 bytes=498 recipients=2"),
                (not_stored("the mailbox is full".into()), "refused \"the mailbox is full\""),
                (retrieved("1.M2Q3", 498), "retrieved 1.M2Q3 bytes=498"),
                (removed("1.M2Q3"), "removed 1.M2Q3"),
            ],
        );
    }
}
