//! A limit on the reads and writes of a turn: nothing exceeds it, and nothing stalls.

use std::{
    collections::HashMap,
    net::{Shutdown, UdpSocket},
    num::NonZeroUsize,
    time::Instant,
};

use oneloop::Echo;

use super::*;

/// Returns whether a step is a read or a write, whatever its result.
fn is_call(step: &Step) -> bool {
    matches!(
        step,
        Step::Read { .. }
            | Step::Drained
            | Step::EndOfInput
            | Step::Wrote { .. }
            | Step::Blocked { .. }
            | Step::Received { .. }
            | Step::Sent { .. }
    )
}

/// Checks that no source makes more than `max` reads and writes in one of its turns.
fn check_calls(steps: &[(SourceId, Step)], max: usize, what: &str) {
    let mut calls = HashMap::new();
    for (source, step) in steps {
        let count = calls.entry(*source).or_insert(0);
        *count = if *step == Step::TurnBegan { 0 } else { *count + usize::from(is_call(step)) };
        assert!(*count <= max, "{what}: {source} makes {count} calls: {steps:?}");
    }
}

fn limited(site: &Site, max: usize) -> Rig {
    let mut config = Rig::config(site);
    config.io_per_event = NonZeroUsize::new(max);
    Rig::recorded(config)
}

/// Returns what the peer receives until `is_done` says that it is all, or the loop rests.
fn exchange(
    rig: &mut Rig,
    peer: &mut TcpStream,
    max: usize,
    what: &str,
    is_done: impl Fn(&[u8]) -> bool,
) -> Vec<u8> {
    let (end, mut got) = (Instant::now() + SOON, Vec::new());
    while !is_done(&got) {
        assert!(Instant::now() < end, "{what}: {} bytes have arrived", got.len());
        check_calls(&rig.turn(), max, what);
        got.extend(received(peer));
    }
    got
}

const LIMITS: [usize; 3] = [1, 2, 5];

#[test]
fn calls_are_limited_in_each_turn_and_nothing_stalls() {
    let site = Site::new();
    site.write("big.bin", vec![b'b'; 3_000_000]);
    let count = |got: &[u8]| memchr::memmem::find_iter(got, b"HTTP/1.1 200 OK").count();
    let body =
        format!("POST /hello.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n{}", "x".repeat(30_000));
    let cases = [
        ("a request", get("/hello.txt"), 1),
        ("a pipeline", get("/hello.txt").repeat(150), 150),
        ("a download and a request", [get("/big.bin"), get("/hello.txt")].concat(), 2),
        ("a body and a request", [body, get("/hello.txt")].concat(), 1),
    ];
    for max in LIMITS {
        for (what, requests, answers) in &cases {
            let mut rig = limited(&site, max);
            let mut peer = rig.accepted();
            peer.write_all(requests.as_bytes()).expect("send");
            let got = exchange(&mut rig, &mut peer, max, what, |got| {
                count(got) == *answers && got.ends_with(b"hello\n")
            });
            assert!(got.len() < 3_100_000, "{what}");
            // The loop rests again, and the connection is as good as new.
            let end = Instant::now() + SOON;
            while rig.turn().iter().any(|(source, _)| *source == c(1)) {
                assert!(Instant::now() < end, "{what}: the loop does not rest");
            }
            assert_eq!(rig.ask(&mut peer, get("/hello.txt")).text(), "hello\n", "{what}");
        }
    }
}

#[test]
fn calls_are_limited_while_a_connection_ends() {
    let site = Site::new();
    for max in LIMITS {
        let mut rig = limited(&site, max);
        let mut peer = rig.accepted();
        peer.write_all(get("/hello.txt").as_bytes()).expect("send");
        peer.shutdown(Shutdown::Write).expect("shut down");
        let steps = rig.turn_until_seen(c(1), &closed(CloseReason::Eof));
        check_calls(&steps, max, "the end of input");
        assert!(received(&mut peer).ends_with(b"hello\n"));

        // What follows a request that is refused is read and dropped, so that no reset destroys the
        // response.
        let mut peer = rig.accepted();
        let wrong = [b"GET / HTTP/9\r\n\r\n".as_slice(), &[b'x'; 300_000]].concat();
        let (sent, mut got) = (peer.write(&wrong).expect("send"), Vec::new());
        assert!(sent > 200_000);
        let end = Instant::now() + SOON;
        while !got.windows(16).any(|window| window == b"Connection: clos") {
            assert!(Instant::now() < end, "no response");
            check_calls(&rig.turn(), max, "a wrong request");
            got.extend(received(&mut peer));
        }
        drop(peer);
        let is_closed = |steps: &[(SourceId, Step)]| {
            steps.iter().any(|(source, step)| *source == c(2) && matches!(step, Step::Closed { .. }))
        };
        check_calls(&rig.turn_until("the end", is_closed), max, "a wrong request");
    }
}

#[test]
fn calls_of_a_udp_socket_are_limited() {
    let site = Site::new();
    for max in LIMITS {
        let mut rig = limited(&site, max);
        let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
        let address = socket.local_addr().expect("its address");
        rig.event_loop().add_udp(socket, Box::new(Echo)).expect("add it");
        let peer = UdpSocket::bind("127.0.0.1:0").expect("bind");
        peer.set_nonblocking(true).expect("set non-blocking");
        for number in 0..20 {
            peer.send_to(&[number], address).expect("send");
        }
        let (end, mut got) = (Instant::now() + SOON, Vec::new());
        while got.len() < 20 {
            assert!(Instant::now() < end, "{got:?}");
            check_calls(&rig.turn(), max, "datagrams");
            let mut buffer = [0; 10];
            got.extend(std::iter::from_fn(|| peer.recv(&mut buffer).ok().map(|_| buffer[0])));
        }
        assert_eq!(got, (0..20).collect::<Vec<u8>>());
    }
}
