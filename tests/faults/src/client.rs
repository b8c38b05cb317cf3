//! Clients that send in pieces, read slowly, give up, and know what they must receive.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
};

use oorandom::Rand32;

use crate::{
    requests::Request,
    response::{Parsed, Response, parse},
};

/// A client with its requests, and what it has received.
pub struct Client<'a> {
    socket: Option<TcpStream>,
    requests: Vec<&'a Request>,
    to_send: Vec<u8>,
    sent: usize,
    got: Vec<u8>,
    /// The number of responses that have come whole, and the length of their bytes.
    whole: (usize, usize),
    /// The length of `got` with which the next response may be whole.
    enough: usize,
    /// Whether it shuts down its side after the last request.
    shuts_down: bool,
    /// Whether it closes the connection on its own, before the last response.
    gives_up: bool,
    /// Whether the server has closed the connection.
    is_closed: bool,
}

impl<'a> Client<'a> {
    /// Connects a client with a few random requests.
    pub fn connect(address: SocketAddr, all: &'a [Request], random: &mut Rand32) -> Client<'a> {
        let socket = TcpStream::connect(address).expect("connect");
        socket.set_nonblocking(true).expect("set non-blocking");
        socket.set_nodelay(true).expect("set TCP_NODELAY");
        let count = 1 + random.rand_range(0..5);
        let last = all.len() as u32 - 1;
        let mut choose = || match random.rand_range(0..100) {
            0 => last,
            _ => random.rand_range(0..last),
        };
        let requests: Vec<&Request> = (0..count).map(|_| &all[choose() as usize]).collect();
        Client {
            socket: Some(socket),
            to_send: requests.iter().flat_map(|request| request.bytes.iter().copied()).collect(),
            requests,
            sent: 0,
            got: Vec::new(),
            whole: (0, 0),
            enough: 1,
            shuts_down: random.rand_range(0..3) == 0,
            gives_up: random.rand_range(0..8) == 0,
            is_closed: false,
        }
    }

    /// Sends or receives a little.
    pub fn act(&mut self, random: &mut Rand32) {
        let amount = [1, 10, 100, 1000, 100_000][random.rand_range(0..5) as usize];
        match random.rand_range(0..3) {
            0 => self.receive(amount),
            1 => self.send(amount),
            _ if self.gives_up && random.rand_range(0..20) == 0 => self.socket = None,
            _ => {}
        }
    }

    /// Sends all that is left, and receives all that has come.
    pub fn finish(&mut self) {
        if self.gives_up {
            self.socket = None;
        }
        self.send(usize::MAX);
        self.receive(usize::MAX);
    }

    /// Returns whether nothing more will come.
    pub fn is_done(&self) -> bool {
        let has_all = self.whole.0 == self.requests.len() && !self.shuts_down;
        self.socket.is_none() || self.is_closed || has_all
    }

    fn send(&mut self, at_most: usize) {
        let Some(socket) = &mut self.socket else { return };
        let end = self.sent.saturating_add(at_most).min(self.to_send.len());
        if self.sent == self.to_send.len() || self.is_closed {
            return;
        }
        match socket.write(&self.to_send[self.sent..end]) {
            Ok(sent) => self.sent += sent,
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            // The responses so far can still be read.
            Err(_) => self.sent = self.to_send.len(),
        }
        if self.sent == self.to_send.len() && self.shuts_down {
            let _ = socket.shutdown(Shutdown::Write);
        }
    }

    fn receive(&mut self, at_most: usize) {
        let Some(socket) = &mut self.socket else { return };
        match socket.take(at_most as u64).read_to_end(&mut self.got) {
            Ok(got) => self.is_closed |= got < at_most,
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.is_closed = true,
        }
        self.count();
    }

    /// Counts the responses that are whole by now.
    fn count(&mut self) {
        while let (count, at) = self.whole
            && count < self.requests.len()
            && self.got.len() >= self.enough
        {
            match parse(&self.got[at..], self.requests[count].is_head) {
                Parsed::Whole(_, len) => {
                    self.whole = (count + 1, at + len);
                    self.enough = at + len + 1;
                }
                Parsed::Partial(_, len) => self.enough = at + len,
                Parsed::PartialHead => self.enough = self.got.len() + 1,
            }
        }
    }

    /// Checks what was received: each response is whole and right, or the connection is closed.
    pub fn check(&self, has_faults: bool) {
        let mut at = 0;
        for (index, request) in self.requests.iter().enumerate() {
            let rest = &self.got[at..];
            let closed = || {
                let may_be_cut = self.gives_up || self.is_closed && has_faults;
                assert!(
                    may_be_cut,
                    "response {index} is not complete, {} of {} bytes were sent: {:?}",
                    self.sent,
                    self.to_send.len(),
                    shown(rest)
                );
            };
            match parse(rest, request.is_head) {
                Parsed::Whole(response, used) => {
                    check_response(request, &response, has_faults);
                    at += used;
                    if response.is_last {
                        assert!(self.is_closed || self.gives_up, "response {index} announces the end");
                        break;
                    }
                }
                Parsed::Partial(response, _) => {
                    closed();
                    let is_beginning = |right: &Response| {
                        right.head == response.head && right.body.starts_with(&response.body)
                    };
                    let is_right =
                        request.right.iter().any(is_beginning) || is_error(&response) && has_faults;
                    assert!(is_right, "the beginning of response {index} is wrong: {:?}", shown(rest));
                    at = self.got.len();
                    break;
                }
                Parsed::PartialHead => {
                    closed();
                    at = self.got.len();
                    break;
                }
            }
        }
        assert_eq!(at, self.got.len(), "bytes after the last response: {:?}", shown(&self.got[at..]));
    }
}

/// Checks a whole response.
fn check_response(request: &Request, response: &Response, has_faults: bool) {
    let is_right = request.right[0].is_same(response)
        || has_faults && (request.right.iter().any(|right| right.is_same(response)) || is_error(response));
    assert!(is_right, "wrong response to {:?}: {:?}", shown(&request.bytes), response.head);
}

/// Returns whether a response reports that a file cannot be read.
fn is_error(response: &Response) -> bool {
    ["403", "500", "503"].contains(&response.status())
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned()
}
