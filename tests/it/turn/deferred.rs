//! Connections that the kernel keeps until their first bytes have arrived (`TCP_DEFER_ACCEPT`).

use std::{
    io::Write,
    net::{Shutdown, TcpStream},
    time::{Duration, Instant},
};

use super::*;
use crate::common::*;
use oneloop::{
    AcceptDeferral, Config,
    protocol::CloseReason,
    trace::{SourceId, Step},
};

/// Returns a loop that defers accept, with recorded steps, or `None` on systems without the option.
fn deferring(site: &Site, change: impl FnOnce(&mut Config)) -> Option<Rig> {
    if cfg!(any(not(target_os = "linux"), feature = "portable")) {
        skip("only Linux has TCP_DEFER_ACCEPT");
        return None;
    }
    let mut config = Rig::config(site);
    config.defer_accept = AcceptDeferral::Always;
    change(&mut config);
    Some(Rig::recorded(config))
}

/// Returns the turn in which `who` has taken a step of this kind.
fn turn_of(who: SourceId, steps: &[(SourceId, Step)], is_wanted: impl Fn(&Step) -> bool) -> Option<u64> {
    let mut now = 0;
    steps.iter().find_map(|(source, step)| {
        if let Step::Woke { turn, .. } = step {
            now = *turn;
        }
        (*source == who && is_wanted(step)).then_some(now)
    })
}

/// Connects, sends `bytes` and returns the connection.
fn sent(rig: &Rig, bytes: impl AsRef<[u8]>) -> TcpStream {
    let mut peer = rig.connect();
    peer.write_all(bytes.as_ref()).expect("send");
    peer
}

#[test]
fn deferred_connection_is_accepted_with_its_request_and_answered_without_an_event() {
    let site = Site::new();
    let Some(mut rig) = deferring(&site, |_| {}) else { return };
    let mut peer = rig.connect();
    let accepts = |steps: &[(SourceId, Step)]| steps.iter().any(|(_, s)| matches!(s, Step::Accepted { .. }));
    assert!(!accepts(&[rig.turn(), rig.turn()].concat()), "the kernel keeps a silent connection");
    peer.write_all(b"GET /hello.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("send");
    let steps = rig.turn_until_seen(c(1), &closed(CloseReason::Done));
    let is_event =
        |step: &Step| matches!(step, Step::Woke { ready, .. } if ready.iter().any(|(who, _)| *who == c(1)));
    assert!(!steps.iter().any(|(_, step)| is_event(step)), "{steps:?}");
    // A poll comes between them, so the response is as new as what the poll reports.
    let accepted = turn_of(SourceId::Listener(1), &steps, |step| matches!(step, Step::Accepted { .. }));
    let read = turn_of(c(1), &steps, is_read);
    assert_eq!(read, accepted.map(|turn| turn + 1), "{steps:?}");
    assert!(received(&mut peer).ends_with(b"hello\n"));
}

#[test]
fn deferred_connection_that_stays_open_is_polled() {
    let site = Site::new();
    let Some(mut rig) = deferring(&site, |_| {}) else { return };
    let mut peer = sent(&rig, "GET /hello.txt HT");
    rig.turn_until_seen(c(1), &Step::Incomplete { have: 17, need: "CRLFCRLF" });
    for rest in ["TP/1.1\r\nHost: a\r\n\r\n", &get("/hello.txt")] {
        assert_eq!(rig.ask(&mut peer, rest).text(), "hello\n");
    }
    drop(peer);
    rig.turn_until_seen(c(1), &closed(CloseReason::Eof));
}

#[test]
fn deferred_connection_may_end_its_output_with_its_first_bytes() {
    let site = Site::new();
    let Some(mut rig) = deferring(&site, |_| {}) else { return };
    let mut peer = sent(&rig, get("/hello.txt"));
    peer.shutdown(Shutdown::Write).expect("shut down");
    rig.turn_until_seen(c(1), &closed(CloseReason::Eof));
    assert!(received(&mut peer).ends_with(b"hello\n"));
    drop(rig.connect());
    rig.turn_until_seen(c(2), &closed(CloseReason::Eof));
}

#[test]
fn deferred_connection_gets_a_body_larger_than_the_send_buffer() {
    let site = Site::new();
    site.write("big.bin", pattern(8 << 20));
    let Some(mut rig) = deferring(&site, |_| {}) else { return };
    let mut peer = sent(&rig, get("/big.bin"));
    rig.turn_until_seen(c(1), &Step::Armed);
    let response = rig.ask(&mut peer, "");
    assert!(response.body == pattern(8 << 20), "{} bytes", response.body.len());
}

#[test]
fn deferred_connection_that_waits_notices_a_reset() {
    let site = Site::new();
    let change = |config: &mut Config| config.delay = Some(seconds(60));
    let Some(mut rig) = deferring(&site, change) else { return };
    let peer = sent(&rig, get("/hello.txt"));
    rig.turn_until("it waits", |seen| {
        of(c(1), seen).iter().any(|step| matches!(step, Step::Postponed { .. }))
    });
    socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).expect("set linger");
    drop(peer);
    rig.turn_until_seen(c(1), &Step::Closed { reason: CloseReason::Reset, unread: get("/hello.txt").len() });
}

#[test]
fn deferred_connection_that_is_silent_is_accepted_after_a_second() {
    let site = Site::new();
    let Some(mut rig) = deferring(&site, |_| {}) else { return };
    let begun = Instant::now();
    let mut silent = rig.connect();
    rig.turn_until_seen(c(1), &Step::Drained);
    let after = begun.elapsed();
    assert!(after > Duration::from_millis(500), "after {after:?}");
    assert_eq!(rig.ask(&mut silent, get("/hello.txt")).text(), "hello\n");
}

#[test]
fn deferred_accept_keeps_silent_clients_out_unless_the_loop_is_observed() {
    let site = Site::new();
    if cfg!(feature = "portable") {
        return skip("only Linux has TCP_DEFER_ACCEPT");
    }
    let trace_file = format!("--trace-file={}", site.at("trace.json").display());
    // The arguments, the variable, and how many silent connections are accepted.
    let table: [(&[&str], &str, usize); 11] = [
        (&[], "", 0),
        (&["--defer-accept=auto"], "", 0),
        (&["--defer-accept", "always", "--trace"], "", 0),
        (&["--trace"], "true", 0),
        (&["--defer-accept=always"], "No", 0),
        (&["--defer-accept=never"], "", 1),
        (&[], "No", 1),
        (&["--trace=wakes"], "", 1),
        (&[&trace_file], "", 1),
        (&["--observe"], "", 1),
        (&["--observe=0"], "auto", 1),
    ];
    for (args, variable, expected) in table {
        let mut command = Server::command(site.path(), args);
        command.env("ONELOOP_DEFER_ACCEPT", variable);
        let server = Server::spawn(command);
        let before = server.sockets();
        let _silent = server.connect();
        // The server accepts connections in order, so it has seen the silent one, if it can.
        assert_eq!(server.get("/hello.txt").text(), "hello\n");
        eventually("the second connection is closed", || server.sockets() <= before + expected);
        assert_eq!(server.sockets(), before + expected, "{args:?} {variable}");
    }
}
