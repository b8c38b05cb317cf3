//! The command line. It owns everything that only the `oneloop` program needs: flags, help, error
//! messages and the log. No other module may know about flags.

mod account;
mod address;
pub mod args;
mod bind;
mod browser;
mod color;
mod command_line;
#[cfg(feature = "compress")]
mod compress;
mod config;
mod conversations;
mod datagrams;
mod directory;
mod errors;
mod generate;
mod help;
mod inherited;
mod lesson;
mod logger;
mod mail;
mod observe;
mod observers;
mod output;
mod port_holder;
mod qr;
mod replay;
mod report;
mod sandbox;
mod talk;
#[cfg(feature = "tls")]
mod tls;
mod udp_echo;
mod urls;
mod values;
mod variables;

use std::{
    io::{self, IsTerminal},
    os::fd::{AsFd, AsRawFd},
    path::{Path, PathBuf},
    process::ExitCode,
};

use oneloop::{Address, HttpServer, LossyWriter, raise_open_file_limit};

use self::{
    args::{Cli, CliCommand},
    config::config,
    conversations::Started,
    errors::{Failure, cannot_print},
    logger::LogPipe,
    urls::Urls,
};

/// The number of descriptors that must be free when the server starts to serve.
const SPARE_DESCRIPTORS: u64 = 8;

/// Runs the program and returns its exit code: 0 for success, 2 for an invalid argument, 1 for a
/// failed system call.
pub fn main() -> ExitCode {
    let cli = Cli::read();
    let (verbose, quiet) = cli.as_ref().map_or((0, 0), |cli| (cli.output.verbose, cli.output.quiet));
    let from_variables = cli.as_ref().map_or(Vec::new(), |cli| cli.from_variables.clone());
    let mut log = LogPipe::install(verbose, quiet);
    let result = cli.and_then(|cli| run(cli, &log));
    log.drain(); // print the last log lines before the error
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let text = variables::rename(&failure.to_string(), &from_variables);
            log.write_line(&format!("oneloop: {text}"));
            failure.exit_code()
        }
    }
}

/// Runs a subcommand, or the server until it is stopped.
fn run(mut cli: Cli, log: &LogPipe) -> Result<(), Failure> {
    if let Some(command) = cli.command.take() {
        return run_command(command, log);
    }
    bind::take_ports(&mut cli.listen)?;
    let inherited = inherited::listeners(&cli.listen)?;
    if !inherited.is_empty() {
        cli.listen.bind.clear();
    }
    let open_file_limit = raise_open_file_limit();
    report::program(&cli);
    let dir = cli.root.clone();
    let served: Vec<PathBuf> = cli.served().map(Path::to_owned).collect();
    let (port, has_bare_port) = (cli.listen.port, cli.listen.has_bare_port);
    let is_interactive = io::stdout().is_terminal() && cli.output.quiet == 0;
    let has_localhost = cli.listen.bind.iter().any(|host| host.eq_ignore_ascii_case("localhost"));
    let observed = cli.trace.observe;
    let (trace, conversations) = (cli.trace.clone(), cli.conversations.clone());
    let timeouts = config::timeouts(&cli.limits);
    let has_stats = cli.monitoring.stats;
    let (has_qr, page) = (cli.output.qr, cli.output.open.clone());
    let account = account::account(&cli)?;
    let sandbox = sandbox::sandbox(&cli);
    let stepper = observers::stepper(&trace)?;
    // Access log lines would mix with the stepper's output.
    let mut config = config(cli, is_interactive && stepper.is_none(), log)?;
    let kept: Vec<Address> = inherited.iter().map(|listener| listener.address().clone()).collect();
    config.listeners = inherited;
    let mut server = HttpServer::from_config(config)?;
    report::limits(server.event_loop().limits(), open_file_limit);
    let own = server.addresses().iter().filter(|address| !kept.contains(address));
    let port_note = port_holder::note(port, has_bare_port, own.filter_map(Address::ip).collect());
    let started = conversations::start(&mut server, &conversations, timeouts)?;
    server.handle_signals().map_err(|e| errors::no_signals(&e))?;
    log.attach(server.event_loop()).map_err(|e| Failure::system("cannot poll the log", &e))?;
    let others = started.iter().map(|conversation| &conversation.address);
    let addresses: Vec<Address> = server.addresses().iter().chain(others).cloned().collect();
    observers::report_statistics(&mut server, has_stats, log);
    observers::attach(server.event_loop(), &addresses, trace, stepper, log)?;
    conversations::warn_if_public(&started, server.addresses());
    mail::warn_if_served(&conversations.mail, &served);
    check_open_files(open_file_limit)?;
    let urls = Urls::of(&server, has_localhost);
    let live_page = observe::start(&mut server, observed, urls.for_browser(), timeouts)?;
    let code = if has_qr { qr::code_of(&urls, log)? } else { String::new() };
    if let Some(account) = account {
        account.assume()?;
    }
    if let Some(page) = page {
        browser::open(&urls, &page)?;
    }
    sandbox::enter(sandbox, addresses.iter().filter(|address| !kept.contains(address)));
    announce(urls.lines(), &started, live_page.as_deref(), &code);
    if is_interactive {
        log.write_line(&format!("serving '{}'{port_note}; Ctrl-C stops it", dir.display()));
        let note = live_page.map(|url| format!("the loop is shown at {url}, to this machine only"));
        note.iter().for_each(|note| log.write_line(note));
    }
    server.serve_forever().map_err(|e| Failure::system("the poller failed", &e))
}

