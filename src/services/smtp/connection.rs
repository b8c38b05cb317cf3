//! The state machine of one SMTP conversation.
//!
//! | State | Entered when | Input | Left when |
//! |---|---|---|---|
//! | `Command` | the client connects, or a message ends | a command | - |
//! | `Login` | AUTH | a response, in base64 | the exchange ends |
//! | `Mail` | MAIL | a command | the message ends, or RSET |
//! | `Data` | DATA | a piece of the message | the line with only a dot arrives |
//! | `Storing` | that line has arrived | - | the message is stored |
//!
//! An error in a command leaves the state as it was. `Storing` waits until a turn has its
//! whole budget for long work left. The input is consumed as it arrives, so a connection holds at
//! most one command line besides the message.

use std::{mem, time::Duration};

use super::{
    auth::{AuthResult, AuthStep},
    command::SmtpCommand,
    data::{DataDecoder, DataStatus},
    envelope::{Envelope, Origin},
    reply::{self, SERVER, SmtpReply},
};
use crate::{
    address::Address,
    protocol::{CloseReason, Context, Outbox, Progress, Protocol, Received, Timeout},
    services::{
        lines::{CommandLines, NextLine},
        mailbox::{Draft, MailError, Mailbox, steps},
    },
    trace::Step,
};

/// The maximum number of recipients of one message. A server must accept 100 (RFC 5321 section
/// 4.5.3.1.8).
const MAX_RECIPIENTS: usize = 100;
/// The maximum length in bytes of a line, without its line end. The longest line that a server must
/// accept is a response in an AUTH exchange (RFC 4954 section 4).
const MAX_LINE: usize = 12_288;
/// The number of errors in a row after which the connection closes.
const MAX_ERRORS: usize = 20;
/// How long the client may take to send a command, or the next piece of a message (RFC 5321 section
/// 4.5.3.2.7).
const IDLE_LIMIT: Duration = Duration::from_secs(5 * 60);

/// The protocol of one SMTP connection.
pub struct SmtpConnection {
    mailbox: Mailbox,
    peer: Address,
    client: Option<Greeting>,
    is_authenticated: bool,
    state: SmtpState,
    /// The number of errors since the last command that succeeded.
    errors: usize,
    lines: CommandLines,
}

/// The greeting of the client.
struct Greeting {
    name: String,
    /// Whether it said EHLO rather than HELO.
    is_extended: bool,
}

/// The state of a conversation (see the table at the top of this file).
enum SmtpState {
    Command,
    Login(AuthStep),
    Mail(Envelope),
    Data(Box<Incoming>),
    Storing(Box<Incoming>),
}

/// A message that is arriving.
struct Incoming {
    decoder: DataDecoder,
    /// The message, or why it is refused. The rest of a refused message is dropped as it arrives.
    draft: Result<Draft, MailError>,
    recipients: usize,
    /// The number of bytes that have arrived since the time for the message was last extended.
    arrived: u64,
}

impl Incoming {
    /// Counts the next `len` bytes. Returns whether they extend the time for the message: enough
    /// bytes have arrived since it was extended before. So a client that sends a byte now and then
    /// does not hold its connection.
    fn extends_time(&mut self, len: usize, min_rate: u32) -> bool {
        self.arrived += len as u64;
        let is_enough = self.arrived >= IDLE_LIMIT.as_secs() * u64::from(min_rate);
        if is_enough {
            self.arrived = 0;
        }
        is_enough
    }
}

impl SmtpConnection {
    /// Creates the protocol of a connection from `peer`.
    pub fn new(mailbox: Mailbox, peer: Address) -> SmtpConnection {
        SmtpConnection {
            mailbox,
            peer,
            client: None,
            is_authenticated: false,
            state: SmtpState::Command,
            errors: 0,
            lines: CommandLines::new(MAX_LINE),
        }
    }

