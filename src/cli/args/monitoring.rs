//! Options for statistics, the health check and metrics.

use clap::{Args, builder::BoolishValueParser};

use crate::cli::values::url_path;

/// The path of the health check, if none is given.
pub const DEFAULT_HEALTH: &str = "/health";
/// The path of the metrics, if none is given.
pub const DEFAULT_METRICS: &str = "/metrics";

#[derive(Debug, Args)]
pub struct MonitoringArgs {
    /// Print statistics to standard error when the server ends, and after SIGUSR2: requests,
    /// service times, connections and turns of the loop
    #[arg(long, value_parser = BoolishValueParser::new(), env = "ONELOOP_STATS", hide_env = true)]
    pub stats: bool,

    /// Answer health checks at PATH [/health], before the files of the site: 200, or 503 once a
    /// shutdown has been requested; such requests are not logged
    #[arg(long, value_name = "PATH", num_args = 0..=1, require_equals = true, default_missing_value = DEFAULT_HEALTH)]
    #[arg(value_parser = url_path, env = "ONELOOP_HEALTH", hide_env = true)]
    pub health: Option<String>,

    /// Serve statistics at PATH [/metrics] as OpenMetrics, for Prometheus and similar programs; any
    /// client that can connect can read them
    #[arg(long, value_name = "PATH", num_args = 0..=1, require_equals = true, default_missing_value = DEFAULT_METRICS)]
    #[arg(value_parser = url_path, env = "ONELOOP_METRICS", hide_env = true)]
    pub metrics: Option<String>,
}
