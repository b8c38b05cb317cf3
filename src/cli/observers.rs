//! Creates and attaches the observers that the arguments select: the stepper, the recording and the
//! text trace.

use std::{
    fs,
    io::{self, IsTerminal},
    net::SocketAddr,
    os::fd::AsFd,
};

use oneloop::{
    HttpServer,
    trace::{ChromeTrace, Narrator, Stepper, TraceLevel},
};

use super::{
    args::{TraceArgs, TraceLevelArg},
    errors::{Failure, io_message, no_signals},
    logger::LogPipe,
    output,
};

/// Creates the stepper, if the arguments select it.
pub fn stepper(trace: &TraceArgs) -> Result<Option<Stepper>, Failure> {
    if let Some(path) = &trace.step_script {
        let script = fs::read_to_string(path).map_err(|e| {
            let (path, why) = (path.display(), io_message(&e));
            Failure::Usage(format!("cannot read '{path}' for --step-script: {why}; use a file of commands"))
        })?;
        return Stepper::from_script(&script).map(Some).map_err(|e| no_signals(&e));
    }
    if !trace.step {
        return Ok(None);
    }
    let advice = "--step needs a terminal on standard input; use --step-script FILE";
    let terminal = io::stdin().as_fd().try_clone_to_owned().ok().filter(|stdin| stdin.is_terminal());
    let terminal = terminal.ok_or_else(|| Failure::Usage(advice.into()))?;
    Stepper::from_terminal(terminal).map(Some).map_err(|e| no_signals(&e))
}

/// Attaches the observers to the server's loop.
pub fn attach(
    server: &mut HttpServer,
    udp_address: Option<SocketAddr>,
    trace: TraceArgs,
    stepper: Option<Stepper>,
    log: &LogPipe,
) -> Result<(), Failure> {
    if let Some(stepper) = stepper {
        // The stepper stops the loop while the user thinks, and shows what clients send. So it must
        // not be used with clients on other machines.
        let is_local = |address: &&SocketAddr| address.ip().to_canonical().is_loopback();
        if let Some(wide) = server.addresses().iter().chain(&udp_address).find(|at| !is_local(at)) {
            let advice = "stepping works on loopback only; leave out --bind";
            return Err(Failure::Usage(format!("{wide} is reachable from other machines: {advice}")));
        }
        let poll_failure = |e: io::Error| Failure::system("cannot poll the terminal", &e);
        if let Some(terminal) = stepper.terminal().map_err(poll_failure)? {
            server.wake_on("terminal", terminal).map_err(poll_failure)?;
        }
        server.add_observer(Box::new(stepper));
    }
    if let Some(path) = &trace.trace_file {
        server.add_observer(Box::new(ChromeTrace::new(output::trace_file(path)?)));
    }
    // Without standard error, there is nowhere to write the text trace.
    let Ok(writer) = log.standard_error() else { return Ok(()) };
    let level = match trace.trace {
        Some(TraceLevelArg::Wakes) => TraceLevel::Wakes,
        Some(TraceLevelArg::Bytes) => TraceLevel::Bytes,
        Some(TraceLevelArg::Io) | None => TraceLevel::Io,
    };
    let narrator = Narrator::new(level, trace.trace_only, writer);
    server.set_on_demand_observer(Box::new(narrator), trace.trace.is_some());
    Ok(())
}
