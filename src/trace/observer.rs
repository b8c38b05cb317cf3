//! Observers see the steps of the loop.
//!
//! An observer never changes what the loop does. With none attached a step costs one branch,
//! because the step is made only for observers.

use std::time::Duration;

use super::{source_id::SourceId, step::Step};

/// Sees the steps of the loop.
pub trait Observer {
    /// Sees one step of `source`. Steps come in the order in which they are taken.
    fn see(&mut self, source: SourceId, step: &Step);

    /// Called when the observer is detached: it sees no steps for now, and writes what it has
    /// gathered.
    fn detach(&mut self) {}

    /// Returns how long the observer has stopped the loop since the last call. That time does not
    /// count: no deadline passes meanwhile.
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
    /// The on-demand observer is the last of `attached`.
    is_on_demand_attached: bool,
}

impl Observers {
    /// Attaches `observer`.
    pub fn add(&mut self, observer: Box<dyn Observer>) {
        self.attached.insert(0, observer);
    }

    /// Sets the observer that [`Observers::toggle`] attaches and detaches.
    pub fn set_on_demand(&mut self, observer: Box<dyn Observer>) {
        self.on_demand = Some(observer);
    }

    /// Attaches the on-demand observer and returns it, or detaches it.
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
                self.on_demand.iter_mut().for_each(|observer| observer.detach());
                None
            }
            None => None,
        }
    }

    /// Returns whether no observer is attached. What a step gathers across several calls is
    /// gathered only for observers.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.attached.is_empty()
    }

    /// Makes a step of `source` and shows it to the observers. Without observers, `step` is not
    /// called.
    #[inline]
    pub fn trace(&mut self, source: SourceId, step: impl FnOnce() -> Step) {
        if !self.is_empty() {
            self.show(source, step);
        }
    }

    /// Out of line, so that the code that makes a step does not slow down a loop without observers.
    #[cold]
    #[inline(never)]
    fn show(&mut self, source: SourceId, step: impl FnOnce() -> Step) {
        let step = step();
        self.attached.iter_mut().for_each(|observer| observer.see(source, &step));
    }

    /// Returns how long observers have stopped the loop, see [`Observer::paused`].
    pub fn paused(&mut self) -> Duration {
        self.attached.iter_mut().map(|observer| observer.paused()).sum()
    }
}
