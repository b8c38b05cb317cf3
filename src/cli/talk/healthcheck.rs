//! `oneloop healthcheck`: asks a server whether it answers, for a container that has no other
//! client.

use std::{cell::Cell, env, ffi::OsStr, io, rc::Rc};

use clap::Args;
use oneloop::clients::{Dialogue, HttpClient, HttpRequest, HttpUrl};

use super::{
    Talk,
    http::{addresses, invalid_url},
};
use crate::cli::{
    args::monitoring::DEFAULT_HEALTH,
    errors::{Failure, cannot_print},
    logger::LogPipe,
    output,
    values::{TimeLimit, time_limit},
    variables::boolean,
};

#[derive(Debug, Args)]
pub struct HealthcheckArgs {
    /// http://HOST[:PORT][/PATH], or unix:PATH of a Unix socket [default: the path of
    /// ONELOOP_HEALTH, or /, on the port of ONELOOP_PORT, or 8000, of this machine]
    url: Option<String>,

    /// Give up on an address that has not answered after this long; 0 disables
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = time_limit)]
    timeout: TimeLimit,
}

/// Sends a HEAD request to the server. It is healthy if the status is 200 to 399.
///
/// # Errors
/// Fails if the server cannot be reached, does not answer in time, or answers with another status.
pub fn check(args: &HealthcheckArgs, log: &LogPipe) -> Result<(), Failure> {
    let text = args.url.clone().unwrap_or_else(default_url);
    let url = HttpUrl::parse(&text).map_err(|e| invalid_url(&text, e))?;
    let request = HttpRequest::new("HEAD", &url);
    let status = Rc::new(Cell::new(None));
    let silent = |_| Dialogue::with_arrows(Box::new(io::sink()));
    let mut talk = Talk::untraced(args.timeout.0, log)?;
    talk.converse(&addresses(&url)?, silent, |session| {
        let client = HttpClient::new(request.clone(), session, Box::new(io::sink()));
        Box::new(client.with_status(Rc::clone(&status)))
    })?;
    let text = text.escape_debug();
    match status.get() {
        Some(status @ 200..400) => {
            output::print(&format!("{text} answers {status}\n")).map_err(|e| cannot_print(&e))
        }
        Some(status) => Err(Failure::System(format!("{text} answers {status}, which is not healthy"))),
        None => Err(Failure::System(format!("{text} does not answer"))),
    }
}

/// Returns the URL of the server that runs in the same container: `localhost` stands for both
/// loopback addresses. Kubernetes sets `ONELOOP_PORT=tcp://IP:PORT` for a Service, which is not a port.
fn default_url() -> String {
    let port = env::var("ONELOOP_PORT").ok().and_then(|port| port.parse::<u16>().ok());
    let health = env::var("ONELOOP_HEALTH").ok();
    format!("http://localhost:{}{}", port.unwrap_or(8000), health_path(health.as_deref().unwrap_or_default()))
}

/// Returns the path to ask for if the variable of the server's `--health` has this value.
fn health_path(value: &str) -> &str {
    match boolean(OsStr::new(value)) {
        Some(true) => DEFAULT_HEALTH,
        _ if value.starts_with('/') => value,
        _ => "/",
    }
}
