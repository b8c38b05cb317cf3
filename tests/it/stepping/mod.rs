//! `--step`: a person runs the loop from one wake-up to the next and inspects it while it is
//! stopped.

mod deadlines;
mod editing;
mod quiz;
mod script;
mod session;
mod start;

use std::{
    fs::File,
    io::{Read, Write},
    net::SocketAddr,
    process::{Child, Command, ExitStatus},
};

use crate::common::*;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, Signal, kill_process},
};

const PROMPT: &str = "step> ";

/// A program on its own pseudo-terminal, with the test as the user.
struct Terminal {
    child: Child,
    screen: File,
    /// The screen output that the test has not read yet.
    unread: String,
    addr: SocketAddr,
}

impl Terminal {
    /// Starts `oneloop --step ARGS... SITE` and waits for the first prompt.
    fn with(site: &Site, args: &[&str]) -> Terminal {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
        command
            .args(["--port", "0", "--step"])
            .args(args)
            .arg(site.path())
            .env("TERM", "xterm")
            .env("NO_COLOR", "1");
        let mut terminal = Terminal::start(command);
        let start = terminal.until(PROMPT);
        let url =
            start.strip_prefix("http://").and_then(|url| url.split('/').next()).expect("a URL comes first");
        terminal.addr = url.parse().expect("an address");
        terminal
    }

    /// Starts `command` on a terminal, without an address.
    fn start(mut command: Command) -> Terminal {
        let pty = PseudoTerminal::open();
        let child =
            command.stdin(pty.side()).stdout(pty.side()).stderr(pty.side()).spawn().expect("start oneloop");
        let addr = SocketAddr::from(([0; 4], 0));
        Terminal { child, screen: pty.into_screen(), unread: String::new(), addr }
    }

    /// Reads the screen until `text` appears, and returns the output up to its end.
    fn until(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.unread.find(text) {
                let rest = self.unread.split_off(at + text.len());
                return std::mem::replace(&mut self.unread, rest);
            }
            assert!(self.read(), "no {text:?} in {:?}", self.unread);
        }
    }

    /// Returns the rest of the screen output after the server has exited.
    fn rest(&mut self) -> String {
        while self.read() {}
        std::mem::take(&mut self.unread)
    }

    /// Reads once. Returns false if the server has closed its side.
    fn read(&mut self) -> bool {
        let soon = Timespec { tv_sec: SOON.as_secs() as i64, tv_nsec: 0 };
        let mut asked = [PollFd::new(&self.screen, PollFlags::IN)];
        let is_there = poll(&mut asked, Some(&soon)).expect("poll the screen") > 0;
        assert!(is_there, "no output after {:?}", self.unread);
        let mut buffer = [0; 4096];
        match self.screen.read(&mut buffer) {
            Ok(got) => {
                self.unread.push_str(&String::from_utf8_lossy(&buffer[..got]).replace('\r', ""));
                got > 0
            }
            Err(e) => {
                assert_eq!(rustix::io::Errno::from_io_error(&e), Some(rustix::io::Errno::IO), "{e}");
                false
            }
        }
    }

    /// Types a line.
    fn enter(&mut self, line: &str) {
        self.screen.write_all(format!("{line}\n").as_bytes()).expect("type");
    }

    /// Types a line and returns the output up to the next prompt.
    fn ask(&mut self, line: &str) -> String {
        self.enter(line);
        let output = self.until(PROMPT);
        output.strip_prefix(&format!("{line}\n")).expect("the echo").to_owned()
    }

    /// Opens a connection.
    fn connect(&self) -> Client {
        Client::connect(self.addr)
    }

    /// Sends a signal to the server once it waits for input.
    fn signal(&self, signal: Signal) {
        let stat = format!("/proc/{}/stat", self.child.id());
        eventually("it waits", || std::fs::read_to_string(&stat).is_ok_and(|s| s.contains(") S ")));
        kill_process(Pid::from_raw(self.child.id() as i32).expect("a pid"), signal).expect("signal it");
    }

    /// Waits for the server to exit and returns its status.
    fn exit(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the server ends", || {
            status = self.child.try_wait().expect("poll the process");
            status.is_some()
        });
        status.expect("a status")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asserts that `text` contains all of `words` in this order.
fn assert_in_order(text: &str, words: &[&str]) {
    let mut rest = text;
    for word in words {
        let at = rest.find(word).unwrap_or_else(|| panic!("{word:?} is missing or out of order in {text}"));
        rest = &rest[at + word.len()..];
    }
}
