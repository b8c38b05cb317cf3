//! The echo service, for streams and datagrams. It is the smallest example of a protocol, and owns
//! no state. As a datagram protocol it answers every source. On a network, use
//! [`UdpEcho`](super::UdpEcho), which a forged datagram cannot set on another echo.

use std::net::SocketAddr;

use crate::{
    protocol::{
        CloseReason, Context, DatagramOutbox, DatagramProtocol, Outbox, Progress, Protocol, Received, Timeout,
    },
    trace::Step,
};

/// The echo protocol: sends all input back, on a stream or a datagram socket (RFC 862).
#[derive(Debug, Clone, Copy, Default)]
pub struct Echo;

impl Protocol for Echo {
    fn receive(&mut self, input: &[u8], out: &mut Outbox, cx: &mut Context<'_>) -> Received {
        cx.trace(|| Step::Understood { start: Vec::new(), len: input.len(), left: 0 });
        out.bytes().extend_from_slice(input);
        Received { consumed: input.len(), progress: Progress::NeedInput }
    }

    fn timeout(&self, _partial: bool) -> Timeout {
        Timeout { limit: None, reason: CloseReason::IdleTimeout }
    }
}

impl DatagramProtocol for Echo {
    fn receive(
        &mut self,
        datagram: &[u8],
        from: SocketAddr,
        out: &mut DatagramOutbox,
        _cx: &mut Context<'_>,
    ) {
        out.send(datagram, from);
    }
}
