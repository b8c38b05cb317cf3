//! Deliberate faults of a datagram service: loss, duplicates, delay and jitter.
//!
//! It decides what happens to each datagram, in the order of arrival. The decisions depend only on
//! the seed and on the number of the datagram, so a run can be repeated. It must never hold or send
//! a datagram itself.

use std::time::Duration;

use oorandom::Rand64;

/// The faults that a datagram service adds on purpose. The default adds none.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Impairment {
    /// The probability that an answer is lost, from 0 to 1.
    pub loss: f64,
    /// The probability that an answer is sent twice, from 0 to 1.
    pub duplicate: f64,
    /// How long an answer is delayed.
    pub delay: Duration,
    /// The largest deviation from `delay`, shorter or longer. Each answer has its own deviation,
    /// distributed uniformly, so answers may overtake each other.
    pub jitter: Duration,
    /// The seed of the random numbers. Equal seeds give equal decisions.
    pub seed: u64,
}

impl Impairment {
    /// Returns whether any decision depends on the seed.
    pub fn is_random(&self) -> bool {
        self.loss > 0.0 || self.duplicate > 0.0 || !self.jitter.is_zero()
    }

    /// Returns whether datagrams are treated in any other way than without impairment.
    pub fn is_active(&self) -> bool {
        self.is_random() || !self.delay.is_zero()
    }
}

/// The decisions of one run.
pub struct Decisions {
    impairment: Impairment,
    random: Rand64,
}

/// What happens to the answer to one datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The answer is not sent.
    Lose,
    /// The answer is sent after this time, and a second time if it is duplicated.
    Send { after: Duration, again_after: Option<Duration> },
}

impl Decisions {
    /// Starts a run.
    pub fn new(impairment: Impairment) -> Decisions {
        Decisions { impairment, random: Rand64::new(impairment.seed.into()) }
    }

    /// Decides about the next datagram.
    pub fn next(&mut self) -> Decision {
        // Every datagram takes four numbers, used or not. So a different loss rate changes nothing
        // about the delays.
        let [loss, duplicate, first, second] = [(); 4].map(|()| self.random.rand_float());
        if loss < self.impairment.loss {
            return Decision::Lose;
        }
        let is_duplicated = duplicate < self.impairment.duplicate;
        Decision::Send { after: self.delay(first), again_after: is_duplicated.then(|| self.delay(second)) }
    }

    /// Returns the delay for `random`, a number from 0 to 1.
    fn delay(&self, random: f64) -> Duration {
        let Impairment { delay, jitter, .. } = self.impairment;
        // From 0 to twice the jitter. The conversion to an integer saturates.
        let offset = Duration::from_nanos((jitter.as_nanos() as f64 * 2.0 * random) as u64);
        delay.saturating_add(offset).saturating_sub(jitter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn run(impairment: Impairment, count: usize) -> Vec<Decision> {
        let mut decisions = Decisions::new(impairment);
        (0..count).map(|_| decisions.next()).collect()
    }

    fn delays(run: &[Decision]) -> Vec<Duration> {
        let delay = |decision: &Decision| match decision {
            Decision::Lose => None,
            Decision::Send { after, .. } => Some(*after),
        };
        run.iter().filter_map(delay).collect()
    }

    #[test]
    fn impairment_off_sends_everything_at_once() {
        let none = Impairment::default();
        assert!(!none.is_active() && !none.is_random());
        let sent_once = Decision::Send { after: Duration::ZERO, again_after: None };
        assert_eq!(run(none, 100), vec![sent_once; 100]);
        let delayed = Impairment { delay: MS, ..none };
        assert!(delayed.is_active() && !delayed.is_random());
        assert_eq!(delays(&run(delayed, 3)), [MS; 3]);
    }

    #[test]
    fn impairment_repeats_with_the_same_seed_only() {
        let some = Impairment { loss: 0.3, duplicate: 0.1, delay: 10 * MS, jitter: 5 * MS, seed: 7 };
        assert!(some.is_active() && some.is_random());
        assert_eq!(run(some, 1000), run(some, 1000));
        assert_ne!(run(some, 1000), run(Impairment { seed: 8, ..some }, 1000));
    }

    #[test]
    fn impairment_of_one_kind_leaves_the_others_alone() {
        let jitter = Impairment { delay: 10 * MS, jitter: 5 * MS, seed: 7, ..Impairment::default() };
        let all = delays(&run(jitter, 1000));
        let mut kept = delays(&run(Impairment { loss: 0.5, ..jitter }, 1000)).into_iter().peekable();
        // The delays of the answers that are kept are the delays that they have without loss.
        let matched = all.iter().filter(|delay| kept.next_if_eq(delay).is_some()).count();
        assert!((400..600).contains(&matched) && kept.next().is_none(), "{matched} matched");
    }

    #[test]
    fn impairment_rates_are_what_is_configured() {
        const COUNT: usize = 20_000;
        for rate in [0.0, 0.01, 0.3, 0.5, 1.0] {
            let lossy = run(Impairment { loss: rate, seed: 1, ..Impairment::default() }, COUNT);
            let lost = lossy.iter().filter(|decision| **decision == Decision::Lose).count();
            let doubling = run(Impairment { duplicate: rate, seed: 1, ..Impairment::default() }, COUNT);
            let is_doubled =
                |decision: &&Decision| matches!(decision, Decision::Send { again_after: Some(_), .. });
            let doubled = doubling.iter().filter(is_doubled).count();
            // Four standard deviations of a binomial distribution.
            let bound = 4.0 * (COUNT as f64 * rate * (1.0 - rate)).sqrt();
            for count in [lost, doubled] {
                assert!((count as f64 - COUNT as f64 * rate).abs() <= bound, "{count} at {rate}");
            }
        }
    }

    #[test]
    fn jitter_is_uniform_around_the_delay_and_never_negative() {
        let mut all = delays(&run(
            Impairment { delay: 100 * MS, jitter: 20 * MS, seed: 3, ..Impairment::default() },
            10_000,
        ));
        all.sort_unstable();
        let (shortest, middle, longest) = (all[0], all[5000], all[9999]);
        assert!(shortest >= 80 * MS && shortest < 81 * MS, "{shortest:?}");
        assert!(middle > 99 * MS && middle < 101 * MS, "{middle:?}");
        assert!(longest <= 120 * MS && longest > 119 * MS, "{longest:?}");
        let around_zero =
            delays(&run(Impairment { jitter: 20 * MS, seed: 3, ..Impairment::default() }, 1000));
        assert!(around_zero.iter().filter(|delay| delay.is_zero()).count() > 400);
        let huge = Impairment { delay: Duration::MAX, jitter: Duration::MAX, ..Impairment::default() };
        assert_eq!(run(huge, 100).len(), 100, "no overflow");
    }
}
