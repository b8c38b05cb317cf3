//! Formats steps as the lines of a text trace.

use std::{fmt, time::Duration};

use super::{
    field::{Field, Value},
    model::Model,
    redact::{escaped, redacted},
    sets::{self, WAIT_SETS, WAKE_SETS},
    source_id::SourceId,
    step::Step,
    step_doc::{StepDoc, TraceLevel},
};

/// The maximum number of received or sent bytes that a line shows.
const MAX_PREVIEW: usize = 64;

/// The descriptions of the lines that observers add themselves. These lines are not steps.
pub(super) const OBSERVER_LINES: &[&StepDoc] = &[&WAIT_SETS, &WAKE_SETS, &FAULT, &LOST];

const FAULT: StepDoc = StepDoc {
    verb: "fault",
    form: "no-progress wakes={wakes:N}",
    gloss: "it wakes and nothing moves: that is a spin",
    meaning: "This many wake-ups in a row moved nothing for this source, and the loop slept before none of \
              them: no byte, no connection, no deadline. A single one is not a fault, because an event is a \
              hint. `loop` itself spins if the poll returns at once and reports nothing. The line comes at \
              2, 4, 8 ... wake-ups.",
    level: TraceLevel::Wakes,
};

const LOST: StepDoc = StepDoc {
    verb: "lost",
    form: "lines={lines:N}",
    gloss: "the reader was too slow",
    meaning: "This many lines of the trace were dropped because the reader was too slow. The server does not \
              wait for it.",
    level: TraceLevel::Wakes,
};

/// One line of a text trace, without the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceLine {
    /// The number of the turn.
    pub turn: u64,
    /// The source that took the step.
    pub source: SourceId,
    /// The description of the step.
    pub doc: &'static StepDoc,
    /// The fields of the step, including fields added by the observer.
    pub fields: Vec<Field>,
    /// The first bytes received or sent, with secrets redacted.
    preview: Option<Vec<u8>>,
}

impl TraceLine {
    /// Creates the line for `step`, which must already be applied to `model`. Returns `None` if
    /// `level` does not show the step.
    pub(crate) fn new(
        source: SourceId,
        step: &Step,
        model: &Model,
        at: Duration,
        level: TraceLevel,
    ) -> Option<TraceLine> {
        let in_sets = match step {
            _ if level != TraceLevel::Sets => None,
            Step::Waiting { timeout, .. } => Some((&WAIT_SETS, sets::wait_fields(model, *timeout))),
            Step::Woke { .. } => Some((&WAKE_SETS, sets::wake_fields(model))),
            _ => None,
        };
        if let Some((doc, fields)) = in_sets {
            return Some(TraceLine { turn: model.turn, source, doc, fields, preview: None });
        }
        let doc = step.doc(source).filter(|doc| doc.level <= level)?;
        let preview = if level == TraceLevel::Bytes { preview(source, step, model) } else { None };
        Some(TraceLine { turn: model.turn, source, doc, fields: model.fields(source, step, at), preview })
    }

    /// Creates the line that reports a spin. Returns `None` unless the number of idle wake-ups is
    /// 2, 4, 8 and so on.
    pub(crate) fn fault(model: &Model) -> Option<TraceLine> {
        let (source, wakes) = model.spin.filter(|(_, wakes)| wakes.is_power_of_two())?;
        let fields = vec![Field::new("wakes", wakes)];
        Some(TraceLine { turn: model.turn, source, doc: &FAULT, fields, preview: None })
    }

    /// Creates the line that reports dropped lines.
    pub(super) fn lost(turn: u64, lines: u64) -> TraceLine {
        let fields = vec![Field::new("lines", lines)];
        TraceLine { turn, source: SourceId::Loop, doc: &LOST, fields, preview: None }
    }

    /// Adds a field.
    pub(super) fn push(&mut self, name: &'static str, value: impl Into<Value>) {
        self.fields.push(Field::new(name, value));
    }
}

/// Formats the line as `#3 c3 read 65536 -> 29 buf=29 -- gloss`.
impl fmt::Display for TraceLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TraceLine { turn, source, doc, fields, preview } = self;
        write!(f, "#{turn} {source} {}", doc.verb)?;
        let text = doc.fill(fields);
        if !text.is_empty() {
            write!(f, " {text}")?;
        }
        if let Some(bytes) = preview {
            write!(f, " \"{}\"", escaped(bytes))?;
        }
        if !doc.gloss.is_empty() {
            write!(f, " -- {}", doc.gloss)?;
        }
        Ok(())
    }
}

/// Returns the first bytes that a step received or sent, with secrets redacted.
fn preview(source: SourceId, step: &Step, model: &Model) -> Option<Vec<u8>> {
    let mut preview = match step {
        // Redact the new bytes together with the earlier ones, because a secret may be split across
        // two reads.
        Step::Read { bytes, .. } => {
            let mut waiting = model.sources.get(&source)?.visible_input()?;
            waiting.split_off(waiting.len().checked_sub(bytes.len())?)
        }
        Step::Received { bytes, .. } => redacted(bytes),
        _ => redacted(step.response_head()?),
    };
    preview.truncate(MAX_PREVIEW);
    Some(preview)
}
