//! Times that are counted in a histogram: service times, and how late delays ended.

use std::time::Duration;

use hdrhistogram::Histogram;

/// The number of decimal digits that times keep.
const DIGITS: u8 = 3;

/// How often each time has occurred, in nanoseconds.
pub struct TimeHistogram(Histogram<u64>);

/// The times that half, 99% and 99.9% of all times do not exceed, and the longest time.
pub struct Quantiles {
    pub p50: Duration,
    pub p99: Duration,
    pub p999: Duration,
    pub max: Duration,
}

impl TimeHistogram {
    /// Creates an empty histogram. A time that is longer than `longest` counts as that one.
    pub fn new(longest: Duration) -> TimeHistogram {
        let histogram = Histogram::new_with_bounds(1, nanos(longest), DIGITS);
        TimeHistogram(histogram.expect("a range and at most 5 digits"))
    }

    /// Counts a time.
    pub fn record(&mut self, time: Duration) {
        self.0.saturating_record(nanos(time));
    }

    /// Forgets all times.
    pub fn reset(&mut self) {
        self.0.reset();
    }

    /// Returns the number of times.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// Returns the quantiles that reports show.
    pub fn quantiles(&self) -> Quantiles {
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|share| self.at(share));
        Quantiles { p50, p99, p999, max: self.max() }
    }

    /// Returns the time that `share` of all times do not exceed.
    fn at(&self, share: f64) -> Duration {
        Duration::from_nanos(self.0.value_at_quantile(share))
    }

    /// Returns the longest time.
    fn max(&self) -> Duration {
        Duration::from_nanos(self.0.max())
    }

    /// Returns the number of times that are longer than `time`.
    pub fn longer_than(&self, time: Duration) -> u64 {
        self.0.count_between(nanos(time).saturating_add(1), u64::MAX)
    }

    /// Returns each time that has occurred, in order, and how often it has. Times with the same
    /// digits count as the longest one that has them.
    pub fn recorded(&self) -> impl Iterator<Item = (Duration, u64)> {
        let recorded = self.0.iter_recorded();
        recorded
            .map(|time| (Duration::from_nanos(time.value_iterated_to()), time.count_since_last_iteration()))
    }
}

/// Returns a time in nanoseconds, or the longest one that has a number.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// Returns whether `time` is the given number of microseconds, but for a share of `error`.
    fn is_near(time: Duration, micros: f64, error: f64) -> bool {
        (time.as_secs_f64() * 1e6 / micros - 1.0).abs() < error
    }

    #[test]
    fn times_are_counted_until_a_reset() {
        let mut times = TimeHistogram::new(MINUTE);
        assert_eq!((times.count(), times.at(0.5), times.max()), (0, Duration::ZERO, Duration::ZERO));
        (1..=1000).for_each(|micros| times.record(Duration::from_micros(micros)));
        assert!(is_near(times.at(0.5), 500.0, 0.002) && is_near(times.at(0.99), 990.0, 0.002));
        assert!(is_near(times.max(), 1000.0, 0.002));
        times.record(Duration::MAX);
        assert!(times.count() == 1001 && is_near(times.max(), 60e6, 0.002));
        times.reset();
        assert_eq!((times.count(), times.max()), (0, Duration::ZERO));
    }

    #[test]
    fn times_keep_three_digits_and_bounded_memory() {
        let mut times = TimeHistogram::new(60 * MINUTE);
        for micros in 1..=1000 {
            times.record(Duration::from_micros(micros * 10));
        }
        let Quantiles { p50, p99, p999, max } = times.quantiles();
        for (time, micros) in [(p50, 5000.0), (p99, 9900.0), (p999, 9990.0), (max, 10_000.0)] {
            assert!(is_near(time, micros, 0.001), "{micros}: {time:?}");
        }
        let before = times.0.distinct_values();
        times.record(Duration::MAX / 4);
        assert!(times.max() >= 60 * MINUTE);
        // A time that has the same digits as the limit may be counted as well.
        assert!((101..=102).contains(&times.longer_than(Duration::from_millis(9))));
        assert_eq!(times.0.distinct_values(), before);
    }

    #[test]
    fn recorded_times_are_the_longest_with_their_digits() {
        let mut times = TimeHistogram::new(MINUTE);
        for nanos in [10_000, 10_000, 10_007, 10_008] {
            times.record(Duration::from_nanos(nanos));
        }
        let expected = [(Duration::from_nanos(10_007), 3), (Duration::from_nanos(10_015), 1)];
        assert_eq!(times.recorded().collect::<Vec<_>>(), expected);
    }
}
