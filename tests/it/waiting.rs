//! Protocols that speak first, wait for a time, wake each other, and have a last word.

use std::{
    cell::Cell,
    io::Write,
    net::{SocketAddr, TcpListener, TcpStream},
    rc::Rc,
    time::{Duration, Instant},
};

use crate::common::*;
use oneloop::{
    Address,
    clock::Clock,
    event_loop::{EventLoop, Limits},
    protocol::{
        CloseReason, Context, Outbox, PrioritySource, Progress, Protocol, Received, Timeout, WakeKey,
    },
    trace::{SourceId, Step},
};

const SECOND: Duration = Duration::from_secs(1);
const C1: SourceId = SourceId::Connection(1);

/// Adds a listener on a free port whose connections speak the protocol that `create` makes.
fn listen<P: Protocol + 'static>(rig: &mut Rig, create: impl Fn() -> P + 'static) -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").expect("listen");
    let address = socket.local_addr().expect("read its address");
    let factory = move |_: &Address| -> Box<dyn Protocol> { Box::new(create()) };
    rig.server.add_listener(socket, factory).expect("add a listener");
    address
}

fn connect(address: SocketAddr) -> TcpStream {
    let peer = TcpStream::connect(address).expect("connect");
    peer.set_nonblocking(true).expect("set non-blocking");
    peer
}

/// Runs turns until `peer` has received `expected`.
fn expect(rig: &mut Rig, peer: &mut TcpStream, expected: &str) {
    let (end, mut got) = (Instant::now() + SOON, Vec::new());
    while got != expected.as_bytes() {
        rig.turn();
        got.extend(received(peer));
        assert!(Instant::now() < end, "{:?} is not {expected:?}", String::from_utf8_lossy(&got));
    }
}

/// Runs some turns, in which `peer` must receive nothing.
fn expect_silence(rig: &mut Rig, peer: &mut TcpStream) {
    (0..5).for_each(|_| drop(rig.turn()));
    assert_eq!(String::from_utf8_lossy(&received(peer)), "");
}

/// Greets, then answers each line a second after it has arrived.
struct Slow;

impl Protocol for Slow {
    fn on_connected(&mut self, out: &mut Outbox, _cx: &mut Context<'_>) -> Progress {
        out.bytes().extend(b"hello\n");
        Progress::NeedInput
    }

    fn receive(&mut self, input: &[u8], _out: &mut Outbox, cx: &mut Context<'_>) -> Received {
        let Some(end) = input.iter().position(|byte| *byte == b'\n') else {
            return Received { consumed: 0, progress: Progress::NeedInput };
        };
        Received { consumed: end + 1, progress: Progress::WaitUntil(cx.clock.after(Some(SECOND))) }
    }

    fn resume(&mut self, out: &mut Outbox, cx: &mut Context<'_>) -> Progress {
        out.bytes().extend(if cx.draining { &b"early\n"[..] } else { b"late\n" });
        Progress::Again
    }

    fn last_response(&mut self, reason: CloseReason, partial: &[u8], out: &mut Outbox, _: &mut Context<'_>) {
        out.bytes().extend(format!("{reason} {}\n", String::from_utf8_lossy(partial)).bytes());
    }

    fn timeout(&self, _partial: bool) -> Timeout {
        Timeout { limit: Some(10 * SECOND), reason: CloseReason::IdleTimeout }
    }
}

#[test]
fn protocol_speaks_first_and_waits_for_a_time() {
    let site = Site::empty();
    let mut rig = Rig::recorded(Rig::config(&site));
    let address = listen(&mut rig, || Slow);
    let mut peer = connect(address);
    expect(&mut rig, &mut peer, "hello\n");
    peer.write_all(b"one\ntwo\n").expect("send");
    rig.turn_until_seen(C1, &Step::Postponed { within: Some(SECOND) });
    expect_silence(&mut rig, &mut peer);
    rig.advance(SECOND - Duration::from_millis(1));
    expect_silence(&mut rig, &mut peer);
    rig.advance(Duration::from_millis(1));
    // The second line was received long ago, but its second begins only now.
    expect(&mut rig, &mut peer, "late\n");
    expect_silence(&mut rig, &mut peer);
    rig.advance(SECOND);
    expect(&mut rig, &mut peer, "late\n");
    expect_silence(&mut rig, &mut peer);
}

#[test]
fn waiting_connection_reads_nothing() {
    let site = Site::empty();
    let mut rig = Rig::recorded(Rig::config(&site));
    let mut peer = connect(listen(&mut rig, || Slow));
    peer.write_all(b"one\n").expect("send");
    rig.turn_until_seen(C1, &Step::Postponed { within: Some(SECOND) });
    peer.write_all(b"two\n").expect("send");
    let steps: Vec<_> = (0..5).flat_map(|_| rig.turn()).collect();
    assert!(!steps.iter().any(|(_, step)| matches!(step, Step::Read { .. })), "{steps:?}");
    rig.advance(SECOND);
    let steps = rig.turn_until_seen(C1, &Step::Postponed { within: Some(SECOND) });
    let reads = steps.iter().filter(|(_, step)| matches!(step, Step::Read { .. })).count();
    assert_eq!(reads, 1, "{steps:?}");
}

