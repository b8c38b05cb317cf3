//! An SMTP client that sends one mail (RFC 5321). With a login, it uses AUTH LOGIN first.

mod message;
mod reply;

use base64::{Engine, prelude::BASE64_STANDARD};

pub use self::message::{MessageError, OutgoingMail};
use self::reply::ReplyLine;
use super::{Login, Session, dialogue::visible};
use crate::protocol::{Body, CloseReason, Context, Outbox, Progress, Protocol, Received, Timeout};

/// The number of lines of a message that the dialogue shows.
const SHOWN_LINES: usize = 100;

/// A client that sends one mail and shows the dialogue.
pub struct SmtpClient {
    session: Session,
    mail: OutgoingMail,
    login: Option<Login>,
    /// The step whose reply has not arrived completely.
    step: SmtpStep,
    /// The code of a reply of several lines, of which more lines follow.
    open_reply: Option<u16>,
    /// Whether the server accepts 8-bit characters (RFC 6152).
    accepts_8bit: bool,
}

/// A step of the dialogue: a command of the client and the reply of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SmtpStep {
    /// Nothing is sent: the server greets the client.
    Greeting,
    Ehlo,
    Helo,
    Auth,
    User,
    Password,
    MailFrom,
    /// The recipient at this index.
    RcptTo(usize),
    Data,
    Message,
    Quit,
}

impl SmtpClient {
    /// Creates a client for one connection. With a `login`, it uses AUTH LOGIN first.
    pub fn new(mail: OutgoingMail, login: Option<Login>, session: Session) -> SmtpClient {
        SmtpClient { session, mail, login, step: SmtpStep::Greeting, open_reply: None, accepts_8bit: false }
    }

    /// Returns the step after a reply with this `code`, or `None` if the server refused the step.
    fn next_step(&self, code: u16) -> Option<SmtpStep> {
        let after_hello = if self.login.is_some() { SmtpStep::Auth } else { SmtpStep::MailFrom };
        Some(match (self.step, code / 100) {
            (SmtpStep::Greeting, 2) => SmtpStep::Ehlo,
            // An old server does not know EHLO (RFC 5321 section 3.2).
            (SmtpStep::Ehlo, 5) => SmtpStep::Helo,
            (SmtpStep::Ehlo | SmtpStep::Helo, 2) => after_hello,
            (SmtpStep::Auth, 3) => SmtpStep::User,
            (SmtpStep::User, 3) => SmtpStep::Password,
            (SmtpStep::Password, 2) => SmtpStep::MailFrom,
            (SmtpStep::MailFrom, 2) => SmtpStep::RcptTo(0),
            (SmtpStep::RcptTo(index), 2) if index + 1 < self.mail.to.len() => SmtpStep::RcptTo(index + 1),
            (SmtpStep::RcptTo(_), 2) => SmtpStep::Data,
            (SmtpStep::Data, 3) => SmtpStep::Message,
            (SmtpStep::Message, 2) => SmtpStep::Quit,
            _ => return None,
        })
    }

    /// Returns the command of the current step, without its line end. A login is in base64.
    fn command(&self) -> String {
        let base64 = |part: fn(&Login) -> &str| {
            self.login.as_ref().map(|login| BASE64_STANDARD.encode(part(login))).unwrap_or_default()
        };
        let domain = self.mail.domain();
        match self.step {
            SmtpStep::Greeting | SmtpStep::Message => String::new(),
            SmtpStep::Ehlo => format!("EHLO {domain}"),
            SmtpStep::Helo => format!("HELO {domain}"),
            SmtpStep::Auth => "AUTH LOGIN".into(),
            SmtpStep::User => base64(|login| &login.user),
            SmtpStep::Password => base64(|login| &login.password),
            SmtpStep::MailFrom => {
                let body = if self.accepts_8bit && self.mail.is_8bit() { " BODY=8BITMIME" } else { "" };
                format!("MAIL FROM:<{}>{body}", self.mail.from)
            }
            SmtpStep::RcptTo(index) => format!("RCPT TO:<{}>", self.mail.to[index]),
            SmtpStep::Data => "DATA".into(),
            SmtpStep::Quit => "QUIT".into(),
        }
    }

