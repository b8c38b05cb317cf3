//! The timer queue: when to call each source, and how long the poll may sleep.
//!
//! Each key has at most one entry. The entry may be *earlier* than the key's deadline, but never
//! later. So extending a deadline, which every request does, costs one comparison. The queue knows
//! nothing about connections: the loop decides what a due key means.

use std::time::{Duration, Instant};

use super::key_queue::KeyQueue;
use crate::{
    clock::{Clock, CompactInstant},
    token_bucket::{Rate, TokenBucket},
};

/// How often a warning about connections is logged.
const WARNING_RATE: Rate = Rate { burst: 1, interval: Duration::from_secs(60) };

/// The timers of all sources. Every operation costs at most O(log n).
pub struct Timers {
    /// The time of the current turn.
    pub clock: Clock,
    queue: KeyQueue,
    warnings: TokenBucket,
}

impl Timers {
    pub fn new(clock: Clock) -> Timers {
        Timers { queue: KeyQueue::default(), clock, warnings: TokenBucket::default() }
    }

    /// Makes [`Timers::pop_due`] return `key` by `time` at the latest. A later time, or `None`,
    /// does not move the existing entry. The key then comes early, and the caller must set its time
    /// again.
    pub fn wake_by(&mut self, key: usize, time: Option<CompactInstant>) {
        let Some(time) = time else { return };
        // A busy connection extends its deadline with every request. Moving its entry each time
        // would reorder the queue; an early entry costs one spurious call per timeout.
        if !self.queue.is_due_by(key, time) {
            self.queue.put(key, time);
        }
    }

    /// Removes `key`'s entry, if it has one.
    pub fn remove(&mut self, key: usize) {
        self.queue.remove(key);
    }

    /// Returns how long the poll may sleep: until the first entry or until `by`, whichever is
    /// earlier. `None` means no limit.
    pub fn timeout(&self, by: Option<Instant>) -> Option<Duration> {
        let next = self.queue.first().map(|(at, _)| Instant::from(at));
        self.clock.until(next.into_iter().chain(by).min())
    }

    /// Removes the first due entry and returns its key, or `None` if no entry is due.
    pub fn pop_due(&mut self) -> Option<usize> {
        let (at, key) = self.queue.first()?;
        if at > self.clock.compact_now() {
            return None;
        }
        self.remove(key);
        Some(key)
    }

    /// Returns whether a warning about connections may be logged now, at most once a minute. If it
    /// may, counts the warning as logged.
    pub fn is_warning_due(&mut self) -> bool {
        self.warnings.try_take(WARNING_RATE, self.clock.now())
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    /// Returns timers on a frozen clock, and a function that converts seconds after its start to a
    /// time.
    fn timers() -> (Timers, impl Fn(u64) -> Option<Instant>) {
        let timers = Timers::new(Clock::frozen(SystemTime::UNIX_EPOCH));
        let start = timers.clock.now();
        (timers, move |s| Some(start + Duration::from_secs(s)))
    }

    #[test]
    fn timers_move_an_entry_only_to_an_earlier_time() {
        let (mut timers, at) = timers();
        let in_seconds = |timers: &Timers| timers.timeout(None).map(|timeout| timeout.as_secs());
        timers.wake_by(7, at(10).map(Into::into));
        timers.wake_by(7, at(20).map(Into::into));
        assert_eq!(in_seconds(&timers), Some(10), "a later one waits for the entry");
        timers.wake_by(7, at(5).map(Into::into));
        assert_eq!(in_seconds(&timers), Some(5), "an earlier one does not");
        timers.wake_by(7, None);
        assert_eq!(in_seconds(&timers), Some(5));
        assert_eq!(timers.timeout(at(3)), Some(Duration::from_secs(3)));
    }

    #[test]
    fn timers_pop_due_keys_in_order_and_once() {
        let (mut timers, at) = timers();
        assert_eq!(timers.timeout(None), None);
        for (key, s) in [(1, 3), (2, 1), (3, 2), (4, 9)] {
            timers.wake_by(key, at(s).map(Into::into));
        }
        timers.remove(3);
        timers.remove(99);
        assert_eq!(timers.pop_due(), None);
        timers.clock.advance(Duration::from_secs(3));
        assert_eq!([timers.pop_due(), timers.pop_due(), timers.pop_due()], [Some(2), Some(1), None]);
        assert_eq!(timers.timeout(None), Some(Duration::from_secs(6)));
    }

    #[test]
    fn warnings_are_rate_limited() {
        let (mut timers, _) = timers();
        let minute = Duration::from_secs(60);
        assert!(timers.is_warning_due() && !timers.is_warning_due());
        timers.clock.advance(minute);
        assert!(timers.is_warning_due());
    }
}