#[test]
fn waiting_connection_has_no_deadline_of_its_own() {
    let site = Site::empty();
    let mut rig = Rig::recorded(Rig::config(&site));
    let key = Rc::new(Cell::new(None));
    let shared = Rc::clone(&key);
    let mut peer = connect(listen(&mut rig, move || Sleeper(Rc::clone(&shared))));
    rig.turn_until_seen(C1, &Step::Postponed { within: None });
    rig.advance(Duration::from_secs(100_000));
    expect_silence(&mut rig, &mut peer);
    assert_eq!(rig.event_loop().open_connections(), 1);
}

/// Waits to be woken, and says so.
struct Sleeper(Rc<Cell<Option<WakeKey>>>);

impl Protocol for Sleeper {
    fn on_connected(&mut self, _out: &mut Outbox, cx: &mut Context<'_>) -> Progress {
        self.0.set(Some(cx.wake_key()));
        Progress::WaitUntil(None)
    }

    fn receive(&mut self, input: &[u8], _out: &mut Outbox, _cx: &mut Context<'_>) -> Received {
        Received { consumed: input.len(), progress: Progress::WaitUntil(None) }
    }

    fn resume(&mut self, out: &mut Outbox, _cx: &mut Context<'_>) -> Progress {
        out.bytes().extend(b"woken\n");
        Progress::WaitUntil(None)
    }

    fn timeout(&self, _partial: bool) -> Timeout {
        Timeout { limit: Some(SECOND), reason: CloseReason::IdleTimeout }
    }
}

/// Wakes another source twice for each line that it receives.
struct Waker(Rc<Cell<Option<WakeKey>>>);

impl Protocol for Waker {
    fn receive(&mut self, input: &[u8], _out: &mut Outbox, cx: &mut Context<'_>) -> Received {
        for _ in 0..2 {
            self.0.get().into_iter().for_each(|key| cx.wake(key));
        }
        Received { consumed: input.len(), progress: Progress::NeedInput }
    }

    fn timeout(&self, _partial: bool) -> Timeout {
        Timeout { limit: None, reason: CloseReason::IdleTimeout }
    }
}

#[test]
fn source_wakes_another_once_and_a_closed_one_never() {
    let site = Site::empty();
    let mut rig = Rig::recorded(Rig::config(&site));
    let key = Rc::new(Cell::new(None));
    let [one, two] = [Rc::clone(&key), Rc::clone(&key)];
    let sleeping = listen(&mut rig, move || Sleeper(Rc::clone(&one)));
    let waking = listen(&mut rig, move || Waker(Rc::clone(&two)));
    let mut sleeper = connect(sleeping);
    rig.turn_until_seen(C1, &Step::Postponed { within: None });
    let mut waker = connect(waking);
    for _ in 0..2 {
        waker.write_all(b"x").expect("send");
        expect(&mut rig, &mut sleeper, "woken\n");
        expect_silence(&mut rig, &mut sleeper);
    }

    // The key of a closed source wakes nothing, also if its place in the loop is used again.
    drop(sleeper);
    rig.advance(Duration::ZERO);
    let mut other = connect(sleeping);
    let old = key.get();
    rig.turn_until("another sleeper", |_| key.get() != old);
    key.set(old);
    waker.write_all(b"x").expect("send");
    expect_silence(&mut rig, &mut other);
}

/// Counts its turns.
struct Counter {
    key: Rc<Cell<Option<WakeKey>>>,
    turns: Rc<Cell<u32>>,
}

impl PrioritySource for Counter {
    fn on_readable(&mut self, cx: &mut Context<'_>) {
        self.key.set(Some(cx.wake_key()));
        self.turns.set(self.turns.get() + 1);
    }
}

#[test]
fn priority_source_is_woken_each_time() {
    let site = Site::empty();
    let mut rig = Rig::new(Rig::config(&site));
    let (key, turns) = (Rc::new(Cell::new(None)), Rc::new(Cell::new(0)));
    let counter = Counter { key: Rc::clone(&key), turns: Rc::clone(&turns) };
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    rig.server.add_priority_source("counter", Rc::new(reader.into()), counter).expect("add it");
    writer.write_all(b"x").expect("send");
    rig.turn_until("a turn", |_| turns.get() == 1);
    let mut waker = connect(listen(&mut rig, move || Waker(Rc::clone(&key))));
    for count in [2, 3] {
        waker.write_all(b"x").expect("send");
        rig.turn_until("another turn", |_| turns.get() == count);
    }
}

