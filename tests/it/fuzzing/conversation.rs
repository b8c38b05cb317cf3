//! Runs the protocol of a connection as the loop does, without a socket, on a frozen clock.

use std::{
    fmt,
    os::unix::fs::FileExt,
    time::{Duration, SystemTime},
};

use oneloop::{
    clock::Clock,
    protocol::{
        CloseReason, Context, InputBudget, LoopCounters, LoopRequests, NextWrite, Outbox, Progress, Protocol,
        Received, WorkBudget,
    },
    trace::Observers,
};

/// The number of calls in a row that may neither consume input nor make output. A protocol that
/// needs more spins.
const IDLE_CALLS: usize = 100;

/// What a peer saw.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Conversation {
    /// All output.
    pub output: Vec<u8>,
    /// Why the protocol closed the connection, if it did.
    pub closed: Option<CloseReason>,
}

impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\", then {:?}", self.output.escape_ascii(), self.closed)
    }
}

/// The loop's side of one connection.
pub struct Loop {
    protocol: Box<dyn Protocol>,
    clock: Clock,
    observers: Observers,
    work: WorkBudget,
    budget: InputBudget,
    requests: LoopRequests,
    counters: LoopCounters,
    out: Outbox,
    input: Vec<u8>,
    /// The maximum length of the input that may be kept until more arrives.
    max_kept: usize,
    seen: Conversation,
}

impl Loop {
    /// Creates the loop's side of a connection that was accepted at `now`, and starts the
    /// conversation. `max_kept` is the documented bound on unparsed input.
    pub fn new(protocol: Box<dyn Protocol>, now: SystemTime, max_kept: usize) -> Loop {
        let mut this = Loop {
            protocol,
            clock: Clock::frozen(now),
            observers: Observers::default(),
            work: WorkBudget::default(),
            budget: InputBudget::default(),
            requests: LoopRequests::default(),
            counters: LoopCounters::default(),
            out: Outbox::default(),
            input: Vec::new(),
            max_kept,
            seen: Conversation::default(),
        };
        let progress = this.call(|protocol, out, cx| protocol.on_connected(out, cx));
        this.follow(progress);
        this
    }

    /// Passes `pieces` to the protocol, one after the other, until it closes the connection.
    pub fn receive<'a>(&mut self, pieces: impl IntoIterator<Item = &'a [u8]>) {
        for piece in pieces {
            if self.seen.closed.is_some() {
                return;
            }
            self.input.extend_from_slice(piece);
            self.follow(Progress::Again);
        }
    }

    /// Resumes the protocol, as the loop does when another source wakes it.
    pub fn wake(&mut self) {
        if self.seen.closed.is_none() {
            self.follow(Progress::Yield);
        }
    }

    /// Ends the conversation as the loop does when the time for input has passed. Returns what the
    /// peer saw.
    pub fn end(mut self) -> Conversation {
        let reason = CloseReason::HeadTimeout;
        if self.seen.closed.is_none() {
            let input = std::mem::take(&mut self.input);
            self.call(|protocol, out, cx| protocol.last_response(reason, &input, out, cx));
        }
        let (reason, sent) = (self.seen.closed.unwrap_or(reason), self.out.sent());
        self.call(|protocol, _, cx| protocol.on_closed(reason, sent, cx));
        self.seen
    }

    /// Does what `progress` says until the protocol needs input or closes.
    fn follow(&mut self, mut progress: Progress) {
        let mut idle_calls = 0;
        loop {
            let before = (self.input.len(), self.seen.output.len());
            progress = match progress {
                Progress::Close(reason) => {
                    self.seen.closed = Some(reason);
                    return;
                }
                Progress::NeedInput | Progress::Partial => {
                    let kept = self.input.len();
                    assert!(kept <= self.max_kept, "{kept} bytes of input are kept");
                    return;
                }
                Progress::Again if self.input.is_empty() => return,
                Progress::Again => {
                    let input = std::mem::take(&mut self.input);
                    let received = self.call(|protocol, out, cx| protocol.receive(&input, out, cx));
                    let Received { consumed, progress } = received;
                    assert!(consumed <= input.len(), "it consumes {consumed} of {} bytes", input.len());
                    self.input.extend_from_slice(&input[consumed..]);
                    progress
                }
                Progress::Yield => {
                    self.clock.tick();
                    self.call(|protocol, out, cx| protocol.resume(out, cx))
                }
                Progress::WaitUntil(at) => {
                    let wait = at.map_or(Duration::ZERO, |at| at.saturating_duration_since(self.clock.now()));
                    self.clock.tick();
                    self.clock.advance(wait);
                    self.call(|protocol, out, cx| protocol.resume(out, cx))
                }
                Progress::HalfClose => panic!("no server shuts down only its sending side"),
            };
            let is_idle = before == (self.input.len(), self.seen.output.len());
            idle_calls = if is_idle { idle_calls + 1 } else { 0 };
            assert!(idle_calls < IDLE_CALLS, "it spins: {progress:?}");
        }
    }

    /// Calls the protocol, and takes all output as a socket would.
    fn call<T>(&mut self, act: impl FnOnce(&mut dyn Protocol, &mut Outbox, &mut Context<'_>) -> T) -> T {
        self.work.refill(&mut self.requests);
        let (clock, observers) = (&self.clock, &mut self.observers);
        let mut cx = Context::without_loop(
            clock,
            observers,
            &mut self.work,
            &self.budget,
            &mut self.requests,
            &mut self.counters,
        );
        let result = act(&mut *self.protocol, &mut self.out, &mut cx);
        let before = self.out.sent();
        take(&mut self.out, &mut self.seen.output);
        if self.out.sent() > before {
            self.protocol.on_sent(self.out.sent(), &self.clock);
        }
        result
    }
}

/// Moves all output from `out` to `got`, as a socket would.
pub fn take(out: &mut Outbox, got: &mut Vec<u8>) {
    loop {
        let before = got.len();
        match out.next_write() {
            NextWrite::Nothing => return,
            NextWrite::Bytes(bytes) | NextWrite::BytesThenFile(bytes) => got.extend_from_slice(bytes),
            NextWrite::BytesThenMemory(bytes, body) => got.extend([bytes, body].concat()),
            NextWrite::File(file) => {
                got.resize(before + file.left() as usize, 0);
                let open = std::fs::File::from(file.fd().try_clone_to_owned().expect("duplicate it"));
                open.read_exact_at(&mut got[before..], file.offset()).expect("read the file");
            }
        }
        out.advance(got.len() - before);
    }
}

/// Splits off the first byte, which decides what a target does with the rest.
pub fn split_choice(data: &[u8]) -> (u8, &[u8]) {
    data.split_first().map_or((0, data), |(choice, rest)| (*choice, rest))
}

/// Returns `stream` cut in several ways: not at all, at places that follow from `choice`, and after
/// each byte if the stream is short.
pub fn cuts(stream: &[u8], choice: u8) -> Vec<Vec<&[u8]>> {
    /// Cutting a longer stream after each byte takes too long for a fuzzer.
    const SHORT: usize = 400;
    let mut state = u32::from(choice) * 2 + 1;
    let longest = 2 << (choice % 13);
    let (mut random, mut rest) = (Vec::new(), stream);
    while !rest.is_empty() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let len = 1 + (state >> 16) as usize % longest;
        let (piece, after) = rest.split_at(len.min(rest.len()));
        random.push(piece);
        rest = after;
    }
    let mut all = vec![vec![stream], random];
    if stream.len() <= SHORT {
        all.push(stream.chunks(1).collect());
    }
    all
}
