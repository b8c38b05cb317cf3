//! Writing: the only place that sends, with as few system calls as the outbox allows.

use std::{
    fs::File,
    io::{self, ErrorKind, IoSlice, Write},
};

use mio::net::TcpStream;
use rustix::net::SendFlags;

use crate::{
    observer::Call,
    protocol::{Front, Outbox, Why},
};

/// One `sendfile` asks for at most this much.
const FILE_SLICE: u64 = 1024 * 1024;

/// What one write did.
#[derive(Debug, PartialEq, Eq)]
pub enum Wrote {
    /// There was nothing to send.
    Nothing,
    /// The socket took `got` of the bytes offered, and there may be room for more.
    Some { by: Call, offered: usize, got: usize },
    /// The send buffer is full.
    WouldBlock { by: Call, offered: usize },
}

/// Writes once, as much as the socket takes but about `at_most` bytes of a file.
///
/// # Errors
/// The connection, or the file that is being sent, is of no more use: the reason to close.
pub fn write_once(out: &mut Outbox, socket: &mut TcpStream, at_most: usize) -> Result<Wrote, Why> {
    let (by, offered, result) = match out.front() {
        Front::Nothing => return Ok(Wrote::Nothing),
        Front::Bytes(bytes) => (Call::Write, bytes.len(), socket.write(bytes)),
        Front::BytesThenMemory(bytes, body) => {
            let result = socket.write_vectored(&[IoSlice::new(bytes), IoSlice::new(body)]);
            (Call::Writev, bytes.len() + body.len(), result)
        }
        // MSG_MORE: the head waits for the body's first bytes and leaves in one segment with them.
        Front::BytesThenFile(bytes) => {
            let result = rustix::net::send(&*socket, bytes, SendFlags::MORE).map_err(io::Error::from);
            (Call::Send, bytes.len(), result)
        }
        Front::File { file, offset, left } => {
            let count = left.min(FILE_SLICE).min(at_most.max(1) as u64) as usize;
            match send_file(socket, file, offset, count) {
                // The file ends before its body does. A short body and a close is all that can still be said.
                Ok(0) => return Err(Why::FileChanged),
                result => (Call::Sendfile, count, result),
            }
        }
    };
    match result {
        Ok(got) => {
            out.advance(got);
            Ok(Wrote::Some { by, offered, got })
        }
        Err(e) => match e.kind() {
            ErrorKind::WouldBlock => Ok(Wrote::WouldBlock { by, offered }),
            ErrorKind::Interrupted => Ok(Wrote::Some { by, offered, got: 0 }),
            ErrorKind::BrokenPipe => Err(Why::BrokenPipe),
            ErrorKind::ConnectionReset | ErrorKind::NotConnected | ErrorKind::TimedOut => Err(Why::Reset),
            _ if matches!(out.front(), Front::File { .. }) => {
                log::warn!("a file could not be sent: {e}");
                Err(Why::FileChanged)
            }
            _ => Err(Why::Reset),
        },
    }
}

/// `sendfile(2)`: from the page cache to the socket without a copy through this process.
fn send_file(socket: &TcpStream, file: &File, mut offset: u64, count: usize) -> io::Result<usize> {
    Ok(rustix::fs::sendfile(socket, file, Some(&mut offset), count)?)
}

#[cfg(test)]
mod tests {
    use std::{
        io::Read,
        net::{TcpListener, TcpStream as Peer},
        os::unix::fs::FileExt,
        rc::Rc,
    };

    use super::*;
    use crate::protocol::Body;

    /// Both ends of a connection; ours does not block.
    fn pair() -> (TcpStream, Peer) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let peer = Peer::connect(listener.local_addr().expect("its address")).expect("connect");
        let (ours, _) = listener.accept().expect("accept");
        ours.set_nonblocking(true).expect("set nonblocking");
        (TcpStream::from_std(ours), peer)
    }

    fn sending(file: File, offset: u64, left: u64) -> Outbox {
        let mut out = Outbox::default();
        out.bytes().extend(b"head ");
        out.put(Body::File { file: Rc::new(file), offset, left });
        out
    }

    #[test]
    fn a_file_is_sent_from_behind_4_gib() {
        let file = tempfile::tempfile().expect("a file");
        let offset = 5 << 30;
        file.write_all_at(b"far away", offset).expect("write");
        let (mut ours, mut peer) = pair();
        let mut out = sending(file, offset, 8);
        while write_once(&mut out, &mut ours, 1 << 20).expect("no error") != Wrote::Nothing {}
        let mut got = [0; 13];
        peer.read_exact(&mut got).expect("read");
        assert_eq!(&got, b"head far away");
    }

    #[test]
    fn a_file_that_has_become_shorter_ends_the_connection() {
        let file = tempfile::tempfile().expect("a file");
        file.write_all_at(b"short", 0).expect("write");
        let (mut ours, _peer) = pair();
        let mut out = sending(file, 0, 100);
        let mut write = || write_once(&mut out, &mut ours, 1 << 20);
        assert_eq!(write(), Ok(Wrote::Some { by: Call::Send, offered: 5, got: 5 }));
        assert_eq!(write(), Ok(Wrote::Some { by: Call::Sendfile, offered: 100, got: 5 }));
        assert_eq!(write(), Err(Why::FileChanged));
    }

    #[test]
    fn a_peer_that_is_gone_is_told_from_a_full_buffer() {
        let (mut ours, peer) = pair();
        let mut out = Outbox::default();
        let fill = |out: &mut Outbox| out.bytes().resize(64 * 1024, b'x');
        fill(&mut out);
        while !matches!(write_once(&mut out, &mut ours, 0), Ok(Wrote::WouldBlock { .. })) {
            if out.is_empty() {
                fill(&mut out);
            }
        }
        drop(peer);
        assert!(matches!(write_once(&mut out, &mut ours, 0), Err(Why::Reset | Why::BrokenPipe)));
    }
}
