//! The imitation of a slow network: `throttle` and `delay`.

use std::{io::Write, net::TcpStream, num::NonZeroU64, time::Duration};

use super::*;
use crate::common::*;
use oneloop::{
    Config,
    protocol::CloseReason,
    trace::{SourceId, Step},
};

const MS: Duration = Duration::from_millis(1);

/// Returns a configuration with a throttle.
fn throttled(site: &Site, rate: u64) -> Config {
    let mut config = Rig::config(site);
    config.throttle = NonZeroU64::new(rate);
    config
}

/// Runs some turns on a clock that stands still, and returns the bytes that `peer` receives.
fn turns(rig: &mut Rig, peer: &mut TcpStream) -> Vec<u8> {
    (0..5).for_each(|_| drop(rig.turn()));
    received(peer)
}

#[test]
fn throttle_sends_every_kind_of_body_at_exactly_its_rate() {
    let site = Site::empty();
    site.write("copied.txt", pattern(5_000));
    site.write("memory.bin", pattern(60_000));
    site.write("file.bin", pattern(300_000));
    site.write("folder/a", "");
    site.write("folder/b", "");
    each(["/copied.txt", "/memory.bin", "/file.bin", "/folder/", "/missing"], |path| {
        let mut config = Rig::config(&site);
        config.listing = true;
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let whole = {
            let mut rig = Rig::new(config);
            let mut peer = rig.accepted();
            peer.write_all(request.as_bytes()).expect("send");
            let mut got = Vec::new();
            eventually("the whole response", || {
                got.extend(turns(&mut rig, &mut peer));
                rig.event_loop().open_connections() == 0 || got.len() > 300_000
            });
            got
        };
        // The response takes two seconds.
        let rate = whole.len() as u64 / 2;
        let mut config = throttled(&site, rate);
        (config.listing, config.min_rate) = (true, u32::MAX);
        let mut rig = Rig::new(config);
        let mut peer = rig.accepted();
        peer.write_all(request.as_bytes()).expect("send");
        let (mut got, slice) = (turns(&mut rig, &mut peer), rate / 20);
        for ms in 1..=2100 {
            rig.advance(MS);
            got.extend(turns(&mut rig, &mut peer));
            let due = (rate * ms / 1000) as usize;
            assert!(got.len() <= due + slice as usize + 1, "{} bytes after {ms} ms", got.len());
            // The last bytes of the head and of a slice may be fewer than a slice.
            assert!(got.len() + 1 >= due.min(whole.len()), "{} bytes after {ms} ms", got.len());
        }
        assert_eq!(got.len(), whole.len());
        let without_date = |bytes: &[u8]| {
            let at = memchr::memmem::find(bytes, b"Date: ").expect("a date");
            [&bytes[..at], &bytes[at + 35..]].concat()
        };
        assert!(without_date(&got) == without_date(&whole), "every byte is right");
    });
}

#[test]
fn throttle_is_not_the_fault_of_the_peer() {
    let site = Site::empty();
    site.write("file.txt", "x");
    let mut config = throttled(&site, 1);
    // No peer can reach this rate, and each byte takes longer than the timeout.
    (config.min_rate, config.send_timeout) = (256, Some(900 * MS));
    let mut rig = Rig::new(config);
    let mut peer = rig.accepted();
    peer.write_all(get("/file.txt").as_bytes()).expect("send");
    let mut got = turns(&mut rig, &mut peer);
    for second in 1..100 {
        assert_eq!(got.len(), second);
        rig.advance(999 * MS);
        assert_eq!(turns(&mut rig, &mut peer), b"");
        rig.advance(MS);
        got.extend(turns(&mut rig, &mut peer));
    }
}

#[test]
fn throttle_leaves_the_send_timeout_to_peers_that_accept_no_data() {
    let site = Site::empty();
    site.write("big.bin", pattern(32 << 20));
    let mut rig = Rig::recorded(throttled(&site, 1 << 30));
    let mut peer = rig.accepted();
    peer.write_all(get("/big.bin").as_bytes()).expect("send");
    let armed = |steps: &[(SourceId, Step)]| of(c(1), steps).contains(&Step::Armed);
    let mut steps = rig.turn();
    eventually("a full send buffer", || {
        rig.advance(MS);
        steps = rig.turn();
        armed(&steps)
    });
    eventually("the send timeout", || {
        rig.advance(seconds(30));
        of(c(1), &rig.turn()).contains(&closed(CloseReason::SendTimeout))
    });
}

#[test]
fn delay_comes_before_each_response() {
    let site = Site::new();
    let requests = [
        get("/hello.txt"),
        get("/missing"),
        get("/hello.txt").replace("GET", "HEAD"),
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello".into(),
        "GET / HTTP/1.1\r\n\r\n".into(),
    ];
    let mut config = Rig::config(&site);
    config.delay = Some(50 * MS);
    let mut rig = Rig::new(config);
    let mut peer = rig.accepted();
    for (request, status) in requests.iter().zip(["200", "404", "200", "405", "400"]) {
        peer.write_all(request.as_bytes()).expect("send");
        assert_eq!(turns(&mut rig, &mut peer), b"");
        rig.advance(49 * MS);
        assert_eq!(turns(&mut rig, &mut peer), b"");
        rig.advance(MS);
        let response = String::from_utf8(turns(&mut rig, &mut peer)).expect("text");
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
        // A pause between requests does not count.
        rig.advance(seconds(1));
    }
}

#[test]
fn delay_keeps_pipelined_requests_in_order() {
    let site = Site::empty();
    let names: Vec<String> = (0..5).map(|number| format!("file-{number}")).collect();
    names.iter().for_each(|name| site.write(name, name));
    let mut config = Rig::config(&site);
    config.delay = Some(50 * MS);
    let mut rig = Rig::new(config);
    let mut peer = rig.accepted();
    let all: String = names.iter().map(|name| get(&format!("/{name}"))).collect();
    peer.write_all(all.as_bytes()).expect("send");
    for name in &names {
        assert_eq!(turns(&mut rig, &mut peer), b"");
        rig.advance(50 * MS);
        let response = String::from_utf8(turns(&mut rig, &mut peer)).expect("text");
        assert!(response.ends_with(name) && response.matches("HTTP/1.1").count() == 1, "{response}");
    }
}

#[test]
fn delay_ends_at_a_shutdown() {
    let site = Site::new();
    let mut config = Rig::config(&site);
    config.delay = Some(seconds(60));
    let mut rig = Rig::new(config);
    let mut peer = rig.accepted();
    peer.write_all(get("/hello.txt").as_bytes()).expect("send");
    assert_eq!(turns(&mut rig, &mut peer), b"");
    rig.event_loop().drain();
    let response = String::from_utf8(turns(&mut rig, &mut peer)).expect("text");
    assert!(response.contains("Connection: close") && response.ends_with("hello\n"), "{response}");
}