    /// Returns the name of the current step, for error messages.
    fn step_name(&self) -> String {
        match self.step {
            SmtpStep::Greeting => "the connection".into(),
            SmtpStep::User => "the user name".into(),
            SmtpStep::Password => "the password".into(),
            SmtpStep::Message => "the message".into(),
            _ => self.command(),
        }
    }

    /// Takes the step after a complete reply.
    fn proceed(&mut self, reply: &ReplyLine<'_>, out: &mut Outbox, cx: &mut Context<'_>) -> Progress {
        let Some(next) = self.next_step(reply.code) else {
            if self.step == SmtpStep::Quit {
                return Progress::Close(CloseReason::Done);
            }
            let (step, code, text) = (self.step_name(), reply.code, visible(reply.text));
            self.session.fail(format!("the server answered {step} with {code} {text}"));
            return self.take(SmtpStep::Quit, out, cx);
        };
        if self.step == SmtpStep::Message {
            // The server is now responsible for the mail, however the connection ends.
            self.session.finish(Ok(()));
        }
        self.take(next, out, cx)
    }

    /// Shows the beginning of the message, and its last line.
    fn show_message(&mut self, content: &[u8]) {
        let lines: Vec<&[u8]> = content.split_inclusive(|b| *b == b'\n').collect();
        let (shown, rest) = lines.split_at(lines.len().min(SHOWN_LINES));
        self.session.dialogue.sent(&shown.concat());
        if let [hidden @ .., end] = rest {
            if !hidden.is_empty() {
                self.session.dialogue.sent(format!("({} more lines)", hidden.len()).as_bytes());
            }
            self.session.dialogue.sent(end);
        }
    }

    /// Sends what `step` sends.
    fn take(&mut self, step: SmtpStep, out: &mut Outbox, cx: &mut Context<'_>) -> Progress {
        self.step = step;
        if step == SmtpStep::Message {
            let content = self.mail.content(cx.clock.date());
            self.show_message(&content);
            out.put(Body::Memory { range: 0..content.len(), content: content.into() });
            return Progress::Again;
        }
        let command = self.command();
        let is_secret = step == SmtpStep::Password;
        self.session.dialogue.sent(if is_secret { b"(password)" } else { command.as_bytes() });
        out.bytes().extend_from_slice(format!("{command}\r\n").as_bytes());
        Progress::Again
    }
}

impl Protocol for SmtpClient {
    fn receive(&mut self, input: &[u8], out: &mut Outbox, cx: &mut Context<'_>) -> Received {
        let (line, consumed) = match self.session.read_line(input, cx) {
            Ok(found) => found,
            Err(received) => return received,
        };
        let reply =
            ReplyLine::parse(line).filter(|reply| self.open_reply.is_none_or(|code| code == reply.code));
        let Some(reply) = reply else {
            let sentence = format!("the server sent a line that is not a reply: {}", visible(line));
            return self.session.reject(input, sentence);
        };
        if self.step == SmtpStep::Ehlo && reply.text.eq_ignore_ascii_case(b"8BITMIME") {
            self.accepts_8bit = true;
        }
        self.open_reply = (!reply.is_last).then_some(reply.code);
        let progress = if reply.is_last { self.proceed(&reply, out, cx) } else { Progress::Again };
        Received { consumed, progress }
    }

    fn timeout(&self, _partial: bool) -> Timeout {
        self.session.timeout()
    }

    fn on_closed(&mut self, reason: CloseReason, _sent: u64, _cx: &mut Context<'_>) {
        let place = match self.step {
            SmtpStep::Greeting => "before it greeted the client".into(),
            _ => format!("before it answered {}", self.step_name()),
        };
        self.session.on_closed(reason, &place);
    }
}
