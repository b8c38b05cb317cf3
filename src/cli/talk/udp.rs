//! `oneloop talk udp`.

use std::{
    cell::RefCell,
    io::{self, ErrorKind},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    rc::Rc,
    time::Duration,
};

use clap::Args;
use oneloop::{
    Address,
    clients::{
        DatagramLines, LineReader, LineSender, MAX_DATAGRAM, Ping, PingOptions, PingResult, TalkFailure,
    },
};

use super::{Talk, resolve};
use crate::cli::{
    errors::{Failure, cannot_print, io_message},
    output,
    values::duration,
};

#[derive(Debug, Args)]
pub struct UdpArgs {
    /// Address to send to: HOST:PORT
    #[arg(value_name = "ADDR")]
    address: String,

    /// Send N numbered datagrams instead of lines, and print loss and round-trip times
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    ping: Option<u32>,

    /// Wait this long between two pings; 0 sends as fast as possible
    #[arg(long, value_name = "TIME", default_value = "10ms", value_parser = duration, requires = "ping")]
    interval: Duration,

    /// Send pings of this many bytes
    #[arg(long, value_name = "BYTES", default_value_t = 64, value_parser = size, requires = "ping")]
    size: usize,

    /// Wait this long for answers to the last datagrams
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    wait: Duration,
}

fn size(text: &str) -> Result<usize, String> {
    let range = PingOptions::MIN_SIZE..=MAX_DATAGRAM;
    let advice = || format!("use a number from {} to {}", range.start(), range.end());
    text.parse().ok().filter(|size| range.contains(size)).ok_or_else(advice)
}

/// Talks to the first address that `args` name.
pub fn run(args: UdpArgs, talk: &mut Talk) -> Result<(), Failure> {
    let peer = resolve(&args.address)?.iter().find_map(Address::ip);
    let peer = peer.ok_or_else(|| {
        Failure::Usage(format!("'{}' is not a valid UDP address; use HOST:PORT", args.address))
    })?;
    let socket = connect(peer).map_err(|e| failed(peer, &e))?;
    match args.ping {
        Some(count) => ping(&args, count, socket, peer, talk),
        None => send_lines(args.wait, socket, peer, talk),
    }
}

/// Returns a socket that exchanges datagrams with `peer` only. Such a socket also reports that
/// nothing listens there (udp(7)).
fn connect(peer: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match peer {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(peer)?;
    Ok(socket)
}

/// Sends each line of standard input to `peer`, and prints the answers.
fn send_lines(wait: Duration, socket: UdpSocket, peer: SocketAddr, talk: &mut Talk) -> Result<(), Failure> {
    let lines = Rc::new(RefCell::new(DatagramLines::default()));
    let sender = LineSender::new(peer, Rc::clone(&lines), wait, Box::new(talk.output.clone()));
    let key = talk.add_udp(socket, Box::new(sender))?;
    let reader = Box::new(LineReader::new(Rc::clone(&lines), key));
    talk.add_input(reader)?;
    talk.run_until_stopped()?;
    match &lines.borrow().failure {
        None => Ok(()),
        Some(TalkFailure::Socket(e)) => Err(failed(peer, e)),
        Some(TalkFailure::LineTooLong) => Err(Failure::System(format!(
            "a line is longer than a datagram can be; use at most {MAX_DATAGRAM} bytes"
        ))),
    }
}

/// Pings `peer`, and prints the figures.
fn ping(
    args: &UdpArgs,
    count: u32,
    socket: UdpSocket,
    peer: SocketAddr,
    talk: &mut Talk,
) -> Result<(), Failure> {
    let result = Rc::new(RefCell::new(PingResult::default()));
    let options = PingOptions { count, interval: args.interval, size: args.size, wait: args.wait };
    let start = talk.event_loop.clock().now();
    let ping = Ping::new(peer, options, start, Rc::clone(&result), Box::new(talk.output.clone()));
    talk.add_udp(socket, Box::new(ping))?;
    // Ctrl-C ends the ping, and the results so far are printed.
    talk.event_loop.handle_signals().map_err(|e| crate::cli::errors::no_signals(&e))?;
    talk.run_until_stopped()?;
    let PingResult { figures, error } = &*result.borrow();
    let has_answers = figures.answered() > 0;
    if has_answers || error.is_none() {
        output::print(&format!("\n--- {peer} ---\n{figures}\n")).map_err(|e| cannot_print(&e))?;
    }
    match error {
        Some(e) if !has_answers => Err(failed(peer, e)),
        None if !has_answers => {
            Err(Failure::System(format!("no answer from {peer}; check that a UDP echo listens there")))
        }
        _ => Ok(()),
    }
}

/// Returns the failure of a call on a socket that is connected to `peer`.
fn failed(peer: SocketAddr, e: &io::Error) -> Failure {
    match e.kind() {
        ErrorKind::ConnectionRefused => Failure::System(format!("nothing listens on {peer}")),
        _ => Failure::System(format!("cannot talk to {peer}: {}", io_message(e))),
    }
}
