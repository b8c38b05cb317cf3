//! What a protocol can do to peers on purpose: reset a connection, let new connections wait in the
//! backlog, or block the loop.

use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
};

use crate::common::*;
use oneloop::{
    Address,
    protocol::{CloseReason, Context, Outbox, Progress, Protocol, Received, Timeout},
    trace::{SourceId, Step},
};

/// A protocol that does what each line tells it, after it has echoed the line.
struct Disruptive;

impl Protocol for Disruptive {
    fn receive(&mut self, input: &[u8], out: &mut Outbox, _cx: &mut Context<'_>) -> Received {
        let Some(len) = input.iter().position(|byte| *byte == b'\n') else {
            return Received { consumed: 0, progress: Progress::NeedInput };
        };
        out.bytes().extend_from_slice(&input[..=len]);
        let progress = match &input[..len] {
            b"reset" => Progress::Close(CloseReason::Aborted),
            _ => Progress::Again,
        };
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
