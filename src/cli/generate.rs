//! Completions and the man page, made from the definitions of the command line.

use std::io::{self, Write};

use clap::CommandFactory;

use super::args::{Cli, Command};

/// Prints what `command` asks for.
pub fn print(command: &Command) -> io::Result<()> {
    let mut definitions = Cli::command();
    let mut text = Vec::new();
    match command {
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut definitions, "oneloop", &mut text);
        }
        Command::Lesson { .. } => {}
        Command::Man => {
            // The page would point to pages of their own, which are not there.
            let hidden = ["completions", "man"].into_iter().fold(definitions, |definitions, name| {
                definitions.mut_subcommand(name, |command| command.hide(true))
            });
            clap_mangen::Man::new(hidden).render(&mut text)?;
        }
    }
    io::stdout().write_all(&text)
}
