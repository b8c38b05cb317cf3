//! Orderly shutdown: stops accepting, finishes the responses in progress, and closes the remaining
//! connections at a deadline.

use std::{io, sync::Arc, time::Instant};

use super::{EventLoop, source::SourceKind};
use crate::{protocol::CloseReason, size::Size};
use mio::Waker;

/// A shutdown in progress.
#[derive(Debug, Clone, Copy)]
pub struct Shutdown {
    /// When the remaining connections are closed. `None` means that the loop waits without limit.
    pub deadline: Option<Instant>,
}

/// A handle that stops an event loop from any thread.
#[derive(Debug, Clone)]
pub struct Handle {
    waker: Arc<Waker>,
}

impl Handle {
    /// Makes the loop [drain](EventLoop::drain). Returns immediately, and may be called more than
    /// once.
    ///
    /// # Errors
    /// Fails if the loop cannot be woken (write(2) to an eventfd).
    pub fn stop(&self) -> io::Result<()> {
        self.waker.wake()
    }

    /// Returns a guard that calls [`Handle::stop`] when it is dropped, for example at the end of a
    /// test.
    pub fn stop_on_drop(&self) -> StopOnDrop {
        StopOnDrop(self.clone())
    }
}

/// A guard that stops an event loop when it is dropped.
#[derive(Debug)]
#[must_use = "to drop it stops the server"]
pub struct StopOnDrop(Handle);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        let _ = self.0.stop(); // a loop that no longer exists has stopped
    }
}

impl EventLoop {
    /// Returns a handle that another thread can use to stop this loop.
    ///
    /// # Errors
    /// Fails if the waker cannot be created (eventfd(2)).
    pub fn stop_handle(&mut self) -> io::Result<Handle> {
        self.sources.waker().map(|waker| Handle { waker })
    }

    /// Starts an orderly shutdown when the shutdown delay has passed. Until then, connections are
    /// accepted, and each closes after its next response.
    pub(super) fn drain_after_delay(&mut self) {
        let delay = self.state.limits.shutdown_delay;
        if delay.is_zero() {
            return self.drain();
        }
        if self.state.drain_at.is_none() && self.state.shutdown.is_none() {
            log::info!("shutting down in {delay:?}; accepting connections until then");
            self.state.drain_at = self.timers.clock.after(Some(delay));
        }
    }

    /// Returns when to call [`EventLoop::enforce_shutdown`], or `None` if never.
    pub(super) fn shutdown_wake_at(&self) -> Option<Instant> {
        match self.state.shutdown {
            Some(shutdown) => shutdown.deadline,
            None => self.state.drain_at,
        }
    }

    /// Starts an orderly shutdown: stops listening, closes idle connections, and lets the responses
    /// in progress finish until the drain timeout.
    pub fn drain(&mut self) {
        if self.state.shutdown.is_some() {
            return;
        }
        log::info!("shutting down; {} connections are open", self.sources.open_connections());
        self.report_answers();
        let deadline = self.timers.clock.after(self.state.limits.drain_timeout);
        self.state.shutdown = Some(Shutdown { deadline });
        self.state.requests.disruptions.end();
        for key in self.sources.keys(|kind| matches!(kind, SourceKind::Listener(_) | SourceKind::Udp(_))) {
            self.drain_backlog(key);
            self.close(key, CloseReason::Shutdown);
        }
        // The paused listeners have been closed, so their keys are stale.
        self.sources.take_paused();
        for key in self.sources.keys(|kind| matches!(kind, SourceKind::Connection(_))) {
            // Read once more: a request that has arrived is answered, even if the poller has not
            // reported it yet.
            if let Some(source) = self.sources.get_mut(key) {
                source.ready.readable = true;
                // A protocol that waits can finish early.
                source.ready.woken |= matches!(&source.kind, SourceKind::Connection(c) if c.is_postponed());
                self.sources.push_ready(key);
            }
        }
    }

    /// Logs what the shutdown waits for, and for how long. After Ctrl-C, a person waits as well, so
    /// this is a warning and says how to end now.
    fn report_answers(&mut self) {
        let is_answering = |kind: &SourceKind| matches!(kind, SourceKind::Connection(c) if c.is_answering());
        let keys = self.sources.keys(is_answering);
        let answers = keys.iter().filter_map(|key| match &self.sources.get(*key)?.kind {
            SourceKind::Connection(connection) => Some(&**connection),
            _ => None,
        });
        let Some(longest) = answers.clone().max_by_key(|connection| connection.unsent()) else { return };
        let left = Size(answers.map(|connection| connection.unsent()).sum());
        let what = match keys.len() {
            1 => format!("1 response ({}, {left} left)", longest.describe_answer("")),
            n => {
                let longest_left = Size(longest.unsent());
                format!("{n} responses ({left} left, {longest_left} of {})", longest.describe_answer("one "))
            }
        };
        let limit = self.state.limits.drain_timeout;
        let limit = limit.map(|limit| format!(" for at most {limit:?}")).unwrap_or_default();
        if self.state.signals.is_interrupted {
            log::warn!("waiting{limit} for {what}; press Ctrl-C again to end now");
        } else {
            log::info!("waiting{limit} for {what}");
        }
    }

    /// Accepts every connection in the backlog. Closing the listener would reset the connections
    /// left there.
    fn drain_backlog(&mut self, key: usize) {
        loop {
            let before = self.sources.connections();
            self.accept(key);
            if self.sources.connections() == before {
                break;
            }
        }
    }

    /// Returns whether the loop is draining and no connection is open.
    pub fn is_drained(&self) -> bool {
        self.state.shutdown.is_some() && self.sources.open_connections() == 0
    }

    /// Starts the shutdown once its delay has passed, and closes the remaining connections once the
    /// drain timeout has passed.
    pub(super) fn enforce_shutdown(&mut self) {
        let has_passed = self.shutdown_wake_at().is_some_and(|time| time <= self.timers.clock.now());
        if has_passed && self.state.shutdown.is_none() {
            self.drain();
        } else if has_passed {
            for key in self.sources.keys(|kind| matches!(kind, SourceKind::Connection(_))) {
                self.close(key, CloseReason::Shutdown);
            }
        }
    }
}
