//! A server that sends every line back in capitals. Step 6: one thread and one poller, in Rust.
//!
//! ```text
//! cargo run --example course_mio [PORT]          (default 7000; 0 is any free port)
//! ```
//!
//! This is `examples/course/epoll.py`, function by function, with mio instead of epoll(7).

use std::{
    env,
    io::{self, ErrorKind, Read, Write},
    process,
};

use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};
use slab::Slab;

/// The maximum number of bytes per read.
const PIECE: usize = 4096;
/// The longest line in bytes. Without a limit, a client could use up all memory.
const LONGEST: usize = 1000;
/// The token of the listener. The token of a peer is its key in the slab.
const LISTENER: Token = Token(usize::MAX);

/// Removes the complete lines from `inbox`, and returns them in capitals. An incomplete line stays.
fn shout(inbox: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    let end = inbox.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    let mut answer: Vec<u8> = inbox.drain(..end).collect();
    answer.make_ascii_uppercase();
    match inbox.len() {
        0..=LONGEST => Ok(answer),
        _ => Err(io::Error::other("a line without end")),
    }
}

/// One connection. A thread would keep this state in its local variables.
struct Peer {
    socket: TcpStream,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
}

/// Does all that is possible for a peer without sleeping. Returns false if the peer is gone.
fn converse(peer: &mut Peer) -> bool {
    match drain(peer) {
        Err(e) if e.kind() == ErrorKind::WouldBlock => true, // nothing there, or no room left
        Ok(()) | Err(_) => false,                            // end of input, reset, broken pipe
    }
}

/// Reads and writes until a call would block or the input ends.
fn drain(peer: &mut Peer) -> io::Result<()> {
    loop {
        // Do not read while there is unsent output.
        if peer.outbox.is_empty() {
            let mut piece = [0; PIECE];
            let got = match peer.socket.read(&mut piece)? {
                0 => return Ok(()),
                got => got,
            };
            peer.inbox.extend(&piece[..got]);
            peer.outbox.extend(shout(&mut peer.inbox)?);
        }
        // Whatever does not fit now is sent next time.
        if !peer.outbox.is_empty() {
            let sent = peer.socket.write(&peer.outbox)?;
            peer.outbox.drain(..sent);
        }
    }
}

fn serve(port: u16) -> io::Result<()> {
    let mut listener = TcpListener::bind(([127, 0, 0, 1], port).into())?;
    println!("{}, process {}", listener.local_addr()?, process::id());
    let mut peers: Slab<Peer> = Slab::new();
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    loop {
        // The only line that sleeps.
        match poll.poll(&mut events, None) {
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            result => result?,
        }
        for event in &events {
            if event.token() == LISTENER {
                while let Some(mut socket) = accept(&listener)? {
                    let entry = peers.vacant_entry();
                    let both = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut socket, Token(entry.key()), both)?;
                    entry.insert(Peer { socket, inbox: Vec::new(), outbox: Vec::new() });
                }
            } else if let Some(peer) = peers.get_mut(event.token().0)
                && !converse(peer)
            {
                // Dropping the socket closes it, and the kernel removes it from the poller's list.
                peers.remove(event.token().0);
            }
        }
    }
}

/// Accepts the next connection, or returns `None` if none is waiting.
fn accept(listener: &TcpListener) -> io::Result<Option<TcpStream>> {
    match listener.accept() {
        Ok((socket, _)) => Ok(Some(socket)),
        Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(e) => Err(e),
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = env::args().nth(1).map_or(Ok(7000), |port| port.parse())?;
    Ok(serve(port)?)
}
