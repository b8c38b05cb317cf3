//! The rate at which one member may send lines.

use std::time::{Duration, Instant};

/// The time that one line costs.
const INTERVAL: Duration = Duration::from_millis(100);
/// The number of lines that a member can send at once after a pause.
const BURST: u32 = 20;

/// A token bucket: 10 lines a second, and 20 at once. It stores the time at which it will be full,
/// instead of a number of tokens and the time of the last refill.
#[derive(Debug, Clone, Copy, Default)]
pub struct LineRate {
    /// `None`: it is full.
    full_at: Option<Instant>,
}

impl LineRate {
    /// Returns the time at which the next line is allowed, or `None` if it is allowed now.
    pub fn next_line_at(&self, now: Instant) -> Option<Instant> {
        let at = self.full_at?.checked_sub(INTERVAL * (BURST - 1))?;
        (at > now).then_some(at)
    }

    /// Takes the token for one line.
    pub fn take(&mut self, now: Instant) {
        self.full_at = Some(self.full_at.map_or(now, |at| at.max(now)) + INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends as many lines as are allowed at `now`, and returns their number.
    fn send_all(rate: &mut LineRate, now: Instant) -> u32 {
        let allowed = |rate: &&mut LineRate| rate.next_line_at(now).is_none();
        (0..).take_while(|_| allowed(&rate).then(|| rate.take(now)).is_some()).count() as u32
    }

    #[test]
    fn rate_allows_a_burst_then_ten_lines_a_second() {
        let start = Instant::now();
        let mut rate = LineRate::default();
        assert_eq!(send_all(&mut rate, start), BURST);
        assert_eq!(rate.next_line_at(start), Some(start + INTERVAL));
        let almost = start + INTERVAL - Duration::from_nanos(1);
        assert_eq!(send_all(&mut rate, almost), 0);
        assert_eq!(send_all(&mut rate, start + INTERVAL), 1);
        assert_eq!(send_all(&mut rate, start + Duration::from_secs(1)), 9);
        // A pause fills the bucket, but not beyond the burst.
        assert_eq!(send_all(&mut rate, start + Duration::from_secs(1000)), BURST);
    }
}
