//! Diagnostics for operators, on standard error.

use std::io;

use log::{LevelFilter, Log, Metadata, Record};
use oneloop::takes_more;
use simple_logger::SimpleLogger;

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
    log::set_max_level(level);
    // Fails only where a logger was set before.
    let _ =
        log::set_boxed_logger(Box::new(Patient(SimpleLogger::new().with_level(level).with_utc_timestamps())));
}

/// Drops what nobody takes: a stalled or closed standard error must not stop the server.
struct Patient(SimpleLogger);

impl Log for Patient {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if takes_more(io::stderr()) {
            self.0.log(record);
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}
