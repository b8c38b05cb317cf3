//! Steps through a recording, forwards and backwards.
//!
//! A run is a list of steps, so the state of the loop after any of them can be made again. The
//! model takes the steps from the beginning up to there. Nothing here runs a loop or does I/O.

pub(super) mod recording;

use self::recording::RecordedStep;
use super::{
    model::Model,
    place::Place,
    sets,
    source_id::SourceId,
    step::Step,
    step_doc::StepDoc,
    stepper::{BREAKPOINT_HELP, Breakpoints, Command, RunUntil, STATE_HELP, state},
};

/// The commands of `h` that move through the recording.
const MOVE_HELP: &str = "\
t            turn: go to the next wake-up            (Enter repeats the last command that moves)
e            event: go to the next source's turn
i            io: go to the next call or decision
c            continue: go to a breakpoint, or to the end
back         go back to the previous wake-up; back e, back i, back c go back as e, i, c go forward";

const GREETING: &str = "The recording is at its beginning. Type t for one turn, h for help.";
const AT_END: &str = "(This is the end of the recording. Type back to go back.)";
const AT_BEGINNING: &str = "(This is the beginning of the recording.)";
const NOT_RECORDED: &str = "a recording has no bytes and no sockets; x, s and quiz work with --step";

/// A recording, and the place in it that is shown.
pub struct Replay {
    steps: Vec<RecordedStep>,
    /// The number of steps that have been taken.
    taken: usize,
    model: Model,
    place: Place,
    breakpoints: Breakpoints,
    last: Move,
}

/// How to move: how far, and in which direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Move {
    until: RunUntil,
    is_back: bool,
}

impl Replay {
    /// Reads the text of a recording that [`ChromeTrace`](super::ChromeTrace) has made. It may lack
    /// its end. `service_docs` describe the steps that services add.
    ///
    /// # Errors
    /// Fails if the text is not a recording. The message says what to do.
    pub fn new(text: &str, service_docs: &[&'static StepDoc]) -> Result<Replay, String> {
        Ok(Replay {
            steps: recording::read(text, service_docs)?,
            taken: 0,
            model: Model::default(),
            place: Place::default(),
            breakpoints: Breakpoints::default(),
            last: Move { until: RunUntil::Turn, is_back: false },
        })
    }

    /// Returns what to print before the first prompt.
    pub fn greeting(&self) -> String {
        let turns = self.steps.iter().filter(|step| matches!(step.step, Some(Step::Woke { .. }))).count();
        format!("{turns} turns, {} steps. {GREETING}", self.steps.len())
    }

    /// Carries out a command and returns what to print, or `None` if the command is `q`.
    pub fn execute(&mut self, line: &str) -> Option<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let ["back", how @ ..] = &words[..] {
            return Some(self.execute_back(how));
        }
        Some(match Command::parse(line) {
            Err(advice) => format!("{advice} (and back)"),
            Ok(None) => self.go(self.last),
            Ok(Some(Command::Run(until))) => self.go(Move { until, is_back: false }),
            Ok(Some(Command::State(None))) => self.states(),
            Ok(Some(Command::State(Some(source)))) => match self.model.sources.get(&source) {
                Some(known) => state(source, known, self.at()),
                None => format!("{source}: no such source; p lists them"),
            },
            Ok(Some(Command::Sets)) => sets::describe(&self.model),
            Ok(Some(Command::List)) => self.place.listing(),
            Ok(Some(Command::Buffers(_) | Command::Socket(_) | Command::Quiz(_))) => NOT_RECORDED.into(),
            Ok(Some(Command::Break(condition))) => self.breakpoints.add(condition, 0),
            Ok(Some(Command::Breakpoints)) => self.breakpoints.list(),
            Ok(Some(Command::Delete(number))) => self.breakpoints.delete(number),
            Ok(Some(Command::Help)) => {
                format!("{MOVE_HELP}\n{STATE_HELP}\n{BREAKPOINT_HELP}\nq            quit")
            }
            Ok(Some(Command::Quit)) => return None,
        })
    }

    fn execute_back(&mut self, how: &[&str]) -> String {
        let until = match how {
            [] => RunUntil::Turn,
            [one] => match Command::parse(one) {
                Ok(Some(Command::Run(until))) => until,
                _ => return "type back, back e, back i or back c".into(),
            },
            _ => return "type back, back e, back i or back c".into(),
        };
        self.go(Move { until, is_back: true })
    }

    fn go(&mut self, how: Move) -> String {
        self.last = how;
        if how.is_back { self.go_back(how.until) } else { self.go_on(how.until) }
    }

    /// Takes steps until one of them ends the move, and returns their lines.
    fn go_on(&mut self, until: RunUntil) -> String {
        let mut lines = Vec::new();
        while self.taken < self.steps.len() {
            self.take();
            let index = self.taken - 1;
            let breakpoint = self.breakpoint(index);
            lines.extend(breakpoint.iter().cloned());
            let is_end = breakpoint.is_some() || self.ends(index, until);
            if is_end || until != RunUntil::Breakpoint {
                lines.extend(self.line(index));
            }
            if is_end {
                return lines.join("\n");
            }
        }
        lines.push(AT_END.into());
        lines.join("\n")
    }

