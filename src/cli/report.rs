//! What `-v` logs at the start: what runs, what it serves, and within which limits. The site and
//! the sandbox add lines of their own.

use std::time::Duration;

use oneloop::event_loop::{AddressLimit, Limits};

use super::{args::Cli, values::MountArg};

/// Logs the version, the served directories and the timeouts.
pub fn program(cli: &Cli) {
    if !log::log_enabled!(log::Level::Info) {
        return;
    }
    let root = cli.root.canonicalize().unwrap_or_else(|_| cli.root.clone());
    log::info!("oneloop {}, process {}", env!("CARGO_PKG_VERSION"), std::process::id());
    log::info!("root: {}", root.display());
    for MountArg { path, dir } in &cli.site.mount {
        let dir = dir.canonicalize().unwrap_or_else(|_| dir.clone());
        log::info!("mount: {path} is {}", dir.display());
    }
    if let Some(path) = &cli.target.target {
        let clients = if cli.target.target_from.is_empty() { "this machine" } else { "--target-from" };
        log::info!("load target: {}/, for {clients}", path.trim_end_matches('/'));
    }
    let limits = &cli.limits;
    let [head, idle] = [limits.head_timeout, limits.idle_timeout].map(|limit| time(limit.0));
    let [send, drain] = [limits.send_timeout, limits.drain_timeout].map(|limit| time(limit.0));
    log::info!("timeouts: request {head}, idle {idle}, send {send}, shutdown {drain}");
}

/// Logs the limits of the loop, and the open-file limit.
pub fn limits(limits: &Limits, open_files: u64) {
    let per_address = match limits.max_per_address {
        AddressLimit::None => "any number from one address".to_owned(),
        AddressLimit::Remote(limit) => format!("{limit} from one address, any number from loopback"),
        AddressLimit::Every(limit) => format!("{limit} from one address"),
    };
    log::info!("limits: {} connections, {per_address}; {open_files} open files", limits.max_connections);
}

fn time(limit: Option<Duration>) -> String {
    limit.map_or_else(|| "none".to_owned(), |limit| humantime::format_duration(limit).to_string())
}
