//! A client that does what a script says: it sends pieces of requests, reads or does not read, and
//! ends its connection in one way or another. It records what came, and when.
//!
//! The script runs outside of the loop. It changes the state that both share, and wakes the client
//! with [`EventLoop::wake`](crate::event_loop::EventLoop::wake).

use std::{cell::RefCell, rc::Rc, time::Instant};

use super::{HttpUrl, answers::AnswerReader};
use crate::{
    clock::Clock,
    protocol::{CloseReason, Context, Outbox, Progress, Protocol, Received, Timeout},
    trace::Step,
};

/// What the script and its client share.
#[derive(Debug)]
pub struct ClientState {
    /// The bytes to send in the client's next turn.
    pub unsent: Vec<u8>,
    /// Whether to end the client's own output once everything is sent.
    pub half_closes: bool,
    /// Whether to read what arrives.
    pub reads: bool,
    /// The reason for which to end the connection, once everything is sent.
    pub end: Option<CloseReason>,
    /// When the connection was established.
    pub connected_at: Option<Instant>,
    /// The turn's time in which the client last began to send.
    pub acted_at: Option<Instant>,
    /// The complete answers, in order.
    pub answers: Vec<AnswerSeen>,
    /// The number of bytes that have arrived.
    pub received: u64,
    /// The number of bytes that the socket has taken.
    pub sent: u64,
    /// Why what arrived is not an answer.
    pub fault: Option<String>,
    /// How the connection ended, and when.
    pub closed: Option<(CloseReason, Instant)>,
}

/// A complete answer of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerSeen {
    /// The turn's time in which its end arrived.
    pub at: Instant,
    /// Its length in bytes.
    pub len: u64,
    /// Its status code; `None` for a line.
    pub status: Option<u16>,
}

/// The messages that a scripted client sends, and how it finds the end of each answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScriptedRequest {
    /// The head of a GET request for an HTTP/1.1 server.
    Http(Vec<u8>),
    /// A line, which is answered with a line.
    Line(Vec<u8>),
}

impl ScriptedRequest {
    /// Returns a GET request for `url`. The server may keep the connection.
    pub fn get(url: &HttpUrl) -> ScriptedRequest {
        ScriptedRequest::Http(url.shortest_head())
    }

    /// Returns the bytes of the request.
    pub fn bytes(&self) -> &[u8] {
        match self {
            ScriptedRequest::Http(bytes) | ScriptedRequest::Line(bytes) => bytes,
        }
    }

    /// Returns input of at least `len` bytes, and how many answers it must get: one request with a
    /// long field, or many lines.
    pub fn enlarged(&self, len: usize) -> (Vec<u8>, usize) {
        match self {
            ScriptedRequest::Http(bytes) => {
                let fields = bytes.strip_suffix(b"\r\n").unwrap_or(bytes);
                let padding = format!("X-Padding: {}\r\n\r\n", "x".repeat(len));
                ([fields, padding.as_bytes()].concat(), 1)
            }
            ScriptedRequest::Line(bytes) => {
                let count = len.div_ceil(bytes.len().max(1));
                (bytes.repeat(count), count)
            }
        }
    }
}

/// The protocol of a scripted client.
pub struct ScriptedClient {
    state: Rc<RefCell<ClientState>>,
    reader: AnswerReader,
}

impl Default for ClientState {
    fn default() -> ClientState {
        ClientState {
            unsent: Vec::new(),
            half_closes: false,
            reads: true,
            end: None,
            connected_at: None,
            acted_at: None,
            answers: Vec::new(),
            received: 0,
            sent: 0,
            fault: None,
            closed: None,
        }
    }
}

impl ScriptedClient {
    /// Creates a client that acts on `state` and gets answers to requests such as `request`.
    pub fn new(state: Rc<RefCell<ClientState>>, request: &ScriptedRequest) -> ScriptedClient {
        ScriptedClient { state, reader: AnswerReader::new(request) }
    }

    /// Does what the script asks for.
    fn act(&mut self, out: &mut Outbox, cx: &Context<'_>) -> Progress {
        let mut state = self.state.borrow_mut();
        if !state.unsent.is_empty() {
            state.acted_at = Some(cx.clock.now());
            out.bytes().append(&mut state.unsent);
        }
        if let Some(reason) = state.end {
            return Progress::Close(reason);
        }
        match std::mem::take(&mut state.half_closes) {
            true => Progress::HalfClose,
            false if state.reads => Progress::Again,
            // Until the script wakes the client, the loop reads nothing.
            false => Progress::WaitUntil(None),
        }
    }
}

impl Protocol for ScriptedClient {
    fn on_connected(&mut self, out: &mut Outbox, cx: &mut Context<'_>) -> Progress {
        self.state.borrow_mut().connected_at = Some(cx.clock.now());
        self.act(out, cx)
    }

    /// Counts the complete answers. What arrives does not end the connection, even if it is not an
    /// answer: the script decides.
    fn receive(&mut self, input: &[u8], _out: &mut Outbox, cx: &mut Context<'_>) -> Received {
        let mut state = self.state.borrow_mut();
        if !state.reads {
            return Received { consumed: 0, progress: Progress::WaitUntil(None) };
        }
        let mut consumed = 0;
        while state.fault.is_none() && consumed < input.len() {
            match self.reader.next(&input[consumed..]) {
                Ok((0, _)) => break,
                Ok((len, answer)) => {
                    consumed += len;
                    if let Some((len, status)) = answer {
                        state.answers.push(AnswerSeen { at: cx.clock.now(), len, status });
                    }
                }
                Err(sentence) => state.fault = Some(sentence),
            }
        }
        // The rest of a faulty answer is dropped.
        let consumed = if state.fault.is_some() { input.len() } else { consumed };
        state.received += consumed as u64;
        if consumed == 0 {
            cx.trace(|| Step::Incomplete { have: input.len(), need: self.reader.missing_part() });
        } else {
            let left = input.len() - consumed;
            cx.trace(|| Step::Understood { start: Vec::new(), len: consumed, left });
        }
        // One read in each turn: a client that gets much must not hide what others get meanwhile.
        let progress = if consumed > 0 { Progress::Yield } else { Progress::NeedInput };
        Received { consumed, progress }
    }

    fn resume(&mut self, out: &mut Outbox, cx: &mut Context<'_>) -> Progress {
        self.act(out, cx)
    }

    /// A script may send more while answers arrive.
    fn reads_while_sending(&self) -> bool {
        self.state.borrow().reads
    }

    /// The script decides how long to wait.
    fn timeout(&self, _partial: bool) -> Timeout {
        Timeout { limit: None, reason: CloseReason::IdleTimeout }
    }

    fn on_sent(&mut self, sent: u64, _clock: &Clock) {
        self.state.borrow_mut().sent = sent;
    }

    fn on_closed(&mut self, reason: CloseReason, _sent: u64, cx: &mut Context<'_>) {
        let mut state = self.state.borrow_mut();
        if reason == CloseReason::Eof
            && let Some((len, status)) = self.reader.end()
        {
            state.answers.push(AnswerSeen { at: cx.clock.now(), len, status });
        }
        state.closed = Some((reason, cx.clock.now()));
    }
}
