//! Opens the files that the program writes, and prints to standard output.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::{fd::AsFd, unix::fs::OpenOptionsExt},
    path::Path,
};

use oneloop::duplicate_descriptor;

use super::{
    errors::{Failure, io_message},
    logger::LogPipe,
};

/// Returns the number of the descriptor that `path` names, such as 1 for `/dev/stdout`.
fn descriptor(path: &Path) -> Option<i32> {
    match path.to_str()? {
        "-" | "/dev/stdout" => Some(1),
        "/dev/stderr" => Some(2),
        path => ["/dev/fd/", "/proc/self/fd/"].iter().find_map(|dir| path.strip_prefix(dir))?.parse().ok(),
    }
}

/// Returns whether `path` names a descriptor that this process has inherited, not a file.
pub fn is_inherited(path: &Path) -> bool {
    descriptor(path).is_some()
}

/// Opens the access log for appending. `-` means standard output. A path such as `/dev/stdout`
/// means the descriptor itself, because a socket or a pipe of another user cannot be opened by its
/// path.
pub fn access_log(path: &Path, log: &LogPipe) -> Result<File, Failure> {
    let inherited = match descriptor(path) {
        Some(1) => return standard_output(),
        // Descriptor 2 is the log's pipe.
        Some(2) => log.blocking_stderr().and_then(|stderr| stderr.try_clone().ok()),
        Some(number) => duplicate_descriptor(number).ok().map(File::from),
        None => None,
    };
    if let Some(file) = inherited {
        return Ok(file);
    }
    open(OpenOptions::new().append(true), path).map_err(|e| {
        let (path, why) = (path.display(), io_message(&e));
        Failure::Usage(format!(
            "cannot log to '{path}': {why}; use --access-log with a file that can be written"
        ))
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
