//! A prompt on a terminal, with a line editor and a history. It blocks until a line is complete.
//!
//! The terminal is in raw mode only while a line is edited. At all other times it is as the shell
//! has left it, so that Ctrl-C sends a signal while the loop runs.

mod line_editor;
mod raw_mode;

use std::{
    fs::File,
    io::{self, IsTerminal, Read, Write},
    os::fd::OwnedFd,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Signal, getpid, kill_process, kill_process_group},
    termios::{tcgetpgrp, tcgetwinsize},
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use self::{
    line_editor::{KeyEffect, LineEditor},
    raw_mode::{RawMode, TerminalMode},
};
use super::highlight::highlight_prompt;

/// The width of a terminal that does not know its own, in columns.
const DEFAULT_WIDTH: usize = 80;

const STOPPING: &str = "\na signal arrived: the loop handles it in its next turn (t); q quits\n";

/// A prompt on a terminal. It writes to standard output.
pub struct Prompt {
    /// Read byte by byte, because what lies in a buffer here does not wake the poller.
    terminal: File,
    mode: TerminalMode,
    editor: LineEditor,
    /// Whether the user sees what the editor draws.
    can_edit: bool,
    is_colored: bool,
}

/// How a wait for a typed byte has ended.
enum Typed {
    Byte(u8),
    /// A signal has arrived.
    Interrupted,
    End,
}

impl Prompt {
    /// Creates a prompt that reads from `terminal`. The signals of the terminal, and SIGTERM, end
    /// the process. `is_colored` says whether the prompt has colours.
    ///
    /// # Errors
    /// Fails if no file descriptor is available, or the signal handlers cannot be installed
    /// (sigaction(2)).
    pub fn new(terminal: OwnedFd, is_colored: bool) -> io::Result<Prompt> {
        Prompt::ending_by(&[SIGHUP, SIGINT, SIGQUIT, SIGTERM], terminal, is_colored)
    }

    /// Creates a prompt for a process that handles all other signals itself.
    pub(super) fn for_server(terminal: OwnedFd, is_colored: bool) -> io::Result<Prompt> {
        Prompt::ending_by(&[SIGQUIT], terminal, is_colored)
    }

    fn ending_by(signals: &[i32], terminal: OwnedFd, is_colored: bool) -> io::Result<Prompt> {
        let is_dumb = std::env::var_os("TERM").is_some_and(|name| name == "dumb");
        let can_edit = io::stdout().is_terminal() && !is_dumb;
        let terminal = File::from(terminal);
        let mode = TerminalMode::new(&terminal, signals)?;
        Ok(Prompt { terminal, mode, editor: LineEditor::new(), can_edit, is_colored })
    }

    /// Duplicates the descriptor of the terminal.
    pub(super) fn descriptor(&self) -> io::Result<OwnedFd> {
        self.terminal.try_clone().map(OwnedFd::from)
    }

    /// Shows `text` and reads a command, which the arrow keys bring back later. Returns `None` at
    /// the end of the input. Ctrl-C sends SIGINT to this process.
    pub fn read_command(&mut self, text: &str) -> Option<String> {
        let line = self.read_line(text, &|| false)?;
        self.remember(&line);
        Some(line)
    }

    /// Keeps a line for the arrow keys.
    pub(super) fn remember(&mut self, line: &str) {
        self.editor.remember(line.trim());
    }

    /// Shows `text` and reads a line. Returns `None` at the end of the input. If a signal makes
    /// `is_stopping` true, says so and goes on.
    pub(super) fn read_line(&mut self, text: &str, is_stopping: &dyn Fn() -> bool) -> Option<String> {
        // Once the loop has handled a signal, the next one exits at once. The terminal must then be
        // out of raw mode.
        if !self.can_edit || is_stopping() || self.is_pending() {
            return self.read_unedited(text);
        }
        let Some(mode) = self.mode.enter_raw() else { return self.read_unedited(text) };
        self.show_prompt(text);
        match self.edit(mode, text, is_stopping) {
            Ok(line) => line,
            Err(Stopping) => {
                show(STOPPING);
                self.editor.take_line();
                self.read_unedited(text)
            }
        }
    }

