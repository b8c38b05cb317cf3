//! Creates and attaches the observers that the arguments select: the stepper, the recording and the
//! text trace.

use std::{
    fs,
    io::{self, IsTerminal},
    os::fd::AsFd,
};

use oneloop::{
    Address, HttpServer,
    event_loop::EventLoop,
    trace::{ChromeTrace, Narrator, Stepper, TraceLevel},
};

use super::{
    args::{TraceArgs, TraceLevelArg},
    color,
    errors::{Failure, io_message, no_signals},
    logger::LogPipe,
    output,
};

/// Creates the stepper, if the arguments select it.
pub fn stepper(trace: &TraceArgs) -> Result<Option<Stepper>, Failure> {
    let is_colored = color::is_wanted(io::stdout().is_terminal());
    if let Some(path) = &trace.step_script {
        let script = fs::read_to_string(path).map_err(|e| {
            let (path, why) = (path.display(), io_message(&e));
            Failure::Usage(format!("cannot read '{path}' for --step-script: {why}; use a file of commands"))
        })?;
        return Stepper::from_script(&script, is_colored).map(Some).map_err(|e| no_signals(&e));
    }
    if !trace.step {
        return Ok(None);
    }
    let advice = "--step needs a terminal on standard input; use --step-script FILE";
    let terminal = io::stdin().as_fd().try_clone_to_owned().ok().filter(|stdin| stdin.is_terminal());
    let terminal = terminal.ok_or_else(|| Failure::Usage(advice.into()))?;
    Stepper::from_terminal(terminal, is_colored).map(Some).map_err(|e| no_signals(&e))
}

/// Attaches the observers to the loop, which listens on `addresses`.
pub fn attach(
    event_loop: &mut EventLoop,
    addresses: &[Address],
    trace: TraceArgs,
    stepper: Option<Stepper>,
    log: &LogPipe,
) -> Result<(), Failure> {
    if let Some(stepper) = stepper {
        // The stepper stops the loop while the user thinks, and shows what clients send. So it must
        // not be used with clients on other machines.
        if let Some(wide) = addresses.iter().find(|address| !address.is_local()) {
            let advice = "stepping works on loopback only; leave out --bind";
            return Err(Failure::Usage(format!("{wide} is reachable from other machines: {advice}")));
        }
        let poll_failure = |e: io::Error| Failure::system("cannot poll the terminal", &e);
        if let Some(terminal) = stepper.terminal().map_err(poll_failure)? {
            event_loop.wake_on("terminal", terminal).map_err(poll_failure)?;
        }
        event_loop.add_observer(Box::new(stepper));
    }
    if let Some(path) = &trace.trace_file {
        event_loop.add_observer(Box::new(ChromeTrace::new(output::trace_file(path)?)));
    }
    // Without standard error, there is nowhere to write the text trace.
    let Ok(writer) = log.standard_error() else { return Ok(()) };
    let level = match trace.trace {
        Some(TraceLevelArg::Wakes) => TraceLevel::Wakes,
        Some(TraceLevelArg::Sets) => TraceLevel::Sets,
        Some(TraceLevelArg::Bytes) => TraceLevel::Bytes,
        Some(TraceLevelArg::Io) | None => TraceLevel::Io,
    };
    let narrator = Narrator::new(level, trace.trace_only, writer);
    event_loop.set_on_demand_observer(Box::new(narrator));
    if trace.trace.is_some() {
        event_loop.toggle_observer();
    }
    Ok(())
}

/// Lets the server print its statistics, if it keeps any, to standard error after SIGUSR2, and at
/// its end if `at_end` is true. Without standard error, there is nowhere to print them.
pub fn report_statistics(server: &mut HttpServer, at_end: bool, log: &LogPipe) {
    if server.keeps_statistics()
        && let Ok(writer) = log.standard_error()
    {
        server.report_statistics_to(writer, at_end);
    }
}
