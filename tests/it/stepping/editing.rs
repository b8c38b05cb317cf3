//! Line editing at the prompt, and the mode in which the terminal is.

use std::os::unix::process::ExitStatusExt;

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use super::*;

impl Terminal {
    /// Types these keys and Enter, and returns the output up to the next prompt.
    fn press(&mut self, keys: &str) -> String {
        self.screen.write_all(format!("{keys}\r").as_bytes()).expect("type");
        self.until(PROMPT)
    }

    /// Starts `oneloop replay FILE`, and waits for the prompt.
    fn replay(file: &std::path::Path) -> Terminal {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
        command.arg("replay").arg(file).env("TERM", "xterm").env("NO_COLOR", "1");
        let mut terminal = Terminal::start(command);
        terminal.until("replay> ");
        terminal
    }

    /// Returns whether the terminal itself edits lines, shows what is typed and makes signals of
    /// keys.
    fn is_as_before(&self) -> bool {
        let modes = LocalModes::ICANON | LocalModes::ECHO | LocalModes::IEXTEN | LocalModes::ISIG;
        tcgetattr(&self.screen).expect("read the mode").local_modes.contains(modes)
    }
}

#[test]
fn stepper_edits_lines_and_returns_to_earlier_ones() {
    let site = Site::new();
    let mut terminal = Terminal::with(&site, &[]);
    assert!(!terminal.is_as_before());
    let (up, left) = ("\x1b[A", "\x1b[D");
    let table = [
        ("p x9\x7f\x7fc9".to_owned(), "c9: no such source"),
        (format!("p 8{left}c"), "c8: no such source"),
        (format!("{up}{up}"), "c9: no such source"),
        (format!("{up}\x01\x0bp c5"), "c5: no such source"),
        (format!("nonsense\x15{up}\x17c7"), "c7: no such source"),
        ("xp c6\x01\x1b[3~".to_owned(), "c6: no such source"),
        ("c7\x01p \x05".to_owned(), "c7: no such source"),
    ];
    for (keys, expected) in table {
        let output = terminal.press(&keys);
        assert!(output.contains(expected), "{keys:?} gave {output:?}");
    }
    // A long line stays in its row: the terminal knows no width, so it has 80 columns.
    let output = terminal.press(&format!("p {}", "y".repeat(100)));
    let row = output.split('\n').next().expect("a row");
    assert!(row.contains("\x1b[K") && row.contains("\x1b[79C"), "{row:?}");
}

#[test]
fn stepper_does_not_edit_on_a_dumb_terminal() {
    let site = Site::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
    command.args(["--port", "0", "--step"]).arg(site.path()).env("TERM", "dumb");
    let mut terminal = Terminal::start(command);
    terminal.until(PROMPT);
    assert!(terminal.is_as_before());
    assert_in_order(&terminal.ask("p c9"), &["c9: no such source"]);
}

#[test]
fn stepper_leaves_the_terminal_as_it_was() {
    let site = Site::new();
    let mut terminal = Terminal::with(&site, &[]);
    terminal.enter("t");
    terminal.until("sleeps");
    eventually("the running loop has the keys of signals", || terminal.is_as_before());
    // The terminal itself shows a line that is typed now.
    terminal.enter("p");
    terminal.until("step> p\nloop turn=");
    terminal.until(PROMPT);
    terminal.screen.write_all(b"half\x03").expect("type");
    assert_in_order(&terminal.until(PROMPT), &["half\na signal arrived"]);
    assert!(terminal.is_as_before(), "the next signal may end the process at once");
    assert_in_order(&terminal.ask("p"), &["loop turn="]);
    terminal.enter("q");
    terminal.rest();
    assert!(terminal.exit().success() && terminal.is_as_before());
}

