//! Limits of connections, and what keeps the process within them.

use std::{num::NonZeroU64, time::Duration};

use clap::{Args, builder::BoolishValueParser};

use crate::cli::values::{TimeLimit, duration, head_size, limit, positive, rate, time_limit};

#[derive(Debug, Args)]
pub struct LimitArgs {
    /// Keep at most N connections open; a further one replaces the one that has been idle longest
    /// [default: about half the open-file limit]
    #[arg(long, value_name = "N", value_parser = positive, env = "ONELOOP_MAX_CONNECTIONS", hide_env = true)]
    pub max_connections: Option<usize>,

    /// Keep at most N connections from one IPv4 address or IPv6 /64 network; use 0 (any number)
    /// behind a proxy [default: a quarter of all, and any number from loopback]
    #[arg(long, value_name = "N", value_parser = limit::<usize>)]
    #[arg(env = "ONELOOP_MAX_PER_ADDRESS", hide_env = true)]
    pub max_per_address: Option<usize>,

    /// Close a connection that does not send a complete request within this time; 0 disables
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time_limit)]
    #[arg(env = "ONELOOP_HEAD_TIMEOUT", hide_env = true)]
    pub head_timeout: TimeLimit,

    /// Refuse a request whose head is longer than SIZE, from 1K to 1M (cookies of other servers on
    /// the same host take room)
    #[arg(long, value_name = "SIZE", default_value = "64K", value_parser = head_size)]
    #[arg(env = "ONELOOP_MAX_HEAD", hide_env = true)]
    pub max_head: usize,

    /// Close a connection that is idle between requests for this long; 0 disables
    #[arg(long, value_name = "TIME", default_value = "75s", value_parser = time_limit)]
    #[arg(env = "ONELOOP_IDLE_TIMEOUT", hide_env = true)]
    pub idle_timeout: TimeLimit,

    /// Close a connection that accepts no data for this long; 0 disables
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = time_limit)]
    #[arg(env = "ONELOOP_SEND_TIMEOUT", hide_env = true)]
    pub send_timeout: TimeLimit,

    /// Close a connection that accepts fewer bytes per second, on average over --send-timeout, or
    /// sends a mail message more slowly; 0 disables
    #[arg(long, value_name = "BYTES", default_value_t = 256, value_parser = limit::<u32>)]
    #[arg(env = "ONELOOP_MIN_RATE", hide_env = true)]
    pub min_rate: u32,

    /// Let a connection make at most N reads and writes for each event; the rest waits for the next
    /// turn [default: up to 64 responses or 512 KiB]
    #[arg(long, value_name = "N", value_parser = positive, env = "ONELOOP_IO_PER_EVENT", hide_env = true)]
    pub io_per_event: Option<usize>,

    /// Go on accepting connections for this long after Ctrl-C or SIGTERM, so that a load balancer
    /// can notice; responses then close their connections
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration)]
    #[arg(env = "ONELOOP_SHUTDOWN_DELAY", hide_env = true)]
    pub shutdown_delay: Duration,

    /// Let responses in progress take this long after Ctrl-C or SIGTERM; 0 disables the limit
    #[arg(long, value_name = "TIME", default_value = "8s", value_parser = time_limit)]
    #[arg(env = "ONELOOP_DRAIN_TIMEOUT", hide_env = true)]
    pub drain_timeout: TimeLimit,

    /// Do not use inotify; stat a cached file in each turn that serves it instead
    #[arg(long, value_parser = BoolishValueParser::new(), env = "ONELOOP_NO_WATCH", hide_env = true)]
    pub no_watch: bool,

    /// Do not confine the process with Landlock to the files that it needs
    #[arg(long, value_parser = BoolishValueParser::new(), env = "ONELOOP_NO_SANDBOX", hide_env = true)]
    pub no_sandbox: bool,

    /// Imitate a slow network: send at most RATE bytes per second on each HTTP connection, such as
    /// 100k
    #[arg(long, value_name = "RATE", value_parser = rate, env = "ONELOOP_THROTTLE", hide_env = true)]
    pub throttle: Option<NonZeroU64>,

    /// Imitate a slow network: begin each HTTP response this much later
    #[arg(long, value_name = "TIME", value_parser = duration, env = "ONELOOP_DELAY", hide_env = true)]
    pub delay: Option<Duration>,
}
