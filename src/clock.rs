//! The time, read once per turn.
//!
//! All code that needs the time gets it from the [`Clock`] of the turn; nothing else may call
//! `now()`. So all deadlines, `Date` values and log lines of one turn agree, a cached response
//! needs no clock call, and a test can give the loop a frozen clock.

use std::{
    io::Write,
    num::NonZeroU64,
    sync::OnceLock,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// The time of the current turn: monotonic time, wall-clock time, and a `Date` value that is
/// rendered once per second.
pub struct Clock {
    now: Instant,
    compact_now: CompactInstant,
    wall: SystemTime,
    turn: u64,
    date: [u8; DATE_LEN],
    /// The time that `date` shows, in seconds since the epoch.
    date_shows: u64,
    frozen: bool,
    /// The total time that observers have paused the loop. It is subtracted from the monotonic
    /// time.
    paused: Duration,
}

/// A monotonic time in 8 bytes instead of 16, for what every connection holds: the nanoseconds
/// since the first clock of the process was made, plus 1. They last for 584 years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CompactInstant(NonZeroU64);

/// When the first clock of the process was made. No clock returns an earlier time.
static ORIGIN: OnceLock<Instant> = OnceLock::new();

impl From<Instant> for CompactInstant {
    fn from(time: Instant) -> CompactInstant {
        let since = time.saturating_duration_since(*ORIGIN.get_or_init(|| time));
        let nanos = since.as_secs().saturating_mul(1_000_000_000).saturating_add(since.subsec_nanos().into());
        CompactInstant(NonZeroU64::MIN.saturating_add(nanos))
    }
}

impl From<CompactInstant> for Instant {
    fn from(CompactInstant(nanos): CompactInstant) -> Instant {
        // The origin has been set: only a conversion makes a value.
        *ORIGIN.get_or_init(Instant::now) + Duration::from_nanos(nanos.get() - 1)
    }
}

/// The length of `Sun, 06 Nov 1994 08:49:37 GMT`, an IMF-fixdate (RFC 9110 section 5.6.7).
const DATE_LEN: usize = 29;

impl Clock {
    /// Returns a clock that follows the system's time.
    pub fn system() -> Clock {
        Clock::at(SystemTime::now(), false)
    }

    /// Returns a clock that stands still until [`Clock::advance`] is called. A loop with such a
    /// clock never sleeps in its poll.
    pub fn frozen(wall: SystemTime) -> Clock {
        Clock::at(wall, true)
    }

    fn at(wall: SystemTime, frozen: bool) -> Clock {
        let now = Instant::now();
        let mut clock = Clock {
            now,
            compact_now: now.into(), // which also sets the origin
            wall,
            turn: 0,
            date: [0; DATE_LEN],
            date_shows: u64::MAX,
            frozen,
            paused: Duration::ZERO,
        };
        clock.render_date();
        clock
    }

    /// Starts a turn: counts the turn, and reads the system's time.
    pub fn tick(&mut self) {
        self.turn += 1;
        self.read();
    }

    /// Reads the system's time, unless the clock is frozen.
    fn read(&mut self) {
        if !self.frozen {
            self.now = self.precise_now();
            self.compact_now = self.now.into();
            self.wall = SystemTime::now();
            self.render_date();
        }
    }

    /// Blocks the process for `time`: the only call outside the poll that waits. A frozen clock
    /// moves forward instead.
    pub fn block(&mut self, time: Duration) {
        if self.frozen {
            return self.advance(time);
        }
        std::thread::sleep(time);
        // Deadlines have come closer, so the poll must not sleep as long as before.
        self.read();
    }

    /// Subtracts `time` from the monotonic time. An observer has paused the loop for that long, and
    /// the pause must not bring deadlines closer.
    pub fn pause_for(&mut self, time: Duration) {
        self.paused += time;
    }

    /// Moves a frozen clock forward. Has no effect on a running clock.
    pub fn advance(&mut self, by: Duration) {
        if self.frozen {
            self.now += by;
            self.compact_now = self.now.into();
            self.wall += by;
            self.render_date();
        }
    }

    /// Returns the monotonic time of the turn, for deadlines.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Returns [`Clock::now`] in a compact form.
    pub fn compact_now(&self) -> CompactInstant {
        self.compact_now
    }

    /// Returns [`Clock::after`] in a compact form.
    pub fn compact_after(&self, limit: Option<Duration>) -> Option<CompactInstant> {
        let nanos = u64::try_from(limit?.as_nanos()).ok()?;
        self.compact_now.0.checked_add(nanos).map(CompactInstant)
    }

    /// Reads the monotonic time at this moment, to measure a duration within a turn. Everything
    /// else uses [`Clock::now`].
    pub fn precise_now(&self) -> Instant {
        if self.frozen { self.now } else { Instant::now().checked_sub(self.paused).unwrap_or(self.now) }
    }

    /// Returns the wall-clock time of the turn, for validators and logs.
    pub fn wall(&self) -> SystemTime {
        self.wall
    }

    /// Returns the number of the current turn, counted from 1.
    pub fn turn(&self) -> u64 {
        self.turn
    }

    /// Returns the value of the `Date` field, as 29 ASCII bytes (RFC 9110 section 5.6.7).
    pub fn date(&self) -> &[u8; DATE_LEN] {
        &self.date
    }

    /// Returns the time `limit` after the start of the turn, or `None` if there is no limit or the
    /// time cannot be represented.
    pub fn after(&self, limit: Option<Duration>) -> Option<Instant> {
        limit.and_then(|limit| self.now.checked_add(limit))
    }

    /// Returns the time until `deadline`, or `None` if there is no deadline. The time counts from
    /// the start of the turn, so a poll that sleeps this long may wake late by the duration of one
    /// turn's work, but never early.
    pub fn until(&self, deadline: Option<Instant>) -> Option<Duration> {
        deadline.map(|at| at.saturating_duration_since(self.now))
    }

    /// Returns the timeout to pass to the poll: zero if the clock is frozen, otherwise `timeout`.
    pub fn sleep(&self, timeout: Option<Duration>) -> Option<Duration> {
        if self.frozen { Some(Duration::ZERO) } else { timeout }
    }

    /// Renders `date` again if the second has changed.
    fn render_date(&mut self) {
        let second = self.wall.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()).min(LAST_SECOND);
        if second != self.date_shows {
            self.date_shows = second;
            let date = httpdate::HttpDate::from(UNIX_EPOCH + Duration::from_secs(second));
            // This cannot fail: an IMF-fixdate up to the year 9999 has exactly 29 bytes.
            let _ = write!(&mut self.date[..], "{date}");
        }
    }
}

