//! The commands at the stepper's prompt, and the conditions of its breakpoints.

use crate::trace::{SourceId, Step};

/// A command at the stepper's prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Runs the loop.
    Run(RunUntil),
    /// Shows the state of one source, or of all sources.
    State(Option<SourceId>),
    /// Shows the sets of the poll.
    Sets,
    /// Shows the lines of the loop, and where it stands.
    List,
    /// Shows the buffers of a source.
    Buffers(SourceId),
    /// Shows what the system knows about a source's socket.
    Socket(SourceId),
    /// Adds a breakpoint.
    Break(Condition),
    /// Lists the breakpoints.
    Breakpoints,
    /// Deletes the breakpoint with this number.
    Delete(usize),
    /// Turns the quiz on or off.
    Quiz(bool),
    /// Lists the commands.
    Help,
    /// Stops the server.
    Quit,
}

/// How far the loop runs before the stepper stops it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunUntil {
    /// Up to the next wake-up.
    Turn,
    /// Up to the next source's turn.
    Event,
    /// Up to the next call or decision.
    Io,
    /// Up to a breakpoint.
    Breakpoint,
}

/// The condition of a breakpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The turn of this source starts.
    Turn(SourceId),
    /// A connection is accepted.
    Accept,
    /// A write takes some of the bytes offered.
    Partial,
    /// A call would block.
    WouldBlock,
    /// A peer has closed its side.
    Eof,
    /// A deadline passes.
    Deadline,
    /// A source is closed.
    Close,
    /// A datagram is received or sent.
    Udp,
    /// The loop wakes up for the turn with this number.
    Number(u64),
}

/// The commands of `h` that run the loop.
const RUN_HELP: &str = "\
t            turn: run to the next wake-up          (Enter repeats the last of t e i c)
e            event: run to the next source's turn
i            io: run to the next call or decision
c            continue: run to a breakpoint; Enter stops at the next wake-up";
/// The commands of `h` that print the state of the loop.
pub const STATE_HELP: &str = "\
p, p c3      print the state of all sources, or of one
p sets       print rlist and wlist, and rs and ws, as select() has them
l            list the lines of the loop, with an arrow at the current one";
/// The commands of `h` that need the sources themselves.
const SOURCE_HELP: &str = "\
x c3         show its buffers: unparsed input, the head of the last response
s c3         show its socket: file descriptor, addresses, options";
/// The commands of `h` about breakpoints.
pub const BREAKPOINT_HELP: &str = "\
b COND       add a breakpoint: c3 accept partial wouldblock eof deadline close udp turn=40
b, d N       list the breakpoints, delete one
             gdb's names work as well: n s finish print list info break delete";
/// The other commands of `h`.
const OTHER_HELP: &str = "\
quiz on|off  predict what a call will do, then see
q            quit: finish the responses in progress first";

/// Returns the answer to the command `h`.
pub fn help() -> String {
    [RUN_HELP, STATE_HELP, SOURCE_HELP, BREAKPOINT_HELP, OTHER_HELP].join("\n")
}

const COMMANDS: &str = "type t, e, i or c to run; p, l, x c3 or s c3 to inspect; b, d, quiz, h or q";
const CONDITIONS: &str =
    "break at a source such as c3, or at accept, partial, wouldblock, eof, deadline, close, udp, turn=40";

