//! The unsent output of one connection: bytes, followed by at most one body.
//!
//! A protocol fills the outbox and a connection empties it. The outbox holds data and must never do
//! I/O. Its size is limited because a protocol adds output only while it [has
//! room](Outbox::has_room). The outbox of an idle connection holds no buffer.

use std::{mem, ops::Range, os::fd::BorrowedFd, rc::Rc, time::Duration};

use crate::clock::Clock;

/// The number of unsent bytes at which the outbox is full.
const ROOM: usize = 64 * 1024;

/// The unsent output of one connection: bytes, followed by at most one body.
#[derive(Default)]
pub struct Outbox {
    /// A connection that waits for a request has none.
    unsent: Option<Box<Unsent>>,
    /// The number of bytes that the socket has taken since the connection was accepted.
    total_sent: u64,
}

/// Output, and the buffer that it is in.
#[derive(Default)]
struct Unsent {
    /// Response heads and small bodies.
    bytes: Vec<u8>,
    /// The number of `bytes` that have been sent.
    sent: usize,
    body: Option<Body>,
}

impl Unsent {
    /// Returns the unsent bytes before the body.
    fn bytes(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    fn is_empty(&self) -> bool {
        self.body.is_none() && self.bytes().is_empty()
    }
}

/// The loop's spare buffer, which it lends to one outbox at a time.
pub struct SpareBuffer(Option<Box<Unsent>>);

impl SpareBuffer {
    /// Allocates a buffer for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> SpareBuffer {
        SpareBuffer(Some(Box::new(Unsent { bytes: Vec::with_capacity(capacity), ..Unsent::default() })))
    }

    /// Returns the number of bytes for which there is room, or 0 while the buffer is lent.
    fn capacity(&self) -> usize {
        self.0.as_ref().map_or(0, |unsent| unsent.bytes.capacity())
    }
}

/// A body that is sent from where it is stored, without a copy.
pub enum Body {
    /// A range of bytes in shared memory.
    Memory {
        /// The whole content.
        content: Rc<[u8]>,
        /// The unsent range.
        range: Range<usize>,
    },
    /// A range of bytes in an open file.
    File(Box<dyn FileBody>),
}

/// The unsent rest of a byte range in an open file.
pub trait FileBody {
    /// Returns the descriptor of the open file.
    fn fd(&self) -> BorrowedFd<'_>;

    /// Returns the file offset of the next byte to send.
    fn offset(&self) -> u64;

    /// Returns the number of bytes left to send.
    fn left(&self) -> u64;

    /// Records that the socket has taken the next `n` bytes.
    fn advance(&mut self, n: u64);

    /// Returns whether to send the file with sendfile(2) rather than with pread(2) and send(2).
    fn has_sendfile(&self) -> bool;

    /// Records that sendfile refused the file, and perhaps every file like it.
    fn refuse_sendfile(&self);

    /// Records that the file cannot be sent completely because of the error number `errno`
    /// (errno(3)). Any client can cause the same error again and again, so not each one may be
    /// logged.
    fn on_error(&self, errno: i32, clock: &Clock);

    /// Returns how many of the next `at_most` bytes can be sent without waiting for a disk. May use
    /// `buffer` as scratch space. If `probe` is false, returns a number of bytes without checking,
    /// because the caller must find out whether the peer accepts any data.
    fn sendable(&mut self, at_most: usize, probe: bool, buffer: &mut [u8], clock: &Clock) -> Sendable;
}

/// The result of [`FileBody::sendable`].
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sendable {
    /// The number of bytes that can be sent, never 0.
    Bytes(usize),
    /// Nothing can be sent yet. Ask again after this delay.
    Retry(Duration),
}

impl Body {
    fn left(&self) -> u64 {
        match self {
            Body::Memory { range, .. } => range.len() as u64,
            Body::File(file) => file.left(),
        }
    }

    fn advance(&mut self, n: usize) {
        match self {
            Body::Memory { range, .. } => range.start += n,
            Body::File(file) => file.advance(n as u64),
        }
    }
}

