//! The chat client: sends the lines that the user types, and shows the lines of the other members.

use std::{cell::RefCell, io::Write, mem, rc::Rc};

use super::{ConnectionEnd, StdinBuffer};
use crate::{
    printable::escape_unprintable,
    protocol::{CloseReason, Context, Outbox, Progress, Protocol, Received, Timeout},
};

/// The maximum length of a line that may be a command.
const MAX_COMMAND: usize = 64;

/// A client for a chat room. It relays lines in both directions, and makes received text safe to
/// show on a terminal.
pub struct ChatClient {
    stdin: Rc<RefCell<StdinBuffer>>,
    output: Box<dyn Write>,
    end: ConnectionEnd,
    /// The name to give, or empty if the user types it.
    name: String,
    /// The beginning of the last line sent, up to [`MAX_COMMAND`].
    line: Vec<u8>,
    /// Whether the user wants to leave: the input has ended, or contained the line `/quit`.
    leaves: bool,
}

impl ChatClient {
    /// Creates a client that sends `stdin` and writes what arrives to `output`, which may block.
    /// If there is a `name`, the client gives this name to the room. Otherwise, the first line of
    /// `stdin` is the name.
    ///
    /// The connection ends with [`CloseReason::Done`] if the server closes it after the user has
    /// left.
    pub fn new(
        stdin: Rc<RefCell<StdinBuffer>>,
        output: Box<dyn Write>,
        end: ConnectionEnd,
        name: Option<String>,
    ) -> ChatClient {
        let name = name.unwrap_or_default();
        ChatClient { stdin, output, end, name, line: Vec::new(), leaves: false }
    }

    /// Notes whether one of the lines that end in `bytes` is `/quit`.
    fn note_quit(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = MAX_COMMAND - self.line.len();
            self.line.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                self.leaves |= self.line.trim_ascii_end() == b"/quit";
                self.line.clear();
            }
        }
    }
}

impl Protocol for ChatClient {
    fn on_connected(&mut self, out: &mut Outbox, cx: &mut Context<'_>) -> Progress {
        self.stdin.borrow_mut().set_connection(cx);
        if !self.name.is_empty() {
            let name = mem::take(&mut self.name);
            out.bytes().extend_from_slice(format!("{name}\n").as_bytes());
        }
        self.resume(out, cx)
    }

    fn receive(&mut self, input: &[u8], _out: &mut Outbox, _cx: &mut Context<'_>) -> Received {
        let mut text = String::new();
        let consumed = escape_unprintable(input, &mut text);
        let written = self.output.write_all(text.as_bytes()).and_then(|()| self.output.flush());
        // Nothing reads the output any more, so there is nothing left to do.
        let progress = written.map_or(Progress::Close(CloseReason::Done), |()| Progress::NeedInput);
        Received { consumed, progress }
    }

    fn resume(&mut self, out: &mut Outbox, cx: &mut Context<'_>) -> Progress {
        let (bytes, has_ended) = self.stdin.borrow_mut().take(cx);
        self.note_quit(&bytes);
        out.bytes().extend_from_slice(&bytes);
        self.leaves |= has_ended;
        if has_ended { Progress::HalfClose } else { Progress::Again }
    }

    fn reads_while_sending(&self) -> bool {
        true
    }

    fn timeout(&self, _partial: bool) -> Timeout {
        Timeout { limit: None, reason: CloseReason::IdleTimeout }
    }

    fn on_closed(&mut self, reason: CloseReason, _sent: u64, _cx: &mut Context<'_>) {
        let is_expected = self.leaves && reason == CloseReason::Eof;
        self.end.set(if is_expected { CloseReason::Done } else { reason });
    }
}
