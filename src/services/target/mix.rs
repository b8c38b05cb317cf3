//! Values that are drawn: some of them for a share of the requests.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What is drawn. Each has numbers of its own, so that a parameter changes nothing about what the
/// others draw.
#[derive(Debug, Clone, Copy)]
pub enum Draw {
    Status = 0,
    /// Which of several delays or ranges of delays.
    Delay = 1,
    /// The place in a range of delays.
    DelayInRange = 2,
    Close = 3,
    Silent = 4,
    Garbage = 5,
    Truncate = 6,
    Reset = 7,
    OneByte = 8,
    AcceptStall = 9,
    Pause = 10,
}

/// Returns a number from 0 to 1 (exclusive) for request `number` of a URL. It follows from the
/// seed, the number of the request and what is drawn, and from nothing else.
pub fn draw(seed: u64, number: u64, what: Draw) -> f64 {
    let mut key = [0; 9];
    key[..8].copy_from_slice(&number.to_le_bytes());
    key[8] = what as u8;
    // A float has 53 bits.
    (xxh3_64_with_seed(&key, seed) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Values, each for a share of the requests. There may be a rest that has no value.
#[derive(Debug, Clone, PartialEq)]
pub struct Mix<T> {
    /// Each value and the sum of its share and those before it.
    options: Vec<(T, f64)>,
}

/// A value and its share, as given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Share {
    /// A share of all requests, from 0 to 1.
    Of(f64),
    /// A weight among the values that share the rest.
    Weight(f64),
}

impl<T> Default for Mix<T> {
    /// Returns the mix of no values.
    fn default() -> Mix<T> {
        Mix { options: Vec::new() }
    }
}

impl<T> Mix<T> {
    /// Creates a mix of `values`. Those with a weight share what the others leave, and those
    /// without a share are left out. Returns `None` if the shares are more than all.
    pub fn new(values: Vec<(T, Share)>) -> Option<Mix<T>> {
        let (mut shares, mut weights) = (0.0, 0.0);
        for (_, share) in &values {
            match share {
                Share::Of(share) => shares += share,
                Share::Weight(weight) => weights += weight,
            }
        }
        // The sum of decimal fractions is not exact.
        if shares > 1.0 + 1e-9 {
            return None;
        }
        let rest = (1.0 - shares).max(0.0);
        let mut sum = 0.0;
        let options = values.into_iter().filter_map(|(value, share)| {
            let share = match share {
                Share::Of(share) => share,
                Share::Weight(weight) if weights > 0.0 => rest * weight / weights,
                Share::Weight(_) => 0.0,
            };
            sum += share;
            (share > 0.0).then_some((value, sum))
        });
        let mut options: Vec<(T, f64)> = options.collect();
        if (shares > 1.0 - 1e-9 || weights > 0.0)
            && let Some((_, sum)) = options.last_mut()
        {
            *sum = 1.0;
        }
        Some(Mix { options })
    }

    /// Returns the value for a number from 0 to 1 (exclusive), or `None` for the rest.
    pub fn pick(&self, number: f64) -> Option<&T> {
        self.options.iter().find(|(_, sum)| number < *sum).map(|(value, _)| value)
    }

    /// Returns the values.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.options.iter().map(|(value, _)| value)
    }

    /// Returns whether some requests get no value.
    pub fn has_rest(&self) -> bool {
        self.options.last().is_none_or(|(_, sum)| *sum < 1.0)
    }

    /// Returns whether not all requests get the same.
    pub fn is_drawn(&self) -> bool {
        self.options.len() + usize::from(self.has_rest()) > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNT: u64 = 20_000;

    #[test]
    fn draws_follow_from_seed_number_and_what_is_drawn() {
        // Later versions repeat a run as well.
        let first: Vec<u32> = (0..5).map(|number| (draw(7, number, Draw::Status) * 1e6) as u32).collect();
        assert_eq!(first, FIRST);
        assert!(draw(8, 0, Draw::Status) != draw(7, 0, Draw::Status));
        assert!(draw(7, 0, Draw::Delay) != draw(7, 0, Draw::Status));
        assert!(draw(u64::MAX, u64::MAX, Draw::Close) < 1.0);
    }

    /// The first draws of seed 7, in millionths.
    const FIRST: [u32; 5] = [198_771, 901_470, 411_570, 636_157, 932_559];

    #[test]
    fn draws_are_uniform_and_independent() {
        let all: Vec<f64> = (0..COUNT).map(|number| draw(1, number, Draw::Status)).collect();
        for share in [0.01, 0.3, 0.5, 0.99] {
            let below = all.iter().filter(|number| **number < share).count() as f64;
            // Four standard deviations of a binomial distribution.
            let bound = 4.0 * (COUNT as f64 * share * (1.0 - share)).sqrt();
            assert!((below - COUNT as f64 * share).abs() <= bound, "{below} below {share}");
        }
        // Neighbours, and the draws of one request, say nothing about each other.
        let pairs = all.windows(2).filter(|pair| pair[0] < 0.5 && pair[1] < 0.5).count() as f64;
        let both =
            (0..COUNT).filter(|n| all[*n as usize] < 0.5 && draw(1, *n, Draw::Delay) < 0.5).count() as f64;
        let bound = 4.0 * (COUNT as f64 * 0.25 * 0.75).sqrt();
        assert!((pairs - COUNT as f64 / 4.0).abs() <= bound, "{pairs} pairs");
        assert!((both - COUNT as f64 / 4.0).abs() <= bound, "{both} requests");
    }

    #[test]
    fn mix_gives_each_value_its_share() {
        use Share::{Of, Weight};
        type Case = (Vec<(u8, Share)>, [(f64, Option<u8>); 4]);
        let table: [Case; 7] = [
            (vec![], [(0.0, None), (0.5, None), (0.9, None), (0.999, None)]),
            (vec![(1, Weight(1.0))], [(0.0, Some(1)), (0.5, Some(1)), (0.9, Some(1)), (0.999_999, Some(1))]),
            (vec![(1, Of(0.5))], [(0.0, Some(1)), (0.499, Some(1)), (0.5, None), (0.999, None)]),
            (
                vec![(1, Of(0.1)), (2, Of(0.2))],
                [(0.099, Some(1)), (0.1, Some(2)), (0.299, Some(2)), (0.301, None)],
            ),
            (
                vec![(1, Weight(1.0)), (2, Of(0.1))],
                [(0.0, Some(1)), (0.899, Some(1)), (0.901, Some(2)), (0.999_999, Some(2))],
            ),
            (
                vec![(1, Weight(3.0)), (2, Weight(1.0))],
                [(0.0, Some(1)), (0.749, Some(1)), (0.751, Some(2)), (0.999_999, Some(2))],
            ),
            (
                vec![(1, Of(0.7)), (2, Of(0.2)), (3, Of(0.1))],
                [(0.69, Some(1)), (0.89, Some(2)), (0.901, Some(3)), (1.0 - f64::EPSILON, Some(3))],
            ),
        ];
        for (values, picks) in table {
            let mix = Mix::new(values.clone()).expect("shares");
            for (number, expected) in picks {
                assert_eq!(mix.pick(number).copied(), expected, "{values:?} at {number}");
            }
            let is_drawn = picks.iter().any(|(_, pick)| *pick != picks[0].1);
            assert_eq!(mix.is_drawn(), is_drawn, "{values:?}");
        }
        assert_eq!(Mix::new(vec![(1, Of(0.6)), (2, Of(0.5))]), None);
    }
}
