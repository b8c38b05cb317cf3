//! Guess, then look: what a source's first call will do.

use std::fmt;

use crate::{
    observer::{Step, Who},
    watching::{Model, State},
};

/// What a source will do first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    Read,
    Write,
}

/// What a person expects of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prediction {
    /// Some bytes come, or exactly so many.
    Bytes(Option<usize>),
    WouldBlock,
    Eof,
    /// All that is offered is taken.
    All,
    Partly,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Bytes(usize),
    WouldBlock,
    Eof,
    All(usize),
    Partly { got: usize, offered: usize },
}

/// How many predictions were right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Score {
    pub right: u32,
    pub asked: u32,
}

impl First {
    /// What follows from the model for `who`, whose turn begins: unsent bytes go first, and nothing is read before they are
    /// gone. `None`: no call is sure.
    pub fn of(who: Who, model: &Model) -> Option<First> {
        let peer = model.peers.get(&who)?;
        let flags = model.ready.iter().find(|(ready, _)| *ready == who).map(|(_, flags)| *flags);
        let flags = flags.unwrap_or_default();
        let is_stream = matches!(who, Who::Connection(_));
        match (who, peer.state) {
            (Who::Connection(_), State::Send) => Some(First::Write),
            (Who::Connection(_), State::Blocked) => {
                (flags.writable || flags.write_closed || flags.error).then_some(First::Write)
            }
            // What was received and left over is understood before more is read.
            (Who::Connection(_), _) if model.carried.contains(&who) && peer.inbox.len > 0 => None,
            (Who::Connection(_) | Who::Datagrams(_), _) => {
                (flags.readable || is_stream && (flags.read_closed || flags.error)).then_some(First::Read)
            }
            _ => None,
        }
    }

    pub fn question(self, who: Who) -> String {
        match self {
            First::Read => {
                format!("{who} will read. Predict: [n] bytes, [w]ouldblock, [0] eof, Enter=skip > ")
            }
            First::Write => {
                format!("{who} will write. Predict: [a]ll, [p]artly, [w]ouldblock, Enter=skip > ")
            }
        }
    }

    /// Reads an answer. `None`: none is given.
    ///
    /// # Errors
    /// It is no answer: a sentence that says what is.
    pub fn predict(self, answer: &str) -> Result<Option<Prediction>, &'static str> {
        Ok(Some(match (self, answer.trim()) {
            (_, "") => return Ok(None),
            (_, "w" | "wouldblock") => Prediction::WouldBlock,
            (First::Read, "n") => Prediction::Bytes(None),
            (First::Read, "0" | "eof") => Prediction::Eof,
            (First::Read, number) => {
                let advice =
                    "say n for some bytes, or how many, or w, or 0, or Enter; or look with p c3, x c3, s c3";
                Prediction::Bytes(Some(number.parse().map_err(|_| advice)?))
            }
            (First::Write, "a" | "all") => Prediction::All,
            (First::Write, "p" | "partly") => Prediction::Partly,
            (First::Write, _) => return Err("say a, p, w, or Enter; or look with p c3, x c3, s c3"),
        }))
    }
}

impl Outcome {
    /// What `step` says of a call of that kind; `None`: it is none.
    pub fn of(first: First, step: &Step) -> Option<Outcome> {
        Some(match (first, step) {
            (First::Read, Step::Read { bytes, .. } | Step::Received { bytes, .. }) => {
                Outcome::Bytes(bytes.len())
            }
            (First::Read, Step::Drained) | (First::Write, Step::Blocked { .. }) => Outcome::WouldBlock,
            (First::Read, Step::EndOfInput) => Outcome::Eof,
            (First::Write, Step::Wrote { offered, got, .. }) if got < offered => {
                Outcome::Partly { got: *got, offered: *offered }
            }
            (First::Write, Step::Wrote { offered, .. }) => Outcome::All(*offered),
            _ => return None,
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Bytes(1) => f.write_str("1 byte came"),
            Outcome::Bytes(n) => write!(f, "{n} bytes came"),
            Outcome::WouldBlock => f.write_str("the call would block"),
            Outcome::Eof => f.write_str("0 came: the end of input"),
            Outcome::All(n) => write!(f, "all {n} bytes were taken"),
            Outcome::Partly { got, offered } => write!(f, "{got} of {offered} bytes were taken"),
        }
    }
}

impl Prediction {
    pub fn is_right(self, outcome: Outcome) -> bool {
        match (self, outcome) {
            (Prediction::Bytes(expected), Outcome::Bytes(n)) => expected.is_none_or(|expected| expected == n),
            (Prediction::WouldBlock, Outcome::WouldBlock)
            | (Prediction::Eof, Outcome::Eof)
            | (Prediction::All, Outcome::All(_))
            | (Prediction::Partly, Outcome::Partly { .. }) => true,
            _ => false,
        }
    }
}

impl Score {
    /// Counts a prediction, and says what is to be said of it.
    pub fn judge(&mut self, prediction: Prediction, outcome: Outcome) -> String {
        let is_right = prediction.is_right(outcome);
        self.asked += 1;
        self.right += u32::from(is_right);
        format!("{}: {outcome}", if is_right { "right" } else { "no" })
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "quiz: {} of {} right", self.right, self.asked)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::observer::{Call, Flags, Why};