    /// Enters `state` and reports it.
    fn enter(&mut self, state: SmtpState, cx: &mut Context<'_>) {
        let (name, is_secret) = match &state {
            SmtpState::Command => ("command", false),
            SmtpState::Login(_) => ("login", true),
            SmtpState::Mail(_) => ("mail", false),
            SmtpState::Data(_) | SmtpState::Storing(_) => ("data", true),
        };
        cx.trace(|| steps::state(name, is_secret));
        self.state = state;
    }

    /// Puts a reply into `out`, and counts errors in a row.
    fn reply(&mut self, reply: &SmtpReply, out: &mut Outbox) -> Progress {
        if reply.is_error() {
            self.errors += 1;
        } else if reply.code < 400 {
            self.errors = 0;
        }
        let reply = if self.errors == MAX_ERRORS { &reply::TOO_MANY_ERRORS } else { reply };
        reply.put(out.bytes());
        match reply.code {
            221 => Progress::Close(CloseReason::Done),
            421 => Progress::Close(CloseReason::BadRequest),
            _ => Progress::Again,
        }
    }

    /// Handles one line, without its line end.
    fn on_line(&mut self, line: &[u8], out: &mut Outbox, cx: &mut Context<'_>) -> Progress {
        let reply = match self.state {
            SmtpState::Login(step) => self.authenticate(step.respond(line), cx),
            _ => SmtpCommand::parse(line).and_then(|command| self.execute(command, cx)),
        };
        self.reply(&reply.unwrap_or_else(|reply| reply), out)
    }

    /// Executes a command. Returns its reply; an error is the reply to a command that failed.
    fn execute(&mut self, command: SmtpCommand<'_>, cx: &mut Context<'_>) -> Result<SmtpReply, SmtpReply> {
        match command {
            SmtpCommand::Hello { name, is_extended } => Ok(self.hello(name, is_extended, cx)),
            SmtpCommand::Auth { .. } | SmtpCommand::Mail { .. } if self.client.is_none() => {
                Err(reply::HELO_FIRST)
            }
            SmtpCommand::Auth { mechanism, initial } => {
                if self.is_authenticated || matches!(self.state, SmtpState::Mail(_)) {
                    return Err(reply::NO_AUTH_NOW);
                }
                self.authenticate(AuthStep::start(mechanism, initial), cx)
            }
            SmtpCommand::Mail { from, size } => self.mail(from, size, cx),
            SmtpCommand::Recipient { to } => match &mut self.state {
                SmtpState::Mail(envelope) if envelope.recipients.len() < MAX_RECIPIENTS => {
                    envelope.recipients.push(to.to_owned());
                    Ok(reply::OK)
                }
                SmtpState::Mail(_) => Err(reply::TOO_MANY_RECIPIENTS),
                _ => Err(reply::MAIL_FIRST),
            },
            SmtpCommand::Data => self.data(cx),
            SmtpCommand::Reset => {
                self.enter(SmtpState::Command, cx);
                Ok(reply::OK)
            }
            SmtpCommand::Noop => Ok(reply::OK),
            SmtpCommand::Verify => Ok(reply::CANNOT_VERIFY),
            SmtpCommand::Help => Ok(reply::HELP),
            SmtpCommand::Quit => Ok(reply::BYE),
        }
    }

    fn hello(&mut self, name: &str, is_extended: bool, cx: &mut Context<'_>) -> SmtpReply {
        self.client = Some(Greeting { name: name.to_owned(), is_extended });
        // A second greeting forgets a message that has begun (RFC 5321 section 4.1.4).
        self.enter(SmtpState::Command, cx);
        let greeting = format!("{SERVER} greets {name}");
        let size = self.mailbox.limits().message_bytes;
        SmtpReply::new(
            250,
            match is_extended {
                true => format!("{greeting}\nSIZE {size}\n8BITMIME\nPIPELINING\nAUTH LOGIN PLAIN"),
                false => greeting,
            },
        )
    }

