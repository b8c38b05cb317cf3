//! Clients that read more slowly than the server sends.

use std::io::{Read, Write};

use super::*;
use crate::common::*;
use oneloop::{
    protocol::CloseReason,
    trace::{SourceId, Step},
};

#[test]
fn turn_waits_for_a_peer_that_stops_reading_and_serves_others() {
    let site = Site::new();
    let big = pattern(16 << 20);
    site.write("big.bin", &big);
    let mut rig = Rig::recorded(Rig::config(&site));
    let mut slow = rig.accepted();
    slow.write_all(get("/big.bin").as_bytes()).expect("send");
    let steps = rig.turn_until_seen(c(1), &Step::Armed);
    assert!(
        of(c(1), &steps).iter().any(|s| matches!(s, Step::Blocked { .. })),
        "armed only after a write would block"
    );
    for _ in 0..3 {
        assert_eq!(of(c(1), &rig.turn()), [], "no write before the socket is writable");
    }
    let mut other = rig.accepted();
    other.write_all(get("/hello.txt").as_bytes()).expect("send");
    rig.turn_until("the other client is served", |s| {
        of(c(2), s).iter().any(|s| matches!(s, Step::Wrote { .. }))
    });

    let mut got = Vec::new();
    rig.turn_until("the slow client has everything", |steps| {
        got.extend(received(&mut slow));
        of(c(1), steps).contains(&Step::Disarmed)
    });
    got.extend(received(&mut slow));
    assert!(got.ends_with(&big), "whole and in order");
}

#[test]
fn turn_closes_a_peer_that_accepts_no_data() {
    let (mut rig, mut slow) = stalled();
    rig.advance(seconds(29));
    assert_eq!(of(c(1), &rig.turn()), []);
    rig.advance(seconds(1));
    let mut steps = of(c(1), &rig.turn());
    // If the client's kernel accepts more data, the timeout starts again.
    while steps.iter().any(|step| matches!(step, Step::Wrote { .. })) {
        rig.advance(seconds(30));
        steps = of(c(1), &rig.turn());
    }
    assert!(
        matches!(&steps[..], [Step::Deadline { .. }, Step::Blocked { .. }, last] if *last == closed(CloseReason::SendTimeout)),
        "{steps:?}"
    );
    let _ = slow.set_nonblocking(false);
    let error = slow.read_to_end(&mut Vec::new()).expect_err("a reset");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn turn_keeps_a_peer_that_accepts_little_data() {
    let (mut rig, mut slow) = stalled();
    let mut buffer = vec![0; 600 << 10];
    for _ in 0..5 {
        slow.read_exact(&mut buffer).expect("there is more");
        rig.advance(seconds(30));
        let steps = of(c(1), &rig.turn());
        assert!(!steps.iter().any(|step| matches!(step, Step::Closed { .. })), "{steps:?}");
    }
}

/// Returns why a peer is closed that reads 600 KiB in 30 seconds, or `None` if it never is.
fn reason_to_close(min_rate: u32) -> Option<CloseReason> {
    let (mut rig, mut slow) = stalled_at(min_rate);
    let mut buffer = vec![0; 600 << 10];
    for _ in 0..10 {
        slow.read_exact(&mut buffer).expect("there is more");
        rig.advance(seconds(30));
        for step in of(c(1), &rig.turn()) {
            if let Step::Closed { reason, .. } = step {
                return Some(reason);
            }
        }
    }
    None
}

#[test]
fn turn_closes_a_peer_that_accepts_less_than_the_minimum_rate() {
    // The peer takes 20 KiB a second, in lumps.
    assert_eq!(reason_to_close(200_000), Some(CloseReason::TooSlow));
    assert_eq!(reason_to_close(2_000), None);
    assert_eq!(reason_to_close(0), None);
}

#[test]
fn turn_has_a_write_budget() {
    let site = Site::new();
    site.sparse("endless.bin", 1 << 40);
    let mut rig = Rig::recorded(Rig::config(&site));
    let slow = rig.accepted();
    let reader = {
        let mut slow = slow.try_clone().expect("clone");
        slow.set_nonblocking(false).expect("set blocking");
        std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 20];
            while slow.read(&mut buffer).is_ok_and(|n| n > 0) {}
        })
    };
    (&slow).write_all(get("/endless.bin").as_bytes()).expect("send");
    rig.turn_until("a carried-over download", |s| of(c(1), s).contains(&Step::CarriedOver));
    let mut peer = rig.accepted();
    peer.write_all(get("/hello.txt").as_bytes()).expect("send");
    let mut turns = 0;
    let answered = |s: &[(SourceId, Step)]| of(c(2), s).iter().any(|s| matches!(s, Step::Wrote { .. }));
    rig.turn_until("an answer", |s| {
        turns += 1;
        answered(s)
    });
    assert!(turns <= 2, "served after {turns} turns");
    // A turn exceeds the budget by less than one slice of a file.
    for _ in 0..20 {
        let steps = rig.turn();
        let sent: usize =
            of(c(1), &steps).iter().map(|s| if let Step::Wrote { got, .. } = s { *got } else { 0 }).sum();
        assert!(sent <= 512 * 1024, "{sent} in one turn");
    }
    slow.shutdown(std::net::Shutdown::Both).expect("shut down");
    reader.join().expect("the reader ends");
}