    /// Goes back to the last step before this one that ends such a move.
    fn go_back(&mut self, until: RunUntil) -> String {
        let current = self.taken.saturating_sub(1);
        let is_end = |index: &usize| self.ends(*index, until) || self.breakpoint(*index).is_some();
        let found = (0..current).rev().find(is_end);
        // The model knows no way back, so it begins again.
        (self.model, self.place, self.taken) = (Model::default(), Place::default(), 0);
        let Some(index) = found else { return AT_BEGINNING.into() };
        (0..=index).for_each(|_| self.take());
        self.breakpoint(index).into_iter().chain(self.line(index)).collect::<Vec<_>>().join("\n")
    }

    /// Takes the next step.
    fn take(&mut self) {
        let Some(RecordedStep { source, at, step, .. }) = self.steps.get(self.taken) else { return };
        self.taken += 1;
        self.place = self.place.after(*source, step.as_ref());
        if let Some(step) = step {
            self.model.apply(*source, step, *at);
            if matches!(step, Step::Closed { .. }) {
                self.model.forget(*source);
            }
        }
    }

    /// Returns whether the step ends a move, apart from breakpoints.
    fn ends(&self, index: usize, until: RunUntil) -> bool {
        let RecordedStep { step, line, .. } = &self.steps[index];
        match (until, step) {
            (RunUntil::Turn | RunUntil::Event | RunUntil::Io, Some(Step::Woke { .. })) => true,
            (RunUntil::Event, Some(Step::TurnBegan)) => true,
            (RunUntil::Io, _) => !line.is_empty(),
            _ => false,
        }
    }

    /// Returns the message for a breakpoint at the step, if there is one.
    fn breakpoint(&self, index: usize) -> Option<String> {
        let RecordedStep { source, step, .. } = &self.steps[index];
        let (number, condition) = self.breakpoints.find(*source, step.as_ref()?)?;
        Some(format!("breakpoint {number}: {condition}"))
    }

    /// Returns the line of the step. The model must be at its turn.
    fn line(&self, index: usize) -> Option<String> {
        let RecordedStep { source, step, line, .. } = &self.steps[index];
        let turn = self.model.turn;
        match step {
            Some(Step::TurnBegan) => Some(format!("#{turn} {source} has its turn")),
            _ if line.is_empty() => None,
            _ => Some(format!("#{turn} {line}")),
        }
    }

    /// Returns the time of the last step.
    fn at(&self) -> std::time::Duration {
        self.taken.checked_sub(1).map_or_else(Default::default, |index| self.steps[index].at)
    }

