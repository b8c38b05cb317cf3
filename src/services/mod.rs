//! What is spoken on the sockets: each service joins a protocol to what it serves.

mod access_log;
mod echo;
mod http;

pub use access_log::{AccessLog, Format};
pub use echo::Echo;
pub use http::{Comforts, Http, Timeouts, directory_path, file_path};