    fn authenticate(
        &mut self,
        result: Result<AuthResult, SmtpReply>,
        cx: &mut Context<'_>,
    ) -> Result<SmtpReply, SmtpReply> {
        let (state, reply) = match result {
            Ok(AuthResult::Continue(step)) => (SmtpState::Login(step), Ok(step.prompt())),
            Ok(AuthResult::Done) => {
                self.is_authenticated = true;
                (SmtpState::Command, Ok(reply::AUTHENTICATED))
            }
            Err(reply) => (SmtpState::Command, Err(reply)),
        };
        self.enter(state, cx);
        reply
    }

    fn mail(&mut self, from: &str, size: Option<u64>, cx: &mut Context<'_>) -> Result<SmtpReply, SmtpReply> {
        if matches!(self.state, SmtpState::Mail(_)) {
            return Err(reply::MAIL_TWICE);
        }
        let size = usize::try_from(size.unwrap_or(0)).unwrap_or(usize::MAX);
        self.mailbox.check_room(size).map_err(|error| self.refuse(error, cx))?;
        self.enter(SmtpState::Mail(Envelope { from: from.to_owned(), recipients: Vec::new() }), cx);
        Ok(reply::OK)
    }

    fn data(&mut self, cx: &mut Context<'_>) -> Result<SmtpReply, SmtpReply> {
        let (SmtpState::Mail(envelope), Some(client)) = (&self.state, &self.client) else {
            return Err(reply::MAIL_FIRST);
        };
        if envelope.recipients.is_empty() {
            return Err(reply::RCPT_FIRST);
        }
        let protocol = match (client.is_extended, self.is_authenticated) {
            (false, false) => "SMTP",
            (true, false) => "ESMTP",
            (_, true) => "ESMTPA",
        };
        let origin = Origin { name: &client.name, peer: &self.peer, protocol, date: cx.clock.date() };
        let prefix = envelope.trace_fields(&origin);
        let recipients = envelope.recipients.len();
        let draft = Draft::new(&self.mailbox, prefix).map_err(|error| self.refuse(error, cx))?;
        let incoming = Incoming { decoder: DataDecoder::new(), draft: Ok(draft), recipients, arrived: 0 };
        self.enter(SmtpState::Data(Box::new(incoming)), cx);
        Ok(reply::START_DATA)
    }

    /// Returns the reply to a message that is refused, and reports it.
    fn refuse(&self, error: MailError, cx: &mut Context<'_>) -> SmtpReply {
        cx.trace(|| steps::not_stored(error.to_string()));
        match error {
            MailError::TooLarge => {
                let max = self.mailbox.limits().message_bytes;
                SmtpReply::new(552, format!("The message is larger than {max} bytes"))
            }
            MailError::Full => SmtpReply::new(452, "The mailbox is full; delete messages by POP3".into()),
            MailError::Store => SmtpReply::new(451, "The message could not be stored; try again".into()),
        }
    }

    /// Takes the next piece of a message from `input`.
    fn on_data(
        &mut self,
        mut incoming: Box<Incoming>,
        input: &[u8],
        out: &mut Outbox,
        cx: &mut Context<'_>,
    ) -> Received {
        let Incoming { decoder, draft, .. } = &mut *incoming;
        let (consumed, status) = decoder.decode(input, |part| {
            if let Ok(message) = draft
                && let Err(error) = message.extend(part)
            {
                *draft = Err(error);
            }
        });
        let len = draft.as_ref().ok().map(Draft::len);
        cx.trace(|| Step::Understood { start: Vec::new(), len: consumed, left: input.len() - consumed });
        cx.trace(|| steps::part(consumed, len));
        let progress = match status {
            DataStatus::Partial => {
                let extends_time = incoming.extends_time(consumed, cx.min_rate);
                self.state = SmtpState::Data(incoming);
                if extends_time { Progress::NeedInput } else { Progress::Partial }
            }
            DataStatus::Complete => self.finish(incoming, out, cx),
            DataStatus::AmbiguousEnd => {
                // Where the message ends is not known, so nothing after it can be a command.
                cx.trace(|| Step::Refused {
                    reason: "a line with only a dot that does not begin and end with CRLF",
                });
                reply::AMBIGUOUS_END.put(out.bytes());
                Progress::Close(CloseReason::BadRequest)
            }
        };
        Received { consumed, progress }
    }

