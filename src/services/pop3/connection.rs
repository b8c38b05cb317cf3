//! The state machine of one POP3 conversation.
//!
//! | State | Entered when | Input | Left when |
//! |---|---|---|---|
//! | `Login` | the client connects | USER, PASS | the password is accepted and the mailbox locked |
//! | `Transaction` | the client has logged in | a command | QUIT |
//! | `Sending` | RETR or TOP | - | the last piece is in the outbox |
//! | `Update` | QUIT after a login | - | the marked messages are removed |
//!
//! `Sending` and `Update` yield after each piece. A client that disconnects without QUIT removes
//! nothing. The lock ends with the conversation.

use std::time::Duration;

use super::{command::Pop3Command, transfer::Transfer};
use crate::{
    protocol::{CloseReason, Context, Outbox, Progress, Protocol, Received, Timeout},
    services::{
        lines::{CommandLines, NextLine},
        mailbox::{Mailbox, Maildrop, steps},
    },
};

/// The maximum length in bytes of a line, without its line end. RFC 2449 section 4 allows 255; a
/// password may be longer.
const MAX_LINE: usize = 1024;
/// The number of errors in a row after which the connection closes.
const MAX_ERRORS: usize = 20;
/// How long the client may take to send a command (RFC 1939 section 3 allows no less).
const IDLE_LIMIT: Duration = Duration::from_secs(10 * 60);
/// The number of messages removed in one piece of work. Removing one takes a fraction of a
/// millisecond.
const REMOVALS: usize = 4;

/// The response to CAPA (RFC 2449), without its last line end.
const CAPABILITIES: &str = "+OK the capabilities follow\r\nUSER\r\nUIDL\r\nTOP\r\nPIPELINING\r\n\
                            RESP-CODES\r\nEXPIRE NEVER\r\nIMPLEMENTATION oneloop\r\n.";

/// The protocol of one POP3 connection.
pub struct Pop3Connection {
    mailbox: Mailbox,
    /// The locked mailbox, once the client has logged in.
    maildrop: Option<Maildrop>,
    state: Pop3State,
    /// The number of errors since the last command that succeeded.
    errors: usize,
    lines: CommandLines,
}

/// The state of a conversation (see the table at the top of this file).
enum Pop3State {
    Login { has_name: bool },
    Transaction,
    Sending(Transfer),
    Update { has_failed: bool },
}

/// Why a command fails: the text after `-ERR`.
type Pop3Error = &'static str;

const NO_SUCH_MESSAGE: Pop3Error = "no such message";

impl Pop3Connection {
    /// Creates the protocol of a connection.
    pub fn new(mailbox: Mailbox) -> Pop3Connection {
        let state = Pop3State::Login { has_name: false };
        let lines = CommandLines::new(MAX_LINE);
        Pop3Connection { mailbox, maildrop: None, state, errors: 0, lines }
    }

    /// Handles one line, without its line end.
    fn on_line(&mut self, line: &[u8], out: &mut Outbox, cx: &mut Context<'_>) -> Progress {
        match Pop3Command::parse(line).and_then(|command| self.execute(command, out, cx)) {
            Ok(progress) => {
                self.errors = 0;
                progress
            }
            Err(error) => self.fail(error, out),
        }
    }

    /// Puts an error response into `out`. Closes the connection after too many errors.
    fn fail(&mut self, error: Pop3Error, out: &mut Outbox) -> Progress {
        put(out, &format!("-ERR {error}"));
        self.errors += 1;
        if self.errors < MAX_ERRORS { Progress::Again } else { Progress::Close(CloseReason::BadRequest) }
    }

    /// Executes a command and puts its response into `out`. An error is the response to a command
    /// that failed.
    fn execute(
        &mut self,
        command: Pop3Command,
        out: &mut Outbox,
        cx: &mut Context<'_>,
    ) -> Result<Progress, Pop3Error> {
        match (command, &mut self.maildrop) {
            (Pop3Command::Http, _) => {
                put(out, "-ERR this is POP3, not HTTP");
                return Ok(Progress::Close(CloseReason::BadRequest));
            }
            (Pop3Command::Capabilities, _) => put(out, CAPABILITIES),
            (Pop3Command::Quit, None) => {
                put(out, "+OK bye");
                return Ok(Progress::Close(CloseReason::Done));
            }
            (Pop3Command::User, None) => {
                self.state = Pop3State::Login { has_name: true };
                put(out, "+OK any name is accepted; send PASS");
            }
            (Pop3Command::Pass, None) => return self.log_in(out, cx),
            (_, None) => return Err("log in with USER and PASS first"),
            (Pop3Command::User | Pop3Command::Pass, Some(_)) => return Err("already logged in"),
            (Pop3Command::Quit, Some(_)) => {
                self.state = Pop3State::Update { has_failed: false };
                cx.trace(|| steps::state("update", false));
                return Ok(self.resume(out, cx));
            }
            (Pop3Command::Retrieve(number), Some(maildrop)) => {
                let message = maildrop.message(number).ok_or(NO_SUCH_MESSAGE)?;
                put(out, &format!("+OK {} octets", message.content.len()));
                self.state = Pop3State::Sending(Transfer::new(message, None));
                return Ok(self.resume(out, cx));
            }
            (Pop3Command::Top { number, lines }, Some(maildrop)) => {
                let message = maildrop.message(number).ok_or(NO_SUCH_MESSAGE)?;
                put(out, "+OK the beginning of the message follows");
                self.state = Pop3State::Sending(Transfer::new(message, Some(lines)));
                return Ok(self.resume(out, cx));
            }
            (command, Some(maildrop)) => transact(command, maildrop, out)?,
        }
        Ok(Progress::Again)
    }

