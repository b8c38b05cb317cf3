//! The breakpoints at which the stepper stops the loop.

use super::command::Condition;
use crate::trace::{SourceId, Step};

/// The breakpoints that the user has set. Their numbers are never reused.
#[derive(Debug, Default)]
pub struct Breakpoints {
    all: Vec<(usize, Condition)>,
    /// The number of breakpoints ever added.
    added: usize,
}

impl Breakpoints {
    /// Returns the first breakpoint that matches `step`, taken by `source`.
    pub fn find(&self, source: SourceId, step: &Step) -> Option<(usize, Condition)> {
        self.all.iter().find(|(_, condition)| condition.is_met(source, step)).copied()
    }

    /// Adds a breakpoint. `turn` is the number of the current turn. Returns the message for the
    /// user.
    pub fn add(&mut self, condition: Condition, turn: u64) -> String {
        if matches!(condition, Condition::Number(number) if number <= turn) {
            return format!("this is turn {turn}; name a later one");
        }
        self.added += 1;
        self.all.push((self.added, condition));
        format!("breakpoint {}: {condition}; c runs to it", self.added)
    }

    /// Deletes a breakpoint. Returns the message for the user.
    pub fn delete(&mut self, number: usize) -> String {
        match self.all.iter().position(|(n, _)| *n == number) {
            Some(at) => format!("deleted: {}", self.all.remove(at).1),
            None => format!("no breakpoint {number}; b lists them"),
        }
    }

    /// Lists the breakpoints, one per line.
    pub fn list(&self) -> String {
        if self.all.is_empty() {
            return "no breakpoints; b close adds one".into();
        }
        let line = |(number, condition): &(usize, Condition)| format!("{number}: {condition}");
        self.all.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breakpoint_number_is_never_used_again() {
        let mut breakpoints = Breakpoints::default();
        assert!(breakpoints.list().starts_with("no breakpoints"));
        breakpoints.add(Condition::Eof, 7);
        breakpoints.add(Condition::Close, 7);
        assert_eq!(breakpoints.delete(1), "deleted: eof");
        assert!(breakpoints.delete(1).contains("no breakpoint 1"));
        assert!(breakpoints.add(Condition::Number(7), 7).contains("turn 7"));
        breakpoints.add(Condition::Number(8), 7);
        assert_eq!(breakpoints.list(), "2: close\n3: turn=8");
        let woke = Step::Woke { turn: 8, ready: Vec::new(), carried: Vec::new() };
        assert_eq!(breakpoints.find(SourceId::Loop, &woke), Some((3, Condition::Number(8))));
        assert_eq!(breakpoints.find(SourceId::Loop, &Step::EndOfInput), None);
    }
}