#[test]
fn stepper_and_replay_have_colours_on_a_terminal() {
    let site = Site::new();
    let dir = tempfile::tempdir().expect("a directory");
    let file = crate::replay::recording(dir.path());
    let step = ["--port", "0", "--step", site.path().to_str().expect("text")];
    let replay = ["replay", file.to_str().expect("text")];
    for (args, ready) in [(&step[..], "#1 woke after"), (&replay, "#1 loop wake")] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
        command.args(args).env("TERM", "xterm").env_remove("NO_COLOR");
        let mut terminal = Terminal::start(command);
        let output = terminal.until("\x1b[0m ");
        assert!(output.contains("\x1b[1mstep>\x1b[0m ") || output.contains("\x1b[1mreplay>\x1b[0m "));
        terminal.enter("t");
        if args[0] != "replay" {
            let url = output.strip_prefix("http://").and_then(|url| url.split('/').next()).expect("a URL");
            Client::connect(url.parse().expect("an address")).send("GET /");
            terminal.until("\x1b[2m(The loop sleeps");
        }
        terminal.until(&format!("\x1b[1;36m{ready}"));
        // The editor draws after the prompt, and not after its colours.
        terminal.until("\x1b[0m ");
        terminal.screen.write_all(b"ab\x1b[Dc\r").expect("type");
        terminal.until(if args[0] == "replay" { "\x1b[8Cacb" } else { "\x1b[6Cacb" });
    }
}

#[test]
fn replay_edits_lines() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut terminal = Terminal::replay(&crate::replay::recording(dir.path()));
    terminal.screen.write_all(b"i\x7ft\r").expect("type");
    assert_in_order(&terminal.until("replay> "), &["\n#1 loop wake"]);
    terminal.screen.write_all(b"p sets\r\x1b[A\x1b[A\r").expect("type");
    assert_in_order(&terminal.until("replay> "), &["rlist={"]);
    assert_in_order(&terminal.until("replay> "), &["\n#2 loop wake"]);
    terminal.screen.write_all(b"half\x01\x04\x05\x15\x04").expect("type");
    terminal.rest();
    assert!(terminal.exit().success() && terminal.is_as_before());
}

#[test]
fn replay_that_a_signal_ends_leaves_the_terminal_as_it_was() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = crate::replay::recording(dir.path());
    let mut terminal = Terminal::replay(&file);
    terminal.screen.write_all(b"\x03").expect("type");
    terminal.rest();
    assert_eq!(terminal.exit().signal(), Some(2), "Ctrl-C ends it");
    assert!(terminal.is_as_before());
    for signal in [Signal::HUP, Signal::INT, Signal::TERM] {
        let mut terminal = Terminal::replay(&file);
        eventually("it edits lines", || !terminal.is_as_before());
        terminal.signal(signal);
        terminal.rest();
        assert_eq!(terminal.exit().signal(), Some(signal.as_raw()));
        assert!(terminal.is_as_before(), "{signal:?}");
    }
}

#[test]
fn stepper_survives_signals_while_a_line_is_edited() {
    let site = Site::new();
    let mut terminal = Terminal::with(&site, &[]);
    eventually("it edits lines", || !terminal.is_as_before());
    terminal.screen.write_all(b"p").expect("type");
    terminal.until("p");
    // The shell changes the mode of the terminal while the process is stopped.
    terminal.signal(Signal::STOP);
    let stat = format!("/proc/{}/stat", terminal.child.id());
    eventually("it is stopped", || std::fs::read_to_string(&stat).is_ok_and(|s| s.contains(") T ")));
    let mut mode = tcgetattr(&terminal.screen).expect("read the mode");
    mode.local_modes |= LocalModes::ICANON | LocalModes::ECHO | LocalModes::IEXTEN | LocalModes::ISIG;
    tcsetattr(&terminal.screen, OptionalActions::Now, &mode).expect("set the mode");
    let pid = Pid::from_raw(terminal.child.id() as i32).expect("a pid");
    kill_process(pid, Signal::CONT).expect("continue it");
    terminal.until(&format!("{PROMPT}\x1b[6Cp"));
    assert!(!terminal.is_as_before(), "it edits lines again");
    assert_in_order(&terminal.press(" c9"), &["c9: no such source"]);
    terminal.signal(Signal::TERM);
    assert_in_order(&terminal.until(PROMPT), &["a signal arrived"]);
    assert!(terminal.is_as_before(), "the next signal may end the process at once");
    terminal.enter("q");
    terminal.rest();
    assert!(terminal.exit().success() && terminal.is_as_before());
}
