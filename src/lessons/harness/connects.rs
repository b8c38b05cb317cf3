//! How the clients of a lesson connect to the loop, and the loop to them.

use std::{
    io::{self, ErrorKind},
    net::{SocketAddr, TcpStream},
    rc::Rc,
    thread,
};

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use super::{Client, Harness, LATE};
use crate::lessons::{
    outgoing::Greeter,
    transcript::{ClientAction, NotedEvent},
};

impl Harness {
    /// Connects a client, and runs the loop until it is idle. If `is_narrow`, the client has a
    /// small receive buffer.
    ///
    /// # Errors
    /// Fails if the socket cannot be created or connected, or if polling fails.
    pub fn connect(&mut self, name: char, is_narrow: bool) -> io::Result<()> {
        self.connect_only(name, is_narrow)?;
        self.run_until_idle()
    }

    /// Connects a client, without running the loop.
    ///
    /// # Errors
    /// Fails if the socket cannot be created or connected.
    pub fn connect_only(&mut self, name: char, is_narrow: bool) -> io::Result<()> {
        self.open(name, is_narrow, 0)?;
        self.note_action(name, ClientAction::Connect, "connects");
        Ok(())
    }

    /// Connects a client to the listener with this number, of which the first is 1, and runs the
    /// loop until it is idle.
    ///
    /// # Errors
    /// Fails if the listener does not exist, if the socket cannot be created or connected, or if
    /// polling fails.
    pub fn connect_to(&mut self, name: char, is_narrow: bool, listener: usize) -> io::Result<()> {
        self.open(name, is_narrow, listener - 1)?;
        self.note_action(name, ClientAction::Connect, &format!("connects to L{listener}"));
        self.run_until_idle()
    }

    /// Connects a client to the listener at this place.
    fn open(&mut self, name: char, is_narrow: bool, place: usize) -> io::Result<()> {
        let address = *self.addresses.get(place).ok_or(ErrorKind::NotFound)?;
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        if is_narrow {
            socket.set_recv_buffer_size(4096)?;
        }
        socket.connect(&address.into())?;
        socket.set_nonblocking(true)?;
        self.clients.push(Client { name, socket: socket.into() });
        Ok(())
    }

    /// Lets the loop start to connect to the peer `name` at `address`. `what` says what the peer
    /// does.
    ///
    /// # Errors
    /// Fails if the socket cannot be created or polled, or if connect(2) fails at once.
    pub fn connect_loop(&mut self, name: char, what: &str, address: SocketAddr) -> io::Result<()> {
        self.note_action(name, ClientAction::AwaitLoop, what);
        let greeter = Greeter(Rc::clone(&self.transcript));
        self.event_loop.connect(address, Box::new(greeter))?;
        self.is_unnoticed = true;
        thread::sleep(LATE);
        Ok(())
    }

    /// Adds the peer `name`, which has accepted a connection of the loop.
    ///
    /// # Errors
    /// Fails if the socket cannot be made non-blocking.
    pub fn add_peer(&mut self, name: char, socket: TcpStream) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        self.clients.push(Client { name, socket });
        Ok(())
    }

    /// Starts to connect a client, and does not wait for the result. Does not run the loop.
    ///
    /// # Errors
    /// Fails if the socket cannot be created, or if connect(2) fails at once.
    pub fn start_connect(&mut self, name: char) -> io::Result<()> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        let address = *self.addresses.first().ok_or(ErrorKind::NotFound)?;
        thread::sleep(LATE);
        match socket.connect(&address.into()) {
            Err(e) if e.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
            result => result?,
        }
        thread::sleep(LATE);
        self.note_action(name, ClientAction::StartConnect, "starts to connect: EINPROGRESS");
        self.clients.push(Client { name, socket: socket.into() });
        Ok(())
    }

    /// Notes whether the client `name`, which has started to connect, is connected.
    ///
    /// # Errors
    /// Fails if there is no such client, or if SO_ERROR cannot be read (socket(7)).
    pub fn check_connect(&mut self, name: char) -> io::Result<()> {
        let socket = self.client(name)?;
        let (action, what) = match (socket.take_error()?, socket.peer_addr()) {
            (Some(_), _) => (ClientAction::Refused, "is refused"),
            (None, Ok(_)) => (ClientAction::Connected, "is connected"),
            (None, Err(_)) => (ClientAction::StillConnecting, "is not connected, and not refused"),
        };
        self.note_action(name, action, what);
        Ok(())
    }

    /// Closes the socket of the client `name`, which has started to connect.
    ///
    /// # Errors
    /// Fails if there is no such client.
    pub fn give_up(&mut self, name: char) -> io::Result<()> {
        self.client(name)?;
        self.clients.retain(|client| client.name != name);
        self.note_action(name, ClientAction::GiveUp, "gives up");
        Ok(())
    }

    /// Connects `count` clients that stay silent. The transcript gets a single note about all of
    /// them.
    ///
    /// # Errors
    /// Fails if a socket cannot be created or connected, or if polling fails.
    pub fn connect_many(&mut self, count: usize) -> io::Result<()> {
        let before = self.transcript.borrow().len();
        for _ in 0..count {
            self.connect_only('.', false)?;
            if self.clients.len().is_multiple_of(100) {
                self.run_until_idle()?; // before the backlog fills up
            }
        }
        self.run_until_idle()?;
        self.transcript.borrow_mut().forget_from(before);
        self.note(NotedEvent::Remark, format!("{count} clients connect and say nothing"));
        Ok(())
    }
}
