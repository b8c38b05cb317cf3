//! How the load target responds to a URL: parsed from its path and query, then drawn for each
//! request. Nothing here depends on the clock, the connection or other URLs.

use std::{num::NonZeroU64, time::Duration};

use percent_encoding::percent_decode;

use super::{
    TargetError,
    faults::{self, DrawnFaults, FaultMix, MAX_SINGLE_BYTES, SINGLE_BYTES_ADVICE},
    mix::{Draw, Mix, draw},
    parameter_error::ParameterError,
    values::{self, SIZE_ADVICE, TIME_ADVICE},
};
use crate::http::Status;

/// The names of the parameters besides those for [faults]. Behind each stands the name that httpbin
/// has for it, if that is another one.
pub const NAMES: [(&str, &str); 7] = [
    ("status", "code"),
    ("delay", ""),
    ("bytes", "numbytes"),
    ("over", "duration"),
    ("chunk", "chunk_size"),
    ("close", ""),
    ("seed", ""),
];

const STATUS_ADVICE: &str = "use a status from 200 to 599, or several with shares, such as 503:1%,429:5%";
const CHUNK_ADVICE: &str = "use a number of bytes such as 500 or 10k, at most 64k";
const SEED_ADVICE: &str = "use a whole number, at most 18446744073709551615";
/// What `drip` sends if nothing else is asked for, as in httpbin.
const DRIP: (u64, Duration) = (10, Duration::from_secs(2));
/// The path whose responses have the body of their requests.
pub const ECHO: &[u8] = b"echo";
const ECHO_ADVICE: &str = "leave it out, because an echo is as long as its request";
/// The length of the longest chunk, and of a chunk of `stream-bytes`, as in httpbin.
const MAX_CHUNK: u64 = 64 * 1024;
const STREAM_CHUNK: NonZeroU64 = NonZeroU64::new(10 * 1024).expect("not 0");

/// How the load target responds to the requests for one URL.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Behaviour {
    statuses: Mix<Status>,
    /// The delays before the response begins: each one a range.
    delays: Mix<(Duration, Duration)>,
    /// The length of the body.
    len: u64,
    /// How long sending the body takes.
    over: Option<Duration>,
    /// The length of the chunks, if the body has the chunked coding.
    chunk: Option<NonZeroU64>,
    /// For which share of the responses the connection closes.
    closes: Mix<()>,
    faults: FaultMix,
    /// Whether the body is the body of the request.
    is_echo: bool,
    seed: u64,
}

/// The response to one request, after everything has been drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct DrawnResponse {
    statuses: Mix<Status>,
    pub status: Status,
    pub delay: Duration,
    pub len: u64,
    pub over: Option<Duration>,
    pub chunk: Option<NonZeroU64>,
    pub closes: bool,
    /// Whether the connection closes after some of the responses for this URL, but not after all.
    pub may_close: bool,
    pub faults: DrawnFaults,
    pub is_echo: bool,
    pub seed: u64,
}

/// The parameters of a request that have been parsed so far.
#[derive(Default)]
struct Parameters {
    behaviour: Behaviour,
    /// The names of those that were given.
    given: Vec<&'static str>,
}

impl Parameters {
    /// Sets the parameter `name`, or the one that httpbin calls so.
    fn set(&mut self, given: &str, value: &str) -> Result<(), ParameterError> {
        let is_it = |(own, other): &&(&str, &str)| *own == given || !given.is_empty() && *other == given;
        let known = NAMES.iter().find(is_it).map(|(own, _)| *own);
        let name = known.or_else(|| faults::NAMES.into_iter().find(|name| *name == given));
        let name = name.ok_or_else(|| ParameterError::unknown(given))?;
        if self.given.contains(&name) {
            return Err(ParameterError::repeated(name));
        }
        self.given.push(name);
        let behaviour = &mut self.behaviour;
        let invalid = |advice| ParameterError::invalid(name, value, advice);
        match name {
            "status" => {
                behaviour.statuses = values::mix(value, status).ok_or_else(|| invalid(STATUS_ADVICE))?;
            }
            "delay" => {
                let delays = values::mix(value, values::time_range);
                behaviour.delays = delays.ok_or_else(|| invalid(TIME_ADVICE))?;
            }
            "bytes" => behaviour.len = values::size(value).ok_or_else(|| invalid(SIZE_ADVICE))?,
            "over" => behaviour.over = Some(values::time(value).ok_or_else(|| invalid(TIME_ADVICE))?),
            "chunk" => {
                let chunk = values::size(value).filter(|chunk| *chunk <= MAX_CHUNK).and_then(NonZeroU64::new);
                behaviour.chunk = Some(chunk.ok_or_else(|| invalid(CHUNK_ADVICE))?);
            }
            "close" => behaviour.closes = faults::share(value).map_err(invalid)?,
            "seed" => {
                let is_number = value.bytes().all(|b| b.is_ascii_digit());
                let seed = value.parse().ok().filter(|_| is_number);
                behaviour.seed = seed.ok_or_else(|| invalid(SEED_ADVICE))?;
            }
            _ => behaviour.faults.set(name, value).map_err(invalid)?,
        }
        Ok(())
    }
}

