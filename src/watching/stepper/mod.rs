//! Stepping: the loop stands still while a person looks, and goes on as far as they say.
//!
//! An [`Observer`] that takes its time in [`Observer::see`], and says how much that was: no deadline comes nearer by it. It
//! stops where poll has returned and nothing is done yet, with the ready set in hand.

mod breakpoints;
mod command;
mod input;
mod quiz;
mod show;
mod sockets;

use std::{io, os::fd::OwnedFd, time::Duration};

use rustix::process::{Signal, getpid, kill_process};

use self::{
    breakpoints::Breakpoints,
    command::{Command, Go, HELP},
    input::{Input, say},
    quiz::{First, Outcome, Prediction, Score},
};
use super::{Level, Line, Model, Peer, glossary::word};
use crate::{
    clock::Stopwatch,
    observer::{Observer, Step, Who},
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
    input: Input,
    stopwatch: Stopwatch,
    /// How long it has kept the loop: since that was last asked, and ever.
    held: Duration,
    held_ever: Duration,
    model: Model,
    go: Go,
    breakpoints: Breakpoints,
    has_quiz: bool,
    predicted: Option<(Who, First, Prediction)>,
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
        Input::terminal(terminal).map(Stepper::with)
    }

    /// Takes its commands from the lines of `script`, and quits behind the last.
    ///
    /// # Errors
    /// Those of [`Stepper::at`].
    pub fn by(script: &str) -> io::Result<Stepper> {
        Input::script(script).map(Stepper::with)
    }

    /// What [wakes](crate::HttpServer::wake_by) the loop when somebody types.
    ///
    /// # Errors
    /// The system gives no more descriptors.
    pub fn terminal(&self) -> io::Result<Option<OwnedFd>> {
        self.input.descriptor()
    }

    fn with(input: Input) -> Stepper {
        Stepper {
            input,
            stopwatch: Stopwatch::start(),
            held: Duration::ZERO,
            held_ever: Duration::ZERO,
            model: Model::with_bytes(),
            go: Go::Turn,
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
    fn follow(&mut self, who: Who, step: &Step, at: Duration) {
        let breakpoint = self.breakpoints.met(who, step);
        let stops = breakpoint.is_some() || self.is_as_far_as_asked(who, step);
        if let Some((number, condition)) = breakpoint {
            say(&format!("breakpoint {number}: {condition}"));
        }
        if stops || self.go != Go::On && *step != Step::Begun {
            self.tell(who, step, at);
        }
        self.judge(who, step);
        if stops {
            self.stop(at);
        }
        if *step == Step::Begun && self.go != Go::On && !self.is_over {
            self.ask(who, at);
        }
    }

    fn is_as_far_as_asked(&self, who: Who, step: &Step) -> bool {
        match (self.go, step) {
            (_, Step::Woke { .. }) if self.go != Go::On => true,
            // Whoever types is heard before the loop sleeps: the poller tells of it once, and of several lines together.
            (Go::Turn | Go::Event | Go::On, Step::Woke { .. } | Step::Waiting { .. }) => {
                self.input.is_pending()
            }
            (Go::On, _) => false,
            (Go::Event, Step::Begun) => true,
            (Go::Io, _) => word(who, step).is_some(),
            _ => false,
        }
    }

    fn tell(&mut self, who: Who, step: &Step, at: Duration) {
        match step {
            Step::Woke { .. } => return say(&show::wake(&self.model, at)),
            Step::Begun => return say(&format!("#{} {who} has its turn", self.model.turn)),
            Step::Waiting { .. } => {
                Line::of_fault(&self.model).iter().for_each(|line| say(&line.to_string()));
            }
            _ => {}
        }
        Line::of(who, step, &self.model, at, Level::Io).iter().for_each(|line| say(&line.to_string()));
        if let Step::Waiting { timeout, .. } = step {
            self.hint_at_sleep(*timeout);
        }
    }

    /// Where there is no prompt, a person shall know why.
    fn hint_at_sleep(&mut self, timeout: Option<Duration>) {
        if timeout == Some(Duration::ZERO) || self.go == Go::Io || self.input.is_pending() {
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
        let repeated = if self.go == Go::On { Go::Turn } else { self.go };
        loop {
            let Some(line) = self.input.line(PROMPT) else { return self.quit() };
            match Command::parse(&line) {
                Err(mistake) => say(&mistake),
                Ok(None) => {
                    self.go = repeated;
                    return;
                }
                Ok(Some(Command::Go(go))) => {
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
                show::states(&self.model, at) + &score
            }
            Command::State(Some(who)) => self.of(who, |peer| show::state(who, peer, at)),
            Command::Buffers(who) => self.of(who, |peer| show::buffers(who, peer)),
            Command::Socket(who) => self.of(who, |peer| match peer.fd {
                Some(fd) => sockets::describe(who, fd),
                None => format!("the descriptor of {who} is not known"),
            }),
            Command::Break(condition) => self.breakpoints.add(condition, self.model.turn),
            Command::Breakpoints => self.breakpoints.list(),
            Command::Delete(number) => self.breakpoints.delete(number),
            Command::Quiz(is_on) => {
                self.has_quiz = is_on;
                if is_on { "before a call you are asked what it will do".into() } else { "quiz off".into() }
            }
            Command::Help | Command::Go(_) | Command::Quit => HELP.into(),
        }
    }

    fn of(&self, who: Who, tell: impl Fn(&Peer) -> String) -> String {
        let nobody = || format!("{who} is not there; p lists who is");
        self.model.peers.get(&who).map_or_else(nobody, tell)
    }

    /// Asks what the first call of `who` will do, where that is sure. Who looks around first is asked again.
    fn ask(&mut self, who: Who, at: Duration) {
        let Some(first) = First::of(who, &self.model) else { return };
        while self.has_quiz {
            let Some(answer) = self.input.line(&first.question(who)) else { return self.quit() };
            match first.predict(&answer) {
                Ok(prediction) => {
                    self.predicted = prediction.map(|prediction| (who, first, prediction));
                    return;
                }
                Err(advice) => match Command::parse(&answer) {
                    Ok(Some(Command::Quit)) => return self.quit(),
                    Ok(Some(Command::Go(_)) | None) | Err(_) => say(advice),
                    Ok(Some(command)) => say(&self.answer(command, at)),
                },
            }
        }
    }

    /// Says whether the prediction was right, once the call was made.
    fn judge(&mut self, who: Who, step: &Step) {
        let Some((predicted, first, prediction)) = self.predicted else { return };
        if predicted == who
            && let Some(outcome) = Outcome::of(first, step)
        {
            self.predicted = None;
            say(&self.score.judge(prediction, outcome));
            return;
        }
        match step {
            Step::Closed { why, .. } if predicted == who => {
                say(&format!("neither: {why}; it is not counted"))
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
    fn see(&mut self, who: Who, step: &Step) {
        if self.is_over {
            return;
        }
        let (began, at) = (self.stopwatch.elapsed(), self.now());
        self.model.note(who, step, at);
        if matches!(step, Step::Waiting { .. }) && !self.hints.has_greeted {
            self.greet(at);
        }
        if self.hints.has_greeted && !self.is_over {
            self.follow(who, step, at);
        }
        if matches!(step, Step::Closed { .. }) {
            self.model.forget(who);
        }
        let held = self.stopwatch.elapsed().saturating_sub(began);
        self.held += held;
        self.held_ever += held;
    }

    fn held(&mut self) -> Duration {
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
