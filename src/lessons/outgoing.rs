//! The loop as a client of three peers, for the lesson about connect(2): one listens, one does not,
//! and the queue of the third is full.

use std::{
    cell::RefCell,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    rc::Rc,
    time::Duration,
};

use socket2::{Domain, Socket, Type};

use super::{harness::Harness, scripts::HELLO, transcript::Transcript};
use crate::protocol::{CloseReason, Context, Outbox, Progress, Protocol, Received, Timeout};

/// A client that says hello, and waits.
pub struct Greeter(pub Rc<RefCell<Transcript>>);

impl Protocol for Greeter {
    fn on_connected(&mut self, out: &mut Outbox, cx: &mut Context<'_>) -> Progress {
        self.0.borrow_mut().remark_in_turn(format!("(the client on {} begins to talk)", cx.source));
        out.bytes().extend_from_slice(b"hello\n");
        Progress::NeedInput
    }

    fn receive(&mut self, input: &[u8], _out: &mut Outbox, _cx: &mut Context<'_>) -> Received {
        Received { consumed: input.len(), progress: Progress::NeedInput }
    }

    fn timeout(&self, _partial: bool) -> Timeout {
        Timeout { limit: None, reason: CloseReason::IdleTimeout }
    }
}

/// Lets the loop connect to three peers, and serves a client meanwhile.
pub fn connect_to_peers(harness: &mut Harness) -> io::Result<()> {
    let listening = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let (closed, closed_address) = bound_socket()?;
    let (full, full_address) = bound_socket()?;
    full.listen(0)?;
    let _queued = TcpStream::connect(full_address)?;
    harness.connect_loop('P', "listens", listening.local_addr()?)?;
    harness.connect_loop('Q', "does not listen", closed_address)?;
    harness.connect_loop('R', "listens, and its queue is full", full_address)?;
    harness.run_until_idle()?;
    harness.add_peer('P', listening.accept()?.0)?;
    harness.receive('P')?;
    harness.connect('A', false)?;
    harness.send('A', HELLO)?;
    harness.receive('A')?;
    harness.advance(Duration::from_secs(10))?;
    drop((closed, full));
    Ok(())
}

/// Returns a socket that does not listen, and its address.
fn bound_socket() -> io::Result<(Socket, SocketAddr)> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    let address = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
    Ok((socket, address))
}
