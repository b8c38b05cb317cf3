//! The observers that the command line asks for: stepper, recording, narration.

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

/// Makes the stepper, if the arguments ask for one.
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

/// Attaches the observers to the loop.
pub fn attach(
    server: &mut HttpServer,
    udp_address: Option<SocketAddr>,
    trace: TraceArgs,
    stepper: Option<Stepper>,
    log: &LogPipe,
) -> Result<(), Failure> {
    if let Some(stepper) = stepper {
        // It stops the loop for as long as somebody looks, and shows what clients send.
        let is_local = |address: &&SocketAddr| address.ip().to_canonical().is_loopback();
        if let Some(wide) = server.addresses().iter().chain(&udp_address).find(|at| !is_local(at)) {
            let advice = "stepping works on loopback only; leave out --bind";
            return Err(Failure::Usage(format!("{wide} is reachable from other machines: {advice}")));
        }
        let cannot = |e: io::Error| Failure::system("cannot poll the terminal", &e);
        if let Some(terminal) = stepper.terminal().map_err(cannot)? {
            server.wake_on("terminal", terminal).map_err(cannot)?;
        }
        server.add_observer(Box::new(stepper));
    }
    if let Some(path) = &trace.trace_file {
        server.add_observer(Box::new(ChromeTrace::new(output::trace_file(path)?)));
    }
    // A process without a standard error has nowhere to trace to.
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
