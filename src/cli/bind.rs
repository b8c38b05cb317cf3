//! Ports in the values of `--bind`, as in `--bind 127.0.0.1:3000`.

use std::net::Ipv6Addr;

use clap::parser::ValueSource;

use super::{args::ListenArgs, errors::Failure};

/// Removes the port from each host of `--bind`, and makes it the server's port. The command line
/// overrides the environment here as well.
///
/// # Errors
/// Fails if a port is not valid, or if there are two.
pub fn take_ports(args: &mut ListenArgs) -> Result<(), Failure> {
    let mut found: Option<(u16, String)> = None;
    for value in args.bind.iter_mut().filter(|value| !value.starts_with("unix:")) {
        let (host, Some(port)) = split(value)? else { continue };
        if let Some((first, text)) = found.as_ref().filter(|(first, _)| *first != port) {
            return Err(Failure::Usage(format!(
                "'{text}' and '{value}' have the ports {first} and {port} for --bind; use the same port"
            )));
        }
        let text = std::mem::replace(value, host);
        found = Some((port, text));
    }
    let Some((port, text)) = found else { return Ok(()) };
    match (args.port_source, args.bind_source) {
        (Some(ValueSource::CommandLine), Some(ValueSource::EnvVariable)) => {}
        (Some(port_source), bind_source) if Some(port_source) == bind_source && args.port != port => {
            return Err(Failure::Usage(format!(
                "'{text}' for --bind has another port than --port {}; leave out one of them",
                args.port
            )));
        }
        (_, source) => (args.port, args.port_source) = (port, source),
    }
    Ok(())
}

/// Splits `value` into a host and a port, if it has one. An IPv6 address with a port has brackets.
fn split(value: &str) -> Result<(String, Option<u16>), Failure> {
    let ip = value.split_once('%').map_or(value, |(ip, _interface)| ip);
    let is_host = ip.parse::<Ipv6Addr>().is_ok() || value.ends_with(']');
    let Some((host, port)) = value.rsplit_once(':').filter(|_| !is_host) else {
        return Ok((value.to_owned(), None));
    };
    if host.is_empty() {
        let advice = format!("use 0.0.0.0{value} for all IPv4 addresses, or localhost{value}");
        return Err(Failure::Usage(format!("'{value}' has no host for --bind; {advice}")));
    }
    match port.parse() {
        Ok(port) => Ok((host.to_owned(), Some(port))),
        Err(_) => Err(Failure::Usage(format!(
            "'{value}' has no valid port for --bind; use a number from 0 to 65535, such as {host}:8000"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bind_value_has_a_host_and_perhaps_a_port() {
        let table = [
            ("localhost", Some(("localhost", None))),
            ("127.0.0.1:3000", Some(("127.0.0.1", Some(3000)))),
            ("dev.example:0", Some(("dev.example", Some(0)))),
            ("::1", Some(("::1", None))),
            ("::1:3000", Some(("::1:3000", None))), // an address with eight groups
            ("fe80::1%eth0", Some(("fe80::1%eth0", None))),
            ("[::1]", Some(("[::1]", None))),
            ("[::1]:3000", Some(("[::1]", Some(3000)))),
            ("[fe80::1%eth0]:80", Some(("[fe80::1%eth0]", Some(80)))),
            (":3000", None),
            ("localhost:", None),
            ("localhost:65536", None),
            ("localhost:-1", None),
            ("localhost:http", None),
            ("", Some(("", None))),
        ];
        for (value, expected) in table {
            let expected = expected.map(|(host, port)| (host.to_owned(), port));
            assert_eq!(split(value).ok(), expected, "{value:?}");
        }
    }
}
