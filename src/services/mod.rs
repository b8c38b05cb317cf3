//! The services: each one implements a protocol of the loop and joins it to what it serves.
//!
//! They own connection states and log entries. They must never do I/O of their own, nor know the
//! loop.

mod access_log;
mod echo;
mod http;

pub use access_log::{AccessLog, LogFormat};
pub use echo::Echo;
pub use http::{HttpService, Timeouts, UrlOptions, directory_path, file_path, steps as http_steps};

use crate::{site, trace::StepDoc};

/// Returns the descriptions of the steps that the services and the site add to a trace.
pub fn step_docs() -> Vec<&'static StepDoc> {
    [site::STEP_DOCS, http_steps::STEP_DOCS].concat()
}
