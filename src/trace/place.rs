//! Where in `EventLoop::turn` the loop is after a step, and the lines of that function.

use super::{source_id::SourceId, step::Step};

/// The file with the function, and its text.
const FILE: &str = "src/event_loop/mod.rs";
const TEXT: &str = include_str!("../event_loop/mod.rs");
/// The first and the last line of the function.
const FIRST: &str = "    pub fn turn(&mut self) -> io::Result<()> {";
const LAST: &str = "    }";

/// A place in the function: the last call that a step was part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Place {
    #[default]
    Wait,
    /// The poll has returned, and no source has had its turn.
    Ready,
    Accept,
    Handle,
    Datagrams,
    Input,
    Priority,
    Signals,
    Timers,
    Requests,
}

impl Place {
    /// Returns the place after `source` has taken `step`, which is `None` if only its source is
    /// known.
    pub fn after(self, source: SourceId, step: Option<&Step>) -> Place {
        match (step, source) {
            (Some(Step::Waiting { .. }), _) => Place::Wait,
            (Some(Step::Woke { .. }), _) => Place::Ready,
            (Some(Step::Deadline { .. }), _) => Place::Timers,
            (Some(Step::Woken | Step::LoopBlocked { .. }), _) => Place::Requests,
            // Before the first turn.
            (Some(Step::Bound { .. }), _) => self,
            // What follows a deadline is done for it, up to the end of the turn.
            _ if matches!(self, Place::Timers | Place::Requests) => self,
            (_, SourceId::Loop) => self,
            (_, SourceId::Listener(_)) => Place::Accept,
            (_, SourceId::Connection(_)) => Place::Handle,
            (_, SourceId::Udp(_)) => Place::Datagrams,
            (_, SourceId::Signals) => Place::Signals,
            (_, SourceId::Named("files")) => Place::Priority,
            (_, SourceId::Named(_)) => Place::Input,
        }
    }

    /// Returns the lines of the function with their numbers. An arrow marks this place.
    pub fn listing(self) -> String {
        let lines = turn_lines().map(|(number, line)| {
            let mark = if line.contains(self.statement()) { "=>" } else { "  " };
            format!("{number:4} {mark} {}", line.strip_prefix("    ").unwrap_or(line)).trim_end().to_owned()
        });
        [format!("{FILE}:")].into_iter().chain(lines).collect::<Vec<_>>().join("\n")
    }

    /// Returns the beginning of the statement in the function.
    fn statement(self) -> &'static str {
        match self {
            Place::Wait => "self.wait()",
            Place::Ready => "for _ in ",
            Place::Accept => "self.accept(",
            Place::Handle => "self.handle(key)",
            Place::Datagrams => "self.handle_datagrams(",
            Place::Input => "self.handle_input(",
            Place::Priority => "self.handle_priority(",
            Place::Signals => "self.on_signals(",
            Place::Timers => "self.run_timers(",
            Place::Requests => "self.act_on_requests(",
        }
    }
}

/// Returns the lines of the function, each with its number in the file.
fn turn_lines() -> impl Iterator<Item = (usize, &'static str)> {
    let first = TEXT.lines().position(|line| line == FIRST).unwrap_or(0);
    let count = TEXT.lines().skip(first).position(|line| line == LAST).map_or(0, |last| last + 1);
    (1..).zip(TEXT.lines()).skip(first).take(count)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{close_reason::CloseReason, trace::EventFlags};

    #[test]
    fn listing_is_the_function_with_one_mark() {
        use Place::*;
        for place in [Wait, Ready, Accept, Handle, Datagrams, Input, Priority, Signals, Timers, Requests] {
            let listing = place.listing();
            let marked: Vec<_> = listing.lines().filter(|line| line.get(5..7) == Some("=>")).collect();
            assert_eq!(marked.len(), 1, "{place:?}: {listing}");
            assert!(marked[0].contains(place.statement()), "{marked:?}");
        }
        let lines: Vec<_> = turn_lines().collect();
        assert_eq!((lines[0].1, lines.last().expect("a line").1), (FIRST, LAST));
        assert!((10..60).contains(&lines.len()), "{lines:?}");
        assert_eq!(TEXT.lines().nth(lines[0].0 - 1), Some(FIRST), "numbers count from 1");
    }

    #[test]
    fn place_follows_from_the_steps() {
        let (c1, l1) = (SourceId::Connection(1), SourceId::Listener(1));
        let woke = Step::Woke { turn: 1, ready: vec![(l1, EventFlags::default())], carried: Vec::new() };
        let reason = CloseReason::HeadTimeout;
        let deadline = Step::Deadline { reason, late: Duration::ZERO, got: 0 };
        let waiting = Step::Waiting { turn: 1, timeout: None, carried: 0 };
        let steps = [
            (SourceId::Loop, woke, Place::Ready),
            (l1, Step::BacklogEmpty, Place::Accept),
            (c1, Step::TurnBegan, Place::Handle),
            (c1, Step::Drained, Place::Handle),
            (SourceId::Udp(1), Step::Drained, Place::Datagrams),
            (SourceId::Named("files"), Step::Polled, Place::Priority),
            (SourceId::Named("stdin"), Step::Drained, Place::Input),
            (c1, deadline, Place::Timers),
            (c1, Step::Closed { reason, unread: 0 }, Place::Timers),
            (c1, Step::Woken, Place::Requests),
            (SourceId::Loop, waiting, Place::Wait),
        ];
        let mut place = Place::default();
        for (source, step, expected) in steps {
            place = place.after(source, Some(&step));
            assert_eq!(place, expected, "{source} {step:?}");
        }
        assert_eq!(place.after(SourceId::Signals, None), Place::Signals);
    }
}
