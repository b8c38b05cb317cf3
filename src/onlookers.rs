//! Those who watch the loop, as the command line asks for them.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, IsTerminal},
    os::fd::AsFd,
    path::Path,
};

use oneloop::{
    HttpServer, Sink, StartError, is_local, plain,
    watching::{Level, Narrator, Recording, Stepper},
};

use crate::{
    cli::{TraceLevel, Watching},
    no_signals, open,
};

/// Who steps the loop, if anybody does.
pub fn stepper(watching: &Watching) -> Result<Option<Stepper>, StartError> {
    if let Some(path) = &watching.step_script {
        let script = fs::read_to_string(path).map_err(|e| {
            let (path, why) = (path.display(), plain(&e));
            StartError::Mistake(format!(
                "cannot read '{path}' for --step-script: {why}; name a file of commands"
            ))
        })?;
        return Stepper::by(&script).map(Some).map_err(|e| no_signals(&e));
    }
    if !watching.step {
        return Ok(None);
    }
    let advice = "--step asks at a terminal, and standard input is none; try --step-script FILE";
    let terminal = io::stdin().as_fd().try_clone_to_owned().ok().filter(|stdin| stdin.is_terminal());
    let terminal = terminal.ok_or_else(|| StartError::Mistake(advice.into()))?;
    Stepper::at(terminal).map(Some).map_err(|e| no_signals(&e))
}

/// Puts those on the loop who watch it.
pub fn attend(
    server: &mut HttpServer,
    watching: Watching,
    stepper: Option<Stepper>,
) -> Result<(), StartError> {
    if let Some(stepper) = stepper {
        // It stands still for as long as somebody looks, and shows what peers send.
        if let Some(wide) = server.addresses().iter().chain(&server.udp_address()).find(|at| !is_local(at)) {
            let advice = "only what this machine alone can reach is stepped; leave out --bind";
            return Err(StartError::Mistake(format!("{wide} is open to others: {advice}")));
        }
        let cannot = |e: io::Error| StartError::System(format!("cannot poll the terminal: {}", plain(&e)));
        if let Some(terminal) = stepper.terminal().map_err(cannot)? {
            server.wake_by(terminal).map_err(cannot)?;
        }
        server.watch(Box::new(stepper));
    }
    if let Some(path) = &watching.trace_file {
        server.watch(Box::new(Recording::new(record_to(path)?)));
    }
    // A process without a standard error has nobody to tell.
    let Ok(stderr) = io::stderr().as_fd().try_clone_to_owned() else { return Ok(()) };
    let level = match watching.trace {
        Some(TraceLevel::Wakes) => Level::Wakes,
        Some(TraceLevel::Bytes) => Level::Bytes,
        Some(TraceLevel::Io) | None => Level::Io,
    };
    let narrator = Narrator::new(level, watching.trace_only, Sink::new(stderr));
    server.watch_on_demand(Box::new(narrator), watching.trace.is_some());
    Ok(())
}

fn record_to(path: &Path) -> Result<File, StartError> {
    open(OpenOptions::new().write(true).truncate(true), path).map_err(|e| {
        let (path, why) = (path.display(), plain(&e));
        StartError::Mistake(format!(
            "cannot record to '{path}': {why}; give --trace-file a file that can be written"
        ))
    })
}
