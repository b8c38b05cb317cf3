//! The load target's delays, and bodies that take a time, on a clock that stands still.

use std::{io::Write, net::TcpStream};

use super::*;

const MS: Duration = Duration::from_millis(1);

/// Returns a configuration with a load target.
fn config(site: &Site) -> oneloop::Config {
    let mut config = Rig::config(site);
    config.target = Some("/_".into());
    config
}

/// Runs some turns on a clock that stands still, and returns the bytes that `peer` receives.
fn turns(rig: &mut Rig, peer: &mut TcpStream) -> Vec<u8> {
    (0..5).for_each(|_| drop(rig.turn()));
    received(peer)
}

/// Sends `request`, and returns the bytes that arrive at once.
fn send(rig: &mut Rig, peer: &mut TcpStream, request: impl AsRef<[u8]>) -> Vec<u8> {
    peer.write_all(request.as_ref()).expect("send");
    turns(rig, peer)
}

/// Asserts that `bytes` are one response with this status, and returns its body.
fn response(bytes: &[u8], status: u16) -> Vec<u8> {
    let response = Response::whole(bytes).unwrap_or_else(|| panic!("not whole: {}", lossy(bytes)));
    assert_eq!(response.status, status, "{response:?}");
    response.body
}

#[test]
fn target_delays_a_response_by_exactly_its_time() {
    let site = Site::new();
    let mut rig = Rig::new(config(&site));
    let mut peer = rig.accepted();
    let requests = [
        get("/_/delay/50ms"),
        get("/_/?delay=50ms&status=503&bytes=7"),
        get("/_/delay/0.05").replace("GET", "HEAD"),
        "POST /_/delay/50ms HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello".into(),
        "GET /_/delay/50ms HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".into(),
    ];
    for (request, status) in requests.iter().zip([200, 503, 200, 200, 200]) {
        assert_eq!(send(&mut rig, &mut peer, request), b"");
        rig.advance(49 * MS);
        assert_eq!(turns(&mut rig, &mut peer), b"");
        rig.advance(MS);
        response(&turns(&mut rig, &mut peer), status);
        // The connection is an idle one again.
        rig.advance(seconds(59));
    }
    assert_eq!(response(&send(&mut rig, &mut peer, get("/hello.txt")), 200), b"hello\n");
    assert_eq!(send(&mut rig, &mut peer, "GET /_/delay/1s HTTP/1.0\r\n\r\n"), b"");
    rig.advance(seconds(1));
    let last = turns(&mut rig, &mut peer);
    assert!(lossy(&last).contains("\r\nConnection: close\r\n"), "{}", lossy(&last));
    assert_eq!(rig.event_loop().open_connections(), 0);
}

#[test]
fn target_may_delay_longer_than_any_timeout() {
    let site = Site::new();
    let mut rig = Rig::new(config(&site));
    let mut peer = rig.accepted();
    assert_eq!(send(&mut rig, &mut peer, get("/_/?delay=1h&bytes=5")), b"");
    for _ in 0..59 {
        rig.advance(seconds(60));
        assert_eq!(turns(&mut rig, &mut peer), b"");
    }
    rig.advance(seconds(60));
    assert_eq!(response(&turns(&mut rig, &mut peer), 200).len(), 5);
}

#[test]
fn requests_behind_a_delayed_one_wait_for_it() {
    let site = Site::new();
    let mut rig = Rig::new(config(&site));
    let mut peer = rig.accepted();
    let paths = ["/_/?delay=50ms&bytes=1", "/hello.txt", "/_/?delay=20ms&bytes=2", "/_/bytes/3"];
    let all: String = paths.iter().map(|path| get(path)).collect();
    assert_eq!(send(&mut rig, &mut peer, all), b"");
    rig.advance(50 * MS);
    // A delay begins when its request is handled, which is after the response before it.
    let first = turns(&mut rig, &mut peer);
    assert_eq!(memchr::memmem::find_iter(&first, "HTTP/1.1").count(), 2);
    assert!(first.ends_with(b"hello\n"));
    rig.advance(20 * MS);
    assert_eq!(memchr::memmem::find_iter(&turns(&mut rig, &mut peer), "HTTP/1.1").count(), 2);
}

