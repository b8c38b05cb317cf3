//! What a protocol can do to peers on purpose: reset a connection, let new connections wait in the
//! backlog, or block the loop.

use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    time::Duration,
};

use crate::common::*;
use oneloop::{
    Address,
    protocol::{CloseReason, Context, Outbox, Progress, Protocol, Received, Timeout},
    trace::{PauseReason, SourceId, Step},
};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// A protocol that does what each line tells it, after it has echoed the line.
struct Disruptive;

impl Protocol for Disruptive {
    fn receive(&mut self, input: &[u8], out: &mut Outbox, cx: &mut Context<'_>) -> Received {
        let Some(len) = input.iter().position(|byte| *byte == b'\n') else {
            return Received { consumed: 0, progress: Progress::NeedInput };
        };
        out.bytes().extend_from_slice(&input[..=len]);
        let mut progress = Progress::Again;
        match &input[..len] {
            b"reset" => progress = Progress::Close(CloseReason::Aborted),
            b"stall" => cx.stall_accept(3 * SECOND),
            b"block" => drop(cx.block_loop(SECOND, 10 * SECOND)),
            b"wait" => progress = Progress::WaitUntil(cx.clock.after(Some(SECOND / 2))),
            _ => {}
        }
        Received { consumed: len + 1, progress }
    }

    fn timeout(&self, _partial: bool) -> Timeout {
        Timeout { limit: None, reason: CloseReason::IdleTimeout }
    }
}

/// Returns a loop whose steps are recorded and whose connections speak [`Disruptive`].
fn rig() -> Rig {
    let mut rig = Rig::recorded(Rig::config(&Site::empty()));
    let socket = TcpListener::bind("127.0.0.1:0").expect("listen");
    rig.address = socket.local_addr().expect("read its address");
    let create = |_: &Address| -> Box<dyn Protocol> { Box::new(Disruptive) };
    rig.server.add_listener(socket, create).expect("add a listener");
    rig
}

/// Returns the steps of `source` whose kind `is_wanted` accepts.
fn of(source: SourceId, steps: &[(SourceId, Step)], is_wanted: fn(&Step) -> bool) -> Vec<Step> {
    let wanted = steps.iter().filter(|(by, step)| *by == source && is_wanted(step));
    wanted.map(|(_, step)| step.clone()).collect()
}

/// Reads until the connection ends, and returns what was read and the error.
fn rest(peer: &mut TcpStream) -> (String, Option<ErrorKind>) {
    peer.set_nonblocking(false).expect("set blocking");
    peer.set_read_timeout(Some(SOON)).expect("set a timeout");
    let mut rest = Vec::new();
    let error = loop {
        let mut byte = [0];
        match uninterrupted(|| peer.read(&mut byte)) {
            Ok(0) => break None,
            Ok(_) => rest.extend(byte),
            Err(e) => break Some(e.kind()),
        }
    };
    (String::from_utf8(rest).expect("text"), error)
}

#[test]
fn protocol_resets_its_connection_behind_its_output() {
    let mut rig = rig();
    // Unparsed input behind it would make a close linger.
    for said in ["one\ntwo\nreset\n", "reset\nmore\n"] {
        let mut peer = rig.accepted();
        let number = rig.event_loop().open_connections() as u64;
        assert_eq!(number, 1, "the last one is gone");
        peer.write_all(said.as_bytes()).expect("send");
        let is_end = |s: &Step| matches!(s, Step::ShutDown | Step::Closed { .. });
        let steps = rig.turn_until("a close", |steps| steps.iter().any(|(_, step)| is_end(step)));
        let end: Vec<&Step> = steps.iter().map(|(_, step)| step).filter(|step| is_end(step)).collect();
        let unread = if said.ends_with("more\n") { 5 } else { 0 };
        assert_eq!(end, [&Step::Closed { reason: CloseReason::Aborted, unread }]);
        let echoed = &said[..said.find("reset").expect("it is there") + 6];
        assert_eq!(rest(&mut peer), (echoed.to_owned(), Some(ErrorKind::ConnectionReset)));
    }
}

#[test]
fn protocol_without_a_reset_ends_in_an_orderly_way() {
    let mut rig = rig();
    let mut peer = rig.accepted();
    peer.write_all(b"one\n").expect("send");
    peer.shutdown(std::net::Shutdown::Write).expect("half-close");
    rig.turn_until("a close", |steps| {
        !of(SourceId::Connection(1), steps, |step| matches!(step, Step::Closed { .. })).is_empty()
    });
    assert_eq!(rest(&mut peer), ("one\n".to_owned(), None));
}

/// Returns the listener of [`rig`], which is its second one.
const LISTENER: SourceId = SourceId::Listener(2);

/// Sends `line` and runs turns until it has come back.
fn say(rig: &mut Rig, peer: &mut TcpStream, line: &str) {
    peer.write_all(line.as_bytes()).expect("send");
    let mut got = Vec::new();
    eventually("an echo", || {
        rig.turn();
        got.extend(received(peer));
        got == line.as_bytes()
    });
}

/// Runs turns until the listener pauses, and a few more. Returns the number of connections that
/// were accepted and the pauses.
fn accepts_and_pauses(rig: &mut Rig) -> (usize, Vec<Step>) {
    let is_pause = |step: &Step| matches!(step, Step::AcceptPaused { .. });
    let mut steps = rig.turn_until("a pause", |steps| !of(LISTENER, steps, is_pause).is_empty());
    (0..5).for_each(|_| steps.extend(rig.turn()));
    let accepted = of(LISTENER, &steps, |step| matches!(step, Step::Accepted { .. }));
    (accepted.len(), of(LISTENER, &steps, is_pause))
}

