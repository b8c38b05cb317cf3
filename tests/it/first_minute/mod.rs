//! What somebody meets who types `oneloop` for the first time: what is served without arguments,
//! and what the arguments of other servers do.

mod bind;
mod listing;
mod port;
mod root;
mod words;

use std::{
    fs::File,
    io::Read,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{Mode, OFlags},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};

use crate::common::*;

/// A server whose output goes to a terminal of its own.
struct Terminal {
    child: Child,
    screen: File,
    /// The output that the test has not consumed yet.
    unread: String,
}

impl Terminal {
    /// Starts `oneloop ARGS...` in `dir`.
    fn start(dir: &Path, args: &[&str]) -> Terminal {
        Terminal::with_variables(dir, args, &[])
    }

    /// Starts `oneloop ARGS...` in `dir` with environment variables.
    fn with_variables(dir: &Path, args: &[&str], vars: &[(&str, &str)]) -> Terminal {
        let screen =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&screen).and_then(|()| unlockpt(&screen)).expect("open the other side");
        let name = ptsname(&screen, Vec::new()).expect("read its name");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let side = || Stdio::from(rustix::fs::open(&name, flags, Mode::empty()).expect("open it"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
        command
            .current_dir(dir)
            .args(args)
            .envs(vars.iter().copied())
            .stdin(Stdio::null())
            .stdout(side())
            .stderr(side());
        Terminal {
            child: command.spawn().expect("start oneloop"),
            screen: File::from(screen),
            unread: String::new(),
        }
    }

    /// Returns the address in the next URL on the screen, for a client on this machine.
    fn addr(&mut self) -> SocketAddr {
        self.until("http://");
        let port = self.until("/").trim_end_matches('/').rsplit(':').next().map(str::parse);
        (Ipv4Addr::LOCALHOST, port.expect("a port").expect("a number")).into()
    }

    /// Reads the screen until `text` appears, and returns the output up to its end.
    fn until(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.unread.find(text) {
                let rest = self.unread.split_off(at + text.len());
                return std::mem::replace(&mut self.unread, rest);
            }
            let limit = Timespec { tv_sec: SOON.as_secs().cast_signed(), tv_nsec: 0 };
            let mut fds = [PollFd::new(&self.screen, PollFlags::IN)];
            let ready = poll(&mut fds, Some(&limit)).expect("poll the terminal");
            assert!(ready > 0, "no {text:?} in {:?}", self.unread);
            let mut buffer = [0; 4096];
            // A terminal without a process behind it fails with EIO.
            let read = self.screen.read(&mut buffer).unwrap_or_default();
            assert!(read > 0, "the end, and no {text:?} in {:?}", self.unread);
            self.unread.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