/// Parses a status that the target can send.
fn status(text: &str) -> Option<Status> {
    let code = text.parse().ok().filter(|_| text.len() == 3)?;
    // A status below 200 makes no response.
    (200..=599).contains(&code).then(|| Status::of(code))
}

/// Decodes the name or the value of a parameter.
fn decoded(text: &[u8]) -> String {
    percent_decode(text).decode_utf8_lossy().into_owned()
}

impl Behaviour {
    /// Parses the decoded `path`, relative to the path of the target, and the `query`.
    ///
    /// # Errors
    /// Fails if there is nothing at the path, or a parameter is not valid.
    pub fn parse(path: &[u8], query: &[u8]) -> Result<Behaviour, TargetError> {
        let path = std::str::from_utf8(path).map_err(|_| TargetError::NotFound)?;
        let mut parameters = Parameters::default();
        match path.split_once('/') {
            Some((name @ ("status" | "delay" | "bytes"), value)) if !value.contains('/') => {
                parameters.set(name, value)?;
            }
            Some(("stream-bytes", value)) if !value.contains('/') => parameters.set("bytes", value)?,
            None if matches!(path, "" | "drip") || path.as_bytes() == ECHO => {}
            _ => return Err(TargetError::NotFound),
        }
        for pair in query.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
            let mut parts = pair.splitn(2, |b| *b == b'=');
            let (name, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            parameters.set(&decoded(name), &decoded(value))?;
        }
        let Parameters { mut behaviour, given } = parameters;
        if path.starts_with("stream-bytes/") {
            behaviour.chunk.get_or_insert(STREAM_CHUNK);
        }
        if path == "drip" {
            let (len, over) = DRIP;
            if !given.contains(&"bytes") {
                behaviour.len = len;
            }
            behaviour.over.get_or_insert(over);
        }
        behaviour.is_echo = path.as_bytes() == ECHO;
        if behaviour.is_echo && given.contains(&"bytes") {
            return Err(ParameterError::invalid("bytes", &behaviour.len.to_string(), ECHO_ADVICE).into());
        }
        if behaviour.faults.has_single_bytes() && behaviour.len > MAX_SINGLE_BYTES {
            let len = behaviour.len.to_string();
            return Err(ParameterError::invalid("bytes", &len, SINGLE_BYTES_ADVICE).into());
        }
        Ok(behaviour)
    }

    /// Returns whether responses to equal requests differ.
    pub fn is_drawn(&self) -> bool {
        self.statuses.is_drawn()
            || self.delays.is_drawn()
            || self.delays.values().any(|(from, to)| from != to)
            || self.closes.is_drawn()
            || self.faults.is_drawn()
    }

    /// Draws the response to request `number` for the URL.
    pub fn draw(&self, number: u64) -> DrawnResponse {
        let draw = |what| draw(self.seed, number, what);
        let (from, to) = self.delays.pick(draw(Draw::Delay)).copied().unwrap_or_default();
        DrawnResponse {
            status: self.statuses.pick(draw(Draw::Status)).copied().unwrap_or(Status::Ok),
            delay: from + (to - from).mul_f64(draw(Draw::DelayInRange)),
            len: self.len,
            over: self.over.filter(|over| !over.is_zero()),
            chunk: self.chunk,
            closes: self.closes.pick(draw(Draw::Close)).is_some(),
            may_close: self.closes.is_drawn(),
            faults: self.faults.draw(draw),
            is_echo: self.is_echo,
            seed: self.seed,
            statuses: self.statuses.clone(),
        }
    }
}

