//! `oneloop talk pop3`.

use std::path::PathBuf;

use clap::{Args, Subcommand, value_parser};
use oneloop::clients::{Dialogue, Pop3Action, Pop3Client};

use super::{
    Talk,
    dialogue::{login, output},
    resolve,
};
use crate::cli::errors::Failure;

#[derive(Debug, Args)]
pub struct Pop3Args {
    /// Address to connect to: HOST:PORT or unix:PATH
    #[arg(value_name = "ADDR")]
    address: String,

    /// Log in with this name
    #[arg(long, value_name = "NAME")]
    user: String,

    /// Password for --user, sent unencrypted; prefer ONELOOP_TALK_PASSWORD, because other users of
    /// this machine can see the option
    #[arg(long, value_name = "PASSWORD", env = "ONELOOP_TALK_PASSWORD", hide_env = true)]
    password: String,

    /// Write the messages or the list to FILE instead of standard output
    #[arg(short, long, value_name = "FILE", global = true)]
    output: Option<PathBuf>,

    #[command(subcommand)]
    command: Option<Pop3ActionArg>,
}

/// What to do with the mailbox; without a command, list the messages.
#[derive(Debug, Clone, Copy, Subcommand)]
enum Pop3ActionArg {
    /// List the numbers and sizes of all messages (the default)
    List,
    /// Print a message
    Retrieve {
        /// Number of the message
        #[arg(value_parser = value_parser!(u32).range(1..))]
        number: u32,
    },
    /// Delete a message
    Delete {
        /// Number of the message
        #[arg(value_parser = value_parser!(u32).range(1..))]
        number: u32,
    },
    /// Print the header of a message and the first lines of its body
    Top {
        /// Number of the message
        #[arg(value_parser = value_parser!(u32).range(1..))]
        number: u32,
        /// Number of lines of the body
        lines: u32,
    },
}

/// Runs one command on a mailbox, and shows the dialogue.
pub fn run(args: Pop3Args, talk: &mut Talk) -> Result<(), Failure> {
    let addresses = resolve(&args.address)?;
    let login = login(&args.user, &args.password)?;
    let command = match args.command.unwrap_or(Pop3ActionArg::List) {
        Pop3ActionArg::List => Pop3Action::List,
        Pop3ActionArg::Retrieve { number } => Pop3Action::Retrieve(number),
        Pop3ActionArg::Delete { number } => Pop3Action::Delete(number),
        Pop3ActionArg::Top { number, lines } => Pop3Action::Top(number, lines),
    };
    talk.converse(&addresses, Dialogue::with_letters, |session| {
        Box::new(Pop3Client::new(login.clone(), command, session, output(args.output.as_deref())))
    })
}
