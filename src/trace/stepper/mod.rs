//! The stepper, which stops the loop at a prompt and runs it as far as the user asks.
//!
//! The stepper is an [`Observer`] that blocks in [`Observer::on_step`] and reports how long it
//! blocked, so that no deadline comes nearer meanwhile. It stops the loop after the poll has
//! returned, before anything else is done. It never changes what the loop does.

mod asking;
mod breakpoints;
mod command;
mod console;
mod loop_quiz;
mod quiz;
mod sockets;
mod views;

use std::{io, os::fd::OwnedFd, time::Duration};

use rustix::process::{Signal, getpid, kill_process};

pub use self::{
    breakpoints::Breakpoints,
    command::{BREAKPOINT_HELP, Command, RunUntil, STATE_HELP},
    views::state,
};
use self::{
    command::help,
    console::Console,
    loop_quiz::{TimeoutTurns, has_several},
    quiz::{NextCall, Prediction, Score},
};
use super::{
    model::{Model, SourceState},
    observer::Observer,
    place::Place,
    sets,
    source_id::SourceId,
    step::Step,
    step_doc::TraceLevel,
    text::TraceLine,
};
use crate::clock::Stopwatch;

const PROMPT: &str = "step> ";

const GREETING: &str = "\
The loop is stopped before its first poll. Type t for one turn, h for help.
Then request a page from another terminal.";

const ASLEEP: &str = "(The loop sleeps until something is ready. Request a page, or type a command.)";

const ELSEWHERE: &str = "\
(The server's deadlines do not move while the loop is stopped. The clients,
the kernel's buffers and the backlog go on.)";

/// An observer that runs the loop step by step, as the user directs.
pub struct Stepper {
    console: Console,
    stopwatch: Stopwatch,
    /// How long the loop has been stopped since [`Observer::paused`] was last called.
    paused: Duration,
    /// How long the loop has been stopped in total.
    paused_in_all: Duration,
    model: Model,
    until: RunUntil,
    breakpoints: Breakpoints,
    has_quiz: bool,
    predicted: Option<(SourceId, NextCall, Prediction)>,
    /// The source that the user expects to have its turn first.
    predicted_first: Option<SourceId>,
    timeout_turns: TimeoutTurns,
    score: Score,
    place: Place,
    hints: Hints,
    is_over: bool,
}

/// The hints that have been shown. Each hint is shown only once.
#[derive(Default)]
struct Hints {
    has_greeted: bool,
    has_slept: bool,
    has_paused: bool,
}

impl Stepper {
    /// Creates a stepper that prompts at `terminal`. The server must handle signals, because the
    /// stepper stops the server with SIGTERM. `is_colored` says whether the output has colours.
    ///
    /// # Errors
    /// Fails if the signal handlers cannot be installed (sigaction(2)).
    pub fn from_terminal(terminal: OwnedFd, is_colored: bool) -> io::Result<Stepper> {
        Console::from_terminal(terminal, is_colored).map(Stepper::new)
    }

    /// Creates a stepper that reads one command from each line of `script`, and quits after the
    /// last. `is_colored` says whether the output has colours.
    ///
    /// # Errors
    /// Fails if the signal handlers cannot be installed (sigaction(2)).
    pub fn from_script(script: &str, is_colored: bool) -> io::Result<Stepper> {
        Console::from_script(script, is_colored).map(Stepper::new)
    }

    /// Returns a descriptor for the terminal, or `None` if the commands come from a script. The
    /// loop must poll the descriptor, so that a typed line wakes the loop.
    ///
    /// # Errors
    /// Fails if no file descriptor is available.
    pub fn terminal(&self) -> io::Result<Option<OwnedFd>> {
        self.console.descriptor()
    }

