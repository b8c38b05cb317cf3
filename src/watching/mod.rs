//! Watching the loop turn: what is told of its steps, and to whom.
//!
//! Everything here is an [`Observer`](crate::observer::Observer): it sees the steps that the loop takes and changes
//! nothing. One vocabulary ([`glossary`]) serves the narration, the lessons and the stepper.

mod escape;
pub mod glossary;
mod line;
mod model;
mod narrator;
mod recording;
mod stepper;

pub use self::{
    escape::{escaped, redacted},
    glossary::Level,
    line::{Line, span},
    model::{Model, Peer, State},
    narrator::{Narrator, who},
    recording::Recording,
    stepper::Stepper,
};
