//! A conversation in datagrams, as in the course: each line of standard input is sent as one
//! datagram, and each answer is shown with its sender. Standard input and the socket are two
//! sources of one loop.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io::{Error, Write},
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use super::{dialogue::visible, same_error};
use crate::{
    framing,
    protocol::{Context, DatagramOutbox, DatagramProtocol, InputProtocol, WakeKey},
};

/// The length of the longest datagram in bytes. The length of an IPv4 packet is a number of 16
/// bits, and its headers take 28 bytes (udp(7)).
pub const MAX_DATAGRAM: usize = 65_507;
/// The number of unsent lines at which standard input is not read.
const MAX_LINES: usize = 64;

/// What standard input and the socket share.
#[derive(Debug, Default)]
pub struct DatagramLines {
    /// The lines that have not been sent, without line ends.
    unsent: VecDeque<Vec<u8>>,
    /// Whether an empty line or the end of the input has been read.
    is_ended: bool,
    /// The key of standard input, if it waits until lines have been sent.
    waiting_input: Option<WakeKey>,
    /// Why the conversation ended early.
    pub failure: Option<TalkFailure>,
}

/// Why a conversation ended early.
#[derive(Debug)]
pub enum TalkFailure {
    /// The socket reported an error.
    Socket(Error),
    /// A line was longer than [`MAX_DATAGRAM`].
    LineTooLong,
}

/// Standard input.
pub struct LineReader {
    lines: Rc<RefCell<DatagramLines>>,
    /// The key of the socket.
    socket: WakeKey,
    /// The beginning of a line whose end has not been read.
    partial: Vec<u8>,
}

impl LineReader {
    /// Creates a reader. `socket` is the key of the [`LineSender`].
    pub fn new(lines: Rc<RefCell<DatagramLines>>, socket: WakeKey) -> LineReader {
        LineReader { lines, socket, partial: Vec::new() }
    }

    /// Queues a line without its line end. An empty one ends the conversation.
    fn push(&mut self, line: &[u8]) {
        let lines = &mut *self.lines.borrow_mut();
        if lines.is_ended {
            return;
        }
        if line.is_empty() {
            lines.is_ended = true;
        } else {
            lines.unsent.push_back(line.to_vec());
        }
    }
}

impl InputProtocol for LineReader {
    fn receive(&mut self, input: &[u8], cx: &mut Context<'_>) {
        self.partial.extend_from_slice(input);
        let partial = std::mem::take(&mut self.partial);
        let mut rest = &partial[..];
        loop {
            match framing::line(rest, MAX_DATAGRAM) {
                Ok(Some((line, consumed))) => {
                    self.push(line);
                    rest = &rest[consumed..];
                }
                Ok(None) => break,
                Err(_) => {
                    self.lines.borrow_mut().failure = Some(TalkFailure::LineTooLong);
                    return cx.stop();
                }
            }
        }
        self.partial = rest.to_vec();
        if !self.has_room() {
            self.lines.borrow_mut().waiting_input = Some(cx.wake_key());
        }
        cx.wake(self.socket);
    }

    fn on_end(&mut self, cx: &mut Context<'_>) {
        // The last line may have no line end. What follows is as after an empty line.
        let line = std::mem::take(&mut self.partial);
        self.push(&line);
        self.push(b"");
        cx.wake(self.socket);
    }

    fn has_room(&self) -> bool {
        let lines = self.lines.borrow();
        lines.unsent.len() < MAX_LINES && !lines.is_ended
    }
}

/// The protocol of the socket, which is connected to the peer.
pub struct LineSender {
    peer: SocketAddr,
    lines: Rc<RefCell<DatagramLines>>,
    /// How long to wait for answers after the last line.
    wait: Duration,
    /// The number of datagrams that have not been answered.
    unanswered: u64,
    /// When to send the rest of the lines, if the outbox was full.
    rest_at: Option<Instant>,
    /// When to stop waiting for answers, if all lines have been sent.
    end: Option<Instant>,
    output: Box<dyn Write>,
}

impl LineSender {
    /// Creates the protocol of a socket that is connected to `peer`. It writes each answer to
    /// `output`, and waits for answers to the last lines for `wait`.
    pub fn new(
        peer: SocketAddr,
        lines: Rc<RefCell<DatagramLines>>,
        wait: Duration,
        output: Box<dyn Write>,
    ) -> LineSender {
        LineSender { peer, lines, wait, unanswered: 0, rest_at: None, end: None, output }
    }
}

