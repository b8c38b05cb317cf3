//! Decides which peers a service that answers every datagram must not answer.
//!
//! The source address of a datagram can be forged. One datagram with a forged source can start a
//! loop between two echoes: each answers the other until a packet is lost.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::peer_rate_limit::PeerRateLimit;
use crate::{
    address::may_be_socket,
    token_bucket::{Rate, TokenBucket},
};

/// The lowest source port that is answered. The ports below belong to servers, some of which answer
/// every datagram: echo 7, qotd 17, chargen 19, time 37, DNS 53.
const LOWEST_PORT: u16 = 1024;
/// The rate at which a peer is answered. A flood test of 100,000 datagrams is answered completely,
/// and so is any number of datagrams at up to 1,000 per second. A loop with another echo ends: on
/// one machine, where it makes some 30,000 round trips per second, after a few seconds. A loop that
/// is slower than the rate does not end, but does no harm.
const RATE: Rate = Rate { burst: 100_000, interval: Duration::from_millis(1) };
/// At most one warning per minute.
const WARNINGS: Rate = Rate { burst: 1, interval: Duration::from_secs(60) };

/// The peers that are not answered.
pub struct PeerFilter {
    /// The addresses of this process's sockets that answer datagrams.
    own: Vec<SocketAddr>,
    rate: PeerRateLimit<SocketAddr>,
    warnings: TokenBucket,
}

/// Why a peer is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IgnoreReason {
    /// The source is a socket of this process.
    OwnSocket,
    /// The source port is below 1024.
    ReservedPort,
    /// The source has sent too many datagrams.
    RateExceeded,
}

impl IgnoreReason {
    /// Returns the reason in a few words, for traces and the log.
    pub fn text(self) -> &'static str {
        match self {
            IgnoreReason::OwnSocket => "from a socket of this server",
            IgnoreReason::ReservedPort => "from a port below 1024",
            IgnoreReason::RateExceeded => "rate exceeded",
        }
    }
}

impl PeerFilter {
    /// Creates a filter. `own` are the addresses of this process's sockets that answer datagrams.
    pub fn new(own: Vec<SocketAddr>) -> PeerFilter {
        PeerFilter { own, rate: PeerRateLimit::new(RATE), warnings: TokenBucket::default() }
    }

    /// Returns why a datagram from `from` must not be answered, or `None` if it may be answered.
    pub fn check(&mut self, from: SocketAddr, now: Instant) -> Option<IgnoreReason> {
        if self.own.iter().any(|own| may_be_socket(from, *own)) {
            Some(IgnoreReason::OwnSocket)
        } else if from.port() < LOWEST_PORT {
            Some(IgnoreReason::ReservedPort)
        } else if !self.rate.allow(from, now) {
            Some(IgnoreReason::RateExceeded)
        } else {
            None
        }
    }

    /// Returns whether a warning about an ignored datagram is due, at most once a minute.
    pub fn is_warning_due(&mut self, now: Instant) -> bool {
        self.warnings.try_take(WARNINGS, now)
    }
}
