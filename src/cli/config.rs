//! Converts the arguments to the server's configuration.

use std::{
    fs::File,
    io::{self, IsTerminal},
    num::NonZeroUsize,
    path::PathBuf,
};

use oneloop::{AcceptDeferral, AccessLogFormat, Config, Cors, Timeouts};

use super::{
    args::{Cli, DeferAcceptArg, LimitArgs, ListDirectories, LogFormatArg, OutputArgs, TraceArgs},
    color,
    conversations::unix_socket,
    errors::Failure,
    logger::LogPipe,
    output,
};

/// The path of a Unix socket and the mode of its file.
type UnixSocket = (PathBuf, Option<u32>);

/// How many ports to try on a terminal, if no port is given.
const PORT_TRIES: u16 = 10;

/// The message in a 421 response. It gives advice to the operator, who is usually also the client
/// when the server listens on loopback only.
const HOST_REFUSAL: &str = "This server does not answer requests for that host. Start it with --allow-host and the host's name to allow it.";

/// The message in a 403 response to a request that a page of another site makes.
const CROSS_SITE_REFUSAL: &str = "This server does not answer requests that pages of other sites make. Use the same host name in both URLs, such as localhost, or start it with --cors.";

/// The warning after SIGUSR2 without statistics.
const NO_STATISTICS: &str =
    "SIGUSR2 prints statistics only if the server was started with --stats, --metrics or --target";

/// The message in the 404 response for a directory that has no index file.
const UNLISTED: &str =
    "This directory has no index file. Start the server with --listing to list directories.";

/// Returns how long a client may take, for HTTP and for the other conversations.
pub fn timeouts(limits: &LimitArgs) -> Timeouts {
    Timeouts { head: limits.head_timeout.0, idle: limits.idle_timeout.0 }
}

/// Converts the arguments to a configuration. If `log_by_default` is set, the access log goes to
/// standard output unless an argument names a file.
///
/// # Errors
/// Fails if the access log cannot be opened or an origin is not valid.
pub fn config(cli: Cli, log_by_default: bool, log: &LogPipe) -> Result<Config, Failure> {
    #[cfg(feature = "tls")]
    let tls = super::tls::identity(&cli, log)?;
    #[cfg(not(feature = "tls"))]
    cli.listen.tls.check()?;
    let Cli { root, listen, site, responses, limits, target, output, monitoring, trace, .. } = cli;
    let mut config = Config::new(root);
    #[cfg(feature = "tls")]
    {
        config.tls = tls;
    }
    (config.hosts, config.unix_sockets) = addresses(listen.bind)?;
    config.port = listen.port;
    // A script must not find the server at another port than it expects.
    if listen.port_source.is_none() && io::stdout().is_terminal() && output.quiet == 0 {
        config.port_tries = PORT_TRIES;
    }
    config.reuse_port = listen.reuse_port;
    config.defer_accept = accept_deferral(listen.defer_accept, &trace);
    config.allow_hosts = listen.allow_host;
    config.host_refusal = Some(HOST_REFUSAL);
    config.cross_site_refusal = Some(CROSS_SITE_REFUSAL);
    config.mounts = site.mount.into_iter().map(|mount| (mount.path, mount.dir)).collect();
    (config.index, config.hidden) = (site.index, site.hidden);
    config.follow_links = site.follow_links;
    config.listing = site.list == ListDirectories::Always;
    // In a single-page application, such a directory may be one of its pages.
    config.local_listing =
        site.list == ListDirectories::OnTerminal && site.spa.is_none() && io::stdout().is_terminal();
    config.unlisted_message = (site.list == ListDirectories::OnTerminal).then_some(UNLISTED);
    config.spa = site.spa;
    config.clean_urls = site.clean_urls;
    config.base_path = site.base_path;
    config.cache_control = responses.cache_control;
    config.cors = cors(&responses.cors)?;
    config.headers = responses.header.into_iter().flat_map(|lines| lines.0).collect();
    config.redirects = responses.redirect.into_iter().flat_map(|lines| lines.0).collect();
    config.media_types = responses.media_type;
    config.inotify = !limits.no_watch;
    config.live = site.live;
    config.max_connections = limits.max_connections;
    config.max_per_address = limits.max_per_address;
    config.timeouts = timeouts(&limits);
    config.max_head = limits.max_head;
    config.send_timeout = limits.send_timeout.0;
    config.min_rate = limits.min_rate;
    config.io_per_event = limits.io_per_event.and_then(NonZeroUsize::new);
    config.throttle = limits.throttle;
    config.delay = limits.delay.filter(|delay| !delay.is_zero());
    config.shutdown_delay = limits.shutdown_delay;
    config.drain_timeout = limits.drain_timeout.0;
    (config.statistics, config.no_statistics) = (monitoring.stats, Some(NO_STATISTICS));
    if target.target.is_none() && !target.target_from.is_empty() {
        return Err(Failure::Usage("--target-from is for the load target; add --target".into()));
    }
    (config.target, config.target_from) = (target.target, target.target_from);
    (config.health, config.metrics) = (monitoring.health, monitoring.metrics);
    log_access(&mut config, output, log_by_default, log)?;
    Ok(config)
}

