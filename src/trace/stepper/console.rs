//! The stepper's console, which reads commands from a terminal or a script, and writes to standard
//! output.

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

/// A reader of commands, one per line.
pub struct Console {
    input: CommandInput,
    /// Whether a signal has asked the server to stop. The loop handles the signal in its next turn.
    is_end_requested: Arc<AtomicBool>,
}

enum CommandInput {
    Terminal(BufReader<File>),
    Script(std::vec::IntoIter<String>),
}

impl Console {
    /// Creates a console that reads from `terminal`.
    ///
    /// # Errors
    /// Fails if the signal handlers cannot be installed (sigaction(2)).
    pub fn from_terminal(terminal: OwnedFd) -> io::Result<Console> {
        Console::new(CommandInput::Terminal(BufReader::new(File::from(terminal))))
    }

    /// Creates a console that reads the lines of `text`.
    ///
    /// # Errors
    /// Fails if the signal handlers cannot be installed (sigaction(2)).
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

    /// Returns whether a signal has asked the server to stop.
    pub fn is_end_requested(&self) -> bool {
        self.is_end_requested.load(Ordering::SeqCst)
    }

    /// Returns the descriptor that the loop must poll so that a typed line wakes it, or `None` for
    /// a script.
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
                // Echo the line, as a terminal would.
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

    /// Returns whether a line has been typed or the terminal has been closed.
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

/// Reads a typed line. Polls first, because a signal interrupts poll(2), but read(2) is restarted
/// after a signal (signal(7)).
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

/// Writes a line to standard output. Ignores errors, so that the loop keeps running even if nothing
/// reads the output.
pub fn say(line: &str) {
    show(&format!("{line}\n"));
}

fn show(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
