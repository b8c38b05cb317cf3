//! The quiz at the prompt: asks for predictions, and judges them once the loop has gone on.

use std::time::Duration;

use super::{
    Command, RunUntil, Stepper,
    loop_quiz::{FIRST_QUESTION, OLD_ENTRY, TIMEOUT_QUESTION, parse_first, parse_timeout},
    quiz::{CallResult, NextCall},
};
use crate::trace::{SourceId, Step};

impl Stepper {
    /// Asks what the first call of `source` will do, if the model can tell which call it is.
    pub(super) fn ask_for_call(&mut self, source: SourceId, at: Duration) {
        let Some(call) = NextCall::predictable(source, &self.model) else { return };
        let answer = self.ask(&call.question(source), |answer| call.parse_prediction(answer), at);
        self.predicted = answer.map(|prediction| (source, call, prediction));
    }

    /// Asks which source has its turn first.
    pub(super) fn ask_for_first(&mut self, at: Duration) {
        self.predicted_first = self.ask(FIRST_QUESTION, parse_first, at);
    }

    /// Asks now and then how long the next poll may sleep, which is decided already.
    pub(super) fn ask_for_timeout(&mut self, timeout: Option<Duration>, at: Duration) {
        if !self.is_asking() || !self.timeout_turns.is_due() {
            return;
        }
        let deadline = self.model.next_deadline().map(|(_, _, due)| due.saturating_sub(at));
        if let Some(guess) = self.ask(TIMEOUT_QUESTION, parse_timeout, at) {
            // The next line shows the timeout.
            let (is_timeout, is_deadline) = (guess.is_right(timeout), guess.is_right(deadline));
            let verdict = self.score.count(is_timeout || is_deadline);
            self.console
                .say(&format!("{verdict}{}", if is_deadline && !is_timeout { OLD_ENTRY } else { "" }));
        }
    }

    /// Asks a question until there is an answer. An empty one skips the question. Commands that do
    /// not run the loop are carried out meanwhile.
    fn ask<T>(
        &mut self,
        question: &str,
        parse: impl Fn(&str) -> Result<Option<T>, &'static str>,
        at: Duration,
    ) -> Option<T> {
        while self.is_asking() {
            let Some(answer) = self.console.read_line(question) else {
                self.quit();
                return None;
            };
            match parse(&answer) {
                Ok(guess) => return guess,
                Err(advice) => match Command::parse(&answer) {
                    Ok(Some(Command::Quit)) => self.quit(),
                    Ok(Some(Command::Run(_)) | None) | Err(_) => self.console.say(advice),
                    Ok(Some(command)) => {
                        let answer = self.answer(command, at);
                        self.console.say(&answer);
                    }
                },
            }
        }
        None
    }

    fn is_asking(&self) -> bool {
        self.has_quiz && self.until != RunUntil::Breakpoint && !self.is_over
    }

    /// Shows whether a prediction was right, once the loop has gone on.
    pub(super) fn judge(&mut self, source: SourceId, step: &Step) {
        self.judge_first(source, step);
        let Some((predicted, call, prediction)) = self.predicted else { return };
        if predicted == source
            && let Some(result) = CallResult::from_step(call, step)
        {
            self.predicted = None;
            self.console.say(&self.score.judge(prediction, result));
            return;
        }
        match step {
            Step::Closed { reason, .. } if predicted == source => {
                self.console.say(&format!("closed before the call ({reason}); not counted"))
            }
            Step::Waiting { .. } => self.console.say("the source made no such call; not counted"),
            _ => return,
        }
        self.predicted = None;
    }

    fn judge_first(&mut self, source: SourceId, step: &Step) {
        if matches!(step, Step::Woke { .. }) {
            return;
        }
        if let Some(predicted) = self.predicted_first.take()
            && !matches!(step, Step::Waiting { .. })
        {
            self.console
                .say(&format!("{}: {source} has its turn first", self.score.count(predicted == source)));
        }
    }

    pub(super) fn show_score(&self) {
        if self.score.asked > 0 {
            self.console.say(&self.score.to_string());
        }
    }
}
