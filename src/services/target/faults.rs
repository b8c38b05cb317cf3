//! Faults that a URL asks for: of one response, or of the whole server.
//!
//! Clients meet all of them in the field, and few of them are ever tested. Each has a bound, and
//! the loop has its own for those that concern all clients (see [`MAX_DISRUPTION`]).

use std::time::Duration;

use super::{
    mix::{Draw, Mix, Share},
    values::{self, SIZE_ADVICE},
};
use crate::protocol::MAX_DISRUPTION;

/// The names of the parameters for faults.
pub const NAMES: [&str; 7] = ["reset", "truncate", "garbage", "silent", "one-byte", "accept-stall", "pause"];

const SHARE_ADVICE: &str = "use a share such as 5%, or no value for all responses";
const STALL_ADVICE: &str = "use a time such as 1s, at most 10s";
const PAUSE_ADVICE: &str =
    "use a time and an interval, such as 1s/10s: at most 10s, and at most half of the interval";
/// The longest generated body that is sent byte by byte, and what to say about a longer one. Each
/// byte takes a turn of the loop.
pub const MAX_SINGLE_BYTES: u64 = 16 * 1024;
pub const SINGLE_BYTES_ADVICE: &str = "use at most 16k together with one-byte";

/// The faults of the responses for one URL, each for a share of them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FaultMix {
    silent: Mix<()>,
    garbage: Mix<()>,
    /// After how many bytes of the body the connection ends.
    truncate: Mix<u64>,
    reset: Mix<()>,
    one_byte: Mix<()>,
    accept_stall: Mix<Duration>,
    /// For how long the loop blocks, and in which interval.
    pause: Mix<(Duration, Duration)>,
}

/// What is wrong with one response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseFault {
    /// There is none, and the connection stays open.
    Silent,
    /// Something that is not HTTP takes its place.
    Garbage,
    /// The connection is reset in its place.
    Reset,
    /// The connection ends after this many bytes of the body, perhaps with a reset.
    Cut { after: u64, resets: bool },
    /// It is sent one byte at a time.
    OneByte,
}

/// The faults of one response, after they have been drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DrawnFaults {
    pub response: Option<ResponseFault>,
    /// For how long the server accepts no connection.
    pub accept_stall: Option<Duration>,
    /// For how long the loop blocks, and in which interval.
    pub pause: Option<(Duration, Duration)>,
}

impl FaultMix {
    /// Sets the parameter `name`, which is one of [`NAMES`].
    ///
    /// # Errors
    /// Returns what to do if the value is not valid.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), &'static str> {
        match name {
            "silent" => self.silent = share(value)?,
            "garbage" => self.garbage = share(value)?,
            "reset" => self.reset = share(value)?,
            "one-byte" => self.one_byte = share(value)?,
            "truncate" => self.truncate = values::mix(value, values::size).ok_or(SIZE_ADVICE)?,
            "accept-stall" => self.accept_stall = values::mix(value, disruption).ok_or(STALL_ADVICE)?,
            _ => self.pause = values::mix(value, pause).ok_or(PAUSE_ADVICE)?,
        }
        Ok(())
    }

    /// Returns whether some responses are sent byte by byte.
    pub fn has_single_bytes(&self) -> bool {
        self.one_byte.values().next().is_some()
    }

    /// Returns whether not all responses have the same faults.
    pub fn is_drawn(&self) -> bool {
        let shares = [&self.silent, &self.garbage, &self.reset, &self.one_byte];
        shares.into_iter().any(Mix::is_drawn)
            || self.truncate.is_drawn()
            || self.accept_stall.is_drawn()
            || self.pause.is_drawn()
    }

    /// Draws the faults of one response with a function that returns a number for each of them.
    pub fn draw(&self, draw: impl Fn(Draw) -> f64) -> DrawnFaults {
        let has = |mix: &Mix<()>, what| mix.pick(draw(what)).is_some();
        let (after, resets) = (self.truncate.pick(draw(Draw::Truncate)), has(&self.reset, Draw::Reset));
        let response = match after {
            _ if has(&self.silent, Draw::Silent) => Some(ResponseFault::Silent),
            _ if has(&self.garbage, Draw::Garbage) => Some(ResponseFault::Garbage),
            Some(after) => Some(ResponseFault::Cut { after: *after, resets }),
            None if resets => Some(ResponseFault::Reset),
            None => has(&self.one_byte, Draw::OneByte).then_some(ResponseFault::OneByte),
        };
        DrawnFaults {
            response,
            accept_stall: self.accept_stall.pick(draw(Draw::AcceptStall)).copied(),
            pause: self.pause.pick(draw(Draw::Pause)).copied(),
        }
    }
}

/// Parses the share of responses for which something happens. No value means all.
pub fn share(text: &str) -> Result<Mix<()>, &'static str> {
    let share = if text.is_empty() { Some(1.0) } else { values::share(text) };
    share.and_then(|share| Mix::new(vec![((), Share::Of(share))])).ok_or(SHARE_ADVICE)
}

