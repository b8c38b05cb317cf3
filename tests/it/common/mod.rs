//! What the tests share: sites in temporary directories, servers (the real binary, or one in this
//! process whose turns the test takes), clients that speak raw bytes, a strict reader of responses,
//! and assertions.
//!
//! Nothing here sleeps to be right: reads block with a generous time limit, and [`eventually`]
//! polls a condition.

mod assert;
mod client;
mod measure;
mod refusal;
mod response;
mod rig;
mod server;
mod site;
#[path = "../../../src/testing/skip.rs"]
mod skip;
mod unprivileged;

use std::time::Duration;

pub use self::{
    assert::{Raw, allow_many_descriptors, each, eventually, lossy, masked_fact},
    client::{Client, get, uninterrupted},
    measure::assert_idle,
    refusal::{After, assert_our_page, assert_refused},
    response::Response,
    rig::{Rig, received},
    server::Server,
    site::{Site, pattern},
};

/// How long a test waits for what must happen before it fails.
pub const SOON: Duration = Duration::from_secs(20);

/// The most that anything may take that nothing holds up. It is far more than a loaded machine
/// needs, and far less than a server takes that is starved, or that waits for a time limit of
/// minutes.
pub const PROMPT: Duration = Duration::from_secs(5);
