//! The stage of a lesson: a loop, clients that follow a script, and all that is told of both.
//!
//! Everything happens in one thread and in order: each client waits for the loop's turn before it acts, buffers have fixed
//! sizes, and the loop runs on a clock that moves when the script says so. So a lesson plays the same every time.

use std::{
    cell::RefCell,
    fmt,
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream, UdpSocket},
    rc::Rc,
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};

use crate::{
    trace::{Model, TraceLevel, TraceLine, escaped},
    trace::{Observer, SourceId, Step},
};

/// What turns: the loop itself, or one with a student's bug in it.
pub trait LoopUnderTest {
    /// One turn; it never sleeps.
    ///
    /// # Errors
    /// The poller failed.
    fn turn(&mut self) -> io::Result<()>;
    /// Time passes.
    fn advance(&mut self, by: Duration);
}

/// What happened, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TranscriptEntry {
    /// A client acted, or something is to be remarked.
    Note(String),
    /// A step of the loop.
    Step(TraceLine),
}

impl fmt::Display for TranscriptEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TranscriptEntry::Note(text) => write!(f, "   {text}"),
            TranscriptEntry::Step(line) => line.fmt(f),
        }
    }
}

/// Gathers what is told. Turns in which nothing happens are left out, and not counted.
#[derive(Default)]
pub struct Transcript {
    pub entries: Vec<TranscriptEntry>,
    /// The last wait and wake, told when something follows.
    wait: Option<TraceLine>,
    wake: Option<TraceLine>,
    /// The wait is the one that was asked about, however often the stage looks meanwhile.
    is_waiting: bool,
    turns: u64,
    model: Model,
    now: Duration,
}

impl Transcript {
    pub fn say(&mut self, text: impl Into<String>) {
        self.entries.push(TranscriptEntry::Note(text.into()));
    }
}

/// Sees what the loop does, for a [`Transcript`] that the stage has, too.
pub struct TranscriptObserver(pub Rc<RefCell<Transcript>>);

impl Observer for TranscriptObserver {
    fn see(&mut self, id: SourceId, step: &Step) {
        let transcript = &mut *self.0.borrow_mut();
        if transcript.is_waiting && matches!(step, Step::Waiting { .. }) {
            return;
        }
        transcript.model.trace(id, step, transcript.now);
        let line = TraceLine::of(id, step, &transcript.model, transcript.now, TraceLevel::Io);
        match step {
            Step::Waiting { .. } => transcript.wait = line,
            Step::Woke { .. } => transcript.wake = line,
            _ => {
                let Some(line) = line else { return };
                if let Some(wake) = transcript.wake.take() {
                    transcript.turns += 1;
                    transcript.is_waiting = false;
                    let before = transcript.wait.take().into_iter().chain([wake]);
                    transcript.entries.extend(
                        before
                            .map(|line| TranscriptEntry::Step(TraceLine { turn: transcript.turns, ..line })),
                    );
                }
                transcript.entries.push(TranscriptEntry::Step(TraceLine { turn: transcript.turns, ..line }));
                if matches!(step, Step::Closed { .. }) {
                    transcript.model.forget(id);
                }
            }
        }
    }
}

/// A client of the script.
struct Client {
    name: char,
    socket: TcpStream,
}

/// A loop with its clients.
pub struct Harness {
    turns: Box<dyn LoopUnderTest>,
    transcript: Rc<RefCell<Transcript>>,
    address: SocketAddr,
    /// None: datagrams are not received here.
    datagrams: Option<SocketAddr>,
    clients: Vec<Client>,
}

/// How often the stage looks before it believes that nothing comes; on loopback, what was sent is there at once.
const LOOKS: usize = 20;

impl Harness {
    /// A stage around what listens on `address` and receives on `datagrams`.
    pub fn new(
        turns: Box<dyn LoopUnderTest>,
        transcript: Rc<RefCell<Transcript>>,
        address: SocketAddr,
        datagrams: Option<SocketAddr>,
    ) -> Harness {
        Harness { turns, transcript, address, datagrams, clients: Vec::new() }
    }

    /// All that happened.
    pub fn into_entries(self) -> Vec<TranscriptEntry> {
        drop(self.turns);
        std::mem::take(&mut self.transcript.borrow_mut().entries)
    }

    pub fn say(&self, text: impl Into<String>) {
        self.transcript.borrow_mut().say(text);
    }

    /// A client connects, and the loop takes its turns. Its receive buffer is small if it is `narrow`.
    ///
    /// # Errors
    /// The system gives no socket, or the loop does not turn.
    pub fn connect(&mut self, name: char, is_narrow: bool) -> io::Result<()> {
        self.connect_only(name, is_narrow)?;
        self.run_until_idle()
    }

