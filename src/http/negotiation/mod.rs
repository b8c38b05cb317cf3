//! Decides which representation a request gets: content codings and media types, preconditions, and
//! ranges.

pub mod conditional;
pub mod encoding;
pub mod range;
