//! What shows how the server is doing.

use clap::{Args, builder::BoolishValueParser};

#[derive(Debug, Args)]
pub struct MonitoringArgs {
    /// Print statistics to standard error when the server ends, and after SIGUSR2: requests,
    /// service times, connections and turns of the loop
    #[arg(long, value_parser = BoolishValueParser::new(), env = "ONELOOP_STATS", hide_env = true)]
    pub stats: bool,
}
