//! Accepting connections.

use std::io::Write;

use super::*;
use crate::common::*;
use oneloop::{
    protocol::CloseReason,
    trace::{SourceId, Step},
};

#[test]
fn turn_has_an_accept_budget() {
    let site = Site::new();
    let mut rig = Rig::recorded(Rig::config(&site));
    let peers: Vec<_> = (0..150).map(|_| rig.connect()).collect();
    let mut turns = Vec::new();
    for _ in 0..3 {
        turns.push(of(SourceId::Listener(1), &rig.turn()));
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
    let first = rig.accepted();
    let _second = rig.accepted();
    let mut third = rig.connect();
    rig.turn_until_seen(SourceId::Listener(1), &Step::AcceptPaused { out_of_fds: false });
    for _ in 0..5 {
        assert_eq!(of(SourceId::Listener(1), &rig.turn()), [], "a paused listener does not spin");
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