    /// Stores a message that is complete, or waits until a turn has its whole budget left.
    fn finish(&mut self, incoming: Box<Incoming>, out: &mut Outbox, cx: &mut Context<'_>) -> Progress {
        // Storing waits for two syncs, which take longer than all other work of a turn. So at most
        // one message is stored per turn, and other connections are served in between.
        if incoming.draft.is_ok() && self.mailbox.is_on_disk() && !cx.take_all_work() {
            self.state = SmtpState::Storing(incoming);
            return Progress::WaitUntil(None);
        }
        let (recipients, has_bare_lf) = (incoming.recipients, incoming.decoder.has_bare_lf());
        let reply = match incoming.draft.and_then(|draft| draft.store(cx.clock)) {
            Ok(message) => {
                cx.trace(|| steps::stored(&message.id, message.content.len(), recipients));
                let hint = if has_bare_lf { "; its lines should end with CRLF, not LF" } else { "" };
                SmtpReply::new(250, format!("OK: the message is kept as {}{hint}", message.id))
            }
            Err(error) => self.refuse(error, cx),
        };
        self.enter(SmtpState::Command, cx);
        self.reply(&reply, out)
    }
}

impl Protocol for SmtpConnection {
    fn on_connected(&mut self, out: &mut Outbox, cx: &mut Context<'_>) -> Progress {
        reply::GREETING.put(out.bytes());
        self.enter(SmtpState::Command, cx);
        Progress::NeedInput
    }

    fn receive(&mut self, input: &[u8], out: &mut Outbox, cx: &mut Context<'_>) -> Received {
        match mem::replace(&mut self.state, SmtpState::Command) {
            SmtpState::Data(incoming) => return self.on_data(incoming, input, out, cx),
            state => self.state = state,
        }
        // A response in an AUTH exchange is a secret.
        let is_login = matches!(self.state, SmtpState::Login(_));
        let (consumed, next) = self.lines.read(input, is_login, cx);
        let progress = match next {
            NextLine::Incomplete => Progress::Partial,
            NextLine::Line(line) => self.on_line(line, out, cx),
            NextLine::TooLong => {
                if is_login {
                    self.enter(SmtpState::Command, cx);
                }
                self.reply(&reply::LINE_TOO_LONG, out)
            }
        };
        Received { consumed, progress }
    }

    fn resume(&mut self, out: &mut Outbox, cx: &mut Context<'_>) -> Progress {
        match mem::replace(&mut self.state, SmtpState::Command) {
            SmtpState::Storing(incoming) => self.finish(incoming, out, cx),
            state => {
                self.state = state;
                Progress::Again
            }
        }
    }

    fn timeout(&self, partial: bool) -> Timeout {
        let reason = match &self.state {
            SmtpState::Data(incoming) if incoming.arrived > 0 => CloseReason::TooSlow,
            _ if partial => CloseReason::HeadTimeout,
            _ => CloseReason::IdleTimeout,
        };
        Timeout { limit: Some(IDLE_LIMIT), reason }
    }

    fn last_response(
        &mut self,
        reason: CloseReason,
        _partial: &[u8],
        out: &mut Outbox,
        _cx: &mut Context<'_>,
    ) {
        let reply = match reason {
            CloseReason::Shutdown => reply::SHUTDOWN,
            CloseReason::Limit => reply::NO_MEMORY,
            CloseReason::TooSlow => reply::TOO_SLOW,
            _ => reply::IDLE,
        };
        reply.put(out.bytes());
    }
}
