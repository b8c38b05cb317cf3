//! Guess, then look: what a source's first call will do.

use std::fmt;

use crate::{
    trace::{Activity, Model},
    trace::{SourceId, Step},
};

/// What a source will do first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextCall {
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
pub enum CallResult {
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

impl NextCall {
    /// What follows from the model for `id`, whose turn begins: unsent bytes go first, and nothing is read before they are
    /// gone. `None`: no call is sure.
    pub fn of(id: SourceId, model: &Model) -> Option<NextCall> {
        let peer = model.sources.get(&id)?;
        let flags = model.ready.iter().find(|(ready, _)| *ready == id).map(|(_, flags)| *flags);
        let flags = flags.unwrap_or_default();
        let is_stream = matches!(id, SourceId::Connection(_));
        match (id, peer.state) {
            (SourceId::Connection(_), Activity::Send) => Some(NextCall::Write),
            (SourceId::Connection(_), Activity::Blocked) => {
                (flags.writable || flags.write_closed || flags.error).then_some(NextCall::Write)
            }
            // What was received and left over is understood before more is read.
            (SourceId::Connection(_), _) if model.carried.contains(&id) && peer.inbox.len > 0 => None,
            (SourceId::Connection(_) | SourceId::Udp(_), _) => {
                (flags.readable || is_stream && (flags.read_closed || flags.error)).then_some(NextCall::Read)
            }
            _ => None,
        }
    }

    pub fn question(self, id: SourceId) -> String {
        match self {
            NextCall::Read => {
                format!("{id} will read. Predict: [n] bytes, [w]ouldblock, [0] eof, Enter=skip > ")
            }
            NextCall::Write => {
                format!("{id} will write. Predict: [a]ll, [p]artly, [w]ouldblock, Enter=skip > ")
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
            (NextCall::Read, "n") => Prediction::Bytes(None),
            (NextCall::Read, "0" | "eof") => Prediction::Eof,
            (NextCall::Read, number) => {
                let advice =
                    "say n for some bytes, or how many, or w, or 0, or Enter; or look with p c3, x c3, s c3";
                Prediction::Bytes(Some(number.parse().map_err(|_| advice)?))
            }
            (NextCall::Write, "a" | "all") => Prediction::All,
            (NextCall::Write, "p" | "partly") => Prediction::Partly,
            (NextCall::Write, _) => return Err("say a, p, w, or Enter; or look with p c3, x c3, s c3"),
        }))
    }
}

impl CallResult {
    /// What `step` says of a call of that kind; `None`: it is none.
    pub fn of(first: NextCall, step: &Step) -> Option<CallResult> {
        Some(match (first, step) {
            (NextCall::Read, Step::Read { bytes, .. } | Step::Received { bytes, .. }) => {
                CallResult::Bytes(bytes.len())
            }
            (NextCall::Read, Step::Drained) | (NextCall::Write, Step::Blocked { .. }) => {
                CallResult::WouldBlock
            }
            (NextCall::Read, Step::EndOfInput) => CallResult::Eof,
            (NextCall::Write, Step::Wrote { offered, got, .. }) if got < offered => {
                CallResult::Partly { got: *got, offered: *offered }
            }
            (NextCall::Write, Step::Wrote { offered, .. }) => CallResult::All(*offered),
            _ => return None,
        })
    }
}

impl fmt::Display for CallResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallResult::Bytes(1) => f.write_str("1 byte came"),
            CallResult::Bytes(n) => write!(f, "{n} bytes came"),
            CallResult::WouldBlock => f.write_str("the call would block"),
            CallResult::Eof => f.write_str("0 came: the end of input"),
            CallResult::All(n) => write!(f, "all {n} bytes were taken"),
            CallResult::Partly { got, offered } => write!(f, "{got} of {offered} bytes were taken"),
        }
    }
}

impl Prediction {
    pub fn is_right(self, outcome: CallResult) -> bool {
        match (self, outcome) {
            (Prediction::Bytes(expected), CallResult::Bytes(n)) => {
                expected.is_none_or(|expected| expected == n)
            }
            (Prediction::WouldBlock, CallResult::WouldBlock)
            | (Prediction::Eof, CallResult::Eof)
            | (Prediction::All, CallResult::All(_))
            | (Prediction::Partly, CallResult::Partly { .. }) => true,
            _ => false,
        }
    }
}

