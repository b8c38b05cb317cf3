//! Why a path gives no file.

use std::fmt;

use rustix::io::Errno;

/// Why the site does not give what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// Nothing servable is there: it is missing, leads out of the root, or is neither file nor
    /// directory.
    NotFound,
    /// The system denies access.
    Forbidden,
    /// Descriptors, memory or listing rows ran out: it may work in a moment.
    Busy,
    /// A directory with more entries than can be listed.
    TooLarge,
    /// The file system failed.
    Io(Errno),
}

/// The errors of open(2), openat2(2), fstat(2) and getdents(2).
impl From<Errno> for Error {
    fn from(errno: Errno) -> Error {
        match errno {
            // XDEV: leads out of the root. LOOP: links without end, or made up by the kernel. NXIO:
            // a socket.
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
