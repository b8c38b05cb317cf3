//! The narrator: an observer that writes a text trace, one line per step.

use std::time::Duration;

use super::{
    model::Model, observer::Observer, source_id::SourceId, step::Step, step_doc::TraceLevel, text::TraceLine,
};
use crate::{clock::Stopwatch, lossy_writer::LossyWriter};

/// An observer that writes each step as a line of text. It buffers the lines and writes them once
/// per turn.
pub struct Narrator {
    level: TraceLevel,
    /// The sources to show. If the list is empty, all sources are shown.
    only: Vec<SourceId>,
    stopwatch: Stopwatch,
    model: Model,
    lines: String,
    writer: LossyWriter,
    /// The number of dropped lines that have been reported.
    reported_lost: u64,
    /// The time spent tracing in the current turn.
    cost: Duration,
}

impl Narrator {
    /// Creates a narrator that writes to `writer`. It shows the sources in `only`, or all sources
    /// if `only` is empty.
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
        if level == TraceLevel::Bytes { Model::keeping_bytes() } else { Model::default() }
    }

    /// Writes the buffered lines. If earlier lines were dropped, first reports how many.
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

    /// Returns whether the step involves a source that is shown.
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

/// Returns `line` with the time in seconds in front of it.
fn stamped(line: &TraceLine, at: Duration) -> String {
    format!("{:>9.6} {line}\n", at.as_secs_f64())
}

impl Observer for Narrator {
    fn on_step(&mut self, source: SourceId, step: &Step) {
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
                // The poll starts after the write. Without this correction, a slow write would
                // count as sleep.
                self.model.wait_from(self.stopwatch.elapsed());
            }
            _ => {}
        }
        self.cost += self.stopwatch.elapsed().saturating_sub(at);
    }

    /// Writes the buffered lines, and forgets all sources because the narrator will not see their
    /// next steps.
    fn on_detached(&mut self) {
        self.write_out();
        self.model = Narrator::model(self.level);
    }
}

/// Writes the lines of the last, unfinished turn.
impl Drop for Narrator {
    fn drop(&mut self) {
        self.write_out();
    }
}