impl Score {
    /// Counts a prediction, and says what is to be said of it.
    pub fn judge(&mut self, prediction: Prediction, outcome: CallResult) -> String {
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
    use crate::close_reason::CloseReason;
    use crate::trace::{EventFlags, SendCall};

    const C1: SourceId = SourceId::Connection(1);

    fn read(n: usize) -> Step {
        Step::Read { offered: 100, bytes: vec![b'x'; n], kept: 0 }
    }

    fn wrote(got: usize) -> Step {
        Step::Wrote { by: SendCall::Write, offered: 9, got, sent: got as u64, of: 9 }
    }

    #[test]
    fn predictions_are_judged_by_what_happens() {
        let blocked = Step::Blocked { by: SendCall::Write, offered: 9 };
        let table = [
            (NextCall::Read, "n", read(7), true),
            (NextCall::Read, "7", read(7), true),
            (NextCall::Read, " 7\n", read(7), true),
            (NextCall::Read, "8", read(7), false),
            (NextCall::Read, "w", read(7), false),
            (NextCall::Read, "w", Step::Drained, true),
            (NextCall::Read, "n", Step::Drained, false),
            (NextCall::Read, "0", Step::EndOfInput, true),
            (NextCall::Read, "0", Step::Drained, false),
            (NextCall::Write, "a", wrote(9), true),
            (NextCall::Write, "a", wrote(8), false),
            (NextCall::Write, "p", wrote(8), true),
            (NextCall::Write, "p", wrote(9), false),
            (NextCall::Write, "w", blocked.clone(), true),
            (NextCall::Write, "p", blocked, false),
        ];
        let mut score = Score::default();
        for (first, answer, step, expected) in table {
            let prediction = first.predict(answer).expect(answer).expect("a prediction");
            let outcome = CallResult::of(first, &step).expect("an outcome");
            let said = score.judge(prediction, outcome);
            assert_eq!(said.starts_with("right: "), expected, "{answer:?} of {step:?}: {said}");
        }
        assert_eq!(score.to_string(), "quiz: 8 of 15 right");
    }

    #[test]
    fn nothing_is_predicted_by_enter_and_what_is_no_answer_is_said() {
        for first in [NextCall::Read, NextCall::Write] {
            assert_eq!(first.predict("\n"), Ok(None));
            for answer in ["x", "-1", "n w"] {
                assert!(first.predict(answer).is_err(), "{answer}");
            }
        }
        assert!(NextCall::Write.predict("7").is_err() && NextCall::Read.predict("a").is_err());
        assert_eq!(CallResult::of(NextCall::Read, &Step::TurnBegan), None);
        assert_eq!(CallResult::of(NextCall::Read, &wrote(9)), None);
    }

    #[test]
    fn what_comes_first_follows_from_what_was_seen() {
        let flags = |readable, writable| EventFlags { readable, writable, ..EventFlags::default() };
        let (nothing, r, w) = (EventFlags::default(), flags(true, false), flags(false, true));
        let hung_up = EventFlags { read_closed: true, ..EventFlags::default() };
        let planned = Step::Planned { status: 200, head: Vec::new(), body: None };
        let blocked = Step::Blocked { by: SendCall::Write, offered: 1 };
        let partial = vec![planned.clone(), wrote(8)];
        let full = vec![planned, wrote(8), blocked];
        let lingers = vec![Step::ShutDown, Step::DeadlineSet { reason: CloseReason::Done, within: None }];
        let table = [
            (vec![], r, Some(NextCall::Read)),
            (vec![], hung_up, Some(NextCall::Read)),
            (vec![], nothing, None),
            (vec![read(3)], r, Some(NextCall::Read)),
            (partial, nothing, Some(NextCall::Write)),
            (full.clone(), r, None),
            (full, w, Some(NextCall::Write)),
            (lingers, r, Some(NextCall::Read)),
        ];
        for (steps, flags, expected) in table {
            let mut model = Model::default();
            model.trace(C1, &Step::TurnBegan, Duration::ZERO);
            steps.iter().for_each(|step| model.trace(C1, step, Duration::ZERO));
            let ready = if flags == nothing { Vec::new() } else { vec![(C1, flags)] };
            model.trace(SourceId::Loop, &Step::Woke { turn: 1, ready, carried: Vec::new() }, Duration::ZERO);
            assert_eq!(NextCall::of(C1, &model), expected, "{flags} after {steps:?}");
        }
        assert_eq!(NextCall::of(SourceId::Listener(1), &Model::default()), None);
    }
}
