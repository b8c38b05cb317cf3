//! The log on standard error: one line per record, dropped if the reader is too slow.
//!
//! Logging must never block the loop. The logger is `simple_logger`, which prints with `eprintln!`.
//! That macro blocks on a full pipe and panics on a failed write, so the logger never gets the real
//! standard error. Instead, descriptor 2 becomes a pipe inside this process. The logger writes to
//! this pipe only when poll(2) reports that a short line fits. The read end of the pipe is a source
//! of the loop, which copies the lines to the real standard error and never waits for its reader.

use std::{
    cell::RefCell,
    fs::File,
    io::{self, Write},
    os::fd::{AsFd, OwnedFd},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use log::{LevelFilter, Log, Metadata, Record};
use oneloop::{
    LossyWriter,
    event_loop::EventLoop,
    protocol::{Context, PrioritySource},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{OFlags, fcntl_setfl},
};
use simple_logger::SimpleLogger;

/// The maximum length of a message in bytes. A longer message is truncated. With its prefix, a
/// message fits into PIPE_BUF (4,096 bytes), and a writable pipe always has room for that many
/// bytes (pipe(7)).
const MAX_MESSAGE: usize = 3_000;

/// The read end of the log's pipe, and the real standard error.
pub struct LogPipe {
    shared: Rc<RefCell<Shared>>,
}

struct Shared {
    /// The read end of the pipe; `None` if standard error could not be replaced.
    reader: Option<Rc<OwnedFd>>,
    /// A writer to the real standard error; `None` if the process has none.
    writer: Option<LossyWriter>,
    /// The real standard error; `None` if the process has none, or it could not be replaced.
    stderr: Option<Arc<File>>,
    dropped: Arc<AtomicU64>,
    /// The number of dropped lines that have been reported.
    reported: u64,
}

impl LogPipe {
    /// Installs the logger. It logs warnings and errors, more with each `-v` and less with each
    /// `-q`.
    pub fn install(verbose: u8, quiet: u8) -> LogPipe {
        let level = match (verbose, quiet) {
            (0, 0) => LevelFilter::Warn,
            (1, 0) => LevelFilter::Info,
            (2, 0) => LevelFilter::Debug,
            (_, 0) => LevelFilter::Trace,
            (_, 1) => LevelFilter::Error,
            (_, _) => LevelFilter::Off,
        };
        match LogPipe::redirect(level) {
            Ok(pipe) => pipe,
            // Without a pipe there is no log, but the final error message is still printed.
            Err(_) => {
                let writer = io::stderr().as_fd().try_clone_to_owned().ok().map(LossyWriter::new);
                LogPipe::new(None, writer, None, Arc::default())
            }
        }
    }

    /// Replaces standard error with a pipe, and installs the logger that writes to the pipe.
    fn redirect(level: LevelFilter) -> io::Result<LogPipe> {
        let real = io::stderr().as_fd().try_clone_to_owned()?;
        let (reader, writer) = io::pipe().map(|(reader, writer)| (OwnedFd::from(reader), writer))?;
        fcntl_setfl(&reader, OFlags::NONBLOCK)?;
        let stderr = Arc::new(File::from(real.try_clone()?));
        let panic_output = Arc::clone(&stderr);
        rustix::stdio::dup2_stderr(&writer)?;
        // A panic ends the process before the loop can copy the message from the pipe, so print the
        // message directly.
        std::panic::set_hook(Box::new(move |panic| {
            let _ = writeln!(&*panic_output, "{panic}");
        }));
        let dropped = Arc::new(AtomicU64::new(0));
        let inner = SimpleLogger::new().with_level(level).with_utc_timestamps();
        let logger = PipeLogger { inner, dropped: Arc::clone(&dropped) };
        if log::set_boxed_logger(Box::new(logger)).is_ok() {
            log::set_max_level(level);
        }
        Ok(LogPipe::new(Some(reader), Some(LossyWriter::new(real)), Some(stderr), dropped))
    }

    fn new(
        reader: Option<OwnedFd>,
        writer: Option<LossyWriter>,
        stderr: Option<Arc<File>>,
        dropped: Arc<AtomicU64>,
    ) -> LogPipe {
        let shared = Shared { reader: reader.map(Rc::new), writer, stderr, dropped, reported: 0 };
        LogPipe { shared: Rc::new(RefCell::new(shared)) }
    }

    /// Adds the log's pipe to the server's loop.
    ///
    /// # Errors
    /// Fails if the pipe cannot be polled (epoll_ctl(2)).
    pub fn attach(&self, event_loop: &mut EventLoop) -> io::Result<()> {
        match &self.shared.borrow().reader {
            Some(reader) => event_loop.add_priority_source(
                "log",
                Rc::clone(reader),
                Box::new(Drain(Rc::clone(&self.shared))),
            ),
            None => Ok(()),
        }
    }

    /// Returns another writer to the real standard error.
    ///
    /// # Errors
    /// Fails if the process has no standard error, or no descriptor is available.
    pub fn standard_error(&self) -> io::Result<LossyWriter> {
        match &self.shared.borrow().writer {
            Some(writer) => writer.try_clone(),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Returns the real standard error as a file that waits for its reader. A server must not use
    /// it.
    pub fn blocking_stderr(&self) -> Option<Arc<File>> {
        self.shared.borrow().stderr.clone()
    }

    /// Copies the lines in the pipe to the real standard error.
    pub fn drain(&mut self) {
        self.shared.borrow_mut().drain();
    }

    /// Writes one line to the real standard error.
    pub fn write_line(&self, line: &str) {
        if let Some(writer) = &mut self.shared.borrow_mut().writer {
            writer.write(format!("{line}\n").as_bytes());
        }
    }
}

impl Shared {
    fn drain(&mut self) {
        let (Some(reader), Some(writer)) = (&self.reader, &mut self.writer) else { return };
        let mut buffer = [0; 4096];
        let mut lines = Vec::new();
        while let Ok(got @ 1..) = rustix::io::read(reader, &mut buffer) {
            lines.extend_from_slice(&buffer[..got]);
        }
        let dropped = self.dropped.load(Ordering::Relaxed);
        if dropped > self.reported {
            lines.extend_from_slice(format!("dropped {} log lines\n", dropped - self.reported).as_bytes());
            self.reported = dropped;
        }
        writer.write(&lines);
    }
}

/// The read end of the log's pipe, as a source of the loop.
struct Drain(Rc<RefCell<Shared>>);

impl PrioritySource for Drain {
    fn on_readable(&mut self, _cx: &mut Context<'_>) {
        self.0.borrow_mut().drain();
    }
}

/// A logger that passes a record to `simple_logger` if the line fits into the pipe. Logging never
/// blocks, and never fails because this process keeps the read end open.
struct PipeLogger {
    inner: SimpleLogger,
    dropped: Arc<AtomicU64>,
}

impl Log for PipeLogger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level() && self.inner.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let has_room = poll(&mut [PollFd::new(&io::stderr(), PollFlags::OUT)], Some(&now));
        if !has_room.is_ok_and(|ready| ready > 0) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let message = record.args().to_string();
        let message = cut(&message);
        let metadata = record.metadata().clone();
        self.inner.log(&Record::builder().args(format_args!("{message}")).metadata(metadata).build());
    }

    fn flush(&self) {}
}

/// Returns the beginning of `text`, at most [`MAX_MESSAGE`] bytes long, cut between characters.
fn cut(text: &str) -> &str {
    let end = (0..=MAX_MESSAGE.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_message_is_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        let long = "\u{fc}".repeat(MAX_MESSAGE);
        assert!(cut(&long).len() <= MAX_MESSAGE && long.starts_with(cut(&long)));
    }
}