    const C1: Who = Who::Connection(1);

    fn read(n: usize) -> Step {
        Step::Read { offered: 100, bytes: vec![b'x'; n], kept: 0 }
    }

    fn wrote(got: usize) -> Step {
        Step::Wrote { by: Call::Write, offered: 9, got, sent: got as u64, of: 9 }
    }

    #[test]
    fn predictions_are_judged_by_what_happens() {
        let blocked = Step::Blocked { by: Call::Write, offered: 9 };
        let table = [
            (First::Read, "n", read(7), true),
            (First::Read, "7", read(7), true),
            (First::Read, " 7\n", read(7), true),
            (First::Read, "8", read(7), false),
            (First::Read, "w", read(7), false),
            (First::Read, "w", Step::Drained, true),
            (First::Read, "n", Step::Drained, false),
            (First::Read, "0", Step::EndOfInput, true),
            (First::Read, "0", Step::Drained, false),
            (First::Write, "a", wrote(9), true),
            (First::Write, "a", wrote(8), false),
            (First::Write, "p", wrote(8), true),
            (First::Write, "p", wrote(9), false),
            (First::Write, "w", blocked.clone(), true),
            (First::Write, "p", blocked, false),
        ];
        let mut score = Score::default();
        for (first, answer, step, expected) in table {
            let prediction = first.predict(answer).expect(answer).expect("a prediction");
            let outcome = Outcome::of(first, &step).expect("an outcome");
            let said = score.judge(prediction, outcome);
            assert_eq!(said.starts_with("right: "), expected, "{answer:?} of {step:?}: {said}");
        }
        assert_eq!(score.to_string(), "quiz: 8 of 15 right");
    }

    #[test]
    fn nothing_is_predicted_by_enter_and_what_is_no_answer_is_said() {
        for first in [First::Read, First::Write] {
            assert_eq!(first.predict("\n"), Ok(None));
            for answer in ["x", "-1", "n w"] {
                assert!(first.predict(answer).is_err(), "{answer}");
            }
        }
        assert!(First::Write.predict("7").is_err() && First::Read.predict("a").is_err());
        assert_eq!(Outcome::of(First::Read, &Step::Begun), None);
        assert_eq!(Outcome::of(First::Read, &wrote(9)), None);
    }

    #[test]
    fn what_comes_first_follows_from_what_was_seen() {
        let flags = |readable, writable| Flags { readable, writable, ..Flags::default() };
        let (nothing, r, w) = (Flags::default(), flags(true, false), flags(false, true));
        let hung_up = Flags { read_closed: true, ..Flags::default() };
        let planned = Step::Planned { status: 200, head: Vec::new(), body: None };
        let blocked = Step::Blocked { by: Call::Write, offered: 1 };
        let partial = vec![planned.clone(), wrote(8)];
        let full = vec![planned, wrote(8), blocked];
        let lingers = vec![Step::ShutDown, Step::Patient { why: Why::Done, within: None }];
        let table = [
            (vec![], r, Some(First::Read)),
            (vec![], hung_up, Some(First::Read)),
            (vec![], nothing, None),
            (vec![read(3)], r, Some(First::Read)),
            (partial, nothing, Some(First::Write)),
            (full.clone(), r, None),
            (full, w, Some(First::Write)),
            (lingers, r, Some(First::Read)),
        ];
        for (steps, flags, expected) in table {
            let mut model = Model::default();
            model.note(C1, &Step::Begun, Duration::ZERO);
            steps.iter().for_each(|step| model.note(C1, step, Duration::ZERO));
            let ready = if flags == nothing { Vec::new() } else { vec![(C1, flags)] };
            model.note(Who::Loop, &Step::Woke { turn: 1, ready, carried: Vec::new() }, Duration::ZERO);
            assert_eq!(First::of(C1, &model), expected, "{flags} after {steps:?}");
        }
        assert_eq!(First::of(Who::Listener(1), &Model::default()), None);
    }
}
