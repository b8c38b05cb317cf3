//! A rate limit on the answers to each peer.
//!
//! The source address of a datagram can be forged, so an attacker can make a service that answers
//! every datagram flood a victim. This module stores a bounded number of peers, and must never
//! wait.

use std::{hash::Hash, num::NonZeroUsize, time::Instant};

use lru::LruCache;

use crate::token_bucket::{Rate, TokenBucket};

/// The maximum number of peers that are stored. A peer that has been evicted starts again with a
/// full bucket.
const MAX_PEERS: NonZeroUsize = NonZeroUsize::new(1024).expect("not zero");

/// A token bucket for each peer.
pub struct PeerRateLimit<K: Hash + Eq> {
    rate: Rate,
    buckets: LruCache<K, TokenBucket>,
}

impl<K: Hash + Eq> PeerRateLimit<K> {
    /// Creates a limit that allows each peer this rate.
    pub fn new(rate: Rate) -> PeerRateLimit<K> {
        PeerRateLimit { rate, buckets: LruCache::new(MAX_PEERS) }
    }

    /// Returns whether `peer` may be answered at the time `now`. If it may, takes a token.
    pub fn allow(&mut self, peer: K, now: Instant) -> bool {
        self.buckets.get_or_insert_mut(peer, TokenBucket::default).try_take(self.rate, now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::clock::Clock;

    #[test]
    fn rate_bound_allows_a_burst_and_then_the_rate() {
        let start = Clock::frozen(SystemTime::UNIX_EPOCH).now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut bound = PeerRateLimit::new(Rate { burst: 3, interval: Duration::from_millis(10) });
        let mut allowed = |ms, peer| (0..10).filter(|_| bound.allow(peer, at(ms))).count();
        let table = [
            (0, 'a', 3),
            (0, 'b', 3),
            (9, 'a', 0),
            (10, 'a', 1),
            (35, 'a', 2),
            (1000, 'a', 3),
            (1000, 'b', 3),
        ];
        for (ms, peer, expected) in table {
            assert_eq!(allowed(ms, peer), expected, "{peer} after {ms} ms");
        }
    }

    #[test]
    fn rate_bound_remembers_a_bounded_number_of_peers() {
        let now = Clock::frozen(SystemTime::UNIX_EPOCH).now();
        let mut bound = PeerRateLimit::new(Rate { burst: 1, interval: Duration::from_secs(1) });
        assert!(bound.allow(0, now) && !bound.allow(0, now));
        let others = (1..=MAX_PEERS.get()).filter(|peer| bound.allow(*peer, now)).count();
        assert_eq!((others, bound.buckets.len()), (MAX_PEERS.get(), MAX_PEERS.get()));
        assert!(bound.allow(0, now), "the oldest peer has been forgotten");
    }
}
