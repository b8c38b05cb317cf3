//! The `oneloop` command: flags → sockets → run, and the one place that maps errors to exit codes.

mod cli;
mod diagnostics;

use std::{
    fs::{File, OpenOptions},
    io::{self, IsTerminal, Write},
    os::fd::AsFd,
    path::Path,
    process::ExitCode,
};

use clap::Parser;
use oneloop::{HttpServer, Settings, StartError, Timeouts, plain, raise_descriptor_limit};

use crate::cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    diagnostics::begin(cli.verbose, cli.quiet);
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
    raise_descriptor_limit();
    let dir = cli.dir.clone();
    let is_interactive = io::stdout().is_terminal() && cli.quiet == 0;
    let mut server = HttpServer::with(settings(cli, is_interactive)?)?;
    server
        .drain_on_signals()
        .map_err(|e| StartError::System(format!("cannot wait for signals: {}", plain(&e))))?;
    announce(&server, &dir, is_interactive);
    server.serve_forever().map_err(|e| StartError::System(format!("the poller failed: {}", plain(&e))))
}

/// `is_interactive`: somebody sits at standard output, and wants to be told.
fn settings(cli: Cli, is_interactive: bool) -> Result<Settings, StartError> {
    let access_log = match cli.access_log.as_deref() {
        Some(path) if path == Path::new("-") => Some(standard_output()?),
        Some(path) => Some(append_to(path)?),
        None if is_interactive => Some(standard_output()?),
        None => None,
    };
    Ok(Settings {
        hosts: cli.bind,
        port: cli.port,
        dir: cli.dir,
        index: cli.index,
        allow_hosts: cli.allow_host,
        spa: cli.spa,
        udp_echo: cli.udp_echo,
        max_connections: cli.max_connections,
        timeouts: Timeouts { head: cli.head_timeout.0, idle: cli.idle_timeout.0 },
        send_timeout: cli.send_timeout.0,
        drain_timeout: cli.drain_timeout.0,
        access_log,
    })
}

/// Says where the server can be reached: one line a socket, for people and for scripts. Nobody has to read it.
fn announce(server: &HttpServer, dir: &Path, is_interactive: bool) {
    let mut out = io::stdout().lock();
    for address in server.addresses() {
        let _ = writeln!(out, "http://{address}/");
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
    OpenOptions::new().append(true).create(true).open(path).map_err(|e| {
        let (path, why) = (path.display(), plain(&e));
        StartError::Mistake(format!("cannot log to '{path}': {why}; name a file that can be written"))
    })
}
