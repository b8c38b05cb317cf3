//! The command line: definitions and nothing else. Completions and the man page are made from them.

use std::{path::PathBuf, time::Duration};

use clap::{
    ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum,
    builder::BoolishValueParser,
};
use clap_complete::Shell;
use oneloop::{HeaderRule, RuleError, trace::SourceId};

/// Serves a directory over HTTP from one thread and one poller.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, args_conflicts_with_subcommands = true, disable_help_subcommand = true, after_help = ENVIRONMENT)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,

    /// The directory to serve
    #[arg(default_value = "static", env = "ONELOOP_DIR", hide_env = true)]
    pub dir: PathBuf,

    #[command(flatten, next_help_heading = "Where to listen")]
    pub listen: ListenArgs,

    #[command(flatten, next_help_heading = "The site")]
    pub site: SiteArgs,

    #[command(flatten, next_help_heading = "What responses say")]
    pub responses: ResponseArgs,

    #[command(flatten, next_help_heading = "Limits")]
    pub limits: LimitArgs,

    #[command(flatten, next_help_heading = "Output")]
    pub output: OutputArgs,

    #[command(flatten, next_help_heading = "Watching the loop")]
    pub trace: TraceArgs,
}

const ENVIRONMENT: &str = "\
DIR and every option with a long name but --verbose and --quiet can be set by an environment variable, too: \
--idle-timeout by ONELOOP_IDLE_TIMEOUT, DIR by ONELOOP_DIR. Where an option can be given again, commas part the values of its variable, and line ends those of \
ONELOOP_HEADER. A directory that is called like a command is served as ./NAME.";

#[derive(Debug, Args)]
pub struct ListenArgs {
    /// The port to listen on; 0 takes any free one
    #[arg(short, long, default_value_t = 8000, env = "ONELOOP_PORT", hide_env = true)]
    pub port: u16,

    /// An address or name to listen on; can be given again (0.0.0.0 and :: are everybody)
    #[arg(short, long, value_name = "ADDR", default_value = "127.0.0.1")]
    #[arg(value_delimiter = ',', env = "ONELOOP_BIND", hide_env = true)]
    pub bind: Vec<String>,

    /// Let other processes of this user listen on the same port, too: one for each core
    #[arg(long, value_parser = BoolishValueParser::new(), env = "ONELOOP_REUSE_PORT", hide_env = true)]
    pub reuse_port: bool,

    /// Answer to this host, too, while only this machine can connect; * is every host; can be given again
    #[arg(long, value_name = "NAME", value_delimiter = ',', env = "ONELOOP_ALLOW_HOST", hide_env = true)]
    pub allow_host: Vec<String>,

    /// Answer every datagram on this host:port with itself, on the same poller
    #[arg(long, value_name = "ADDR", env = "ONELOOP_UDP_ECHO", hide_env = true)]
    pub udp_echo: Option<String>,
}

#[derive(Debug, Args)]
pub struct SiteArgs {
    /// The file that stands for its directory
    #[arg(long, value_name = "NAME", default_value = "index.html", value_parser = file_name)]
    #[arg(env = "ONELOOP_INDEX", hide_env = true)]
    pub index: String,

    /// List a directory without an index file: as a page, or as JSON for who accepts that rather
    #[arg(long, value_parser = BoolishValueParser::new(), env = "ONELOOP_LISTING", hide_env = true)]
    pub listing: bool,

    /// Answer navigation to what is missing with FILE [index.html], for a single-page application; assets stay a 404
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "index.html")]
    #[arg(env = "ONELOOP_SPA", hide_env = true)]
    pub spa: Option<String>,

    /// Answer /about with about.html, and send there who asks for /about.html
    #[arg(long, value_parser = BoolishValueParser::new(), env = "ONELOOP_CLEAN_URLS", hide_env = true)]
    pub clean_urls: bool,

    /// Serve the site at PATH, such as /app
    #[arg(long, value_name = "PATH", default_value = "/", env = "ONELOOP_BASE_PATH", hide_env = true)]
    pub base_path: String,

    /// Serve and list hidden files, too: names that begin with a dot
    #[arg(long, value_parser = BoolishValueParser::new(), env = "ONELOOP_HIDDEN", hide_env = true)]
    pub hidden: bool,

    /// Follow symbolic links wherever they lead, out of the directory, too
    #[arg(long, value_parser = BoolishValueParser::new(), env = "ONELOOP_FOLLOW_LINKS", hide_env = true)]
    pub follow_links: bool,
}

#[derive(Debug, Args)]
pub struct ResponseArgs {
    /// How long copies of files are good; no-cache means that the server is asked each time
    #[arg(long, value_name = "VALUE", default_value = "no-cache")]
    #[arg(env = "ONELOOP_CACHE_CONTROL", hide_env = true)]
    pub cache_control: String,

    /// Say 'NAME: VALUE' with every response; '/assets/* NAME: VALUE' on paths of that form only; can be given again
    #[arg(long, value_name = "LINE", value_parser = header_lines)]
    #[arg(env = "ONELOOP_HEADER", hide_env = true)]
    pub header: Vec<HeaderLines>,

    /// Let pages of ORIGIN, or of any, read what is served (CORS); can be given again
    #[arg(long, value_name = "ORIGIN", num_args = 0..=1, require_equals = true, default_missing_value = "*")]
    #[arg(value_delimiter = ',', env = "ONELOOP_CORS", hide_env = true)]
    pub cors: Vec<String>,
}

