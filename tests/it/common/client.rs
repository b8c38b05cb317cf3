//! Clients that send raw bytes over real sockets.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use memchr::memmem;

use super::{Response, SOON, lossy};

/// Returns `GET path` as a minimal HTTP/1.1 request.
pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// One connection to a server.
pub struct Client {
    pub socket: TcpStream,
    /// The bytes received so far; bytes from `at` on are not yet parsed.
    received: Vec<u8>,
    at: usize,
}

impl Client {
    /// Opens a connection.
    pub fn connect(addr: SocketAddr) -> Client {
        Client::over(TcpStream::connect_timeout(&addr, SOON).expect("connect"))
    }

    /// Opens a connection with a small receive buffer, so that the server has to wait for the
    /// client.
    pub fn narrow(addr: SocketAddr) -> Client {
        let socket = socket2::Socket::new(socket2::Domain::for_address(addr), socket2::Type::STREAM, None)
            .expect("a socket");
        socket.set_recv_buffer_size(4096).expect("set the receive buffer");
        socket.connect(&addr.into()).expect("connect");
        Client::over(TcpStream::from(socket))
    }

    /// Returns a client for an existing socket.
    pub fn over(socket: TcpStream) -> Client {
        socket.set_nodelay(true).expect("set nodelay");
        socket.set_read_timeout(Some(SOON)).expect("set a timeout");
        socket.set_write_timeout(Some(SOON)).expect("set a timeout");
        Client { socket, received: Vec::new(), at: 0 }
    }

    /// Sends `bytes`.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).expect("send");
    }

    /// Sends each of `pieces` and waits until the server has read it. One thread serves all
    /// connections in order of arrival, so a response on the connection `probe` proves that. Stops
    /// at the first piece that the server refuses, because it may have responded and closed before
    /// the last one.
    pub fn send_apart<'a>(&mut self, probe: &mut Client, pieces: impl IntoIterator<Item = &'a [u8]>) {
        for piece in pieces {
            if self.socket.write_all(piece).is_err() {
                return;
            }
            probe.send("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n");
            assert_eq!(probe.head().status, 204, "on the other connection");
        }
    }

    /// Sends a FIN: this side sends nothing more.
    pub fn finish(&mut self) {
        self.socket.shutdown(Shutdown::Write).expect("half-close");
    }

    /// Makes `drop` send an RST instead of a FIN.
    pub fn reset(self) {
        socket2::SockRef::from(&self.socket).set_linger(Some(Duration::ZERO)).expect("set linger");
    }

    /// Sends a request and returns the response, without a body if the request is HEAD.
    pub fn response_to(&mut self, request: &[u8]) -> Response {
        if request.starts_with(b"HEAD ") { self.head() } else { self.response() }
    }

    /// Reads the next response with its body.
    pub fn response(&mut self) -> Response {
        let mut response = self.head();
        if !matches!(response.status, 100..=199 | 204 | 304) {
            let len: usize = match response.header("content-length") {
                Some(len) => len.parse().expect("a number in Content-Length"),
                None => {
                    panic!("a response with neither Content-Length nor a status without a body: {response:?}")
                }
            };
            response.body = self.take(len);
        }
        response
    }

    /// Reads the head of the next response and leaves the body unread.
    pub fn head(&mut self) -> Response {
        Response::parse(&self.take_until(b"\r\n\r\n"))
    }

    /// Reads through the first occurrence of `end` and returns the bytes, including `end`.
    pub fn take_until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = memmem::find(&self.received[self.at..], end) {
                return self.take(at + end.len());
            }
            self.read();
        }
    }

    /// Reads exactly `len` bytes.
    pub fn take(&mut self, len: usize) -> Vec<u8> {
        while self.received.len() - self.at < len {
            self.read();
        }
        let taken = self.received[self.at..self.at + len].to_vec();
        self.at += len;
        taken
    }

    /// Waits until unread bytes have arrived.
    pub fn wait_for_bytes(&self) {
        uninterrupted(|| self.socket.peek(&mut [0])).expect("bytes arrive");
    }

    /// Reads from the socket once and appends the bytes to `received`.
    fn read(&mut self) {
        self.received.drain(..self.at);
        self.at = 0;
        let mut buffer = [0; 65536];
        match uninterrupted(|| self.socket.read(&mut buffer)) {
            Ok(0) => panic!("the server closed the connection after {:?}", lossy(&self.received)),
            Ok(n) => self.received.extend_from_slice(&buffer[..n]),
            Err(e) => panic!("no response ({e}) after {:?}", lossy(&self.received)),
        }
    }

    /// Reads and discards `len` bytes, for bodies that do not fit into memory.
    pub fn skip(&mut self, len: u64) {
        let known = (self.received.len() - self.at).min(len as usize);
        self.at += known;
        let (mut left, mut buffer) = (len - known as u64, vec![0; 1 << 20]);
        while left > 0 {
            let wanted = left.min(buffer.len() as u64) as usize;
            let got = uninterrupted(|| self.socket.read(&mut buffer[..wanted])).expect("more bytes");
            assert!(got > 0, "the server closed the connection {left} bytes too early");
            left -= got as u64;
        }
    }

    /// Reads until the server closes its side. Panics if the connection stays open or is reset.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = self.received.split_off(std::mem::take(&mut self.at));
        self.received.clear();
        self.socket.read_to_end(&mut rest).expect("the server closes");
        rest
    }

    /// Asserts that the server closes the connection and sends nothing more.
    pub fn expect_close(&mut self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "bytes after the last response: {:?}", lossy(&rest));
    }

    /// Returns whether the connection ends soon, by FIN or RST, with or without more bytes.
    pub fn is_gone_soon(&mut self) -> bool {
        let mut buffer = [0; 65536];
        loop {
            match uninterrupted(|| self.socket.read(&mut buffer)) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(e) if matches!(e.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                    return true;
                }
                Err(_) => return false,
            }
        }
    }
}

/// Repeats `call` while a signal interrupts it. SIGCHLD, when another test's server exits,
/// interrupts a read that has a timeout (signal(7)).
pub fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