#[test]
fn a_thousand_delayed_responses_come_in_the_order_of_their_times() {
    const COUNT: u64 = 1000;
    allow_many_descriptors();
    let site = Site::new();
    let mut config = config(&site);
    config.max_connections = Some(2000);
    let mut rig = Rig::new(config);
    // No two have the same time, and neighbours are far apart.
    let mut peers: Vec<(u64, TcpStream)> =
        (0..COUNT).map(|number| (number * 7919 % COUNT + 1, rig.accepted())).collect();
    for (ms, peer) in &mut peers {
        peer.write_all(get(&format!("/_/delay/{ms}ms")).as_bytes()).expect("send");
    }
    (0..50).for_each(|_| drop(rig.turn()));
    peers.sort_by_key(|(ms, _)| *ms);
    for at in 0..peers.len() {
        rig.advance(MS);
        rig.turn();
        rig.turn();
        response(&received(&mut peers[at].1), 200);
        if let Some((ms, next)) = peers.get_mut(at + 1) {
            assert_eq!(received(next), b"", "{ms} ms are not over");
        }
    }
}

#[test]
fn body_takes_its_time_and_a_delay_comes_before_it() {
    let site = Site::new();
    let mut rig = Rig::new(config(&site));
    let mut peer = rig.accepted();
    let whole = response(&send(&mut rig, &mut peer, get("/_/?bytes=100&seed=7")), 200);
    let request = get("/_/drip?bytes=100&over=2s&delay=1s&seed=7");
    assert_eq!(send(&mut rig, &mut peer, request), b"");
    rig.advance(999 * MS);
    assert_eq!(turns(&mut rig, &mut peer), b"");
    rig.advance(MS);
    let head = turns(&mut rig, &mut peer);
    assert!(head.ends_with(b"\r\n\r\n"), "the head comes first: {}", lossy(&head));
    let mut body = Vec::new();
    for ms in 1..=2000 {
        rig.advance(MS);
        body.extend(turns(&mut rig, &mut peer));
        assert_eq!(body.len(), ms / 20, "after {ms} ms");
    }
    assert_eq!(body, whole);
    // HEAD has no body to wait for, and neither have these.
    for (request, status) in [
        (get("/_/drip?over=1h").replace("GET", "HEAD"), 200),
        (get("/_/drip?over=1h&status=204"), 204),
        (get("/_/drip?over=1h&bytes=0"), 200),
    ] {
        assert!(lossy(&send(&mut rig, &mut peer, request)).starts_with(&format!("HTTP/1.1 {status} ")));
    }
    assert_eq!(response(&send(&mut rig, &mut peer, get("/hello.txt")), 200), b"hello\n");
}

#[test]
fn slow_body_is_not_the_fault_of_the_peer() {
    let site = Site::new();
    let mut config = config(&site);
    // No peer can reach this rate.
    (config.min_rate, config.send_timeout) = (u32::MAX, Some(900 * MS));
    let mut rig = Rig::new(config);
    let mut peer = rig.accepted();
    let mut got = send(&mut rig, &mut peer, get("/_/drip?bytes=10&over=1h"));
    for _ in 0..60 {
        rig.advance(seconds(60));
        got.extend(turns(&mut rig, &mut peer));
    }
    assert_eq!(response(&got, 200).len(), 10);
}

#[test]
fn shutdown_ends_delays_and_slow_bodies() {
    let site = Site::new();
    let mut rig = Rig::new(config(&site));
    let mut peers = [(); 2].map(|()| rig.accepted());
    assert_eq!(send(&mut rig, &mut peers[0], get("/_/?delay=1h&bytes=1k&over=1h")), b"");
    let head = send(&mut rig, &mut peers[1], get("/_/drip?bytes=1k&over=1h"));
    rig.event_loop().drain();
    let delayed = turns(&mut rig, &mut peers[0]);
    assert_eq!(response(&delayed, 200).len(), 1024);
    assert!(lossy(&delayed).contains("\r\nConnection: close\r\n"));
    assert_eq!(response(&[head, turns(&mut rig, &mut peers[1])].concat(), 200).len(), 1024);
    drop(peers);
    eventually("all connections are closed", || {
        rig.turn();
        rig.event_loop().is_drained()
    });
}