    fn new(console: Console) -> Stepper {
        Stepper {
            console,
            stopwatch: Stopwatch::start(),
            paused: Duration::ZERO,
            paused_in_all: Duration::ZERO,
            model: Model::keeping_bytes(),
            until: RunUntil::Turn,
            breakpoints: Breakpoints::default(),
            has_quiz: false,
            predicted: None,
            predicted_first: None,
            timeout_turns: TimeoutTurns::default(),
            score: Score::default(),
            place: Place::default(),
            hints: Hints::default(),
            is_over: false,
        }
    }

    /// Returns the time that has passed for the loop, not counting the time for which it was
    /// stopped.
    fn running_time(&self) -> Duration {
        self.stopwatch.elapsed().saturating_sub(self.paused_in_all)
    }

    /// Shows a step, stops there if a breakpoint or the last command requires a stop, and asks for
    /// a prediction.
    fn follow(&mut self, source: SourceId, step: &Step, at: Duration) {
        let breakpoint = self.breakpoints.find(source, step);
        let stops = breakpoint.is_some() || self.is_reached(source, step);
        if let Some((number, condition)) = breakpoint {
            self.console.say(&format!("breakpoint {number}: {condition}"));
        }
        if let Step::Waiting { timeout, .. } = step {
            self.ask_for_timeout(*timeout, at);
        }
        if stops || self.until != RunUntil::Breakpoint && *step != Step::TurnBegan {
            self.show(source, step, at);
        }
        self.judge(source, step);
        if stops {
            self.stop(at);
        }
        match step {
            Step::TurnBegan => self.ask_for_call(source, at),
            Step::Woke { ready, carried, .. } if has_several(ready, carried) => self.ask_for_first(at),
            _ => {}
        }
    }

    /// Returns whether the loop has run as far as the last command allows.
    fn is_reached(&self, source: SourceId, step: &Step) -> bool {
        match (self.until, step) {
            (RunUntil::Turn | RunUntil::Event | RunUntil::Io, Step::Woke { .. }) => true,
            // Check for typed lines before the loop sleeps, because the poller reports several
            // lines as one event.
            (RunUntil::Breakpoint, Step::Woke { .. } | Step::Waiting { .. })
            | (RunUntil::Turn | RunUntil::Event, Step::Waiting { .. }) => self.console.is_pending(),
            (RunUntil::Event, Step::TurnBegan) => true,
            (RunUntil::Io, _) => step.doc(source).is_some(),
            _ => false,
        }
    }

    fn show(&mut self, source: SourceId, step: &Step, at: Duration) {
        match step {
            Step::Woke { .. } => return self.console.say(&views::wake(&self.model, at)),
            Step::TurnBegan => {
                return self.console.say(&format!("#{} {source} has its turn", self.model.turn));
            }
            Step::Waiting { .. } => {
                TraceLine::fault(&self.model).iter().for_each(|line| self.console.say(&line.to_string()));
            }
            _ => {}
        }
        TraceLine::new(source, step, &self.model, at, TraceLevel::Io)
            .iter()
            .for_each(|line| self.console.say(&line.to_string()));
        if let Step::Waiting { timeout, .. } = step {
            self.hint_at_sleep(*timeout);
        }
    }

    /// Explains once why there is no prompt.
    fn hint_at_sleep(&mut self, timeout: Option<Duration>) {
        if timeout == Some(Duration::ZERO) || self.until == RunUntil::Io || self.console.is_pending() {
            return;
        }
        if !std::mem::replace(&mut self.hints.has_slept, true) {
            self.console.say(ASLEEP);
        }
    }

    /// Prompts for commands until one of them runs the loop.
    fn stop(&mut self, at: Duration) {
        self.prompt(at);
        if !self.is_over && !std::mem::replace(&mut self.hints.has_paused, true) {
            self.console.say(ELSEWHERE);
        }
    }

    fn greet(&mut self, at: Duration) {
        self.console.say(GREETING);
        self.prompt(at);
        self.hints.has_greeted = true;
    }

