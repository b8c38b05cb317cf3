//! The [`Observer`] trait and the set of observers of one loop.
//!
//! An observer must never change what the loop does. A step is created only if an observer is
//! attached, so a step costs only one branch if there are no observers.

use std::time::Duration;

use super::{source_id::SourceId, step::Step};

/// An observer of the loop's steps.
pub trait Observer {
    /// Handles one step of `source`. The loop passes steps in the order in which they happen.
    fn on_step(&mut self, source: SourceId, step: &Step);

    /// Called when the observer is detached. The observer sees no more steps for now, and should
    /// write what it has buffered.
    fn on_detached(&mut self) {}

    /// Returns how long the observer has paused the loop since the last call. The clock does not
    /// count this time, so that no deadline passes during a pause.
    fn paused(&mut self) -> Duration {
        Duration::ZERO
    }
}

/// The observers of one loop.
#[derive(Default)]
pub struct Observers {
    attached: Vec<Box<dyn Observer>>,
    /// The on-demand observer while it is detached.
    on_demand: Option<Box<dyn Observer>>,
    /// Whether the on-demand observer is attached. If so, it is the last element of `attached`.
    is_on_demand_attached: bool,
}

impl Observers {
    /// Attaches `observer`.
    pub fn add(&mut self, observer: Box<dyn Observer>) {
        // Insert at the front, so that the on-demand observer stays last.
        self.attached.insert(0, observer);
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
    }

    /// Returns how long all observers together have paused the loop since the last call. See
    /// [`Observer::paused`].
    pub fn paused(&mut self) -> Duration {
        self.attached.iter_mut().map(|observer| observer.paused()).sum()
    }
}
