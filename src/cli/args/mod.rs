//! The definitions of the command line, and nothing else. Help, completions and the man page are
//! made from them.

pub mod compress;
mod lesson;
mod limits;
mod listen;
pub mod monitoring;
mod output;
mod responses;
mod site;
mod target;
mod tls;
mod trace;

use std::path::{Path, PathBuf};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueHint, parser::ValueSource};
use clap_complete::Shell;

pub use self::{
    compress::CompressArgs,
    lesson::{LessonArgs, LessonName, TrialArgs},
    limits::LimitArgs,
    listen::{DeferAcceptArg, ListenArgs},
    monitoring::MonitoringArgs,
    output::{LogFormatArg, OutputArgs},
    responses::ResponseArgs,
    site::{ListDirectories, SiteArgs},
    target::TargetArgs,
    tls::TlsArgs,
    trace::{FREE_PORT, TraceArgs, TraceLevelArg},
};
use super::{
    command_line::{path_kind, rewrite},
    conversations::ConversationArgs,
    directory::default_directory,
    errors::Failure,
    help,
    replay::ReplayArgs,
    talk::{HealthcheckArgs, TalkArgs},
    variables::{self, FromVariable},
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

    /// Directory to serve, or a single file; also --directory DIR or --root DIR [default: the first
    /// of static, public, dist and build that has an index file, else the current directory]
    #[arg(value_hint = ValueHint::AnyPath, env = "ONELOOP_DIR", hide_env = true)]
    pub dir: Option<PathBuf>,

    /// Directory to serve, or a single file
    #[arg(long, visible_alias = "root", hide = true, value_name = "DIR", value_hint = ValueHint::AnyPath)]
    pub directory: Option<PathBuf>,

    /// The arguments whose values come from variables.
    #[arg(skip)]
    pub from_variables: Vec<FromVariable>,

    /// The directory or file that is served: DIR or the default.
    #[arg(skip)]
    pub root: PathBuf,

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

    #[command(flatten, next_help_heading = "Load tests")]
    pub target: TargetArgs,

    #[command(flatten, next_help_heading = "Output")]
    pub output: OutputArgs,

    #[command(flatten, next_help_heading = "Monitoring")]
    pub monitoring: MonitoringArgs,

    #[command(flatten, next_help_heading = "Tracing")]
    pub trace: TraceArgs,
}

/// The options with an optional value, by their IDs, and what they mean without one.
pub const DEFAULTS: [(&str, &str); 9] = [
    ("spa", site::DEFAULT_PAGE),
    ("cors", responses::ANY_ORIGIN),
    ("target", target::DEFAULT_TARGET),
    ("access_log", output::STANDARD_OUTPUT),
    ("open", output::FIRST_PAGE),
    ("health", monitoring::DEFAULT_HEALTH),
    ("metrics", monitoring::DEFAULT_METRICS),
    ("trace", trace::DEFAULT_LEVEL),
    ("observe", FREE_PORT),
];

/// The options that say where to listen: their IDs, names and variables.
const LISTEN_OPTIONS: [[&str; 3]; 4] = [
    ["port", "--port", "ONELOOP_PORT"],
    ["bind", "--bind", "ONELOOP_BIND"],
    ["reuse_port", "--reuse-port", "ONELOOP_REUSE_PORT"],
    ["defer_accept", "--defer-accept", "ONELOOP_DEFER_ACCEPT"],
];

impl Cli {
    /// Parses the command line and the environment. A mistake that clap finds ends the process.
    ///
    /// # Errors
    /// Fails if the command line can mean two things, or a command gets an option of the server.
    pub fn read() -> Result<Cli, Failure> {
        let definitions = Cli::command();
        let line = rewrite(std::env::args_os().collect(), &definitions, path_kind).map_err(Failure::Usage)?;
        // An empty variable counts as not set. Subcommands, which serve nothing, ignore the
        // variables of these options.
        let first = line.args.get(1).and_then(|first| first.to_str()).unwrap_or_default();
        let is_command = definitions.find_subcommand(first).is_some();
        let definitions = definitions
            .mut_args(|arg| if is_command { arg.env(None::<&str>) } else { variables::apply(arg) });
        // The options of `talk` may stand before or after the name of the client.
        let mut definitions = definitions.mut_subcommand("talk", |talk| {
            talk.mut_args(|arg| if arg.is_positional() { arg } else { arg.env(None::<&str>).global(true) })
        });
        let matches = variables::parse(&mut definitions, &line.args).unwrap_or_else(|error| error.exit());
        let mut cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        let sources = LISTEN_OPTIONS.map(|[id, option, variable]| match matches.value_source(id) {
            Some(ValueSource::CommandLine) => Some(option),
            Some(ValueSource::EnvVariable) => Some(variable),
            _ => None,
        });
        let given = |id| matches.value_source(id).filter(|source| *source != ValueSource::DefaultValue);
        (cli.listen.port_source, cli.listen.bind_source) = (given("port"), given("bind"));
        cli.listen.chosen = sources.into_iter().flatten().next();
        cli.site.list = ListDirectories::from_matches(&matches);
        cli.from_variables = variables::used(&definitions, &matches);
        cli.listen.has_bare_port = line.has_bare_port;
        cli.root =
            cli.directory.take().or(cli.dir.take()).unwrap_or_else(|| default_directory(&cli.site.index));
        Ok(cli)
    }

    /// Returns the directories and files that are served: the root and what is mounted in it.
    pub fn served(&self) -> impl Iterator<Item = &Path> {
        let mounted = self.site.mount.iter().map(|mount| &*mount.dir);
        std::iter::once(&*self.root).chain(mounted)
    }
}

/// Commands other than serving a directory.
#[derive(Debug, Subcommand)]
pub enum CliCommand {
    /// Run a lesson about the loop, list the lessons, or try your own server
    Lesson(LessonArgs),
    /// Step through a recording of --trace-file, forwards and backwards, or show it on a page
    Replay(ReplayArgs),
    /// Talk to a server: TCP, UDP, chat, mail or HTTP
    Talk(Box<TalkArgs>),
    /// Write compressed variants (.br, .zst, .gz) beside the files that shrink
    Compress(CompressArgs),
    /// Ask a running server for a page, and exit with 0 if it is healthy or 1 if not
    Healthcheck(HealthcheckArgs),
    /// Print completions for a shell
    Completions {
        /// Name of the shell
        shell: Shell,
    },
    /// Print the man page (oneloop man | man -l -)
    Man,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn step_docs_are_complete() {
        Cli::command().debug_assert();
    }

    #[test]
    fn option_with_an_optional_value_has_a_default() {
        let definitions = Cli::command();
        let optional = definitions.get_arguments().filter(|arg| arg.is_require_equals_set());
        let ids: Vec<_> = optional.map(|arg| arg.get_id().as_str()).collect();
        assert_eq!(ids, DEFAULTS.map(|(id, _)| id));
    }
}
