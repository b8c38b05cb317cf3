//! The loop, one turn at a time: on a clock of the test's own, every step watched.

use std::{
    cell::RefCell,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    rc::Rc,
    time::{Duration, SystemTime},
};

use crate::common::{Site, allow_many_descriptors, get, pattern};
use oneloop::{
    Echo, Timeouts,
    clock::Clock,
    event_loop::{EventLoop, Limits},
    internals::{HttpService, Site as OpenSite, SiteOptions, http_steps},
    protocol::{CloseReason, ProtocolFactory},
    trace::{Observer, SendCall, SourceId, Step},
};

/// A loop that serves a site on one listener, and all the steps that it took.
struct Rig {
    event_loop: EventLoop,
    address: SocketAddr,
    steps: Rc<RefCell<Vec<(SourceId, Step)>>>,
}

struct Recorder(Rc<RefCell<Vec<(SourceId, Step)>>>);

impl Observer for Recorder {
    fn see(&mut self, who: SourceId, step: &Step) {
        self.0.borrow_mut().push((who, step.clone()));
    }
}

const LIMITS: Limits = Limits {
    max_connections: 1000,
    send_timeout: Some(Duration::from_secs(30)),
    drain_timeout: Some(Duration::from_secs(10)),
};
const TIMEOUTS: Timeouts =
    Timeouts { head: Some(Duration::from_secs(10)), idle: Some(Duration::from_secs(60)) };

impl Rig {
    fn new(site: &Site) -> Rig {
        Rig::with(site, LIMITS, TIMEOUTS)
    }

    fn with(site: &Site, limits: Limits, timeouts: Timeouts) -> Rig {
        let options = SiteOptions { inotify: false, ..SiteOptions::default() };
        let site = OpenSite::open(site.path(), options).expect("open the site");
        Rig::serving(Box::new(Rc::new(HttpService::new(Rc::new(site), timeouts))), limits)
    }

    fn serving(service: Box<dyn ProtocolFactory>, limits: Limits) -> Rig {
        // A minute ahead, so that files written just now count as settled.
        let clock = Clock::frozen(SystemTime::now() + Duration::from_secs(60));
        let mut event_loop = EventLoop::new(limits, clock).expect("a poller");
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("bind");
        socket.listen(1024).expect("listen"); // more than any test connects before a turn
        let socket = TcpListener::from(socket);
        let address = socket.local_addr().expect("its address");
        event_loop.add_listener(socket, service).expect("listen");
        let steps = Rc::default();
        event_loop.add_observer(Box::new(Recorder(Rc::clone(&steps))));
        Rig { event_loop, address, steps }
    }

    fn connect(&self) -> TcpStream {
        let peer = TcpStream::connect(self.address).expect("connect");
        peer.set_nonblocking(true).expect("set nonblocking");
        peer
    }

    /// Turns, and returns the steps of that turn.
    fn turn(&mut self) -> Vec<(SourceId, Step)> {
        self.steps.borrow_mut().clear();
        self.event_loop.turn().expect("turn");
        self.steps.borrow().clone()
    }

    /// Turns until `done` holds of the steps so far, which are returned.
    fn turn_until(
        &mut self,
        what: &str,
        mut done: impl FnMut(&[(SourceId, Step)]) -> bool,
    ) -> Vec<(SourceId, Step)> {
        let mut all = Vec::new();
        for _ in 0..20_000 {
            all.extend(self.turn());
            if done(&all) {
                return all;
            }
        }
        panic!("in vain: {what}");
    }

    fn turn_until_seen(&mut self, who: SourceId, step: &Step) -> Vec<(SourceId, Step)> {
        self.turn_until(&format!("{who} {step:?}"), |seen| seen.iter().any(|(w, s)| *w == who && s == step))
    }

    /// A connection that has been accepted.
    fn accepted(&mut self) -> TcpStream {
        let peer = self.connect();
        let from = peer.local_addr().expect("its address");
        self.turn_until("accepted", |steps| {
            steps.iter().any(|(_, step)| matches!(step, Step::Accepted { peer, .. } if *peer == from))
        });
        peer
    }