#[test]
fn stall_keeps_connections_in_the_backlog_until_its_end() {
    let mut rig = rig();
    let (mut first, leaving) = (rig.accepted(), rig.accepted());
    say(&mut rig, &mut first, "stall\n");
    let mut late = rig.connect();
    late.write_all(b"late\n").expect("send");
    let paused = vec![Step::AcceptPaused { reason: PauseReason::Stall }];
    assert_eq!(accepts_and_pauses(&mut rig), (0, paused.clone()), "a paused listener does not spin");
    // Others are served, and neither that nor a second stall nor a close moves the end.
    say(&mut rig, &mut first, "one\n");
    rig.advance(SECOND);
    say(&mut rig, &mut first, "stall\n");
    drop(leaving);
    rig.turn_until("a close", |steps| {
        !of(SourceId::Connection(2), steps, |step| matches!(step, Step::Closed { .. })).is_empty()
    });
    let _latest = rig.connect();
    assert_eq!(accepts_and_pauses(&mut rig), (0, paused));
    rig.advance(2 * SECOND - MS);
    (0..5).for_each(|_| drop(rig.turn()));
    assert_eq!((rig.event_loop().open_connections(), received(&mut late)), (1, vec![]));
    rig.advance(MS);
    let mut got = Vec::new();
    eventually("the late one is served", || {
        rig.turn();
        got.extend(received(&mut late));
        got == b"late\n"
    });
    assert_eq!(rig.event_loop().open_connections(), 3);
    // As much time must pass before the next stall.
    rig.advance(3 * SECOND - MS);
    say(&mut rig, &mut first, "stall\n");
    let _early = rig.accepted();
    rig.advance(MS);
    say(&mut rig, &mut first, "stall\n");
    let _waiting = rig.connect();
    assert_eq!(accepts_and_pauses(&mut rig).0, 0);
}

#[test]
fn stall_ends_when_the_server_shuts_down() {
    let mut rig = rig();
    let mut first = rig.accepted();
    say(&mut rig, &mut first, "stall\n");
    let mut late = rig.connect();
    late.write_all(b"late\n").expect("send");
    assert_eq!(accepts_and_pauses(&mut rig).0, 0);
    rig.event_loop().drain();
    (0..20).for_each(|_| drop(rig.turn()));
    assert_eq!(rest(&mut late), ("late\n".to_owned(), None));
}

#[test]
fn block_stops_the_whole_loop_once_in_an_interval() {
    let mut rig = rig();
    rig.event_loop().measure_turns();
    let (mut first, mut second) = (rig.accepted(), rig.accepted());
    let clock = |rig: &mut Rig| rig.event_loop().clock().now();
    let start = clock(&mut rig);
    // The time before a line, and the time that has passed once the line has come back.
    for (wait, expected) in [(0, 1), (0, 1), (8, 9), (1, 11), (0, 11), (30, 42)] {
        rig.advance(wait * SECOND);
        say(&mut rig, &mut first, "block\n");
        assert_eq!(clock(&mut rig) - start, expected * SECOND, "after {wait}");
    }
    // A timer that is due in between is late.
    rig.advance(10 * SECOND);
    second.write_all(b"wait\nafter\n").expect("send");
    rig.turn_until_seen(SourceId::Connection(2), &Step::Postponed { within: Some(SECOND / 2) });
    say(&mut rig, &mut first, "block\n");
    let steps = rig.turn_until("an answer", |steps| {
        !of(SourceId::Connection(2), steps, |step| matches!(step, Step::Wrote { .. })).is_empty()
    });
    assert_eq!(clock(&mut rig) - start, 53 * SECOND);
    assert_eq!(received(&mut second), b"wait\nafter\n", "{steps:?}");
    let counters = rig.event_loop().counters();
    assert_eq!((counters.longest, counters.busy), (SECOND, 4 * SECOND));
}

#[test]
fn block_counts_as_time_in_which_the_loop_is_busy() {
    let mut rig = rig();
    rig.event_loop().measure_turns();
    let mut first = rig.accepted();
    say(&mut rig, &mut first, "block\n");
    rig.turn();
    let counters = rig.event_loop().counters();
    assert_eq!((counters.longest, counters.busy), (SECOND, SECOND));
}

#[test]
fn block_is_shown_by_a_trace_and_does_not_hold_up_a_shutdown() {
    let mut rig = rig();
    let mut first = rig.accepted();
    first.write_all(b"block\n").expect("send");
    rig.turn_until_seen(SourceId::Loop, &Step::LoopBlocked { time: SECOND });
    rig.advance(60 * SECOND);
    first.write_all(b"block\n").expect("send");
    rig.event_loop().drain();
    let steps = rig.turn_until("a close", |steps| {
        !of(SourceId::Connection(1), steps, |step| matches!(step, Step::Closed { .. })).is_empty()
    });
    assert_eq!(of(SourceId::Loop, &steps, |step| matches!(step, Step::LoopBlocked { .. })), []);
    assert_eq!(rest(&mut first), ("block\nblock\n".to_owned(), None));
}
