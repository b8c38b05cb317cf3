//! Which representation a request gets: content codings and media types, preconditions, ranges.

pub mod conditional;
pub mod encoding;
pub mod range;