/// Converts the argument of `--defer-accept`.
fn accept_deferral(arg: DeferAcceptArg, trace: &TraceArgs) -> AcceptDeferral {
    match arg {
        // An observer should see a connection when it is made, and not with its first bytes.
        DeferAcceptArg::Auto if trace.has_observer() => AcceptDeferral::Never,
        DeferAcceptArg::Auto => AcceptDeferral::IfPossible,
        DeferAcceptArg::Always => AcceptDeferral::Always,
        DeferAcceptArg::Never => AcceptDeferral::Never,
    }
}

/// Sets where the access log goes, and what it shows.
fn log_access(
    config: &mut Config,
    output: OutputArgs,
    log_by_default: bool,
    log: &LogPipe,
) -> Result<(), Failure> {
    config.access_log = match output.access_log.as_deref() {
        Some(path) => Some(output::access_log(path, log)?),
        None if log_by_default => Some(output::standard_output()?),
        None => None,
    };
    let is_file = |path: &PathBuf| !output::is_inherited(path);
    // A relative path must still lead to the file if the process changes its directory.
    let path = output.access_log.filter(is_file).and_then(|path| std::path::absolute(path).ok());
    config.access_log_path = path;
    let is_terminal = config.access_log.as_ref().is_some_and(File::is_terminal);
    config.access_log_format = log_format(output.access_log_format, is_terminal);
    config.trusted_proxies = output.trusted_proxy;
    Ok(())
}

/// Returns the format of the access log, which goes to a terminal or not.
fn log_format(chosen: Option<LogFormatArg>, is_terminal: bool) -> AccessLogFormat {
    let default = if is_terminal { LogFormatArg::Brief } else { LogFormatArg::Common };
    match chosen.unwrap_or(default) {
        LogFormatArg::Common => AccessLogFormat::Common,
        LogFormatArg::Combined => AccessLogFormat::Combined,
        LogFormatArg::Json => AccessLogFormat::Json,
        LogFormatArg::Brief => AccessLogFormat::Brief { is_colored: color::is_wanted(is_terminal) },
    }
}

/// Separates the values of `--bind` into hosts and Unix sockets. The values are split at commas, so
/// the mode of a Unix socket is a value of its own.
fn addresses(values: Vec<String>) -> Result<(Vec<String>, Vec<UnixSocket>), Failure> {
    let (mut hosts, mut sockets) = (Vec::new(), Vec::<String>::new());
    for value in values {
        match (value.strip_prefix("unix:"), sockets.last_mut()) {
            (Some(path), _) => sockets.push(path.into()),
            (None, Some(last)) if value.starts_with("mode=") => {
                last.push(',');
                last.push_str(&value);
            }
            (None, _) => hosts.push(value),
        }
    }
    let sockets = sockets.iter().map(|text| unix_socket("--bind", text)).collect::<Result<_, _>>()?;
    Ok((hosts, sockets))
}

/// Converts the origins given to `--cors`. Returns `None` without the flag.
fn cors(origins: &[String]) -> Result<Option<Cors>, Failure> {
    if origins.is_empty() {
        return Ok(None);
    }
    let advice = "give a scheme and a host, such as http://localhost:3000, or nothing for all";
    Cors::of(origins)
        .map(Some)
        .map_err(|origin| Failure::Usage(format!("'{origin}' is not a valid origin for --cors; {advice}")))
}
