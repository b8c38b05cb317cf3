//! The real binary as a client, `oneloop talk`, on pipes or on a pseudo-terminal.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
    time::Instant,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use super::{PseudoTerminal, SOON};

/// A running client, with the test as the person; killed when the test ends.
pub struct Talk {
    child: Child,
    /// What the person types on, until the input ends.
    input: Option<File>,
    /// What the person sees.
    output: File,
    /// The output that the test has not taken yet.
    unread: Vec<u8>,
}

/// How a client ended.
pub struct TalkEnd {
    pub code: Option<i32>,
    /// The output that the test had not taken yet.
    pub output: String,
    pub errors: String,
}

impl Talk {
    /// Starts `oneloop talk ARGS...` on pipes.
    pub fn start(args: &[&str]) -> Talk {
        Talk::run(Talk::command(args)).expect("start oneloop")
    }

    /// Starts another client on pipes.
    ///
    /// # Errors
    /// Fails if the program is not installed.
    pub fn run(mut command: Command) -> io::Result<Talk> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let input = OwnedFd::from(child.stdin.take().expect("piped")).into();
        let output = OwnedFd::from(child.stdout.take().expect("piped")).into();
        Ok(Talk { child, input: Some(input), output, unread: Vec::new() })
    }

    /// Starts `oneloop talk ARGS...` on a terminal.
    pub fn on_terminal(args: &[&str]) -> Talk {
        let pty = PseudoTerminal::open();
        let mut command = Talk::command(args);
        let child = command.stdin(pty.side()).stdout(pty.side()).stderr(Stdio::piped()).spawn();
        let child = child.expect("start oneloop");
        let output = pty.into_screen();
        let input = output.try_clone().expect("duplicate the terminal");
        Talk { child, input: Some(input), output, unread: Vec::new() }
    }

    fn command(args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
        command.arg("talk").args(args);
        command
    }

    /// Types `text`.
    pub fn enter(&mut self, text: impl AsRef<[u8]>) {
        self.input.as_ref().expect("the input is open").write_all(text.as_ref()).expect("type");
    }

    /// Ends the input of a client on pipes.
    pub fn end_input(&mut self) {
        self.input = None;
    }

    /// Takes the input, to write to it on another thread.
    pub fn take_input(&mut self) -> File {
        self.input.take().expect("the input is open")
    }

    /// Returns the output up to and including `text`.
    pub fn until(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = memchr::memmem::find(&self.unread, text.as_bytes()) {
                let rest = self.unread.split_off(at + text.len());
                let taken = std::mem::replace(&mut self.unread, rest);
                return String::from_utf8_lossy(&taken).into_owned();
            }
            assert!(self.read(), "no {text:?} in {:?}", super::lossy(&self.unread));
        }
    }

    /// Reads the output once. Returns false at its end.
    fn read(&mut self) -> bool {
        let soon = Timespec { tv_sec: SOON.as_secs() as i64, tv_nsec: 0 };
        let mut asked = [PollFd::new(&self.output, PollFlags::IN)];
        let is_there = poll(&mut asked, Some(&soon)).expect("poll the output") > 0;
        assert!(is_there, "no output after {:?}", super::lossy(&self.unread));
        let mut buffer = [0; 65536];
        match self.output.read(&mut buffer) {
            Ok(got) => {
                self.unread.extend_from_slice(&buffer[..got]);
                got > 0
            }
            // The other side of the terminal is closed.
            Err(e) => {
                assert_eq!(Errno::from_io_error(&e), Some(Errno::IO), "{e}");
                false
            }
        }
    }

    /// Waits until the client exits.
    pub fn end(mut self) -> TalkEnd {
        while self.read() {}
        let end = Instant::now() + SOON;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("wait for the client") {
                break status;
            }
            assert!(Instant::now() < end, "the client did not end");
            std::thread::yield_now();
        };
        let mut errors = String::new();
        self.child.stderr.take().expect("piped").read_to_string(&mut errors).expect("read its errors");
        let output = String::from_utf8_lossy(&self.unread).into_owned();
        TalkEnd { code: status.code(), output, errors }
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