    fn advance(&mut self, seconds: u64) {
        self.event_loop.clock().advance(Duration::from_secs(seconds));
    }
}

/// A loop whose first connection has asked for a large file, reads nothing of it, and is waited for.
fn stalled() -> (Rig, TcpStream) {
    let site = Site::empty();
    site.write("big.bin", pattern(32 << 20));
    let mut rig = Rig::new(&site);
    let mut peer = rig.accepted();
    peer.write_all(get("/big.bin").as_bytes()).expect("send");
    rig.turn_until_seen(c(1), &Step::Armed);
    (rig, peer) // the file is open, so that the site may go
}

fn c(number: u64) -> SourceId {
    SourceId::Connection(number)
}

/// What `who` did and decided.
fn of(who: SourceId, steps: &[(SourceId, Step)]) -> Vec<Step> {
    let is_act =
        |step: &Step| !matches!(step, Step::TurnBegan | Step::DeadlineSet { .. }) && !is_file_lookup(step);
    steps.iter().filter(|(w, step)| *w == who && is_act(step)).map(|(_, step)| step.clone()).collect()
}

fn closed(reason: CloseReason) -> Step {
    Step::Closed { reason, unread: 0 }
}

/// Patience ran out just now, and nothing had come.
fn deadline(reason: CloseReason) -> Step {
    Step::Deadline { reason, late: Duration::ZERO, got: 0 }
}

fn is_deadline(step: &Step) -> bool {
    matches!(step, Step::Deadline { .. })
}

/// Returns whether the step decides on a response.
fn is_plan(step: &Step) -> bool {
    matches!(step, Step::Service(service) if service.doc.verb == "plan")
}

/// Returns whether the step looks up a file.
fn is_file_lookup(step: &Step) -> bool {
    matches!(step, Step::Service(service) if service.doc.verb == "file" && service.fields[0].name == "path")
}

fn is_read(step: &Step) -> bool {
    matches!(step, Step::Read { .. })
}

/// Everything that has come.
fn received(peer: &mut TcpStream) -> Vec<u8> {
    let mut got = Vec::new();
    let _ = peer.read_to_end(&mut got); // ends with WouldBlock or at the end of input
    got
}

#[test]
fn a_warm_request_is_one_read_and_one_write() {
    let site = Site::new();
    let mut rig = Rig::new(&site);
    let mut peer = rig.accepted();
    let (request, mut sent) = (get("/hello.txt"), 0);
    for _ in 0..3 {
        peer.write_all(request.as_bytes()).expect("send");
        let steps =
            rig.turn_until("a response", |steps| steps.iter().any(|(_, s)| matches!(s, Step::Wrote { .. })));
        let answer = received(&mut peer);
        sent += answer.len() as u64;
        let expected = vec![
            Step::Read { offered: 65536, bytes: request.clone().into_bytes(), kept: 0 },
            Step::Understood { start: b"GET /hello.txt HTTP/1.1".to_vec(), len: request.len(), left: 0 },
            http_steps::planned(200, answer[..answer.len() - 6].to_vec(), Some(6)),
            Step::Wrote { by: SendCall::Write, offered: answer.len(), got: answer.len(), sent, of: sent },
        ];
        assert_eq!(of(c(1), &steps), expected, "no other call: no second read, no epoll_ctl");
    }
}

#[test]
fn pipelined_answers_leave_together() {
    let site = Site::new();
    let mut rig = Rig::new(&site);
    let mut peer = rig.accepted();
    peer.write_all(get("/hello.txt").repeat(10).as_bytes()).expect("send");
    let steps =
        rig.turn_until("a response", |steps| steps.iter().any(|(_, s)| matches!(s, Step::Wrote { .. })));
    let mine = of(c(1), &steps);
    assert_eq!(mine.iter().filter(|s| is_plan(s)).count(), 10);
    assert_eq!(mine.iter().filter(|s| matches!(s, Step::Wrote { .. })).count(), 1);
    assert_eq!(mine.iter().filter(|s| is_read(s)).count(), 1);
}

