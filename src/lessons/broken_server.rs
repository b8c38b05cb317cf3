//! A loop with a bug as a server, so that tests can play the trials against it.

use std::{io, net::TcpListener, path::Path, time::Duration};

use super::{
    broken_loop::BrokenLoop,
    bug::{Bug, BugSettings},
    harness::LoopUnderTest,
    setup::http,
};
use crate::{clock::Clock, trace::Observers};

/// A server with one bug, for clients on the same machine.
pub struct BrokenServer(BrokenLoop);

impl BrokenServer {
    /// Creates a server that has `bug` and serves the files of `dir` to the clients of `listener`.
    /// Where the bug makes it wait for one client, it waits for at most `max_block`.
    ///
    /// # Errors
    /// Fails if the directory cannot be opened, if the poller cannot be created, or if it cannot
    /// poll the listener.
    pub fn new(bug: Bug, listener: TcpListener, dir: &Path, max_block: Duration) -> io::Result<BrokenServer> {
        // Many first servers read 4,096 bytes at a time.
        let settings =
            BugSettings { poll: Duration::from_millis(20), max_block, small_read: 4096, is_level: false };
        let factory = Box::new(http(dir)?);
        let (clock, observers) = (Clock::system(), Observers::default());
        Ok(BrokenServer(BrokenLoop::new(
            bug,
            listener,
            factory,
            clock,
            observers,
            Box::new(|_| ()),
            settings,
        )?))
    }

    /// Runs one turn, which sleeps for at most 20 milliseconds.
    ///
    /// # Errors
    /// Fails if polling fails (epoll_wait(2)).
    pub fn turn(&mut self) -> io::Result<()> {
        self.0.turn()
    }
}