#[test]
fn delay_ends_with_its_client() {
    let site = Site::new();
    for (what, reason) in [("closes", CloseReason::Eof), ("resets", CloseReason::Reset)] {
        let mut rig = Rig::recorded(config(&site));
        let mut peer = rig.accepted();
        assert_eq!(send(&mut rig, &mut peer, get("/_/delay/1h")), b"");
        if what == "resets" {
            socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).expect("set linger");
        }
        drop(peer);
        rig.turn_until_seen(c(1), &closed(reason));
        assert_eq!(rig.event_loop().open_connections(), 0, "it {what}");
    }
}

#[test]
fn delay_of_the_server_and_of_the_target_add_up() {
    let site = Site::new();
    let mut config = config(&site);
    config.delay = Some(30 * MS);
    config.throttle = std::num::NonZeroU64::new(1000);
    let mut rig = Rig::new(config);
    let mut peer = rig.accepted();
    assert_eq!(send(&mut rig, &mut peer, get("/_/?delay=20ms&bytes=1000")), b"");
    rig.advance(30 * MS);
    assert_eq!(turns(&mut rig, &mut peer), b"");
    rig.advance(19 * MS);
    assert_eq!(turns(&mut rig, &mut peer), b"");
    let mut got = Vec::new();
    for _ in 0..1300 {
        rig.advance(MS);
        got.extend(turns(&mut rig, &mut peer));
        if Response::whole(&got).is_some() {
            break;
        }
    }
    assert_eq!(response(&got, 200).len(), 1000);
}

#[test]
fn long_body_waits_for_its_client_and_ends_at_the_send_timeout() {
    let site = Site::new();
    let mut rig = Rig::recorded(config(&site));
    let mut peer = rig.accepted();
    peer.write_all(get("/_/bytes/1G").as_bytes()).expect("send");
    rig.turn_until_seen(c(1), &Step::Armed);
    let sent = rig.turn();
    assert!(of(c(1), &sent).is_empty(), "it waits: {sent:?}");
    // If the kernel has taken a little more meanwhile, the client counts as too slow.
    let ends = [CloseReason::SendTimeout, CloseReason::TooSlow].map(closed);
    eventually("the send timeout", || {
        rig.advance(seconds(30));
        of(c(1), &rig.turn()).iter().any(|step| ends.contains(step))
    });
}

#[test]
fn statistics_say_how_late_delays_ended() {
    let site = Site::new();
    let mut config = config(&site);
    config.statistics = true;
    let mut rig = Rig::new(config);
    let mut peers = [(); 3].map(|()| rig.accepted());
    let statistics = |rig: &mut Rig| rig.server.statistics().expect("statistics");
    for peer in &mut peers[..2] {
        assert_eq!(send(&mut rig, peer, get("/_/delay/50ms")), b"");
    }
    assert_eq!(send(&mut rig, &mut peers[2], get("/_/delay/1h")), b"");
    assert!(!statistics(&mut rig).contains("delays"), "none has ended");
    rig.advance(53 * MS);
    response(&turns(&mut rig, &mut peers[0]), 200);
    response(&turns(&mut rig, &mut peers[1]), 200);
    // A shutdown ends the third one early, which is not late.
    rig.event_loop().drain();
    response(&turns(&mut rig, &mut peers[2]), 200);
    let text = statistics(&mut rig);
    let line = text.lines().find(|line| line.trim_start().starts_with("delays")).expect("a line");
    assert!(line.contains("  2  late by 3.00 ms (p50)") && line.ends_with(", max 3.00 ms"), "{text}");
}
