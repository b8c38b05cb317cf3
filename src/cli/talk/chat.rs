//! `oneloop talk chat`.

use std::rc::Rc;

use clap::Args;
use oneloop::{
    clients::ChatClient,
    protocol::{CloseReason, Protocol},
};

use super::{Talk, resolve};
use crate::cli::errors::Failure;

#[derive(Debug, Args)]
pub struct ChatArgs {
    /// Address of the chat room: HOST:PORT or unix:PATH
    #[arg(value_name = "ADDR")]
    address: String,

    /// Enter the room with this name, instead of the first line of standard input
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

/// Relays lines between the user and the room, until one of them ends the conversation.
pub fn run(args: ChatArgs, talk: &mut Talk) -> Result<(), Failure> {
    let addresses = resolve(&args.address)?;
    let stdin = talk.buffered_stdin()?;
    let output = talk.output.clone();
    let create = |end| -> Box<dyn Protocol> {
        let output = Box::new(output.clone());
        Box::new(ChatClient::new(Rc::clone(&stdin), output, end, args.name.clone()))
    };
    match talk.connect(&addresses, create)? {
        (_, CloseReason::Done) => Ok(()),
        (address, CloseReason::Eof) => {
            Err(Failure::System(format!("{address} closed the connection; the chat is over")))
        }
        (address, reason) => {
            Err(Failure::System(format!("the connection to {address} was closed: {reason}")))
        }
    }
}
