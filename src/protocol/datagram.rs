//! The protocol of a datagram socket, and its unsent datagrams.

use std::{collections::VecDeque, io::Error, net::SocketAddr, time::Instant};

use super::Context;

/// The number of unsent bytes at which a datagram outbox is full.
const ROOM: usize = 64 * 1024;

/// The protocol of a datagram socket.
pub trait DatagramProtocol {
    /// Handles one datagram, and puts any number of answers into `out`. The loop calls this method
    /// only while `out` has room.
    fn receive(&mut self, datagram: &[u8], from: SocketAddr, out: &mut DatagramOutbox, cx: &mut Context<'_>);

    /// Continues without a datagram. The loop calls this method when `out` has room, at the time
    /// that [`DatagramProtocol::wake_at`] returns, or because another source has
    /// [woken](Context::wake) this one.
    fn resume(&mut self, _out: &mut DatagramOutbox, _cx: &mut Context<'_>) {}

    /// Returns when the loop should call [`DatagramProtocol::resume`]. The loop asks after each
    /// turn of the socket.
    fn wake_at(&self) -> Option<Instant> {
        None
    }

    /// Notifies the protocol that the socket reported an error. A connected socket reports
    /// `ConnectionRefused` if nothing listens at the peer's address (udp(7)).
    fn on_error(&mut self, _error: &Error, _cx: &mut Context<'_>) {}
}

/// The unsent datagrams of one socket, in order.
#[derive(Debug, Default)]
pub struct DatagramOutbox {
    /// The datagrams, one after another.
    bytes: Vec<u8>,
    /// The number of `bytes` that have been sent.
    sent: usize,
    /// The length and the destination of each unsent datagram.
    queue: VecDeque<(usize, SocketAddr)>,
}

impl DatagramOutbox {
    /// Adds a datagram for `to`. Call it only while the outbox has room.
    pub fn send(&mut self, datagram: &[u8], to: SocketAddr) {
        self.bytes.extend_from_slice(datagram);
        self.queue.push_back((datagram.len(), to));
    }

    /// Returns whether the protocol may add a datagram. A full outbox stops receiving.
    pub fn has_room(&self) -> bool {
        self.bytes.len() - self.sent < ROOM && self.queue.len() < ROOM / 64
    }

    /// Returns the next datagram and its destination.
    pub fn next(&self) -> Option<(&[u8], SocketAddr)> {
        let (len, to) = *self.queue.front()?;
        Some((&self.bytes[self.sent..self.sent + len], to))
    }

    /// Removes the next datagram.
    pub fn advance(&mut self) {
        let Some((len, _)) = self.queue.pop_front() else { return };
        self.sent += len;
        // The sent bytes are removed now and then, not each time, because that moves the others.
        if self.queue.is_empty() || self.sent >= ROOM {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagram_outbox_keeps_order_and_bounds() {
        let to = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let mut out = DatagramOutbox::default();
        assert_eq!(out.next(), None);
        for (datagram, port) in [("one", 1), ("", 2), ("three", 3)] {
            out.send(datagram.as_bytes(), to(port));
        }
        for (datagram, port) in [("one", 1), ("", 2), ("three", 3)] {
            assert_eq!(out.next(), Some((datagram.as_bytes(), to(port))));
            out.advance();
        }
        assert!(out.next().is_none() && out.has_room());
        out.send(&vec![0; ROOM], to(1));
        assert!(!out.has_room());
        out.advance();
        (0..ROOM / 64).for_each(|_| out.send(&[], to(1)));
        assert!(!out.has_room(), "empty datagrams count, too");
    }
}
