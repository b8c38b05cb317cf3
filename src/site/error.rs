//! The errors that the site returns, and the conversion from system errors.

use std::fmt;

use rustix::io::Errno;

/// The reason why the site cannot return a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// The path does not exist, leads out of the root, or is neither a file nor a directory.
    NotFound,
    /// The operating system denied access.
    Forbidden,
    /// File descriptors, memory or listing rows have run out. A retry may soon succeed.
    Busy,
    /// The directory has more entries than a listing can hold.
    TooLarge,
    /// The file system returned another error.
    Io(Errno),
}

/// Converts the errors of open(2), openat2(2), fstat(2) and getdents(2).
impl From<Errno> for Error {
    fn from(errno: Errno) -> Error {
        match errno {
            // XDEV: the path leads out of the root. LOOP: a loop of links, or a link in /proc that
            // the kernel makes. NXIO: a socket.
            Errno::NOENT
            | Errno::NOTDIR
            | Errno::XDEV
            | Errno::LOOP
            | Errno::NAMETOOLONG
            | Errno::NXIO
            | Errno::INVAL => Error::NotFound,
            Errno::ACCESS | Errno::PERM => Error::Forbidden,
            Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN => Error::Busy,
            errno => Error::Io(errno),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NotFound => f.write_str("not found"),
            Error::Forbidden => f.write_str("access denied"),
            Error::Busy => f.write_str("out of descriptors, memory or rows"),
            Error::TooLarge => f.write_str("too many entries to list"),
            Error::Io(errno) => errno.fmt(f),
        }
    }
}

impl std::error::Error for Error {}
