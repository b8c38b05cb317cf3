//! The narration: one line a step.

use std::{fmt::Write as _, time::Duration};

use super::{
    glossary::{self, TraceLevel},
    line::{TraceLine, span},
    model::Model,
};
use crate::{
    clock::Stopwatch,
    lossy_writer::LossyWriter,
    trace::{Observer, SourceId, Step},
};

/// Tells of each step on a line, and writes the lines once a turn.
pub struct Narrator {
    level: TraceLevel,
    /// Of whom alone is told; empty: of everybody.
    only: Vec<SourceId>,
    stopwatch: Stopwatch,
    model: Model,
    lines: String,
    sink: LossyWriter,
    /// Lines that nobody took, as far as that was told.
    lost: u64,
    /// What it cost to tell of this turn.
    cost: Duration,
}

impl Narrator {
    /// Tells `sink` of `only`, or of everybody where that is empty.
    pub fn new(level: TraceLevel, only: Vec<SourceId>, sink: LossyWriter) -> Narrator {
        Narrator {
            level,
            only,
            stopwatch: Stopwatch::start(),
            model: Narrator::model(level),
            lines: String::new(),
            sink,
            lost: 0,
            cost: Duration::ZERO,
        }
    }

    fn model(level: TraceLevel) -> Model {
        if level == TraceLevel::Bytes { Model::with_bytes() } else { Model::default() }
    }

    /// Writes what was gathered, and first of all tells what was lost.
    fn write_out(&mut self) {
        let lost = self.sink.dropped() - self.lost;
        if lost > 0 {
            self.lost += lost;
            let line = TraceLine {
                turn: self.model.turn,
                id: SourceId::Loop,
                doc: &glossary::LOST,
                facts: format!("lines={lost}"),
            };
            self.lines.insert_str(0, &stamped(&line, self.stopwatch.elapsed()));
        }
        self.sink.write(self.lines.as_bytes());
        self.lines.clear();
    }

    fn concerns(&self, id: SourceId, step: &Step) -> bool {
        let is_among = |id: &SourceId| self.only.is_empty() || self.only.contains(id);
        is_among(&id)
            || match step {
                Step::Woke { ready, carried, .. } => {
                    ready.iter().map(|(id, _)| id).chain(carried).any(is_among)
                }
                Step::Accepted { connection, .. } => is_among(&SourceId::Connection(*connection)),
                _ => false,
            }
    }

    fn tell(&mut self, line: &TraceLine, at: Duration) {
        self.lines.push_str(&stamped(line, at));
    }
}

/// `line` with its time, in seconds.
fn stamped(line: &TraceLine, at: Duration) -> String {
    format!("{:>9.6} {line}\n", at.as_secs_f64())
}

impl Observer for Narrator {
    fn see(&mut self, id: SourceId, step: &Step) {
        let at = self.stopwatch.elapsed();
        self.model.trace(id, step, at);
        if let (Step::Waiting { .. }, Some(line)) = (step, TraceLine::of_fault(&self.model)) {
            self.tell(&line, at);
        }
        if self.concerns(id, step)
            && let Some(mut line) = TraceLine::of(id, step, &self.model, at, self.level)
        {
            if matches!(step, Step::Woke { .. }) && !self.cost.is_zero() {
                let _ = write!(line.facts, " trace={}", span(self.cost));
            }
            self.tell(&line, at);
        }
        match step {
            Step::Woke { .. } => self.cost = Duration::ZERO,
            Step::Closed { .. } => self.model.forget(id),
            Step::Waiting { .. } => {
                self.write_out();
                self.model.wait_from(self.stopwatch.elapsed());
            }
            _ => {}
        }
        self.cost += self.stopwatch.elapsed().saturating_sub(at);
    }

    /// What happens meanwhile is not known when it comes again.
    fn detach(&mut self) {
        self.write_out();
        self.model = Narrator::model(self.level);
    }
}

/// What is gathered of a turn that does not end is told, too.
impl Drop for Narrator {
    fn drop(&mut self) {
        self.write_out();
    }
}

/// Reads `c3`, `L1`, `u1`, `loop`.
///
/// # Errors
/// It is nobody's name: a sentence that says what is.
pub fn source_id(name: &str) -> Result<SourceId, String> {
    let number = |prefix: char| name.strip_prefix(prefix).and_then(|digits| digits.parse().ok());
    let named = match name {
        "loop" => Some(SourceId::Loop),
        "signals" => Some(SourceId::Signals),
        "files" => Some(SourceId::Named("files")),
        "terminal" => Some(SourceId::Named("terminal")),
        _ => number('c')
            .map(SourceId::Connection)
            .or_else(|| number('L').map(SourceId::Listener))
            .or_else(|| number('u').map(SourceId::Udp)),
    };
    named.ok_or_else(|| "give a name such as c3, L1, u1 or loop".into())
}