/// Runs a subcommand.
fn run_command(command: CliCommand, log: &LogPipe) -> Result<(), Failure> {
    match command {
        CliCommand::Lesson(args) => lesson::run(&args),
        CliCommand::Replay(args) => replay::run(&args, log),
        CliCommand::Talk(args) => talk::run(*args, log),
        CliCommand::Healthcheck(args) => talk::check(&args, log),
        #[cfg(feature = "compress")]
        CliCommand::Compress(args) => compress::run(args, log),
        #[cfg(not(feature = "compress"))]
        CliCommand::Compress(args) => Err(args.into_failure()),
        CliCommand::Completions { shell } => {
            output::print(&generate::completions(shell)).map_err(|e| cannot_print(&e))
        }
        CliCommand::Man => {
            let page = generate::man_page().and_then(|page| output::print(&page));
            page.map_err(|e| cannot_print(&e))
        }
    }
}

/// Checks that the limit leaves descriptors for the sandbox, and for a few connections and their
/// files.
fn check_open_files(limit: u64) -> Result<(), Failure> {
    // The kernel gives a new descriptor the lowest free number (open(2)).
    let lowest = io::stderr().as_fd().try_clone_to_owned();
    let lowest = lowest.map_err(|e| Failure::system("cannot start", &e))?.as_raw_fd();
    let needed = u64::from(lowest.unsigned_abs()) + SPARE_DESCRIPTORS;
    if limit < needed {
        return Err(Failure::System(format!(
            "the open-file limit of {limit} is too small; allow at least {needed} (ulimit -n {needed})"
        )));
    }
    Ok(())
}

/// Prints the URLs, the addresses of the other conversations and the URL of the live page to
/// standard output, one per line, and then `code`. Never waits for a reader, and ignores errors,
/// because standard output may be closed.
fn announce(urls: &[String], started: &[Started], live_page: Option<&str>, code: &str) {
    let urls = urls.iter().map(|url| format!("{url}\n"));
    let others = started.iter().map(|Started { scheme, address, .. }| match address {
        Address::Ip(address) => format!("{scheme}://{address}\n"),
        Address::Unix(_) => format!("{scheme}+{address}\n"),
    });
    let live_page = live_page.map(|url| format!("{url}\n"));
    let lines: String = urls.chain(others).chain(live_page).chain([code.to_owned()]).collect();
    if let Ok(stdout) = io::stdout().as_fd().try_clone_to_owned() {
        LossyWriter::new(stdout).write(lines.as_bytes());
    }
}
