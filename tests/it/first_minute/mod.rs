//! What somebody meets who types `oneloop` for the first time: what is served without arguments,
//! and what the arguments of other servers do.

mod bind;
mod listing;
mod port;
mod root;
mod words;

use std::{path::Path, process::Command};

use crate::common::*;

/// Starts `oneloop ARGS...` in `dir`, on a terminal.
fn on_terminal(dir: &Path, args: &[&str], vars: &[(&str, &str)]) -> ServerOnTerminal {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
    command.current_dir(dir).args(args).envs(vars.iter().copied());
    ServerOnTerminal::start(command)
}
