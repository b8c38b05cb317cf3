//! Outgoing connections and standard input: the client's side of the loop.

use std::{
    cell::{Cell, RefCell},
    fs::File,
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpListener},
    os::{
        fd::OwnedFd,
        unix::net::{UnixListener, UnixStream},
    },
    rc::Rc,
    time::{Duration, Instant},
};

use crate::common::*;
use oneloop::{
    Address,
    protocol::{CloseReason, Context, InputProtocol, Outbox, Progress, Protocol, Received, Timeout, WakeKey},
    trace::{SourceId, Step},
};

const C1: SourceId = SourceId::Connection(1);

/// What a [`Caller`] has seen.
#[derive(Default)]
struct Seen {
    input: RefCell<Vec<u8>>,
    closed: Cell<Option<CloseReason>>,
}

/// A client that sends `says`, perhaps ends its output, and keeps what arrives.
struct Caller {
    says: Vec<u8>,
    then: Progress,
    seen: Rc<Seen>,
}

impl Protocol for Caller {
    fn on_connected(&mut self, out: &mut Outbox, _cx: &mut Context<'_>) -> Progress {
        out.bytes().extend(&self.says);
        self.then
    }

    fn receive(&mut self, input: &[u8], _out: &mut Outbox, _cx: &mut Context<'_>) -> Received {
        self.seen.input.borrow_mut().extend(input);
        Received { consumed: input.len(), progress: Progress::NeedInput }
    }

    fn reads_while_sending(&self) -> bool {
        true
    }

    fn timeout(&self, _partial: bool) -> Timeout {
        Timeout { limit: None, reason: CloseReason::IdleTimeout }
    }

    fn on_closed(&mut self, reason: CloseReason, _sent: u64, _cx: &mut Context<'_>) {
        self.seen.closed.set(Some(reason));
    }
}

fn caller(says: &[u8], then: Progress) -> (Box<Caller>, Rc<Seen>) {
    let seen = Rc::new(Seen::default());
    (Box::new(Caller { says: says.to_vec(), then, seen: Rc::clone(&seen) }), seen)
}

fn listener() -> (TcpListener, Address) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let address = listener.local_addr().expect("read its address").into();
    (listener, address)
}

#[test]
fn connection_is_established_without_waiting() {
    let site = Site::empty();
    let mut rig = Rig::recorded(Rig::config(&site));
    let (listener, address) = listener();
    let (caller, seen) = caller(b"hello", Progress::HalfClose);
    rig.event_loop().connect(&address, caller).expect("connect");
    let steps = rig.turn_until_seen(C1, &Step::OutputEnded);
    let at = |step: &Step| steps.iter().position(|(by, s)| *by == C1 && s == step);
    assert!(at(&Step::Connected).expect("connected") < at(&Step::OutputEnded).expect("the end"), "{steps:?}");
    let (mut peer, _) = listener.accept().expect("accept");
    let mut got = Vec::new();
    peer.read_to_end(&mut got).expect("read to the end of input");
    assert_eq!(got, b"hello");
    // Our side has ended, and the other one goes on.
    peer.write_all(b"and back").expect("send");
    drop(peer);
    rig.turn_until_seen(C1, &Step::Closed { reason: CloseReason::Eof, unread: 0 });
    assert_eq!(*seen.input.borrow(), b"and back");
    assert_eq!(seen.closed.get(), Some(CloseReason::Eof));
    assert_eq!(rig.event_loop().open_connections(), 0);
}

#[test]
fn connection_over_a_unix_socket() {
    let site = Site::empty();
    let mut rig = Rig::recorded(Rig::config(&site));
    let listener = UnixListener::bind(site.at("a.sock")).expect("listen");
    let (caller, seen) = caller(b"hello", Progress::NeedInput);
    let address = Address::Unix(Some(site.at("a.sock")));
    rig.event_loop().connect(&address, caller).expect("connect");
    rig.turn_until_seen(C1, &Step::Connected);
    let (mut peer, _) = listener.accept().expect("accept");
    peer.write_all(b"and back").expect("send");
    rig.turn_until("input", |_| !seen.input.borrow().is_empty());
    let mut got = [0; 5];
    peer.read_exact(&mut got).expect("read");
    assert_eq!((&got, &seen.input.borrow()[..]), (b"hello", &b"and back"[..]));
    let missing = Address::Unix(Some(site.at("none.sock")));
    let error = rig.event_loop().connect(&missing, self::caller(b"", Progress::NeedInput).0);
    assert_eq!(error.expect_err("no such file").kind(), ErrorKind::NotFound);
}

