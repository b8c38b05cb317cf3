//! A readable descriptor that is not a socket, such as standard input: a terminal, a pipe or a
//! file.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
};

use mio::{event::Source as Pollable, unix::SourceFd};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use crate::{
    protocol::{CloseReason, Context, InputProtocol},
    source::{Readiness, Want},
    trace::Step,
};

/// The maximum number of reads in one turn.
const READ_BUDGET: usize = 16;

/// A descriptor that the loop reads, and its protocol.
pub struct Input {
    fd: OwnedFd,
    protocol: Box<dyn InputProtocol>,
    /// Whether the poller reports readiness. It does not for a regular file, which is always
    /// readable (epoll_ctl(2), EPERM).
    is_polled: bool,
}

impl Input {
    pub fn new(fd: OwnedFd, protocol: Box<dyn InputProtocol>) -> Input {
        Input { fd, protocol, is_polled: true }
    }

    /// Returns whether the poller reports readiness.
    pub fn is_polled(&self) -> bool {
        self.is_polled
    }

    /// Calls `act`, which registers the descriptor with the poller. A descriptor that cannot be
    /// polled is not an error.
    pub fn register(&mut self, act: impl FnOnce(&mut dyn Pollable) -> io::Result<()>) -> io::Result<()> {
        match act(&mut SourceFd(&self.fd.as_raw_fd())) {
            Err(e) if Errno::from_io_error(&e) == Some(Errno::PERM) => {
                self.is_polled = false;
                Ok(())
            }
            result => result,
        }
    }

    /// Reads into `buffer` and passes the input to the protocol, until a read would block, the
    /// protocol has no room, or the budget is used up.
    pub fn handle(&mut self, ready: &mut Readiness, buffer: &mut [u8], cx: &mut Context<'_>) -> Want {
        ready.woken = false;
        for _ in 0..READ_BUDGET {
            if !self.protocol.has_room() {
                cx.trace(|| Step::Postponed { within: None });
                return Want::WaitUntil(None);
            }
            if !ready.readable && self.is_polled {
                return Want::Readable;
            }
            if !self.can_read() {
                cx.trace(|| Step::Drained);
                ready.readable = false;
                continue;
            }
            match rustix::io::read(&self.fd, &mut *buffer) {
                Ok(0) => {
                    cx.trace(|| Step::EndOfInput);
                    self.protocol.on_end(cx);
                    return Want::Close(CloseReason::Eof);
                }
                Ok(got) => {
                    let offered = buffer.len();
                    cx.trace(|| Step::Read { offered, bytes: buffer[..got].to_vec(), kept: 0 });
                    self.protocol.receive(&buffer[..got], cx);
                }
                Err(Errno::AGAIN) => ready.readable = false,
                Err(Errno::INTR) => {}
                Err(e) => {
                    log::warn!("cannot read {}: {}", cx.source, io::Error::from(e));
                    self.protocol.on_end(cx);
                    return Want::Close(CloseReason::Reset);
                }
            }
        }
        Want::Turn
    }

    /// Returns whether a read would return at once. The descriptor stays in blocking mode, because
    /// other processes share this mode (open(2), "Open file descriptions"), so a read must be
    /// checked first.
    fn can_read(&self) -> bool {
        let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
        // Another process may read the same terminal or pipe. If it takes the input between the two
        // calls, the read waits. Nothing can rule this out.
        !self.is_polled
            || poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|count| count > 0)
    }
}
