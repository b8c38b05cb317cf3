//! Accepting connections.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use super::*;
use crate::common::*;
use oneloop::{
    protocol::CloseReason,
    trace::{PauseReason, SourceId, Step},
};

const L1: SourceId = SourceId::Listener(1);

#[test]
fn turn_has_an_accept_budget() {
    let site = Site::new();
    let mut rig = Rig::recorded(Rig::config(&site));
    let peers: Vec<_> = (0..150).map(|_| rig.connect()).collect();
    let mut turns = Vec::new();
    for _ in 0..3 {
        turns.push(of(L1, &rig.turn()));
    }
    assert_eq!(rig.event_loop().open_connections(), peers.len());
    let accepts = |steps: &[Step]| steps.iter().filter(|s| matches!(s, Step::Accepted { .. })).count();
    assert_eq!(turns.iter().map(|t| accepts(t)).collect::<Vec<_>>(), [64, 64, 22]);
    assert_eq!(turns[0].last(), Some(&Step::CarriedOver));
    assert_eq!(turns[2].last(), Some(&Step::BacklogEmpty));
}

#[test]
fn turn_pauses_accept_at_the_limit_until_something_closes() {
    let site = Site::new();
    let mut config = Rig::config(&site);
    config.max_connections = Some(2);
    let mut rig = Rig::recorded(config);
    let (mut first, mut second) = (rig.accepted(), rig.accepted());
    for (number, peer) in [(1, &mut first), (2, &mut second)] {
        peer.write_all(b"GET").expect("send");
        rig.turn_until_seen(c(number), &Step::Incomplete { have: 3, need: "CRLFCRLF" });
    }
    let mut third = rig.connect();
    rig.turn_until_seen(L1, &Step::AcceptPaused { reason: PauseReason::Limit });
    for _ in 0..5 {
        assert_eq!(of(L1, &rig.turn()), [], "a paused listener does not spin");
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
fn turn_reuses_the_key_of_a_closed_connection_and_not_its_number() {
    let site = Site::new();
    let mut rig = Rig::recorded(Rig::config(&site));
    // In one batch: the first connection closes, and another connects and sends a request.
    for number in 1..50 {
        let mut peer = rig.accepted();
        peer.write_all(get("/hello.txt").as_bytes()).expect("send");
        rig.turn_until("an answer", |s| of(c(number), s).iter().any(|s| matches!(s, Step::Wrote { .. })));
        assert!(received(&mut peer).ends_with(b"hello\n"));
        drop(peer);
    }
    assert!(rig.event_loop().open_connections() <= 2, "the closed connections are gone");
}

/// Connects once more and returns the steps until the new connection is accepted.
fn crowd(rig: &mut Rig, number: u64) -> (TcpStream, Vec<(SourceId, Step)>) {
    let peer = rig.connect();
    let is_accept = |s: &Step| matches!(s, Step::Accepted { connection, .. } if *connection == number);
    let steps = rig.turn_until("an accept", |steps| steps.iter().any(|(_, s)| is_accept(s)));
    (peer, steps)
}

fn evicted(steps: &[(SourceId, Step)]) -> Vec<SourceId> {
    steps.iter().filter(|(_, s)| *s == closed(CloseReason::Evicted)).map(|(source, _)| *source).collect()
}

#[test]
fn turn_evicts_the_connection_that_has_been_idle_longest() {
    let site = Site::new();
    let mut config = Rig::config(&site);
    config.max_connections = Some(4);
    let mut rig = Rig::recorded(config);
    let mut peers: Vec<TcpStream> = (0..4).map(|_| rig.accepted()).collect();
    // The first is silent. The others are kept, and the second asks once more.
    for number in [1, 2, 3, 1] {
        rig.ask(&mut peers[number], get("/none"));
        rig.advance(seconds(1));
    }
    let mut later = Vec::new();
    for (number, expected) in [(5, c(3)), (6, c(4)), (7, c(2)), (8, c(1)), (9, c(5))] {
        let (peer, steps) = crowd(&mut rig, number);
        assert_eq!(evicted(&steps), [expected], "for c{number}");
        later.push(peer);
        rig.advance(seconds(1));
    }
    assert_eq!(rig.event_loop().open_connections(), 4);
    for peer in &mut peers {
        let mut rest = Vec::new();
        peer.read_to_end(&mut rest).expect("a clean end of input, and no reset");
        assert_eq!(rest, b"");
    }
}

#[test]
fn turn_evicts_no_connection_with_a_message_in_progress() {
    let site = Site::new();
    site.sparse("large.bin", 64 << 20);
    let mut config = Rig::config(&site);
    config.max_connections = Some(3);
    let mut rig = Rig::recorded(config);
    // Half a head, a response that is not read, and a request that has not been read yet.
    let mut peers = [rig.accepted(), rig.accepted(), rig.accepted()];
    peers[0].write_all(b"GET / HT").expect("send");
    peers[1].write_all(get("/large.bin").as_bytes()).expect("send");
    rig.turn_until_seen(c(1), &Step::Incomplete { have: 8, need: "CRLFCRLF" });
    rig.turn_until("a full buffer", |s| of(c(2), s).iter().any(|s| matches!(s, Step::Blocked { .. })));
    rig.ask(&mut peers[2], get("/none"));
    rig.advance(seconds(1));
    let mut fourth = rig.connect();
    peers[2].write_all(get("/none").as_bytes()).expect("send");
    fourth.write_all(get("/none").as_bytes()).expect("send");
    // A connection is not closed in the first second after its response.
    let mut steps = rig.turn_until("c3", |s| of(c(3), s).iter().any(|s| matches!(s, Step::Wrote { .. })));
    steps.extend((0..3).flat_map(|_| rig.turn()));
    assert_eq!((evicted(&steps), of(L1, &rig.turn())), (vec![], vec![]));
    rig.advance(seconds(1));
    steps.extend(rig.turn_until("c4", |s| of(c(4), s).iter().any(|s| matches!(s, Step::Wrote { .. }))));
    let answer = of(c(3), &steps).iter().position(|s| matches!(s, Step::Wrote { .. }));
    let close = of(c(3), &steps).iter().position(|s| *s == closed(CloseReason::Evicted));
    assert!(answer.is_some() && answer < close, "c3 is answered before it is closed: {steps:?}");
    assert_eq!(evicted(&steps), [c(3)]);
    // The fourth is now the only idle one. Without it, nothing is left to close.
    fourth.write_all(b"GET").expect("send");
    rig.turn_until_seen(c(4), &Step::Incomplete { have: 3, need: "CRLFCRLF" });
    let _fifth = rig.connect();
    rig.turn_until_seen(L1, &Step::AcceptPaused { reason: PauseReason::Limit });
    assert_eq!(of(L1, &rig.turn()), [], "a paused listener does not spin");
}
