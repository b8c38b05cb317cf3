//! Protocols of UDP sockets that are resumed at a time.

use std::{
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use crate::common::*;
use oneloop::{
    protocol::{Context, DatagramOutbox, DatagramProtocol},
    trace::{SourceId, Step},
};

const SECOND: Duration = Duration::from_secs(1);

/// Returns a recorded rig with a UDP socket for `protocol`, and a socket that is connected to it.
fn rig_and_peer(protocol: impl DatagramProtocol + 'static) -> (Rig, UdpSocket) {
    let mut rig = Rig::recorded(Rig::config(&Site::empty()));
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let peer = UdpSocket::bind("127.0.0.1:0").expect("bind");
    peer.connect(socket.local_addr().expect("read its address")).expect("connect");
    peer.set_nonblocking(true).expect("set non-blocking");
    rig.server.add_udp(socket, protocol).expect("add it");
    (rig, peer)
}

/// Sends each datagram back after a second, and another one after it.
#[derive(Default)]
struct Delayed {
    waiting: Vec<(Instant, Vec<u8>, SocketAddr)>,
}

impl DatagramProtocol for Delayed {
    fn receive(&mut self, datagram: &[u8], from: SocketAddr, _: &mut DatagramOutbox, cx: &mut Context<'_>) {
        let at = cx.clock.now() + SECOND;
        self.waiting.push((at, datagram.to_vec(), from));
    }

    fn resume(&mut self, out: &mut DatagramOutbox, cx: &mut Context<'_>) {
        for (_, datagram, to) in self.waiting.extract_if(.., |(at, ..)| *at <= cx.clock.now()) {
            out.send(&datagram, to);
            out.send(b"twice", to);
        }
    }

    fn wake_at(&self) -> Option<Instant> {
        self.waiting.iter().map(|(at, ..)| *at).min()
    }
}

#[test]
fn udp_socket_answers_later_and_more_than_once() {
    let (mut rig, peer) = rig_and_peer(Delayed::default());
    for text in ["one", "two"] {
        peer.send(text.as_bytes()).expect("send");
        let is_received = |step: &Step| matches!(step, Step::Received { .. });
        rig.turn_until("a datagram", |steps| steps.iter().any(|(_, step)| is_received(step)));
        rig.advance(SECOND / 2);
    }
    let mut got = Vec::new();
    let mut receive = |rig: &mut Rig| {
        let mut buffer = [0; 10];
        (0..5).for_each(|_| drop(rig.turn()));
        while let Ok(len) = peer.recv(&mut buffer) {
            got.push(String::from_utf8_lossy(&buffer[..len]).into_owned());
        }
        got.clone()
    };
    assert_eq!(receive(&mut rig), ["one", "twice"]);
    rig.advance(SECOND / 2);
    assert_eq!(receive(&mut rig), ["one", "twice", "two", "twice"]);
}

/// Says a word when its peer has been silent for a second.
struct Reminder {
    due: Option<(Instant, SocketAddr)>,
}

impl DatagramProtocol for Reminder {
    fn receive(&mut self, _: &[u8], from: SocketAddr, _: &mut DatagramOutbox, cx: &mut Context<'_>) {
        self.due = Some((cx.clock.now() + SECOND, from));
    }

    fn resume(&mut self, out: &mut DatagramOutbox, cx: &mut Context<'_>) {
        if let Some((_, to)) = self.due.take_if(|(at, _)| *at <= cx.clock.now()) {
            out.send(b"silent", to);
        }
    }

    fn wake_at(&self) -> Option<Instant> {
        self.due.map(|(at, _)| at)
    }
}

#[test]
fn udp_timer_that_is_moved_to_a_later_time_fires() {
    let (mut rig, peer) = rig_and_peer(Reminder { due: None });
    let is_received = |step: &Step| matches!(step, Step::Received { .. });
    // The second datagram moves the time, but the entry for the first time is still in the queue.
    for wait in [SECOND / 2, SECOND / 2] {
        peer.send(b"alive").expect("send");
        rig.turn_until("a datagram", |steps| steps.iter().any(|(_, step)| is_received(step)));
        rig.advance(wait);
    }
    (0..5).for_each(|_| drop(rig.turn()));
    let mut buffer = [0; 10];
    assert!(peer.recv(&mut buffer).is_err(), "half a second is left");
    rig.advance(SECOND / 2);
    (0..5).for_each(|_| drop(rig.turn()));
    assert_eq!(peer.recv(&mut buffer).ok(), Some(6));
}

#[test]
fn udp_socket_keeps_a_time_that_is_due_after_a_datagram() {
    let (mut rig, peer) = rig_and_peer(Delayed::default());
    let sent = |steps: &[(SourceId, Step)]| {
        steps.iter().filter(|(_, step)| matches!(step, Step::Sent { .. })).count()
    };
    for (datagram, expected) in [("one", 0), ("two", 0), ("three", 2)] {
        // In the third turn, a datagram arrives at the time at which the first answer is due.
        peer.send(datagram.as_bytes()).expect("send");
        assert_eq!(sent(&rig.turn()), expected, "after {datagram}");
        rig.advance(SECOND / 2);
    }
    assert_eq!(sent(&rig.turn()), 2, "the second answer");
    rig.advance(SECOND / 2);
    assert_eq!(sent(&rig.turn()), 2, "the third answer");
}

/// Stops the loop at a given time.
struct Stopper(Instant);

impl DatagramProtocol for Stopper {
    fn receive(&mut self, _: &[u8], _: SocketAddr, _: &mut DatagramOutbox, _: &mut Context<'_>) {}

    fn resume(&mut self, _out: &mut DatagramOutbox, cx: &mut Context<'_>) {
        cx.stop();
    }

    fn wake_at(&self) -> Option<Instant> {
        Some(self.0)
    }
}

#[test]
fn loop_that_a_timer_stops_is_drained_after_that_turn() {
    let site = Site::empty();
    let mut rig = Rig::new(Rig::config(&site));
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let end = rig.event_loop().clock().now() + SECOND;
    rig.server.add_udp(socket, Stopper(end)).expect("add it");
    rig.turn();
    assert!(!rig.event_loop().is_drained());
    rig.advance(SECOND);
    rig.turn();
    assert!(rig.event_loop().is_drained());
}
