//! The output of a client, which waits for its reader.

use std::{
    cell::RefCell,
    io::{self, ErrorKind, Stdout, Write},
    os::fd::AsFd,
    rc::Rc,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
};

use crate::cli::errors::Failure;

/// A writer that blocks until its reader has room, even if the descriptor is in non-blocking mode.
/// Another process may have set this mode for a pipe or terminal that it shares with this one
/// (open(2), "Open file descriptions").
#[derive(Debug)]
pub struct BlockingWriter<W>(pub W);

impl<W: Write + AsFd> BlockingWriter<W> {
    /// Repeats `act` until it does not fail for lack of room.
    fn complete<T>(&mut self, mut act: impl FnMut(&mut W) -> io::Result<T>) -> io::Result<T> {
        loop {
            match act(&mut self.0) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                result => return result,
            }
            match poll(&mut [PollFd::new(&self.0, PollFlags::OUT)], None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
}

impl<W: Write + AsFd> Write for BlockingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.complete(|writer| writer.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.complete(W::flush)
    }
}

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

    /// Calls `act`, and remembers its failure.
    fn note<T>(&self, act: impl FnOnce(&mut BlockingWriter<Stdout>) -> io::Result<T>) -> io::Result<T> {
        let result = act(&mut BlockingWriter(io::stdout()));
        if let Err(e) = &result
            && !matches!(e.kind(), ErrorKind::BrokenPipe | ErrorKind::Interrupted)
        {
            self.failure.replace(Some(Failure::system("cannot write to standard output", e)));
        }
        result
    }
}

impl Write for StandardOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.note(|output| output.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.note(|output| output.flush())
    }
}