/// A stopwatch for observers. The loop itself uses its [`Clock`].
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch {
    start: Instant,
}

impl Stopwatch {
    /// Starts a stopwatch.
    pub fn start() -> Stopwatch {
        Stopwatch { start: Instant::now() }
    }

    /// Returns the time since the start.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

/// 9999-12-31T23:59:59Z, the last second that an IMF-fixdate can show.
const LAST_SECOND: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_instant_keeps_times_exactly() {
        let start = Clock::system().now();
        let times = [0, 1, 999_999_999, 1_000_000_000, 123_456_789_012_345_678].map(Duration::from_nanos);
        for time in times.map(|after| start + after) {
            let compact = CompactInstant::from(time);
            assert_eq!(Instant::from(compact), time);
            assert!(compact < CompactInstant::from(time + Duration::from_nanos(1)));
        }
        assert_eq!(size_of::<Option<CompactInstant>>(), 8);
    }

    #[test]
    fn date_is_an_imf_fixdate_and_follows_the_clock() {
        let mut clock = Clock::frozen(UNIX_EPOCH + Duration::from_secs(784_111_777));
        assert_eq!(clock.date(), b"Sun, 06 Nov 1994 08:49:37 GMT");
        clock.advance(Duration::from_millis(999));
        assert_eq!(clock.date(), b"Sun, 06 Nov 1994 08:49:37 GMT");
        clock.advance(Duration::from_millis(1));
        assert_eq!(clock.date(), b"Sun, 06 Nov 1994 08:49:38 GMT");
    }

    #[test]
    fn date_outside_the_range_is_clamped() {
        let long_ago = Clock::frozen(UNIX_EPOCH - Duration::from_secs(1));
        assert_eq!(long_ago.date(), b"Thu, 01 Jan 1970 00:00:00 GMT");
        let far_ahead = Clock::frozen(UNIX_EPOCH + Duration::from_secs(LAST_SECOND + 1));
        assert_eq!(far_ahead.date(), b"Fri, 31 Dec 9999 23:59:59 GMT");
    }

    #[test]
    fn clock_that_is_frozen_never_sleeps() {
        let clock = Clock::frozen(UNIX_EPOCH);
        let nine = Some(Duration::from_secs(9));
        assert_eq!(clock.until(Some(clock.now() + Duration::from_secs(9))), nine);
        assert_eq!((clock.sleep(nine), clock.sleep(None)), (Some(Duration::ZERO), Some(Duration::ZERO)));
        assert_eq!((Clock::system().sleep(nine), Clock::system().until(None)), (nine, None));
    }

    #[test]
    fn clock_has_moved_on_when_a_block_is_over() {
        for (mut clock, time) in [
            (Clock::frozen(UNIX_EPOCH), Duration::from_secs(3600)),
            (Clock::system(), Duration::from_millis(2)),
        ] {
            let (now, wall, turn) = (clock.now(), clock.wall(), clock.turn());
            clock.block(time);
            assert!(clock.now() >= now + time && clock.wall() > wall && clock.turn() == turn);
        }
    }
}
