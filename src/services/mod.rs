//! What is spoken on the sockets: each service joins a protocol to what it serves.

mod access_log;
mod echo;
mod http;

pub use access_log::{AccessLog, LogFormat};
pub use echo::Echo;
pub use http::{HttpService, Timeouts, UrlOptions, directory_path, file_path};
