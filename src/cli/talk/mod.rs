//! The `talk` command: clients for the conversations, each on its own loop.

mod chat;
mod dialogue;
mod discover;
mod healthcheck;
mod http;
mod output;
mod pop3;
mod smtp;
mod tcp;
mod udp;

use std::{
    cell::RefCell,
    fs::File,
    io,
    net::UdpSocket,
    os::fd::{AsFd, OwnedFd},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use clap::{Args, Subcommand};
use oneloop::{
    Address,
    clients::{ConnectionEnd, StdinBuffer, StdinReader},
    clock::Clock,
    event_loop::{EventLoop, Limits},
    protocol::{CloseReason, DatagramProtocol, InputProtocol, Protocol, WakeKey},
};

pub use self::healthcheck::{HealthcheckArgs, check};
use self::output::StandardOutput;
use super::{
    address,
    args::TraceArgs,
    errors::{Failure, io_message, no_signals},
    logger::LogPipe,
    observers,
    values::{TimeLimit, time_limit},
};

/// The place of an option in the help of a client, after the client's own options.
const LAST: usize = 100;

/// The arguments of `oneloop talk`.
#[derive(Debug, Args)]
pub struct TalkArgs {
    /// Give up after this long without progress; 0 disables
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time_limit, global = true)]
    #[arg(display_order = LAST)]
    pub timeout: TimeLimit,

    #[command(flatten, next_help_heading = "Tracing")]
    pub trace: TraceArgs,

    #[command(subcommand)]
    pub client: TalkClient,
}

/// The clients.
#[derive(Debug, Subcommand)]
pub enum TalkClient {
    /// Send standard input to a TCP or Unix socket and print what arrives, as nc does
    Tcp(tcp::TcpArgs),
    /// Take part in a chat room: type a name, then lines; /quit or end of input leaves
    Chat(chat::ChatArgs),
    /// Send an HTTP request, and show both sides of the dialogue
    Http(http::HttpArgs),
    /// Send a mail, and show both sides of the dialogue
    Smtp(smtp::SmtpArgs),
    /// List, print or delete the messages of a mailbox, and show both sides of the dialogue
    Pop3(pop3::Pop3Args),
    /// Send each line of standard input as a UDP datagram and print the answers, or ping an echo
    Udp(udp::UdpArgs),
    /// List the servers on this network that run with --beacon
    Discover(discover::DiscoverArgs),
}

/// Runs a client until its conversation is over.
pub fn run(args: TalkArgs, log: &LogPipe) -> Result<(), Failure> {
    let mut talk = Talk::new(&args, log)?;
    match args.client {
        TalkClient::Tcp(args) => tcp::run(args, &mut talk),
        TalkClient::Chat(args) => chat::run(args, &mut talk),
        TalkClient::Http(args) => http::run(args, &mut talk),
        TalkClient::Smtp(args) => smtp::run(args, &mut talk),
        TalkClient::Pop3(args) => pop3::run(args, &mut talk),
        TalkClient::Udp(args) => udp::run(args, &mut talk),
        TalkClient::Discover(args) => discover::run(args, &mut talk),
    }
}

/// The loop of one client.
struct Talk {
    event_loop: EventLoop,
    /// How long the server may take for each step.
    timeout: Option<Duration>,
    /// Standard error, for dialogues; `None` if the process has none.
    stderr: Option<Arc<File>>,
    output: StandardOutput,
    /// Whether the stepper reads its commands from the terminal.
    is_stepped: bool,
}

impl Talk {
    fn new(args: &TalkArgs, log: &LogPipe) -> Result<Talk, Failure> {
        let mut talk = Talk::untraced(args.timeout.0, log)?;
        let stepper = observers::stepper(&args.trace)?;
        if stepper.is_some() {
            // The stepper catches the signals, so that they do not end the process at a prompt. The
            // loop must then act on them.
            talk.event_loop.handle_signals().map_err(|e| no_signals(&e))?;
        }
        observers::attach(&mut talk.event_loop, &[], args.trace.clone(), stepper, log)?;
        talk.is_stepped = args.trace.step;
        Ok(talk)
    }

    /// Creates a loop that nothing observes.
    fn untraced(timeout: Option<Duration>, log: &LogPipe) -> Result<Talk, Failure> {
        let limits = Limits { send_timeout: timeout, connect_timeout: timeout, ..Limits::default() };
        let event_loop = EventLoop::new(limits, Clock::system());
        let mut event_loop = event_loop.map_err(|e| Failure::system("cannot create a poller", &e))?;
        log.attach(&mut event_loop).map_err(|e| Failure::system("cannot poll the log", &e))?;
        let (stderr, output) = (log.blocking_stderr(), StandardOutput::default());
        Ok(Talk { event_loop, timeout, stderr, output, is_stepped: false })
    }

