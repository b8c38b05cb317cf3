//! Signals as a source of the loop: SIGINT and SIGTERM end it, SIGUSR1 toggles the on-demand
//! observer.
//!
//! A handler may do almost nothing (signal-safety(7)), so it writes a byte into a socket pair. The
//! poller has the other end: no signal is missed between the last look and the call that sleeps.

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
    /// Makes SIGINT and SIGTERM begin an [orderly end](EventLoop::drain). A second one ends the
    /// process at once, with exit code 128 + its number. SIGUSR1 attaches or detaches the
    /// [on-demand observer](EventLoop::set_on_demand_observer).
    ///
    /// # Errors
    /// The system does not install the handlers: sigaction(2).
    pub fn handle_signals(&mut self) -> io::Result<()> {
        let is_second = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: a signal ends the process if one came before it.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&is_second))?;
            flag::register(signal, Arc::clone(&is_second))?;
        }
        let signals = Box::new(Signals::new([SIGINT, SIGTERM, SIGUSR1])?);
        self.sources.insert(SourceKind::Signals(signals), SourceId::Signals).map(drop)
    }

    /// Reads the signals that have come.
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
