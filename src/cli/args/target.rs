//! What load generators and tests of clients need from a server.

use clap::Args;
use oneloop::PeerNetwork;

use crate::cli::values::peer_network;

/// The path of the load target, if none is given.
pub const DEFAULT_TARGET: &str = "/_";

#[derive(Debug, Args)]
pub struct TargetArgs {
    /// Serve a load target at PATH [/_]: each URL chooses the status, delay and length of its
    /// response (/_/ lists all URLs); only for clients on this machine
    #[arg(long, value_name = "PATH", num_args = 0..=1, require_equals = true, default_missing_value = DEFAULT_TARGET)]
    #[arg(env = "ONELOOP_TARGET", hide_env = true)]
    pub target: Option<String>,

    /// Allow only these clients to use the load target: an IP address, a network such as
    /// 10.0.0.0/8, unix for Unix sockets, or all; repeatable
    #[arg(long, value_name = "ADDR", value_delimiter = ',', value_parser = peer_network)]
    #[arg(env = "ONELOOP_TARGET_FROM", hide_env = true)]
    pub target_from: Vec<PeerNetwork>,
}
