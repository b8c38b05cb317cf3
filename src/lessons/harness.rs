//! The harness of a lesson: a loop with scripted clients, whose steps and actions it notes.
//!
//! Everything happens in one thread and in order. Each client waits for the loop's turn before it
//! acts, buffers have fixed sizes, and the script moves the loop's clock, so a lesson runs the same
//! way every time.

mod connects;

use std::{
    cell::RefCell,
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream, UdpSocket},
    rc::Rc,
    thread,
    time::Duration,
};

use socket2::SockRef;

use super::{
    contents::{contents, preview},
    open_file_limit::LoweredLimit,
    slow_disk::Disk,
    transcript::{ClientAction, NotedEvent, Transcript, TranscriptEntry},
};
use crate::protocol::Protocol;

/// A loop that a lesson runs: either the real loop or a broken one.
pub trait LoopUnderTest {
    /// Runs one turn of the loop. It never sleeps.
    ///
    /// # Errors
    /// Fails if polling fails (epoll_wait(2)).
    fn turn(&mut self) -> io::Result<()>;
    /// Starts to connect to `address`.
    ///
    /// # Errors
    /// Fails if the socket cannot be created or polled, or if connect(2) fails at once.
    fn connect(&mut self, address: SocketAddr, protocol: Box<dyn Protocol>) -> io::Result<()>;
    /// Moves the loop's clock forward.
    fn advance(&mut self, by: Duration);
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
    /// The addresses on which the loop listens.
    addresses: Vec<SocketAddr>,
    /// The address of the loop's UDP socket; `None` if the loop has no UDP socket.
    udp_address: Option<SocketAddr>,
    clients: Vec<Client>,
    /// The disk of the loop's files, if it is scripted.
    disk: Option<Rc<Disk>>,
    /// Whether a client has done something that the loop has not noticed.
    is_unnoticed: bool,
    /// The open-file limit, if the script has lowered it.
    lowered_limit: Option<LoweredLimit>,
}

/// The number of turns without a step after which the loop counts as idle. On loopback, sent bytes
/// arrive almost at once, so a few turns are enough.
const IDLE_TURNS: usize = 20;
/// The same number, until the loop has noticed what a client has done. On a busy machine, the
/// kernel may deliver bytes late, and a loop with a bug may never notice.
const UNNOTICED_TURNS: usize = 300;
/// How late a busy machine may handle the packets of a handshake.
const LATE: Duration = Duration::from_millis(10);

impl Harness {
    /// Creates a harness for a loop that listens on `addresses` and receives datagrams on
    /// `udp_address`.
    pub fn new(
        event_loop: Box<dyn LoopUnderTest>,
        transcript: Rc<RefCell<Transcript>>,
        addresses: Vec<SocketAddr>,
        udp_address: Option<SocketAddr>,
    ) -> Harness {
        Harness {
            event_loop,
            transcript,
            addresses,
            udp_address,
            clients: Vec::new(),
            disk: None,
            is_unnoticed: false,
            lowered_limit: None,
        }
    }

    /// Adds a disk that the script controls.
    pub fn with_disk(self, disk: Rc<Disk>) -> Harness {
        Harness { disk: Some(disk), ..self }
    }

    /// Lets the disk read the next `count` bytes into memory, without running the loop.
    pub fn read_from_disk(&mut self, count: u64) {
        if let Some(disk) = &self.disk {
            disk.read(count);
        }
    }

    /// Ends the lesson, and returns the entries of its transcript.
    pub fn into_entries(self) -> Vec<TranscriptEntry> {
        drop(self.event_loop);
        self.transcript.borrow_mut().take_entries()
    }

    fn note(&self, event: NotedEvent, text: String) {
        self.transcript.borrow_mut().note(event, text);
    }

    /// Adds a note about an action of the client `name`. `what` completes the sentence.
    fn note_action(&mut self, name: char, action: ClientAction, what: &str) {
        self.is_unnoticed |= action.reaches_loop();
        self.note(NotedEvent::Client(name, action), format!("{name} {what}"));
    }

    /// Sends `bytes` from the client `name`, and runs the loop until it is idle.
    ///
    /// # Errors
    /// Fails if no client has this name, or if sending or polling fails.
    pub fn send(&mut self, name: char, bytes: &[u8]) -> io::Result<()> {
        self.send_only(name, bytes)?;
        self.run_until_idle()
    }

    /// Sends `bytes` from the client `name`, without running the loop.
    ///
    /// # Errors
    /// Fails if no client has this name, or if sending fails.
    pub fn send_only(&mut self, name: char, bytes: &[u8]) -> io::Result<()> {
        let what = format!("sends {} bytes {}", bytes.len(), preview(bytes));
        self.note_action(name, ClientAction::Send, &what);
        match self.client(name)?.write_all(bytes) {
            Err(e) if matches!(e.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                self.note(
                    NotedEvent::Remark,
                    format!("({name} cannot send: the loop has closed its connection)"),
                );
                Ok(())
            }
            result => result,
        }
    }

    /// Shuts down the sending side of the client `name`, without running the loop.
    ///
    /// # Errors
    /// Fails if no client has this name, or if its socket is closed.
    pub fn half_close(&mut self, name: char) -> io::Result<()> {
        self.note_action(name, ClientAction::HalfClose, "shuts its sending side down");
        self.client(name)?.shutdown(Shutdown::Write)
    }

