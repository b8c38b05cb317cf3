//! The narrator writes a text trace: one line a step.

use std::time::Duration;

use super::{
    model::Model, observer::Observer, source_id::SourceId, step::Step, step_doc::TraceLevel, text::TraceLine,
};
use crate::{clock::Stopwatch, lossy_writer::LossyWriter};

/// Writes each step on a line. Lines are gathered and written once a turn.
pub struct Narrator {
    level: TraceLevel,
    /// The sources to show; empty: all.
    only: Vec<SourceId>,
    stopwatch: Stopwatch,
    model: Model,
    lines: String,
    writer: LossyWriter,
    /// How many lost lines were reported.
    reported_lost: u64,
    /// The time that tracing this turn took.
    cost: Duration,
}

impl Narrator {
    /// Makes a narrator that writes the steps of the sources in `only`, or of all if `only` is
    /// empty, to `writer`.
    pub fn new(level: TraceLevel, only: Vec<SourceId>, writer: LossyWriter) -> Narrator {
        Narrator {
            level,
            only,
            stopwatch: Stopwatch::start(),
            model: Narrator::model(level),
            lines: String::new(),
            writer,
            reported_lost: 0,
            cost: Duration::ZERO,
        }
    }

    fn model(level: TraceLevel) -> Model {
        if level == TraceLevel::Bytes { Model::with_bytes() } else { Model::default() }
    }

    /// Writes the lines that were gathered, behind a line that reports lost ones.
    fn write_out(&mut self) {
        let lost = self.writer.dropped() - self.reported_lost;
        if lost > 0 {
            self.reported_lost += lost;
            let line = TraceLine::lost(self.model.turn, lost);
            self.lines.insert_str(0, &stamped(&line, self.stopwatch.elapsed()));
        }
        self.writer.write(self.lines.as_bytes());
        self.lines.clear();
    }

    /// Returns whether the step concerns a source that is shown.
    fn is_selected(&self, source: SourceId, step: &Step) -> bool {
        let is_shown = |source: &SourceId| self.only.is_empty() || self.only.contains(source);
        is_shown(&source)
            || match step {
                Step::Woke { ready, carried, .. } => {
                    ready.iter().map(|(source, _)| source).chain(carried).any(is_shown)
                }
                Step::Accepted { connection, .. } => is_shown(&SourceId::Connection(*connection)),
                _ => false,
            }
    }

    fn add_line(&mut self, line: &TraceLine, at: Duration) {
        self.lines.push_str(&stamped(line, at));
    }
}

/// Returns `line` behind its time in seconds.
fn stamped(line: &TraceLine, at: Duration) -> String {
    format!("{:>9.6} {line}\n", at.as_secs_f64())
}

impl Observer for Narrator {
    fn see(&mut self, source: SourceId, step: &Step) {
        let at = self.stopwatch.elapsed();
        self.model.apply(source, step, at);
        if let (Step::Waiting { .. }, Some(line)) = (step, TraceLine::fault(&self.model)) {
            self.add_line(&line, at);
        }
        if self.is_selected(source, step)
            && let Some(mut line) = TraceLine::new(source, step, &self.model, at, self.level)
        {
            if matches!(step, Step::Woke { .. }) && !self.cost.is_zero() {
                line.push("trace_us", self.cost);
            }
            self.add_line(&line, at);
        }
        match step {
            Step::Woke { .. } => self.cost = Duration::ZERO,
            Step::Closed { .. } => self.model.forget(source),
            Step::Waiting { .. } => {
                self.write_out();
                self.model.wait_from(self.stopwatch.elapsed());
            }
            _ => {}
        }
        self.cost += self.stopwatch.elapsed().saturating_sub(at);
    }

    /// Forgets the sources: what happens to them meanwhile is not seen.
    fn detach(&mut self) {
        self.write_out();
        self.model = Narrator::model(self.level);
    }
}

/// Writes the lines of a turn that does not end.
impl Drop for Narrator {
    fn drop(&mut self) {
        self.write_out();
    }
}
