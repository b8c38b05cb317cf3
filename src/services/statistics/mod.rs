//! Statistics of the HTTP service: responses by status, bytes, and service times.
//!
//! The service counts only if the server was started with statistics. A [`Report`] joins what HTTP
//! has counted with the [`LoopCounters`], and shows both. The module owns the meaning of each
//! figure. Counting must never allocate, and memory does not grow with time.

mod json;
mod open_metrics;
mod text;
mod times;
mod wrk;

use std::time::{Duration, Instant};

pub use self::open_metrics::MetricsFormat;
use self::times::TimeHistogram;
use crate::protocol::LoopCounters;

/// The longest service time that is recorded. A longer one counts as this one.
const MAX_TIME: Duration = Duration::from_secs(60 * 60);
/// The longest lateness of a delay that is recorded. A longer one counts as this one.
const MAX_LATENESS: Duration = Duration::from_secs(60);
/// The status codes (RFC 9110 section 15).
const CODES: std::ops::RangeInclusive<u16> = 100..=999;

/// What the HTTP service has counted since the server started, or since the last
/// [reset](Statistics::reset).
pub struct Statistics {
    /// When counting began.
    since: Instant,
    /// How often counting has begun again.
    run: u32,
    requests: u64,
    /// The number of complete responses with each status code, in the order of [`CODES`].
    responses: Box<[u64]>,
    aborted: u64,
    bytes_sent: u64,
    /// The service times of complete responses.
    times: TimeHistogram,
    total_time: Duration,
    /// How late the delays of the load target ended: how much a client waited longer than it had
    /// asked for, because the poll sleeps whole milliseconds or the loop was busy.
    delays: TimeHistogram,
}

impl Statistics {
    /// Begins to count at `now`.
    pub fn new(now: Instant) -> Statistics {
        Statistics {
            since: now,
            run: 0,
            requests: 0,
            responses: vec![0; CODES.len()].into(),
            aborted: 0,
            bytes_sent: 0,
            times: TimeHistogram::new(MAX_TIME),
            total_time: Duration::ZERO,
            delays: TimeHistogram::new(MAX_LATENESS),
        }
    }

    /// Begins to count again at `now`.
    pub fn reset(&mut self, now: Instant) {
        self.times.reset();
        self.delays.reset();
        self.responses.fill(0);
        (self.requests, self.aborted, self.bytes_sent) = (0, 0, 0);
        (self.since, self.total_time) = (now, Duration::ZERO);
        self.run = self.run.wrapping_add(1);
    }

    /// Returns the number of the run: how often counting has begun again. What began in another
    /// run must not be counted, so that the figures of a run agree with each other.
    pub fn run(&self) -> u32 {
        self.run
    }

    /// Counts a request, whose response begins. Returns the number of the run.
    pub fn begin(&mut self) -> u32 {
        self.requests += 1;
        self.run
    }

    /// Counts bytes of responses that the kernel has taken.
    pub fn count_sent(&mut self, bytes: u64) {
        self.bytes_sent += bytes;
    }

    /// Counts a response with the status `code` whose last byte the kernel has taken, `took` after
    /// its request had arrived.
    pub fn complete(&mut self, code: u16, took: Duration) {
        let place = code.checked_sub(*CODES.start()).map(usize::from);
        if let Some(count) = place.and_then(|place| self.responses.get_mut(place)) {
            *count += 1;
        }
        self.times.record(took);
        self.total_time += took;
    }

    /// Counts a delay of the load target, which ended `late`. It belongs to the run in which it
    /// ends, even if it began in another one, because its response begins in that run as well.
    pub fn delay_ended(&mut self, late: Duration) {
        self.delays.record(late);
    }

    /// Counts a response whose connection was closed before its end.
    pub fn abort(&mut self) {
        self.aborted += 1;
    }

    /// Returns the status codes of complete responses, in order, and the number of each.
    fn by_code(&self) -> impl Iterator<Item = (u16, u64)> {
        CODES.zip(self.responses.iter().copied()).filter(|(_, count)| *count > 0)
    }

    /// Returns the number of complete responses.
    fn completed(&self) -> u64 {
        self.times.count()
    }

    /// Returns the number of responses that have begun and not ended.
    fn in_progress(&self) -> u64 {
        self.requests.saturating_sub(self.completed() + self.aborted)
    }
}

/// What the HTTP service and the loop have counted until `now`.
pub struct Report<'a> {
    pub statistics: &'a Statistics,
    pub counters: &'a LoopCounters,
    pub now: Instant,
}

impl Report<'_> {
    /// Returns the time in which the figures were counted.
    fn period(&self) -> Duration {
        self.now.saturating_duration_since(self.statistics.since)
    }

    /// Returns the number of complete responses that took longer than wrk waits by default.
    fn wrk_timeouts(&self) -> u64 {
        self.statistics.times.longer_than(wrk::TIMEOUT)
    }

    /// Returns the number of connections that were closed so that wrk counts `error`.
    fn wrk_errors(&self, error: wrk::SocketError) -> u64 {
        let closed = self.counters.closed().iter();
        closed.filter(|(reason, _)| wrk::socket_error(*reason) == Some(error)).map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::clock::Clock;

    #[test]
    fn statistics_count_responses_until_they_are_reset() {
        let now = Clock::frozen(SystemTime::UNIX_EPOCH).now();
        let mut statistics = Statistics::new(now);
        let run = statistics.begin();
        for _ in 0..4 {
            assert_eq!(statistics.begin(), run);
        }
        for (code, micros) in [(200, 10), (404, 20), (200, 30)] {
            statistics.complete(code, Duration::from_micros(micros));
        }
        statistics.abort();
        statistics.count_sent(7);
        assert_eq!(statistics.by_code().collect::<Vec<_>>(), [(200, 2), (404, 1)]);
        assert_eq!((statistics.requests, statistics.completed(), statistics.in_progress()), (5, 3, 1));
        assert_eq!((statistics.aborted, statistics.bytes_sent), (1, 7));
        assert_eq!(statistics.total_time, Duration::from_micros(60));
        statistics.reset(now);
        assert_eq!(statistics.by_code().count(), 0);
        assert_eq!((statistics.requests, statistics.completed(), statistics.in_progress()), (0, 0, 0));
        assert!(statistics.run() != run && statistics.begin() == statistics.run());
    }

    #[test]
    fn service_times_are_counted_up_to_an_hour_and_for_any_code() {
        let mut statistics = Statistics::new(Clock::frozen(SystemTime::UNIX_EPOCH).now());
        for micros in 1..=1000 {
            statistics.complete(200, Duration::from_micros(micros * 10));
        }
        statistics.complete(200, Duration::MAX / 4);
        assert!(statistics.times.quantiles().max >= MAX_TIME);
        // An unknown code is still a response.
        statistics.complete(42, Duration::ZERO);
        assert_eq!(statistics.completed(), 1002);
    }
}
