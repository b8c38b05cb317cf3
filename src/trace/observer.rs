//! The [`Observer`] trait and the set of observers of one loop.
//!
//! An observer must never change what the loop does. A step is created only if an observer is
//! attached, so a step costs only one branch if there are no observers.

use std::{os::fd::RawFd, time::Duration};

use super::{source_id::SourceId, step::Step};
use crate::address::Address;

/// An observer of the loop's steps.
pub trait Observer {
    /// Handles one step of `source`. The loop passes steps in the order in which they happen.
    fn on_step(&mut self, source: SourceId, step: &Step);

    /// Handles a connection that was open before the observer was attached. The loop calls this
    /// method only for an observer that [joins](Observers::join) a running loop.
    fn on_open_connection(&mut self, _connection: &OpenConnection<'_>) {}

    /// Returns whether the observer has seen enough. The loop asks at the end of each turn, and
    /// drops an observer that has.
    fn is_finished(&self) -> bool {
        false
    }

    /// Called when the observer is detached. The observer sees no more steps for now, and should
    /// write what it has buffered.
    fn on_detached(&mut self) {}

    /// Returns how long the observer has paused the loop since the last call. The clock does not
    /// count this time, so that no deadline passes during a pause.
    fn paused(&mut self) -> Duration {
        Duration::ZERO
    }
}

/// A connection that was open before an observer was attached.
pub struct OpenConnection<'a> {
    /// The identifier of the connection.
    pub source: SourceId,
    /// The descriptor of the socket.
    pub fd: RawFd,
    /// Returns the address of the peer, with a system call.
    pub peer: &'a dyn Fn() -> Address,
    /// Whether the connection is polled for writability.
    pub is_armed: bool,
    /// The number of bytes received and not yet parsed.
    pub unread: usize,
    /// The total number of bytes sent.
    pub sent: u64,
    /// The total number of bytes put into the outbox.
    pub of: u64,
    /// The step that reports the deadline of the connection.
    pub deadline: Step,
}

/// The turns of the loop, as a page that shows them live reads them.
///
/// The feed is its own observer, and attaches it only while a page is open. The turns and the
/// sources of the pages themselves are hidden.
pub trait TurnFeed {
    /// Counts a page as open, until [`TurnFeed::close_page`].
    fn open_page(&self);

    /// Counts a page as closed.
    fn close_page(&self);

    /// Hides a source, which serves a page.
    fn hide(&self, source: SourceId);

    /// Shows a connection that was hidden. Its client has this `User-Agent`.
    fn show(&self, source: SourceId, peer: &Address, user_agent: &[u8]);

    /// Forgets a source that was hidden and has closed.
    fn close(&self, source: SourceId);

    /// Returns the mark that connections with this `User-Agent` have in the turns, so that a page
    /// finds the connections of its own browser.
    fn mark_of(&self, user_agent: &[u8]) -> String;

    /// Starts a new period, and returns the observer to [join](Observers::join) the loop, unless it
    /// is attached already. The observer records a limited number of turns in each period.
    fn begin_period(&self) -> Option<Box<dyn Observer>>;

    /// Returns the state of the loop for a page that has just been opened, as JSON, and where its
    /// turns begin.
    fn state(&self) -> (String, u64);

    /// Returns the turns from number `from` on, as JSON, and the number that follows them. Returns
    /// at most about `max` bytes, and `None` if there are no such turns.
    fn turns(&self, from: u64, max: usize) -> Option<(String, u64)>;
}

/// The observers of one loop.
#[derive(Default)]
pub struct Observers {
    attached: Vec<Box<dyn Observer>>,
    /// The on-demand observer while it is detached.
    on_demand: Option<Box<dyn Observer>>,
    /// Whether the on-demand observer is attached. If so, it is the last element of `attached`.
    is_on_demand_attached: bool,
    /// The observers that the loop attaches at the end of the turn.
    joining: Vec<Box<dyn Observer>>,
}

impl Observers {
    /// Attaches `observer`.
    pub fn add(&mut self, observer: Box<dyn Observer>) {
        // Insert at the front, so that the on-demand observer stays last.
        self.attached.insert(0, observer);
    }

    /// Lets `observer` join the running loop at the end of the turn. It learns first which sockets
    /// are bound and which connections are open.
    pub fn join(&mut self, observer: Box<dyn Observer>) {
        self.joining.push(observer);
    }

    /// Removes and returns the observers that [join](Observers::join) the loop.
    pub(crate) fn take_joining(&mut self) -> Vec<Box<dyn Observer>> {
        std::mem::take(&mut self.joining)
    }

    /// Returns whether an observer joins the loop at the end of the turn.
    pub(crate) fn has_joining(&self) -> bool {
        !self.joining.is_empty()
    }

    /// Sets the observer that [`Observers::toggle`] attaches and detaches.
    pub fn set_on_demand(&mut self, observer: Box<dyn Observer>) {
        self.on_demand = Some(observer);
    }

    /// Attaches the on-demand observer and returns it, or detaches it if it is already attached.
    pub fn toggle(&mut self) -> Option<&mut dyn Observer> {
        match self.on_demand.take() {
            Some(observer) => {
                self.attached.push(observer);
                self.is_on_demand_attached = true;
                self.attached.last_mut().map(|observer| &mut **observer as &mut dyn Observer)
            }
            None if self.is_on_demand_attached => {
                self.on_demand = self.attached.pop();
                self.is_on_demand_attached = false;
                self.on_demand.iter_mut().for_each(|observer| observer.on_detached());
                None
            }
            None => None,
        }
    }

    /// Returns whether no observer is attached. Callers collect data for a step only if this is
    /// false.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.attached.is_empty()
    }

    /// Creates a step of `source` and passes it to the observers. Without observers, `step` is not
    /// called.
    #[inline]
    pub fn trace(&mut self, source: SourceId, step: impl FnOnce() -> Step) {
        if !self.is_empty() {
            self.show(source, step);
        }
    }

    /// Passes a step to the observers. This function is not inlined, so that code that creates
    /// steps does not slow down a loop without observers.
    #[cold]
    #[inline(never)]
    fn show(&mut self, source: SourceId, step: impl FnOnce() -> Step) {
        let step = step();
        self.attached.iter_mut().for_each(|observer| observer.on_step(source, &step));
        if matches!(step, Step::Waiting { .. }) {
            self.attached.retain(|observer| !observer.is_finished());
        }
    }

    /// Returns how long all observers together have paused the loop since the last call. See
    /// [`Observer::paused`].
    pub fn paused(&mut self) -> Duration {
        self.attached.iter_mut().map(|observer| observer.paused()).sum()
    }
}