#[test]
fn connection_that_is_refused_is_closed_with_the_reason() {
    let site = Site::empty();
    let mut rig = Rig::recorded(Rig::config(&site));
    let (listener, address) = listener();
    drop(listener);
    let (caller, seen) = caller(b"hello", Progress::NeedInput);
    rig.event_loop().connect(&address, caller).expect("start to connect");
    let reason = CloseReason::ConnectFailed(ErrorKind::ConnectionRefused);
    let steps = rig.turn_until_seen(C1, &Step::Closed { reason, unread: 0 });
    let error = Step::ConnectError { error: ErrorKind::ConnectionRefused };
    assert!(steps.contains(&(C1, error)), "{steps:?}");
    assert_eq!(seen.closed.get(), Some(reason));
}

#[test]
fn connection_that_nobody_answers_times_out() {
    let site = Site::empty();
    let mut rig = Rig::recorded(Rig::config(&site));
    // A full backlog answers no further SYN, so the connection stays in progress.
    let (listener, address) = listener();
    rustix::net::listen(&listener, 0).expect("shorten the backlog");
    let ip = address.ip().expect("an IP address");
    let fillers: Vec<_> = (0..4)
        .map(|_| {
            let socket =
                socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
            socket.set_nonblocking(true).expect("set non-blocking");
            let _ = socket.connect(&ip.into());
            socket
        })
        .collect();
    let (caller, seen) = caller(b"hello", Progress::NeedInput);
    rig.event_loop().connect(&address, caller).expect("start to connect");
    (0..5).for_each(|_| drop(rig.turn()));
    assert_eq!(seen.closed.get(), None);
    rig.advance(Duration::from_secs(10));
    rig.turn_until("a timeout", |_| seen.closed.get().is_some());
    assert_eq!(seen.closed.get(), Some(CloseReason::ConnectTimeout));
    drop(fillers);
}

#[test]
fn connection_in_progress_ends_at_shutdown() {
    let site = Site::empty();
    let mut rig = Rig::recorded(Rig::config(&site));
    let (_listener, address) = listener();
    let (caller, seen) = caller(b"", Progress::NeedInput);
    rig.event_loop().connect(&address, caller).expect("start to connect");
    rig.event_loop().drain();
    rig.turn_until("the end", |_| seen.closed.get().is_some());
    assert_eq!(seen.closed.get(), Some(CloseReason::Shutdown));
    assert!(rig.event_loop().is_drained());
}

#[test]
fn client_reads_while_its_own_output_is_blocked() {
    let site = Site::empty();
    let mut rig = Rig::new(Rig::config(&site));
    let (listener, address) = listener();
    let (caller, seen) = caller(&vec![b'x'; 8 << 20], Progress::NeedInput);
    rig.event_loop().connect(&address, caller).expect("connect");
    rig.turn_until_open();
    let (mut peer, _) = listener.accept().expect("accept");
    // The peer reads nothing before all its own bytes are gone, which needs a client that reads.
    let end = Instant::now() + SOON;
    peer.set_nonblocking(true).expect("set non-blocking");
    let mut left = 8 << 20;
    while left > 0 {
        rig.server.turn().expect("turn");
        left -= peer.write(&vec![b'y'; left.min(1 << 20)]).unwrap_or_default();
        assert!(Instant::now() < end, "{left} bytes are left: both wait for each other");
    }
    rig.turn_until("all bytes", |_| seen.input.borrow().len() == 8 << 20);
}

