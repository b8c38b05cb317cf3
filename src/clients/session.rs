//! The part that the clients with a dialogue share: where they show it, how long they wait for the
//! server, and how the conversation ended.

use std::{cell::RefCell, fmt, io::Error, rc::Rc, time::Duration};

use super::{ConnectionEnd, Dialogue};
use crate::{
    framing::line,
    protocol::{CloseReason, Context, Progress, Received, Timeout},
    trace::Step,
};

/// The maximum length in bytes of a line that a server sends in its dialogue. RFC 5321 and RFC 1939
/// allow 512, but some servers send more.
const MAX_LINE: usize = 4096;

/// The conversation on one connection.
pub struct Session {
    /// Both sides of the dialogue, as the user sees them.
    pub(super) dialogue: Dialogue,
    timeout: Option<Duration>,
    result: ConversationResult,
    end: ConnectionEnd,
}

/// Whether a conversation succeeded, shared by the client and its caller.
#[derive(Debug, Clone, Default)]
pub struct ConversationResult(Rc<RefCell<Option<Result<(), ClientError>>>>);

/// The reason why a conversation failed.
#[derive(Debug)]
pub enum ClientError {
    /// The connection ended too early, or the server refused a step or broke the protocol. The
    /// sentence says what happened.
    Conversation(String),
    /// The output could not be written.
    Output(Error),
}

impl Session {
    /// Creates a session in which the server may take `timeout` for each step. `None` disables the
    /// limit.
    pub fn new(
        dialogue: Dialogue,
        timeout: Option<Duration>,
        result: ConversationResult,
        end: ConnectionEnd,
    ) -> Session {
        Session { dialogue, timeout, result, end }
    }

    /// Ends the conversation. Only the first result counts.
    pub(super) fn finish(&mut self, result: Result<(), ClientError>) {
        self.result.0.borrow_mut().get_or_insert(result);
    }

    /// Ends the conversation, and lets the caller return before the connection is closed, because
    /// closing takes long if the server does not read the rest of a request.
    pub(super) fn leave(&mut self, result: Result<(), ClientError>) -> Progress {
        self.finish(result);
        self.end.set(CloseReason::Done);
        Progress::Close(CloseReason::Done)
    }

    /// Ends the conversation with a failure that `sentence` describes.
    pub(super) fn fail(&mut self, sentence: String) {
        self.finish(Err(ClientError::Conversation(sentence)));
    }

    /// Reads the line at the beginning of `input`, and shows it. Returns the line without its end,
    /// and its length with the end.
    ///
    /// # Errors
    /// Returns what `receive` must return if the line is incomplete or too long.
    pub(super) fn read_line<'a>(
        &mut self,
        input: &'a [u8],
        cx: &mut Context<'_>,
    ) -> Result<(&'a [u8], usize), Received> {
        match line(input, MAX_LINE) {
            Ok(Some((line, len))) => {
                Session::trace_parsed(input, line, len, cx);
                self.dialogue.received(&input[..len]);
                Ok((line, len))
            }
            Ok(None) => Err(Session::need_input(input, "CRLF", cx)),
            Err(_) => {
                let sentence = format!("the server sent a line of more than {MAX_LINE} bytes");
                Err(self.reject(input, sentence))
            }
        }
    }

    /// Waits for more input, because what `need` names is missing.
    pub(super) fn need_input(input: &[u8], need: &'static str, cx: &mut Context<'_>) -> Received {
        cx.trace(|| Step::Incomplete { have: input.len(), need });
        Received { consumed: 0, progress: Progress::NeedInput }
    }

    /// Traces that the first `len` bytes of `input` have been parsed. Their first line is `start`.
    pub(super) fn trace_parsed(input: &[u8], start: &[u8], len: usize, cx: &mut Context<'_>) {
        cx.trace(|| Step::Understood { start: start.to_vec(), len, left: input.len() - len });
    }

    /// Ends the conversation and the connection, because the server sent what `sentence` describes.
    /// The rest of the `input` cannot be parsed.
    pub(super) fn reject(&mut self, input: &[u8], sentence: String) -> Received {
        let progress = self.leave(Err(ClientError::Conversation(sentence)));
        Received { consumed: input.len(), progress }
    }

    /// Returns how long to wait for the server.
    pub(super) fn timeout(&self) -> Timeout {
        Timeout { limit: self.timeout, reason: CloseReason::IdleTimeout }
    }

    /// Handles the end of the connection. The conversation has failed unless it ended before.
    /// `place` says how far the conversation had come.
    pub(super) fn on_closed(&mut self, reason: CloseReason, place: &str) {
        self.end.set(reason);
        if matches!(reason, CloseReason::ConnectFailed(_) | CloseReason::ConnectTimeout) {
            return; // the conversation has not begun: the caller may try another address
        }
        let time = humantime::format_duration(self.timeout.unwrap_or_default());
        let what = match reason {
            CloseReason::Reset | CloseReason::BrokenPipe => "reset the connection".into(),
            CloseReason::IdleTimeout => format!("sent nothing for {time}"),
            CloseReason::SendTimeout => format!("accepted no data for {time}"),
            _ => "closed the connection".to_owned(),
        };
        self.fail(format!("the server {what} {place}"));
    }
}

impl ConversationResult {
    /// Takes the result of the conversation. One that has not ended has failed.
    ///
    /// # Errors
    /// Fails if the conversation failed.
    pub fn take(&self) -> Result<(), ClientError> {
        let result = self.0.borrow_mut().take();
        result.unwrap_or_else(|| Err(ClientError::Conversation("the conversation has not ended".into())))
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Conversation(sentence) => f.write_str(sentence),
            ClientError::Output(e) => write!(f, "cannot write the output: {e}"),
        }
    }
}

impl std::error::Error for ClientError {}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, sink};

    use super::*;

    fn session(result: &ConversationResult) -> Session {
        let dialogue = Dialogue::with_letters(Box::new(sink()));
        let timeout = Some(Duration::from_millis(1500));
        Session::new(dialogue, timeout, result.clone(), ConnectionEnd::default())
    }

    #[test]
    fn session_says_how_the_server_ended_it() {
        let table = [
            (CloseReason::Eof, "the server closed the connection early"),
            (CloseReason::Reset, "the server reset the connection early"),
            (CloseReason::BrokenPipe, "the server reset the connection early"),
            (CloseReason::IdleTimeout, "the server sent nothing for 1s 500ms early"),
            (CloseReason::SendTimeout, "the server accepted no data for 1s 500ms early"),
        ];
        for (reason, expected) in table {
            let result = ConversationResult::default();
            session(&result).on_closed(reason, "early");
            assert_eq!(result.take().expect_err("a failure").to_string(), expected);
        }
    }

    #[test]
    fn session_that_ended_before_the_connection_keeps_its_result() {
        let result = ConversationResult::default();
        let mut session = session(&result);
        session.finish(Ok(()));
        session.fail("too late".into());
        session.on_closed(CloseReason::Reset, "early");
        assert!(result.take().is_ok());
    }

    #[test]
    fn session_without_a_connection_leaves_the_result_to_the_next_one() {
        let result = ConversationResult::default();
        for reason in [CloseReason::ConnectFailed(ErrorKind::ConnectionRefused), CloseReason::ConnectTimeout]
        {
            session(&result).on_closed(reason, "early");
        }
        session(&result).finish(Ok(()));
        assert!(result.take().is_ok());
    }
}
