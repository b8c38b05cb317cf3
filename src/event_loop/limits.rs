//! The limits of a loop: how many connections, and how long they may take.

use std::time::Duration;

use super::AddressLimit;
use crate::{connection::Buffers, protocol::InputBudget};

/// The limits on connections. `None` disables a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The maximum number of open connections. A further client makes the loop close the connection
    /// that has been [idle](crate::protocol::Protocol::is_idle) longest. If none is idle, the client
    /// waits in the backlog.
    pub max_connections: usize,
    /// How many of them one address may have.
    pub max_per_address: AddressLimit,
    /// How long a peer may go without accepting data before its connection is closed.
    pub send_timeout: Option<Duration>,
    /// How many bytes per second a peer must accept, on average over the send timeout. A service
    /// whose messages may be long demands the same of the peers that send them. 0 disables both
    /// limits. If the send timeout is disabled, peers may accept data at any rate.
    pub min_rate: u32,
    /// How long to go on accepting connections after a signal has asked for a shutdown. A load
    /// balancer needs this time to stop sending requests here.
    pub shutdown_delay: Duration,
    /// How long [draining](super::EventLoop::drain) may take before the remaining connections are closed.
    pub drain_timeout: Option<Duration>,
    /// How long it may take to establish an [outgoing connection](super::EventLoop::connect).
    pub connect_timeout: Option<Duration>,
    /// The maximum number of reads and writes that a connection or a UDP socket makes in one turn.
    /// The rest is carried over.
    pub max_calls: usize,
    /// The maximum length in bytes of a message that a protocol must have as a whole.
    pub max_message: usize,
    /// How many bytes of incomplete messages all connections together may keep, but at least one
    /// message of the maximum length. The first 4 KiB of each message do not count. A further
    /// message that does not arrive at once is refused.
    pub max_input: usize,
}

impl Default for Limits {
    /// Returns limits of 512 connections and 128 for one address, a send timeout of 60 seconds, 8
    /// seconds to drain, and 10 seconds to connect. A video that is paused is not an attack. Docker
    /// kills a process 10 seconds after it has asked it to stop.
    fn default() -> Limits {
        Limits {
            max_connections: 512,
            max_per_address: AddressLimit::Remote(128),
            send_timeout: Some(Duration::from_secs(60)),
            min_rate: 0,
            shutdown_delay: Duration::ZERO,
            drain_timeout: Some(Duration::from_secs(8)),
            connect_timeout: Some(Duration::from_secs(10)),
            max_calls: usize::MAX,
            max_message: Buffers::INPUT,
            max_input: InputBudget::DEFAULT,
        }
    }
}

impl Limits {
    /// Returns how many bytes a blocked peer must accept within the send timeout.
    pub(super) fn least_sent(&self) -> u64 {
        let limit = self.send_timeout.unwrap_or_default();
        (limit.as_secs_f64() * f64::from(self.min_rate)) as u64
    }
}
