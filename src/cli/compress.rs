//! The `compress` command: a progress bar on a terminal, and a summary.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use indicatif::{DecimalBytes, ProgressBar, ProgressStyle};
use oneloop::compress::{
    Coding, CompressionOptions, CompressionPlan, CompressionProgress, CompressionSummary,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::{
    args::{CompressArgs, compress::FormatArg},
    errors::{Failure, cannot_print, io_message, no_signals},
    logger::LogPipe,
    output,
};

/// What the progress bar shows.
const BAR: &str = "{bar:30} {percent:>3}% {eta:>4} left  {wide_msg}";

/// Writes the compressed variants of a directory's files.
///
/// # Errors
/// Fails if the directory cannot be read, or if some file could not be compressed.
pub fn run(args: CompressArgs, log: &LogPipe) -> Result<(), Failure> {
    let signal = catch_signals()?;
    // No loop copies the log's pipe here. A command may wait for the reader of its messages.
    if let Some(stderr) = log.blocking_stderr() {
        let _ = rustix::stdio::dup2_stderr(&*stderr);
    }
    let mut progress = CompressionBar { bar: ProgressBar::hidden(), signal, failures: 0 };
    let options = options(&args);
    let plan = CompressionPlan::new(&options, &mut progress).map_err(|e| {
        let (dir, why) = (args.dir.display(), io_message(&e));
        Failure::Usage(format!("cannot compress '{dir}': {why}; use a directory that can be read"))
    })?;
    let style = ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar());
    progress.bar = ProgressBar::new(plan.total_bytes()).with_style(style);
    let summary = plan.run(&mut progress);
    progress.bar.finish_and_clear();
    output::print(&in_words(&summary)).map_err(|e| cannot_print(&e))?;
    match (progress.signal.load(Ordering::Relaxed), progress.failures) {
        (0, 0) => Ok(()),
        (0, 1) => Err(Failure::System("1 file or directory was left out".into())),
        (0, count) => Err(Failure::System(format!("{count} files or directories were left out"))),
        (signal, _) => end_by(signal),
    }
}

/// Returns the options that the arguments give.
fn options(args: &CompressArgs) -> CompressionOptions {
    let mut options = CompressionOptions::new(&args.dir);
    options.hidden = args.hidden;
    options.follow_links = args.follow_links;
    if !args.format.is_empty() {
        options.codings.retain(|coding| args.format.iter().any(|format| coding_of(*format) == *coding));
    }
    options
}

fn coding_of(format: FormatArg) -> Coding {
    match format {
        FormatArg::Br => Coding::Brotli,
        FormatArg::Zst => Coding::Zstandard,
        FormatArg::Gz => Coding::Gzip,
    }
}

/// Catches the signals that end a program, so that it can remove its temporary file first. Returns
/// where the number of a signal that arrives is stored.
fn catch_signals() -> Result<Arc<AtomicUsize>, Failure> {
    let caught = Arc::new(AtomicUsize::new(0));
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        let number = signal.unsigned_abs() as usize;
        signal_hook::flag::register_usize(signal, Arc::clone(&caught), number).map_err(|e| no_signals(&e))?;
    }
    Ok(caught)
}

/// Ends the process as the signal would have.
fn end_by(signal: usize) -> Result<(), Failure> {
    let signal = i32::try_from(signal).unwrap_or(SIGTERM);
    signal_hook::low_level::emulate_default_handler(signal).map_err(|e| no_signals(&e))
}

/// Returns the summary as a line.
fn in_words(summary: &CompressionSummary) -> String {
    let mut parts = Vec::new();
    if summary.written > 0 {
        let sizes = Coding::ALL.iter().map(|coding| (coding.extension(), summary.variant_bytes(*coding)));
        let sizes = sizes.filter(|(_, bytes)| *bytes > 0);
        let sizes: Vec<String> =
            sizes.map(|(extension, bytes)| format!("{} as {extension}", DecimalBytes(bytes))).collect();
        let (files, bytes) = (files(summary.files), DecimalBytes(summary.bytes));
        parts.push(format!("compressed {files} of {bytes}: {}", sizes.join(", ")));
    } else {
        parts.push("nothing to compress".into());
    }
    let rest = [(summary.up_to_date, "up to date"), (summary.not_smaller, "would not shrink")];
    parts.extend(rest.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")));
    if summary.removed > 0 {
        parts.push(format!("{} old variants removed", summary.removed));
    }
    parts.join("; ") + "\n"
}

/// Returns a number of files in words.
fn files(count: usize) -> String {
    if count == 1 { "1 file".into() } else { format!("{count} files") }
}

/// The progress bar, and the signal that stops the run.
struct CompressionBar {
    bar: ProgressBar,
    /// The number of the signal that has arrived, or 0.
    signal: Arc<AtomicUsize>,
    failures: usize,
}

impl CompressionProgress for CompressionBar {
    fn on_file(&mut self, path: &str) {
        self.bar.set_message(path.escape_debug().to_string());
    }

    fn on_bytes(&mut self, n: u64) {
        self.bar.inc(n);
    }

    fn on_failure(&mut self, path: &str, error: &io::Error) {
        self.failures += 1;
        let line = format!("oneloop: cannot compress '{}': {}", path.escape_debug(), io_message(error));
        // It is not an error if nobody reads the messages.
        self.bar.suspend(|| writeln!(io::stderr(), "{line}").unwrap_or_default());
    }

    fn is_stopped(&self) -> bool {
        self.signal.load(Ordering::Relaxed) != 0
    }
}