#[test]
fn one_read_of_many_requests_is_answered_within_a_budget_a_turn() {
    let site = Site::new();
    let mut rig = Rig::new(&site);
    let mut peer = rig.accepted();
    peer.write_all("HEAD /hello.txt HTTP/1.1\r\nHost: a\r\n\r\n".repeat(500).as_bytes()).expect("send");
    let mut turns = Vec::new();
    rig.turn_until("all answers", |steps| {
        let all = of(c(1), steps).iter().filter(|s| is_plan(s)).count();
        turns.push(all - turns.iter().sum::<usize>());
        all == 500
    });
    assert!(turns.iter().all(|planned| *planned <= 64), "{turns:?}");
}

#[test]
fn an_empty_turn_does_nothing() {
    let mut rig = Rig::new(&Site::empty());
    let _silent = rig.accepted();
    rig.turn();
    for _ in 0..3 {
        let steps = rig.turn();
        let names: Vec<_> = steps.iter().map(|(who, _)| *who).collect();
        assert_eq!(names, [SourceId::Loop, SourceId::Loop], "waiting and woke: {steps:?}");
    }
}

#[test]
fn a_backlog_beyond_the_budget_is_carried_over_and_emptied() {
    let site = Site::new();
    let mut rig = Rig::new(&site);
    let peers: Vec<_> = (0..150).map(|_| rig.connect()).collect();
    let mut turns = Vec::new();
    for _ in 0..3 {
        turns.push(of(SourceId::Listener(1), &rig.turn()));
    }
    assert_eq!(rig.event_loop.open_connections(), peers.len());
    let accepts = |steps: &[Step]| steps.iter().filter(|s| matches!(s, Step::Accepted { .. })).count();
    assert_eq!(turns.iter().map(|t| accepts(t)).collect::<Vec<_>>(), [64, 64, 22]);
    assert_eq!(turns[0].last(), Some(&Step::CarriedOver));
    assert_eq!(turns[2].last(), Some(&Step::BacklogEmpty));
}

#[test]
fn a_full_house_parks_the_listener_until_something_closes() {
    let site = Site::new();
    let mut rig = Rig::with(&site, Limits { max_connections: 2, ..LIMITS }, TIMEOUTS);
    let first = rig.accepted();
    let _second = rig.accepted();
    let mut third = rig.connect();
    rig.turn_until_seen(SourceId::Listener(1), &Step::AcceptPaused { out_of_fds: false });
    for _ in 0..5 {
        assert_eq!(of(SourceId::Listener(1), &rig.turn()), [], "a parked listener does not spin");
    }
    third.write_all(get("/").as_bytes()).expect("send");
    drop(first);
    rig.turn_until_seen(c(1), &closed(CloseReason::Eof));
    rig.turn_until("the third is served", |steps| {
        of(c(3), steps).iter().any(|s| matches!(s, Step::Wrote { .. }))
    });
    assert!(received(&mut third).starts_with(b"HTTP/1.1 200 OK\r\n"));
}

#[test]
fn a_closed_connections_key_is_used_again_and_its_number_is_not() {
    let site = Site::new();
    let mut rig = Rig::new(&site);
    // In one batch: the first closes, another comes and asks.
    for number in 1..50 {
        let mut peer = rig.accepted();
        peer.write_all(get("/hello.txt").as_bytes()).expect("send");
        rig.turn_until("an answer", |s| of(c(number), s).iter().any(|s| matches!(s, Step::Wrote { .. })));
        assert!(received(&mut peer).ends_with(b"hello\n"));
        drop(peer);
    }
    assert!(rig.event_loop.open_connections() <= 2, "the closed ones are gone");
}

