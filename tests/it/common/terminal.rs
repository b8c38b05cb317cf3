//! Pseudo-terminals (pty(7)): the program has one side, and the test sees and types on the other.

use std::{
    ffi::CString,
    fs::File,
    io::Read,
    net::{Ipv4Addr, SocketAddr},
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{Mode, OFlags},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};

use super::{SOON, lossy};

/// A pseudo-terminal.
pub struct PseudoTerminal {
    screen: OwnedFd,
    name: CString,
}

impl PseudoTerminal {
    pub fn open() -> PseudoTerminal {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let screen = openpt(flags).expect("a terminal");
        grantpt(&screen).and_then(|()| unlockpt(&screen)).expect("open the other side");
        let name = ptsname(&screen, Vec::new()).expect("read its name");
        PseudoTerminal { screen, name }
    }

    /// Opens the side of the program.
    pub fn side(&self) -> Stdio {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        rustix::fs::open(&self.name, flags, Mode::empty()).expect("open it").into()
    }

    /// Returns the side of the test.
    pub fn into_screen(self) -> File {
        self.screen.into()
    }
}

/// A server whose standard output and error are a terminal; killed when the test ends.
pub struct ServerOnTerminal {
    child: Child,
    screen: File,
    /// The output that the test has not taken yet.
    unread: Vec<u8>,
}

impl ServerOnTerminal {
    pub fn start(mut command: Command) -> ServerOnTerminal {
        let terminal = PseudoTerminal::open();
        command.stdin(Stdio::null()).stdout(terminal.side()).stderr(terminal.side());
        let child = command.spawn().expect("start oneloop");
        ServerOnTerminal { child, screen: terminal.into_screen(), unread: Vec::new() }
    }

    /// Returns the address in the next URL on the screen, for a client on this machine.
    pub fn addr(&mut self) -> SocketAddr {
        self.until("http://");
        let port = self.until("/").trim_end_matches('/').rsplit(':').next().map(str::parse);
        (Ipv4Addr::LOCALHOST, port.expect("a port").expect("a number")).into()
    }

    /// Waits for the server to exit, and returns its exit code.
    pub fn exit_code(&mut self) -> Option<i32> {
        self.child.wait().expect("wait for it").code()
    }

    /// Reads the screen until `text` appears, and returns the output up to its end.
    pub fn until(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.unread.windows(text.len()).position(|shown| shown == text.as_bytes()) {
                let rest = self.unread.split_off(at + text.len());
                let taken = std::mem::replace(&mut self.unread, rest);
                return String::from_utf8_lossy(&taken).into_owned();
            }
            let limit = Timespec { tv_sec: SOON.as_secs().cast_signed(), tv_nsec: 0 };
            let mut fds = [PollFd::new(&self.screen, PollFlags::IN)];
            let ready = poll(&mut fds, Some(&limit)).expect("poll the terminal");
            assert!(ready > 0, "no {text:?} in {:?}", lossy(&self.unread));
            let mut buffer = [0; 4096];
            // A terminal without a process behind it fails with EIO.
            let read = self.screen.read(&mut buffer).unwrap_or_default();
            assert!(read > 0, "the end, and no {text:?} in {:?}", lossy(&self.unread));
            self.unread.extend(buffer[..read].iter().filter(|b| **b != b'\r'));
        }
    }
}

impl Drop for ServerOnTerminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
