//! A UDP socket: receives datagrams, and sends those that its protocol puts into the outbox.

use std::{io::ErrorKind, net::SocketAddr, time::Instant};

use mio::net::UdpSocket;

use crate::{
    address::may_be_socket,
    protocol::{Context, DatagramOutbox, DatagramProtocol},
    source::{Readiness, Want},
    trace::{SendCall, Step},
};

/// The maximum number of datagrams that a socket receives or sends in one turn.
const DATAGRAM_BUDGET: usize = 64;

/// A UDP socket and its protocol.
pub struct UdpSource {
    pub socket: UdpSocket,
    pub address: SocketAddr,
    protocol: Box<dyn DatagramProtocol>,
    outbox: DatagramOutbox,
}

impl UdpSource {
    /// Creates a source from a socket that is bound to `address`.
    pub fn new(socket: UdpSocket, address: SocketAddr, protocol: Box<dyn DatagramProtocol>) -> UdpSource {
        UdpSource { socket, address, protocol, outbox: DatagramOutbox::default() }
    }

    /// Returns when to resume the protocol. Returns `None` while datagrams are unsent: the protocol
    /// is resumed when they have been sent, and a timer would only spin.
    pub fn wake_at(&self) -> Option<Instant> {
        if self.outbox.next().is_some() { None } else { self.protocol.wake_at() }
    }

    /// Sends the unsent datagrams, resumes the protocol if that is due, and receives datagrams into
    /// `buffer`, until none is left, the send buffer is full, or the budget is used up.
    pub fn handle(&mut self, ready: &mut Readiness, buffer: &mut [u8], cx: &mut Context<'_>) -> Want {
        let is_due = self.protocol.wake_at().is_some_and(|at| at <= cx.clock.now());
        let mut resumes = ready.take_woken() || is_due;
        for _ in 0..DATAGRAM_BUDGET.min(cx.max_calls) {
            if self.outbox.next().is_some() {
                if !ready.writable {
                    // Resume the protocol when the send buffer has room.
                    ready.woken |= resumes;
                    return Want::Writable;
                }
                self.send(ready, cx);
            } else if resumes {
                resumes = false;
                self.protocol.resume(&mut self.outbox, cx);
            } else if ready.readable {
                self.receive(ready, buffer, cx);
            } else {
                return Want::Readable;
            }
        }
        ready.woken |= resumes;
        Want::Turn
    }

    /// Receives one datagram and passes it to the protocol.
    fn receive(&mut self, ready: &mut Readiness, buffer: &mut [u8], cx: &mut Context<'_>) {
        let offered = buffer.len();
        match self.socket.recv_from(buffer) {
            Ok((got, from)) => {
                cx.trace(|| Step::Received { offered, bytes: buffer[..got].to_vec(), from });
                if may_be_socket(from, self.address) {
                    return; // a forged source address: the socket would answer itself forever
                }
                self.protocol.receive(&buffer[..got], from, &mut self.outbox, cx);
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                cx.trace(|| Step::Drained);
                ready.readable = false;
            }
            Err(e) => {
                log::debug!("{}: cannot receive: {e}", cx.source);
                // After any error, the next datagram triggers a new edge.
                ready.readable = false;
                self.protocol.on_error(&e, cx);
            }
        }
    }

    /// Sends the next datagram of the outbox. A datagram that the send buffer does not accept stays
    /// in the outbox; one that cannot be sent for another reason is dropped.
    fn send(&mut self, ready: &mut Readiness, cx: &mut Context<'_>) {
        let Some((datagram, to)) = self.outbox.next() else { return };
        match self.socket.send_to(datagram, to) {
            Ok(got) => cx.trace(|| Step::Sent { got, to }),
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                ready.writable = false;
                let offered = datagram.len();
                return cx.trace(|| Step::Blocked { by: SendCall::Send, offered });
            }
            // The socket is still writable, so the next round tries again.
            Err(e) if e.kind() == ErrorKind::Interrupted => return,
            Err(e) => {
                log::debug!("{}: cannot send to {to}: {e}", cx.source);
                self.protocol.on_error(&e, cx);
            }
        }
        self.outbox.advance();
    }
}
