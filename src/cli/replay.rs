//! The `replay` command, which steps through a recording, or shows it on a page.

use std::{
    fs,
    io::{self, BufRead, Write},
    path::{Path, PathBuf},
};

use clap::Args;
use oneloop::{
    internals::step_docs,
    trace::{RecordedTurns, Replay},
};

use super::{
    args::FREE_PORT,
    errors::{Failure, cannot_print, io_message},
    logger::LogPipe,
    observe,
};

const PROMPT: &str = "replay> ";

#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// A recording that --trace-file has made
    file: PathBuf,

    /// Read the commands from FILE
    #[arg(long, value_name = "FILE")]
    step_script: Option<PathBuf>,

    /// Show the recording on a page for this machine, on PORT or any free port; its URL is printed
    #[arg(long, value_name = "PORT", num_args = 0..=1, require_equals = true, default_missing_value = FREE_PORT)]
    #[arg(conflicts_with = "step_script")]
    observe: Option<u16>,
}

/// Reads commands from standard input or a script, and prints what they answer. With `--observe`,
/// serves the page of the recording instead.
///
/// # Errors
/// Fails if a file cannot be read or is not a recording, or if the page cannot be served.
pub fn run(args: &ReplayArgs, log: &LogPipe) -> Result<(), Failure> {
    let file = args.file.display();
    let text = read(&args.file, "use a recording that --trace-file has made")?;
    let refused = |why| Failure::Usage(format!("cannot replay '{file}': {why}"));
    if let Some(port) = args.observe {
        let turns = RecordedTurns::new(&file.to_string(), &text, &step_docs()).map_err(refused)?;
        drop(text);
        return observe::show(turns, port, log);
    }
    let mut replay = Replay::new(&text, &step_docs()).map_err(refused)?;
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