#[test]
fn output_is_sent_although_the_peer_has_ended_its_own() {
    let site = Site::empty();
    let mut rig = Rig::new(Rig::config(&site));
    let (listener, address) = listener();
    let (caller, seen) = caller(&vec![b'x'; 8 << 20], Progress::HalfClose);
    rig.event_loop().connect(&address, caller).expect("connect");
    rig.turn_until_open();
    let (mut peer, _) = listener.accept().expect("accept");
    peer.shutdown(Shutdown::Write).expect("end the peer's output");
    (0..5).for_each(|_| drop(rig.turn()));
    let (end, mut got) = (Instant::now() + SOON, 0);
    peer.set_nonblocking(true).expect("set non-blocking");
    let mut buffer = vec![0; 1 << 20];
    loop {
        rig.turn();
        match peer.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => got += len,
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Err(e) => panic!("after {got} bytes: {e}"),
        }
        assert!(Instant::now() < end, "{got} bytes");
    }
    assert_eq!(got, 8 << 20);
    rig.turn_until("the end", |_| seen.closed.get().is_some());
    assert_eq!(seen.closed.get(), Some(CloseReason::Eof));
}

/// Keeps one line at a time, and ends its output when it is woken or, if `at` is set, after that
/// many lines.
struct Lines {
    at: Option<usize>,
    kept: Rc<RefCell<Vec<String>>>,
    key: Rc<Cell<Option<WakeKey>>>,
}

impl Protocol for Lines {
    fn on_connected(&mut self, _out: &mut Outbox, cx: &mut Context<'_>) -> Progress {
        self.key.set(Some(cx.wake_key()));
        Progress::NeedInput
    }

    fn receive(&mut self, input: &[u8], _out: &mut Outbox, cx: &mut Context<'_>) -> Received {
        let Some(end) = input.iter().position(|byte| *byte == b'\n') else {
            return Received { consumed: 0, progress: Progress::NeedInput };
        };
        let mut kept = self.kept.borrow_mut();
        kept.push(String::from_utf8_lossy(&input[..end]).into_owned());
        // Without a number, this protocol wakes itself in the middle of its input.
        if self.at.is_none() && kept.len() == 1 {
            cx.wake(cx.wake_key());
        }
        let ends = self.at == Some(kept.len());
        Received { consumed: end + 1, progress: if ends { Progress::HalfClose } else { Progress::Again } }
    }

    fn resume(&mut self, _out: &mut Outbox, _cx: &mut Context<'_>) -> Progress {
        Progress::HalfClose
    }

    fn timeout(&self, _partial: bool) -> Timeout {
        Timeout { limit: None, reason: CloseReason::IdleTimeout }
    }
}

#[test]
fn input_that_has_arrived_before_the_output_ends_is_passed_on() {
    let site = Site::empty();
    for at in [Some(1), None] {
        let mut rig = Rig::recorded(Rig::config(&site));
        let (listener, address) = listener();
        let kept = Rc::new(RefCell::new(Vec::new()));
        let lines = Lines { at, kept: Rc::clone(&kept), key: Rc::default() };
        rig.event_loop().connect(&address, Box::new(lines)).expect("connect");
        rig.turn_until_seen(C1, &Step::Connected);
        let (mut peer, _) = listener.accept().expect("accept");
        let sent: Vec<String> = (0..200).map(|n| n.to_string()).collect();
        peer.write_all((sent.join("\n") + "\n").as_bytes()).expect("send");
        rig.turn_until_seen(C1, &Step::OutputEnded);
        (0..10).for_each(|_| drop(rig.turn()));
        assert_eq!(kept.borrow().len(), 200, "{at:?}");
    }
}

impl Rig {
    /// Runs turns until a connection is open.
    fn turn_until_open(&mut self) {
        self.turn_until("a connection", |_| true);
        (0..5).for_each(|_| drop(self.turn()));
        assert_eq!(self.event_loop().open_connections(), 1);
    }
}

/// Keeps the input, at most `room` bytes, and stops the loop at its end.
struct Keeper {
    room: Rc<Cell<usize>>,
    kept: Rc<RefCell<Vec<u8>>>,
    has_ended: Rc<Cell<bool>>,
}

