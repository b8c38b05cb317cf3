//! The console: reads commands from a terminal or a script, and writes to standard output.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Write},
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use signal_hook::consts::{SIGINT, SIGTERM};

/// Reads lines of commands.
pub struct Console {
    input: CommandInput,
    /// A signal has asked the server to end. The loop handles it in its next turn.
    is_end_requested: Arc<AtomicBool>,
}

enum CommandInput {
    Terminal(BufReader<File>),
    Script(std::vec::IntoIter<String>),
}

impl Console {
    /// Makes a console that reads from `terminal`.
    ///
    /// # Errors
    /// The signals cannot be handled: sigaction(2).
    pub fn from_terminal(terminal: OwnedFd) -> io::Result<Console> {
        Console::new(CommandInput::Terminal(BufReader::new(File::from(terminal))))
    }

    /// Makes a console that reads the lines of `text`.
    ///
    /// # Errors
    /// The signals cannot be handled: sigaction(2).
    pub fn from_script(text: &str) -> io::Result<Console> {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        Console::new(CommandInput::Script(lines.into_iter()))
    }

    fn new(input: CommandInput) -> io::Result<Console> {
        let is_end_requested = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, is_end_requested.clone())?;
        }
        Ok(Console { input, is_end_requested })
    }

    /// Returns whether a signal has asked the server to end.
    pub fn is_end_requested(&self) -> bool {
        self.is_end_requested.load(Ordering::SeqCst)
    }

    /// Returns a descriptor that must wake the loop when a line is typed. A script needs none.
    pub fn descriptor(&self) -> io::Result<Option<OwnedFd>> {
        match &self.input {
            CommandInput::Script(_) => Ok(None),
            CommandInput::Terminal(terminal) => terminal.get_ref().try_clone().map(|file| Some(file.into())),
        }
    }

    /// Shows `prompt` and reads a line. Returns `None` at the end of the input.
    pub fn read_line(&mut self, prompt: &str) -> Option<String> {
        let was_typed_before = self.is_pending();
        show(prompt);
        let line = match &mut self.input {
            CommandInput::Script(lines) => {
                // A terminal echoes by itself.
                let line = lines.next();
                say(line.as_deref().unwrap_or_default());
                return line;
            }
            CommandInput::Terminal(terminal) => read_typed_line(terminal, prompt, &self.is_end_requested),
        };
        if line.is_none() || was_typed_before {
            say(line.as_deref().unwrap_or_default().trim_end());
        }
        line
    }

    /// Returns whether a line was typed, or the terminal was closed.
    pub fn is_pending(&self) -> bool {
        match &self.input {
            CommandInput::Script(_) => false,
            CommandInput::Terminal(terminal) => {
                let now = Timespec { tv_sec: 0, tv_nsec: 0 };
                let mut fds = [PollFd::new(terminal.get_ref(), PollFlags::IN)];
                !terminal.buffer().is_empty() || poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
            }
        }
    }
}

/// Reads a typed line. Polls first, because a signal interrupts a poll and restarts a read.
fn read_typed_line(
    terminal: &mut BufReader<File>,
    prompt: &str,
    is_end_requested: &AtomicBool,
) -> Option<String> {
    let was_requested = is_end_requested.load(Ordering::SeqCst);
    while terminal.buffer().is_empty() {
        let mut fds = [PollFd::new(terminal.get_ref(), PollFlags::IN)];
        match poll(&mut fds, None) {
            Err(Errno::INTR) if is_end_requested.load(Ordering::SeqCst) && !was_requested => {
                say("\na signal arrived: the loop handles it in its next turn; Ctrl-C again exits at once");
                show(prompt);
            }
            Err(Errno::INTR) => {}
            Err(_) => return None,
            Ok(_) => break,
        }
    }
    let mut line = Vec::new();
    match terminal.read_until(b'\n', &mut line) {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(String::from_utf8_lossy(&line).into_owned()),
    }
}

/// Writes a line to standard output. Ignores errors, so that the loop runs on without a reader.
pub fn say(line: &str) {
    show(&format!("{line}\n"));
}

fn show(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
