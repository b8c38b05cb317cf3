//! The `replay` command, which steps through a recording.

use std::{
    fs,
    io::{self, BufRead, Write},
    path::{Path, PathBuf},
};

use clap::Args;
use oneloop::{internals::step_docs, trace::Replay};

use super::errors::{Failure, cannot_print, io_message};

const PROMPT: &str = "replay> ";

#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// A recording that --trace-file has made
    file: PathBuf,

    /// Read the commands from FILE
    #[arg(long, value_name = "FILE")]
    step_script: Option<PathBuf>,
}

/// Reads commands from standard input or a script, and prints what they answer.
///
/// # Errors
/// Fails if a file cannot be read, or is not a recording.
pub fn run(args: &ReplayArgs) -> Result<(), Failure> {
    let file = args.file.display();
    let mut replay =
        Replay::new(&read(&args.file, "use a recording that --trace-file has made")?, &step_docs())
            .map_err(|why| Failure::Usage(format!("cannot replay '{file}': {why}")))?;
    let script = args.step_script.as_deref().map(|path| read(path, "use a file of commands")).transpose()?;
    let is_scripted = script.is_some();
    let input: Box<dyn BufRead> = match script {
        Some(text) => Box::new(io::Cursor::new(text.into_bytes())),
        None => Box::new(io::stdin().lock()),
    };
    let mut out = io::stdout().lock();
    let mut say = |text: &str| out.write_all(text.as_bytes()).and_then(|()| out.flush());
    let result = say(&format!("{}\n{PROMPT}", replay.greeting())).and_then(|()| {
        for line in input.lines() {
            let Ok(line) = line else { break }; // no text: as at the end of the input
            if is_scripted {
                // As a terminal echoes it.
                say(&format!("{line}\n"))?;
            }
            let Some(answer) = replay.execute(&line) else { return Ok(()) };
            say(&format!("{answer}\n{PROMPT}"))?;
        }
        say("\n")
    });
    result.map_err(|e| cannot_print(&e))
}

fn read(path: &Path, advice: &str) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|e| {
        let (path, why) = (path.display(), io_message(&e));
        Failure::Usage(format!("cannot read '{path}': {why}; {advice}"))
    })
}
