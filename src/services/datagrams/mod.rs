//! The services for datagrams: an echo with deliberate faults, and the beacon that discovery finds.
//!
//! The source address of a datagram can be forged. Neither service may answer without a bound.

mod beacon;
mod impairment;
mod peer_filter;
mod peer_rate_limit;
pub mod steps;
mod udp_echo;

pub use self::{beacon::Beacon, impairment::Impairment, udp_echo::UdpEcho};
