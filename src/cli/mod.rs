//! The command line. It owns everything that only the `oneloop` program needs: flags, help, error
//! messages and the log. No other module may know about flags.

pub mod args;
mod config;
mod errors;
mod generate;
mod help;
mod lesson;
mod logger;
mod observers;
mod output;

use std::{
    io::{self, IsTerminal, Write},
    net::SocketAddr,
    path::Path,
    process::ExitCode,
};

use oneloop::{Echo, HttpServer, raise_open_file_limit};

use self::{
    args::{Cli, CliCommand},
    config::config,
    errors::{Failure, cannot_print},
    logger::LogPipe,
};

/// Runs the program and returns its exit code: 0 for success, 2 for an invalid argument, 1 for a
/// failed system call.
pub fn main() -> ExitCode {
    let cli = Cli::read();
    let mut log = LogPipe::install(cli.output.verbose, cli.output.quiet);
    let result = run(cli, &log);
    log.drain(); // print the last log lines before the error
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            log.write_line(&format!("oneloop: {failure}"));
            failure.exit_code()
        }
    }
}

/// Runs a subcommand, or the server until it is stopped.
fn run(mut cli: Cli, log: &LogPipe) -> Result<(), Failure> {
    match cli.command.take() {
        Some(CliCommand::Lesson { number, broken }) => return lesson::run_lesson(number, broken.as_deref()),
        Some(CliCommand::Completions { shell }) => {
            return output::print(&generate::completions(shell)).map_err(|e| cannot_print(&e));
        }
        Some(CliCommand::Man) => {
            let page = generate::man_page().and_then(|page| output::print(&page));
            return page.map_err(|e| cannot_print(&e));
        }
        None => {}
    }
    raise_open_file_limit();
    let dir = cli.dir.clone();
    let is_interactive = io::stdout().is_terminal() && cli.output.quiet == 0;
    let (trace, udp_echo) = (cli.trace.clone(), cli.listen.udp_echo.clone());
    let stepper = observers::stepper(&trace)?;
    // Access log lines would mix with the stepper's output.
    let mut server = HttpServer::from_config(config(cli, is_interactive && stepper.is_none())?)?;
    let udp_address = udp_echo.map(|address| add_echo(&mut server, &address)).transpose()?;
    server.handle_signals().map_err(|e| errors::no_signals(&e))?;
    log.attach(&mut server).map_err(|e| Failure::system("cannot poll the log", &e))?;
    observers::attach(&mut server, udp_address, trace, stepper, log)?;
    announce(&server, udp_address, &dir, is_interactive, log);
    server.serve_forever().map_err(|e| Failure::system("the poller failed", &e))
}

/// Adds a UDP echo service on `address` (HOST:PORT). Returns the address that the socket is bound
/// to.
fn add_echo(server: &mut HttpServer, address: &str) -> Result<SocketAddr, Failure> {
    let address = config::udp_echo_address(address)?;
    let socket = std::net::UdpSocket::bind(address).map_err(|e| errors::cannot_listen(address, &e))?;
    let bound = socket.local_addr().map_err(|e| errors::cannot_listen(address, &e))?;
    server.add_udp(socket, Echo).map_err(|e| errors::cannot_listen(address, &e))?;
    Ok(bound)
}

/// Prints the server's URLs to standard output, one line per socket. Ignores errors, because
/// standard output may be closed.
fn announce(
    server: &HttpServer,
    udp_address: Option<SocketAddr>,
    dir: &Path,
    is_interactive: bool,
    log: &LogPipe,
) {
    let mut out = io::stdout().lock();
    for address in server.addresses() {
        let _ = writeln!(out, "http://{address}{}", server.base_path());
    }
    if let Some(address) = udp_address {
        let _ = writeln!(out, "udp://{address}");
    }
    let _ = out.flush();
    if is_interactive {
        log.write_line(&format!("serving '{}'; Ctrl-C stops it", dir.display()));
    }
}
