//! Helpers for tests.

mod datagrams;
mod shared_output;
mod skip;

use std::path::PathBuf;

use tempfile::TempDir;

pub use self::{
    datagrams::DatagramHarness,
    shared_output::SharedOutput,
    skip::{leaves_out, skip, skip_for_kernel},
};

/// Returns a temporary directory on each file system that tests can use here, the default one
/// first. Some file systems have no reliable inotify events (overlayfs), and others keep every file
/// in memory (tmpfs).
pub fn dirs() -> impl Iterator<Item = TempDir> {
    let places = [std::env::temp_dir(), PathBuf::from("target"), "/var/tmp".into(), "/dev/shm".into()];
    places.into_iter().filter_map(|place| tempfile::tempdir_in(place).ok())
}
