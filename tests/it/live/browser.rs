//! Chromium without a window, driven over a pipe (Chrome DevTools Protocol).

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, Signal, kill_process_group},
};
use serde_json::{Value, json};

use crate::common::*;

const PROGRAM: &str = "chromium";

/// A running browser, killed when the test ends.
pub struct Browser {
    child: Child,
    commands: File,
    messages: BufReader<File>,
    last_id: u64,
    _profile: tempfile::TempDir,
}

/// A tab: the session in which the browser takes commands for it.
#[derive(Clone)]
pub struct Tab(String);

impl Browser {
    /// Starts a browser, or skips the test and returns `None` if there is none.
    pub fn start() -> Option<Browser> {
        if Command::new(PROGRAM).arg("--version").output().is_err() {
            skip("no chromium");
            return None;
        }
        let profile = tempfile::tempdir().expect("a directory");
        // The browser reads commands from descriptor 3 and writes messages to descriptor 4.
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1", "sh", PROGRAM]);
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-extensions",
        ]);
        command.args(["--disable-background-networking", "--remote-debugging-pipe"]);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        // The browser starts further processes, which end with their group.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().expect("start chromium");
        let commands = OwnedFd::from(child.stdin.take().expect("piped")).into();
        let messages = File::from(OwnedFd::from(child.stdout.take().expect("piped")));
        let messages = BufReader::new(messages);
        Some(Browser { child, commands, messages, last_id: 0, _profile: profile })
    }

    /// Executes one command and returns its result.
    fn call(&mut self, tab: Option<&Tab>, method: &str, parameters: Value) -> Value {
        self.last_id += 1;
        let mut message = json!({ "id": self.last_id, "method": method, "params": parameters });
        if let Some(Tab(session)) = tab {
            message["sessionId"] = json!(session);
        }
        self.commands.write_all(format!("{message}\0").as_bytes()).expect("send a command");
        loop {
            let message = self.message();
            if message["id"] == json!(self.last_id) {
                return message["result"].clone();
            }
        }
    }

    /// Reads the next message.
    fn message(&mut self) -> Value {
        if self.messages.buffer().is_empty() {
            let soon = Timespec { tv_sec: SOON.as_secs() as i64, tv_nsec: 0 };
            let mut asked = [PollFd::new(self.messages.get_ref(), PollFlags::IN)];
            assert!(poll(&mut asked, Some(&soon)).expect("poll") > 0, "chromium does not answer");
        }
        let mut bytes = Vec::new();
        self.messages.read_until(0, &mut bytes).expect("read a message");
        assert_eq!(bytes.pop(), Some(0), "chromium has ended");
        serde_json::from_slice(&bytes).expect("JSON")
    }

    /// Opens `url` in a new tab.
    pub fn open(&mut self, url: &str) -> Tab {
        let target = self.call(None, "Target.createTarget", json!({ "url": url }));
        let parameters = json!({ "targetId": target["targetId"], "flatten": true });
        let session = self.call(None, "Target.attachToTarget", parameters);
        Tab(session["sessionId"].as_str().expect("a session").into())
    }

    /// Runs `script` in every page that the tab loads from now on, before the page's own scripts.
    pub fn run_first(&mut self, tab: &Tab, script: &str) {
        self.call(Some(tab), "Page.enable", json!({}));
        self.call(Some(tab), "Page.addScriptToEvaluateOnNewDocument", json!({ "source": script }));
    }

    /// Loads `url` in the tab.
    pub fn go(&mut self, tab: &Tab, url: &str) {
        self.call(Some(tab), "Page.navigate", json!({ "url": url }));
    }

    /// Returns the value of a JavaScript expression in the tab, or null if it has none, for example
    /// while the tab loads a page.
    pub fn value(&mut self, tab: &Tab, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        self.call(Some(tab), "Runtime.evaluate", parameters)["result"]["value"].clone()
    }

    /// Waits until the JavaScript expression is true in the tab.
    pub fn wait(&mut self, tab: &Tab, expression: &str) {
        eventually(expression, || self.value(tab, expression) == json!(true));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}
