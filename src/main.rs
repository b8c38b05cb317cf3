//! The `oneloop` command: flags → sockets → run, and the one place that maps errors to exit codes.

mod classroom;
mod cli;
mod diagnostics;
mod onlookers;

use std::{
    fs::{File, OpenOptions},
    io::{self, IsTerminal, Write},
    os::{fd::AsFd, unix::fs::OpenOptionsExt},
    path::Path,
    process::ExitCode,
};

use clap::CommandFactory;
use oneloop::{
    HttpServer, Settings, StartError, Timeouts, http::Cors, plain, raise_descriptor_limit, services::Format,
};

use crate::cli::{Cli, Command, LogFormat};

fn main() -> ExitCode {
    let cli = Cli::read();
    diagnostics::begin(cli.output.verbose, cli.output.quiet);
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "oneloop: {error}");
            match error {
                StartError::Mistake(_) => ExitCode::from(2),
                StartError::System(_) => ExitCode::FAILURE,
            }
        }
    }
}

fn run(cli: Cli) -> Result<(), StartError> {
    if let Some(Command::Lesson { number, broken }) = &cli.command {
        return classroom::teach(*number, broken.as_deref());
    }
    if let Some(command) = cli.command {
        return print(&command)
            .map_err(|e| StartError::System(format!("cannot write to standard output: {}", plain(&e))));
    }
    raise_descriptor_limit();
    let dir = cli.dir.clone();
    let is_interactive = io::stdout().is_terminal() && cli.output.quiet == 0;
    let watching = cli.watching.clone();
    let stepper = onlookers::stepper(&watching)?;
    // What is logged would stand between what is stepped through.
    let mut server = HttpServer::with(settings(cli, is_interactive && stepper.is_none())?)?;
    server.heed_signals().map_err(|e| no_signals(&e))?;
    onlookers::attend(&mut server, watching, stepper)?;
    announce(&server, &dir, is_interactive);
    server.serve_forever().map_err(|e| StartError::System(format!("the poller failed: {}", plain(&e))))
}

/// `is_told`: somebody sits at standard output, and wants to be told.
fn settings(cli: Cli, is_told: bool) -> Result<Settings, StartError> {
    let access_log = match cli.output.access_log.as_deref() {
        Some(path) if path == Path::new("-") => Some(standard_output()?),
        Some(path) => Some(append_to(path)?),
        None if is_told => Some(standard_output()?),
        None => None,
    };
    let Cli { dir, listen, site, responses, limits, output, .. } = cli;
    Ok(Settings {
        hosts: listen.bind,
        port: listen.port,
        reuse_port: listen.reuse_port,
        allow_hosts: listen.allow_host,
        udp_echo: listen.udp_echo,
        dir,
        index: site.index,
        hidden: site.hidden,
        follow_links: site.follow_links,
        listing: site.listing,
        spa: site.spa,
        clean_urls: site.clean_urls,
        base_path: site.base_path,
        cache_control: responses.cache_control,
        cors: cors(&responses.cors)?,
        headers: responses.header.into_iter().flat_map(|lines| lines.0).collect(),
        watch: !limits.no_watch,
        max_connections: limits.max_connections,
        timeouts: Timeouts { head: limits.head_timeout.0, idle: limits.idle_timeout.0 },
        send_timeout: limits.send_timeout.0,
        drain_timeout: limits.drain_timeout.0,
        access_log,
        access_log_format: match output.access_log_format {
            LogFormat::Common => Format::Common,
            LogFormat::Combined => Format::Combined,
            LogFormat::Json => Format::Json,
        },
    })
}

fn no_signals(e: &io::Error) -> StartError {
    StartError::System(format!("cannot wait for signals: {}", plain(e)))
}

fn cors(origins: &[String]) -> Result<Option<Cors>, StartError> {
    if origins.is_empty() {
        return Ok(None);
    }
    let advice = "give a scheme and a host, such as http://localhost:3000, or nothing for all";
    Cors::of(origins)
        .map(Some)
        .map_err(|origin| StartError::Mistake(format!("'{origin}' is no origin for --cors; {advice}")))
}

/// What is made from the definitions of the command line.
fn print(command: &Command) -> io::Result<()> {
    let mut definitions = Cli::command();
    let mut text = Vec::new();
    match command {
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut definitions, "oneloop", &mut text);
        }
        Command::Lesson { .. } => {}
        Command::Man => {
            // Their own pages, which this one would point to, are not there.
            let hidden = ["completions", "man"].into_iter().fold(definitions, |definitions, name| {
                definitions.mut_subcommand(name, |command| command.hide(true))
            });
            clap_mangen::Man::new(hidden).render(&mut text)?;
        }
    }
    io::stdout().write_all(&text)
}

/// Says where the server can be reached: one line a socket, for people and for scripts. Nobody has to read it.
fn announce(server: &HttpServer, dir: &Path, is_interactive: bool) {
    let mut out = io::stdout().lock();
    for address in server.addresses() {
        let _ = writeln!(out, "http://{address}{}", server.base());
    }
    if let Some(address) = server.udp_address() {
        let _ = writeln!(out, "udp://{address}");
    }
    let _ = out.flush();
    if is_interactive {
        let _ = writeln!(io::stderr(), "serving '{}'; Ctrl-C ends it", dir.display());
    }
}

fn standard_output() -> Result<File, StartError> {
    let cannot = |e: io::Error| StartError::System(format!("cannot log to standard output: {}", plain(&e)));
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned().map_err(cannot)?))
}

fn append_to(path: &Path) -> Result<File, StartError> {
    open(OpenOptions::new().append(true), path).map_err(|e| {
        let (path, why) = (path.display(), plain(&e));
        StartError::Mistake(format!("cannot log to '{path}': {why}; name a file that can be written"))
    })
}

/// Opens a file to write to. A FIFO that nobody reads must not keep us waiting: fifo(7).
fn open(how: &mut OpenOptions, path: &Path) -> io::Result<File> {
    how.create(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32).open(path)
}
