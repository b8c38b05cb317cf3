//! The errors that the site returns, and the one table that sorts the errors of system calls.
//!
//! An error must never turn into absence on its way: a file that could not be looked up may exist.
//! Only [`Error::NotFound`] may become a 404, a redirect, the page of a single-page application, a
//! missing row or a remembered absence.

use std::{cell::RefCell, collections::HashMap, fmt, time::Duration};

use rustix::io::Errno;

use crate::{
    clock::Clock,
    token_bucket::{Rate, TokenBucket},
};

/// How often a call that fails for a transient reason is made in all.
const TRIES: usize = 16;
/// How often errors with the same cause are logged.
const WARNINGS: Rate = Rate { burst: 1, interval: Duration::from_secs(60) };

/// The reason why the site cannot return a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// The path does not exist, leads out of the root, or is neither a file nor a directory.
    NotFound,
    /// The operating system denied access.
    Forbidden,
    /// File descriptors, memory or listing rows have run out, or each try was interrupted. A retry
    /// may soon succeed.
    Busy,
    /// The directory has more entries than a listing can hold, or than are searched for a name.
    TooLarge,
    /// The file system returned another error.
    Io(Errno),
}

/// Converts the errors of open(2), openat2(2), fstat(2), pread(2) and getdents(2).
impl From<Errno> for Error {
    fn from(errno: Errno) -> Error {
        match errno {
            // XDEV: the path leads out of the root. LOOP: a loop of links, or a link in /proc that
            // the kernel makes. NXIO: a socket or device. INVAL, ILSEQ: a name that this file
            // system cannot hold.
            Errno::NOENT
            | Errno::NOTDIR
            | Errno::XDEV
            | Errno::LOOP
            | Errno::NAMETOOLONG
            | Errno::NXIO
            | Errno::INVAL
            | Errno::ILSEQ => Error::NotFound,
            Errno::ACCESS | Errno::PERM => Error::Forbidden,
            Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS | Errno::BUSY => Error::Busy,
            // The name could not be checked.
            Errno::TOOBIG => Error::TooLarge,
            errno if is_transient(errno) => Error::Busy,
            errno => Error::Io(errno),
        }
    }
}

/// Returns whether the same call may succeed at once. INTR: a signal interrupted a network or FUSE
/// file system. STALE: the file was replaced on its server, so its path leads elsewhere by now.
/// AGAIN: a concurrent rename kept openat2(2) from a safe result.
fn is_transient(errno: Errno) -> bool {
    matches!(errno, Errno::INTR | Errno::STALE | Errno::AGAIN)
}

/// Repeats `call` while it fails for a transient reason, [`TRIES`] times at most.
///
/// # Errors
/// Returns the first lasting error, or the last transient one.
pub fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    for _ in 1..TRIES {
        match call() {
            Err(errno) if is_transient(errno) => {}
            result => return result,
        }
    }
    call()
}

/// The log of errors that file systems return: at most one line a minute and cause, because any
/// client can repeat a request.
#[derive(Debug, Default)]
pub struct ErrorLog {
    /// A bucket for each cause, of which there are only a few hundred.
    warnings: RefCell<HashMap<i32, TokenBucket>>,
}

impl ErrorLog {
    /// Converts the error of a system call on `path`. Logs it if the operator should know.
    pub fn convert(&self, errno: Errno, path: &[u8], clock: &Clock) -> Error {
        let error = Error::from(errno);
        if matches!(error, Error::Busy | Error::Io(_)) {
            let path = String::from_utf8_lossy(path);
            self.warn(format_args!("read '{}'", path.escape_debug()), errno, clock);
        }
        error
    }

    /// Logs that `what` failed with `errno`, unless this cause was logged less than a minute ago.
    pub fn warn(&self, what: fmt::Arguments<'_>, errno: Errno, clock: &Clock) {
        if self.is_due(errno, clock) {
            log::warn!("cannot {what}: {errno}; the next such error is logged in a minute at the earliest");
        }
    }

    /// Returns whether a line about `errno` may be logged now, and counts it as logged.
    pub fn is_due(&self, errno: Errno, clock: &Clock) -> bool {
        let mut warnings = self.warnings.borrow_mut();
        warnings.entry(errno.raw_os_error()).or_default().try_take(WARNINGS, clock.now())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NotFound => f.write_str("not found"),
            Error::Forbidden => f.write_str("access denied"),
            Error::Busy => f.write_str("out of descriptors, memory or rows"),
            Error::TooLarge => f.write_str("too many entries in the directory"),
            Error::Io(errno) => errno.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn errors_of_system_calls_keep_their_kind() {
        let table = [
            (Error::NotFound, vec![Errno::NOENT, Errno::NOTDIR, Errno::XDEV, Errno::LOOP, Errno::ILSEQ]),
            (Error::Forbidden, vec![Errno::ACCESS, Errno::PERM]),
            (Error::Busy, vec![Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::INTR, Errno::STALE]),
        ];
        for (kind, errnos) in table {
            errnos.into_iter().for_each(|errno| assert_eq!(Error::from(errno), kind, "{errno}"));
        }
        for errno in [Errno::IO, Errno::NOTCONN, Errno::TIMEDOUT, Errno::HOSTDOWN, Errno::NOSYS] {
            assert_eq!(Error::from(errno), Error::Io(errno));
        }
    }

    #[test]
    fn call_that_fails_for_a_moment_is_repeated_and_any_other_is_not() {
        let calls = |errors: &[Errno]| {
            let mut made = 0;
            let result = retry(|| {
                made += 1;
                errors.get(made - 1).map_or(Ok(()), |errno| Err(*errno))
            });
            (made, result)
        };
        assert_eq!(calls(&[]), (1, Ok(())));
        assert_eq!(calls(&[Errno::INTR, Errno::STALE, Errno::AGAIN]), (4, Ok(())));
        assert_eq!(calls(&[Errno::INTR, Errno::IO]), (2, Err(Errno::IO)));
        assert_eq!(calls(&[Errno::NOENT]), (1, Err(Errno::NOENT)));
        assert_eq!(calls(&[Errno::STALE; 99]), (TRIES, Err(Errno::STALE)), "not for ever");
    }

    #[test]
    fn errors_are_logged_once_a_minute_and_cause() {
        let (log, mut clock) = (ErrorLog::default(), Clock::frozen(SystemTime::UNIX_EPOCH));
        assert!(log.is_due(Errno::IO, &clock) && !log.is_due(Errno::IO, &clock));
        assert!(log.is_due(Errno::MFILE, &clock), "another cause");
        clock.advance(WARNINGS.interval);
        assert!(log.is_due(Errno::IO, &clock));
    }
}
