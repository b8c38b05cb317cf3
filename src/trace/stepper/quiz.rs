//! The quiz, in which the user predicts what a source's first call will do, and then sees the
//! result.

use std::fmt;

use crate::trace::{
    SourceId, Step,
    model::{Activity, Model},
};

/// The first call that a source makes in its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextCall {
    Read,
    Write,
}

/// The user's prediction of what a call will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prediction {
    /// The call returns this number of bytes, or any number of bytes if `None`.
    Bytes(Option<usize>),
    /// The call would block.
    WouldBlock,
    /// The call returns 0, because the peer has closed its side.
    Eof,
    /// The call takes all the bytes offered.
    All,
    /// The call takes some of the bytes offered.
    Partial,
}

/// The result of a call that the user predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallResult {
    Bytes(usize),
    WouldBlock,
    Eof,
    All(usize),
    Partial { got: usize, offered: usize },
}

/// The user's score: the number of right predictions, and the number of all predictions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Score {
    pub right: u32,
    pub asked: u32,
}

impl NextCall {
    /// Returns the first call that `source` will make in the turn that starts now, if the model
    /// makes this certain. A source writes its unsent bytes first, and reads nothing until they
    /// have been sent.
    pub fn predictable(source: SourceId, model: &Model) -> Option<NextCall> {
        let state = model.sources.get(&source)?;
        let flags = model.ready.iter().find(|(ready, _)| *ready == source).map(|(_, flags)| *flags);
        let flags = flags.unwrap_or_default();
        let is_stream = matches!(source, SourceId::Connection(_));
        match (source, state.activity) {
            (SourceId::Connection(_), Activity::Send) => Some(NextCall::Write),
            (SourceId::Connection(_), Activity::Blocked) => {
                (flags.writable || flags.write_closed || flags.error).then_some(NextCall::Write)
            }
            // Input that is left over is parsed before more is read.
            (SourceId::Connection(_), _) if model.carried.contains(&source) && state.input.len > 0 => None,
            (SourceId::Connection(_) | SourceId::Udp(_), _) => {
                (flags.readable || is_stream && (flags.read_closed || flags.error)).then_some(NextCall::Read)
            }
            _ => None,
        }
    }

    /// Returns the question that asks the user for a prediction.
    pub fn question(self, source: SourceId) -> String {
        match self {
            NextCall::Read => {
                format!("{source} will read. Predict: [n] some bytes, [w]ouldblock, [0] eof, Enter=skip > ")
            }
            NextCall::Write => {
                format!("{source} will write. Predict: [a]ll, [p]artly, [w]ouldblock, Enter=skip > ")
            }
        }
    }

    /// Parses an answer. Returns `None` for an empty answer, which skips the question.
    ///
    /// # Errors
    /// Fails if the answer is not valid. The message lists the valid answers.
    pub fn parse_prediction(self, answer: &str) -> Result<Option<Prediction>, &'static str> {
        Ok(Some(match (self, answer.trim()) {
            (_, "") => return Ok(None),
            (_, "w" | "wouldblock") => Prediction::WouldBlock,
            (NextCall::Read, "n") => Prediction::Bytes(None),
            (NextCall::Read, "0" | "eof") => Prediction::Eof,
            (NextCall::Read, number) => {
                let advice =
                    "type n (some bytes), a number of bytes, w, 0 or Enter; p c3, x c3 and s c3 inspect";
                Prediction::Bytes(Some(number.parse().map_err(|_| advice)?))
            }
            (NextCall::Write, "a" | "all") => Prediction::All,
            (NextCall::Write, "p" | "partly") => Prediction::Partial,
            (NextCall::Write, _) => return Err("type a, p, w or Enter; p c3, x c3 and s c3 inspect"),
        }))
    }
}

impl CallResult {
    /// Returns the result that `step` reports if the step is a call of this kind.
    pub fn from_step(call: NextCall, step: &Step) -> Option<CallResult> {
        Some(match (call, step) {
            (NextCall::Read, Step::Read { bytes, .. } | Step::Received { bytes, .. }) => {
                CallResult::Bytes(bytes.len())
            }
            (NextCall::Read, Step::Drained) | (NextCall::Write, Step::Blocked { .. }) => {
                CallResult::WouldBlock
            }
            (NextCall::Read, Step::EndOfInput) => CallResult::Eof,
            (NextCall::Write, Step::Wrote { offered, got, .. }) if got < offered => {
                CallResult::Partial { got: *got, offered: *offered }
            }
            (NextCall::Write, Step::Wrote { offered, .. }) => CallResult::All(*offered),
            _ => return None,
        })
    }
}

