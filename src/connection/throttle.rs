//! A limit on the rate at which a connection sends, which imitates a slow network.
//!
//! The connection sends a slice, and waits until the slice has taken its time. This module owns
//! that time. It must never lose a part of the rate because a turn came late.

use std::{
    num::NonZeroU64,
    ops::ControlFlow::{self, Break, Continue},
    time::{Duration, Instant},
};

use crate::{protocol::Context, source::Want, trace::Step};

/// The time that one slice takes. A slice is at least one byte.
const SLICE: Duration = Duration::from_millis(50);

/// A limit on the rate at which a connection sends.
#[derive(Debug)]
pub struct Throttle {
    /// In bytes per second.
    rate: NonZeroU64,
    /// When what has been sent has taken its time.
    ready_at: Instant,
}

impl Throttle {
    /// Creates a limit of `rate` bytes per second, which counts from `now`.
    pub fn new(rate: NonZeroU64, now: Instant) -> Throttle {
        Throttle { rate, ready_at: now }
    }

    /// Returns the maximum number of bytes to send now, never 0.
    ///
    /// # Errors
    /// Returns when to ask again if nothing may be sent yet.
    fn allowance(&self, now: Instant) -> Result<usize, Instant> {
        if self.ready_at > now {
            return Err(self.ready_at);
        }
        let slice = u128::from(self.rate.get()) * SLICE.as_nanos() / NANOSECONDS;
        Ok(usize::try_from(slice).unwrap_or(usize::MAX).max(1))
    }

    /// Returns the maximum number of bytes to send now, never 0. Breaks with the time until which
    /// the connection waits if nothing may be sent yet.
    pub fn limit(&self, cx: &mut Context<'_>) -> ControlFlow<Want, usize> {
        self.allowance(cx.clock.now()).map_or_else(
            |time| {
                let within = cx.clock.until(Some(time));
                cx.trace(|| Step::Postponed { within });
                Break(Want::WaitUntil(Some(time)))
            },
            Continue,
        )
    }

    /// Records that `count` bytes have been sent at `now`.
    pub fn count(&mut self, count: usize, now: Instant) {
        let nanoseconds = (count as u128 * NANOSECONDS).div_ceil(u128::from(self.rate.get()));
        let time = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        // A turn that is late by less than a slice makes up for it. A longer pause, for example
        // between two responses, does not.
        let is_pause = now.saturating_duration_since(self.ready_at) > SLICE;
        let start = if is_pause { now } else { self.ready_at };
        self.ready_at = start.checked_add(time).unwrap_or(start);
    }
}

/// The number of nanoseconds in a second.
const NANOSECONDS: u128 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn throttle(rate: u64, now: Instant) -> Throttle {
        Throttle::new(NonZeroU64::new(rate).expect("not 0"), now)
    }

    /// Sends `total` bytes with turns that are `late`, and returns how long that takes.
    fn time_of(rate: u64, total: usize, late: Duration) -> Duration {
        let start = Instant::now();
        let (mut throttle, mut now, mut left) = (throttle(rate, start), start, total);
        while left > 0 {
            match throttle.allowance(now) {
                Ok(allowed) => {
                    throttle.count(allowed.min(left), now);
                    left -= allowed.min(left);
                }
                Err(at) => now = at + late,
            }
        }
        throttle.ready_at - start
    }

    #[test]
    fn throttle_keeps_the_rate_exactly() {
        let table = [
            (1, 3, Duration::from_secs(3)),
            (1000, 10_000, Duration::from_secs(10)),
            (102_400, 1_024_000, Duration::from_secs(10)),
            (1 << 30, 1 << 30, Duration::from_secs(1)),
        ];
        for (rate, total, expected) in table {
            for late in [Duration::ZERO, MS, 30 * MS] {
                let took = time_of(rate, total, late);
                let rounding = Duration::from_micros(1);
                assert!((expected..expected + rounding).contains(&took), "{rate} {late:?}: {took:?}");
            }
        }
        assert!(time_of(u64::MAX, usize::MAX, MS) <= Duration::from_millis(1001));
    }

    #[test]
    fn throttle_saves_nothing_in_a_pause() {
        let start = Instant::now();
        let mut throttle = throttle(1000, start);
        assert_eq!(throttle.allowance(start), Ok(50));
        throttle.count(50, start);
        assert_eq!(throttle.allowance(start), Err(start + 50 * MS));
        let later = start + 1000 * MS;
        assert_eq!(throttle.allowance(later), Ok(50));
        throttle.count(20, later);
        assert_eq!(throttle.allowance(later), Err(later + 20 * MS));
    }
}
