//! Timeouts.

use std::{io::Write, time::Duration};

use super::*;
use crate::common::*;
use oneloop::{
    Timeouts,
    protocol::CloseReason,
    trace::{SourceId, Step},
};

/// Returns the step of a deadline that passed just now, before any data arrived.
fn deadline(reason: CloseReason) -> Step {
    Step::Deadline { reason, late: Duration::ZERO, got: 0 }
}

fn is_deadline(step: &Step) -> bool {
    matches!(step, Step::Deadline { .. })
}

#[test]
fn timer_of_a_head_is_not_extended_by_trickling_bytes() {
    let mut rig = Rig::recorded(Rig::config(&Site::empty()));
    let mut peer = rig.accepted();
    for byte in get("/").as_bytes().iter().take(9) {
        rig.advance(seconds(1));
        peer.write_all(&[*byte]).expect("send");
        let steps = rig.turn_until("a read", |steps| steps.iter().any(|(_, s)| is_read(s)));
        assert!(!of(c(1), &steps).iter().any(is_deadline));
    }
    rig.advance(seconds(1));
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
fn timer_of_a_body_is_not_extended_by_its_bytes_and_none_is_kept() {
    for fields in ["Content-Length: 30000", "Transfer-Encoding: chunked"] {
        let mut rig = Rig::recorded(Rig::config(&Site::empty()));
        let mut peer = rig.accepted();
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n4e20\r\n");
        peer.write_all(head.as_bytes()).expect("send");
        for _ in 0..9 {
            rig.advance(seconds(1));
            peer.write_all(&[b'x'; 1000]).expect("send");
            let steps = rig.turn_until("a read", |steps| steps.iter().any(|(_, s)| is_read(s)));
            assert!(!of(c(1), &steps).iter().any(is_deadline));
        }
        rig.advance(seconds(1));
        let steps = rig.turn_until("late", |steps| steps.iter().any(|(_, step)| is_deadline(step)));
        assert!(of(c(1), &steps).contains(&deadline(CloseReason::HeadTimeout)), "{fields}: {steps:?}");
        rig.turn();
        let answer = String::from_utf8(received(&mut peer)).expect("text");
        assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer:?}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "one response: {answer:?}");
    }
}

#[test]
fn timer_differs_for_new_and_idle_connections() {
    let site = Site::new();
    let mut rig = Rig::recorded(Rig::config(&site));
    let _silent = rig.accepted();
    let mut kept_alive = rig.accepted();
    kept_alive.write_all(get("/").as_bytes()).expect("send");
    rig.turn_until("an answer", |s| of(c(2), s).iter().any(|s| matches!(s, Step::Wrote { .. })));
    rig.advance(seconds(10));
    let steps = rig.turn();
    assert_eq!(of(c(1), &steps), [deadline(CloseReason::HeadTimeout), closed(CloseReason::HeadTimeout)]);
    rig.advance(seconds(49));
    assert_eq!(of(c(2), &rig.turn()), []);
    rig.advance(seconds(1));
    assert_eq!(of(c(2), &rig.turn()), [deadline(CloseReason::IdleTimeout), closed(CloseReason::IdleTimeout)]);
}

#[test]
fn timer_of_a_head_begins_with_its_first_byte() {
    let site = Site::new();
    let mut rig = Rig::recorded(Rig::config(&site));
    let mut peer = rig.accepted();
    let answered = |s: &[(SourceId, Step)]| of(c(1), s).iter().any(|s| matches!(s, Step::Wrote { .. }));
    peer.write_all(get("/").as_bytes()).expect("send");
    rig.turn_until("an answer", answered);
    rig.advance(seconds(59));
    let (first, rest) = (&get("/")[..5], &get("/")[5..]);
    peer.write_all(first.as_bytes()).expect("send");
    rig.turn_until("a read", |s| s.iter().any(|(_, s)| is_read(s)));
    rig.advance(seconds(9));
    assert_eq!(of(c(1), &rig.turn()), [], "ten seconds after its first byte");
    peer.write_all(rest.as_bytes()).expect("send");
    rig.turn_until("an answer", answered);
    rig.advance(seconds(59));
    assert_eq!(of(c(1), &rig.turn()), [], "a minute after its response");
}

#[test]
fn timer_without_limit_never_fires() {
    let site = Site::empty();
    let mut config = Rig::config(&site);
    config.timeouts = Timeouts { head: None, idle: None };
    let mut rig = Rig::recorded(config);
    let _silent = rig.accepted();
    rig.advance(seconds(1_000_000));
    assert_eq!(of(c(1), &rig.turn()), []);
}

#[test]
fn timer_budget_bounds_a_turn() {
    let mut rig = Rig::recorded(Rig::config(&Site::empty()));
    let peers: Vec<_> = (0..600).map(|_| rig.connect()).collect();
    for _ in 0..12 {
        rig.turn();
    }
    assert_eq!(rig.event_loop().open_connections(), peers.len());
    rig.advance(seconds(10));
    let closed =
        |steps: Vec<(SourceId, Step)>| steps.iter().filter(|(_, s)| matches!(s, Step::Closed { .. })).count();
    assert_eq!(
        [closed(rig.turn()), closed(rig.turn()), closed(rig.turn()), closed(rig.turn())],
        [256, 256, 88, 0]
    );
    assert_eq!(rig.event_loop().open_connections(), 0);
}

#[test]
fn timer_does_not_close_a_connection_whose_request_has_arrived() {
    // More connections than one poll reports. The process was stopped for so long that the
    // deadlines of all have passed, and each has a request.
    allow_many_descriptors();
    let site = Site::new();
    let mut config = Rig::config(&site);
    config.max_connections = Some(5000);
    let mut rig = Rig::new(config);
    let mut peers: Vec<_> = (0..1300).map(|_| rig.accepted()).collect();
    // The poller reports the last ones first. The first ones are due first.
    for peer in peers.iter_mut().rev() {
        peer.write_all(get("/hello.txt").as_bytes()).expect("send");
    }
    rig.advance(seconds(3600));
    for _ in 0..10 {
        rig.turn();
    }
    let answered = peers.iter_mut().filter_map(|peer| received(peer).ends_with(b"hello\n").then_some(()));
    assert_eq!(answered.count(), peers.len());
}
