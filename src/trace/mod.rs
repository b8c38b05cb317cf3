//! Tracing: the steps that the loop takes, and the observers that show them.
//!
//! A [`Step`] is described once: [`Step::doc`] names and explains it, [`Step::fields`] has its
//! values. The text trace, the recording, the stepper, the lessons and `docs/TRACE.md` are all made
//! from that. A service adds [its own steps](ServiceStep) beside its own code.
//!
//! Two layers share this folder. The steps and the [`Observer`] trait stand below the protocol
//! boundary and know nothing above them. The observers know the steps, and neither the loop nor any
//! service.

// Below the protocol boundary:
mod field;
mod loop_steps;
mod observer;
pub(crate) mod redact;
mod source_id;
mod step;
mod step_doc;

// Observers:
mod chrome;
pub mod glossary;
pub(crate) mod model;
mod narrator;
mod stepper;
#[cfg(test)]
mod testing;
mod text;

#[cfg(test)]
pub(crate) use self::testing::assert_described;
pub use self::{
    chrome::ChromeTrace,
    field::{Field, SourceList, Value},
    narrator::Narrator,
    observer::{Observer, Observers},
    source_id::{EventFlags, SourceId},
    step::{Effect, SendCall, ServiceStep, Step},
    step_doc::{StepDoc, TraceLevel},
    stepper::Stepper,
    text::TraceLine,
};
