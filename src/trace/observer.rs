//! Observers: who sees the steps of the loop.
//!
//! An observer sees; it never changes what the loop does. With none attached a step costs one branch, because its
//! details are gathered only when somebody sees them.

use std::time::Duration;

use super::step::{SourceId, Step};

/// Somebody who watches the loop turn.
pub trait Observer {
    /// Sees one step, in the order in which they are taken.
    fn see(&mut self, id: SourceId, step: &Step);

    /// It is sent away, and sees no more for now: what it has gathered is to be told.
    fn detach(&mut self) {}

    /// How long the loop has stood still since this was last asked, because a person looked at it: time that does not
    /// count, so that no deadline passes meanwhile.
    fn paused(&mut self) -> Duration {
        Duration::ZERO
    }
}

/// The loop's side of watching.
#[derive(Default)]
pub struct Observers {
    observers: Vec<Box<dyn Observer>>,
    /// Watches when somebody asks for it: see [`Observers::toggle`].
    on_demand: Option<Box<dyn Observer>>,
    /// It is the last of `observers` now.
    is_demanded: bool,
}

impl Observers {
    /// From now on `observer` sees every step.
    pub fn add(&mut self, observer: Box<dyn Observer>) {
        self.observers.insert(0, observer);
    }

    /// `observer` is the one whom [`Observers::toggle`] calls and sends away.
    pub fn set_on_demand(&mut self, observer: Box<dyn Observer>) {
        self.on_demand = Some(observer);
    }

    /// Calls the observer that was kept for this, and returns it; or sends it away.
    pub fn toggle(&mut self) -> Option<&mut dyn Observer> {
        match self.on_demand.take() {
            Some(observer) => {
                self.observers.push(observer);
                self.is_demanded = true;
                self.observers.last_mut().map(|observer| &mut **observer as &mut dyn Observer)
            }
            None if self.is_demanded => {
                self.on_demand = self.observers.pop();
                self.is_demanded = false;
                self.on_demand.iter_mut().for_each(|observer| observer.detach());
                None
            }
            None => None,
        }
    }

    /// Returns whether nobody observes: what is gathered for a step across several calls is gathered only for observers.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.observers.is_empty()
    }

    /// Tells whoever watches of the step that `facts` describes.
    #[inline]
    pub fn trace(&mut self, id: SourceId, step: impl FnOnce() -> Step) {
        if !self.is_empty() {
            self.emit(id, step);
        }
    }

    /// Out of line, so that what is gathered for those who watch does not stand in the way of the others.
    #[cold]
    #[inline(never)]
    fn emit(&mut self, id: SourceId, step: impl FnOnce() -> Step) {
        let step = step();
        self.observers.iter_mut().for_each(|observer| observer.see(id, &step));
    }

    /// How long the loop has stood still: see [`Observer::held`].
    pub fn paused(&mut self) -> Duration {
        self.observers.iter_mut().map(|observer| observer.paused()).sum()
    }
}