impl fmt::Display for CallResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallResult::Bytes(1) => f.write_str("1 byte"),
            CallResult::Bytes(n) => write!(f, "{n} bytes"),
            CallResult::WouldBlock => f.write_str("the call would block"),
            CallResult::Eof => f.write_str("0 bytes: end of input"),
            CallResult::All(n) => write!(f, "all {n} bytes taken"),
            CallResult::Partial { got, offered } => write!(f, "{got} of {offered} bytes taken"),
        }
    }
}

impl Prediction {
    /// Returns whether the prediction was right.
    pub fn is_right(self, result: CallResult) -> bool {
        match (self, result) {
            (Prediction::Bytes(expected), CallResult::Bytes(n)) => {
                expected.is_none_or(|expected| expected == n)
            }
            (Prediction::WouldBlock, CallResult::WouldBlock)
            | (Prediction::Eof, CallResult::Eof)
            | (Prediction::All, CallResult::All(_))
            | (Prediction::Partial, CallResult::Partial { .. }) => true,
            _ => false,
        }
    }
}

impl Score {
    /// Scores a prediction. Returns the verdict to show to the user.
    pub fn judge(&mut self, prediction: Prediction, result: CallResult) -> String {
        format!("{}: {result}", self.count(prediction.is_right(result)))
    }

    /// Counts a prediction. Returns the word for it.
    pub fn count(&mut self, is_right: bool) -> &'static str {
        self.asked += 1;
        self.right += u32::from(is_right);
        if is_right { "right" } else { "wrong" }
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
    use crate::{
        close_reason::CloseReason,
        trace::{EventFlags, SendCall, testing::response},
    };

    const C1: SourceId = SourceId::Connection(1);

    fn read(n: usize) -> Step {
        Step::Read { offered: 100, bytes: vec![b'x'; n], kept: 0 }
    }

    fn wrote(got: usize) -> Step {
        Step::Wrote { by: SendCall::Write, offered: 9, got, sent: got as u64, of: 9 }
    }

    #[test]
    fn prediction_is_judged_by_the_result() {
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
        for (call, answer, step, expected) in table {
            let prediction = call.parse_prediction(answer).expect(answer).expect("a prediction");
            let result = CallResult::from_step(call, &step).expect("a result");
            let verdict = score.judge(prediction, result);
            assert_eq!(verdict.starts_with("right: "), expected, "{answer:?} of {step:?}: {verdict}");
        }
        assert_eq!(score.to_string(), "quiz: 8 of 15 right");
    }

    #[test]
    fn empty_answer_skips_and_a_wrong_one_gets_advice() {
        for call in [NextCall::Read, NextCall::Write] {
            assert_eq!(call.parse_prediction("\n"), Ok(None));
            for answer in ["x", "-1", "n w"] {
                assert!(call.parse_prediction(answer).is_err(), "{answer}");
            }
        }
        assert!(
            NextCall::Write.parse_prediction("7").is_err() && NextCall::Read.parse_prediction("a").is_err()
        );
        assert_eq!(CallResult::from_step(NextCall::Read, &Step::TurnBegan), None);
        assert_eq!(CallResult::from_step(NextCall::Read, &wrote(9)), None);
    }

    #[test]
    fn next_call_follows_from_the_model() {
        let flags = |readable, writable| EventFlags { readable, writable, ..EventFlags::default() };
        let (nothing, r, w) = (EventFlags::default(), flags(true, false), flags(false, true));
        let read_closed = EventFlags { read_closed: true, ..EventFlags::default() };
        let planned = response(Vec::new());
        let blocked = Step::Blocked { by: SendCall::Write, offered: 1 };
        let partial = vec![planned.clone(), wrote(8)];
        let full = vec![planned, wrote(8), blocked];
        let lingers = vec![Step::ShutDown, Step::DeadlineSet { reason: CloseReason::Done, within: None }];
        let table = [
            (vec![], r, Some(NextCall::Read)),
            (vec![], read_closed, Some(NextCall::Read)),
            (vec![], nothing, None),
            (vec![read(3)], r, Some(NextCall::Read)),
            (partial, nothing, Some(NextCall::Write)),
            (full.clone(), r, None),
            (full, w, Some(NextCall::Write)),
            (lingers, r, Some(NextCall::Read)),
        ];
        for (steps, flags, expected) in table {
            let mut model = Model::default();
            model.apply(C1, &Step::TurnBegan, Duration::ZERO);
            steps.iter().for_each(|step| model.apply(C1, step, Duration::ZERO));
            let ready = if flags == nothing { Vec::new() } else { vec![(C1, flags)] };
            model.apply(SourceId::Loop, &Step::Woke { turn: 1, ready, carried: Vec::new() }, Duration::ZERO);
            assert_eq!(NextCall::predictable(C1, &model), expected, "{flags} after {steps:?}");
        }
        assert_eq!(NextCall::predictable(SourceId::Listener(1), &Model::default()), None);
    }
}
