//! What is spoken on the sockets: each service joins a protocol to what it serves.

mod access_log;
mod echo;
mod http;

pub use access_log::{AccessLog, LogFormat};
pub use echo::Echo;
pub use http::{HttpService, Timeouts, UrlOptions, directory_path, file_path, steps as http_steps};

use crate::{site, trace::StepDoc};

/// Returns the descriptions of the steps that services and the site add to a trace.
pub fn step_docs() -> Vec<&'static StepDoc> {
    [site::STEP_DOCS, http_steps::STEP_DOCS].concat()
}