/// Receives lines, and can be woken while it waits for the rest of one.
struct Interrupted(Rc<Cell<Option<WakeKey>>>);

impl Protocol for Interrupted {
    fn on_connected(&mut self, _out: &mut Outbox, cx: &mut Context<'_>) -> Progress {
        self.0.set(Some(cx.wake_key()));
        Progress::NeedInput
    }

    fn receive(&mut self, input: &[u8], out: &mut Outbox, _cx: &mut Context<'_>) -> Received {
        let Some(end) = input.iter().position(|byte| *byte == b'\n') else {
            return Received { consumed: 0, progress: Progress::NeedInput };
        };
        out.bytes().extend(&input[..=end]);
        Received { consumed: end + 1, progress: Progress::Again }
    }

    fn resume(&mut self, out: &mut Outbox, _cx: &mut Context<'_>) -> Progress {
        out.bytes().extend(b"news\n");
        Progress::Again
    }

    fn timeout(&self, _partial: bool) -> Timeout {
        Timeout { limit: Some(SECOND), reason: CloseReason::IdleTimeout }
    }
}

#[test]
fn source_is_woken_while_it_waits_for_input() {
    let site = Site::empty();
    let mut rig = Rig::recorded(Rig::config(&site));
    let key = Rc::new(Cell::new(None));
    let [one, two] = [Rc::clone(&key), Rc::clone(&key)];
    let receiving = listen(&mut rig, move || Interrupted(Rc::clone(&one)));
    let waking = listen(&mut rig, move || Waker(Rc::clone(&two)));
    let mut peer = connect(receiving);
    peer.write_all(b"half a ").expect("send");
    rig.turn_until("half a line", |steps| steps.iter().any(|(_, step)| matches!(step, Step::Read { .. })));
    let mut waker = connect(waking);
    waker.write_all(b"x").expect("send");
    expect(&mut rig, &mut peer, "news\n");
    peer.write_all(b"line\n").expect("send");
    expect(&mut rig, &mut peer, "half a line\n");
    // A wake-up is not progress of the peer, so the deadline stays.
    rig.advance(SECOND);
    rig.turn_until_seen(C1, &Step::Closed { reason: CloseReason::IdleTimeout, unread: 0 });
}

#[test]
fn last_response_is_sent_at_a_deadline_and_at_shutdown() {
    let site = Site::empty();
    for (sent, expected, late) in [
        ("", "idle-timeout \n", true),
        ("part", "idle-timeout part\n", true),
        ("", "shutdown \n", false),
        ("line\n", "early\nshutdown \n", false),
    ] {
        let mut rig = Rig::recorded(Rig::config(&site));
        let mut peer = connect(listen(&mut rig, || Slow));
        expect(&mut rig, &mut peer, "hello\n");
        peer.write_all(sent.as_bytes()).expect("send");
        if !sent.is_empty() {
            rig.turn_until("input", |steps| steps.iter().any(|(_, step)| matches!(step, Step::Read { .. })));
        }
        if late {
            rig.advance(10 * SECOND)
        } else {
            rig.event_loop().drain()
        }
        expect(&mut rig, &mut peer, expected);
        drop(peer);
        let is_closed = |step: &Step| matches!(step, Step::Closed { .. });
        rig.turn_until("a close", |steps| steps.iter().any(|(by, step)| *by == C1 && is_closed(step)));
    }
}

/// Stops the loop when its connection is closed.
struct StopAtEnd;

impl Protocol for StopAtEnd {
    fn receive(&mut self, input: &[u8], _out: &mut Outbox, _cx: &mut Context<'_>) -> Received {
        Received { consumed: input.len(), progress: Progress::NeedInput }
    }

    fn timeout(&self, _partial: bool) -> Timeout {
        Timeout { limit: None, reason: CloseReason::IdleTimeout }
    }

    fn on_closed(&mut self, _reason: CloseReason, _sent: u64, cx: &mut Context<'_>) {
        cx.stop();
    }
}

#[test]
fn loop_that_is_stopped_by_its_last_connection_ends_at_once() {
    let limits = Limits { drain_timeout: Some(10 * SECOND), ..Limits::default() };
    let mut event_loop = EventLoop::new(limits, Clock::system()).expect("a loop");
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let address = listener.local_addr().expect("read its address");
    event_loop.connect(&address.into(), Box::new(StopAtEnd)).expect("connect");
    drop(listener.accept().expect("accept"));
    let start = Instant::now();
    while !event_loop.is_drained() {
        event_loop.turn().expect("turn");
    }
    assert!(start.elapsed() < 5 * SECOND, "{:?}", start.elapsed());
}
