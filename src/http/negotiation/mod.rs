//! Decides which representation a request gets, by content coding, media type, preconditions and
//! ranges.

pub mod conditional;
pub mod encoding;
pub mod range;
