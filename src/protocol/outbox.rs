//! What is still to be sent on one connection: bytes, and one body behind them.
//!
//! A protocol fills it, a connection empties it. It holds data and does no I/O. Its size is bounded because nothing is
//! put in unless it [has room](Outbox::has_room); a silent connection's outbox holds no buffer at all.

use std::{fs::File, mem, ops::Range, rc::Rc};

/// Above this many unsent bytes the protocol is not asked for more.
const ROOM: usize = 64 * 1024;

/// Bytes and one body still to send, in that order.
#[derive(Default)]
pub struct Outbox {
    /// Heads and small bodies.
    bytes: Vec<u8>,
    /// How many of `bytes` are sent.
    sent: usize,
    body: Option<Body>,
    /// Bytes that the socket took since the beginning.
    sent_in_all: u64,
}

/// A body that is not copied: sent from where it lies.
pub enum Body {
    /// What is left of a part of shared memory.
    Memory { content: Rc<[u8]>, part: Range<usize> },
    /// `left` bytes of a file from `offset`.
    File { file: Rc<File>, offset: u64, left: u64 },
}

impl Body {
    fn left(&self) -> u64 {
        match self {
            Body::Memory { part, .. } => part.len() as u64,
            Body::File { left, .. } => *left,
        }
    }

    fn advance(&mut self, n: usize) {
        match self {
            Body::Memory { part, .. } => part.start += n,
            Body::File { offset, left, .. } => {
                *offset += n as u64;
                *left -= n as u64;
            }
        }
    }
}

/// What goes out next; slices are never empty.
pub enum Front<'a> {
    Nothing,
    Bytes(&'a [u8]),
    BytesThenMemory(&'a [u8], &'a [u8]),
    BytesThenFile(&'a [u8]),
    File { file: &'a File, offset: u64, left: u64 },
}

impl Outbox {
    /// False while the protocol must not be asked for more: that is the backpressure.
    pub fn has_room(&self) -> bool {
        self.body.is_none() && self.unsent().len() < ROOM
    }

    pub fn is_empty(&self) -> bool {
        self.body.is_none() && self.unsent().is_empty()
    }

    /// Where heads and small bodies are appended. Only while the outbox has room.
    pub fn bytes(&mut self) -> &mut Vec<u8> {
        debug_assert!(self.body.is_none(), "bytes behind a body would overtake it");
        &mut self.bytes
    }

    /// Puts a body behind the bytes; the outbox has no room until it is sent. An empty body is none.
    pub fn put(&mut self, body: Body) {
        debug_assert!(self.body.is_none(), "one body at a time");
        if body.left() > 0 {
            self.body = Some(body);
        }
    }

    /// How many bytes the socket took since the beginning.
    pub fn sent(&self) -> u64 {
        self.sent_in_all
    }

    /// Where the next byte that is put in will stand in all that is ever sent, from 0.
    pub fn position(&self) -> u64 {
        self.sent_in_all + self.unsent().len() as u64 + self.body.as_ref().map_or(0, Body::left)
    }

    /// What to offer to the socket next.
    pub fn front(&self) -> Front<'_> {
        let bytes = self.unsent();
        match &self.body {
            None if bytes.is_empty() => Front::Nothing,
            None => Front::Bytes(bytes),
            Some(Body::Memory { content, part }) if bytes.is_empty() => Front::Bytes(&content[part.clone()]),
            Some(Body::Memory { content, part }) => Front::BytesThenMemory(bytes, &content[part.clone()]),
            Some(Body::File { file, offset, left }) if bytes.is_empty() => {
                Front::File { file, offset: *offset, left: *left }
            }
            Some(Body::File { .. }) => Front::BytesThenFile(bytes),
        }
    }

    /// Takes note that the socket took the next `n` bytes.
    pub fn advance(&mut self, n: usize) {
        let of_bytes = n.min(self.unsent().len());
        self.sent += of_bytes;
        self.sent_in_all += n as u64;
        if let Some(body) = &mut self.body {
            body.advance(n - of_bytes);
            if body.left() == 0 {
                self.body = None;
            }
        }
        if self.sent == self.bytes.len() {
            self.bytes.clear();
            self.sent = 0;
        }
    }

    /// Works on the loop's spare buffer while nothing is unsent from before: see [`Outbox::give_back`].
    pub fn borrow(&mut self, spare: &mut Vec<u8>) {
        if self.bytes.is_empty() {
            mem::swap(&mut self.bytes, spare);
        }
    }

    /// Returns the spare buffer; what is unsent is kept in a buffer of just its size.
    pub fn give_back(&mut self, spare: &mut Vec<u8>) {
        if self.bytes.capacity() > spare.capacity() {
            let unsent = self.unsent().to_vec();
            mem::swap(&mut self.bytes, spare);
            spare.clear();
            self.bytes = unsent;
            self.sent = 0;
        } else if self.bytes.is_empty() {
            self.bytes = Vec::new();
        }
    }

    fn unsent(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes everything out of `out`, `step` bytes at a time.
    fn drain(out: &mut Outbox, step: usize) -> Vec<u8> {
        let mut got = Vec::new();
        loop {
            let mut offered = match out.front() {
                Front::Nothing => return got,
                Front::Bytes(bytes) => bytes.to_vec(),
                Front::BytesThenMemory(bytes, body) => [bytes, body].concat(),
                Front::BytesThenFile(_) | Front::File { .. } => unreachable!("no file in this test"),
            };
            offered.truncate(step);
            out.advance(offered.len());
            got.extend(offered);
        }
    }

    #[test]
    fn bytes_and_a_body_leave_in_order_whatever_the_socket_takes() {
        for step in 1..=12 {
            let mut out = Outbox::default();
            out.bytes().extend(b"head ");
            out.put(Body::Memory { content: Rc::from(*b"the body!"), part: 4..8 });
            assert_eq!((out.sent(), out.position()), (0, 9));
            assert!(!out.has_room());
            assert_eq!(drain(&mut out, step), b"head body");
            assert_eq!((out.sent(), out.position()), (9, 9));
            assert!(out.is_empty() && out.has_room());
        }
    }

    #[test]
    fn an_empty_body_takes_no_room() {
        let mut out = Outbox::default();
        out.put(Body::Memory { content: Rc::from([]), part: 0..0 });
        assert!(out.is_empty() && out.has_room());
    }

    #[test]
    fn it_has_no_room_beyond_its_bound() {
        let mut out = Outbox::default();
        out.bytes().resize(ROOM - 1, 0);
        assert!(out.has_room());
        out.bytes().push(0);
        assert!(!out.has_room());
        out.advance(1);
        assert!(out.has_room());
    }

    #[test]
    fn the_spare_buffer_comes_back_and_what_is_unsent_stays() {
        let mut spare = Vec::with_capacity(1000);
        let mut out = Outbox::default();
        out.borrow(&mut spare);
        out.bytes().extend(b"all sent");
        out.advance(8);
        out.give_back(&mut spare);
        assert_eq!((spare.capacity(), out.bytes.capacity()), (1000, 0));

        out.borrow(&mut spare);
        out.bytes().extend(b"half sent");
        out.advance(5);
        out.give_back(&mut spare);
        assert_eq!((spare.capacity(), spare.len()), (1000, 0));
        assert_eq!((out.unsent(), out.bytes.capacity()), (&b"sent"[..], 4));

        // What was kept is sent from its own buffer, which is freed then.
        out.borrow(&mut spare);
        out.advance(4);
        out.give_back(&mut spare);
        assert_eq!((spare.capacity(), out.bytes.capacity()), (1000, 0));
    }
}
