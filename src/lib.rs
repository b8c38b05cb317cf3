//! oneloop: one thread, one poller, a directory over HTTP.

pub mod clock;
mod connection;
pub mod event_loop;
pub mod http;
pub mod observer;
pub mod protocol;
mod server;
pub mod services;
mod sink;
pub mod site;

pub use server::{HttpServer, Settings, StartError, plain, raise_descriptor_limit};
pub use services::Timeouts;
pub use sink::takes_more;