    /// Returns whether a line has been typed or the terminal has been closed.
    pub(super) fn is_pending(&self) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut fds = [PollFd::new(&self.terminal, PollFlags::IN)];
        poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
    }

    /// Waits for the next byte. Polls first, because a signal interrupts poll(2), but read(2) is
    /// restarted after a signal (signal(7)).
    fn next_byte(&mut self) -> Typed {
        let mut fds = [PollFd::new(&self.terminal, PollFlags::IN)];
        match poll(&mut fds, None) {
            Err(Errno::INTR) => return Typed::Interrupted,
            Err(_) => return Typed::End,
            Ok(_) => {}
        }
        let mut byte = [0];
        match self.terminal.read(&mut byte) {
            Ok(1) => Typed::Byte(byte[0]),
            _ => Typed::End,
        }
    }

    /// Reads a line that the terminal itself edits and shows.
    fn read_unedited(&mut self, text: &str) -> Option<String> {
        let was_typed_before = self.is_pending();
        self.show_prompt(text);
        let line = loop {
            match self.next_byte() {
                Typed::Byte(b'\n') => break Some(self.editor.take_line()),
                // The terminal does not know the arrow keys.
                Typed::Byte(byte) => {
                    self.editor.take_byte(byte);
                }
                Typed::Interrupted => {}
                Typed::End => break None,
            }
        };
        if line.is_none() || was_typed_before {
            // Show it here as well.
            show(line.as_deref().unwrap_or_default().trim_end());
            show("\n");
        }
        line
    }

    /// Reads bytes and edits the line until it is complete.
    fn edit(
        &mut self,
        mut mode: RawMode,
        text: &str,
        is_stopping: &dyn Fn() -> bool,
    ) -> Result<Option<String>, Stopping> {
        let row = InputRow::after(text, &self.terminal);
        loop {
            let byte = match self.next_byte() {
                Typed::Byte(byte) => byte,
                Typed::Interrupted if is_stopping() || mode.is_ending() => return Err(Stopping),
                Typed::Interrupted => {
                    if mode.renew() {
                        show("\r");
                        self.show_prompt(text);
                        row.draw(&self.editor);
                    }
                    continue;
                }
                Typed::End => return Ok(self.end()),
            };
            match self.editor.take_byte(byte) {
                KeyEffect::None => {}
                KeyEffect::Appended(c) => row.append(c, &self.editor),
                KeyEffect::Changed => row.draw(&self.editor),
                KeyEffect::Entered => {
                    show("\n");
                    return Ok(Some(self.editor.take_line()));
                }
                KeyEffect::Ended => return Ok(self.end()),
                KeyEffect::Signal(key) => {
                    // The signal may stop or end the process, so give the terminal back first.
                    drop(mode);
                    self.send_signal(key);
                    if is_stopping() {
                        return Err(Stopping);
                    }
                    let Some(again) = self.mode.enter_raw() else { return Ok(self.end()) };
                    mode = again;
                    show("\n");
                    self.show_prompt(text);
                    row.draw(&self.editor);
                }
            }
        }
    }

    fn show_prompt(&self, text: &str) {
        if self.is_colored { show(&highlight_prompt(text)) } else { show(text) }
    }

    /// Sends the signal that the terminal itself sends for this key, and to the same processes.
    fn send_signal(&self, key: u8) {
        let signal = match key {
            0x03 => Signal::INT,
            0x1a => Signal::TSTP,
            _ => Signal::QUIT,
        };
        let sent = tcgetpgrp(&self.terminal).and_then(|group| kill_process_group(group, signal));
        if sent.is_err() {
            // This cannot fail, because a process may always signal itself.
            let _ = kill_process(getpid(), signal);
        }
    }

    fn end(&mut self) -> Option<String> {
        show("\n");
        None
    }
}

/// A signal has asked the program to stop.
struct Stopping;

/// The place of the line on the screen: the rest of the row in which the prompt ends.
struct InputRow {
    /// The column in which the line begins.
    column: usize,
    /// The number of columns that it may take.
    room: usize,
}

impl InputRow {
    /// Returns the place after the prompt `text`, which is ASCII.
    fn after(text: &str, terminal: &File) -> InputRow {
        let width = tcgetwinsize(terminal).map_or(0, |size| usize::from(size.ws_col));
        let width = if width > 1 { width } else { DEFAULT_WIDTH };
        let column = text.len() % width;
        if column == 0 {
            // The cursor is still behind the last column. Move it to the next row.
            show(" \r");
        }
        // The cursor stands behind the line.
        InputRow { column, room: width - column - 1 }
    }

    /// Shows a character that has been added to the end of the line. Sends nothing else if the line
    /// still fits.
    fn append(&self, c: char, editor: &LineEditor) {
        if editor.view(usize::MAX).1 <= self.room {
            show(c.encode_utf8(&mut [0; 4]));
        } else {
            self.draw(editor);
        }
    }

    fn draw(&self, editor: &LineEditor) {
        let (text, cursor) = editor.view(self.room);
        let right = |columns: usize| if columns > 0 { format!("\x1b[{columns}C") } else { String::new() };
        show(&format!("\r{}{text}\x1b[K\r{}", right(self.column), right(self.column + cursor)));
    }
}

/// Writes to standard output. Ignores errors, so that the loop keeps running even if nothing reads
/// the output.
pub(super) fn show(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
