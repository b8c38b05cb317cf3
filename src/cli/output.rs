//! Opens the files that the program writes, and prints to standard output.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
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
        Failure::Usage(format!("cannot log to '{path}': {why}; use a file that can be written"))
    })
}

/// Returns a duplicate of standard output, for the access log.
pub fn standard_output() -> Result<File, Failure> {
    let duplicate = io::stdout().as_fd().try_clone_to_owned();
    duplicate.map(File::from).map_err(|e| Failure::system("cannot log to standard output", &e))
}

/// Prints `text` to standard output. It is not an error if the reader has closed the pipe.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Creates or truncates the file for a recording.
pub fn trace_file(path: &Path) -> Result<File, Failure> {
    open(OpenOptions::new().write(true).truncate(true), path).map_err(|e| {
        let (path, why) = (path.display(), io_message(&e));
        Failure::Usage(format!(
            "cannot record to '{path}': {why}; use --trace-file with a file that can be written"
        ))
    })
}

/// Opens or creates a file for writing. Uses `O_NONBLOCK`, so that a FIFO without a reader does not
/// block startup (fifo(7)).
fn open(how: &mut OpenOptions, path: &Path) -> io::Result<File> {
    how.create(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32).open(path)
}