#[test]
fn a_head_that_trickles_in_buys_no_time() {
    let mut rig = Rig::new(&Site::empty());
    let mut peer = rig.accepted();
    for byte in get("/").as_bytes().iter().take(9) {
        rig.advance(1);
        peer.write_all(&[*byte]).expect("send");
        let steps = rig.turn_until("a read", |steps| steps.iter().any(|(_, s)| is_read(s)));
        assert!(!of(c(1), &steps).iter().any(is_deadline));
    }
    rig.advance(1);
    let steps = rig.turn_until("late", |steps| steps.iter().any(|(_, step)| is_deadline(step)));
    let late = Step::Deadline { reason: CloseReason::HeadTimeout, late: Duration::ZERO, got: 9 };
    assert_eq!(of(c(1), &steps).first(), Some(&late));
    rig.turn();
    let answer = String::from_utf8(received(&mut peer)).expect("text");
    assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer:?}");
    drop(peer);
    rig.turn_until_seen(c(1), &closed(CloseReason::HeadTimeout));
}

#[test]
fn each_silence_has_its_own_patience() {
    let site = Site::new();
    let mut rig = Rig::new(&site);
    let _silent = rig.accepted();
    let mut kept_alive = rig.accepted();
    kept_alive.write_all(get("/").as_bytes()).expect("send");
    rig.turn_until("an answer", |s| of(c(2), s).iter().any(|s| matches!(s, Step::Wrote { .. })));
    rig.advance(10);
    let steps = rig.turn();
    assert_eq!(of(c(1), &steps), [deadline(CloseReason::HeadTimeout), closed(CloseReason::HeadTimeout)]);
    rig.advance(49);
    assert_eq!(of(c(2), &rig.turn()), []);
    rig.advance(1);
    assert_eq!(of(c(2), &rig.turn()), [deadline(CloseReason::IdleTimeout), closed(CloseReason::IdleTimeout)]);
}

#[test]
fn a_request_begun_late_in_an_idle_time_has_its_whole_time() {
    let site = Site::new();
    let mut rig = Rig::new(&site);
    let mut peer = rig.accepted();
    let answered = |s: &[(SourceId, Step)]| of(c(1), s).iter().any(|s| matches!(s, Step::Wrote { .. }));
    peer.write_all(get("/").as_bytes()).expect("send");
    rig.turn_until("an answer", answered);
    rig.advance(59);
    let (first, rest) = (&get("/")[..5], &get("/")[5..]);
    peer.write_all(first.as_bytes()).expect("send");
    rig.turn_until("a read", |s| s.iter().any(|(_, s)| is_read(s)));
    rig.advance(9);
    assert_eq!(of(c(1), &rig.turn()), [], "ten seconds from its first byte");
    peer.write_all(rest.as_bytes()).expect("send");
    rig.turn_until("an answer", answered);
    rig.advance(59);
    assert_eq!(of(c(1), &rig.turn()), [], "and a minute from its answer");
}

#[test]
fn no_limit_is_for_ever() {
    let mut rig = Rig::with(&Site::empty(), LIMITS, Timeouts { head: None, idle: None });
    let _silent = rig.accepted();
    rig.advance(1_000_000);
    assert_eq!(of(c(1), &rig.turn()), []);
}

#[test]
fn those_who_are_late_together_are_closed_within_a_budget_a_turn() {
    let mut rig = Rig::new(&Site::empty());
    let peers: Vec<_> = (0..600).map(|_| rig.connect()).collect();
    for _ in 0..12 {
        rig.turn();
    }
    assert_eq!(rig.event_loop.open_connections(), peers.len());
    rig.advance(10);
    let closed =
        |steps: Vec<(SourceId, Step)>| steps.iter().filter(|(_, s)| matches!(s, Step::Closed { .. })).count();
    assert_eq!(
        [closed(rig.turn()), closed(rig.turn()), closed(rig.turn()), closed(rig.turn())],
        [256, 256, 88, 0]
    );
    assert_eq!(rig.event_loop.open_connections(), 0);
}

