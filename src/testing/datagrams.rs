//! Runs a datagram protocol without a loop and without a socket.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use crate::{
    clock::Clock,
    protocol::{
        Context, DatagramOutbox, DatagramProtocol, InputBudget, LoopCounters, LoopRequests, WorkBudget,
    },
    trace::Observers,
};

/// A datagram protocol, its outbox, and a clock that the test controls.
pub struct DatagramHarness<P> {
    pub protocol: P,
    pub clock: Clock,
    pub requests: LoopRequests,
    out: DatagramOutbox,
}

impl<P: DatagramProtocol> DatagramHarness<P> {
    /// Creates the protocol with `create`, which gets the clock.
    pub fn new(create: impl FnOnce(&Clock) -> P) -> DatagramHarness<P> {
        let clock = Clock::frozen(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000));
        let protocol = create(&clock);
        DatagramHarness { protocol, clock, requests: LoopRequests::default(), out: DatagramOutbox::default() }
    }

    /// Passes a datagram to the protocol. Returns the datagrams that it sends, with their
    /// destinations.
    pub fn receive(&mut self, datagram: &[u8], from: SocketAddr) -> Vec<(Vec<u8>, SocketAddr)> {
        self.call(|protocol, out, cx| protocol.receive(datagram, from, out, cx))
    }

    /// Resumes the protocol until nothing is due, as the loop does. Returns the datagrams that it
    /// sends, with their destinations.
    pub fn resume(&mut self) -> Vec<(Vec<u8>, SocketAddr)> {
        let mut all = Vec::new();
        while !self.requests.stop && self.protocol.wake_at().is_some_and(|at| at <= self.clock.now()) {
            all.extend(self.call(P::resume));
        }
        all
    }

    /// Calls the protocol. Returns the datagrams that it sends, with their destinations.
    pub fn call(
        &mut self,
        act: impl FnOnce(&mut P, &mut DatagramOutbox, &mut Context<'_>),
    ) -> Vec<(Vec<u8>, SocketAddr)> {
        let (mut observers, mut work) = (Observers::default(), WorkBudget::default());
        let (input, mut counters) = (InputBudget::default(), LoopCounters::default());
        let mut cx = Context::without_loop(
            &self.clock,
            &mut observers,
            &mut work,
            &input,
            &mut self.requests,
            &mut counters,
        );
        act(&mut self.protocol, &mut self.out, &mut cx);
        let mut sent = Vec::new();
        while let Some((datagram, to)) = self.out.next() {
            sent.push((datagram.to_vec(), to));
            self.out.advance();
        }
        sent
    }
}