    /// A client connects; the loop does not turn.
    ///
    /// # Errors
    /// The system gives no socket.
    pub fn connect_only(&mut self, name: char, is_narrow: bool) -> io::Result<()> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        if is_narrow {
            socket.set_recv_buffer_size(4096)?;
        }
        socket.connect(&self.address.into())?;
        socket.set_nonblocking(true)?;
        self.say(format!("{name} connects"));
        self.clients.push(Client { name, socket: socket.into() });
        Ok(())
    }

    /// `count` clients connect and stay silent. Of that nothing is told.
    ///
    /// # Errors
    /// The system gives no sockets.
    pub fn connect_many(&mut self, count: usize) -> io::Result<()> {
        let before = self.transcript.borrow().entries.len();
        for _ in 0..count {
            self.connect_only('.', false)?;
            if self.clients.len().is_multiple_of(100) {
                self.run_until_idle()?; // before the backlog is full
            }
        }
        self.run_until_idle()?;
        {
            let transcript = &mut *self.transcript.borrow_mut();
            transcript.entries.truncate(before);
            transcript.turns = 0;
        }
        self.say(format!("{count} clients connect and say nothing"));
        Ok(())
    }

    /// `name` sends `bytes`, and the loop takes its turns.
    ///
    /// # Errors
    /// It cannot, or the loop does not turn.
    pub fn send(&mut self, name: char, bytes: &[u8]) -> io::Result<()> {
        self.send_only(name, bytes)?;
        self.run_until_idle()
    }

    /// `name` sends `bytes`; the loop does not turn.
    ///
    /// # Errors
    /// It cannot.
    pub fn send_only(&mut self, name: char, bytes: &[u8]) -> io::Result<()> {
        self.say(format!("{name} sends {} bytes {}", bytes.len(), preview(bytes)));
        self.client(name)?.write_all(bytes)
    }

    /// `name` sends no more; the loop does not turn.
    ///
    /// # Errors
    /// It cannot.
    pub fn half_close(&mut self, name: char) -> io::Result<()> {
        self.say(format!("{name} shuts its sending side down"));
        self.client(name)?.shutdown(Shutdown::Write)
    }

    /// `name` takes all that has come.
    ///
    /// # Errors
    /// There is no such client.
    pub fn take(&mut self, name: char) -> io::Result<()> {
        let mut got = Vec::new();
        let end = match self.client(name)?.read_to_end(&mut got) {
            Ok(_) => ", and the end",
            Err(e) if e.kind() == ErrorKind::WouldBlock => "",
            Err(_) => ", and a reset",
        };
        let answers = memchr::memmem::find_iter(&got, b"HTTP/1.1 ").count();
        let answers = match (answers, is_whole(&got)) {
            (0, _) => "no answer".to_owned(),
            (1, true) => "1 answer".to_owned(),
            (1, false) => "the beginning of 1 answer".to_owned(),
            (more, _) => format!("{more} answers"),
        };
        self.say(format!("{name} takes {} bytes: {answers}{end}", got.len()));
        Ok(())
    }

    /// Each text is sent as a datagram, and the loop takes its turns; then the answers are counted.
    ///
    /// # Errors
    /// The system gives no socket.
    pub fn datagrams(&mut self, texts: &[&[u8]]) -> io::Result<()> {
        let Some(address) = self.datagrams else { return Ok(()) };
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_nonblocking(true)?;
        for text in texts {
            self.say(format!("D sends a datagram of {} bytes {}", text.len(), preview(text)));
            socket.send_to(text, address)?;
        }
        self.run_until_idle()?;
        let mut buffer = [0; 2048];
        let answers = std::iter::from_fn(|| socket.recv(&mut buffer).ok()).count();
        self.say(format!("D takes {answers} datagrams"));
        Ok(())
    }

    /// Turns until nothing happens any more.
    ///
    /// # Errors
    /// The poller failed.
    pub fn run_until_idle(&mut self) -> io::Result<()> {
        let mut looks = 0;
        while looks < LOOKS {
            looks = if self.look()? { 0 } else { looks + 1 };
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// The loop sleeps for `time`, unless something happens.
    ///
    /// # Errors
    /// The poller failed.
    pub fn advance(&mut self, time: Duration) -> io::Result<()> {
        self.run_until_idle()?;
        self.say(format!("{} s pass", time.as_secs()));
        self.transcript.borrow_mut().is_waiting = true;
        self.transcript.borrow_mut().now += time;
        self.turns.advance(time);
        self.run_until_idle()
    }

    /// Turns once; whether something happened.
    fn look(&mut self) -> io::Result<bool> {
        let before = self.transcript.borrow().turns;
        self.turns.turn()?;
        Ok(self.transcript.borrow().turns != before)
    }

    fn client(&mut self, name: char) -> io::Result<&mut TcpStream> {
        let client = self.clients.iter_mut().find(|client| client.name == name);
        client.map(|client| &mut client.socket).ok_or_else(|| ErrorKind::NotFound.into())
    }
}

/// Whether `got` ends with a whole answer.
fn is_whole(got: &[u8]) -> bool {
    let Some(last) = memchr::memmem::rfind(got, b"HTTP/1.1 ").map(|at| &got[at..]) else { return false };
    let Some(head) = memchr::memmem::find(last, b"\r\n\r\n") else { return false };
    let lines = String::from_utf8_lossy(&last[..head]);
    let len = lines.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.parse::<usize>().ok());
    len.is_some_and(|len| last.len() >= head + 4 + len)
}

/// The beginning of `bytes`, for people.
fn preview(bytes: &[u8]) -> String {
    const SHOWN: usize = 28;
    let dots = if bytes.len() > SHOWN { "…" } else { "" };
    format!("\"{}{dots}\"", escaped(&bytes[..bytes.len().min(SHOWN)]))
}
