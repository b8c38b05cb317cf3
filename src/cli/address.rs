//! Addresses in arguments: HOST:PORT.

use std::net::{SocketAddr, ToSocketAddrs};

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