/// Parses the length of a disruption.
fn disruption(text: &str) -> Option<Duration> {
    values::time(text).filter(|time| *time <= MAX_DISRUPTION)
}

/// Parses a time for which the loop blocks, and the interval in which it does.
fn pause(text: &str) -> Option<(Duration, Duration)> {
    let (time, interval) = text.split_once('/')?;
    let (time, interval) = (disruption(time)?, values::time(interval)?);
    (2 * time <= interval).then_some((time, interval))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn faults(parameters: &str) -> Result<FaultMix, &'static str> {
        let mut faults = FaultMix::default();
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            assert!(NAMES.contains(&name), "{name}");
            faults.set(name, value)?;
        }
        Ok(faults)
    }

    #[test]
    fn the_first_fault_that_is_drawn_shapes_the_response() {
        use ResponseFault::{Cut, Garbage, OneByte, Reset, Silent};
        let table = [
            ("", None),
            ("accept-stall=1s", None),
            ("reset", Some(Reset)),
            ("reset=100%", Some(Reset)),
            ("reset=0%", None),
            ("truncate=1k", Some(Cut { after: 1024, resets: false })),
            ("truncate=0&reset", Some(Cut { after: 0, resets: true })),
            ("truncate=5:0%&reset", Some(Reset)),
            ("one-byte", Some(OneByte)),
            ("one-byte&truncate=5", Some(Cut { after: 5, resets: false })),
            ("one-byte&truncate=5&garbage", Some(Garbage)),
            ("one-byte&reset&garbage&silent", Some(Silent)),
        ];
        for (parameters, expected) in table {
            let faults = faults(parameters).expect(parameters);
            assert!(!faults.is_drawn(), "{parameters}");
            assert_eq!(faults.draw(|_| 0.5).response, expected, "{parameters}");
        }
    }

    #[test]
    fn faults_that_concern_all_clients_are_short() {
        let drawn = |parameters: &str| faults(parameters).map(|faults| faults.draw(|_| 0.0));
        let second = |n| n * SECOND;
        let stall = |n| Ok(Some(second(n)));
        let table = [
            ("accept-stall=1s", stall(1)),
            ("accept-stall=10", stall(10)),
            ("accept-stall=10.1", Err(STALL_ADVICE)),
            ("accept-stall=", Err(STALL_ADVICE)),
            ("accept-stall=5%", Err(STALL_ADVICE)),
        ];
        for (parameter, expected) in table {
            assert_eq!(drawn(parameter).map(|drawn| drawn.accept_stall), expected, "{parameter}");
        }
        let table = [
            ("pause=1s/10s", Ok(Some((second(1), second(10))))),
            ("pause=10s/20s:1%", Ok(Some((second(10), second(20))))),
            ("pause=5/10", Ok(Some((second(5), second(10))))),
            ("pause=6/10", Err(PAUSE_ADVICE)),
            ("pause=11s/1h", Err(PAUSE_ADVICE)),
            ("pause=1s/2h", Err(PAUSE_ADVICE)),
            ("pause=1s", Err(PAUSE_ADVICE)),
            ("pause", Err(PAUSE_ADVICE)),
            ("pause=1/2/3", Err(PAUSE_ADVICE)),
        ];
        for (parameter, expected) in table {
            assert_eq!(drawn(parameter).map(|drawn| drawn.pause), expected, "{parameter}");
        }
    }

    #[test]
    fn faults_with_a_share_are_drawn_independently() {
        let parameters =
            "reset=5%&truncate=9:5%&garbage=5%&silent=5%&one-byte=5%&accept-stall=1s:5%&pause=1s/2s:5%";
        for name in NAMES {
            let only = parameters.split('&').find(|parameter| parameter.starts_with(name)).expect(name);
            assert!(faults(only).expect(only).is_drawn(), "{only}");
        }
        let all = faults(parameters).expect("valid parameters");
        let draw = |seed: u64, number: u64| all.draw(|what| super::super::mix::draw(seed, number, what));
        let run = |seed| (0..10_000).map(|number| draw(seed, number)).collect::<Vec<_>>();
        let (first, again, other) = (run(7), run(7), run(8));
        assert!(first == again && first != other);
        let count = |is: &dyn Fn(&DrawnFaults) -> bool| first.iter().filter(|faults| is(faults)).count();
        use ResponseFault::{Cut, Garbage, OneByte, Reset, Silent};
        let kinds = [Silent, Garbage, Cut { after: 9, resets: false }, Reset, OneByte];
        for kind in kinds {
            assert!((350..650).contains(&count(&|faults| faults.response == Some(kind))), "{kind:?}");
        }
        assert!(count(&|faults| faults.response == Some(Cut { after: 9, resets: true })) > 5);
        assert!((350..650).contains(&count(&|faults| faults.accept_stall.is_some())));
        assert!((350..650).contains(&count(&|faults| faults.pause.is_some())));
    }
}