impl InputProtocol for Keeper {
    fn receive(&mut self, input: &[u8], _cx: &mut Context<'_>) {
        self.kept.borrow_mut().extend(input);
    }

    fn on_end(&mut self, _cx: &mut Context<'_>) {
        self.has_ended.set(true);
    }

    fn has_room(&self) -> bool {
        self.kept.borrow().len() < self.room.get()
    }
}

struct Input {
    room: Rc<Cell<usize>>,
    kept: Rc<RefCell<Vec<u8>>>,
    has_ended: Rc<Cell<bool>>,
    key: WakeKey,
}

fn add_input(rig: &mut Rig, fd: impl Into<OwnedFd>) -> Input {
    let (room, kept, has_ended) = (Rc::new(Cell::new(usize::MAX)), Rc::default(), Rc::default());
    let (same, own, end) = (Rc::clone(&room), Rc::clone(&kept), Rc::clone(&has_ended));
    let keeper = Keeper { room: same, kept: own, has_ended: end };
    let key = rig.event_loop().add_input("stdin", fd.into(), Box::new(keeper)).expect("add it");
    Input { room, kept, has_ended, key }
}

#[test]
fn input_is_a_file_a_pipe_a_socket_or_empty() {
    let site = Site::empty();
    site.write("text", vec![b'x'; 3 << 20]);
    let open = |name: &str| OwnedFd::from(File::open(name).expect("open"));
    let (ours, mut theirs) = UnixStream::pair().expect("a pair");
    theirs.write_all(b"typed").expect("send");
    theirs.shutdown(Shutdown::Write).expect("end the input");
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    writer.write_all(b"piped").expect("send");
    drop(writer);
    let table = [
        (open(site.at("text").to_str().expect("text")), 3 << 20),
        (open("/dev/null"), 0),
        (ours.into(), 5),
        (reader.into(), 5),
    ];
    for (fd, len) in table {
        let mut rig = Rig::recorded(Rig::config(&site));
        let input = add_input(&mut rig, fd);
        rig.turn_until("the end of input", |_| input.has_ended.get());
        assert_eq!(input.kept.borrow().len(), len);
    }
}

#[test]
fn input_without_room_is_not_read() {
    let site = Site::empty();
    site.write("text", vec![b'x'; 1 << 20]);
    let mut rig = Rig::recorded(Rig::config(&site));
    let (listener, address) = listener();
    let file = File::open(site.at("text")).expect("open");
    let input = add_input(&mut rig, file);
    input.room.set(100_000);
    rig.turn_until_seen(SourceId::Named("stdin"), &Step::Postponed { within: None });
    let len = input.kept.borrow().len();
    assert!((100_000..=200_000).contains(&len), "{len}");
    // A turn without room would spin if it were repeated.
    let is_turn = |(by, step): &(SourceId, Step)| *by == SourceId::Named("stdin") && *step == Step::TurnBegan;
    assert!(!(0..5).flat_map(|_| rig.turn()).any(|step| is_turn(&step)));
    input.room.set(usize::MAX);
    rig.event_loop().connect(&address, Box::new(WakeOnce(input.key))).expect("connect");
    rig.turn_until("the end of input", |_| input.has_ended.get());
    assert_eq!(input.kept.borrow().len(), 1 << 20);
    drop(listener);
}

/// A client that wakes another source when it is connected.
struct WakeOnce(WakeKey);

impl Protocol for WakeOnce {
    fn on_connected(&mut self, _out: &mut Outbox, cx: &mut Context<'_>) -> Progress {
        cx.wake(self.0);
        Progress::NeedInput
    }

    fn receive(&mut self, input: &[u8], _out: &mut Outbox, _cx: &mut Context<'_>) -> Received {
        Received { consumed: input.len(), progress: Progress::NeedInput }
    }

    fn timeout(&self, _partial: bool) -> Timeout {
        Timeout { limit: None, reason: CloseReason::IdleTimeout }
    }
}
