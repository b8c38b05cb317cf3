//! The definitions of the command line, and nothing else. Help, completions and the man page are
//! made from them.

use std::{path::PathBuf, time::Duration};

use clap::{
    ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum, ValueHint,
    builder::BoolishValueParser, parser::ValueSource,
};
use clap_complete::Shell;
use oneloop::trace::SourceId;

use super::{
    conversations::ConversationArgs,
    help,
    talk::TalkArgs,
    values::{
        HeaderLines, TimeLimit, duration, file_name, head_size, header_lines, limit, positive, time_limit,
    },
};

/// Serve a directory over HTTP from one thread and one poller
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
#[command(after_help = help::after_help(), after_long_help = help::after_long_help())]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<CliCommand>,

    /// Directory to serve
    #[arg(default_value = "static", value_hint = ValueHint::DirPath, env = "ONELOOP_DIR", hide_env = true)]
    pub dir: PathBuf,

    #[command(flatten, next_help_heading = "Listening")]
    pub listen: ListenArgs,

    #[command(flatten, next_help_heading = "Site")]
    pub site: SiteArgs,

    #[command(flatten, next_help_heading = "Responses")]
    pub responses: ResponseArgs,

    #[command(flatten, next_help_heading = "Conversations")]
    pub conversations: ConversationArgs,

    #[command(flatten, next_help_heading = "Limits")]
    pub limits: LimitArgs,

    #[command(flatten, next_help_heading = "Output")]
    pub output: OutputArgs,

    #[command(flatten, next_help_heading = "Tracing")]
    pub trace: TraceArgs,
}

#[derive(Debug, Args)]
pub struct ListenArgs {
    /// Listen on this port; 0 picks a free one
    #[arg(short, long, default_value_t = 8000, env = "ONELOOP_PORT", hide_env = true)]
    pub port: u16,

    /// Listen on this address or host name, or on unix:PATH[,mode=660]; repeatable (0.0.0.0 and ::
    /// accept connections from anywhere, localhost is 127.0.0.1 and ::1)
    #[arg(short, long, value_name = "ADDR", default_value = "localhost")]
    #[arg(value_delimiter = ',', env = "ONELOOP_BIND", hide_env = true)]
    pub bind: Vec<String>,

    /// Set SO_REUSEPORT, so that one process per core can share the port
    #[arg(long, value_parser = BoolishValueParser::new(), env = "ONELOOP_REUSE_PORT", hide_env = true)]
    pub reuse_port: bool,

    /// When listening only on loopback, also accept this Host header (* for any); repeatable
    #[arg(long, value_name = "NAME", value_delimiter = ',', env = "ONELOOP_ALLOW_HOST", hide_env = true)]
    pub allow_host: Vec<String>,

    /// Become this user when the sockets and logs are open, and give up root
    #[arg(long, value_name = "NAME", env = "ONELOOP_USER", hide_env = true)]
    pub user: Option<String>,

    /// An option or variable that says where to listen, if one does.
    #[arg(skip)]
    pub chosen: Option<&'static str>,
}

#[derive(Debug, Args)]
pub struct SiteArgs {
    /// Serve this file when a URL names a directory
    #[arg(long, value_name = "NAME", default_value = "index.html", value_parser = file_name)]
    #[arg(env = "ONELOOP_INDEX", hide_env = true)]
    pub index: String,

    /// List directories that have no index file, as HTML or (if the client prefers it) JSON
    #[arg(long, value_parser = BoolishValueParser::new(), env = "ONELOOP_LISTING", hide_env = true)]
    pub listing: bool,

    /// Answer navigation to missing paths with FILE [index.html], for a single-page application;
    /// missing assets still get a 404
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "index.html")]
    #[arg(env = "ONELOOP_SPA", hide_env = true)]
    pub spa: Option<String>,

    /// Serve about.html at /about and redirect /about.html to it
    #[arg(long, value_parser = BoolishValueParser::new(), env = "ONELOOP_CLEAN_URLS", hide_env = true)]
    pub clean_urls: bool,

    /// Serve the site below this URL path, such as /app
    #[arg(long, value_name = "PATH", default_value = "/", env = "ONELOOP_BASE_PATH", hide_env = true)]
    pub base_path: String,

    /// Serve and list hidden files (names that begin with a dot)
    #[arg(long, value_parser = BoolishValueParser::new(), env = "ONELOOP_HIDDEN", hide_env = true)]
    pub hidden: bool,

    /// Follow symbolic links that lead out of the directory
    #[arg(long, value_parser = BoolishValueParser::new(), env = "ONELOOP_FOLLOW_LINKS", hide_env = true)]
    pub follow_links: bool,
}

#[derive(Debug, Args)]
pub struct ResponseArgs {
    /// Send this Cache-Control with files; no-cache makes clients revalidate every time
    #[arg(long, value_name = "VALUE", default_value = "no-cache")]
    #[arg(env = "ONELOOP_CACHE_CONTROL", hide_env = true)]
    pub cache_control: String,

    /// Add 'NAME: VALUE' to every response, or '/assets/* NAME: VALUE' to responses for matching
    /// paths; repeatable
    #[arg(long, value_name = "LINE", value_parser = header_lines)]
    #[arg(env = "ONELOOP_HEADER", hide_env = true)]
    pub header: Vec<HeaderLines>,

