//! Echo, by stream and by datagram: the smallest services there are, and a second answer to "what is a protocol?".

use std::net::SocketAddr;

use crate::{
    observer::Step,
    protocol::{Context, Next, Outbox, Patience, Protocol, Received, Responder, Why},
};

/// Sends everything back, on a stream (RFC 862) or a datagram socket.
#[derive(Debug, Clone, Copy, Default)]
pub struct Echo;

impl Protocol for Echo {
    fn receive(&mut self, input: &[u8], out: &mut Outbox, cx: &mut Context<'_>) -> Received {
        cx.note(|| Step::Understood { start: Vec::new(), len: input.len(), left: 0 });
        out.bytes().extend_from_slice(input);
        Received { consumed: input.len(), next: Next::NeedInput }
    }

    fn patience(&self, _partial: bool) -> Patience {
        Patience { limit: None, why: Why::IdleTimeout }
    }
}

impl Responder for Echo {
    fn respond<'a>(&'a mut self, datagram: &'a [u8], _from: SocketAddr) -> Option<&'a [u8]> {
        Some(datagram)
    }
}
