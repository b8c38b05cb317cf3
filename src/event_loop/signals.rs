//! Signals as a source of the loop: SIGINT and SIGTERM stop the loop, and SIGUSR1 toggles the
//! on-demand observer.
//!
//! A signal handler may do very little (signal-safety(7)), so it writes one byte to a socket pair.
//! The loop polls the other end, so no signal is lost between the last check and the poll.

use std::{
    io,
    sync::{Arc, atomic::AtomicBool},
};

use signal_hook::{
    consts::{SIGINT, SIGTERM, SIGUSR1},
    flag,
};
use signal_hook_mio::v1_0::Signals;

use super::{
    EventLoop,
    source::{Source, SourceKind},
};
use crate::trace::{SourceId, Step};

impl EventLoop {
    /// Installs the signal handlers. SIGINT and SIGTERM [drain](EventLoop::drain) the loop. A
    /// second such signal exits the process immediately, with exit code 128 plus the signal number.
    /// SIGUSR1 attaches or detaches the [on-demand observer](EventLoop::set_on_demand_observer).
    ///
    /// # Errors
    /// Fails if the handlers cannot be installed (sigaction(2)).
    pub fn handle_signals(&mut self) -> io::Result<()> {
        let is_second = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // The order matters. The first handler exits if the flag is set; after it, the second
            // handler sets the flag.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&is_second))?;
            flag::register(signal, Arc::clone(&is_second))?;
        }
        let signals = Box::new(Signals::new([SIGINT, SIGTERM, SIGUSR1])?);
        self.sources.insert(SourceKind::Signals(signals), SourceId::Signals).map(drop)
    }

    /// Reads the pending signals and acts on each.
    pub(super) fn on_signals(&mut self, key: usize) {
        let Some(Source { kind: SourceKind::Signals(signals), .. }) = self.sources.get_mut(key) else {
            return;
        };
        let numbers: Vec<i32> = signals.pending().collect();
        for number in numbers {
            self.observers.trace(SourceId::Signals, || Step::Signalled { number });
            match number {
                SIGUSR1 => self.toggle_observer(),
                _ => self.drain(),
            }
        }
    }
}
