//! Where the commands come from: a person at a terminal, or a script. And what is said to them.

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

/// Lines of commands.
pub struct Console {
    source: CommandSource,
    /// A signal has asked for the end. The loop heeds it once it turns.
    is_asked_to_end: Arc<AtomicBool>,
}

enum CommandSource {
    Terminal(BufReader<File>),
    Script(std::vec::IntoIter<String>),
}

impl Console {
    /// # Errors
    /// The system does not give the signals; so with a script.
    pub fn terminal(terminal: OwnedFd) -> io::Result<Console> {
        Console::of(CommandSource::Terminal(BufReader::new(File::from(terminal))))
    }

    pub fn script(text: &str) -> io::Result<Console> {
        Console::of(CommandSource::Script(text.lines().map(str::to_owned).collect::<Vec<_>>().into_iter()))
    }

    fn of(source: CommandSource) -> io::Result<Console> {
        let is_asked_to_end = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, is_asked_to_end.clone())?;
        }
        Ok(Console { source, is_asked_to_end })
    }

    /// Whether a signal has asked for the end already.
    pub fn is_asked_to_end(&self) -> bool {
        self.is_asked_to_end.load(Ordering::SeqCst)
    }

    /// What the poller is to be asked about, so that nobody types to a loop that sleeps. A script is there always.
    pub fn descriptor(&self) -> io::Result<Option<OwnedFd>> {
        match &self.source {
            CommandSource::Script(_) => Ok(None),
            CommandSource::Terminal(terminal) => terminal.get_ref().try_clone().map(|file| Some(file.into())),
        }
    }

    /// The next line, after `prompt`. `None`: no more will come.
    pub fn line(&mut self, prompt: &str) -> Option<String> {
        let was_typed_before = self.is_pending();
        show(prompt);
        let line = match &mut self.source {
            CommandSource::Script(lines) => {
                // What a terminal does by itself.
                let line = lines.next();
                say(line.as_deref().unwrap_or_default());
                return line;
            }
            CommandSource::Terminal(terminal) => typed(terminal, prompt, &self.is_asked_to_end),
        };
        if line.is_none() || was_typed_before {
            say(line.as_deref().unwrap_or_default().trim_end());
        }
        line
    }

    /// Whether somebody has typed something, or has gone.
    pub fn is_pending(&self) -> bool {
        match &self.source {
            CommandSource::Script(_) => false,
            CommandSource::Terminal(terminal) => {
                let now = Timespec { tv_sec: 0, tv_nsec: 0 };
                let mut asked = [PollFd::new(terminal.get_ref(), PollFlags::IN)];
                !terminal.buffer().is_empty() || poll(&mut asked, Some(&now)).is_ok_and(|ready| ready > 0)
            }
        }
    }
}

/// What is typed in a line. A signal does not end a read, but does end a poll.
fn typed(terminal: &mut BufReader<File>, prompt: &str, is_asked_to_end: &AtomicBool) -> Option<String> {
    let was_asked = is_asked_to_end.load(Ordering::SeqCst);
    while terminal.buffer().is_empty() {
        let mut asked = [PollFd::new(terminal.get_ref(), PollFlags::IN)];
        match poll(&mut asked, None) {
            Err(Errno::INTR) if is_asked_to_end.load(Ordering::SeqCst) && !was_asked => {
                say("\na signal came: the loop heeds it when it turns (t); Ctrl-C again ends it at once");
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

/// Writes a line for whoever looks. If nobody does, the loop is none of their business.
pub fn say(line: &str) {
    show(&format!("{line}\n"));
}

fn show(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
