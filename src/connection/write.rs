//! The write side: the only place that sends on a connection, with as few system calls as the
//! outbox allows.
//!
//! The write side must never send file content that would make the loop wait for a disk, so it asks
//! the file body first.

use std::{
    io::IoSlice,
    ops::ControlFlow::{self, Break, Continue},
    os::fd::OwnedFd,
};

use rustix::{
    io::{Errno, pread},
    net::send,
};

use super::{Budget, Connection};
use crate::{
    clock::Clock,
    protocol::{CloseReason, Context, FileBody, NextWrite, Outbox, Sendable},
    source::{Readiness, Want},
    system::{MORE, NOSIGNAL, send_file},
    trace::{SendCall, Step},
};

/// The maximum number of bytes that one sendfile(2) call sends.
const FILE_SLICE: usize = 1024 * 1024;

/// The result of one write.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub enum WriteResult {
    /// There was nothing to send.
    Nothing,
    /// The socket took `got` of the `offered` bytes. There may be room for more.
    Sent { by: SendCall, offered: usize, got: usize },
    /// The send buffer is full.
    WouldBlock { by: SendCall, offered: usize },
}

impl Connection {
    /// Sends until the outbox is empty, a write would block or the budget is used up, and reports
    /// to the protocol what was sent. If `probe` is false, the first slice of a file is sent
    /// without checking whether it is in memory.
    pub(super) fn write(
        &mut self,
        budget: &mut Budget,
        probe: &mut bool,
        ready: &mut Readiness,
        buffer: &mut [u8],
        cx: &mut Context<'_>,
    ) -> ControlFlow<Want> {
        // Write first, poll later: the send buffer usually has room. Only a write that would block
        // makes the loop poll for writability.
        #[cfg(feature = "tls")]
        if !self.flush_handshake(ready, cx)? {
            return Continue(()); // the handshake needs input first
        }
        while !self.outbox.is_empty() {
            if !ready.writable {
                return Break(Want::Writable);
            }
            if budget.bytes == 0 || budget.calls == 0 {
                return Break(Want::Turn);
            }
            let limit = match &self.throttle {
                None => usize::MAX,
                Some(throttle) => throttle.limit(cx)?,
            };
            let mut at_most = budget.bytes.min(limit);
            if !self.has_encrypted()
                && let Some(file) = self.outbox.next_file()
            {
                // Only the first slice of a turn may be sent without a probe.
                let probe = std::mem::replace(probe, true);
                match file.sendable(at_most.min(FILE_SLICE), probe, buffer, cx.clock) {
                    Sendable::Bytes(count) => at_most = count,
                    Sendable::Retry(after) => {
                        cx.trace(|| Step::NotCached { sent: self.outbox.sent() });
                        return Break(Want::WaitUntil(cx.clock.after(Some(after))));
                    }
                }
            }
            budget.calls -= 1;
            match self.send(at_most, limit, buffer, cx.clock) {
                Ok(WriteResult::Nothing) => {}
                Ok(WriteResult::Sent { by, offered, got }) => {
                    budget.bytes = budget.bytes.saturating_sub(got);
                    self.note_sent(by, offered, got, cx);
                }
                Ok(WriteResult::WouldBlock { by, offered }) => {
                    ready.writable = false;
                    cx.trace(|| Step::Blocked { by, offered });
                }
                Err(reason) => return Break(Want::Close(reason)),
            }
        }
        Continue(())
    }

    /// Counts `got` bytes of the outbox as sent, and reports them to the protocol.
    fn note_sent(&mut self, by: SendCall, offered: usize, got: usize, cx: &mut Context<'_>) {
        if got > 0 {
            self.progress = true;
            cx.counters.bytes_sent += got as u64;
            if let Some(throttle) = &mut self.throttle {
                throttle.count(got, cx.clock.now());
            }
            self.protocol.on_sent(self.outbox.sent(), cx.clock);
        }
        cx.trace(|| {
            let (sent, of) = (self.outbox.sent(), self.outbox.position());
            Step::Wrote { by, offered, got, sent, of }
        });
    }
}

