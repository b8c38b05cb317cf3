//! The `replay` command, which steps through a recording, or shows it on a page.

use std::{
    fs,
    io::{self, BufRead, IsTerminal, Write},
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use clap::Args;
use oneloop::{
    internals::step_docs,
    trace::{Prompt, RecordedTurns, Replay, highlight},
};

use super::{
    args::FREE_PORT,
    color,
    errors::{Failure, cannot_print, io_message, no_signals},
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
    let is_colored = color::is_wanted(io::stdout().is_terminal());
    let mut input = CommandSource::new(script.as_deref(), is_colored).map_err(|e| no_signals(&e))?;
    let mut talk = || -> io::Result<()> {
        say(&format!("{}\n", replay.greeting()))?;
        while let Some(line) = input.read_line()? {
            let Some(answer) = replay.execute(&line) else { break };
            let answer = if is_colored { highlight(&answer) } else { answer };
            say(&format!("{answer}\n"))?;
        }
        Ok(())
    };
    talk().map_err(|e| cannot_print(&e))
}

/// Writes to standard output. Fails if nothing reads it, because the commands may have no end.
fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush())
}

/// Where the commands come from.
enum CommandSource<'a> {
    Terminal(Box<Prompt>),
    Pipe(io::Lines<io::StdinLock<'static>>),
    Script(std::str::Lines<'a>),
}

impl CommandSource<'_> {
    fn new(script: Option<&str>, is_colored: bool) -> io::Result<CommandSource<'_>> {
        let is_terminal = || io::stdin().is_terminal() && io::stdout().is_terminal();
        let terminal = io::stdin().as_fd().try_clone_to_owned().ok().filter(|_| is_terminal());
        Ok(match (script, terminal) {
            (Some(text), _) => CommandSource::Script(text.lines()),
            (None, Some(terminal)) => CommandSource::Terminal(Box::new(Prompt::new(terminal, is_colored)?)),
            (None, None) => CommandSource::Pipe(io::stdin().lock().lines()),
        })
    }

    /// Shows the prompt and reads a line. Returns `None` at the end of the input.
    ///
    /// # Errors
    /// Fails if the prompt cannot be written.
    fn read_line(&mut self) -> io::Result<Option<String>> {
        if let CommandSource::Terminal(prompt) = self {
            return Ok(prompt.read_command(PROMPT));
        }
        say(PROMPT)?;
        let line = match self {
            CommandSource::Script(lines) => lines.next().map(str::to_owned),
            // What is not text ends the input.
            CommandSource::Pipe(lines) => lines.next().and_then(Result::ok),
            CommandSource::Terminal(_) => None,
        };
        match (&self, &line) {
            // As a terminal echoes it.
            (CommandSource::Script(_), Some(line)) => say(&format!("{line}\n"))?,
            (_, None) => say("\n")?,
            _ => {}
        }
        Ok(line)
    }
}

fn read(path: &Path, advice: &str) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|e| {
        let (path, why) = (path.display(), io_message(&e));
        Failure::Usage(format!("cannot read '{path}': {why}; {advice}"))
    })
}
