//! Shared test code: sites in temporary directories, servers (the real binary, or a server in this
//! process whose turns the test runs), clients that send raw bytes, a strict response parser, and
//! assertions.
//!
//! No test depends on a sleep to pass. Reads block with a generous timeout, and [`eventually`]
//! polls a condition.

mod alias_fs;
mod assert;
mod client;
mod measure;
mod mount;
mod refusal;
mod response;
mod rig;
mod server;
mod site;
#[path = "../../../src/testing/skip.rs"]
mod skip;
mod talk;
mod terminal;
mod unprivileged;

use std::time::Duration;

pub use self::{
    alias_fs::{AliasFs, Node},
    assert::{Raw, allow_many_descriptors, each, eventually, lossy, masked_fact},
    client::{Client, get, uninterrupted},
    measure::assert_idle,
    mount::Mount,
    refusal::{After, assert_our_page, assert_refused},
    response::{Response, resolve_link},
    rig::{Rig, received},
    server::Server,
    site::{Site, pattern},
    skip::{leaves_out, skip, skip_for_kernel},
    talk::Talk,
    terminal::{PseudoTerminal, ServerOnTerminal},
    unprivileged::Unprivileged,
};

/// How long a test waits for an expected event before it fails.
pub const SOON: Duration = Duration::from_secs(20);

/// The longest that an operation may take if nothing delays it. A loaded machine needs far less. A
/// server that is starved, or that waits for a timeout of minutes, takes far longer.
pub const PROMPT: Duration = Duration::from_secs(5);
