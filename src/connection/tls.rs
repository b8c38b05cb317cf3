//! The TLS session of a connection: between its socket, and its inbox and outbox.
//!
//! The session holds at most one [`CHUNK`] of encrypted output. The outbox keeps what the chunk was
//! made of until the socket has taken the chunk. So an outbox is empty only when everything was
//! sent, as without TLS, and backpressure, deadlines, eviction and the shutdown work alike.

use std::{
    io::{self, IoSlice, Read, Write},
    ops::ControlFlow::{self, Break, Continue},
    os::fd::OwnedFd,
};

use rustix::{
    io::{Errno, pread, writev},
    net::{RecvFlags, recv, send},
};
use rustls::ServerConnection;

use super::{Connection, Pending, Phase, write::WriteResult};
use crate::{
    clock::Clock,
    protocol::{CloseReason, Context, FileBody, NextWrite, Outbox},
    source::{Readiness, Want},
    system::NOSIGNAL,
    tls::TlsIdentity,
    trace::{SendCall, Step},
};

/// The maximum number of bytes that are encrypted before the socket takes them: four records.
const CHUNK: usize = 64 * 1024;

/// A TLS session, and the output in it.
pub struct TlsSession {
    session: ServerConnection,
    /// The number of bytes at the front of the outbox that are encrypted, and not sent completely.
    encrypted: usize,
    /// The call that the last chunk came by, for traces.
    by: SendCall,
    /// Whether any bytes have arrived.
    has_begun: bool,
    /// Whether decrypted input may be left.
    has_input: bool,
    /// Whether the end of our output has been announced.
    has_closed: bool,
}

/// The result of reading from a session.
enum TlsInput {
    /// This many bytes of decrypted input.
    Bytes(usize),
    /// No input, but this many bytes of the handshake.
    Handshake(usize),
    /// A read would block.
    WouldBlock,
    /// The peer has ended its output.
    End,
    /// The client speaks plain HTTP. Its first bytes are in the buffer.
    PlainHttp(usize),
    /// The client breaks the rules of TLS, or does not accept ours. An alert says so.
    Failed,
    /// The peer reset the connection.
    Reset,
}

impl TlsSession {
    /// Starts a session.
    ///
    /// # Errors
    /// Fails if the system has no randomness.
    pub fn new(identity: &TlsIdentity) -> Result<TlsSession, rustls::Error> {
        let mut session = identity.session()?;
        session.set_buffer_limit(Some(CHUNK));
        Ok(TlsSession {
            session,
            encrypted: 0,
            by: SendCall::Write,
            has_begun: false,
            has_input: false,
            has_closed: false,
        })
    }

    /// Returns whether decrypted input may be left.
    pub fn has_input(&self) -> bool {
        self.has_input
    }

    /// Returns whether the front of the outbox is encrypted and not sent completely.
    pub fn has_encrypted(&self) -> bool {
        self.encrypted > 0
    }

    /// Returns whether the handshake is over, so that output can be sent.
    pub fn is_established(&self) -> bool {
        !self.session.is_handshaking()
    }

    /// Reads decrypted input into `buffer`, from what has arrived or else from one read.
    fn read(&mut self, socket: &OwnedFd, buffer: &mut [u8], ready: &mut Readiness) -> TlsInput {
        if self.has_input
            && let Some(input) = self.decrypted(buffer, true, ready)
        {
            return input;
        }
        let copy: &mut [u8] = if self.has_begun { &mut [] } else { &mut *buffer };
        let mut source = SocketReader { socket, copy, asked: 0 };
        let got = match self.session.read_tls(&mut source) {
            Ok(0) => return TlsInput::End,
            Ok(got) => got,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                ready.readable = false;
                return TlsInput::WouldBlock;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return TlsInput::Handshake(0),
            Err(_) => return TlsInput::Reset,
        };
        // See `Connection::read` about short reads.
        let has_more = got == source.asked || ready.read_closed;
        if !self.has_begun && buffer.first().is_some_and(u8::is_ascii_uppercase) {
            return TlsInput::PlainHttp(got.min(buffer.len()));
        }
        self.has_begun = true;
        if self.session.process_new_packets().is_err() {
            return TlsInput::Failed;
        }
        self.decrypted(buffer, has_more, ready).unwrap_or_else(|| {
            ready.readable = has_more;
            TlsInput::Handshake(got)
        })
    }