#[derive(Debug, Args)]
pub struct LimitArgs {
    /// Connections open at once, further peers wait [default: what the limit of descriptors allows]
    #[arg(long, value_name = "N", value_parser = positive, env = "ONELOOP_MAX_CONNECTIONS", hide_env = true)]
    pub max_connections: Option<usize>,

    /// How long a request may take to arrive, from its first byte; 0 is for ever
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time_limit)]
    #[arg(env = "ONELOOP_HEAD_TIMEOUT", hide_env = true)]
    pub head_timeout: TimeLimit,

    /// How long a connection may be silent between two requests; 0 is for ever
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = time_limit)]
    #[arg(env = "ONELOOP_IDLE_TIMEOUT", hide_env = true)]
    pub idle_timeout: TimeLimit,

    /// How long a peer may take nothing of what is sent to it; 0 is for ever
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time_limit)]
    #[arg(env = "ONELOOP_SEND_TIMEOUT", hide_env = true)]
    pub send_timeout: TimeLimit,

    /// How long the responses under way may take after Ctrl-C or SIGTERM; 0 is for ever
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time_limit)]
    #[arg(env = "ONELOOP_DRAIN_TIMEOUT", hide_env = true)]
    pub drain_timeout: TimeLimit,

    /// Ask about each file in every turn of the loop, even where the kernel tells of changes
    #[arg(long, value_parser = BoolishValueParser::new(), env = "ONELOOP_NO_WATCH", hide_env = true)]
    pub no_watch: bool,
}

#[derive(Debug, Args)]
pub struct OutputArgs {
    /// Write one line a response to FILE, or to standard output (there by default if it is a terminal)
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    #[arg(env = "ONELOOP_ACCESS_LOG", hide_env = true)]
    pub access_log: Option<PathBuf>,

    /// How the lines of the access log look
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormatArg::Common)]
    #[arg(env = "ONELOOP_ACCESS_LOG_FORMAT", hide_env = true)]
    pub access_log_format: LogFormatArg,

    /// More diagnostics on standard error; can be given again
    #[arg(short, long, action = ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,

    /// Errors only; given twice, nothing at all
    #[arg(short, long, action = ArgAction::Count)]
    pub quiet: u8,
}

#[derive(Debug, Clone, Args)]
pub struct TraceArgs {
    /// Tell on standard error what the loop does, a line a step; SIGUSR1 turns that on and off, too
    #[arg(long, value_name = "LEVEL", value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "io")]
    #[arg(env = "ONELOOP_TRACE", hide_env = true)]
    pub trace: Option<TraceLevelArg>,

    /// Tell of these alone: connections such as c3, listeners such as L1, u1, loop; can be given again
    #[arg(long, value_name = "WHO", value_delimiter = ',')]
    #[arg(env = "ONELOOP_TRACE_ONLY", hide_env = true)]
    pub trace_only: Vec<SourceId>,

    /// Record what the loop does in FILE, for a viewer such as ui.perfetto.dev; what was in FILE is lost
    #[arg(long, value_name = "FILE", env = "ONELOOP_TRACE_FILE", hide_env = true)]
    pub trace_file: Option<PathBuf>,

    /// Stand still at each wake-up, and ask what to do: only while this machine alone can connect
    #[arg(long, value_parser = BoolishValueParser::new(), env = "ONELOOP_STEP", hide_env = true)]
    pub step: bool,

    /// Step by the commands in FILE instead of asking
    #[arg(long, value_name = "FILE", env = "ONELOOP_STEP_SCRIPT", hide_env = true)]
    pub step_script: Option<PathBuf>,
}

/// How much is told of the loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TraceLevelArg {
    /// When it wakes, and who comes and goes
    Wakes,
    /// Every call and decision
    Io,
    /// The first bytes of what comes and goes, too
    Bytes,
}

impl Cli {
    /// Reads the command line and the environment; what is wrong with them ends the process.
    pub fn read() -> Cli {
        // A variable that is empty counts as not set, and none counts for a command that serves nothing.
        let is_command = std::env::args_os()
            .nth(1)
            .is_some_and(|first| ["lesson", "completions", "man"].iter().any(|name| first == *name));
        let definitions = Cli::command().mut_args(|arg| {
            let is_empty = arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
            if is_empty || is_command { arg.env(None::<&str>) } else { arg }
        });
        Cli::from_arg_matches(&definitions.get_matches()).unwrap_or_else(|error| error.exit())
    }
}

/// What can be asked for instead of serving.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Watch the loop in eight small plays, or list them: oneloop lesson 1
    Lesson {
        number: Option<u8>,
        /// Put a bug in that many a first server has, and show both side by side
        #[arg(long = "break", value_name = "NAME", requires = "number")]
        broken: Option<String>,
    },
    /// Print completions for a shell
    Completions { shell: Shell },
    /// Print the man page: oneloop man | man -l -
    Man,
}

/// How a line of the access log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormatArg {
    /// host - - [time] "request line" status bytes seconds
    Common,
    /// Common, with referer and user agent
    Combined,
    /// One JSON object a line
    Json,
}

/// What one --header says: usually a line; its variable can hold several, and an empty one at its end.
#[derive(Debug, Clone)]
pub struct HeaderLines(pub Vec<HeaderRule>);

fn header_lines(text: &str) -> Result<HeaderLines, String> {
    let lines = text.trim_end_matches('\n').split('\n');
    lines.map(HeaderRule::parse).collect::<Result<_, _>>().map(HeaderLines).map_err(|e| match e {
        RuleError::MissingColon => "give a name, a colon and a value".into(),
        e => e.to_string(),
    })
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
