//! The harness of a lesson: a loop, scripted clients, and a transcript of both.
//!
//! Everything happens in one thread and in order. Each client waits for the loop's turn before it
//! acts, buffers have fixed sizes, and the script moves the loop's clock, so a lesson runs the same
//! way every time.

use std::{
    cell::RefCell,
    fmt,
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream, UdpSocket},
    rc::Rc,
    time::Duration,
};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::trace::{Observer, SourceId, Step, TraceLevel, TraceLine, model::Model, redact::escaped};

/// A loop that a lesson runs: either the real loop or a broken one.
pub trait LoopUnderTest {
    /// Runs one turn of the loop. It never sleeps.
    ///
    /// # Errors
    /// Fails if polling fails (epoll_wait(2)).
    fn turn(&mut self) -> io::Result<()>;
    /// Moves the loop's clock forward.
    fn advance(&mut self, by: Duration);
}

/// One entry of a transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TranscriptEntry {
    /// An action of a client, or a remark.
    Note(String),
    /// A step of the loop.
    Step(TracedStep),
}

/// A step, together with its line in a text trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracedStep {
    /// The line of the text trace.
    pub line: TraceLine,
    /// The step.
    pub step: Step,
}

/// Formats the entry as one line. Notes are indented.
impl fmt::Display for TranscriptEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TranscriptEntry::Note(text) => write!(f, "   {text}"),
            TranscriptEntry::Step(traced) => traced.line.fmt(f),
        }
    }
}

/// The transcript of a lesson. Turns in which nothing happens are neither recorded nor counted.
#[derive(Default)]
pub struct Transcript {
    /// The notes and steps, in order.
    pub entries: Vec<TranscriptEntry>,
    /// The last wait and, in `wake`, the last wake-up. They are added once another step follows.
    wait: Option<TracedStep>,
    wake: Option<TracedStep>,
    /// Whether to keep the current wait, however many turns the harness runs meanwhile.
    is_waiting: bool,
    turns: u64,
    model: Model,
    now: Duration,
}

impl Transcript {
    /// Adds a note.
    pub fn note(&mut self, text: impl Into<String>) {
        self.entries.push(TranscriptEntry::Note(text.into()));
    }

    fn add(&mut self, turn: u64, mut traced: TracedStep) {
        traced.line.turn = turn;
        self.entries.push(TranscriptEntry::Step(traced));
    }

    fn on_step(&mut self, source: SourceId, step: &Step) {
        if self.is_waiting && matches!(step, Step::Waiting { .. }) {
            return;
        }
        self.model.apply(source, step, self.now);
        let Some(line) = TraceLine::new(source, step, &self.model, self.now, TraceLevel::Io) else { return };
        let traced = TracedStep { line, step: step.clone() };
        match step {
            Step::Waiting { .. } => self.wait = Some(traced),
            Step::Woke { .. } => self.wake = Some(traced),
            _ => {
                if let Some(wake) = self.wake.take() {
                    // As in a trace, the wait belongs to the turn before it.
                    if let Some(wait) = self.wait.take() {
                        self.add(self.turns, wait);
                    }
                    self.turns += 1;
                    self.is_waiting = false;
                    self.add(self.turns, wake);
                }
                self.add(self.turns, traced);
                if matches!(step, Step::Closed { .. }) {
                    self.model.forget(source);
                }
            }
        }
    }
}

/// An observer that adds the steps of a loop to the harness's [`Transcript`].
pub struct TranscriptObserver(pub Rc<RefCell<Transcript>>);

impl Observer for TranscriptObserver {
    fn on_step(&mut self, source: SourceId, step: &Step) {
        self.0.borrow_mut().on_step(source, step);
    }
}

/// A scripted client.
struct Client {
    name: char,
    socket: TcpStream,
}

