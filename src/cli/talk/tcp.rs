//! `oneloop talk tcp`.

use std::{cell::RefCell, io, rc::Rc};

use clap::Args;
use oneloop::{
    clients::{Outgoing, OutgoingInput, TcpClient},
    protocol::CloseReason,
};

use super::{Talk, resolve, standard_input};
use crate::cli::errors::Failure;

#[derive(Debug, Args)]
pub struct TcpArgs {
    /// Address to connect to: HOST:PORT or unix:PATH
    #[arg(value_name = "ADDR")]
    address: String,
}

/// Relays standard input to the socket, and the socket to standard output, until the peer closes.
pub fn run(args: TcpArgs, talk: &mut Talk) -> Result<(), Failure> {
    let addresses = resolve(&args.address)?;
    let outgoing = Rc::new(RefCell::new(Outgoing::default()));
    let input = Box::new(OutgoingInput(Rc::clone(&outgoing)));
    talk.event_loop
        .add_input("stdin", standard_input()?, input)
        .map_err(|e| Failure::system("cannot poll standard input", &e))?;
    let create = |end| -> Box<dyn oneloop::protocol::Protocol> {
        Box::new(TcpClient::new(Rc::clone(&outgoing), Box::new(io::stdout()), end))
    };
    match talk.connect(&addresses, create)? {
        (_, CloseReason::Eof | CloseReason::Done) => Ok(()),
        (address, reason) => {
            Err(Failure::System(format!("the connection to {address} was closed: {reason}")))
        }
    }
}