/// What to send next. No slice is empty.
pub enum NextWrite<'a> {
    /// Nothing: the outbox is empty.
    Nothing,
    /// These bytes.
    Bytes(&'a [u8]),
    /// These bytes, followed by the rest of a body in memory.
    BytesThenMemory(&'a [u8], &'a [u8]),
    /// These bytes, with a file to follow.
    BytesThenFile(&'a [u8]),
    /// The rest of a file.
    File(&'a mut dyn FileBody),
}

impl Outbox {
    /// Returns whether the protocol may add output. This provides backpressure: a full outbox stops
    /// parsing and reading.
    pub fn has_room(&self) -> bool {
        self.unsent.as_ref().is_none_or(|unsent| unsent.body.is_none() && unsent.bytes().len() < ROOM)
    }

    /// Returns whether all output has been sent.
    pub fn is_empty(&self) -> bool {
        self.unsent.as_ref().is_none_or(|unsent| unsent.is_empty())
    }

    /// Returns the buffer to append heads and small bodies to. Call it only while the outbox has
    /// room.
    pub fn bytes(&mut self) -> &mut Vec<u8> {
        let unsent = self.unsent.get_or_insert_default();
        debug_assert!(unsent.body.is_none(), "bytes behind a body would overtake it");
        &mut unsent.bytes
    }

    /// Returns the bytes behind the first `start` ones, and the body, for a protocol that keeps a
    /// copy of its output. Call it only before anything is sent.
    pub fn added_since(&self, start: usize) -> (&[u8], Option<&Body>) {
        let Some(unsent) = &self.unsent else { return (&[], None) };
        (unsent.bytes.get(start..).unwrap_or_default(), unsent.body.as_ref())
    }

    /// Adds a body after the bytes. The outbox has no room until the body has been sent. An empty
    /// body is dropped.
    pub fn put(&mut self, body: Body) {
        let unsent = self.unsent.get_or_insert_default();
        debug_assert!(unsent.body.is_none(), "one body at a time");
        if body.left() > 0 {
            unsent.body = Some(body);
        }
    }

    /// Returns the number of bytes that the socket has taken since the connection was accepted.
    pub fn sent(&self) -> u64 {
        self.total_sent
    }

    /// Returns the position of the next byte to be added. The first byte sent on the connection has
    /// position 0. Compare the position with [`Outbox::sent`].
    pub fn position(&self) -> u64 {
        self.total_sent + self.left()
    }

    /// Returns the number of bytes that the socket has not taken yet.
    pub fn left(&self) -> u64 {
        let Some(unsent) = &self.unsent else { return 0 };
        unsent.bytes().len() as u64 + unsent.body.as_ref().map_or(0, Body::left)
    }

    /// Returns the body if it is a file and no bytes are left to send before it.
    pub fn next_file(&mut self) -> Option<&mut dyn FileBody> {
        let unsent = self.unsent.as_mut()?;
        match &mut unsent.body {
            Some(Body::File(file)) if unsent.sent == unsent.bytes.len() => Some(&mut **file),
            _ => None,
        }
    }

    /// Returns what to offer to the socket next.
    pub fn next_write(&mut self) -> NextWrite<'_> {
        self.next_write_within(usize::MAX)
    }

    /// Returns what to offer to the socket next: at most `limit` bytes, which must not be 0, or a
    /// file.
    pub fn next_write_within(&mut self, limit: usize) -> NextWrite<'_> {
        let Some(unsent) = &mut self.unsent else { return NextWrite::Nothing };
        let bytes = &unsent.bytes[unsent.sent..];
        if bytes.len() > limit {
            return NextWrite::Bytes(&bytes[..limit]);
        }
        let left = limit - bytes.len();
        match (&mut unsent.body, bytes.is_empty()) {
            (None, true) => NextWrite::Nothing,
            (None, false) => NextWrite::Bytes(bytes),
            (Some(Body::Memory { content, range }), is_next) => {
                let body = &content[range.start..range.end.min(range.start.saturating_add(left))];
                match is_next {
                    true => NextWrite::Bytes(body),
                    false if body.is_empty() => NextWrite::Bytes(bytes),
                    false => NextWrite::BytesThenMemory(bytes, body),
                }
            }
            (Some(Body::File(file)), true) => NextWrite::File(&mut **file),
            // The file does not follow at once.
            (Some(Body::File(_)), false) if limit < usize::MAX => NextWrite::Bytes(bytes),
            (Some(Body::File(_)), false) => NextWrite::BytesThenFile(bytes),
        }
    }

    /// Records that the socket has taken the next `n` bytes.
    pub fn advance(&mut self, n: usize) {
        self.total_sent += n as u64;
        let Some(unsent) = &mut self.unsent else { return };
        // One write may have sent the end of the bytes and the beginning of the body.
        let from_bytes = n.min(unsent.bytes().len());
        unsent.sent += from_bytes;
        if let Some(body) = &mut unsent.body {
            body.advance(n - from_bytes);
            if body.left() == 0 {
                unsent.body = None;
            }
        }
        if unsent.sent == unsent.bytes.len() {
            unsent.bytes.clear();
            unsent.sent = 0;
        }
    }

    /// Takes the loop's spare buffer if no bytes are unsent. [`Outbox::return_buffer`] returns it.
    pub fn lend_buffer(&mut self, spare: &mut SpareBuffer) {
        match (&mut self.unsent, &mut spare.0) {
            (None, spare) => self.unsent = spare.take(),
            // A body is unsent. The bytes of the next response go behind it.
            (Some(unsent), Some(spare)) if unsent.bytes.is_empty() => {
                mem::swap(&mut unsent.bytes, &mut spare.bytes);
            }
            _ => {}
        }
    }

    /// Returns the spare buffer to the loop, and moves unsent output to allocations of exactly its
    /// size.
    pub fn return_buffer(&mut self, spare: &mut SpareBuffer) {
        let Some(mut unsent) = self.unsent.take() else { return };
        // The larger buffer is the loop's, or one that has outgrown it. The loop keeps the larger
        // one, and a connection never holds spare capacity.
        let is_larger = unsent.bytes.capacity() > spare.capacity();
        if unsent.is_empty() {
            if is_larger {
                spare.0 = Some(unsent);
            }
            return;
        }
        if is_larger {
            let kept = Unsent { bytes: unsent.bytes().to_vec(), sent: 0, body: unsent.body.take() };
            unsent.bytes.clear();
            unsent.sent = 0;
            spare.0 = Some(mem::replace(&mut unsent, Box::new(kept)));
        } else if unsent.bytes.is_empty() {
            unsent.bytes = Vec::new();
        }
        self.unsent = Some(unsent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Empties `out`, `step` bytes at a time, and returns the bytes in order. If `is_limited`, no
    /// more than `step` bytes are offered.
    fn drain(out: &mut Outbox, step: usize, is_limited: bool) -> Vec<u8> {
        let mut got = Vec::new();
        loop {
            let mut offered = match out.next_write_within(if is_limited { step } else { usize::MAX }) {
                NextWrite::Nothing => return got,
                NextWrite::Bytes(bytes) => bytes.to_vec(),
                NextWrite::BytesThenMemory(bytes, body) => [bytes, body].concat(),
                NextWrite::BytesThenFile(_) | NextWrite::File(_) => unreachable!("no file in this test"),
            };
            assert!(!is_limited || offered.len() <= step);
            offered.truncate(step);
            out.advance(offered.len());
            got.extend(offered);
        }
    }

    #[test]
    fn outbox_sends_bytes_and_body_in_order() {
        for (step, is_limited) in (1..=12).flat_map(|step| [(step, false), (step, true)]) {
            let mut out = Outbox::default();
            out.bytes().extend(b"head ");
            out.put(Body::Memory { content: Rc::from(*b"the body!"), range: 4..8 });
            assert_eq!((out.sent(), out.position(), out.left()), (0, 9, 9));
            assert!(!out.has_room());
            assert_eq!(drain(&mut out, step, is_limited), b"head body");
            assert_eq!((out.sent(), out.position(), out.left()), (9, 9, 0));
            assert!(out.is_empty() && out.has_room());
        }
    }

    #[test]
    fn outbox_ignores_an_empty_body() {
        let mut out = Outbox::default();
        out.put(Body::Memory { content: Rc::from([]), range: 0..0 });
        assert!(out.is_empty() && out.has_room());
    }

    #[test]
    fn outbox_has_room_up_to_its_limit() {
        let mut out = Outbox::default();
        out.bytes().resize(ROOM - 1, 0);
        assert!(out.has_room());
        out.bytes().push(0);
        assert!(!out.has_room());
        out.advance(1);
        assert!(out.has_room());
    }

    /// Returns the bytes that `out` holds, and the capacity of their buffer.
    fn held(out: &Outbox) -> Option<(&[u8], usize)> {
        out.unsent.as_ref().map(|unsent| (unsent.bytes(), unsent.bytes.capacity()))
    }

    #[test]
    fn outbox_returns_the_spare_buffer_and_keeps_unsent_bytes() {
        let mut spare = SpareBuffer::with_capacity(1000);
        let mut out = Outbox::default();
        out.lend_buffer(&mut spare);
        out.bytes().extend(b"all sent");
        out.advance(8);
        out.return_buffer(&mut spare);
        assert_eq!((spare.capacity(), held(&out)), (1000, None));

        out.lend_buffer(&mut spare);
        out.bytes().extend(b"half sent");
        out.advance(5);
        out.return_buffer(&mut spare);
        assert_eq!((spare.capacity(), held(&out)), (1000, Some((&b"sent"[..], 4))));

        // The kept bytes are sent from their own buffer, which is then freed.
        out.lend_buffer(&mut spare);
        out.advance(4);
        out.return_buffer(&mut spare);
        assert_eq!((spare.capacity(), held(&out)), (1000, None));
    }

    #[test]
    fn outbox_takes_the_spare_buffer_behind_an_unsent_body() {
        let mut spare = SpareBuffer::with_capacity(1000);
        let mut out = Outbox::default();
        out.lend_buffer(&mut spare);
        out.bytes().extend(b"head ");
        out.put(Body::Memory { content: Rc::from(*b"body"), range: 0..4 });
        out.advance(7);
        out.return_buffer(&mut spare);
        assert_eq!((spare.capacity(), held(&out)), (1000, Some((&b""[..], 0))));

        out.lend_buffer(&mut spare);
        out.advance(2);
        out.bytes().extend(b"next");
        assert_eq!(held(&out), Some((&b"next"[..], 1000)));
        out.return_buffer(&mut spare);
        assert_eq!((spare.capacity(), held(&out)), (1000, Some((&b"next"[..], 4))));
        assert_eq!((out.sent(), out.position()), (9, 13));
        assert_eq!(size_of::<Outbox>(), 16);
    }
}
