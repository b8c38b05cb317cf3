//! `oneloop talk tcp`.

use std::{io, rc::Rc};

use clap::{Args, ValueEnum};
use oneloop::{
    clients::{StreamFraming, TcpClient},
    protocol::{CloseReason, Protocol},
};

use super::{Talk, resolve};
use crate::cli::errors::Failure;

#[derive(Debug, Args)]
pub struct TcpArgs {
    /// Address to connect to: HOST:PORT or unix:PATH
    #[arg(value_name = "ADDR")]
    address: String,

    /// Send each line as one message and print each message as one line, with this framing
    #[arg(long, value_name = "FRAMING", value_enum, default_value_t = FramingArg::None)]
    framing: FramingArg,
}

/// How messages are delimited on the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FramingArg {
    /// No messages: relay the bytes as they arrive
    None,
    /// A line feed ends each message
    Lines,
    /// A length of 4 bytes (big-endian) precedes each message
    Length,
}

/// Relays standard input to the socket and the socket to standard output, until the peer closes.
pub fn run(args: TcpArgs, talk: &mut Talk) -> Result<(), Failure> {
    let addresses = resolve(&args.address)?;
    let stdin = talk.buffered_stdin()?;
    let framing = match args.framing {
        FramingArg::None => StreamFraming::None,
        FramingArg::Lines => StreamFraming::Lines,
        FramingArg::Length => StreamFraming::Length,
    };
    let (output, timeout) = (talk.output.clone(), talk.timeout);
    let create = |end| -> Box<dyn Protocol> {
        let (stdin, output) = (Rc::clone(&stdin), Box::new(output.clone()));
        Box::new(TcpClient::new(stdin, output, end, framing, timeout))
    };
    let max = StreamFraming::MAX_MESSAGE;
    match talk.connect(&addresses, create)? {
        (address, CloseReason::Eof) if !stdin.borrow().is_empty() || has_input() => {
            let what = "closed the connection before all of standard input was sent";
            Err(Failure::System(format!("{address} {what}")))
        }
        (address, CloseReason::IdleTimeout) => {
            Err(Failure::System(format!("{address} stopped answering; use a longer --timeout")))
        }
        (_, CloseReason::Eof | CloseReason::Done) => Ok(()),
        (_, CloseReason::Limit) if framing != StreamFraming::None => Err(Failure::System(format!(
            "a line of standard input is longer than {max} bytes; use --framing none"
        ))),
        (address, CloseReason::BadRequest) => Err(Failure::System(format!(
            "{address} sent something other than whole messages of at most {max} bytes; try another --framing"
        ))),
        (address, reason) => {
            Err(Failure::System(format!("the connection to {address} was closed: {reason}")))
        }
    }
}

/// Returns whether standard input holds bytes that have not been read.
fn has_input() -> bool {
    rustix::io::ioctl_fionread(io::stdin()).is_ok_and(|count| count > 0)
}
