//! The stepper's console, which reads commands from a terminal or a script, and writes to standard
//! output.

use std::{
    io,
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::trace::{
    highlight::{highlight, highlight_prompt},
    prompt::{Prompt, show},
};

/// A reader of commands, one per line.
pub struct Console {
    input: CommandInput,
    is_colored: bool,
    /// Whether a signal has asked the server to stop. The loop handles the signal in its next turn.
    is_end_requested: Arc<AtomicBool>,
}

enum CommandInput {
    Terminal(Box<Prompt>),
    Script(std::vec::IntoIter<String>),
}

impl Console {
    /// Creates a console that reads from `terminal`.
    ///
    /// # Errors
    /// Fails if the signal handlers cannot be installed (sigaction(2)).
    pub fn from_terminal(terminal: OwnedFd, is_colored: bool) -> io::Result<Console> {
        let prompt = Prompt::for_server(terminal, is_colored)?;
        Console::new(CommandInput::Terminal(Box::new(prompt)), is_colored)
    }

    /// Creates a console that reads the lines of `text`.
    ///
    /// # Errors
    /// Fails if the signal handlers cannot be installed (sigaction(2)).
    pub fn from_script(text: &str, is_colored: bool) -> io::Result<Console> {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        Console::new(CommandInput::Script(lines.into_iter()), is_colored)
    }

    fn new(input: CommandInput, is_colored: bool) -> io::Result<Console> {
        let is_end_requested = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, is_end_requested.clone())?;
        }
        Ok(Console { input, is_colored, is_end_requested })
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
            CommandInput::Terminal(prompt) => prompt.descriptor().map(Some),
        }
    }

    /// Shows `prompt` and reads a command, which the arrow keys bring back later. Returns `None` at
    /// the end of the input.
    pub fn read_command(&mut self, prompt: &str) -> Option<String> {
        let line = self.read_line(prompt)?;
        if let CommandInput::Terminal(prompt) = &mut self.input {
            prompt.remember(&line);
        }
        Some(line)
    }

    /// Shows `prompt` and reads a line. Returns `None` at the end of the input.
    pub fn read_line(&mut self, prompt: &str) -> Option<String> {
        let is_end_requested = &self.is_end_requested;
        match &mut self.input {
            CommandInput::Script(lines) => {
                let line = lines.next();
                // Echo the line, as a terminal would.
                let prompt = if self.is_colored { highlight_prompt(prompt) } else { prompt.into() };
                show(&format!("{prompt}{}\n", line.as_deref().unwrap_or_default()));
                line
            }
            CommandInput::Terminal(terminal) => {
                terminal.read_line(prompt, &|| is_end_requested.load(Ordering::SeqCst))
            }
        }
    }

    /// Returns whether a line has been typed or the terminal has been closed.
    pub fn is_pending(&self) -> bool {
        match &self.input {
            CommandInput::Script(_) => false,
            CommandInput::Terminal(prompt) => prompt.is_pending(),
        }
    }

    /// Writes lines to standard output.
    pub fn say(&self, lines: &str) {
        let lines = if self.is_colored { highlight(lines) } else { lines.into() };
        show(&format!("{lines}\n"));
    }
}
