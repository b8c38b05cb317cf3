//! The TCP client: sends standard input, and writes what arrives to standard output.

use std::{cell::RefCell, io::Write, rc::Rc, time::Duration};

use super::{ConnectionEnd, StdinBuffer, StreamFraming};
use crate::{
    protocol::{CloseReason, Context, Outbox, Progress, Protocol, Received, Timeout},
    trace::Step,
};

/// A client that relays bytes in both directions, as `nc` does, or messages in a [`StreamFraming`].
pub struct TcpClient {
    stdin: Rc<RefCell<StdinBuffer>>,
    output: Box<dyn Write>,
    end: ConnectionEnd,
    framing: StreamFraming,
    /// How long the peer may be silent after the client has half-closed the connection.
    timeout: Option<Duration>,
    has_ended: bool,
    /// The beginning of a line of input, and of a message of the peer, that are not complete.
    partial_line: Vec<u8>,
    partial_message: Vec<u8>,
}

impl TcpClient {
    /// Creates a client that sends `stdin` and writes what arrives to `output`. A write may wait
    /// for a slow reader, because the client has no other connections. After the end of `stdin`,
    /// the peer may be silent for `timeout`.
    ///
    /// With a framing, the connection ends with [`CloseReason::Limit`] if a line of `stdin` is
    /// too long for a message, and with [`CloseReason::BadRequest`] if the peer's bytes are not a
    /// sequence of messages.
    pub fn new(
        stdin: Rc<RefCell<StdinBuffer>>,
        output: Box<dyn Write>,
        end: ConnectionEnd,
        framing: StreamFraming,
        timeout: Option<Duration>,
    ) -> TcpClient {
        let (partial_line, partial_message) = (Vec::new(), Vec::new());
        let has_ended = false;
        TcpClient { stdin, output, end, framing, timeout, has_ended, partial_line, partial_message }
    }
}

impl Protocol for TcpClient {
    fn on_connected(&mut self, out: &mut Outbox, cx: &mut Context<'_>) -> Progress {
        self.stdin.borrow_mut().set_connection(cx);
        self.resume(out, cx)
    }

    fn receive(&mut self, input: &[u8], _out: &mut Outbox, cx: &mut Context<'_>) -> Received {
        self.partial_message.extend_from_slice(input);
        let mut shown = Vec::new();
        let decoded = self.framing.decode(&self.partial_message, &mut shown);
        let written = self.output.write_all(&shown).and_then(|()| self.output.flush());
        let progress = match (decoded, written) {
            (Ok(done), Ok(())) => {
                self.partial_message.drain(..done);
                let left = self.partial_message.len();
                cx.trace(|| Step::Understood { start: Vec::new(), len: done, left });
                Progress::NeedInput
            }
            (Err(_), Ok(())) => Progress::Close(CloseReason::BadRequest),
            // Nothing reads the output any more, so there is nothing left to do.
            (_, Err(_)) => Progress::Close(CloseReason::Done),
        };
        Received { consumed: input.len(), progress }
    }

    fn resume(&mut self, out: &mut Outbox, cx: &mut Context<'_>) -> Progress {
        let (bytes, has_ended) = self.stdin.borrow_mut().take(cx);
        self.partial_line.extend_from_slice(&bytes);
        // The last line of a file may have no end.
        let is_cut = self.partial_line.last().is_some_and(|byte| *byte != b'\n');
        if has_ended && is_cut && self.framing != StreamFraming::None {
            self.partial_line.push(b'\n');
        }
        match self.framing.encode(&self.partial_line, out.bytes()) {
            Ok(done) => {
                self.partial_line.drain(..done);
            }
            Err(_) => return Progress::Close(CloseReason::Limit),
        }
        self.has_ended = has_ended;
        if has_ended { Progress::HalfClose } else { Progress::Again }
    }

    fn reads_while_sending(&self) -> bool {
        true
    }

    fn timeout(&self, _partial: bool) -> Timeout {
        // An interactive user may pause for any time, and can end the wait. After the end of input,
        // only a limit can end it.
        let limit = self.timeout.filter(|_| self.has_ended);
        Timeout { limit, reason: CloseReason::IdleTimeout }
    }

    fn on_closed(&mut self, reason: CloseReason, _sent: u64, _cx: &mut Context<'_>) {
        let is_cut = reason == CloseReason::Eof && !self.partial_message.is_empty();
        if is_cut && self.framing == StreamFraming::Lines {
            self.partial_message.push(b'\n');
            let _ = self.output.write_all(&self.partial_message); // the connection is over anyway
        }
        let is_broken = is_cut && self.framing == StreamFraming::Length;
        self.end.set(if is_broken { CloseReason::BadRequest } else { reason });
    }
}
