//! The trace and the stepper.

use std::path::PathBuf;

use clap::{Args, ValueEnum, builder::BoolishValueParser};
use oneloop::trace::SourceId;

/// The level of the trace, if none is given.
pub const DEFAULT_LEVEL: &str = "io";

/// The port of the live page, if none is given.
pub const FREE_PORT: &str = "0";

#[derive(Debug, Clone, Args)]
pub struct TraceArgs {
    /// Trace the loop to standard error, one line per step [default level: io]; SIGUSR1 turns it on
    /// or off
    #[arg(long, value_name = "LEVEL", value_enum, num_args = 0..=1, require_equals = true, default_missing_value = DEFAULT_LEVEL)]
    #[arg(env = "ONELOOP_TRACE", hide_env = true)]
    pub trace: Option<TraceLevelArg>,

    /// Show the loop live on a page for this machine, on PORT or any free port; its URL is printed
    #[arg(long, value_name = "PORT", num_args = 0..=1, require_equals = true, default_missing_value = FREE_PORT)]
    #[arg(env = "ONELOOP_OBSERVE", hide_env = true)]
    pub observe: Option<u16>,

    /// Trace only these sources, such as c3 (connection 3), L1 (listener 1), u1 (UDP socket 1) or
    /// loop; repeatable
    #[arg(long, value_name = "SOURCE", value_delimiter = ',')]
    #[arg(env = "ONELOOP_TRACE_ONLY", hide_env = true)]
    pub trace_only: Vec<SourceId>,

    /// Record the loop to FILE for ui.perfetto.dev; FILE is overwritten
    #[arg(long, value_name = "FILE", env = "ONELOOP_TRACE_FILE", hide_env = true)]
    pub trace_file: Option<PathBuf>,

    /// Stop at every wake-up and prompt for a command (loopback only)
    #[arg(long, value_parser = BoolishValueParser::new(), env = "ONELOOP_STEP", hide_env = true)]
    pub step: bool,

    /// Like --step, but read the commands from FILE
    #[arg(long, value_name = "FILE", env = "ONELOOP_STEP_SCRIPT", hide_env = true)]
    pub step_script: Option<PathBuf>,
}

impl TraceArgs {
    /// Returns whether the loop is observed from the start.
    pub fn has_observer(&self) -> bool {
        self.trace.is_some()
            || self.observe.is_some()
            || self.trace_file.is_some()
            || self.step
            || self.step_script.is_some()
    }
}

/// How much of the loop is traced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TraceLevelArg {
    /// Wake-ups, and connections that open and close
    Wakes,
    /// The above, plus the sets of each poll, as select() has them
    Sets,
    /// The above, plus every system call and decision
    Io,
    /// The above, plus the first bytes of input and output
    Bytes,
}
