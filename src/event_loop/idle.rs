//! The idle connections, in the order in which the loop gives them up when it has no room for
//! another one.
//!
//! This module owns that order. It must never cost a busy connection more than one comparison, and
//! never give up a connection whose peer has sent a part of a message or waits for a response.

use std::time::{Duration, Instant};

use super::{EventLoop, key_queue::KeyQueue, source::SourceKind};
use crate::{clock::CompactInstant, connection::Idle, protocol::CloseReason};

/// The maximum number of entries that one search for an idle connection brings up to date.
const SEARCH_BUDGET: usize = 256;
/// How long a connection must have been idle before it is closed. The request of a new connection
/// is usually on its way, and the next request of a page follows soon.
const MIN_IDLE: Duration = Duration::from_secs(1);

/// The idle connections. An entry may be *earlier* than the time since which its connection has
/// been idle, and the connection may be busy again, because a request does not move its entry. The
/// search for a connection to close brings the first entries up to date.
#[derive(Default)]
pub struct IdleConnections {
    /// The connections that have received a response.
    kept: KeyQueue,
    /// The connections whose peer has sent nothing yet.
    silent: KeyQueue,
}

impl IdleConnections {
    /// Removes the connection with this key.
    pub fn remove(&mut self, key: usize) {
        self.kept.remove(key);
        self.silent.remove(key);
    }

    fn queue(&mut self, is_kept: bool) -> &mut KeyQueue {
        if is_kept { &mut self.kept } else { &mut self.silent }
    }

    /// Adds the connection with this key, or moves its entry. Returns whether the entry has
    /// changed.
    fn update(&mut self, key: usize, idle: Idle) -> bool {
        let (queue, other) = match idle.is_kept {
            true => (&mut self.kept, &mut self.silent),
            false => (&mut self.silent, &mut self.kept),
        };
        if queue.is_at(key, idle.since.into()) {
            return false;
        }
        other.remove(key);
        queue.put(key, idle.since.into());
        true
    }
}

/// The result of a search for a connection to close.
pub enum Search {
    /// This connection has been idle longest.
    Found(usize),
    /// No connection has been idle long enough. The time is when the first one will have been.
    NoneIdle(Option<Instant>),
    /// The search is not finished. The next turn continues it.
    Unfinished,
}

impl EventLoop {
    /// Records that a connection waits for input, and lets the listeners continue that are paused
    /// because no connection was idle.
    pub(super) fn note_idle(&mut self, key: usize) {
        // A busy connection ends each of its turns here.
        if self.idle.kept.contains(key) {
            return;
        }
        let Some(SourceKind::Connection(connection)) = self.sources.kind(key) else { return };
        if let Some(idle) = connection.idle() {
            self.idle.update(key, idle);
            // A listener that is paused for lack of descriptors waits for its own time.
            if self.sources.is_full(self.state.limits.max_connections) {
                self.resume_accept();
            }
        }
    }

    /// Returns the connection that has been idle longest, of those that `is_wanted` accepts. The
    /// kept ones come before the silent ones.
    pub(super) fn find_idle(&mut self, is_wanted: impl Fn(&EventLoop, usize) -> bool) -> Search {
        let mut unwanted = Vec::new();
        let result = self.search_idle(is_wanted, &mut unwanted);
        for (is_kept, time, key) in unwanted {
            self.idle.queue(is_kept).put(key, time);
        }
        result
    }

    /// Searches as [`EventLoop::find_idle`] does, and moves the entries that are not wanted to
    /// `unwanted`.
    fn search_idle(
        &mut self,
        is_wanted: impl Fn(&EventLoop, usize) -> bool,
        unwanted: &mut Vec<(bool, CompactInstant, usize)>,
    ) -> Search {
        let mut budget = SEARCH_BUDGET;
        let mut until: Option<Instant> = None;
        for is_kept in [true, false] {
            while let Some((time, key)) = self.idle.queue(is_kept).first() {
                if budget == 0 {
                    return Search::Unfinished;
                }
                budget -= 1;
                let idle = match self.sources.kind(key) {
                    Some(SourceKind::Connection(connection)) => connection.idle(),
                    _ => None,
                };
                match idle {
                    // It is added again when it waits for input again.
                    None => self.idle.remove(key),
                    Some(idle) if self.idle.update(key, idle) => {}
                    Some(idle) if idle.since + MIN_IDLE > self.timers.clock.now() => {
                        let at = idle.since + MIN_IDLE;
                        until = Some(until.map_or(at, |until| until.min(at)));
                        break;
                    }
                    Some(_) if !is_wanted(self, key) => {
                        self.idle.queue(is_kept).remove(key);
                        unwanted.push((is_kept, time, key));
                    }
                    Some(_) if self.has_input(key) => self.idle.remove(key),
                    Some(_) => return Search::Found(key),
                }
            }
        }
        Search::NoneIdle(until)
    }

    /// Returns whether a connection has input that the poller has not reported yet. Closing it
    /// would lose a request.
    fn has_input(&self, key: usize) -> bool {
        matches!(self.sources.kind(key), Some(SourceKind::Connection(connection)) if connection.has_input())
    }

    /// Closes an idle connection to make room for another one.
    pub(super) fn evict(&mut self, key: usize) {
        self.close(key, CloseReason::Evicted);
    }
}