    fn prompt(&mut self, at: Duration) {
        let repeated = if self.until == RunUntil::Breakpoint { RunUntil::Turn } else { self.until };
        loop {
            let Some(line) = self.console.read_command(PROMPT) else { return self.quit() };
            match Command::parse(&line) {
                Err(advice) => self.console.say(&advice),
                Ok(None) => {
                    self.until = repeated;
                    return;
                }
                Ok(Some(Command::Run(until))) => {
                    self.until = until;
                    return;
                }
                Ok(Some(Command::Quit)) => return self.quit(),
                Ok(Some(command)) => {
                    let answer = self.answer(command, at);
                    self.console.say(&answer);
                }
            }
        }
    }

    /// Handles a command that does not run the loop, and returns the answer.
    fn answer(&mut self, command: Command, at: Duration) -> String {
        match command {
            Command::State(None) => {
                let score = Some(self.score).filter(|score| score.asked > 0);
                let score = score.map_or(String::new(), |score| format!("\n{score}"));
                views::states(&self.model, at) + &score
            }
            Command::State(Some(source)) => self.view(source, |state| views::state(source, state, at)),
            Command::Sets => sets::describe(&self.model),
            Command::List => self.place.listing(),
            Command::Buffers(source) => self.view(source, |state| views::buffers(source, state)),
            Command::Socket(source) => self.view(source, |state| match state.fd {
                Some(fd) => sockets::describe(source, fd),
                None => format!("{source}: its file descriptor is not known"),
            }),
            Command::Break(condition) => self.breakpoints.add(condition, self.model.turn),
            Command::Breakpoints => self.breakpoints.list(),
            Command::Delete(number) => self.breakpoints.delete(number),
            Command::Quiz(is_on) => {
                self.has_quiz = is_on;
                if is_on {
                    "quiz on: predict what each source's first call will do, and what the loop does next"
                        .into()
                } else {
                    "quiz off".into()
                }
            }
            Command::Help | Command::Run(_) | Command::Quit => help(),
        }
    }

    /// Returns what `view` shows of a source, or says that there is no such source.
    fn view(&self, source: SourceId, view: impl Fn(&SourceState) -> String) -> String {
        let unknown = || format!("{source}: no such source; p lists them");
        self.model.sources.get(&source).map_or_else(unknown, view)
    }

    /// Stops the server with SIGTERM, unless a signal has already arrived. A second signal would
    /// kill the process at once.
    fn quit(&mut self) {
        self.is_over = true;
        self.show_score();
        self.console.say("The server finishes the responses in progress and exits. Ctrl-C exits at once.");
        if !self.console.is_end_requested() {
            // This cannot fail, because a process may always signal itself.
            let _ = kill_process(getpid(), Signal::TERM);
        }
    }
}

impl Observer for Stepper {
    fn on_step(&mut self, source: SourceId, step: &Step) {
        if self.is_over {
            return;
        }
        let (began, at) = (self.stopwatch.elapsed(), self.running_time());
        self.model.apply(source, step, at);
        self.place = self.place.after(source, Some(step));
        if matches!(step, Step::Waiting { .. }) && !self.hints.has_greeted {
            self.greet(at);
        }
        if self.hints.has_greeted && !self.is_over {
            self.follow(source, step, at);
        }
        if matches!(step, Step::Closed { .. }) {
            self.model.forget(source);
        }
        let paused = self.stopwatch.elapsed().saturating_sub(began);
        self.paused += paused;
        self.paused_in_all += paused;
    }

    fn paused(&mut self) -> Duration {
        std::mem::take(&mut self.paused)
    }
}

/// Shows the score if the server stopped without the command `q`.
impl Drop for Stepper {
    fn drop(&mut self) {
        if !self.is_over {
            self.show_score();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picture_shows_what_is_printed() {
        let picture = include_str!("../../../docs/stepping.svg");
        let question = NextCall::Read.question(SourceId::Connection(1)).replace('>', "&gt;");
        for line in [GREETING, ASLEEP, ELSEWHERE, &question].iter().flat_map(|text| text.lines()) {
            assert!(picture.contains(line.trim()), "{line}: run docs/stepping.py");
        }
    }
}