impl DatagramProtocol for LineSender {
    fn receive(&mut self, answer: &[u8], from: SocketAddr, _: &mut DatagramOutbox, cx: &mut Context<'_>) {
        let written = writeln!(self.output, "{from}: {}", one_line(answer));
        self.unanswered = self.unanswered.saturating_sub(1);
        let lines = self.lines.borrow();
        let is_done = lines.is_ended && lines.unsent.is_empty() && self.unanswered == 0;
        // Nothing reads the output any more, so there is nothing left to do.
        if is_done || written.is_err() {
            cx.stop();
        }
    }

    fn resume(&mut self, out: &mut DatagramOutbox, cx: &mut Context<'_>) {
        let now = cx.clock.now();
        let lines = &mut *self.lines.borrow_mut();
        while out.has_room()
            && let Some(line) = lines.unsent.pop_front()
        {
            out.send(&line, self.peer);
            self.unanswered += 1;
        }
        if let Some(input) = lines.waiting_input.take() {
            cx.wake(input);
        }
        self.rest_at = (!lines.unsent.is_empty()).then_some(now);
        if lines.is_ended && lines.unsent.is_empty() {
            if self.unanswered == 0 || self.end.is_some_and(|end| now >= end) {
                cx.stop();
            } else {
                self.end.get_or_insert(now + self.wait);
            }
        }
    }

    fn wake_at(&self) -> Option<Instant> {
        self.rest_at.or(self.end)
    }

    fn on_error(&mut self, error: &Error, cx: &mut Context<'_>) {
        self.lines.borrow_mut().failure = Some(TalkFailure::Socket(same_error(error)));
        cx.stop();
    }
}