/// A loop with its clients.
pub struct Harness {
    event_loop: Box<dyn LoopUnderTest>,
    transcript: Rc<RefCell<Transcript>>,
    address: SocketAddr,
    /// The address of the loop's UDP socket; `None` if the loop has no UDP socket.
    udp_address: Option<SocketAddr>,
    clients: Vec<Client>,
}

/// The number of turns without a step after which the loop counts as idle. On loopback, sent bytes
/// arrive almost at once, so a few turns are enough.
const IDLE_TURNS: usize = 20;

impl Harness {
    /// Creates a harness for a loop that listens on `address` and receives datagrams on
    /// `udp_address`.
    pub fn new(
        event_loop: Box<dyn LoopUnderTest>,
        transcript: Rc<RefCell<Transcript>>,
        address: SocketAddr,
        udp_address: Option<SocketAddr>,
    ) -> Harness {
        Harness { event_loop, transcript, address, udp_address, clients: Vec::new() }
    }

    /// Ends the lesson, and returns the entries of its transcript.
    pub fn into_entries(self) -> Vec<TranscriptEntry> {
        drop(self.event_loop);
        std::mem::take(&mut self.transcript.borrow_mut().entries)
    }

    /// Adds a note to the transcript.
    pub fn note(&self, text: impl Into<String>) {
        self.transcript.borrow_mut().note(text);
    }

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
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        if is_narrow {
            socket.set_recv_buffer_size(4096)?;
        }
        socket.connect(&self.address.into())?;
        socket.set_nonblocking(true)?;
        self.note(format!("{name} connects"));
        self.clients.push(Client { name, socket: socket.into() });
        Ok(())
    }

    /// Connects `count` clients that stay silent. The transcript gets a single note about all of
    /// them.
    ///
    /// # Errors
    /// Fails if a socket cannot be created or connected, or if polling fails.
    pub fn connect_many(&mut self, count: usize) -> io::Result<()> {
        let before = self.transcript.borrow().entries.len();
        for _ in 0..count {
            self.connect_only('.', false)?;
            if self.clients.len().is_multiple_of(100) {
                self.run_until_idle()?; // before the backlog fills up
            }
        }
        self.run_until_idle()?;
        {
            let transcript = &mut *self.transcript.borrow_mut();
            transcript.entries.truncate(before);
            transcript.turns = 0;
        }
        self.note(format!("{count} clients connect and say nothing"));
        Ok(())
    }

    /// Sends `bytes` from the client `name`, and runs the loop until it is idle.
    ///
    /// # Errors
    /// Fails if there is no such client, or if sending or polling fails.
    pub fn send(&mut self, name: char, bytes: &[u8]) -> io::Result<()> {
        self.send_only(name, bytes)?;
        self.run_until_idle()
    }

    /// Sends `bytes` from the client `name`, without running the loop.
    ///
    /// # Errors
    /// Fails if there is no such client, or if sending fails.
    pub fn send_only(&mut self, name: char, bytes: &[u8]) -> io::Result<()> {
        self.note(format!("{name} sends {} bytes {}", bytes.len(), preview(bytes)));
        self.client(name)?.write_all(bytes)
    }

    /// Shuts down the sending side of the client `name`, without running the loop.
    ///
    /// # Errors
    /// Fails if there is no such client, or if its socket is closed.
    pub fn half_close(&mut self, name: char) -> io::Result<()> {
        self.note(format!("{name} shuts its sending side down"));
        self.client(name)?.shutdown(Shutdown::Write)
    }

    /// Resets the connection of the client `name`, without running the loop.
    ///
    /// # Errors
    /// Fails if there is no such client, or if its socket does not accept the option.
    pub fn reset(&mut self, name: char) -> io::Result<()> {
        // A close after a time of 0 sends a reset (socket(7), SO_LINGER).
        SockRef::from(&*self.client(name)?).set_linger(Some(Duration::ZERO))?;
        self.clients.retain(|client| client.name != name);
        self.note(format!("{name} resets its connection"));
        Ok(())
    }

    /// Reads everything that has arrived at the client `name`.
    ///
    /// # Errors
    /// Fails if there is no such client.
    pub fn receive(&mut self, name: char) -> io::Result<()> {
        let mut got = Vec::new();
        let end = match self.client(name)?.read_to_end(&mut got) {
            Ok(_) => ", and the end",
            Err(e) if e.kind() == ErrorKind::WouldBlock => "",
            Err(_) => ", and a reset",
        };
        let answers = memchr::memmem::find_iter(&got, b"HTTP/1.1 ").count();
        let answers = match (answers, ends_complete(&got)) {
            (0, _) => "no answer".to_owned(),
            (1, true) => "1 answer".to_owned(),
            (1, false) => "the beginning of 1 answer".to_owned(),
            (more, _) => format!("{more} answers"),
        };
        self.note(format!("{name} takes {} bytes: {answers}{end}", got.len()));
        Ok(())
    }

    /// Sends each text as a datagram, runs the loop until it is idle, and counts the answers.
    ///
    /// # Errors
    /// Fails if the socket cannot be created, or if sending or polling fails.
    pub fn send_datagrams(&mut self, texts: &[&[u8]]) -> io::Result<()> {
        let Some(address) = self.udp_address else { return Ok(()) };
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_nonblocking(true)?;
        for text in texts {
            self.note(format!("D sends a datagram of {} bytes {}", text.len(), preview(text)));
            socket.send_to(text, address)?;
        }
        self.run_until_idle()?;
        let mut buffer = [0; 2048];
        let answers = std::iter::from_fn(|| socket.recv(&mut buffer).ok()).count();
        self.note(format!("D takes {answers} datagrams"));
        Ok(())
    }

    /// Runs the loop until it is idle.
    ///
    /// # Errors
    /// Fails if polling fails (epoll_wait(2)).
    pub fn run_until_idle(&mut self) -> io::Result<()> {
        let mut idle_turns = 0;
        while idle_turns < IDLE_TURNS {
            idle_turns = if self.turn()? { 0 } else { idle_turns + 1 };
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Lets `time` pass on the loop's clock, and runs the loop until it is idle.
    ///
    /// # Errors
    /// Fails if polling fails (epoll_wait(2)).
    pub fn advance(&mut self, time: Duration) -> io::Result<()> {
        self.run_until_idle()?;
        self.note(format!("{} s pass", time.as_secs()));
        self.transcript.borrow_mut().is_waiting = true;
        self.transcript.borrow_mut().now += time;
        self.event_loop.advance(time);
        self.run_until_idle()
    }

    /// Runs one turn of the loop. Returns whether something happened.
    fn turn(&mut self) -> io::Result<bool> {
        let before = self.transcript.borrow().turns;
        self.event_loop.turn()?;
        Ok(self.transcript.borrow().turns != before)
    }

    fn client(&mut self, name: char) -> io::Result<&mut TcpStream> {
        let client = self.clients.iter_mut().find(|client| client.name == name);
        client.map(|client| &mut client.socket).ok_or_else(|| ErrorKind::NotFound.into())
    }
}

/// Returns whether `got` ends with a complete response.
fn ends_complete(got: &[u8]) -> bool {
    let Some(last) = memchr::memmem::rfind(got, b"HTTP/1.1 ").map(|at| &got[at..]) else { return false };
    let Some(head) = memchr::memmem::find(last, b"\r\n\r\n") else { return false };
    let lines = String::from_utf8_lossy(&last[..head]);
    let len = lines.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.parse::<usize>().ok());
    len.is_some_and(|len| last.len() >= head + 4 + len)
}

/// Returns the beginning of `bytes`, escaped and in quotes.
fn preview(bytes: &[u8]) -> String {
    const MAX_SHOWN: usize = 28;
    let dots = if bytes.len() > MAX_SHOWN { "\u{2026}" } else { "" };
    format!("\"{}{dots}\"", escaped(&bytes[..bytes.len().min(MAX_SHOWN)]))
}