    /// Moves decrypted input into `buffer`. Returns `None` if there is none. `has_more` tells
    /// whether another read from the socket may succeed.
    fn decrypted(&mut self, buffer: &mut [u8], has_more: bool, ready: &mut Readiness) -> Option<TlsInput> {
        let got = match self.session.reader().read(buffer) {
            Ok(0) => return Some(TlsInput::End),
            Ok(got) => got,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                self.has_input = false;
                return None;
            }
            Err(_) => return Some(TlsInput::End), // without an announcement
        };
        // Nothing but the next call says whether there is more, so a full buffer means that there
        // may be. The end of the input comes after the input, and no event reports it either.
        let state = self.session.process_new_packets();
        self.has_input =
            state.map_or(true, |state| state.plaintext_bytes_to_read() > 0 || state.peer_has_closed());
        ready.readable = self.has_input || has_more;
        Some(TlsInput::Bytes(got))
    }

    /// Sends with one call, like [`write_once`](super::write::write_once): the rest of the
    /// encrypted output or, if there is none, the next chunk of the outbox. Does not send messages
    /// of the session itself, which [`Connection::flush_handshake`] does.
    ///
    /// # Errors
    /// Returns the close reason if the connection is broken or a file cannot be sent completely.
    pub fn write(
        &mut self,
        out: &mut Outbox,
        socket: &OwnedFd,
        at_most: usize,
        limit: usize,
        buffer: &mut [u8],
        clock: &Clock,
    ) -> Result<WriteResult, CloseReason> {
        if self.encrypted == 0 {
            match self.encrypt(out, at_most, limit, buffer, clock)? {
                Some(0) => return Ok(WriteResult::Sent { by: self.by, offered: 0, got: 0 }),
                Some(encrypted) => self.encrypted = encrypted,
                None => return Ok(WriteResult::Nothing),
            }
        }
        let (by, offered) = (self.by, self.encrypted);
        match self.session.write_tls(&mut SocketWriter(socket)) {
            Ok(written) => {
                // What the socket takes of a record counts at once, so that a slow reader is seen
                // to move. But the last byte counts only with the whole chunk.
                let is_whole = !self.session.wants_write();
                let got = if is_whole { offered } else { written.min(offered - 1) };
                self.encrypted -= got;
                out.advance(got);
                Ok(WriteResult::Sent { by, offered, got })
            }
            Err(e) => match Errno::from_io_error(&e) {
                Some(Errno::AGAIN) => Ok(WriteResult::WouldBlock { by, offered }),
                Some(Errno::INTR) => Ok(WriteResult::Sent { by, offered, got: 0 }),
                Some(Errno::PIPE) => Err(CloseReason::BrokenPipe),
                _ => Err(CloseReason::Reset),
            },
        }
    }

    /// Encrypts the next bytes of the outbox: at most [`CHUNK`] or `limit`, and at most `at_most`
    /// of a file. Returns their number, `None` if the outbox is empty, or 0 if a signal interrupted
    /// the read.
    fn encrypt(
        &mut self,
        out: &mut Outbox,
        at_most: usize,
        limit: usize,
        buffer: &mut [u8],
        clock: &Clock,
    ) -> Result<Option<usize>, CloseReason> {
        let mut writer = self.session.writer();
        let (by, encrypted) = match out.next_write_within(limit) {
            NextWrite::Nothing => return Ok(None),
            NextWrite::Bytes(bytes) | NextWrite::BytesThenFile(bytes) => {
                (SendCall::Write, writer.write(bytes))
            }
            NextWrite::BytesThenMemory(bytes, body) => {
                let slices = [IoSlice::new(bytes), IoSlice::new(body)];
                (SendCall::Writev, writer.write_vectored(&slices))
            }
            NextWrite::File(file) => {
                let count = file.left().min(at_most.min(limit).clamp(1, CHUNK) as u64) as usize;
                let count = count.min(buffer.len());
                let got = read_file(file, &mut buffer[..count], clock)?;
                (SendCall::ReadSend, writer.write(&buffer[..got]))
            }
        };
        self.by = by;
        // The writer itself does no I/O.
        encrypted.map(Some).map_err(|_| CloseReason::Limit)
    }

    /// Tells the peer that our output ends here and is complete, if the socket has room for that.
    fn send_close_notify(&mut self, socket: &OwnedFd) {
        if !self.has_closed {
            self.has_closed = true;
            self.session.send_close_notify();
            let _ = self.session.write_tls(&mut SocketWriter(socket));
        }
    }
}

/// Reads the next bytes of `file`. Returns 0 if a signal interrupted the read.
fn read_file(file: &dyn FileBody, buffer: &mut [u8], clock: &Clock) -> Result<usize, CloseReason> {
    match pread(file.fd(), &mut *buffer, file.offset()) {
        // The file was truncated after its length was announced.
        Ok(0) => Err(CloseReason::FileChanged),
        Ok(got) => Ok(got),
        Err(Errno::INTR) => Ok(0),
        Err(errno) => {
            file.on_error(errno.raw_os_error(), clock);
            Err(CloseReason::FileChanged)
        }
    }
}

