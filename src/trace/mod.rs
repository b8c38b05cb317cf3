//! Watching the loop turn: the steps that it takes, and the observers that show them.
//!
//! Everything here but [`step`] is an [`Observer`]: it sees the steps that the loop takes and changes nothing. One
//! vocabulary ([`glossary`]) serves the narration, the lessons and the stepper.

mod chrome;
pub mod glossary;
mod line;
mod model;
mod narrator;
mod observer;
mod redact;
mod step;
mod stepper;

pub use self::{
    chrome::ChromeTrace,
    glossary::TraceLevel,
    line::{TraceLine, span},
    model::{Activity, Model, SourceState},
    narrator::{Narrator, source_id},
    observer::{Observer, Observers},
    redact::{escaped, redacted},
    step::{EventFlags, SendCall, SourceId, Step},
    stepper::Stepper,
};
