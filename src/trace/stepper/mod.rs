//! Stepping: the loop stands still while a person looks, and goes on as far as they say.
//!
//! An [`Observer`] that takes its time in [`Observer::see`], and says how much that was: no deadline comes nearer by it. It
//! stops where poll has returned and nothing is done yet, with the ready set in hand.

mod breakpoints;
mod command;
mod console;
mod quiz;
mod sockets;
mod views;

use std::{io, os::fd::OwnedFd, time::Duration};

use rustix::process::{Signal, getpid, kill_process};

use self::{
    breakpoints::Breakpoints,
    command::{Command, HELP, RunUntil},
    console::{Console, say},
    quiz::{CallResult, NextCall, Prediction, Score},
};
use super::{Model, SourceState, TraceLevel, TraceLine, glossary::doc};
use crate::{
    clock::Stopwatch,
    trace::{Observer, SourceId, Step},
};

const PROMPT: &str = "step> ";

const GREETING: &str = "\
The loop stands still before its first poll: t lets it turn, h is help.
Then ask it for a page from another terminal.";

const ASLEEP: &str = "(It sleeps until something is ready: ask for a page, or type.)";

const ELSEWHERE: &str = "\
(While you looked, the server's deadlines stood still. Clients' clocks,
kernel buffers and the backlog did not.)";

/// Lets a person step the loop.
pub struct Stepper {
    input: Console,
    stopwatch: Stopwatch,
    /// How long it has kept the loop: since that was last asked, and ever.
    held: Duration,
    held_ever: Duration,
    model: Model,
    go: RunUntil,
    breakpoints: Breakpoints,
    has_quiz: bool,
    predicted: Option<(SourceId, NextCall, Prediction)>,
    score: Score,
    hints: Hints,
    is_over: bool,
}

/// What is said once.
#[derive(Default)]
struct Hints {
    has_greeted: bool,
    has_slept: bool,
    has_looked: bool,
}

impl Stepper {
    /// Asks at a terminal. The server must heed signals: SIGTERM is how it is told to end.
    ///
    /// # Errors
    /// The system does not give the signals.
    pub fn at(terminal: OwnedFd) -> io::Result<Stepper> {
        Console::terminal(terminal).map(Stepper::with)
    }

    /// Takes its commands from the lines of `script`, and quits behind the last.
    ///
    /// # Errors
    /// Those of [`Stepper::at`].
    pub fn by(script: &str) -> io::Result<Stepper> {
        Console::script(script).map(Stepper::with)
    }

    /// What [wakes](crate::HttpServer::wake_by) the loop when somebody types.
    ///
    /// # Errors
    /// The system gives no more descriptors.
    pub fn terminal(&self) -> io::Result<Option<OwnedFd>> {
        self.input.descriptor()
    }

    fn with(input: Console) -> Stepper {
        Stepper {
            input,
            stopwatch: Stopwatch::start(),
            held: Duration::ZERO,
            held_ever: Duration::ZERO,
            model: Model::with_bytes(),
            go: RunUntil::Turn,
            breakpoints: Breakpoints::default(),
            has_quiz: false,
            predicted: None,
            score: Score::default(),
            hints: Hints::default(),
            is_over: false,
        }
    }

    /// The time that has passed for the loop.
    fn now(&self) -> Duration {
        self.stopwatch.elapsed().saturating_sub(self.held_ever)
    }

    /// Tells of a step, stops there if that was asked for, and asks for a prediction.
    fn follow(&mut self, id: SourceId, step: &Step, at: Duration) {
        let breakpoint = self.breakpoints.met(id, step);
        let stops = breakpoint.is_some() || self.is_as_far_as_asked(id, step);
        if let Some((number, condition)) = breakpoint {
            say(&format!("breakpoint {number}: {condition}"));
        }
        if stops || self.go != RunUntil::On && *step != Step::TurnBegan {
            self.tell(id, step, at);
        }
        self.judge(id, step);
        if stops {
            self.stop(at);
        }
        if *step == Step::TurnBegan && self.go != RunUntil::On && !self.is_over {
            self.ask(id, at);
        }
    }

    fn is_as_far_as_asked(&self, id: SourceId, step: &Step) -> bool {
        match (self.go, step) {
            (_, Step::Woke { .. }) if self.go != RunUntil::On => true,
            // Whoever types is heard before the loop sleeps: the poller tells of it once, and of several lines together.
            (RunUntil::Turn | RunUntil::Event | RunUntil::On, Step::Woke { .. } | Step::Waiting { .. }) => {
                self.input.is_pending()
            }
            (RunUntil::On, _) => false,
            (RunUntil::Event, Step::TurnBegan) => true,
            (RunUntil::Io, _) => doc(id, step).is_some(),
            _ => false,
        }
    }

    fn tell(&mut self, id: SourceId, step: &Step, at: Duration) {
        match step {
            Step::Woke { .. } => return say(&views::wake(&self.model, at)),
            Step::TurnBegan => return say(&format!("#{} {id} has its turn", self.model.turn)),
            Step::Waiting { .. } => {
                TraceLine::of_fault(&self.model).iter().for_each(|line| say(&line.to_string()));
            }
            _ => {}
        }
        TraceLine::of(id, step, &self.model, at, TraceLevel::Io)
            .iter()
            .for_each(|line| say(&line.to_string()));
        if let Step::Waiting { timeout, .. } = step {
            self.hint_at_sleep(*timeout);
        }
    }

