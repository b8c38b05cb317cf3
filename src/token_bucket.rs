//! A rate limit that allows bursts.

use std::time::{Duration, Instant};

/// A rate, and the burst that is allowed after a pause.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// The number of tokens that a full bucket holds.
    pub burst: u32,
    /// The time after which one token is added.
    pub interval: Duration,
}

/// A token bucket. It stores the time at which it will be full, instead of a number of tokens and
/// the time of the last refill.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokenBucket {
    /// `None`: it is full.
    full_at: Option<Instant>,
}

impl TokenBucket {
    /// Returns when the next token is available, or `None` if one is available now.
    pub fn next_token_at(&self, rate: Rate, now: Instant) -> Option<Instant> {
        let at = self.full_at?.checked_sub(rate.interval * (rate.burst - 1))?;
        (at > now).then_some(at)
    }

    /// Takes a token if one is available now. Returns whether it did.
    pub fn try_take(&mut self, rate: Rate, now: Instant) -> bool {
        let is_available = self.next_token_at(rate, now).is_none();
        if is_available {
            self.take(rate, now);
        }
        is_available
    }

    /// Takes a token.
    pub fn take(&mut self, rate: Rate, now: Instant) {
        self.full_at = Some(self.full_at.map_or(now, |at| at.max(now)) + rate.interval);
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::clock::Clock;

    const RATE: Rate = Rate { burst: 20, interval: Duration::from_millis(100) };

    /// Takes as many tokens as there are at `now`, and returns their number.
    fn take_all(bucket: &mut TokenBucket, now: Instant) -> u32 {
        let has_token = |bucket: &&mut TokenBucket| bucket.next_token_at(RATE, now).is_none();
        (0..).take_while(|_| has_token(&bucket).then(|| bucket.take(RATE, now)).is_some()).count() as u32
    }

    #[test]
    fn token_bucket_allows_a_burst_and_then_the_rate() {
        let start = Clock::frozen(SystemTime::UNIX_EPOCH).now();
        let mut bucket = TokenBucket::default();
        assert_eq!(take_all(&mut bucket, start), RATE.burst);
        assert_eq!(bucket.next_token_at(RATE, start), Some(start + RATE.interval));
        let almost = start + RATE.interval - Duration::from_nanos(1);
        assert_eq!(take_all(&mut bucket, almost), 0);
        assert_eq!(take_all(&mut bucket, start + RATE.interval), 1);
        assert_eq!(take_all(&mut bucket, start + Duration::from_secs(1)), 9);
        // A pause fills the bucket, but not beyond the burst.
        assert_eq!(take_all(&mut bucket, start + Duration::from_secs(1000)), RATE.burst);
    }
}
