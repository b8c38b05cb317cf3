//! The TCP client: sends standard input, and writes what arrives to standard output.

use std::{cell::RefCell, io::Write, rc::Rc};

use super::{ConnectionEnd, Outgoing};
use crate::{
    protocol::{CloseReason, Context, Outbox, Progress, Protocol, Received, Timeout},
    trace::Step,
};

/// A client that relays bytes in both directions, as `nc` does.
pub struct TcpClient {
    outgoing: Rc<RefCell<Outgoing>>,
    output: Box<dyn Write>,
    end: ConnectionEnd,
}

impl TcpClient {
    /// Creates a client that sends `outgoing` and writes what arrives to `output`. A write may wait
    /// for a slow reader, because the client serves nobody else.
    pub fn new(outgoing: Rc<RefCell<Outgoing>>, output: Box<dyn Write>, end: ConnectionEnd) -> TcpClient {
        TcpClient { outgoing, output, end }
    }
}

impl Protocol for TcpClient {
    fn on_connected(&mut self, out: &mut Outbox, cx: &mut Context<'_>) -> Progress {
        self.outgoing.borrow_mut().set_connection(cx);
        self.resume(out, cx)
    }

    fn receive(&mut self, input: &[u8], _out: &mut Outbox, cx: &mut Context<'_>) -> Received {
        cx.trace(|| Step::Understood { start: Vec::new(), len: input.len(), left: 0 });
        let progress = match self.output.write_all(input).and_then(|()| self.output.flush()) {
            Ok(()) => Progress::NeedInput,
            // Nobody reads the output any more, so there is nothing left to do.
            Err(_) => Progress::Close(CloseReason::Done),
        };
        Received { consumed: input.len(), progress }
    }

    fn resume(&mut self, out: &mut Outbox, cx: &mut Context<'_>) -> Progress {
        let (bytes, has_ended) = self.outgoing.borrow_mut().take(cx);
        out.bytes().extend_from_slice(&bytes);
        if has_ended { Progress::HalfClose } else { Progress::Again }
    }

    fn reads_while_sending(&self) -> bool {
        true
    }

    fn timeout(&self, _partial: bool) -> Timeout {
        Timeout { limit: None, reason: CloseReason::IdleTimeout }
    }

    fn on_closed(&mut self, reason: CloseReason, _sent: u64, _cx: &mut Context<'_>) {
        self.end.set(reason);
    }
}
