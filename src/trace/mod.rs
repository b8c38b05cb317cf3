//! Tracing: the steps that the loop takes, and the observers that show them.
//!
//! Each [`Step`] is described once: [`Step::doc`] names and explains it, and [`Step::fields`]
//! returns its values. The text trace, the recording, the stepper, the lessons and `docs/TRACE.md`
//! are all generated from this description. A service describes [its own steps](ServiceStep) next
//! to its code.
//!
//! Two layers share this module. The steps and the [`Observer`] trait are below the protocol
//! boundary and know nothing of the code above it. The observers know the steps, but neither the
//! loop nor any service. Nothing here may ever change what the loop does.

// Steps, below the protocol boundary.
mod field;
mod loop_steps;
mod observer;
pub(crate) mod redact;
mod source_id;
mod step;
mod step_doc;

// Observers.
mod chrome;
pub mod glossary;
mod highlight;
pub(crate) mod model;
mod narrator;
mod place;
mod prompt;
mod replay;
mod sets;
pub(crate) mod stepper;
#[cfg(test)]
mod testing;
mod text;
mod turns;

#[cfg(test)]
pub(crate) use self::testing::assert_described;
pub use self::{
    chrome::ChromeTrace,
    field::{Field, SourceList, Value},
    highlight::highlight,
    narrator::Narrator,
    observer::{Observer, Observers, OpenConnection, TurnFeed},
    prompt::Prompt,
    replay::Replay,
    source_id::{EventFlags, SourceId},
    step::{Effect, PauseReason, SendCall, ServiceStep, Step},
    step_doc::{StepDoc, TraceLevel},
    stepper::Stepper,
    text::TraceLine,
    turns::{RecordedTurns, TurnRecorder},
};
