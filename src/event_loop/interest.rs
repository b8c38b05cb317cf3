//! What the poller reports of a source: the loop's `rlist.append` and `wlist.append`.
//!
//! A source that the poller cannot report would wait forever, so it is closed.

use std::io;

use super::EventLoop;
use crate::{protocol::CloseReason, trace::Step};

impl EventLoop {
    /// Registers the source with the poller, unless it is registered. Closes the source if that
    /// fails.
    pub(super) fn register(&mut self, key: usize) {
        if let Err(e) = self.sources.register(key) {
            self.close_unpollable(key, &e);
        }
    }

    /// Starts or stops polling the source for writability. Closes the source if that fails.
    pub(super) fn arm(&mut self, key: usize, writable: bool) {
        let Some(id) = self.sources.get(key).map(|source| source.id) else { return };
        match self.sources.arm(key, writable) {
            Ok(false) => {}
            Ok(true) => self.observers.trace(id, || if writable { Step::Armed } else { Step::Disarmed }),
            Err(e) => self.close_unpollable(key, &e),
        }
    }

    /// Closes a source that the poller cannot report, and logs why, at most once a minute.
    fn close_unpollable(&mut self, key: usize, error: &io::Error) {
        if let Some(source) = self.sources.get(key)
            && self.timers.is_warning_due()
        {
            log::warn!("{}: cannot change the poller's interest: {error}; closing it", source.id);
        }
        self.close(key, CloseReason::Limit);
    }
}
