//! Diagnostics for operators, on standard error: a line each, dropped where nobody takes it.

use std::{io, os::fd::AsFd, sync::Mutex, time::SystemTime};

use log::{LevelFilter, Log, Metadata, Record};
use oneloop::Sink;

/// Logs warnings and errors; more with each `-v`, less with each `-q`.
pub fn begin(verbose: u8, quiet: u8) {
    let level = match (verbose, quiet) {
        (0, 0) => LevelFilter::Warn,
        (1, 0) => LevelFilter::Info,
        (2, 0) => LevelFilter::Debug,
        (_, 0) => LevelFilter::Trace,
        (_, 1) => LevelFilter::Error,
        (_, _) => LevelFilter::Off,
    };
    // A process without a standard error has nobody to tell.
    let Ok(stderr) = io::stderr().as_fd().try_clone_to_owned() else { return };
    // Fails only where a logger was set before.
    if log::set_boxed_logger(Box::new(Diagnostics(Mutex::new(Sink::new(stderr))))).is_ok() {
        log::set_max_level(level);
    }
}

/// The mutex is there because a logger must be `Sync`; nobody else ever holds it.
struct Diagnostics(Mutex<Sink>);

impl Log for Diagnostics {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata())
            && let Ok(mut sink) = self.0.lock()
        {
            let time = humantime::format_rfc3339_millis(SystemTime::now());
            sink.write(
                format!("{time} {:<5} [{}] {}\n", record.level(), record.target(), record.args()).as_bytes(),
            );
        }
    }

    fn flush(&self) {}
}