/// Sends the next bytes of the outbox with one system call: at most `limit` bytes, and at most
/// `at_most` if they come from a file. Uses `buffer` for a file that sendfile(2) refuses.
///
/// # Errors
/// Returns the close reason if the connection is broken or the file cannot be sent completely.
pub fn write_once(
    out: &mut Outbox,
    socket: &OwnedFd,
    at_most: usize,
    limit: usize,
    buffer: &mut [u8],
    clock: &Clock,
) -> Result<WriteResult, CloseReason> {
    let (by, offered, result) = match out.next_write_within(limit) {
        NextWrite::Nothing => return Ok(WriteResult::Nothing),
        NextWrite::Bytes(bytes) => (SendCall::Write, bytes.len(), send(socket, bytes, NOSIGNAL)),
        NextWrite::BytesThenMemory(bytes, body) => {
            let result = rustix::io::writev(socket, &[IoSlice::new(bytes), IoSlice::new(body)]);
            (SendCall::Writev, bytes.len() + body.len(), result)
        }
        // MSG_MORE makes the head wait for the first bytes of the body, so that both leave in one
        // segment.
        NextWrite::BytesThenFile(bytes) => {
            let result = send(socket, bytes, NOSIGNAL | MORE);
            (SendCall::Send, bytes.len(), result)
        }
        NextWrite::File(file) => {
            let count = file.left().min(at_most.clamp(1, FILE_SLICE) as u64) as usize;
            write_file(file, socket, count, buffer).map_err(|error| {
                if let Some(errno) = error {
                    file.on_error(errno.raw_os_error(), clock);
                }
                CloseReason::FileChanged
            })?
        }
    };
    match result {
        Ok(got) => {
            out.advance(got);
            Ok(WriteResult::Sent { by, offered, got })
        }
        Err(Errno::AGAIN) => Ok(WriteResult::WouldBlock { by, offered }),
        Err(Errno::INTR) => Ok(WriteResult::Sent { by, offered, got: 0 }),
        Err(Errno::PIPE) => Err(CloseReason::BrokenPipe),
        Err(_) => Err(CloseReason::Reset),
    }
}

/// The call that sent something, the number of bytes offered to it, and its result.
type Call = (SendCall, usize, Result<usize, Errno>);

/// Sends the next bytes of `file`, at most `count`. If the file system or a sandbox refuses
/// sendfile(2), reads into `buffer` and sends from there.
///
/// # Errors
/// Fails if the file cannot be sent completely: with the error, or with `None` if the file is
/// shorter than it was.
fn write_file(
    file: &dyn FileBody,
    socket: &OwnedFd,
    count: usize,
    buffer: &mut [u8],
) -> Result<Call, Option<Errno>> {
    if file.has_sendfile() {
        match send_file(socket, file.fd(), file.offset(), count) {
            // The file was truncated after its length was announced. Closing the connection early
            // is the only way to report it.
            Ok(0) => return Err(None),
            Err(Errno::INVAL | Errno::NOSYS | Errno::PERM | Errno::OPNOTSUPP) => file.refuse_sendfile(),
            Err(errno) if !is_of_socket(errno) => return Err(Some(errno)),
            result => return Ok((SendCall::Sendfile, count, result)),
        }
    }
    let count = count.min(buffer.len());
    match pread(file.fd(), &mut buffer[..count], file.offset()) {
        Ok(0) => Err(None),
        // The bytes that the socket does not take are read again by the next call.
        Ok(got) => Ok((SendCall::ReadSend, got, send(socket, &buffer[..got], NOSIGNAL))),
        Err(Errno::INTR) => Ok((SendCall::ReadSend, count, Err(Errno::INTR))),
        Err(errno) => Err(Some(errno)),
    }
}