    fn states(&self) -> String {
        let (turn, open, at) = (self.model.turn, self.model.open_connections(), self.at());
        let mut lines = vec![format!("loop turn={turn} open={open} at={:.6}s", at.as_secs_f64())];
        let sources = self.model.sources.iter();
        lines.extend(sources.map(|(source, known): (&SourceId, _)| state(*source, known, at)));
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::testing::RECORDING;

    fn replay() -> Replay {
        Replay::new(RECORDING, &[]).expect("a recording")
    }

    fn run(replay: &mut Replay, command: &str) -> String {
        replay.execute(command).expect("an answer")
    }

    #[test]
    fn replay_goes_forward_as_the_stepper_does() {
        let mut replay = replay();
        assert!(replay.greeting().starts_with("3 turns, "), "{}", replay.greeting());
        let first = "#0 L1 bind 127.0.0.1:8 fd=3\n#0 loop wait timeout=never carried=0\n\
                     #1 loop wake slept=9us kernel=1 carried=0 L1[R]";
        assert_eq!(run(&mut replay, "t"), first);
        assert_eq!(run(&mut replay, "p sets"), "rlist={L1} wlist={} -> rs={L1} ws={}");
        let second = run(&mut replay, "");
        assert!(second.starts_with("#1 L1 accept -> c1 127.0.0.1:9 fd=4 open=1\n#1 L1 accept -> WouldBlock"));
        assert_eq!(run(&mut replay, "e"), "#2 c1 has its turn");
        assert_eq!(run(&mut replay, "i"), "#2 c1 read 65536 -> 30 buf=30");
        assert_eq!(run(&mut replay, "p c1"), "c1 HEAD in=30 out=0/0 interest=R turns=1");
        assert_eq!(run(&mut replay, "i"), "#2 c1 parse GET / HTTP/1.1 len=30 leftover=0");
        assert!(run(&mut replay, "c").ends_with(AT_END));
        assert!(run(&mut replay, "p").starts_with("loop turn=3 open=0 at=0.0000"), "c1 has closed");
        assert!(replay.execute("q").is_none());
    }

    #[test]
    fn replay_goes_back_and_has_the_state_of_then() {
        let mut replay = replay();
        run(&mut replay, "c");
        assert!(run(&mut replay, "back").starts_with("#3 loop wake"));
        assert_eq!(run(&mut replay, "p c1"), "c1 BLOCKED in=0 out=200/300 interest=RW turns=1");
        assert!(run(&mut replay, "p sets").starts_with("rlist={L1,c1} wlist={c1} -> rs={c1}"));
        assert!(run(&mut replay, "back i").starts_with("#2 loop wait timeout=60"));
        assert_eq!(run(&mut replay, "back e"), "#2 c1 has its turn");
        assert_eq!(run(&mut replay, "p c1"), "c1 IDLE in=0 out=0/0 interest=R turns=1");
        assert!(run(&mut replay, "back").starts_with("#2 loop wake"));
        assert!(run(&mut replay, "").starts_with("#1 loop wake"), "Enter goes back as well");
        assert_eq!(run(&mut replay, ""), AT_BEGINNING);
        assert_eq!(run(&mut replay, "back"), AT_BEGINNING);
        assert!(run(&mut replay, "t").ends_with("L1[R]"), "and forward again");
    }

    #[test]
    fn replay_stops_at_breakpoints_in_both_directions() {
        let mut replay = replay();
        run(&mut replay, "b partial");
        let partial = "breakpoint 1: partial\n#2 c1 write 300 -> 200 by=write sent=200/300";
        assert_eq!(run(&mut replay, "c"), partial);
        assert!(run(&mut replay, "c").ends_with(AT_END));
        assert_eq!(run(&mut replay, "back c"), partial);
        assert_eq!(run(&mut replay, "back c"), AT_BEGINNING);
    }

    #[test]
    fn replay_reads_a_recording_without_its_end_but_not_one_with_a_wrong_line() {
        let steps = replay().steps.len();
        let whole = format!("{},\n]\n", RECORDING.rsplit_once(",\n").expect("lines").0);
        assert_eq!(Replay::new(&whole, &[]).expect("a recording").steps.len(), steps);
        let wrong = RECORDING.replacen("{\"ph\":\"E\"", "{\"ph\":\"E", 1);
        let number = 1 + wrong.lines().position(|line| line.starts_with("{\"ph\":\"E,")).expect("the line");
        let error = Replay::new(&wrong, &[]).err().expect("an error");
        assert!(error.starts_with(&format!("line {number} is not an event")), "{error}");
    }

    #[test]
    fn replay_refuses_what_is_not_a_recording_and_not_recorded() {
        for text in ["", "{}", "hello", "[\n]\n", "[\n{\"ph\":\"M\"}\n]"] {
            assert!(Replay::new(text, &[]).is_err(), "{text}");
        }
        let mut replay = replay();
        for command in ["x c1", "s c1", "quiz on"] {
            assert_eq!(run(&mut replay, command), NOT_RECORDED);
        }
        assert!(run(&mut replay, "back x").contains("back e"));
        assert!(run(&mut replay, "nonsense").contains("not a command"));
        assert!(run(&mut replay, "p c9").contains("no such source"));
    }

    #[test]
    fn replay_shows_no_terminal_controls() {
        let text = RECORDING.replace("GET / HTTP/1.1", "\\u001b[2J");
        let mut replay = Replay::new(&text, &[]).expect("a recording");
        let output = run(&mut replay, "c") + &run(&mut replay, "back t") + &run(&mut replay, "back i");
        (0..20).for_each(|_| drop(run(&mut replay, "back i")));
        let lines: String = replay.steps.iter().map(|step| step.line.as_str()).collect();
        assert!((output + &lines).chars().all(|c| c == '\n' || (' '..='~').contains(&c)), "{lines}");
    }

    #[test]
    fn list_marks_the_call_of_a_step_that_the_model_does_not_use() {
        let signals = "{\"name\":\"signals R\",\"ph\":\"B\",\"ts\":40,\"pid\":1,\"tid\":1,\"args\":{}},\n\
                       {\"name\":\"signal\",\"ph\":\"X\",\"ts\":40,\"dur\":1,\"pid\":1,\"tid\":1,\"args\":{\"number\":10}},\n\
                       {\"ph\":\"E\",\"ts\":41,\"pid\":1,\"tid\":1,\"args\":{}},\n";
        let next = "{\"name\":\"c1 R rc\"";
        let text = RECORDING.replace(next, &format!("{signals}{next}"));
        assert!(text != RECORDING, "the place is found");
        let mut replay = Replay::new(&text, &[]).expect("a recording");
        let marked = |replay: &mut Replay| {
            let listing = run(replay, "l");
            listing.lines().find(|line| line.contains("=>  ")).map(|line| line[8..].trim().to_owned())
        };
        assert!(run(&mut replay, "i").contains("L1 bind"));
        assert_eq!(marked(&mut replay).as_deref(), Some("self.wait()?;"), "no turn has begun");
        (0..3).for_each(|_| drop(run(&mut replay, "t")));
        assert!(run(&mut replay, "i").contains("signals signal"));
        assert!(marked(&mut replay).is_some_and(|line| line.contains("self.on_signals(key)")));
    }
}