impl Command {
    /// Parses a line. Returns `None` for an empty line, which repeats the last [`Command::Run`].
    ///
    /// # Errors
    /// Fails if the line is not a valid command. The message says what to type instead.
    pub fn parse(line: &str) -> Result<Option<Command>, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        Ok(Some(match words[..] {
            [] => return Ok(None),
            ["t" | "turn" | "n" | "next"] => Command::Run(RunUntil::Turn),
            ["e" | "event" | "fin" | "finish"] => Command::Run(RunUntil::Event),
            ["i" | "io" | "s" | "step"] => Command::Run(RunUntil::Io),
            ["c" | "continue"] => Command::Run(RunUntil::Breakpoint),
            ["l" | "list"] => Command::List,
            ["info", "b" | "breakpoints"] => Command::Breakpoints,
            ["info"] => return Err("info of what? info b, info sets, info sources, info c3".into()),
            ["p" | "print"] | ["info", "sources" | "connections"] => Command::State(None),
            ["p" | "print" | "info", "sets"] => Command::Sets,
            ["p" | "print" | "info", name] => Command::State(Some(name.parse()?)),
            ["x", name] => Command::Buffers(name.parse()?),
            ["x"] => return Err("x needs a source: x c3".into()),
            ["s", name] => Command::Socket(name.parse()?),
            ["b" | "break"] => Command::Breakpoints,
            ["b" | "break", condition] => Command::Break(Condition::parse(condition)?),
            ["d" | "delete", number] => Command::Delete(
                number.parse().map_err(|_| "d takes the number of a breakpoint; b lists them")?,
            ),
            ["d" | "delete"] => return Err("d needs the number of a breakpoint: d 1; b lists them".into()),
            ["quiz", "on"] => Command::Quiz(true),
            ["quiz", "off"] => Command::Quiz(false),
            ["quiz", ..] => return Err("type quiz on or quiz off".into()),
            ["h" | "help" | "?"] => Command::Help,
            ["q" | "quit" | "exit"] => Command::Quit,
            _ => return Err(format!("'{}' is not a command: {COMMANDS}", line.trim().escape_debug())),
        }))
    }
}

impl Condition {
    fn parse(text: &str) -> Result<Condition, String> {
        if let Some(number) = text.strip_prefix("turn=") {
            return number.parse().map(Condition::Number).map_err(|_| "turn= needs a number: turn=40".into());
        }
        Ok(match text {
            "accept" => Condition::Accept,
            "partial" => Condition::Partial,
            "wouldblock" => Condition::WouldBlock,
            "eof" => Condition::Eof,
            "deadline" => Condition::Deadline,
            "close" => Condition::Close,
            "udp" => Condition::Udp,
            name => Condition::Turn(name.parse().map_err(|_| CONDITIONS)?),
        })
    }

    /// Returns whether `step`, taken by `source`, meets the condition.
    pub fn is_met(self, source: SourceId, step: &Step) -> bool {
        match self {
            Condition::Turn(awaited) => matches!(step, Step::TurnBegan) && source == awaited,
            Condition::Accept => matches!(step, Step::Accepted { .. }),
            Condition::Partial => matches!(step, Step::Wrote { offered, got, .. } if got < offered),
            Condition::WouldBlock => {
                matches!(step, Step::Blocked { .. } | Step::Drained | Step::BacklogEmpty)
            }
            Condition::Eof => matches!(step, Step::EndOfInput),
            Condition::Deadline => matches!(step, Step::Deadline { .. }),
            Condition::Close => matches!(step, Step::Closed { .. }),
            Condition::Udp => matches!(step, Step::Received { .. } | Step::Sent { .. }),
            Condition::Number(number) => matches!(step, Step::Woke { turn, .. } if *turn == number),
        }
    }
}

