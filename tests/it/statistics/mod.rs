//! Statistics: what is counted, and what a service time is.

mod load_generators;
mod resource;
mod signal;

use std::{
    io::Write,
    time::{Duration, Instant},
};

use oneloop::Config;

use crate::common::*;

/// Returns a configuration that keeps statistics.
fn config(site: &Site) -> Config {
    let mut config = Rig::config(site);
    config.statistics = true;
    config
}

/// Returns the lines of the report that begin with `name`, each without repeated spaces.
fn rows(rig: &mut Rig, name: &str) -> Vec<String> {
    let report = rig.server.statistics().expect("statistics");
    let lines = report.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.filter(|line| line.starts_with(name)).collect()
}

/// Returns the first line of the report that begins with `name`.
fn row(rig: &mut Rig, name: &str) -> String {
    rows(rig, name).into_iter().next().unwrap_or_default()
}

/// Runs turns until `is_true` returns true.
fn turn_until(rig: &mut Rig, is_true: impl Fn(&mut Rig) -> bool) {
    let end = Instant::now() + SOON;
    while !is_true(rig) {
        assert!(Instant::now() < end, "{:?}", rig.server.statistics());
        rig.turn();
    }
}

#[test]
fn statistics_count_requests_and_bytes() {
    let site = Site::new();
    let mut rig = Rig::new(config(&site));
    let mut peer = rig.accepted();
    let mut sent = 0;
    for (number, request) in [get("/hello.txt"), get("/hello.txt"), get("/missing")].iter().enumerate() {
        peer.write_all(request.as_bytes()).expect("send");
        let expected = format!("requests {} 0/s", number + 1);
        turn_until(&mut rig, |rig| row(rig, "requests") == expected);
        sent += received(&mut peer).len();
    }
    assert_eq!(rows(&mut rig, "20").concat(), "200 2");
    assert_eq!(row(&mut rig, "404"), "404 1");
    assert!(row(&mut rig, "sent").starts_with(&format!("sent {sent} B ")), "{}", row(&mut rig, "sent"));
    let received = 2 * get("/hello.txt").len() + get("/missing").len();
    assert!(row(&mut rig, "received").starts_with(&format!("received {received} B ")));
    assert_eq!(row(&mut rig, "connections"), "connections 1 accepted, 1 open");
    drop(peer);
    turn_until(&mut rig, |rig| row(rig, "connections") == "connections 1 accepted, 0 open");
    assert_eq!(row(&mut rig, "eof"), "eof 1 closed by the client");
}

#[test]
fn service_time_begins_in_the_turn_of_the_request_and_ends_with_its_last_byte() {
    let site = Site::new();
    site.sparse("large", 64 << 20);
    let mut rig = Rig::new(config(&site));
    let mut peer = rig.accepted();
    // The first half of a request does not count, nor does the time until the second half.
    peer.write_all(b"GET /large HTTP/1.1\r\n").expect("send");
    rig.turn();
    rig.advance(Duration::from_secs(5));
    peer.write_all(b"Host: a\r\n\r\n").expect("send");
    // The client does not read.
    for _ in 0..50 {
        rig.turn();
    }
    assert_eq!(row(&mut rig, "requests"), "requests 1 0/s, 1 in progress");
    assert_eq!(row(&mut rig, "service time"), "", "no response is complete");
    rig.advance(Duration::from_secs(3));
    let mut got = 0;
    while got < 64 << 20 {
        got += received(&mut peer).len();
        rig.turn();
    }
    assert_eq!(
        row(&mut rig, "service time"),
        "service time 3.00 s p50, 99% within 3.00 s, 99.9% within 3.00 s, max 3.00 s"
    );
    assert_eq!(row(&mut rig, "errors in wrk"), "errors in wrk 1 connect 0, read 0, timeout 1");
}

#[test]
fn service_times_of_one_read_begin_together() {
    let site = Site::new();
    let mut config = config(&site);
    config.delay = Some(Duration::from_millis(500));
    let mut rig = Rig::new(config);
    let mut peer = rig.accepted();
    // With a delay, the second response follows the first after the same delay.
    peer.write_all(get("/hello.txt").repeat(2).as_bytes()).expect("send");
    rig.turn();
    rig.advance(Duration::from_millis(500));
    rig.turn();
    assert_eq!(row(&mut rig, "requests"), "requests 1 2/s");
    rig.advance(Duration::from_millis(700));
    rig.turn();
    assert_eq!(row(&mut rig, "requests"), "requests 2 2/s");
    assert_eq!(
        row(&mut rig, "service time"),
        "service time 500 ms p50, 99% within 700 ms, 99.9% within 700 ms, max 700 ms"
    );
}

#[test]
fn statistics_tell_aborted_responses_from_complete_ones() {
    let site = Site::new();
    site.sparse("large", 64 << 20);
    let mut rig = Rig::new(config(&site));
    let mut peer = rig.accepted();
    peer.write_all(get("/large").as_bytes()).expect("send");
    rig.turn();
    drop(peer); // unread data makes it a reset
    turn_until(&mut rig, |rig| row(rig, "requests") == "requests 1 0/s, 1 aborted");
    assert_eq!(rows(&mut rig, "200"), [""; 0]);
    let closed = [row(&mut rig, "reset"), row(&mut rig, "broken-pipe")].concat();
    assert!(closed.contains(" 1 "), "{closed}");
}

#[test]
fn statistics_are_not_kept_unless_somebody_asks() {
    let site = Site::new();
    let mut rig = Rig::new(Rig::config(&site));
    let mut peer = rig.accepted();
    rig.ask(&mut peer, get("/hello.txt"));
    assert_eq!(rig.server.statistics(), None);
    // The loop counts all the same.
    let counters = rig.event_loop().counters();
    assert_eq!((counters.accepted, counters.open, counters.busy), (1, 1, Duration::ZERO));
    assert!(counters.bytes_sent > 0 && counters.turns > 0 && counters.ready > 0);
}
