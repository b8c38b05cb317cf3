//! The echo service for datagrams, with deliberate faults if they are configured.
//!
//! It owns the answers that are delayed, in a bounded queue. It must never answer itself, and must
//! not answer another echo without limit (see [`PeerFilter`]).

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::{
    impairment::{Decision, Decisions, Impairment},
    peer_filter::PeerFilter,
    steps,
};
use crate::protocol::{Context, DatagramOutbox, DatagramProtocol};

/// The maximum number of answers that are delayed at a time.
const MAX_DELAYED: usize = 10_000;
/// The maximum number of bytes in the answers that are delayed at a time.
const MAX_DELAYED_BYTES: usize = 16 << 20;

/// The echo protocol for datagrams: sends each datagram back (RFC 862).
pub struct UdpEcho {
    filter: PeerFilter,
    /// `None` if every answer is sent at once.
    faults: Option<Faults>,
}

/// The state of the faults.
struct Faults {
    decisions: Decisions,
    delayed: DelayedAnswers,
}

impl UdpEcho {
    /// Creates an echo. `own` are the addresses of this process's sockets that answer datagrams,
    /// including the echo's own: datagrams from these addresses are not answered.
    pub fn new(own: Vec<SocketAddr>, impairment: Impairment) -> UdpEcho {
        let faults = impairment
            .is_active()
            .then(|| Faults { decisions: Decisions::new(impairment), delayed: DelayedAnswers::default() });
        UdpEcho { filter: PeerFilter::new(own), faults }
    }
}

impl DatagramProtocol for UdpEcho {
    fn receive(&mut self, datagram: &[u8], from: SocketAddr, out: &mut DatagramOutbox, cx: &mut Context<'_>) {
        let now = cx.clock.now();
        if let Some(reason) = self.filter.check(from, now) {
            cx.trace(|| steps::ignored(datagram.len(), from, reason.text()));
            if self.filter.is_warning_due(now) {
                log::warn!("{}: not answering {from}: {}", cx.source, reason.text());
            }
            return;
        }
        match &mut self.faults {
            None => out.send(datagram, from),
            Some(faults) => faults.answer(datagram, from, out, cx),
        }
    }

    fn resume(&mut self, out: &mut DatagramOutbox, cx: &mut Context<'_>) {
        let Some(faults) = &mut self.faults else { return };
        while out.has_room()
            && let Some(DelayedAnswer { bytes, to }) = faults.delayed.pop_due(cx.clock.now())
        {
            out.send(&bytes, to);
        }
    }

    fn wake_at(&self) -> Option<Instant> {
        self.faults.as_ref().and_then(|faults| faults.delayed.next_due())
    }
}

impl Faults {
    /// Sends `answer` once, twice or not at all, now or later.
    fn answer(&mut self, answer: &[u8], to: SocketAddr, out: &mut DatagramOutbox, cx: &mut Context<'_>) {
        match self.decisions.next() {
            Decision::Lose => cx.trace(|| steps::dropped(answer.len(), to, "loss")),
            Decision::Send { after, again_after } => {
                self.send_after(after, answer, to, out, cx);
                if let Some(after) = again_after {
                    cx.trace(|| steps::doubled(answer.len(), to));
                    self.send_after(after, answer, to, out, cx);
                }
            }
        }
    }

    /// Sends `answer` when `delay` has passed.
    fn send_after(
        &mut self,
        delay: Duration,
        answer: &[u8],
        to: SocketAddr,
        out: &mut DatagramOutbox,
        cx: &mut Context<'_>,
    ) {
        if delay.is_zero() {
            out.send(answer, to);
            return;
        }
        // A time that cannot be represented never comes.
        let due = cx.clock.after(Some(delay));
        if due.is_some_and(|due| self.delayed.insert(due, answer, to)) {
            cx.trace(|| steps::delayed(answer.len(), to, delay));
        } else {
            cx.trace(|| steps::dropped(answer.len(), to, "queue full"));
        }
    }
}

/// Answers that are sent later, in the order in which they are due. Answers that are due at the
/// same time keep their order.
#[derive(Default)]
struct DelayedAnswers {
    /// The answers, by the time at which each is due and the number of its insertion.
    queue: BTreeMap<(Instant, u64), DelayedAnswer>,
    /// The number of answers ever inserted.
    inserted: u64,
    /// The number of bytes in the queue.
    bytes: usize,
}

/// An answer that is sent later.
struct DelayedAnswer {
    bytes: Box<[u8]>,
    to: SocketAddr,
}

impl DelayedAnswers {
    /// Adds an answer. Returns `false` if the queue is full.
    fn insert(&mut self, due: Instant, answer: &[u8], to: SocketAddr) -> bool {
        let has_room = self.queue.len() < MAX_DELAYED && self.bytes + answer.len() <= MAX_DELAYED_BYTES;
        if has_room {
            self.inserted += 1;
            self.bytes += answer.len();
            self.queue.insert((due, self.inserted), DelayedAnswer { bytes: answer.into(), to });
        }
        has_room
    }

    /// Removes and returns the first answer that is due.
    fn pop_due(&mut self, now: Instant) -> Option<DelayedAnswer> {
        let first = self.queue.first_entry().filter(|entry| entry.key().0 <= now)?;
        let answer = first.remove();
        self.bytes -= answer.bytes.len();
        Some(answer)
    }