#[test]
fn a_peer_that_stops_reading_is_waited_for_and_the_others_are_served() {
    let site = Site::new();
    let big = pattern(16 << 20);
    site.write("big.bin", &big);
    let mut rig = Rig::new(&site);
    let mut hog = rig.accepted();
    hog.write_all(get("/big.bin").as_bytes()).expect("send");
    let steps = rig.turn_until_seen(c(1), &Step::Armed);
    assert!(
        of(c(1), &steps).iter().any(|s| matches!(s, Step::Blocked { .. })),
        "armed only after a write would block"
    );
    for _ in 0..3 {
        assert_eq!(of(c(1), &rig.turn()), [], "nothing is tried until it can be");
    }
    let mut other = rig.accepted();
    other.write_all(get("/hello.txt").as_bytes()).expect("send");
    rig.turn_until("the other is served", |s| of(c(2), s).iter().any(|s| matches!(s, Step::Wrote { .. })));

    let mut got = Vec::new();
    rig.turn_until("the hog has all", |steps| {
        got.extend(received(&mut hog));
        of(c(1), steps).contains(&Step::Disarmed)
    });
    got.extend(received(&mut hog));
    assert!(got.ends_with(&big), "whole and in order");
}

#[test]
fn a_peer_that_takes_nothing_is_given_up() {
    let (mut rig, mut hog) = stalled();
    rig.advance(29);
    assert_eq!(of(c(1), &rig.turn()), []);
    rig.advance(1);
    let mut steps = of(c(1), &rig.turn());
    // What its kernel took for it counts once.
    while steps.iter().any(|step| matches!(step, Step::Wrote { .. })) {
        rig.advance(30);
        steps = of(c(1), &rig.turn());
    }
    assert!(
        matches!(&steps[..], [Step::Deadline { .. }, Step::Blocked { .. }, last] if *last == closed(CloseReason::SendTimeout)),
        "{steps:?}"
    );
    let _ = hog.set_nonblocking(false);
    let error = hog.read_to_end(&mut Vec::new()).expect_err("a reset");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn a_peer_that_takes_less_than_the_kernel_tells_of_is_not_given_up() {
    let (mut rig, mut slow) = stalled();
    let mut buffer = vec![0; 600 << 10];
    for _ in 0..5 {
        slow.read_exact(&mut buffer).expect("there is more");
        rig.advance(30);
        let steps = of(c(1), &rig.turn());
        assert!(!steps.iter().any(|step| matches!(step, Step::Closed { .. })), "{steps:?}");
    }
}

#[test]
fn a_download_takes_its_budget_a_turn_and_a_small_request_goes_between() {
    let site = Site::new();
    site.sparse("endless.bin", 1 << 40);
    let mut rig = Rig::new(&site);
    let hog = rig.accepted();
    let reader = {
        let mut hog = hog.try_clone().expect("clone");
        hog.set_nonblocking(false).expect("set blocking");
        std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 20];
            while hog.read(&mut buffer).is_ok_and(|n| n > 0) {}
        })
    };
    (&hog).write_all(get("/endless.bin").as_bytes()).expect("send");
    rig.turn_until("a carried-over download", |s| of(c(1), s).contains(&Step::CarriedOver));
    let mut peer = rig.accepted();
    peer.write_all(get("/hello.txt").as_bytes()).expect("send");
    let mut turns = 0;
    let answered = |s: &[(SourceId, Step)]| of(c(2), s).iter().any(|s| matches!(s, Step::Wrote { .. }));
    rig.turn_until("an answer", |s| {
        turns += 1;
        answered(s)
    });
    assert!(turns <= 2, "served in the turn in which it was seen, not after {turns}");
    // The budget is overrun by less than one slice of a file.
    for _ in 0..20 {
        let steps = rig.turn();
        let sent: usize =
            of(c(1), &steps).iter().map(|s| if let Step::Wrote { got, .. } = s { *got } else { 0 }).sum();
        assert!(sent <= 512 * 1024, "{sent} in one turn");
    }
    hog.shutdown(std::net::Shutdown::Both).expect("shut down");
    reader.join().expect("the reader ends");
}