/// Returns whether sendfile failed because of the socket or a signal, not because of the file.
fn is_of_socket(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::AGAIN | Errno::INTR | Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN | Errno::TIMEDOUT
    )
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        fs::File,
        io::Read,
        net::{TcpListener, TcpStream as Peer},
        os::{
            fd::{AsFd, BorrowedFd},
            unix::fs::FileExt,
        },
        rc::Rc,
        time::{Duration, SystemTime},
    };

    use super::*;
    use crate::protocol::Body;

    /// A file body that never waits for a disk.
    struct Cached {
        file: File,
        offset: u64,
        left: u64,
        has_sendfile: Cell<bool>,
        errors: Rc<Cell<usize>>,
    }

    impl FileBody for Cached {
        fn fd(&self) -> BorrowedFd<'_> {
            self.file.as_fd()
        }

        fn offset(&self) -> u64 {
            self.offset
        }

        fn left(&self) -> u64 {
            self.left
        }

        fn advance(&mut self, n: u64) {
            (self.offset, self.left) = (self.offset + n, self.left - n);
        }

        fn has_sendfile(&self) -> bool {
            self.has_sendfile.get()
        }

        fn refuse_sendfile(&self) {
            self.has_sendfile.set(false);
        }

        fn on_error(&self, _: i32, _: &Clock) {
            self.errors.set(self.errors.get() + 1);
        }

        fn sendable(&mut self, _: usize, _: bool, _: &mut [u8], _: &Clock) -> Sendable {
            Sendable::Retry(Duration::ZERO) // `write_once` never calls this
        }
    }

    /// Returns both ends of a connection. The first one is non-blocking.
    fn pair() -> (OwnedFd, Peer) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let peer = Peer::connect(listener.local_addr().expect("its address")).expect("connect");
        let (ours, _) = listener.accept().expect("accept");
        ours.set_nonblocking(true).expect("set nonblocking");
        (ours.into(), peer)
    }

    fn clock() -> Clock {
        Clock::frozen(SystemTime::UNIX_EPOCH)
    }

    fn sending(file: File, offset: u64, left: u64) -> Outbox {
        let mut out = Outbox::default();
        out.bytes().extend(b"head ");
        out.put(Body::File(Box::new(Cached {
            file,
            offset,
            left,
            has_sendfile: Cell::new(true),
            errors: Rc::default(),
        })));
        out
    }

    #[test]
    fn write_sends_a_file_beyond_4_gib() {
        let file = tempfile::tempfile().expect("a file");
        let offset = 5 << 30;
        file.write_all_at(b"far away", offset).expect("write");
        let (ours, mut peer) = pair();
        let mut out = sending(file, offset, 8);
        while write_once(&mut out, &ours, 1 << 20, usize::MAX, &mut [0; 100], &clock()).expect("no error")
            != WriteResult::Nothing
        {}
        let mut got = [0; 13];
        peer.read_exact(&mut got).expect("read");
        assert_eq!(&got, b"head far away");
    }

    #[test]
    fn write_reads_and_sends_a_file_that_sendfile_refuses() {
        let file = tempfile::tempfile().expect("a file");
        file.write_all_at(b"in many pieces", 0).expect("write");
        let (ours, mut peer) = pair();
        let refused =
            Cached { file, offset: 3, left: 11, has_sendfile: Cell::new(false), errors: Rc::default() };
        let mut out = Outbox::default();
        out.bytes().extend(b"head ");
        out.put(Body::File(Box::new(refused)));
        let mut write = || write_once(&mut out, &ours, 1 << 20, usize::MAX, &mut [0; 4], &clock());
        assert_eq!(write(), Ok(WriteResult::Sent { by: SendCall::Send, offered: 5, got: 5 }));
        for got in [4, 4, 3] {
            assert_eq!(write(), Ok(WriteResult::Sent { by: SendCall::ReadSend, offered: got, got }));
        }
        assert_eq!(write(), Ok(WriteResult::Nothing));
        let mut got = [0; 16];
        peer.read_exact(&mut got).expect("read");
        assert_eq!(&got, b"head many pieces");
    }

    #[test]
    fn write_of_a_truncated_file_closes_the_connection() {
        let file = tempfile::tempfile().expect("a file");
        file.write_all_at(b"short", 0).expect("write");
        let (ours, _peer) = pair();
        let mut out = sending(file, 0, 100);
        let mut write = || write_once(&mut out, &ours, 1 << 20, usize::MAX, &mut [0; 100], &clock());
        assert_eq!(write(), Ok(WriteResult::Sent { by: SendCall::Send, offered: 5, got: 5 }));
        let (by, offered) =
            if cfg!(feature = "portable") { (SendCall::ReadSend, 5) } else { (SendCall::Sendfile, 100) };
        assert_eq!(write(), Ok(WriteResult::Sent { by, offered, got: 5 }));
        assert_eq!(write(), Err(CloseReason::FileChanged));
    }

    #[test]
    fn write_reports_the_error_of_a_file_that_cannot_be_read_and_not_that_it_is_short() {
        let (ours, _peer) = pair();
        let directory = tempfile::tempdir().expect("a directory");
        // Sendfile refuses a directory, and pread(2) fails with EISDIR.
        let unreadable = File::open(directory.path()).expect("open it");
        for (file, count) in [(unreadable, 1), (tempfile::tempfile().expect("a file"), 0)] {
            let (errors, has_sendfile) = (Rc::default(), Cell::new(true));
            let body = Cached { file, offset: 0, left: 100, has_sendfile, errors: Rc::clone(&errors) };
            let mut out = Outbox::default();
            out.put(Body::File(Box::new(body)));
            let result = write_once(&mut out, &ours, 1 << 20, usize::MAX, &mut [0; 100], &clock());
            assert_eq!((result, errors.get()), (Err(CloseReason::FileChanged), count));
        }
    }

    #[test]
    fn send_error_is_distinguished_from_a_full_buffer() {
        let (ours, peer) = pair();
        let mut out = Outbox::default();
        let fill = |out: &mut Outbox| out.bytes().resize(64 * 1024, b'x');
        fill(&mut out);
        while !matches!(
            write_once(&mut out, &ours, 0, usize::MAX, &mut [], &clock()),
            Ok(WriteResult::WouldBlock { .. })
        ) {
            if out.is_empty() {
                fill(&mut out);
            }
        }
        drop(peer);
        assert!(matches!(
            write_once(&mut out, &ours, 0, usize::MAX, &mut [], &clock()),
            Err(CloseReason::Reset | CloseReason::BrokenPipe)
        ));
    }
}
