//! Opens the files that the program writes.

use std::{
    fs::{File, OpenOptions},
    io,
    os::{fd::AsFd, unix::fs::OpenOptionsExt},
    path::Path,
};

use super::errors::{Failure, io_message};

/// Opens the access log for appending. `-` means standard output.
pub fn access_log(path: &Path) -> Result<File, Failure> {
    if path == Path::new("-") {
        return standard_output();
    }
    open(OpenOptions::new().append(true), path).map_err(|e| {
        let (path, why) = (path.display(), io_message(&e));
        Failure::Usage(format!("cannot log to '{path}': {why}; name a file that can be written"))
    })
}

/// Returns a duplicate of standard output, for the access log.
pub fn standard_output() -> Result<File, Failure> {
    let duplicate = io::stdout().as_fd().try_clone_to_owned();
    duplicate.map(File::from).map_err(|e| Failure::system("cannot log to standard output", &e))
}

/// Creates or truncates the file for a recording.
pub fn trace_file(path: &Path) -> Result<File, Failure> {
    open(OpenOptions::new().write(true).truncate(true), path).map_err(|e| {
        let (path, why) = (path.display(), io_message(&e));
        Failure::Usage(format!(
            "cannot record to '{path}': {why}; give --trace-file a file that can be written"
        ))
    })
}

/// Opens or creates a file for writing. Uses `O_NONBLOCK`, so that a FIFO without a reader does not
/// block startup (fifo(7)).
fn open(how: &mut OpenOptions, path: &Path) -> io::Result<File> {
    how.create(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32).open(path)
}
