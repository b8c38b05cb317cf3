//! The questions of the quiz about the loop itself: which source is next, and how long the next
//! poll may sleep.

use std::time::Duration;

use crate::trace::{EventFlags, SourceId};

/// Of how many polls one is asked about.
const TIMEOUT_EVERY: u32 = 4;
/// How far a guess about the timeout may be off.
const TOLERANCE: Duration = Duration::from_secs(1);

pub const FIRST_QUESTION: &str = "Several sources are ready. Which has its turn first? [c3], Enter=skip > ";
pub const TIMEOUT_QUESTION: &str =
    "The loop polls next. How long may it sleep? [0], seconds, [never], Enter=skip > ";

pub const FIRST_ADVICE: &str = "type the name of a source, such as c3 or L1, or Enter; p lists them";
pub const TIMEOUT_ADVICE: &str = "type 0, a number of seconds, never or Enter; p shows the deadlines";

/// Follows the verdict if the guess is the next deadline, and the poll sleeps for less.
pub const OLD_ENTRY: &str =
    ": the next deadline. (A deadline that was moved has left its old entry, which wakes the loop earlier.)";

/// A prediction of the timeout of the poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeoutGuess {
    Never,
    Seconds(u64),
}

/// Counts the polls, of which some are asked about.
#[derive(Debug, Default)]
pub struct TimeoutTurns(u32);

impl TimeoutTurns {
    /// Counts a poll, and returns whether to ask about it.
    pub fn is_due(&mut self) -> bool {
        self.0 += 1;
        self.0.is_multiple_of(TIMEOUT_EVERY)
    }
}

/// Returns whether a wake-up has several sources. One source can be both ready and carried over.
pub fn has_several(ready: &[(SourceId, EventFlags)], carried: &[SourceId]) -> bool {
    let mut sources = ready.iter().map(|(source, _)| source).chain(carried);
    sources.next().is_some_and(|first| sources.any(|source| source != first))
}

/// Parses the name of a source. Returns `None` for an empty answer.
pub fn parse_first(answer: &str) -> Result<Option<SourceId>, &'static str> {
    match answer.trim() {
        "" => Ok(None),
        name => name.parse().map(Some).map_err(|_| FIRST_ADVICE),
    }
}

/// Parses a timeout. Returns `None` for an empty answer.
pub fn parse_timeout(answer: &str) -> Result<Option<TimeoutGuess>, &'static str> {
    match answer.trim() {
        "" => Ok(None),
        "never" | "forever" => Ok(Some(TimeoutGuess::Never)),
        time => {
            let seconds = time.strip_suffix('s').unwrap_or(time).parse();
            seconds.map(|n| Some(TimeoutGuess::Seconds(n))).map_err(|_| TIMEOUT_ADVICE)
        }
    }
}

impl TimeoutGuess {
    /// Returns whether the poll has this `timeout`, give or take a second. A poll that does not
    /// sleep at all is another matter than one that sleeps for a moment.
    pub fn is_right(self, timeout: Option<Duration>) -> bool {
        match (self, timeout) {
            (TimeoutGuess::Never, None) => true,
            (TimeoutGuess::Seconds(0), Some(timeout)) => timeout.is_zero(),
            (TimeoutGuess::Seconds(guess), Some(timeout)) => {
                !timeout.is_zero() && timeout.abs_diff(Duration::from_secs(guess)) <= TOLERANCE
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeout_is_guessed_within_a_second() {
        let ms = |ms| Some(Duration::from_millis(ms));
        let table = [
            ("never", None, true),
            ("never", ms(9000), false),
            ("0", ms(0), true),
            ("0", None, false),
            ("1", ms(0), false),
            ("0", ms(9000), false),
            ("10", ms(9998), true),
            ("10s", ms(10_500), true),
            ("9", ms(9998), true),
            ("8", ms(9998), false),
        ];
        for (answer, timeout, expected) in table {
            let guess = parse_timeout(answer).expect(answer).expect("a guess");
            assert_eq!(guess.is_right(timeout), expected, "{answer} for {timeout:?}");
        }
        assert_eq!(parse_timeout(" \n"), Ok(None));
        for answer in ["soon", "s", "10ss", "nevers"] {
            assert_eq!(parse_timeout(answer), Err(TIMEOUT_ADVICE), "{answer}");
        }
        assert_eq!(parse_first("L1\n"), Ok(Some(SourceId::Listener(1))));
        assert_eq!((parse_first(""), parse_first("first")), (Ok(None), Err(FIRST_ADVICE)));
    }

    #[test]
    fn one_source_twice_is_not_several() {
        let [c1, c2] = [1, 2].map(SourceId::Connection);
        let table: [(&[SourceId], &[SourceId], bool); 6] = [
            (&[], &[], false),
            (&[c1], &[], false),
            (&[c1], &[c1], false),
            (&[c1], &[c2], true),
            (&[c1, c2], &[], true),
            (&[], &[c1, c2], true),
        ];
        for (ready, carried, expected) in table {
            let flagged: Vec<_> = ready.iter().map(|source| (*source, EventFlags::default())).collect();
            assert_eq!(has_several(&flagged, carried), expected, "{ready:?} {carried:?}");
        }
    }

    #[test]
    fn timeout_is_asked_about_now_and_then() {
        let mut turns = TimeoutTurns::default();
        let asked: Vec<bool> = (0..9).map(|_| turns.is_due()).collect();
        assert_eq!(asked, [false, false, false, true, false, false, false, true, false]);
    }
}