    /// Connects to the first of `addresses` that accepts the connection, and runs the loop until
    /// the connection is closed. `create` makes the protocol, once for each address that is tried.
    /// Returns the address and why the connection was closed, or a failure of the output.
    fn connect(
        &mut self,
        addresses: &[Address],
        mut create: impl FnMut(ConnectionEnd) -> Box<dyn Protocol>,
    ) -> Result<(Address, CloseReason), Failure> {
        let mut failure = None;
        for address in addresses {
            let end = ConnectionEnd::default();
            let connected = self.event_loop.connect(address, create(end.clone()));
            let reason = match connected {
                Ok(_) => self.run_until(&end)?,
                Err(e) => {
                    failure = failure.or(Some(cannot_connect(address, &io_message(&e))));
                    continue;
                }
            };
            let why = match reason {
                CloseReason::ConnectFailed(kind) => kind.to_string(),
                CloseReason::ConnectTimeout => "timed out; use a longer --timeout".into(),
                reason => return Ok((address.clone(), reason)),
            };
            failure = failure.or(Some(cannot_connect(address, &why)));
        }
        Err(failure.unwrap_or_else(|| Failure::System("there is no address to connect to".into())))
    }

    /// Adds standard input to the loop.
    fn add_input(&mut self, protocol: Box<dyn InputProtocol>) -> Result<WakeKey, Failure> {
        if self.is_stepped {
            let advice = "use --step-script FILE in place of --step";
            return Err(Failure::Usage(format!(
                "the stepper and the client both need the terminal; {advice}"
            )));
        }
        self.event_loop
            .add_input("stdin", standard_input()?, protocol)
            .map_err(|e| Failure::system("cannot poll standard input", &e))
    }

    /// Adds standard input to the loop, as bytes for a connection.
    fn buffered_stdin(&mut self) -> Result<Rc<RefCell<StdinBuffer>>, Failure> {
        let stdin = Rc::new(RefCell::new(StdinBuffer::default()));
        self.add_input(Box::new(StdinReader(Rc::clone(&stdin))))?;
        Ok(stdin)
    }

    /// Adds a UDP socket to the loop.
    fn add_udp(
        &mut self,
        socket: UdpSocket,
        protocol: Box<dyn DatagramProtocol>,
    ) -> Result<WakeKey, Failure> {
        self.event_loop.add_udp(socket, protocol).map_err(|e| Failure::system("cannot poll the socket", &e))
    }

    /// Runs the loop until a protocol stops it.
    fn run_until_stopped(&mut self) -> Result<(), Failure> {
        while !self.event_loop.is_drained() {
            self.event_loop.turn().map_err(|e| Failure::system("the poller failed", &e))?;
        }
        self.output.take_failure().map_or(Ok(()), Err)
    }

    /// Runs the loop until the connection is closed. Returns the reason.
    fn run_until(&mut self, end: &ConnectionEnd) -> Result<CloseReason, Failure> {
        loop {
            if let Some(reason) = end.get() {
                return self.output.take_failure().map_or(Ok(reason), Err);
            }
            self.event_loop.turn().map_err(|e| Failure::system("the poller failed", &e))?;
        }
    }
}

fn cannot_connect(address: &Address, why: &str) -> Failure {
    Failure::System(format!("cannot connect to {address}: {why}"))
}

/// Returns the addresses that `text` names: HOST:PORT, or unix:PATH.
fn resolve(text: &str) -> Result<Vec<Address>, Failure> {
    if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
        return Ok(vec![Address::Unix(Some(path.into()))]);
    }
    let found = address::resolve(text, || {
        let advice = "use HOST:PORT, such as localhost:9000, or unix:PATH";
        Failure::Usage(format!("'{text}' is not a valid address; {advice}"))
    })?;
    Ok(found.into_iter().map(Address::from).collect())
}

/// Returns a duplicate of standard input. A closed one counts as empty.
fn standard_input() -> Result<OwnedFd, Failure> {
    let duplicate = io::stdin().as_fd().try_clone_to_owned();
    let input = duplicate.or_else(|_| std::fs::File::open("/dev/null").map(OwnedFd::from));
    input.map_err(|e| Failure::system("cannot read standard input", &e))
}
