//! A ping over UDP: sends numbered datagrams at a steady rate, and measures which of them an echo
//! sends back, and how long that takes.

use std::{
    cell::RefCell,
    io::{Error, Write},
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use super::{
    ping_figures::{AnswerKind, PingFigures},
    same_error,
};
use crate::protocol::{Context, DatagramOutbox, DatagramProtocol};

/// The first bytes of each datagram. Its number and the time at which it was sent follow.
const MAGIC: &[u8; 4] = b"ping";
/// The maximum number of datagrams that are sent before answers are received again.
const SEND_BURST: usize = 16;

/// What to send.
#[derive(Debug, Clone, Copy)]
pub struct PingOptions {
    /// The number of datagrams, at least 1.
    pub count: u32,
    /// The time between two datagrams.
    pub interval: Duration,
    /// The length of a datagram in bytes, at least [`PingOptions::MIN_SIZE`].
    pub size: usize,
    /// How long to wait for answers after the last datagram has been sent.
    pub wait: Duration,
}

impl PingOptions {
    /// The length of the shortest datagram in bytes: four letters, a number of four bytes, and a
    /// time of eight bytes.
    pub const MIN_SIZE: usize = 16;
}

/// The protocol of a socket that is connected to an echo.
pub struct Ping {
    echo: SocketAddr,
    options: PingOptions,
    /// When the first datagram is due.
    start: Instant,
    /// When to stop waiting for answers, if all datagrams have been sent.
    end: Option<Instant>,
    result: Rc<RefCell<PingResult>>,
    output: Box<dyn Write>,
}

/// The result of a ping.
#[derive(Debug, Default)]
pub struct PingResult {
    /// The datagrams sent, and their answers.
    pub figures: PingFigures,
    /// The error of the socket that ended the ping early.
    pub error: Option<Error>,
}

impl Ping {
    /// Creates a ping that sends its first datagram to `echo` at the time `start`, and writes a
    /// line about each answer to `output`.
    pub fn new(
        echo: SocketAddr,
        options: PingOptions,
        start: Instant,
        result: Rc<RefCell<PingResult>>,
        output: Box<dyn Write>,
    ) -> Ping {
        Ping { echo, options, start, end: None, result, output }
    }

    /// Returns when the next datagram is due, or `None` if all have been sent.
    fn next_due(&self) -> Option<Instant> {
        let sent = self.result.borrow().figures.sent();
        (sent < self.options.count).then(|| self.start + self.options.interval * sent)
    }

    /// Returns the datagram `number`, sent `since_start`.
    fn datagram(&self, number: u32, since_start: Duration) -> Vec<u8> {
        let mut datagram = MAGIC.to_vec();
        datagram.extend(number.to_be_bytes());
        datagram.extend((since_start.as_micros() as u64).to_be_bytes());
        // The padding bytes differ, so that an answer with shifted bytes is detected.
        datagram.extend((datagram.len()..self.options.size).map(|at| at as u8));
        datagram
    }

    /// Returns the number and the time in an answer. Returns `None` if it is not the echo of a
    /// datagram that this ping can have sent.
    fn parse(&self, answer: &[u8]) -> Option<(u32, Duration)> {
        let (number, rest) = answer.strip_prefix(MAGIC)?.split_first_chunk()?;
        let (micros, _) = rest.split_first_chunk()?;
        let (number, time) =
            (u32::from_be_bytes(*number), Duration::from_micros(u64::from_be_bytes(*micros)));
        (self.datagram(number, time) == answer).then_some((number, time))
    }

    /// Counts an answer that arrived at the time `now`. Returns the line to show for it.
    fn count(&mut self, answer: &[u8], now: Instant) -> String {
        let Some((number, sent_at)) = self.parse(answer) else { return "not an echo".into() };
        let time = now.saturating_duration_since(self.start).saturating_sub(sent_at);
        let remark = match self.result.borrow_mut().figures.answer(number, time) {
            AnswerKind::First => "",
            AnswerKind::Duplicate => " (duplicate)",
            AnswerKind::Unknown => " (not sent)",
        };
        format!("number={} time={:.3} ms{remark}", number + 1, time.as_secs_f64() * 1e3)
    }
}

impl DatagramProtocol for Ping {
    fn receive(&mut self, answer: &[u8], from: SocketAddr, _: &mut DatagramOutbox, cx: &mut Context<'_>) {
        // Sending and receiving may happen in one turn, so the time of the turn is too coarse.
        let line = self.count(answer, cx.clock.precise_now());
        let written = writeln!(self.output, "{} bytes from {from}: {line}", answer.len());
        // Nothing reads the output any more, so there is nothing left to do.
        if self.result.borrow().figures.answered() == self.options.count || written.is_err() {
            cx.stop();
        }
    }

    fn resume(&mut self, out: &mut DatagramOutbox, cx: &mut Context<'_>) {
        let now = cx.clock.now();
        for _ in 0..SEND_BURST {
            if !out.has_room() || self.next_due().is_none_or(|due| due > now) {
                break;
            }
            let number = self.result.borrow_mut().figures.send();
            let since_start = cx.clock.precise_now().saturating_duration_since(self.start);
            out.send(&self.datagram(number, since_start), self.echo);
        }
        if self.next_due().is_none() {
            let end = *self.end.get_or_insert(now + self.options.wait);
            if now >= end {
                cx.stop();
            }
        }
    }

    fn wake_at(&self) -> Option<Instant> {
        self.next_due().or(self.end)
    }

    fn on_error(&mut self, error: &Error, cx: &mut Context<'_>) {
        self.result.borrow_mut().error = Some(same_error(error));
        cx.stop();
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;
    use crate::testing::{DatagramHarness, SharedOutput};

    const MS: Duration = Duration::from_millis(1);

    /// A ping, its result, and the lines that it has shown.
    struct Bench {
        harness: DatagramHarness<Ping>,
        result: Rc<RefCell<PingResult>>,
        shown: SharedOutput,
    }

    fn echo() -> SocketAddr {
        ([127, 0, 0, 1], 9000).into()
    }

    fn ping(count: u32, interval: Duration, size: usize) -> Bench {
        let (result, shown) = (Rc::<RefCell<PingResult>>::default(), SharedOutput::default());
        let output = Box::new(shown.clone());
        let options = PingOptions { count, interval, size, wait: 100 * MS };
        let harness =
            DatagramHarness::new(|clock| Ping::new(echo(), options, clock.now(), Rc::clone(&result), output));
        Bench { harness, result, shown }
    }

    impl Bench {
        /// Advances the clock. Returns the datagrams that are due.
        fn after(&mut self, time: Duration) -> Vec<Vec<u8>> {
            self.harness.clock.advance(time);
            let sent = self.harness.resume();
            sent.into_iter()
                .map(|(datagram, to)| if to == echo() { datagram } else { panic!("{to}") })
                .collect()
        }

        fn answer(&mut self, answer: &[u8]) {
            assert_eq!(self.harness.receive(answer, echo()), []);
        }

        fn is_stopped(&self) -> bool {
            self.harness.requests.stop
        }

        fn last_shown(&self) -> String {
            self.shown.lines().pop().unwrap_or_default()
        }
    }

    #[test]
    fn ping_sends_at_its_interval_and_ends_with_the_last_answer() {
        let mut ping = ping(3, 10 * MS, 20);
        let first = ping.after(Duration::ZERO).concat();
        assert_eq!(first, b"ping\0\0\0\0\0\0\0\0\0\0\0\0\x10\x11\x12\x13");
        assert_eq!(ping.after(9 * MS).len(), 0);
        let second = ping.after(MS).concat();
        ping.answer(&second);
        assert_eq!(ping.last_shown(), "20 bytes from 127.0.0.1:9000: number=2 time=0.000 ms");
        let third = ping.after(15 * MS).concat();
        for answer in [&first, &second, &third] {
            assert!(!ping.is_stopped());
            ping.answer(answer);
        }
        assert!(ping.is_stopped());
        assert_eq!(
            ping.shown.lines()[1..],
            [
                "20 bytes from 127.0.0.1:9000: number=1 time=25.000 ms",
                "20 bytes from 127.0.0.1:9000: number=2 time=15.000 ms (duplicate)",
                "20 bytes from 127.0.0.1:9000: number=3 time=0.000 ms",
            ]
        );
        let summary = ping.result.borrow().figures.to_string();
        assert!(
            summary.starts_with("3 sent, 3 received, 0.0% loss, 1 duplicates, 1 reordered\n"),
            "{summary}"
        );
    }

    #[test]
    fn ping_that_is_late_catches_up_in_bursts() {
        let mut ping = ping(100, MS, 16);
        assert_eq!(ping.after(49 * MS).len(), 50);
        let burst = ping.harness.call(Ping::resume);
        assert_eq!(burst.len(), 0, "nothing is due");
        assert_eq!(ping.after(1000 * MS).len(), 50);
        ping.harness.clock.advance(1000 * MS);
        ping.harness.call(Ping::resume);
        assert!(ping.is_stopped());
    }

    #[test]
    fn ping_waits_for_late_answers() {
        let mut ping = ping(2, Duration::ZERO, 16);
        let sent = ping.after(Duration::ZERO);
        assert_eq!(sent.len(), 2);
        assert!(ping.after(99 * MS).is_empty() && !ping.is_stopped());
        ping.answer(&sent[1]);
        assert!(ping.after(MS).is_empty() && ping.is_stopped());
        assert!(ping.result.borrow().figures.to_string().starts_with("2 sent, 1 received, 50.0% loss"));
    }

    #[test]
    fn ping_counts_only_echoes() {
        let mut ping = ping(2, 10 * MS, 20);
        let sent = ping.after(Duration::ZERO).concat();
        let mut not_sent = sent.clone();
        not_sent[7] = 1;
        let mut changed = sent.clone();
        changed[19] ^= 1;
        for other in [&b""[..], b"ping", &sent[..19], &[&sent[..], b"x"].concat(), &changed] {
            ping.answer(other);
            assert_eq!(ping.last_shown(), format!("{} bytes from 127.0.0.1:9000: not an echo", other.len()));
        }
        ping.answer(&not_sent);
        assert!(ping.last_shown().ends_with("(not sent)"));
        assert_eq!(ping.result.borrow().figures.answered(), 0);
    }

    #[test]
    fn ping_ends_if_nobody_listens() {
        let mut ping = ping(2, 10 * MS, 16);
        ping.after(Duration::ZERO);
        ping.harness.call(|ping, _, cx| ping.on_error(&ErrorKind::ConnectionRefused.into(), cx));
        assert!(ping.is_stopped());
        let error = ping.result.borrow_mut().error.take();
        assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::ConnectionRefused));
    }
}
