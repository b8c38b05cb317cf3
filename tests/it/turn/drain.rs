//! Shutting down.

use std::{
    io::Write,
    net::{TcpListener, TcpStream},
    time::Duration,
};

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
fn drain_turn_waits_for_the_next_request_of_a_busy_client() {
    let site = Site::new();
    let mut rig = Rig::recorded(Rig::config(&site));
    let mut idle = rig.accepted();
    rig.ask(&mut idle, get("/hello.txt"));
    rig.advance(Duration::from_secs(2));
    let mut busy = rig.accepted();
    rig.ask(&mut busy, get("/hello.txt"));
    rig.event_loop().drain();
    rig.turn_until_seen(c(1), &closed(CloseReason::Shutdown));
    let response = rig.ask(&mut busy, get("/hello.txt"));
    assert!(response.status == 200 && response.closes(), "{response:?}");
    assert_eq!(received(&mut idle), b"");
}

#[test]
fn drain_turn_closes_a_busy_client_that_sends_no_more() {
    let site = Site::new();
    let mut rig = Rig::recorded(Rig::config(&site));
    let mut busy = rig.accepted();
    rig.ask(&mut busy, get("/hello.txt"));
    rig.event_loop().drain();
    rig.turn();
    assert!(!rig.event_loop().is_drained());
    rig.advance(Duration::from_secs(1));
    rig.turn_until_seen(c(1), &closed(CloseReason::Shutdown));
    assert!(rig.event_loop().is_drained());
}

/// A duplicate of the listening socket stays open, as in another process. The poller must not
/// report the connections that arrive there.
#[test]
fn drain_turn_leaves_a_shared_listener_to_others() {
    let site = Site::new();
    let shared = TcpListener::bind("127.0.0.1:0").expect("listen");
    let mut config = Rig::config(&site);
    config.hosts.clear();
    config.listeners = vec![shared.try_clone().expect("duplicate it").into()];
    let mut rig = Rig::recorded(config);
    let _idle = rig.accepted();
    rig.event_loop().drain();
    // This source gets the key of the listener, which has been closed.
    let (reader, _writer) = std::io::pipe().expect("a pipe");
    rig.event_loop().wake_on("other", reader.into()).expect("poll it");
    let _waiting = rig.connect();
    for (_, step) in rig.turn() {
        assert!(!matches!(&step, Step::Woke { ready, .. } if !ready.is_empty()), "{step:?}");
    }
    shared.accept().expect("the connection waits in the backlog");
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
