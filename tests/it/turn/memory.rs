//! The memory that all connections together may keep of incomplete requests.

use std::io::{ErrorKind, Read};

use super::*;

/// How many requests of this length fit into 16 MiB, without the 4 KiB of each that do not count.
const LONG: usize = 60_000;
const FITTING: usize = (16 << 20) / (LONG - 4096);
const TOO_MANY: usize = 20;

/// Returns a request head of `LONG` bytes with these `fields`.
fn long_head(method: &str, path: &str, fields: &str) -> String {
    let begin = format!("{method} {path} HTTP/1.1\r\nHost: a\r\n{fields}");
    let end = "\r\n\r\n";
    let name = if path == "/d/" { "User-Agent: " } else { "X: " };
    format!("{begin}{name}{}{end}", "x".repeat(LONG - begin.len() - name.len() - end.len()))
}

/// Returns a loop on which more peers have sent `bytes` than fit into its memory. Returns the peers
/// that have received nothing, and the responses to the others.
fn crowded(rig: &mut Rig, count: usize, bytes: &str) -> (Vec<TcpStream>, Vec<String>) {
    let mut peers: Vec<TcpStream> = (0..count).map(|_| rig.accepted()).collect();
    peers.iter_mut().for_each(|peer| peer.write_all(bytes.as_bytes()).expect("send"));
    let mut got = vec![Vec::new(); peers.len()];
    rig.turn_until("the refusals", |_| {
        got.iter_mut().zip(&mut peers).for_each(|(got, peer)| got.extend(received(peer)));
        got.iter().filter(|got| got.starts_with(b"HTTP/1.1 503")).count() >= TOO_MANY
    });
    let is_refused = |got: &Vec<u8>| !got.is_empty();
    let quiet =
        peers.into_iter().zip(&got).filter(|(_, got)| !is_refused(got)).map(|(peer, _)| peer).collect();
    let refusals = got.into_iter().filter(is_refused).map(|got| String::from_utf8(got).expect("UTF-8"));
    (quiet, refusals.collect())
}

/// Asserts that the refusals are 503 responses, and whether they close the connection.
fn assert_refusals(refusals: &[String], is_last: bool) {
    assert_eq!(refusals.len(), TOO_MANY);
    for refusal in refusals {
        assert!(refusal.starts_with("HTTP/1.1 503 ") && refusal.contains("\r\nRetry-After: "), "{refusal}");
        assert_eq!(refusal.contains("\r\nConnection: close\r\n"), is_last, "{refusal}");
    }
}

fn rig(site: &Site) -> Rig {
    let mut config = Rig::config(site);
    config.listing = true;
    Rig::recorded(config)
}

#[test]
fn turn_bounds_the_sum_of_incomplete_heads() {
    let site = Site::new();
    let mut rig = rig(&site);
    let head = long_head("GET", "/hello.txt", "");
    let (mut peers, refusals) = crowded(&mut rig, FITTING + TOO_MANY, &head[..LONG - 4]);
    assert_refusals(&refusals, true);

    // Short heads in pieces, and long ones that arrive at once, need none of that memory.
    let mut other = rig.accepted();
    let short = get("/hello.txt");
    let (first, rest) = short.split_at(20);
    other.write_all(first.as_bytes()).expect("send");
    rig.turn();
    assert_eq!(rig.ask(&mut other, rest).status, 200);
    assert_eq!(rig.ask(&mut other, &head).status, 200);

    // The memory comes back with the end of a head, or with the end of its connection.
    assert_eq!(rig.ask(&mut peers[0], "\r\n\r\n").status, 200);
    drop(peers.pop());
    for _ in 0..5 {
        rig.turn();
    }
    for mut late in [rig.accepted(), rig.accepted()] {
        late.write_all(&head.as_bytes()[..LONG - 4]).expect("send");
        (0..3).for_each(|_| drop(rig.turn()));
        assert_eq!(rig.ask(&mut late, "\r\n\r\n").status, 200);
    }
}

#[test]
fn turn_bounds_the_sum_of_the_heads_of_incomplete_bodies() {
    let site = Site::new();
    let mut rig = rig(&site);
    let head = long_head("GET", "/hello.txt", "Content-Length: 5\r\n");
    let (mut peers, refusals) = crowded(&mut rig, FITTING + TOO_MANY, &head);
    assert_refusals(&refusals, true);
    assert_eq!(rig.ask(&mut peers[0], "12345").text(), "hello\n");
}

#[test]
fn turn_bounds_the_sum_of_the_requests_that_wait_for_work() {
    let site = Site::new();
    site.crowd("d", (0..30).map(|i| i.to_string()));
    let mut rig = rig(&site);
    // The first listings are complete before the last requests are read.
    let (_peers, got) = crowded(&mut rig, FITTING + 2 * TOO_MANY, &long_head("GET", "/d/", ""));
    let mut refusals: Vec<String> = got.into_iter().filter(|got| !got.contains(" 200 OK")).collect();
    refusals.truncate(TOO_MANY);
    assert_refusals(&refusals, false);
}

/// The responses before the end are whole, so the client knows which requests to repeat.
#[test]
fn turn_ends_a_pipeline_that_takes_too_much_memory() {
    let site = Site::new();
    let mut rig = rig(&site);
    let (_peers, _) = crowded(&mut rig, FITTING + TOO_MANY, &long_head("GET", "/hello.txt", "")[..LONG - 4]);
    let mut piper = rig.accepted();
    piper.write_all(get("/hello.txt").repeat(1200).as_bytes()).expect("send");
    let (mut got, mut has_ended) = (Vec::new(), false);
    rig.turn_until("the end of the connection", |_| {
        let mut buffer = [0; 4096];
        match piper.read(&mut buffer) {
            Ok(0) => has_ended = true,
            Ok(len) => got.extend(&buffer[..len]),
            Err(e) => assert_eq!(e.kind(), ErrorKind::WouldBlock),
        }
        has_ended
    });
    let got = String::from_utf8(got).expect("UTF-8");
    let count = got.matches("HTTP/1.1 200 OK\r\n").count();
    assert!((1..1200).contains(&count) && got.ends_with("hello\n"), "{count} responses");
}
