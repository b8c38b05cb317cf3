//! Where to listen.

use super::TlsArgs;
use clap::{Args, ValueEnum, builder::BoolishValueParser, parser::ValueSource};

/// When a connection is accepted only with its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DeferAcceptArg {
    /// Unless the loop is observed: --trace, --trace-file, --observe, --step
    Auto,
    /// Also while the loop is observed
    #[value(aliases = ["true", "yes", "on", "1"])]
    Always,
    /// Accept each connection at once
    #[value(aliases = ["false", "no", "off", "0"])]
    Never,
}

#[derive(Debug, Args)]
pub struct ListenArgs {
    /// Listen on this port; 0 picks a free one
    #[arg(short, long, default_value_t = 8000, env = "ONELOOP_PORT", hide_env = true)]
    pub port: u16,

    /// Listen on this address or host name, also with a port as in 127.0.0.1:3000 or [::1]:3000, or
    /// on unix:PATH[,mode=660]; repeatable (0.0.0.0 and :: accept connections from anywhere,
    /// localhost is 127.0.0.1 and ::1)
    #[arg(short, long, visible_aliases = ["host", "address"], value_name = "ADDR")]
    #[arg(default_value = "localhost")]
    #[arg(value_delimiter = ',', env = "ONELOOP_BIND", hide_env = true)]
    pub bind: Vec<String>,

    /// Set SO_REUSEPORT, so that one process per core can share the port
    #[arg(long, value_parser = BoolishValueParser::new(), env = "ONELOOP_REUSE_PORT", hide_env = true)]
    pub reuse_port: bool,

    /// When to leave a new connection to the kernel until its first bytes arrive, for a second at
    /// most; a short connection then takes less CPU time (Linux)
    #[arg(long, value_name = "WHEN", value_enum, ignore_case = true, default_value_t = DeferAcceptArg::Auto)]
    #[arg(env = "ONELOOP_DEFER_ACCEPT", hide_env = true)]
    pub defer_accept: DeferAcceptArg,

    /// When listening only on loopback, also accept this Host header (* for any); repeatable
    #[arg(long, value_name = "NAME", value_delimiter = ',', env = "ONELOOP_ALLOW_HOST", hide_env = true)]
    pub allow_host: Vec<String>,

    /// Become this user when the sockets and logs are open, and give up root
    #[arg(long, value_name = "NAME", env = "ONELOOP_USER", hide_env = true)]
    pub user: Option<String>,

    #[command(flatten)]
    pub tls: TlsArgs,

    /// An option or variable that says where to listen, if one does.
    #[arg(skip)]
    pub chosen: Option<&'static str>,

    /// Where the port is from, if the arguments or variables give one.
    #[arg(skip)]
    pub port_source: Option<ValueSource>,

    /// Whether the port is a word without an option.
    #[arg(skip)]
    pub has_bare_port: bool,

    /// Where the hosts are from, if the arguments or variables give some.
    #[arg(skip)]
    pub bind_source: Option<ValueSource>,
}