    /// Where there is no prompt, a person shall know why.
    fn hint_at_sleep(&mut self, timeout: Option<Duration>) {
        if timeout == Some(Duration::ZERO) || self.go == RunUntil::Io || self.input.is_pending() {
            return;
        }
        if !std::mem::replace(&mut self.hints.has_slept, true) {
            say(ASLEEP);
        }
    }

    /// Stands still until the loop shall go on.
    fn stop(&mut self, at: Duration) {
        self.prompt(at);
        if !self.is_over && !std::mem::replace(&mut self.hints.has_looked, true) {
            say(ELSEWHERE);
        }
    }

    fn greet(&mut self, at: Duration) {
        say(GREETING);
        self.prompt(at);
        self.hints.has_greeted = true;
    }

    fn prompt(&mut self, at: Duration) {
        let repeated = if self.go == RunUntil::On { RunUntil::Turn } else { self.go };
        loop {
            let Some(line) = self.input.line(PROMPT) else { return self.quit() };
            match Command::parse(&line) {
                Err(mistake) => say(&mistake),
                Ok(None) => {
                    self.go = repeated;
                    return;
                }
                Ok(Some(Command::RunUntil(go))) => {
                    self.go = go;
                    return;
                }
                Ok(Some(Command::Quit)) => return self.quit(),
                Ok(Some(command)) => say(&self.answer(command, at)),
            }
        }
    }

    /// Answers what lets the loop stand where it is.
    fn answer(&mut self, command: Command, at: Duration) -> String {
        match command {
            Command::State(None) => {
                let score = Some(self.score).filter(|score| score.asked > 0);
                let score = score.map_or(String::new(), |score| format!("\n{score}"));
                views::states(&self.model, at) + &score
            }
            Command::State(Some(id)) => self.of(id, |peer| views::state(id, peer, at)),
            Command::Buffers(id) => self.of(id, |peer| views::buffers(id, peer)),
            Command::Socket(id) => self.of(id, |peer| match peer.fd {
                Some(fd) => sockets::describe(id, fd),
                None => format!("the descriptor of {id} is not known"),
            }),
            Command::Break(condition) => self.breakpoints.add(condition, self.model.turn),
            Command::Breakpoints => self.breakpoints.list(),
            Command::Delete(number) => self.breakpoints.delete(number),
            Command::Quiz(is_on) => {
                self.has_quiz = is_on;
                if is_on { "before a call you are asked what it will do".into() } else { "quiz off".into() }
            }
            Command::Help | Command::RunUntil(_) | Command::Quit => HELP.into(),
        }
    }

    fn of(&self, id: SourceId, tell: impl Fn(&SourceState) -> String) -> String {
        let nobody = || format!("{id} is not there; p lists who is");
        self.model.sources.get(&id).map_or_else(nobody, tell)
    }

    /// Asks what the first call of `id` will do, where that is sure. Who looks around first is asked again.
    fn ask(&mut self, id: SourceId, at: Duration) {
        let Some(first) = NextCall::of(id, &self.model) else { return };
        while self.has_quiz {
            let Some(answer) = self.input.line(&first.question(id)) else { return self.quit() };
            match first.predict(&answer) {
                Ok(prediction) => {
                    self.predicted = prediction.map(|prediction| (id, first, prediction));
                    return;
                }
                Err(advice) => match Command::parse(&answer) {
                    Ok(Some(Command::Quit)) => return self.quit(),
                    Ok(Some(Command::RunUntil(_)) | None) | Err(_) => say(advice),
                    Ok(Some(command)) => say(&self.answer(command, at)),
                },
            }
        }
    }

    /// Says whether the prediction was right, once the call was made.
    fn judge(&mut self, id: SourceId, step: &Step) {
        let Some((predicted, first, prediction)) = self.predicted else { return };
        if predicted == id
            && let Some(outcome) = CallResult::of(first, step)
        {
            self.predicted = None;
            say(&self.score.judge(prediction, outcome));
            return;
        }
        match step {
            Step::Closed { reason, .. } if predicted == id => {
                say(&format!("neither: {reason}; it is not counted"))
            }
            Step::Waiting { .. } => say("no such call was made; it is not counted"),
            _ => return,
        }
        self.predicted = None;
    }

    /// Lets the server end in good order, by the signal that asks for it. A second one would end it at once.
    fn quit(&mut self) {
        self.is_over = true;
        self.tell_score();
        say("The server finishes the responses under way, and ends; Ctrl-C ends it at once.");
        if !self.input.is_asked_to_end() {
            // Fails never: a process may signal itself.
            let _ = kill_process(getpid(), Signal::TERM);
        }
    }

    fn tell_score(&self) {
        if self.score.asked > 0 {
            say(&self.score.to_string());
        }
    }
}

impl Observer for Stepper {
    fn see(&mut self, id: SourceId, step: &Step) {
        if self.is_over {
            return;
        }
        let (began, at) = (self.stopwatch.elapsed(), self.now());
        self.model.trace(id, step, at);
        if matches!(step, Step::Waiting { .. }) && !self.hints.has_greeted {
            self.greet(at);
        }
        if self.hints.has_greeted && !self.is_over {
            self.follow(id, step, at);
        }
        if matches!(step, Step::Closed { .. }) {
            self.model.forget(id);
        }
        let held = self.stopwatch.elapsed().saturating_sub(began);
        self.held += held;
        self.held_ever += held;
    }

    fn paused(&mut self) -> Duration {
        std::mem::take(&mut self.held)
    }
}

/// A server that ended otherwise.
impl Drop for Stepper {
    fn drop(&mut self) {
        if !self.is_over {
            self.tell_score();
        }
    }
}
