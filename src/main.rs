//! The `oneloop` command: flags → sockets → run, and the one place that maps errors to exit codes.

mod cli;
mod diagnostics;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, IsTerminal, Write},
    net::SocketAddr,
    os::{fd::AsFd, unix::fs::OpenOptionsExt},
    path::Path,
    process::ExitCode,
};

use clap::CommandFactory;
use oneloop::{
    HttpServer, Settings, Sink, StartError, Timeouts,
    http::Cors,
    plain, raise_descriptor_limit,
    services::Format,
    watching::{Level, Narrator, Stepper},
};

use crate::cli::{Cli, Command, LogFormat, TraceLevel, Watching};

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
    if let Some(command) = cli.command {
        return print(&command)
            .map_err(|e| StartError::System(format!("cannot write to standard output: {}", plain(&e))));
    }
    raise_descriptor_limit();
    let dir = cli.dir.clone();
    let is_interactive = io::stdout().is_terminal() && cli.output.quiet == 0;
    let watching = cli.watching.clone();
    let stepper = stepper(&watching)?;
    // What is logged would stand between what is stepped through.
    let mut server = HttpServer::with(settings(cli, is_interactive && stepper.is_none())?)?;
    server.heed_signals().map_err(|e| no_signals(&e))?;
    watch(&mut server, watching, stepper)?;
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

/// Who steps the loop, if anybody does.
fn stepper(watching: &Watching) -> Result<Option<Stepper>, StartError> {
    if let Some(path) = &watching.step_script {
        let script = fs::read_to_string(path).map_err(|e| {
            let (path, why) = (path.display(), plain(&e));
            StartError::Mistake(format!(
                "cannot read '{path}' for --step-script: {why}; name a file of commands"
            ))
        })?;
        return Stepper::by(&script).map(Some).map_err(|e| no_signals(&e));
    }
    if !watching.step {
        return Ok(None);
    }
    let advice = "--step asks at a terminal, and standard input is none; try --step-script FILE";
    let terminal = io::stdin().as_fd().try_clone_to_owned().ok().filter(|stdin| stdin.is_terminal());
    let terminal = terminal.ok_or_else(|| StartError::Mistake(advice.into()))?;
    Stepper::at(terminal).map(Some).map_err(|e| no_signals(&e))
}

/// Puts those on the loop who watch it.
fn watch(server: &mut HttpServer, watching: Watching, stepper: Option<Stepper>) -> Result<(), StartError> {
    if let Some(stepper) = stepper {
        // It stands still for as long as somebody looks, and shows what peers send.
        if let Some(wide) = server.addresses().iter().chain(&server.udp_address()).find(|at| !is_local(at)) {
            let advice = "only what this machine alone can reach is stepped; leave out --bind";
            return Err(StartError::Mistake(format!("{wide} is open to others: {advice}")));
        }
        let cannot = |e: io::Error| StartError::System(format!("cannot poll the terminal: {}", plain(&e)));
        if let Some(terminal) = stepper.terminal().map_err(cannot)? {
            server.wake_by(terminal).map_err(cannot)?;
        }
        server.watch(Box::new(stepper));
    }
    // A process without a standard error has nobody to tell.
    let Ok(stderr) = io::stderr().as_fd().try_clone_to_owned() else { return Ok(()) };
    let level = match watching.trace {
        Some(TraceLevel::Wakes) => Level::Wakes,
        Some(TraceLevel::Bytes) => Level::Bytes,
        Some(TraceLevel::Io) | None => Level::Io,
    };
    let narrator = Narrator::new(level, watching.trace_only, Sink::new(stderr));
    server.watch_on_demand(Box::new(narrator), watching.trace.is_some());
    Ok(())
}

fn no_signals(e: &io::Error) -> StartError {
    StartError::System(format!("cannot wait for signals: {}", plain(e)))
}

fn is_local(address: &SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
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
    // A FIFO that nobody reads must not keep us waiting: fifo(7).
    let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    OpenOptions::new().append(true).create(true).custom_flags(flags).open(path).map_err(|e| {
        let (path, why) = (path.display(), plain(&e));
        StartError::Mistake(format!("cannot log to '{path}': {why}; name a file that can be written"))
    })
}
