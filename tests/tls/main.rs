//! HTTPS: the real program, and clients over real sockets.
//! (`cargo test --features tls --test tls`)
//!
//! The clients use rustls as well, so that a test can split, delay or cut their bytes. `peers` has
//! clients that use OpenSSL.

mod certificates;
mod client;
mod handshake;
mod peers;
mod server;
mod skip;
mod transfer;

use std::time::Duration;

/// How long a test waits for an expected event before it fails.
const SOON: Duration = Duration::from_secs(20);
