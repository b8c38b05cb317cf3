//! The raw mode of a terminal, and what must not leave the terminal in it: the end of an edited
//! line, a signal that ends the process, and a panic.

use std::{
    fs::File,
    io, panic,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use rustix::{
    io::Errno,
    termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr},
};
use signal_hook::{consts::SIGCONT, flag, low_level::emulate_default_handler};

/// A terminal whose mode can be changed.
pub struct TerminalMode {
    shared: Arc<ModeState>,
}

/// What the prompt, the signal handlers and the panic hook share.
struct ModeState {
    terminal: File,
    /// The mode to return to, while the terminal is in raw mode.
    before: Mutex<Option<Termios>>,
    /// Whether a signal ends the process at once, because the terminal is not in raw mode.
    ends_at_once: Arc<AtomicBool>,
    /// The number of a signal that has arrived in raw mode and will end the process, or 0.
    arrived: Arc<AtomicUsize>,
    /// Whether the process was stopped and continued. The shell changes the mode meanwhile.
    is_continued: Arc<AtomicBool>,
}

impl TerminalMode {
    /// Creates the mode of `terminal`. The signals `ending` have no other handlers, so they end the
    /// process, but not before the terminal is out of raw mode.
    ///
    /// # Errors
    /// Fails if no file descriptor is available, or a handler cannot be installed (sigaction(2)).
    pub fn new(terminal: &File, ending: &[i32]) -> io::Result<TerminalMode> {
        let shared = Arc::new(ModeState {
            terminal: terminal.try_clone()?,
            before: Mutex::default(),
            ends_at_once: Arc::new(AtomicBool::new(true)),
            arrived: Arc::default(),
            is_continued: Arc::default(),
        });
        for signal in ending {
            let number = signal.unsigned_abs() as usize;
            flag::register_conditional_default(*signal, Arc::clone(&shared.ends_at_once))?;
            flag::register_usize(*signal, Arc::clone(&shared.arrived), number)?;
        }
        flag::register(SIGCONT, Arc::clone(&shared.is_continued))?;
        // A panic hook runs even if a panic ends the process at once.
        let (at_panic, report) = (Arc::clone(&shared), panic::take_hook());
        panic::set_hook(Box::new(move |info| {
            at_panic.leave();
            report(info);
        }));
        Ok(TerminalMode { shared })
    }

    /// Enters raw mode. Returns `None` if the terminal has gone.
    pub fn enter_raw(&self) -> Option<RawMode> {
        let before = tcgetattr(&self.shared.terminal).ok()?;
        let mut raw = before.clone();
        raw.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::IEXTEN | LocalModes::ISIG;
        raw.special_codes[SpecialCodeIndex::VMIN] = 1;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        *self.shared.before.lock().ok()? = Some(before);
        self.shared.ends_at_once.store(false, SeqCst);
        let mode = RawMode { shared: Arc::clone(&self.shared), raw };
        mode.set().is_ok().then_some(mode)
    }
}

/// The raw mode of a terminal: it passes each key on, and shows none. It ends when this is dropped.
pub struct RawMode {
    shared: Arc<ModeState>,
    raw: Termios,
}

impl RawMode {
    /// Enters raw mode again if the process was stopped and continued. Returns whether it did.
    pub fn renew(&self) -> bool {
        self.shared.is_continued.swap(false, SeqCst) && self.set().is_ok()
    }

    fn set(&self) -> Result<(), Errno> {
        tcsetattr(&self.shared.terminal, OptionalActions::Now, &self.raw)
    }

    /// Returns whether a signal has arrived that ends the process once this is dropped.
    pub fn is_ending(&self) -> bool {
        self.shared.arrived.load(SeqCst) != 0
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        self.shared.leave();
        self.shared.ends_at_once.store(true, SeqCst);
        if let Ok(signal @ 1..) = i32::try_from(self.shared.arrived.load(SeqCst)) {
            // This cannot fail, because the signal has a handler.
            let _ = emulate_default_handler(signal);
        }
    }
}

impl ModeState {
    /// Leaves raw mode. Does not wait for the lock, because a panic may hold it.
    fn leave(&self) {
        if let Ok(mut before) = self.before.try_lock()
            && let Some(before) = before.take()
        {
            // This fails only if the terminal has gone.
            let _ = tcsetattr(&self.terminal, OptionalActions::Now, &before);
        }
    }
}
