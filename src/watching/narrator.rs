//! The narration: one line a step.

use std::{fmt::Write as _, time::Duration};

use super::{
    glossary::{self, Level},
    line::{Line, span},
    model::Model,
};
use crate::{
    clock::Stopwatch,
    observer::{Observer, Step, Who},
    sink::Sink,
};

/// Tells of each step on a line, and writes the lines once a turn.
pub struct Narrator {
    level: Level,
    /// Of whom alone is told; empty: of everybody.
    only: Vec<Who>,
    stopwatch: Stopwatch,
    model: Model,
    lines: String,
    sink: Sink,
    /// Lines that nobody took, as far as that was told.
    lost: u64,
    /// What it cost to tell of this turn.
    cost: Duration,
}

impl Narrator {
    /// Tells `sink` of `only`, or of everybody where that is empty.
    pub fn new(level: Level, only: Vec<Who>, sink: Sink) -> Narrator {
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

    fn model(level: Level) -> Model {
        if level == Level::Bytes { Model::with_bytes() } else { Model::default() }
    }

    /// Writes what was gathered, and first of all tells what was lost.
    fn write_out(&mut self) {
        let lost = self.sink.dropped() - self.lost;
        if lost > 0 {
            self.lost += lost;
            let line = Line {
                turn: self.model.turn,
                who: Who::Loop,
                word: &glossary::LOST,
                facts: format!("lines={lost}"),
            };
            self.lines.insert_str(0, &stamped(&line, self.stopwatch.elapsed()));
        }
        self.sink.write(self.lines.as_bytes());
        self.lines.clear();
    }

    fn concerns(&self, who: Who, step: &Step) -> bool {
        let is_among = |who: &Who| self.only.is_empty() || self.only.contains(who);
        is_among(&who)
            || match step {
                Step::Woke { ready, carried, .. } => {
                    ready.iter().map(|(who, _)| who).chain(carried).any(is_among)
                }
                Step::Accepted { connection, .. } => is_among(&Who::Connection(*connection)),
                _ => false,
            }
    }

    fn tell(&mut self, line: &Line, at: Duration) {
        self.lines.push_str(&stamped(line, at));
    }
}

/// `line` with its time, in seconds.
fn stamped(line: &Line, at: Duration) -> String {
    format!("{:>9.6} {line}\n", at.as_secs_f64())
}

impl Observer for Narrator {
    fn see(&mut self, who: Who, step: &Step) {
        let at = self.stopwatch.elapsed();
        self.model.note(who, step, at);
        if let (Step::Waiting { .. }, Some(line)) = (step, Line::of_fault(&self.model)) {
            self.tell(&line, at);
        }
        if self.concerns(who, step)
            && let Some(mut line) = Line::of(who, step, &self.model, at, self.level)
        {
            if matches!(step, Step::Woke { .. }) && !self.cost.is_zero() {
                let _ = write!(line.facts, " trace={}", span(self.cost));
            }
            self.tell(&line, at);
        }
        match step {
            Step::Woke { .. } => self.cost = Duration::ZERO,
            Step::Closed { .. } => self.model.forget(who),
            Step::Waiting { .. } => {
                self.write_out();
                self.model.wait_from(self.stopwatch.elapsed());
            }
            _ => {}
        }
        self.cost += self.stopwatch.elapsed().saturating_sub(at);
    }

    /// What happens meanwhile is not known when it comes again.
    fn leave(&mut self) {
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
pub fn who(name: &str) -> Result<Who, String> {
    let number = |prefix: char| name.strip_prefix(prefix).and_then(|digits| digits.parse().ok());
    let named = match name {
        "loop" => Some(Who::Loop),
        "signals" => Some(Who::Signals),
        "files" => Some(Who::Files),
        "terminal" => Some(Who::Terminal),
        _ => number('c')
            .map(Who::Connection)
            .or_else(|| number('L').map(Who::Listener))
            .or_else(|| number('u').map(Who::Datagrams)),
    };
    named.ok_or_else(|| "give a name such as c3, L1, u1 or loop".into())
}