impl DrawnResponse {
    /// Returns whether responses for the URL differ in their heads.
    pub fn has_other_heads(&self) -> bool {
        self.may_close || self.statuses.is_drawn()
    }

    /// Returns the statuses of the responses for the URL.
    pub fn all_statuses(&self) -> impl Iterator<Item = Status> {
        let rest = self.statuses.has_rest().then_some(Status::Ok);
        self.statuses.values().copied().chain(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn parse(path: &str, query: &str) -> Result<Behaviour, String> {
        Behaviour::parse(path.as_bytes(), query.as_bytes()).map_err(|error| match error {
            TargetError::NotFound => "nothing there".to_owned(),
            TargetError::Parameter(error) => error.to_string(),
        })
    }

    fn drawn(path: &str, query: &str) -> DrawnResponse {
        parse(path, query).expect(query).draw(0)
    }

    /// The response to a request without parameters.
    fn plain() -> DrawnResponse {
        Behaviour::default().draw(0)
    }

    #[test]
    fn path_and_query_say_the_same() {
        let same = [
            ("status/503", "", "status=503"),
            ("status/200,503", "", "status=200,503"),
            ("delay/20ms", "", "delay=20ms"),
            ("delay/3", "", "delay=3s"),
            ("bytes/1k", "", "bytes=1024"),
            ("stream-bytes/1k", "", "bytes=1024&chunk=10k"),
            ("stream-bytes/1k", "chunk_size=64k", "bytes=1024&chunk=65536"),
            ("bytes/1k", "delay=1&status=404", "status=404&bytes=1k&delay=1"),
            ("drip", "", "bytes=10&over=2s"),
            ("drip", "bytes=1k&over=5s&delay=1", "bytes=1k&over=5s&delay=1"),
            ("drip", "numbytes=5&duration=1&delay=2&code=201", "bytes=5&over=1&delay=2&status=201"),
            ("", "status=%35%303:1%25", "status=503:1%"),
            ("", "&&status=503&", "status=503"),
            ("", "close=100%", "close"),
            ("", "over=0&bytes=1", "bytes=1"),
        ];
        for (path, query, other) in same {
            let (left, right) = (drawn(path, query), drawn("", other));
            assert_eq!(left, right, "{path}?{query}");
            assert!(left != plain(), "{path}?{query}");
        }
    }

    #[test]
    fn response_is_what_the_parameters_say() {
        let response = drawn("", "status=503&delay=2ms&bytes=1k&over=2s&close&seed=7");
        assert_eq!(response.status, Status::ServiceUnavailable);
        assert_eq!((response.delay, response.len, response.over), (2 * MS, 1024, Some(2000 * MS)));
        assert!(response.closes && !response.has_other_heads() && response.seed == 7);
        let plain = plain();
        assert_eq!((plain.status, plain.delay, plain.len, plain.over), (Status::Ok, Duration::ZERO, 0, None));
        assert!(!plain.closes && !plain.has_other_heads());
    }

    #[test]
    fn mistake_names_the_parameter_and_what_is_allowed() {
        let long = "x".repeat(8000);
        let share_advice = "use a share such as 5%, or no value for all responses";
        let names = "use status, delay, bytes, over, chunk, close, seed, reset, truncate, garbage, silent, \
                     one-byte, accept-stall, pause";
        let table = [
            ("", "foo=1", format!("'foo' is not a parameter; {names}")),
            ("", "=1", format!("'' is not a parameter; {names}")),
            ("", "Status=503", format!("'Status' is not a parameter; {names}")),
            ("", "%00%1b[2J", format!("'\u{fffd}\u{fffd}[2J' is not a parameter; {names}")),
            ("", "%ff", format!("'\u{fffd}' is not a parameter; {names}")),
            ("", &long, format!("'{}\u{2026}' is not a parameter; {names}", &long[..60])),
            ("status/99", "", format!("'99' is not valid for status; {STATUS_ADVICE}")),
            ("status/", "", format!("'' is not valid for status; {STATUS_ADVICE}")),
            ("", "status=100", format!("'100' is not valid for status; {STATUS_ADVICE}")),
            ("", "status=600", format!("'600' is not valid for status; {STATUS_ADVICE}")),
            ("", "status=+50", format!("'+50' is not valid for status; {STATUS_ADVICE}")),
            ("", "code=", format!("'' is not valid for status; {STATUS_ADVICE}")),
            (
                "",
                "status=503:60%,429:50%",
                format!("'503:60%,429:50%' is not valid for status; {STATUS_ADVICE}"),
            ),
            ("", "delay=5ms-1ms", format!("'5ms-1ms' is not valid for delay; {TIME_ADVICE}")),
            ("", "delay=2h", format!("'2h' is not valid for delay; {TIME_ADVICE}")),
            ("", "bytes=2G", format!("'2G' is not valid for bytes; {SIZE_ADVICE}")),
            ("", "chunk=0", format!("'0' is not valid for chunk; {CHUNK_ADVICE}")),
            ("", "chunk=65k", format!("'65k' is not valid for chunk; {CHUNK_ADVICE}")),
            ("bytes/-1", "", format!("'-1' is not valid for bytes; {SIZE_ADVICE}")),
            ("", "over=1ms-2ms", format!("'1ms-2ms' is not valid for over; {TIME_ADVICE}")),
            ("", "close=5", format!("'5' is not valid for close; {share_advice}")),
            ("", "reset=101%", format!("'101%' is not valid for reset; {share_advice}")),
            ("", "truncate=x", format!("'x' is not valid for truncate; {SIZE_ADVICE}")),
            ("", "one-byte&bytes=1M", format!("'1048576' is not valid for bytes; {SINGLE_BYTES_ADVICE}")),
            ("", "reset&reset", "reset is given twice; use it once".to_owned()),
            ("", "seed=-1", format!("'-1' is not valid for seed; {SEED_ADVICE}")),
            ("", "seed=+1", format!("'+1' is not valid for seed; {SEED_ADVICE}")),
            (
                "",
                "seed=18446744073709551616",
                format!("'18446744073709551616' is not valid for seed; {SEED_ADVICE}"),
            ),
            ("status/503", "status=503", "status is given twice; use it once".to_owned()),
            ("", "code=503&status=503", "status is given twice; use it once".to_owned()),
            ("none", "", "nothing there".to_owned()),
            ("status", "", "nothing there".to_owned()),
            ("status/503/", "", "nothing there".to_owned()),
            ("drip/", "", "nothing there".to_owned()),
            ("/status/503", "", "nothing there".to_owned()),
        ];
        for (path, query, message) in table {
            assert_eq!(parse(path, query), Err(message), "{path}?{query}");
        }
        assert!(drawn("", "seed=18446744073709551615").seed == u64::MAX);
    }

    #[test]
    fn draws_are_within_what_is_asked_for() {
        let run = |query: &str| -> Vec<DrawnResponse> {
            let behaviour = parse("", query).expect(query);
            assert!(behaviour.is_drawn(), "{query}");
            (0..10_000).map(|number| behaviour.draw(number)).collect()
        };
        let count = |run: &[DrawnResponse], is: &dyn Fn(&DrawnResponse) -> bool| {
            run.iter().filter(|response| is(response)).count()
        };
        let statuses = run("status=503:1%,429:5%&seed=7");
        let of = |code| count(&statuses, &|response| response.status == Status::of(code));
        assert!((60..140).contains(&of(503)) && (420..580).contains(&of(429)), "{} {}", of(503), of(429));
        assert_eq!(of(503) + of(429) + of(200), 10_000);
        assert!(statuses.iter().all(DrawnResponse::has_other_heads));
        assert_eq!(statuses, run("status=503:1%,429:5%&seed=7"));
        assert_ne!(statuses, run("status=503:1%,429:5%&seed=8"));

        let delays = run("delay=1ms-5ms");
        assert!(delays.iter().all(|response| (MS..=5 * MS).contains(&response.delay)));
        assert!((2200..2800).contains(&count(&delays, &|response| response.delay < 2 * MS)));
        assert!(!delays.iter().any(DrawnResponse::has_other_heads));

        let tail = run("delay=2ms,200ms:1%");
        assert!((60..140).contains(&count(&tail, &|response| response.delay == 200 * MS)));
        assert!(tail.iter().all(|response| response.delay == 2 * MS || response.delay == 200 * MS));

        let closes = run("close=5%&status=404");
        assert!((420..580).contains(&count(&closes, &|response| response.closes)));
        assert!(closes.iter().all(|response| response.may_close && response.has_other_heads()));

        // What one parameter draws does not depend on the others.
        let both = run("status=503:1%,429:5%&delay=1ms-5ms&close=5%&seed=7");
        assert!(both.iter().zip(&statuses).all(|(both, one)| both.status == one.status));
    }
}
