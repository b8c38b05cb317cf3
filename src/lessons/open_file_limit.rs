//! The open-file limit (RLIMIT_NOFILE), lowered for as long as a lesson needs that.
//!
//! The limit belongs to the process, so nothing else may open files meanwhile.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A limit that is lowered until this value is dropped.
pub struct LoweredLimit(Rlimit);

impl LoweredLimit {
    /// Lowers the limit until no further descriptor can be opened.
    ///
    /// # Errors
    /// Fails if no descriptor is free, or if the limit cannot be set.
    pub fn to_open_files() -> io::Result<LoweredLimit> {
        // A new descriptor gets the lowest free number, which must be below the limit.
        let probe = OwnedFd::from(std::fs::File::open("/")?);
        let before = getrlimit(Resource::Nofile);
        let current = u64::try_from(probe.as_raw_fd()).ok();
        setrlimit(Resource::Nofile, Rlimit { current, ..before })?;
        Ok(LoweredLimit(before))
    }
}

impl Drop for LoweredLimit {
    fn drop(&mut self) {
        let _ = setrlimit(Resource::Nofile, self.0);
    }
}