/// Formats the condition as the user types it.
impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Condition::Turn(source) => source.fmt(f),
            Condition::Accept => f.write_str("accept"),
            Condition::Partial => f.write_str("partial"),
            Condition::WouldBlock => f.write_str("wouldblock"),
            Condition::Eof => f.write_str("eof"),
            Condition::Deadline => f.write_str("deadline"),
            Condition::Close => f.write_str("close"),
            Condition::Udp => f.write_str("udp"),
            Condition::Number(number) => write!(f, "turn={number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        close_reason::CloseReason,
        trace::{PauseReason, SendCall},
    };

    #[test]
    fn command_is_parsed() {
        let c3 = SourceId::Connection(3);
        let table = [
            ("", None),
            ("  \n", None),
            ("t", Some(Command::Run(RunUntil::Turn))),
            (" t \r\n", Some(Command::Run(RunUntil::Turn))),
            ("e", Some(Command::Run(RunUntil::Event))),
            ("i", Some(Command::Run(RunUntil::Io))),
            ("c", Some(Command::Run(RunUntil::Breakpoint))),
            ("p", Some(Command::State(None))),
            ("p c3", Some(Command::State(Some(c3)))),
            ("p  L1", Some(Command::State(Some(SourceId::Listener(1))))),
            ("p sets", Some(Command::Sets)),
            ("x c3", Some(Command::Buffers(c3))),
            ("s u1", Some(Command::Socket(SourceId::Udp(1)))),
            ("s", Some(Command::Run(RunUntil::Io))),
            ("n", Some(Command::Run(RunUntil::Turn))),
            ("finish", Some(Command::Run(RunUntil::Event))),
            ("l", Some(Command::List)),
            ("info b", Some(Command::Breakpoints)),
            ("info sets", Some(Command::Sets)),
            ("info sources", Some(Command::State(None))),
            ("info c3", Some(Command::State(Some(c3)))),
            ("print c3", Some(Command::State(Some(c3)))),
            ("break partial", Some(Command::Break(Condition::Partial))),
            ("delete 1", Some(Command::Delete(1))),
            ("b", Some(Command::Breakpoints)),
            ("d 12", Some(Command::Delete(12))),
            ("quiz on", Some(Command::Quiz(true))),
            ("quiz off", Some(Command::Quiz(false))),
            ("h", Some(Command::Help)),
            ("q", Some(Command::Quit)),
        ];
        for (line, expected) in table {
            assert_eq!(Command::parse(line), Ok(expected), "{line:?}");
        }
    }

    #[test]
    fn wrong_command_gets_one_line_of_advice() {
        let table = [
            ("T", "not a command"),
            ("tt", "not a command"),
            ("t 3", "not a command"),
            ("c3", "not a command"),
            ("\x1b[A", r"\u{1b}"),
            ("p 3", "c3"),
            ("p c3 c4", "not a command"),
            ("x", "x c3"),
            ("x c", "c3"),
            ("s 3", "c3"),
            ("info", "info b"),
            ("info threads", "c3"),
            ("b read", "wouldblock"),
            ("b turn=", "turn=40"),
            ("b turn=-1", "turn=40"),
            ("d", "d 1"),
            ("d one", "number"),
            ("d 99999999999999999999999", "number"),
            ("quiz", "quiz on"),
            ("quiz maybe", "quiz on"),
        ];
        for (line, expected) in table {
            let advice = Command::parse(line).expect_err(line);
            assert!(advice.contains(expected), "{line:?}: {advice}");
            assert!(advice.chars().all(|c| (' '..='~').contains(&c)), "{line:?}: {advice:?}");
        }
    }

    #[test]
    fn condition_is_met_by_its_own_step_alone() {
        let c3 = SourceId::Connection(3);
        let wrote = |got| Step::Wrote { by: SendCall::Write, offered: 9, got, sent: 0, of: 9 };
        let woke = |turn| Step::Woke { turn, ready: Vec::new(), carried: Vec::new() };
        let table = [
            ("c3", Step::TurnBegan, Step::Drained),
            ("partial", wrote(8), wrote(9)),
            ("wouldblock", Step::Drained, wrote(8)),
            ("wouldblock", Step::BacklogEmpty, Step::AcceptPaused { reason: PauseReason::Limit }),
            ("wouldblock", Step::Blocked { by: SendCall::Write, offered: 1 }, Step::Armed),
            ("eof", Step::EndOfInput, Step::Drained),
            ("close", Step::Closed { reason: CloseReason::Eof, unread: 0 }, Step::EndOfInput),
            ("turn=40", woke(40), woke(41)),
        ];
        for (text, met, unmet) in table {
            let condition = Condition::parse(text).expect(text);
            assert_eq!(condition.to_string(), text);
            assert!(condition.is_met(c3, &met), "{text} by {met:?}");
            assert!(!condition.is_met(c3, &unmet), "{text} by {unmet:?}");
        }
        assert!(!Condition::Turn(c3).is_met(SourceId::Connection(4), &Step::TurnBegan));
    }
}