impl Connection {
    /// Puts a TLS session between the socket and the protocol.
    ///
    /// # Errors
    /// Fails if the system has no randomness.
    pub fn with_tls(mut self, identity: &TlsIdentity) -> Result<Connection, rustls::Error> {
        self.tls = Some(Box::new(TlsSession::new(identity)?));
        Ok(self)
    }

    /// Sends what the session itself has to say: the handshake, a ticket or an alert. Returns
    /// whether output of the protocol can be sent.
    pub(super) fn flush_handshake(
        &mut self,
        ready: &mut Readiness,
        cx: &mut Context<'_>,
    ) -> ControlFlow<Want, bool> {
        let Some(tls) = &mut self.tls else { return Continue(true) };
        // Our side is shut down, so a message that the socket had no room for is lost.
        if matches!(self.phase, Phase::Lingering { .. }) {
            return Continue(true);
        }
        while tls.session.wants_write() && !tls.has_encrypted() {
            if !ready.writable {
                return Break(Want::Writable);
            }
            match tls.session.write_tls(&mut SocketWriter(&self.socket)) {
                Ok(sent) => cx.trace(|| Step::Handshake { received: 0, sent }),
                Err(e) => match Errno::from_io_error(&e) {
                    Some(Errno::AGAIN) => ready.writable = false,
                    Some(Errno::INTR) => {}
                    _ => return Break(Want::Close(CloseReason::Reset)),
                },
            }
        }
        Continue(tls.is_established())
    }

    /// Reads once through the session, like [`Connection::read`].
    pub(super) fn read_tls(
        &mut self,
        ready: &mut Readiness,
        buffer: &mut [u8],
        kept: usize,
        cx: &mut Context<'_>,
    ) -> ControlFlow<Want, Option<usize>> {
        let Some(tls) = &mut self.tls else { return Continue(None) };
        match tls.read(&self.socket, buffer, ready) {
            TlsInput::Bytes(got) => {
                cx.counters.bytes_received += got as u64;
                cx.trace(|| Step::Read { offered: buffer.len(), bytes: buffer[..got].to_vec(), kept });
                return Continue(Some(got));
            }
            TlsInput::Handshake(received) => cx.trace(|| Step::Handshake { received, sent: 0 }),
            TlsInput::WouldBlock => cx.trace(|| Step::Drained),
            TlsInput::End => {
                cx.trace(|| Step::EndOfInput);
                return Break(Want::Close(CloseReason::Eof));
            }
            TlsInput::PlainHttp(got) => {
                cx.counters.bytes_received += got as u64;
                cx.trace(|| Step::Read { offered: buffer.len(), bytes: buffer[..got].to_vec(), kept });
                // The client can read only a plain response.
                self.tls = None;
                let reason = CloseReason::TlsFailed;
                self.protocol.last_response(reason, &buffer[..got], &mut self.outbox, cx);
                self.fail_tls();
            }
            TlsInput::Failed => self.fail_tls(),
            TlsInput::Reset => return Break(Want::Close(CloseReason::Reset)),
        }
        Continue(None)
    }

    /// Starts to finish the connection. The alert or response is sent first.
    fn fail_tls(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.has_closed = true; // the alert ends the session
        }
        self.phase = Phase::Finishing { reason: CloseReason::TlsFailed, linger: true };
        self.progress = true;
    }

    /// Tells the peer that our output is complete, unless some of it is unsent, the protocol has
    /// more of it, a file was cut short or the connection is reset. Comes before the end of the
    /// stream. Only this tells the end of a response that ends with the connection from a cut (RFC
    /// 9112 section 9.8).
    pub(super) fn announce_end(&mut self, reason: CloseReason) {
        if let Some(tls) = &mut self.tls
            && self.outbox.is_empty()
            && self.pending == Pending::Input
            && !matches!(reason, CloseReason::FileChanged | CloseReason::Aborted)
        {
            tls.send_close_notify(&self.socket);
        }
    }
}

/// Reads from a socket, and keeps a copy of what it read.
struct SocketReader<'a> {
    socket: &'a OwnedFd,
    copy: &'a mut [u8],
    /// The number of bytes that the last read asked for.
    asked: usize,
}

impl Read for SocketReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.asked = buffer.len();
        let (got, _) = recv(self.socket, &mut *buffer, RecvFlags::empty())?;
        let copied = got.min(self.copy.len());
        self.copy[..copied].copy_from_slice(&buffer[..copied]);
        Ok(got)
    }
}

/// Writes to a socket.
struct SocketWriter<'a>(&'a OwnedFd);

impl Write for SocketWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(send(self.0, bytes, NOSIGNAL)?)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(writev(self.0, slices)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
