//! Requests and responses.

use std::{io::Write, net::TcpListener};

use super::*;
use crate::common::*;
use oneloop::{
    Address, Echo,
    internals::http_steps,
    protocol::{CloseReason, Protocol},
    trace::{SendCall, SourceId, Step},
};

#[test]
fn turn_answers_a_warm_request_with_one_read_and_one_write() {
    let site = Site::new();
    let mut rig = Rig::recorded(Rig::config(&site));
    let mut peer = rig.accepted();
    let (request, mut sent) = (get("/hello.txt"), 0);
    for _ in 0..3 {
        peer.write_all(request.as_bytes()).expect("send");
        let steps =
            rig.turn_until("a response", |steps| steps.iter().any(|(_, s)| matches!(s, Step::Wrote { .. })));
        let answer = received(&mut peer);
        sent += answer.len() as u64;
        let expected = vec![
            Step::Read { offered: 65536, bytes: request.clone().into_bytes(), kept: 0 },
            Step::Understood { start: b"GET /hello.txt HTTP/1.1".to_vec(), len: request.len(), left: 0 },
            http_steps::planned(200, answer[..answer.len() - 6].to_vec(), Some(6)),
            Step::Wrote { by: SendCall::Write, offered: answer.len(), got: answer.len(), sent, of: sent },
        ];
        assert_eq!(of(c(1), &steps), expected, "no other call: no second read, no epoll_ctl");
    }
}

#[test]
fn long_head_is_answered_with_its_last_byte_and_refused_when_wrong() {
    let site = Site::new();
    let right = format!("GET /hello.txt HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(20_000));
    let wrong = right.replace("\r\nHost: a", "\r\nHost : a");
    for (head, status) in [(right, 200), (wrong, 400)] {
        let mut rig = Rig::recorded(Rig::config(&site));
        let mut peer = rig.accepted();
        let body = head.len() - 10;
        let pieces = head.as_bytes()[..body].chunks(700).chain(head.as_bytes()[body..].chunks(1));
        let mut steps = Vec::new();
        for piece in pieces {
            if steps.iter().any(|(_, step)| is_plan(step)) {
                assert_eq!(status, 400, "answered before its last byte");
                break;
            }
            peer.write_all(piece).expect("send");
            steps = rig.turn_until("a read", |steps| steps.iter().any(|(_, step)| is_read(step)));
        }
        let answer = received(&mut peer);
        assert!(
            answer.starts_with(format!("HTTP/1.1 {status} ").as_bytes()),
            "{status}: {}",
            String::from_utf8_lossy(&answer)
        );
    }
}

#[test]
fn turn_sends_pipelined_responses_together() {
    let site = Site::new();
    let mut rig = Rig::recorded(Rig::config(&site));
    let mut peer = rig.accepted();
    peer.write_all(get("/hello.txt").repeat(10).as_bytes()).expect("send");
    let steps =
        rig.turn_until("a response", |steps| steps.iter().any(|(_, s)| matches!(s, Step::Wrote { .. })));
    let mine = of(c(1), &steps);
    assert_eq!(mine.iter().filter(|s| is_plan(s)).count(), 10);
    assert_eq!(mine.iter().filter(|s| matches!(s, Step::Wrote { .. })).count(), 1);
    assert_eq!(mine.iter().filter(|s| is_read(s)).count(), 1);
}

#[test]
fn turn_has_a_message_budget() {
    let site = Site::new();
    let mut rig = Rig::recorded(Rig::config(&site));
    let mut peer = rig.accepted();
    peer.write_all("HEAD /hello.txt HTTP/1.1\r\nHost: a\r\n\r\n".repeat(500).as_bytes()).expect("send");
    let mut turns = Vec::new();
    rig.turn_until("all answers", |steps| {
        let all = of(c(1), steps).iter().filter(|s| is_plan(s)).count();
        turns.push(all - turns.iter().sum::<usize>());
        all == 500
    });
    assert!(turns.iter().all(|planned| *planned <= 64), "{turns:?}");
}

/// The budget applies without a recorder as well.
#[test]
fn turn_has_a_message_budget_for_repeated_requests() {
    let site = Site::new();
    let mut rig = Rig::new(Rig::config(&site));
    let mut peer = rig.accepted();
    peer.write_all(get("/hello.txt").repeat(500).as_bytes()).expect("send");
    let mut turns = Vec::new();
    eventually("all responses", || {
        rig.turn();
        turns.push(String::from_utf8_lossy(&received(&mut peer)).matches("HTTP/1.1 200 OK\r\n").count());
        turns.iter().sum::<usize>() == 500
    });
    assert!(turns.iter().all(|count| *count <= 64), "{turns:?}");
}

#[test]
fn turn_without_events_does_nothing() {
    let mut rig = Rig::recorded(Rig::config(&Site::empty()));
    let _silent = rig.accepted();
    rig.turn();
    for _ in 0..3 {
        let steps = rig.turn();
        let names: Vec<_> = steps.iter().map(|(who, _)| *who).collect();
        assert_eq!(names, [SourceId::Loop, SourceId::Loop], "only the loop's own steps: {steps:?}");
    }
}

#[test]
fn turn_sees_data_and_end_of_input_that_come_together() {
    let site = Site::new();
    let mut rig = Rig::recorded(Rig::config(&site));
    let mut peer = rig.accepted();
    peer.write_all(get("/hello.txt").as_bytes()).expect("send");
    peer.shutdown(std::net::Shutdown::Write).expect("half-close");
    let steps = rig.turn_until_seen(c(1), &closed(CloseReason::Eof));
    let mine = of(c(1), &steps);
    let at = |wanted: fn(&Step) -> bool| mine.iter().position(wanted).expect("the step");
    assert!(at(|s| matches!(s, Step::Wrote { .. })) < at(|s| *s == Step::EndOfInput), "{mine:?}");
    assert!(received(&mut peer).ends_with(b"hello\n"));
}

#[test]
fn turn_runs_another_protocol_on_the_same_loop() {
    let mut rig = Rig::recorded(Rig::config(&Site::empty()));
    let socket = TcpListener::bind("127.0.0.1:0").expect("listen");
    rig.address = socket.local_addr().expect("read its address");
    rig.server.add_listener(socket, |_: &Address| -> Box<dyn Protocol> { Box::new(Echo) }).expect("add it");
    let mut peer = rig.accepted();
    let sent = pattern(3 << 20);
    let (mut at, mut got) = (0, Vec::new());
    while got.len() < sent.len() {
        if let Ok(n) = peer.write(&sent[at..]) {
            at += n;
        }
        rig.turn();
        got.extend(received(&mut peer));
    }
    assert!(got == sent, "three mebibytes come back whole");
}
