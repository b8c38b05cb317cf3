//! How late the delays of the load target ended: how much a client waited longer than it had asked
//! for, because the poll sleeps whole milliseconds or the loop was busy.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::DIGITS;

/// The longest lateness that is recorded. A longer one counts as this one.
const MAX_LATENESS: Duration = Duration::from_secs(60);

/// How late delays ended, in nanoseconds.
pub struct Lateness(Histogram<u64>);

impl Default for Lateness {
    fn default() -> Lateness {
        let longest = u64::try_from(MAX_LATENESS.as_nanos()).unwrap_or(u64::MAX);
        Lateness(Histogram::new_with_bounds(1, longest, DIGITS).expect("a range and at most 5 digits"))
    }
}

impl Lateness {
    /// Counts a delay that ended `late`.
    pub fn record(&mut self, late: Duration) {
        self.0.saturating_record(u64::try_from(late.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Forgets all delays.
    pub fn reset(&mut self) {
        self.0.reset();
    }

    /// Returns the number of delays.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// Returns the lateness that `share` of all delays did not exceed.
    pub fn at(&self, share: f64) -> Duration {
        Duration::from_nanos(self.0.value_at_quantile(share))
    }

    /// Returns the greatest lateness.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.0.max())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_is_counted_until_a_reset() {
        let mut lateness = Lateness::default();
        assert_eq!((lateness.count(), lateness.at(0.5), lateness.max()), (0, Duration::ZERO, Duration::ZERO));
        (1..=1000).for_each(|micros| lateness.record(Duration::from_micros(micros)));
        let is_near = |late: Duration, micros: f64| (late.as_secs_f64() * 1e6 / micros - 1.0).abs() < 0.002;
        assert!(is_near(lateness.at(0.5), 500.0) && is_near(lateness.at(0.99), 990.0));
        assert!(is_near(lateness.max(), 1000.0));
        lateness.record(Duration::MAX);
        assert!(lateness.count() == 1001 && is_near(lateness.max(), 60e6));
        lateness.reset();
        assert_eq!((lateness.count(), lateness.max()), (0, Duration::ZERO));
    }
}
