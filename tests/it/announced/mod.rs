//! What the server says when it starts: its URLs, as lines, as a QR code and in a browser.

mod open;
mod qr;
mod urls;

use std::process::Command;

use crate::common::*;

/// Starts `oneloop --port 0 ARGS... SITE` on a terminal, with only the variables `vars`.
pub fn on_terminal(site: &Site, args: &[&str], vars: &[(&str, &str)]) -> ServerOnTerminal {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
    command.env_clear().env("TERM", "xterm-256color").envs(vars.iter().copied());
    command.args(["--port", "0"]).args(args).arg(site.path());
    ServerOnTerminal::start(command)
}