    /// Resets the connection of the client `name`, without running the loop.
    ///
    /// # Errors
    /// Fails if no client has this name, or if SO_LINGER cannot be set on its socket.
    pub fn reset(&mut self, name: char) -> io::Result<()> {
        // A close after a time of 0 sends a reset (socket(7), SO_LINGER).
        SockRef::from(&*self.client(name)?).set_linger(Some(Duration::ZERO))?;
        self.clients.retain(|client| client.name != name);
        self.note_action(name, ClientAction::Reset, "resets its connection");
        Ok(())
    }

    /// Uses up the descriptors of the process: only a number that is taken now can be had again,
    /// once it is free. The limit is restored at the end of the lesson.
    ///
    /// # Errors
    /// Fails if the limit cannot be lowered.
    pub fn use_up_descriptors(&mut self) -> io::Result<()> {
        self.note(NotedEvent::Remark, "no descriptor is free".to_owned());
        self.lowered_limit = Some(LoweredLimit::to_open_files()?);
        Ok(())
    }

    /// Reads everything that has arrived at the client `name`.
    ///
    /// # Errors
    /// Fails if no client has this name.
    pub fn receive(&mut self, name: char) -> io::Result<()> {
        let mut got = Vec::new();
        let end = match self.client(name)?.read_to_end(&mut got) {
            Ok(_) => ", and the end",
            Err(e) if e.kind() == ErrorKind::WouldBlock => "",
            Err(_) => ", and a reset",
        };
        let what = format!("takes {} bytes{}{end}", got.len(), contents(&got));
        self.note_action(name, ClientAction::Receive, &what);
        Ok(())
    }

    /// Reads everything that has arrived at the client `name`, and counts the lines.
    ///
    /// # Errors
    /// Fails if the client does not exist.
    pub fn receive_lines(&mut self, name: char) -> io::Result<()> {
        let mut got = Vec::new();
        // A connection without more input, and one that has ended, are the same here.
        let _ = self.client(name)?.read_to_end(&mut got);
        let text = String::from_utf8_lossy(&got);
        let last = text.lines().last().unwrap_or_default();
        // Without the time, and the name and the address of the sender.
        let last = last.rsplit_once(") ").or(last.rsplit_once("): ")).map_or(last, |(_, said)| said);
        let what = match text.lines().count() {
            0 => "takes no lines".to_owned(),
            1 => format!("takes 1 line \u{2026}{}", preview(last.as_bytes())),
            count => format!("takes {count} lines, the last one \u{2026}{}", preview(last.as_bytes())),
        };
        self.note_action(name, ClientAction::Receive, &what);
        Ok(())
    }

    /// Runs a part of the script, and shortens its transcript to the note `what` and the entries
    /// that `is_kept` selects, which count as one turn.
    ///
    /// # Errors
    /// Fails if the part fails.
    pub fn condense(
        &mut self,
        what: &str,
        is_kept: fn(&TranscriptEntry) -> bool,
        act: impl FnOnce(&mut Harness) -> io::Result<()>,
    ) -> io::Result<()> {
        self.note(NotedEvent::Remark, what.to_owned());
        let (from, turns) = (self.transcript.borrow().len(), self.transcript.borrow().turns());
        act(self)?;
        self.transcript.borrow_mut().condense_from(from, turns + 1, is_kept);
        Ok(())
    }

    /// Returns whether a line of the transcript contains `text`.
    pub fn has_seen(&self, text: &str) -> bool {
        self.transcript.borrow().contains(text)
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
            let what = format!("sends a datagram of {} bytes {}", text.len(), preview(text));
            self.note_action('D', ClientAction::SendDatagram, &what);
            socket.send_to(text, address)?;
        }
        self.run_until_idle()?;
        let mut buffer = [0; 2048];
        let answers = std::iter::from_fn(|| socket.recv(&mut buffer).ok()).count();
        self.note_action('D', ClientAction::Receive, &format!("takes {answers} datagrams"));
        Ok(())
    }

    /// Runs the loop until it is idle.
    ///
    /// # Errors
    /// Fails if polling fails (epoll_wait(2)).
    pub fn run_until_idle(&mut self) -> io::Result<()> {
        let mut idle_turns = 0;
        while idle_turns < if self.is_unnoticed { UNNOTICED_TURNS } else { IDLE_TURNS } {
            idle_turns = if self.turn()? { 0 } else { idle_turns + 1 };
            self.is_unnoticed &= idle_turns > 0;
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Lets `time` pass on the loop's clock, and runs the loop until it is idle.
    ///
    /// # Errors
    /// Fails if polling fails (epoll_wait(2)).
    pub fn advance(&mut self, time: Duration) -> io::Result<()> {
        self.run_until_idle()?;
        let text = match (time.subsec_millis(), time.as_secs()) {
            (0, 1) => "1 s passes".to_owned(),
            (1, 0) => "1 ms passes".to_owned(),
            (0, seconds) => format!("{seconds} s pass"),
            _ => format!("{} ms pass", time.as_millis()),
        };
        self.note(NotedEvent::TimePasses, text);
        self.transcript.borrow_mut().advance(time);
        self.event_loop.advance(time);
        self.run_until_idle()
    }

    /// Runs one turn of the loop. Returns whether something happened.
    ///
    /// # Errors
    /// Fails if polling fails (epoll_wait(2)).
    pub fn turn(&mut self) -> io::Result<bool> {
        let before = self.transcript.borrow().turns();
        self.event_loop.turn()?;
        Ok(self.transcript.borrow().turns() != before)
    }

    fn client(&mut self, name: char) -> io::Result<&mut TcpStream> {
        let client = self.clients.iter_mut().find(|client| client.name == name);
        client.map(|client| &mut client.socket).ok_or_else(|| ErrorKind::NotFound.into())
    }
}
