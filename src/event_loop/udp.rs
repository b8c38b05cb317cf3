//! A UDP socket: one datagram in, at most one out.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
};

use mio::net::UdpSocket;

use crate::{
    protocol::{Context, DatagramProtocol},
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
    /// An answer that a full send buffer did not accept, and its destination. The socket receives
    /// nothing more until this answer has been sent.
    unsent: Option<(Vec<u8>, SocketAddr)>,
}

impl UdpSource {
    /// Creates a source from a socket that is bound to `address`.
    pub fn new(socket: UdpSocket, address: SocketAddr, protocol: Box<dyn DatagramProtocol>) -> UdpSource {
        UdpSource { socket, address, protocol, unsent: None }
    }

    /// Receives datagrams into `buffer` and answers each, until none is left, the send buffer is
    /// full, or the budget is used up.
    pub fn handle(&mut self, ready: &mut Readiness, buffer: &mut [u8], cx: &mut Context<'_>) -> Want {
        for _ in 0..DATAGRAM_BUDGET {
            if let Some((answer, to)) = self.unsent.take() {
                self.send(&answer, to, ready, cx);
            } else if ready.readable {
                self.receive(ready, buffer, cx);
            } else {
                return Want::Readable;
            }
            if self.unsent.is_some() && !ready.writable {
                return Want::Writable;
            }
        }
        Want::Turn
    }

    /// Receives one datagram and sends its answer.
    fn receive(&mut self, ready: &mut Readiness, buffer: &mut [u8], cx: &mut Context<'_>) {
        let offered = buffer.len();
        match self.socket.recv_from(buffer) {
            Ok((got, from)) => {
                cx.trace(|| Step::Received { offered, bytes: buffer[..got].to_vec(), from });
                if is_itself(from, self.address) {
                    return; // a forged source address: the socket would answer itself forever
                }
                if let Some(answer) = self.protocol.respond(&buffer[..got], from) {
                    let sent = self.socket.send_to(answer, from);
                    self.unsent = unsent(sent, answer, from, ready, cx);
                }
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => {
                // After any error, the next datagram triggers a new edge.
                ready.readable = false;
                if e.kind() == ErrorKind::WouldBlock {
                    cx.trace(|| Step::Drained);
                } else {
                    log::debug!("{}: cannot receive: {e}", cx.source);
                }
            }
        }
    }

    /// Sends `answer`, which did not fit into the send buffer before.
    fn send(&mut self, answer: &[u8], to: SocketAddr, ready: &mut Readiness, cx: &mut Context<'_>) {
        let sent = self.socket.send_to(answer, to);
        self.unsent = unsent(sent, answer, to, ready, cx);
    }
}

/// Returns whether an answer to `from` would arrive at our own socket, which is bound to `own`.
fn is_itself(from: SocketAddr, own: SocketAddr) -> bool {
    from.port() == own.port() && (own.ip() == from.ip() || own.ip().is_unspecified())
}

/// Returns what is left to send: the whole answer if the send buffer is full, otherwise nothing. A
/// datagram that cannot be sent for another reason is dropped.
fn unsent(
    sent: io::Result<usize>,
    answer: &[u8],
    to: SocketAddr,
    ready: &mut Readiness,
    cx: &mut Context<'_>,
) -> Option<(Vec<u8>, SocketAddr)> {
    match sent {
        Ok(got) => cx.trace(|| Step::Sent { got, to }),
        Err(e) if e.kind() == ErrorKind::WouldBlock => {
            ready.writable = false;
            cx.trace(|| Step::Blocked { by: SendCall::Send, offered: answer.len() });
            return Some((answer.to_vec(), to));
        }
        // The socket is still writable, so the next round tries again.
        Err(e) if e.kind() == ErrorKind::Interrupted => return Some((answer.to_vec(), to)),
        Err(e) => log::debug!("{}: cannot answer {to}: {e}", cx.source),
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn udp_ignores_a_datagram_from_itself() {
        let table = [
            ("127.0.0.1:9", "127.0.0.1:9", true),
            ("127.0.0.1:9", "127.0.0.1:10", false),
            ("127.0.0.1:9", "127.0.0.2:9", false),
            ("0.0.0.0:9", "127.0.0.2:9", true),
            ("[::]:9", "[::1]:9", true),
            ("[::1]:9", "[::1]:9", true),
        ];
        for (own, from, expected) in table {
            let [own, from]: [SocketAddr; 2] = [own, from].map(|text| text.parse().expect("an address"));
            assert_eq!(is_itself(from, own), expected, "{from} to {own}");
        }
    }
}