    /// Returns when the first answer is due.
    fn next_due(&self) -> Option<Instant> {
        self.queue.keys().next().map(|(due, _)| *due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::DatagramHarness;

    const MS: Duration = Duration::from_millis(1);

    fn address(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    /// Returns an echo whose own sockets have these ports.
    fn echo(own: &[u16], impairment: Impairment) -> DatagramHarness<UdpEcho> {
        let own = own.iter().map(|port| address(*port)).collect();
        DatagramHarness::new(|_| UdpEcho::new(own, impairment))
    }

    /// Returns the answers as numbers, for datagrams that hold one byte.
    fn numbers(answers: &[(Vec<u8>, SocketAddr)]) -> Vec<u8> {
        answers.iter().map(|(answer, _)| answer[0]).collect()
    }

    #[test]
    fn udp_echo_without_faults_answers_each_peer_at_once() {
        let mut echo = echo(&[9000], Impairment::default());
        for (datagram, port) in [(&b"one"[..], 5000), (b"", 5001), (&[7; 65_507], 1024)] {
            assert_eq!(echo.receive(datagram, address(port)), [(datagram.to_vec(), address(port))]);
        }
        assert_eq!(echo.protocol.wake_at(), None);
    }

    #[test]
    fn udp_echo_loses_and_duplicates_as_decided() {
        let impairment = Impairment { loss: 0.3, duplicate: 0.2, seed: 7, ..Impairment::default() };
        let (mut echo, mut decisions) = (echo(&[9000], impairment), Decisions::new(impairment));
        for number in 0..200 {
            let copies = match decisions.next() {
                Decision::Lose => 0,
                Decision::Send { again_after, .. } => 1 + usize::from(again_after.is_some()),
            };
            assert_eq!(echo.receive(&[number], address(5000)), vec![(vec![number], address(5000)); copies]);
        }
    }

    #[test]
    fn udp_echo_delays_and_keeps_the_order() {
        let mut echo = echo(&[9000], Impairment { delay: 100 * MS, ..Impairment::default() });
        let start = echo.clock.now();
        assert_eq!((echo.receive(&[1], address(5000)), echo.receive(&[2], address(5001))), (vec![], vec![]));
        echo.clock.advance(50 * MS);
        assert_eq!(echo.receive(&[3], address(5000)), []);
        assert_eq!(echo.protocol.wake_at(), Some(start + 100 * MS));
        echo.clock.advance(49 * MS);
        assert_eq!(echo.resume(), []);
        echo.clock.advance(MS);
        assert_eq!(echo.resume(), [(vec![1], address(5000)), (vec![2], address(5001))]);
        assert_eq!(echo.protocol.wake_at(), Some(start + 150 * MS));
        echo.clock.advance(50 * MS);
        assert_eq!(numbers(&echo.resume()), [3]);
        assert_eq!(echo.protocol.wake_at(), None);
    }

    #[test]
    fn udp_echo_with_jitter_reorders_and_repeats() {
        let run = |seed| {
            let mut echo =
                echo(&[9000], Impairment { delay: 10 * MS, jitter: 10 * MS, seed, ..Impairment::default() });
            let mut answers = Vec::new();
            for number in 0..100 {
                answers.extend(numbers(&echo.receive(&[number], address(5000))));
                echo.clock.advance(MS);
                answers.extend(numbers(&echo.resume()));
            }
            echo.clock.advance(20 * MS);
            answers.extend(numbers(&echo.resume()));
            answers
        };
        let answers = run(7);
        assert!(!answers.is_sorted());
        assert_eq!((answers.len(), run(7) == answers, run(8) == answers), (100, true, false));
    }

    #[test]
    fn udp_echo_holds_a_bounded_number_of_delayed_answers() {
        for (len, limit) in [(1, MAX_DELAYED), (60_000, MAX_DELAYED_BYTES / 60_000)] {
            let mut echo = echo(&[9000], Impairment { delay: MS, ..Impairment::default() });
            let datagram = vec![1; len];
            for _ in 0..limit + 10 {
                assert_eq!(echo.receive(&datagram, address(5000)), []);
            }
            echo.clock.advance(MS);
            assert_eq!(echo.resume().len(), limit, "{len} bytes each");
            echo.receive(&datagram, address(5000));
            echo.clock.advance(MS);
            assert_eq!(echo.resume().len(), 1, "there is room again");
        }
    }

    #[test]
    fn udp_echo_does_not_answer_servers() {
        let mut echo = echo(&[9000, 9001], Impairment::default());
        for port in [9000, 9001, 0, 7, 19, 1023] {
            assert_eq!(echo.receive(b"forged", address(port)), [], "{port}");
        }
        assert_eq!(echo.receive(b"real", address(1024)).len(), 1);
    }

    /// Delivers one datagram with a forged source to the first of two echoes, and then each answer
    /// to the other echo. Returns the number of answers.
    fn ping_pong(own: [&[u16]; 2]) -> usize {
        let mut echoes = own.map(|own| echo(own, Impairment::default()));
        let mut answers = 0;
        while echoes[answers % 2].receive(b"forged", address(9001 - answers as u16 % 2)).len() == 1 {
            answers += 1;
        }
        answers
    }

    #[test]
    fn udp_echoes_do_not_answer_each_other_endlessly() {
        assert_eq!(ping_pong([&[9000, 9001], &[9000, 9001]]), 0, "both in one process");
        // Each echo of two processes sends its burst.
        assert_eq!(ping_pong([&[9000], &[9001]]), 200_000);
    }
}
