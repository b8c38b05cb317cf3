//! The command line: definitions and nothing else.

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Parser};

/// Serves a directory over HTTP from one thread and one poller.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Cli {
    /// The directory to serve
    #[arg(default_value = "static")]
    pub dir: PathBuf,

    /// The port to listen on; 0 takes any free one
    #[arg(short, long, default_value_t = 8000)]
    pub port: u16,

    /// An address or name to listen on; can be given again (0.0.0.0 and :: are everybody)
    #[arg(short, long = "bind", value_name = "ADDR", default_value = "127.0.0.1")]
    pub bind: Vec<String>,

    /// Answer every datagram on this host:port with itself, on the same poller
    #[arg(long, value_name = "ADDR")]
    pub udp_echo: Option<String>,

    /// The file that stands for its directory
    #[arg(long, value_name = "NAME", default_value = "index.html", value_parser = file_name)]
    pub index: String,

    /// Answer to this host, too, while only this machine can connect; * is every host; can be given again
    #[arg(long, value_name = "NAME")]
    pub allow_host: Vec<String>,

    /// Answer navigation to what is missing with FILE [index.html], for a single-page application; assets stay a 404
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "index.html")]
    pub spa: Option<String>,

    /// Connections open at once, further peers wait [default: what the limit of descriptors allows]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub max_connections: Option<usize>,

    /// How long a request may take to arrive, from its first byte; 0 is for ever
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time_limit)]
    pub head_timeout: TimeLimit,

    /// How long a connection may be silent between two requests; 0 is for ever
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = time_limit)]
    pub idle_timeout: TimeLimit,

    /// How long a peer may take nothing of what is sent to it; 0 is for ever
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time_limit)]
    pub send_timeout: TimeLimit,

    /// How long the responses under way may take after Ctrl-C or SIGTERM; 0 is for ever
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time_limit)]
    pub drain_timeout: TimeLimit,

    /// Write one line a request to FILE, or to standard output (there by default if it is a terminal)
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    pub access_log: Option<PathBuf>,

    /// More diagnostics on standard error; can be given again
    #[arg(short, long, action = ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,

    /// Errors only; given twice, nothing at all
    #[arg(short, long, action = ArgAction::Count)]
    pub quiet: u8,
}

/// A span of time, or none for "for ever".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeLimit(pub Option<Duration>);

fn time_limit(text: &str) -> Result<TimeLimit, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Ok(TimeLimit(None)),
        Ok(limit) => Ok(TimeLimit(Some(limit))),
        Err(_) => Err("give a number and a unit, such as 10s, 250ms or 1m, or 0 for ever".into()),
    }
}

fn positive(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| "give a number from 1".into())
}

fn file_name(text: &str) -> Result<String, String> {
    match text {
        "" | "." | ".." => Err("give the name of a file".into()),
        _ if text.contains(['/', '\0']) => Err("give a name without a path".into()),
        _ => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definitions_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn time_limits() {
        let table = [
            ("0", Some(None)),
            ("0s", Some(None)),
            ("10s", Some(Some(Duration::from_secs(10)))),
            ("250ms", Some(Some(Duration::from_millis(250)))),
            ("1m 30s", Some(Some(Duration::from_secs(90)))),
            ("10", None),
            ("-1s", None),
            ("soon", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(time_limit(text).ok().map(|limit| limit.0), expected, "{text:?}");
        }
    }
}
