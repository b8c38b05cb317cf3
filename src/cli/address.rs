//! Addresses in arguments, HOST:PORT, and in announcements.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use oneloop::Address;

use super::errors::{Failure, io_message};

/// Resolves HOST:PORT. `invalid` makes the error for text of another form.
///
/// # Errors
/// Fails if the text has another form, or if the host has no address.
pub fn resolve(text: &str, invalid: impl FnOnce() -> Failure) -> Result<Vec<SocketAddr>, Failure> {
    let parts = text.rsplit_once(':').filter(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if parts.is_none() {
        return Err(invalid());
    }
    let found = text.to_socket_addrs().map(Iterator::collect::<Vec<_>>);
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(Failure::System(format!("cannot resolve '{text}': the host has no address"))),
        Err(e) => Err(Failure::System(format!("cannot resolve '{text}': {}", io_message(&e)))),
    }
}

/// Returns whether `address` is ::1 and 127.0.0.1 is among `all` with the same port, as when a
/// server listens on `localhost`.
pub fn is_second_loopback(address: SocketAddr, all: &[Address]) -> bool {
    let first = SocketAddr::from((Ipv4Addr::LOCALHOST, address.port()));
    address.ip() == Ipv6Addr::LOCALHOST && all.contains(&first.into())
}
