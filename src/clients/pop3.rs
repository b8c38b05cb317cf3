//! A POP3 client for one command on a mailbox (RFC 1939).

use std::io::Write;

use super::{ClientError, Login, Session, dialogue::visible};
use crate::{
    framing::{DottedPiece, DottedReader},
    protocol::{CloseReason, Context, Outbox, Progress, Protocol, Received, Timeout},
};

/// What to do with the mailbox. Messages are numbered from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pop3Action {
    /// List the numbers and sizes of all messages.
    List,
    /// Fetch the message with this number.
    Retrieve(u32),
    /// Delete the message with this number.
    Delete(u32),
    /// Fetch the header section of the message with this number, and this many lines of its body.
    Top(u32, u32),
}

/// A client that logs in, runs one command, and shows the dialogue. It writes a list or a message
/// to its output.
pub struct Pop3Client {
    session: Session,
    login: Login,
    command: Pop3Action,
    output: Box<dyn Write>,
    /// The step whose response has not arrived completely.
    step: Pop3Step,
    /// The reader of the lines that follow the response to the command.
    text: Option<DottedReader>,
}

/// A step of the dialogue: a command of the client and the response of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pop3Step {
    /// Nothing is sent: the server greets the client.
    Greeting,
    User,
    Password,
    Command,
    Quit,
}

impl Pop3Client {
    /// Creates a client for one connection. A write to `output` may block the loop.
    pub fn new(login: Login, command: Pop3Action, session: Session, output: Box<dyn Write>) -> Pop3Client {
        Pop3Client { session, login, command, output, step: Pop3Step::Greeting, text: None }
    }

    /// Returns the line that the current step sends, without its line end.
    fn line(&self) -> String {
        match (self.step, self.command) {
            (Pop3Step::Greeting, _) => String::new(),
            (Pop3Step::User, _) => format!("USER {}", self.login.user),
            (Pop3Step::Password, _) => format!("PASS {}", self.login.password),
            (Pop3Step::Command, Pop3Action::List) => "LIST".into(),
            (Pop3Step::Command, Pop3Action::Retrieve(number)) => format!("RETR {number}"),
            (Pop3Step::Command, Pop3Action::Delete(number)) => format!("DELE {number}"),
            (Pop3Step::Command, Pop3Action::Top(number, lines)) => format!("TOP {number} {lines}"),
            (Pop3Step::Quit, _) => "QUIT".into(),
        }
    }

    /// Returns the line that the current step sends as the user sees it, without the password.
    fn visible_line(&self) -> String {
        if self.step == Pop3Step::Password { "PASS (password)".into() } else { self.line() }
    }

    /// Returns what the server has not answered, for error messages.
    fn step_name(&self) -> String {
        match self.step {
            Pop3Step::Greeting => "the connection".into(),
            Pop3Step::Password => "the password".into(),
            _ => self.line(),
        }
    }

    /// Handles the first line of a response.
    fn respond(&mut self, line: &[u8], out: &mut Outbox) -> Progress {
        if !line.starts_with(b"+OK") {
            self.refused(line);
            return match self.step {
                Pop3Step::Quit => Progress::Close(CloseReason::Done),
                _ => self.take(Pop3Step::Quit, out),
            };
        }
        match self.step {
            Pop3Step::Greeting => self.take(Pop3Step::User, out),
            Pop3Step::User => self.take(Pop3Step::Password, out),
            Pop3Step::Password => self.take(Pop3Step::Command, out),
            Pop3Step::Command if !matches!(self.command, Pop3Action::Delete(_)) => {
                self.text = Some(DottedReader::new());
                Progress::Again
            }
            Pop3Step::Command => self.take(Pop3Step::Quit, out),
            Pop3Step::Quit => {
                // Only now has the server deleted messages (RFC 1939 section 6).
                self.session.finish(Ok(()));
                Progress::Close(CloseReason::Done)
            }
        }
    }

    /// Ends the conversation because the server refused the current step.
    fn refused(&mut self, line: &[u8]) {
        let (step, line) = (self.step_name(), visible(line));
        self.session.fail(format!("the server answered {step} with {line}"));
    }

    /// Writes a piece of the text that follows a response.
    fn write(&mut self, piece: &DottedPiece<'_>, out: &mut Outbox) -> Result<Progress, ClientError> {
        match piece {
            DottedPiece::Text(bytes) => {
                self.output.write_all(bytes).map_err(ClientError::Output)?;
                Ok(Progress::Again)
            }
            DottedPiece::End => {
                self.output.flush().map_err(ClientError::Output)?;
                self.session.dialogue.received(b".\r\n");
                self.session.finish(Ok(()));
                self.text = None;
                Ok(self.take(Pop3Step::Quit, out))
            }
        }
    }

    /// Sends what `step` sends.
    fn take(&mut self, step: Pop3Step, out: &mut Outbox) -> Progress {
        self.step = step;
        self.session.dialogue.sent(self.visible_line().as_bytes());
        out.bytes().extend_from_slice(format!("{}\r\n", self.line()).as_bytes());
        Progress::Again
    }
}

impl Protocol for Pop3Client {
    fn receive(&mut self, input: &[u8], out: &mut Outbox, cx: &mut Context<'_>) -> Received {
        if let Some(text) = &mut self.text {
            let Some((piece, consumed)) = text.next(input) else {
                return Session::need_input(input, "CRLF", cx);
            };
            Session::trace_parsed(input, b"", consumed, cx);
            return match self.write(&piece, out) {
                Ok(progress) => Received { consumed, progress },
                Err(e) => Received { consumed: input.len(), progress: self.session.leave(Err(e)) },
            };
        }
        let (line, consumed) = match self.session.read_line(input, cx) {
            Ok(found) => found,
            Err(received) => return received,
        };
        let is_status = line.starts_with(b"+OK") || line.starts_with(b"-ERR");
        if !is_status {
            let sentence = format!("the server sent a line that is not a response: {}", visible(line));
            return self.session.reject(input, sentence);
        }
        Received { consumed, progress: self.respond(line, out) }
    }

    fn timeout(&self, _partial: bool) -> Timeout {
        self.session.timeout()
    }

    fn on_closed(&mut self, reason: CloseReason, _sent: u64, _cx: &mut Context<'_>) {
        let place = match self.step {
            Pop3Step::Greeting => "before it greeted the client".into(),
            _ if self.text.is_some() => format!("before the end of its answer to {}", self.line()),
            _ => format!("before it answered {}", self.step_name()),
        };
        self.session.on_closed(reason, &place);
    }
}