    fn log_in(&mut self, out: &mut Outbox, cx: &mut Context<'_>) -> Result<Progress, Pop3Error> {
        if !matches!(self.state, Pop3State::Login { has_name: true }) {
            return Err("send USER first");
        }
        self.state = Pop3State::Login { has_name: false };
        let maildrop = Maildrop::open(&self.mailbox).ok_or("[IN-USE] another client reads the mailbox")?;
        let (count, bytes) = totals(&maildrop);
        put(out, &format!("+OK {count} messages ({bytes} octets)"));
        self.maildrop = Some(maildrop);
        self.state = Pop3State::Transaction;
        cx.trace(|| steps::state("transaction", false));
        Ok(Progress::Again)
    }

    /// Removes the next messages that are marked as deleted. Waits for its turn if more are left.
    fn update(&mut self, mut has_failed: bool, out: &mut Outbox, cx: &mut Context<'_>) -> Progress {
        while cx.take_work() {
            for _ in 0..REMOVALS {
                match self.maildrop.as_mut().and_then(|maildrop| maildrop.remove_next(cx.clock)) {
                    Some(Ok(message)) => cx.trace(|| steps::removed(&message.id)),
                    Some(Err(_)) => has_failed = true,
                    None => {
                        // The next session can begin as soon as the client knows the result (RFC
                        // 1939 section 6), even if this connection closes later.
                        self.maildrop = None;
                        put(
                            out,
                            match has_failed {
                                true => "-ERR [SYS/TEMP] some messages could not be removed",
                                false => "+OK bye",
                            },
                        );
                        return Progress::Close(CloseReason::Done);
                    }
                }
            }
        }
        self.state = Pop3State::Update { has_failed };
        Progress::WaitUntil(None)
    }
}

/// Executes a command that needs nothing but the maildrop.
fn transact(command: Pop3Command, maildrop: &mut Maildrop, out: &mut Outbox) -> Result<(), Pop3Error> {
    match command {
        Pop3Command::Status => {
            let (count, bytes) = totals(maildrop);
            put(out, &format!("+OK {count} {bytes}"));
        }
        Pop3Command::List(Some(number)) => {
            let message = maildrop.message(number).ok_or(NO_SUCH_MESSAGE)?;
            put(out, &format!("+OK {number} {}", message.content.len()));
        }
        Pop3Command::UniqueIds(Some(number)) => {
            let message = maildrop.message(number).ok_or(NO_SUCH_MESSAGE)?;
            put(out, &format!("+OK {number} {}", message.id));
        }
        Pop3Command::List(None) => {
            let (count, bytes) = totals(maildrop);
            put(out, &format!("+OK {count} messages ({bytes} octets)"));
            maildrop
                .messages()
                .for_each(|(number, message)| put(out, &format!("{number} {}", message.content.len())));
            put(out, ".");
        }
        Pop3Command::UniqueIds(None) => {
            put(out, "+OK the unique IDs follow");
            maildrop.messages().for_each(|(number, message)| put(out, &format!("{number} {}", message.id)));
            put(out, ".");
        }
        Pop3Command::Delete(number) => {
            if !maildrop.delete(number) {
                return Err(NO_SUCH_MESSAGE);
            }
            put(out, &format!("+OK message {number} is marked; QUIT removes it"));
        }
        Pop3Command::Reset => {
            maildrop.reset();
            put(out, "+OK no message is marked");
        }
        _ => put(out, "+OK"),
    }
    Ok(())
}

/// Returns the number of messages that are not marked as deleted, and their total length in bytes.
fn totals(maildrop: &Maildrop) -> (usize, usize) {
    maildrop
        .messages()
        .fold((0, 0), |(count, bytes), (_, message)| (count + 1, bytes + message.content.len()))
}

/// Appends a line.
fn put(out: &mut Outbox, line: &str) {
    out.bytes().extend_from_slice(line.as_bytes());
    out.bytes().extend_from_slice(b"\r\n");
}

impl Protocol for Pop3Connection {
    fn on_connected(&mut self, out: &mut Outbox, cx: &mut Context<'_>) -> Progress {
        put(out, "+OK oneloop POP3, one mailbox for all");
        cx.trace(|| steps::state("login", false));
        Progress::NeedInput
    }

    fn receive(&mut self, input: &[u8], out: &mut Outbox, cx: &mut Context<'_>) -> Received {
        let (consumed, next) = self.lines.read(input, false, cx);
        let progress = match next {
            NextLine::Incomplete => Progress::Partial,
            NextLine::Line(line) => self.on_line(line, out, cx),
            NextLine::TooLong => self.fail("line too long", out),
        };
        Received { consumed, progress }
    }

    fn resume(&mut self, out: &mut Outbox, cx: &mut Context<'_>) -> Progress {
        match &mut self.state {
            Pop3State::Sending(transfer) => {
                if transfer.put(out.bytes()) {
                    return Progress::Yield;
                }
                cx.trace(|| steps::retrieved(&transfer.message().id, transfer.sent()));
                self.state = Pop3State::Transaction;
                Progress::Again
            }
            Pop3State::Update { has_failed } => {
                let has_failed = *has_failed;
                self.update(has_failed, out, cx)
            }
            Pop3State::Login { .. } | Pop3State::Transaction => Progress::Again,
        }
    }

    fn timeout(&self, partial: bool) -> Timeout {
        let reason = if partial { CloseReason::HeadTimeout } else { CloseReason::IdleTimeout };
        Timeout { limit: Some(IDLE_LIMIT), reason }
    }
}
