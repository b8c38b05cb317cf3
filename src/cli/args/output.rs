//! What the server prints and logs.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum, builder::BoolishValueParser};
use oneloop::TrustedProxy;

use crate::cli::{browser::page, values::trusted_proxy};

/// The access log, if no file is given.
pub const STANDARD_OUTPUT: &str = "-";
/// The page to open, if none is given.
pub const FIRST_PAGE: &str = "/";

#[derive(Debug, Args)]
pub struct OutputArgs {
    /// Write an access log to FILE, or to standard output (the default on a terminal)
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = STANDARD_OUTPUT)]
    #[arg(env = "ONELOOP_ACCESS_LOG", hide_env = true)]
    pub access_log: Option<PathBuf>,

    /// Write the access log in this format [default: brief on a terminal, otherwise common]
    #[arg(long, value_name = "FORMAT", value_enum)]
    #[arg(env = "ONELOOP_ACCESS_LOG_FORMAT", hide_env = true)]
    pub access_log_format: Option<LogFormatArg>,

    /// In the access log, show the client that this proxy names in X-Forwarded-For or Forwarded: an
    /// IP address, a network such as 10.0.0.0/8, or unix for Unix sockets; repeatable
    #[arg(long, value_name = "ADDR", value_delimiter = ',', value_parser = trusted_proxy)]
    #[arg(env = "ONELOOP_TRUSTED_PROXY", hide_env = true)]
    pub trusted_proxy: Vec<TrustedProxy>,

    /// Also print the URL for other devices as a QR code, which needs --bind 0.0.0.0 or another
    /// address that they can reach
    #[arg(long, value_parser = BoolishValueParser::new(), env = "ONELOOP_QR", hide_env = true)]
    pub qr: bool,

    /// Open PATH [/] of the site in the browser: the program in the variable BROWSER, or the
    /// browser of the desktop
    #[arg(long, value_name = "PATH", num_args = 0..=1, require_equals = true, default_missing_value = FIRST_PAGE)]
    #[arg(value_parser = page, env = "ONELOOP_OPEN", hide_env = true)]
    pub open: Option<String>,

    /// Log more to standard error; repeatable
    #[arg(short, long, action = ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,

    /// Log errors only; given twice, log nothing
    #[arg(short, long, action = ArgAction::Count)]
    pub quiet: u8,
}

/// The format of an access-log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormatArg {
    /// Common Log Format plus the response time in seconds
    Common,
    /// The same with referer and user agent (Combined Log Format)
    Combined,
    /// One JSON object per line
    Json,
    /// Status, size, time and request, with colours on a terminal (NO_COLOR, CLICOLOR)
    Brief,
}
