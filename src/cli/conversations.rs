//! The conversations besides HTTP: their flags, and the sockets that they add to the server's loop.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::Args;
use oneloop::{
    Address, ChatRoom, Echo, HttpServer, StreamListener, Timeouts,
    protocol::{Protocol, ProtocolFactory},
};

use super::{
    address,
    datagrams::{self, DatagramArgs},
    errors::{Failure, cannot_listen},
    mail::{self, MailArgs},
};

#[derive(Debug, Clone, Args)]
pub struct ConversationArgs {
    /// Echo bytes on this TCP address, such as 127.0.0.1:7000, or on unix:PATH
    #[arg(long, value_name = "ADDR", env = "ONELOOP_TCP_ECHO", hide_env = true)]
    pub tcp_echo: Option<String>,

    #[command(flatten)]
    pub datagrams: DatagramArgs,

    /// Run a chat room on this TCP address, such as 127.0.0.1:7001, or on unix:PATH
    #[arg(long, value_name = "ADDR", env = "ONELOOP_CHAT", hide_env = true)]
    pub chat: Option<String>,

    #[command(flatten)]
    pub mail: MailArgs,
}

/// A conversation that the server has started, to be announced.
pub struct Started {
    /// The flag that configures the conversation.
    pub flag: &'static str,
    /// The scheme in the announcement, such as `tcp`.
    pub scheme: &'static str,
    pub address: Address,
}

/// Starts the conversations whose flags are given.
pub fn start(
    server: &mut HttpServer,
    args: &ConversationArgs,
    timeouts: Timeouts,
) -> Result<Vec<Started>, Failure> {
    let mut started = Vec::new();
    if let Some(text) = &args.tcp_echo {
        let echo = |_: &Address| -> Box<dyn Protocol> { Box::new(Echo) };
        started.push(add(server, ("--tcp-echo", "tcp"), text, echo)?);
    }
    datagrams::start(server, &args.datagrams, &mut started)?;
    if let Some(text) = &args.chat {
        started.push(add(server, ("--chat", "chat"), text, ChatRoom::new(timeouts.head))?);
    }
    mail::start(server, &args.mail, &mut started)?;
    Ok(started)
}

/// Listens on `text`, the value of `flag`, and serves `service` there.
pub fn add(
    server: &mut HttpServer,
    (flag, scheme): (&'static str, &'static str),
    text: &str,
    service: impl ProtocolFactory + 'static,
) -> Result<Started, Failure> {
    let listener = listen(flag, text)?;
    let address = listener.address().clone();
    server.add_listener(listener, service).map_err(|e| cannot_listen(&address, &e))?;
    Ok(Started { flag, scheme, address })
}

/// Listens on the address given to `flag`: HOST:PORT, or unix:PATH with an optional mode.
fn listen(flag: &str, text: &str) -> Result<StreamListener, Failure> {
    if let Some(unix) = text.strip_prefix("unix:") {
        let (path, mode) = unix_socket(flag, unix)?;
        return StreamListener::unix(&path, mode).map_err(|e| cannot_listen(&Address::Unix(Some(path)), &e));
    }
    let address = ip_address(flag, text, "use HOST:PORT, such as 127.0.0.1:9000, or unix:PATH")?;
    StreamListener::tcp(address).map_err(|e| cannot_listen(&address.into(), &e))
}

/// Warns about each conversation that other machines can reach, because none authenticates its
/// clients, and about a beacon that has no URL to announce to other machines. `http` are the
/// addresses of the HTTP server.
pub fn warn_if_public(started: &[Started], http: &[Address]) {
    for Started { flag, address, .. } in started.iter().filter(|started| !started.address.is_local()) {
        if *flag != datagrams::BEACON {
            log::warn!("{flag} {address} accepts clients from other machines without authentication");
        } else if http.iter().all(Address::is_local) {
            log::warn!("{flag} {address} announces no URL to other machines; add --bind 0.0.0.0");
        }
    }
}

/// Parses and resolves HOST:PORT.
pub fn ip_address(flag: &str, text: &str, advice: &str) -> Result<SocketAddr, Failure> {
    let found = address::resolve(text, || {
        Failure::Usage(format!("'{text}' is not a valid address for {flag}; {advice}"))
    })?;
    Ok(found[0])
}

/// Parses what follows `unix:` in an address: PATH, or PATH,mode=660 with the permission mode of
/// the socket's file in octal digits.
pub fn unix_socket(flag: &str, text: &str) -> Result<(PathBuf, Option<u32>), Failure> {
    let (path, mode) = match text.split_once(",mode=") {
        Some((path, mode)) => (path, Some(mode)),
        None => (text, None),
    };
    let digits = mode.map(|mode| u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o777));
    match digits {
        // A mistake in the name of the option must not become a part of the path.
        None if path.rsplit_once(',').is_some_and(|(_, option)| option.contains('=')) => Err(Failure::Usage(
            format!("'unix:{text}' has an unknown option for {flag}; use unix:PATH,mode=660"),
        )),
        _ if path.is_empty() => {
            Err(Failure::Usage(format!("'unix:{text}' has no path for {flag}; use unix:PATH")))
        }
        Some(None) => {
            let mode = mode.unwrap_or_default();
            Err(Failure::Usage(format!(
                "'{mode}' is not a valid mode for {flag}; use octal digits, such as 660"
            )))
        }
        digits => Ok((Path::new(path).into(), digits.flatten())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unix_socket_has_a_path_and_perhaps_a_mode() {
        let table = [
            ("/run/a.sock", Some(("/run/a.sock", None))),
            ("/run/a.sock,mode=660", Some(("/run/a.sock", Some(0o660)))),
            ("a,b.sock", Some(("a,b.sock", None))),
            ("a=b.sock", Some(("a=b.sock", None))),
            ("/run/a.sock,mod=660", None),
            ("", None),
            (",mode=660", None),
            ("/run/a.sock,mode=", None),
            ("/run/a.sock,mode=9", None),
            ("/run/a.sock,mode=1777", None),
        ];
        for (text, expected) in table {
            let expected = expected.map(|(path, mode)| (PathBuf::from(path), mode));
            assert_eq!(unix_socket("--bind", text).ok(), expected, "{text:?}");
        }
    }
}