/// Returns a datagram as one line of text, in which nothing acts on the terminal.
fn one_line(datagram: &[u8]) -> String {
    visible(datagram).replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;
    use crate::{
        protocol::{InputBudget, LoopCounters, LoopRequests, WorkBudget},
        testing::{DatagramHarness, SharedOutput},
        trace::Observers,
    };

    const MS: Duration = Duration::from_millis(1);

    /// Both sides of a conversation, and the lines that it has shown.
    struct Bench {
        input: LineReader,
        socket: DatagramHarness<LineSender>,
        lines: Rc<RefCell<DatagramLines>>,
        shown: SharedOutput,
    }

    fn peer() -> SocketAddr {
        ([127, 0, 0, 1], 9000).into()
    }

    fn bench() -> Bench {
        let (lines, shown) = (Rc::<RefCell<DatagramLines>>::default(), SharedOutput::default());
        let output = Box::new(shown.clone());
        let mut socket =
            DatagramHarness::new(|_| LineSender::new(peer(), Rc::clone(&lines), 100 * MS, output));
        let mut key = None;
        socket.call(|_, _, cx| key = Some(cx.wake_key()));
        let input = LineReader::new(Rc::clone(&lines), key.expect("a key"));
        Bench { input, socket, lines, shown }
    }

    impl Bench {
        /// Passes input to the reader. Returns the datagrams that are then sent.
        fn read(&mut self, input: &[u8]) -> Vec<Vec<u8>> {
            self.with_input(|reader, cx| reader.receive(input, cx))
        }

        fn end(&mut self) -> Vec<Vec<u8>> {
            self.with_input(LineReader::on_end)
        }

        fn with_input(&mut self, act: impl FnOnce(&mut LineReader, &mut Context<'_>)) -> Vec<Vec<u8>> {
            let (mut observers, mut work) = (Observers::default(), WorkBudget::default());
            let input = InputBudget::default();
            let (mut requests, mut counters) = (LoopRequests::default(), LoopCounters::default());
            let mut cx = Context::without_loop(
                &self.socket.clock,
                &mut observers,
                &mut work,
                &input,
                &mut requests,
                &mut counters,
            );
            act(&mut self.input, &mut cx);
            let mut sent = self.socket.call(LineSender::resume);
            sent.extend(self.socket.resume());
            sent.into_iter()
                .map(|(datagram, to)| if to == peer() { datagram } else { panic!("{to}") })
                .collect()
        }

        fn is_stopped(&self) -> bool {
            self.socket.requests.stop
        }
    }

    #[test]
    fn udp_talk_sends_each_line_as_one_datagram() {
        let input = b"one\r\n two \n\xff\0\nlast";
        let expected = [&b"one"[..], b" two ", b"\xff\0", b"last"].map(<[u8]>::to_vec);
        let mut whole = bench();
        assert_eq!([whole.read(input), whole.end()].concat(), expected);
        let mut bytewise = bench();
        let mut sent: Vec<Vec<u8>> = input.iter().flat_map(|byte| bytewise.read(&[*byte])).collect();
        sent.extend(bytewise.end());
        assert_eq!(sent, expected);
    }

    #[test]
    fn udp_talk_ends_when_every_line_is_answered() {
        for ending in [&b"\n"[..], b"\r\n", b"\nignored\n"] {
            let mut talk = bench();
            assert_eq!(talk.read(b"one\ntwo\n").len(), 2);
            assert_eq!(talk.read(ending).len(), 0);
            assert!(!talk.input.has_room());
            for answer in [&b"1"[..], b"\x1b[2J"] {
                assert!(!talk.is_stopped());
                talk.socket.receive(answer, peer());
            }
            assert!(talk.is_stopped());
            assert_eq!(talk.shown.lines(), ["127.0.0.1:9000: 1", r"127.0.0.1:9000: \u{1b}[2J"]);
        }
    }

    #[test]
    fn udp_talk_shows_each_datagram_on_one_line() {
        let table: [(&[u8], &str); 5] = [
            (b"", ""),
            (b"a\tb \"c\" \\", "a\tb \"c\" \\"),
            (b"one\r\ntwo\n", r"one\ntwo\n"),
            (b"\x1b[2J\0\xff\r", r"\u{1b}[2J\u{0}\xff\r"),
            (b"\xe4\xbd\xa0\xe5\xa5", "\u{4f60}\\xe5\\xa5"),
        ];
        for (datagram, expected) in table {
            assert_eq!(one_line(datagram), expected);
        }
    }

    #[test]
    fn udp_talk_waits_for_answers_and_not_forever() {
        let mut talk = bench();
        assert_eq!(talk.read(b"one\n\n").len(), 1);
        talk.socket.clock.advance(99 * MS);
        talk.socket.resume();
        assert!(!talk.is_stopped());
        talk.socket.clock.advance(MS);
        talk.socket.resume();
        assert!(talk.is_stopped());
    }

    #[test]
    fn udp_talk_without_lines_ends_at_once() {
        let mut talk = bench();
        assert_eq!(talk.end().len(), 0);
        assert!(talk.is_stopped());
    }

    #[test]
    fn udp_talk_stops_reading_while_lines_are_unsent() {
        let mut talk = bench();
        let input = b"x\n".repeat(3 * MAX_LINES);
        talk.with_input(|reader, cx| {
            reader.receive(&input, cx);
            assert!(!reader.has_room());
        });
        assert!(talk.input.has_room(), "all of them have been sent");
        assert_eq!(talk.socket.requests.wakes.len(), 1, "the input is woken");
    }

    #[test]
    fn udp_talk_sends_what_the_outbox_holds_and_then_the_rest() {
        let mut talk = bench();
        let long = [&vec![b'x'; MAX_DATAGRAM][..], b"\n"].concat();
        let sent = talk.read(&long.repeat(5));
        assert!(sent.len() == 5 && sent.iter().all(|line| line.len() == MAX_DATAGRAM));
    }

    #[test]
    fn udp_talk_refuses_a_line_that_is_too_long() {
        for end in [&b"\n"[..], b""] {
            let mut talk = bench();
            assert_eq!(talk.read(&[&vec![b'x'; MAX_DATAGRAM + 1], end].concat()).len(), 0);
            assert!(matches!(talk.lines.borrow().failure, Some(TalkFailure::LineTooLong)));
        }
    }

    #[test]
    fn udp_talk_ends_if_nobody_listens() {
        let mut talk = bench();
        talk.read(b"one\n");
        talk.socket.call(|socket, _, cx| socket.on_error(&ErrorKind::ConnectionRefused.into(), cx));
        assert!(talk.is_stopped());
        assert!(
            matches!(&talk.lines.borrow().failure, Some(TalkFailure::Socket(e)) if e.kind() == ErrorKind::ConnectionRefused)
        );
    }
}
