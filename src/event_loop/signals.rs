//! Signals as a source of the loop: SIGINT and SIGTERM stop the loop, SIGHUP asks for new log
//! files, SIGUSR1 toggles the on-demand observer, and SIGUSR2 asks for a report.
//!
//! A signal handler may do very little (signal-safety(7)), so it writes one byte to a socket pair.
//! The loop polls the other end, so no signal is lost between the last check and the poll.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2},
    flag,
};
use signal_hook_mio::v1_0::Signals;

use super::{
    EventLoop,
    source::{Source, SourceKind},
};
use crate::trace::{SourceId, Step};

/// Signals that arrive this soon after the first one express the same wish: a terminal sends Ctrl-C
/// to a whole process group, and npm or timeout(1) then pass it on.
const SAME_WISH: Duration = Duration::from_secs(1);

/// The state of the signals that stop the loop.
#[derive(Default)]
pub struct StopSignals {
    /// Whether the next signal exits the process. The signal handlers read this flag.
    exits: Arc<AtomicBool>,
    /// When to set the flag.
    exits_from: Option<Instant>,
    /// Whether a person pressed Ctrl-C (SIGINT).
    pub is_interrupted: bool,
    /// Whether SIGHUP has arrived.
    hung_up: bool,
    /// Whether SIGUSR2 has arrived.
    wants_report: bool,
}

impl StopSignals {
    /// Returns when to call [`StopSignals::update`], or `None` if never.
    pub fn wake_at(&self) -> Option<Instant> {
        self.exits_from
    }

    /// Lets further signals exit the process once a further one is a wish of its own.
    pub fn update(&mut self, now: Instant) {
        if self.exits_from.is_some_and(|from| from <= now) {
            self.exits_from = None;
            self.exits.store(true, Ordering::Relaxed);
        }
    }
}

impl EventLoop {
    /// Installs the signal handlers. SIGINT and SIGTERM [drain](EventLoop::drain) the loop, after
    /// the [delay](super::Limits::shutdown_delay). Another such signal, at least a second later,
    /// exits the process immediately, with exit code 128 plus the signal number. SIGHUP is reported
    /// by [`EventLoop::take_hangup`]. SIGUSR1 attaches or detaches the
    /// [on-demand observer](EventLoop::set_on_demand_observer). SIGUSR2 is reported by
    /// [`EventLoop::take_report_request`].
    ///
    /// # Errors
    /// Fails if the handlers cannot be installed (sigaction(2)).
    pub fn handle_signals(&mut self) -> io::Result<()> {
        for signal in [SIGINT, SIGTERM] {
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&self.state.signals.exits))?;
        }
        let signals = Box::new(Signals::new([SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2])?);
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
                SIGHUP => self.state.signals.hung_up = true,
                SIGUSR2 => self.state.signals.wants_report = true,
                _ => {
                    self.state.signals.is_interrupted |= number == SIGINT;
                    let from = self.timers.clock.now() + SAME_WISH;
                    self.state.signals.exits_from.get_or_insert(from);
                    self.drain_after_delay();
                }
            }
        }
    }

    /// Returns whether SIGHUP has arrived since the last call. The caller then reopens its files.
    pub fn take_hangup(&mut self) -> bool {
        std::mem::take(&mut self.state.signals.hung_up)
    }

    /// Returns whether SIGUSR2 has arrived since the last call. The caller then reports what it has
    /// counted.
    pub fn take_report_request(&mut self) -> bool {
        std::mem::take(&mut self.state.signals.wants_report)
    }
}