#[test]
fn data_and_end_of_input_that_come_together_are_both_seen() {
    let site = Site::new();
    let mut rig = Rig::new(&site);
    let mut peer = rig.accepted();
    peer.write_all(get("/hello.txt").as_bytes()).expect("send");
    peer.shutdown(std::net::Shutdown::Write).expect("half-close");
    let steps = rig.turn_until_seen(c(1), &closed(CloseReason::Eof));
    let mine = of(c(1), &steps);
    let at = |wanted: fn(&Step) -> bool| mine.iter().position(wanted).expect("the step");
    assert!(at(|s| matches!(s, Step::Wrote { .. })) < at(|s| *s == Step::EndOfInput), "{mine:?}");
    assert!(received(&mut peer).ends_with(b"hello\n"));
}

#[test]
fn a_drain_answers_what_has_come_and_closes_the_rest() {
    let site = Site::new();
    let mut rig = Rig::new(&site);
    let mut idle = rig.accepted();
    let mut asked = rig.accepted();
    asked.write_all(get("/hello.txt").as_bytes()).expect("send");
    rig.event_loop.drain();
    assert!(TcpStream::connect(rig.address).is_err(), "nobody listens any more");
    let steps = rig.turn_until("the answer", |s| of(c(2), s).iter().any(|s| matches!(s, Step::Wrote { .. })));
    assert!(of(c(1), &steps).contains(&closed(CloseReason::Shutdown)));
    let answer = String::from_utf8(received(&mut asked)).expect("text");
    assert!(answer.contains("\r\nConnection: close\r\n") && answer.ends_with("hello\n"), "{answer}");
    assert_eq!(received(&mut idle), b"");
    drop(asked);
    rig.turn_until_seen(c(2), &closed(CloseReason::Shutdown));
    assert!(rig.event_loop.is_drained());
}

#[test]
fn a_drain_looks_once_more_at_everybody_however_many() {
    // More than one poll tells of, all of whom have asked; and some who were not even accepted.
    allow_many_descriptors();
    let site = Site::new();
    let mut rig = Rig::with(&site, Limits { max_connections: 5000, ..LIMITS }, TIMEOUTS);
    let mut peers: Vec<_> =
        (0..15).flat_map(|_| (0..100).map(|_| rig.accepted()).collect::<Vec<_>>()).collect();
    peers.extend((0..300).map(|_| rig.connect()));
    for peer in &mut peers {
        peer.write_all(get("/hello.txt").as_bytes()).expect("send");
    }
    rig.event_loop.drain();
    for _ in 0..10 {
        rig.turn();
    }
    let answered =
        peers.iter_mut().filter_map(|peer| received(peer).ends_with(b"hello\n").then_some(())).count();
    assert_eq!(answered, peers.len());
}

#[test]
fn a_drain_ends_at_its_deadline() {
    let (mut rig, _hog) = stalled();
    rig.event_loop.drain();
    rig.advance(9);
    rig.turn();
    assert!(!rig.event_loop.is_drained());
    rig.advance(1);
    rig.turn();
    assert!(rig.event_loop.is_drained());
}

#[test]
fn another_protocol_runs_on_the_same_loop() {
    let service = |_: SocketAddr| -> Box<dyn oneloop::protocol::Protocol> { Box::new(Echo) };
    let mut rig = Rig::serving(Box::new(service), LIMITS);
    let mut peer = rig.accepted();
    let sent = pattern(3 << 20);
    let (mut at, mut got) = (0, Vec::new());
    while got.len() < sent.len() {
        if let Ok(n) = peer.write(&sent[at..]) {
            at += n;
        }
        rig.turn();
        got.extend(received(&mut peer));
    }
    assert!(got == sent, "three mebibytes come back whole");
}