    /// Let pages from ORIGIN, or from any origin if none is given, read responses (CORS);
    /// repeatable
    #[arg(long, value_name = "ORIGIN", num_args = 0..=1, require_equals = true, default_missing_value = "*")]
    #[arg(value_delimiter = ',', env = "ONELOOP_CORS", hide_env = true)]
    pub cors: Vec<String>,
}

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
}

#[derive(Debug, Args)]
pub struct OutputArgs {
    /// Write an access log to FILE, or to standard output (the default on a terminal)
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    #[arg(env = "ONELOOP_ACCESS_LOG", hide_env = true)]
    pub access_log: Option<PathBuf>,

    /// Write the access log in this format
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormatArg::Common)]
    #[arg(env = "ONELOOP_ACCESS_LOG_FORMAT", hide_env = true)]
    pub access_log_format: LogFormatArg,

    /// Log more to standard error; repeatable
    #[arg(short, long, action = ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,

    /// Log errors only; given twice, log nothing
    #[arg(short, long, action = ArgAction::Count)]
    pub quiet: u8,
}

#[derive(Debug, Clone, Args)]
pub struct TraceArgs {
    /// Trace the loop to standard error, one line per step [default level: io]; SIGUSR1 turns it on
    /// or off
    #[arg(long, value_name = "LEVEL", value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "io")]
    #[arg(env = "ONELOOP_TRACE", hide_env = true)]
    pub trace: Option<TraceLevelArg>,

    /// Trace only these sources, such as c3 (connection 3), L1 (listener 1), u1 (UDP socket 1) or
    /// loop; repeatable
    #[arg(long, value_name = "SOURCE", value_delimiter = ',')]
    #[arg(env = "ONELOOP_TRACE_ONLY", hide_env = true)]
    pub trace_only: Vec<SourceId>,

    /// Record the loop to FILE for ui.perfetto.dev; FILE is overwritten
    #[arg(long, value_name = "FILE", env = "ONELOOP_TRACE_FILE", hide_env = true)]
    pub trace_file: Option<PathBuf>,

    /// Stop at every wake-up and prompt for a command (loopback only)
    #[arg(long, value_parser = BoolishValueParser::new(), env = "ONELOOP_STEP", hide_env = true)]
    pub step: bool,

    /// Like --step, but read the commands from FILE
    #[arg(long, value_name = "FILE", env = "ONELOOP_STEP_SCRIPT", hide_env = true)]
    pub step_script: Option<PathBuf>,
}

/// How much of the loop is traced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TraceLevelArg {
    /// Wake-ups, and connections that open and close
    Wakes,
    /// The above, plus every system call and decision
    Io,
    /// The above, plus the first bytes of input and output
    Bytes,
}

/// The options that say where to listen: their IDs, names and variables.
const LISTEN_OPTIONS: [[&str; 3]; 3] = [
    ["port", "--port", "ONELOOP_PORT"],
    ["bind", "--bind", "ONELOOP_BIND"],
    ["reuse_port", "--reuse-port", "ONELOOP_REUSE_PORT"],
];

impl Cli {
    /// Parses the command line and the environment. A mistake in them ends the process.
    pub fn read() -> Cli {
        // An empty variable counts as not set. Subcommands, which serve nothing, ignore all
        // variables.
        let is_command = std::env::args_os()
            .nth(1)
            .is_some_and(|first| ["lesson", "talk", "completions", "man"].iter().any(|name| first == *name));
        let definitions = Cli::command().mut_args(|arg| {
            let value = arg.get_env().and_then(std::env::var_os);
            // Kubernetes sets ONELOOP_PORT=tcp://IP:PORT in each pod beside a Service `oneloop`.
            let is_foreign = arg.get_id() == "port"
                && value.as_ref().is_some_and(|value| value.as_encoded_bytes().starts_with(b"tcp://"));
            let is_unset = is_foreign || value.is_some_and(|value| value.is_empty());
            if is_unset || is_command { arg.env(None::<&str>) } else { arg }
        });
        // The options of `talk` may stand before or after the name of the client.
        let definitions = definitions.mut_subcommand("talk", |talk| {
            talk.mut_args(|arg| if arg.is_positional() { arg } else { arg.env(None::<&str>).global(true) })
        });
        let matches = definitions.get_matches();
        let mut cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        let sources = LISTEN_OPTIONS.map(|[id, option, variable]| match matches.value_source(id) {
            Some(ValueSource::CommandLine) => Some(option),
            Some(ValueSource::EnvVariable) => Some(variable),
            _ => None,
        });
        cli.listen.chosen = sources.into_iter().flatten().next();
        cli
    }
}

/// Commands other than serving a directory.
#[derive(Debug, Subcommand)]
pub enum CliCommand {
    /// Run one of eight lessons about the loop, or list them
    Lesson {
        /// Number of the lesson; without it, list the lessons
        number: Option<u8>,
        /// Inject a classic bug and show both runs side by side
        #[arg(long = "break", value_name = "NAME", requires = "number")]
        broken: Option<String>,
    },
    /// Talk to a server: TCP, UDP, chat, mail or HTTP
    Talk(Box<TalkArgs>),
    /// Print completions for a shell
    Completions {
        /// Name of the shell
        shell: Shell,
    },
    /// Print the man page (oneloop man | man -l -)
    Man,
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn step_docs_are_complete() {
        Cli::command().debug_assert();
    }
}
