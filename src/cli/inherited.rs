//! Listening sockets that the process inherits from a service manager (sd_listen_fds(3)).
//!
//! A service manager keeps these sockets open while the server restarts, so no connection is lost.

use std::env;

use listenfd::ListenFd;
use oneloop::{StreamListener, is_listening};
use rustix::net::sockopt::set_tcp_nodelay;

use super::{args::ListenArgs, errors::Failure};

/// The number of the first inherited descriptor (sd_listen_fds(3)).
const FIRST: usize = 3;

/// Takes the listening sockets that `LISTEN_FDS` announces, if `LISTEN_PID` names this process or
/// is not set. Removes both variables.
///
/// # Errors
/// Fails if `LISTEN_FDS` is not a number, if a descriptor is not a listening stream socket, or if
/// an option says where to listen.
pub fn listeners(args: &ListenArgs) -> Result<Vec<StreamListener>, Failure> {
    if let Some(count) = env::var_os("LISTEN_FDS").filter(|count| !count.is_empty())
        && count.to_str().is_none_or(|count| count.parse::<u16>().is_err())
    {
        let count = count.display();
        return Err(Failure::Usage(format!("'{count}' is not a number of sockets; unset LISTEN_FDS")));
    }
    let mut inherited = ListenFd::from_env();
    let found = 0..inherited.len();
    let listeners = found.map(|index| listener(&mut inherited, index)).collect::<Result<Vec<_>, _>>()?;
    match args.chosen {
        Some(option) if !listeners.is_empty() => Err(Failure::Usage(format!(
            "{option} has no effect on the sockets that the service manager has opened (LISTEN_FDS); \
             leave it out"
        ))),
        _ => Ok(listeners),
    }
}

/// Takes one of the inherited descriptors, which become close-on-exec.
fn listener(inherited: &mut ListenFd, index: usize) -> Result<StreamListener, Failure> {
    if let Ok(Some(socket)) = inherited.take_tcp_listener(index)
        && is_listening(&socket).is_ok_and(|listens| listens)
    {
        // As for the server's own sockets: accepted ones inherit this option. An error means that
        // small responses may be slower.
        let _ = set_tcp_nodelay(&socket, true);
        return Ok(socket.into());
    }
    if let Ok(Some(socket)) = inherited.take_unix_listener(index)
        && is_listening(&socket).is_ok_and(|listens| listens)
    {
        return Ok(socket.into());
    }
    Err(Failure::Usage(format!(
        "descriptor {} (LISTEN_FDS) is not a listening TCP or Unix socket; \
         use ListenStream= and Accept=no in the socket unit",
        FIRST + index
    )))
}
