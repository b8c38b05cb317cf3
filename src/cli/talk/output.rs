//! Standard output of a client.

use std::{
    cell::RefCell,
    io::{self, ErrorKind, Write},
    rc::Rc,
};

use rustix::event::{PollFd, PollFlags, poll};

use crate::cli::errors::Failure;

/// A writer to standard output that remembers why it has failed. Clones share this memory.
#[derive(Debug, Clone, Default)]
pub struct StandardOutput {
    failure: Rc<RefCell<Option<Failure>>>,
}

impl StandardOutput {
    /// Takes the reason why a write has failed. It is not a failure if the reader has closed the
    /// pipe.
    pub fn take_failure(&self) -> Option<Failure> {
        self.failure.borrow_mut().take()
    }

    /// Calls `act` until it does not block.
    fn complete<T>(&self, mut act: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        loop {
            match act() {
                // Another process may have set the pipe or terminal that it shares with this one to
                // non-blocking mode (open(2), "Open file descriptions").
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    let output = io::stdout();
                    // If the poll fails, the write is tried again.
                    let _ = poll(&mut [PollFd::new(&output, PollFlags::OUT)], None);
                }
                Err(e) => {
                    if !matches!(e.kind(), ErrorKind::BrokenPipe | ErrorKind::Interrupted) {
                        let failure = Failure::system("cannot write to standard output", &e);
                        self.failure.replace(Some(failure));
                    }
                    return Err(e);
                }
                done => return done,
            }
        }
    }
}

impl Write for StandardOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.complete(|| io::stdout().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.complete(|| io::stdout().flush())
    }
}
