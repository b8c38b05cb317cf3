//! Shutting down.

use std::{io::Write, net::TcpStream, time::Duration};

use super::*;
use crate::common::*;
use oneloop::{protocol::CloseReason, trace::Step};

#[test]
fn drain_turn_answers_what_has_come_and_closes_the_rest() {
    let site = Site::new();
    let mut rig = Rig::recorded(Rig::config(&site));
    let mut idle = rig.accepted();
    let mut asked = rig.accepted();
    asked.write_all(get("/hello.txt").as_bytes()).expect("send");
    rig.event_loop().drain();
    assert!(TcpStream::connect(rig.address).is_err(), "the listener is closed");
    let steps = rig.turn_until("the answer", |s| of(c(2), s).iter().any(|s| matches!(s, Step::Wrote { .. })));
    assert!(!of(c(1), &steps).contains(&closed(CloseReason::Shutdown)), "its request may be on its way");
    let answer = String::from_utf8(received(&mut asked)).expect("text");
    assert!(answer.contains("\r\nConnection: close\r\n") && answer.ends_with("hello\n"), "{answer}");
    assert_eq!(received(&mut idle), b"");
    drop(asked);
    rig.turn_until_seen(c(2), &closed(CloseReason::Shutdown));
    rig.advance(Duration::from_secs(1));
    rig.turn_until_seen(c(1), &closed(CloseReason::Shutdown));
    assert!(rig.event_loop().is_drained());
}

#[test]
fn drain_turn_reads_once_more_from_every_connection() {
    // More connections than one poll reports, each with a request, and some that are not accepted
    // yet.
    allow_many_descriptors();
    let site = Site::new();
    let mut config = Rig::config(&site);
    config.max_connections = Some(5000);
    let mut rig = Rig::recorded(config);
    let mut peers: Vec<_> =
        (0..15).flat_map(|_| (0..100).map(|_| rig.accepted()).collect::<Vec<_>>()).collect();
    peers.extend((0..300).map(|_| rig.connect()));
    for peer in &mut peers {
        peer.write_all(get("/hello.txt").as_bytes()).expect("send");
    }
    rig.event_loop().drain();
    for _ in 0..10 {
        rig.turn();
    }
    let answered =
        peers.iter_mut().filter_map(|peer| received(peer).ends_with(b"hello\n").then_some(())).count();
    assert_eq!(answered, peers.len());
}

#[test]
fn drain_turn_ends_at_the_deadline() {
    let (mut rig, _hog) = stalled();
    rig.event_loop().drain();
    rig.advance(seconds(9));
    rig.turn();
    assert!(!rig.event_loop().is_drained());
    rig.advance(seconds(1));
    rig.turn();
    assert!(rig.event_loop().is_drained());
}
