//! What the server says when it starts: its URLs, as lines, as a QR code and in a browser.

mod open;
mod qr;
mod urls;

use std::{
    fs::File,
    io::Read,
    net::SocketAddr,
    process::{Command, Stdio},
};

use rustix::{
    fs::{Mode, OFlags},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};

use crate::common::*;

/// A server whose standard output and error are a terminal, which the test reads.
pub struct OnTerminal {
    server: std::process::Child,
    screen: File,
}

impl OnTerminal {
    /// Starts `oneloop --port 0 ARGS... SITE` with only the variables `vars`.
    pub fn with(site: &Site, args: &[&str], vars: &[(&str, &str)]) -> OnTerminal {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let screen = openpt(flags).expect("a terminal");
        grantpt(&screen).and_then(|()| unlockpt(&screen)).expect("open the other side");
        let name = ptsname(&screen, Vec::new()).expect("read its name");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let side = || Stdio::from(rustix::fs::open(&name, flags, Mode::empty()).expect("open it"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
        command.env_clear().env("TERM", "xterm-256color").envs(vars.iter().copied());
        command.args(["--port", "0"]).args(args).arg(site.path());
        let server = command.stdin(Stdio::null()).stdout(side()).stderr(side()).spawn();
        OnTerminal { server: server.expect("start oneloop"), screen: screen.into() }
    }

    /// Reads what the server prints until `end` appears.
    pub fn until(&mut self, end: &str) -> String {
        let mut shown = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let text = String::from_utf8_lossy(&shown).replace("\r\n", "\n");
            if text.contains(end) {
                return text;
            }
            let got = self.screen.read(&mut buffer).expect("read the screen");
            shown.extend_from_slice(&buffer[..got]);
        }
    }

    /// Returns the address in the URL with which `text` begins.
    pub fn address(text: &str) -> SocketAddr {
        let url = text.strip_prefix("http://").and_then(|url| url.split('/').next());
        url.and_then(|address| address.parse().ok()).expect("a URL")
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
