//! An echo that loses answers, and a client that asks again, for the lesson about datagrams that do
//! not come. Both are sources of one loop. The client may have a bug.

use std::{
    cell::RefCell,
    io,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use super::{
    bug::Bug,
    harness::Harness,
    setup::Setup,
    transcript::{NotedEvent, Transcript},
};
use crate::{
    protocol::{Context, DatagramOutbox, DatagramProtocol},
    services::{Impairment, UdpEcho},
};

/// The number of questions that the client asks.
const QUESTIONS: u8 = 2;
/// How long the client waits for an answer before it asks again.
const WAIT: Duration = Duration::from_secs(1);
/// Half of the answers are lost. With this seed, the second and the third are lost of four.
const LOSS: Impairment =
    Impairment { loss: 0.5, duplicate: 0.0, delay: Duration::ZERO, jitter: Duration::ZERO, seed: 6 };

/// Sets up the lesson: a loop with the echo as u1 and the client as u2.
pub fn lose_answers(setup: &Setup<'_>) -> io::Result<Harness> {
    let mut event_loop = Setup::event_loop()?;
    let (echo_socket, echo) = Setup::udp_socket()?;
    event_loop.add_udp(echo_socket, Box::new(UdpEcho::new(vec![echo], LOSS)))?;
    let (socket, _) = Setup::udp_socket()?;
    let has_timeout = setup.bug != Some(Bug::NoTimeout);
    let start = event_loop.clock().now();
    let client = Asker {
        echo,
        answered: 0,
        sent: 0,
        ask_at: Some(start),
        has_timeout,
        transcript: Rc::clone(&setup.transcript),
    };
    event_loop.add_udp(socket, Box::new(client))?;
    Ok(setup.harness(event_loop, Vec::new(), None))
}

/// A client that asks one question after the other, and each one until it is answered.
struct Asker {
    echo: SocketAddr,
    /// The number of questions that have been answered.
    answered: u8,
    /// The number of datagrams sent.
    sent: usize,
    /// When to ask the next question, or the same one again. `None` if nothing is to be done until
    /// an answer arrives.
    ask_at: Option<Instant>,
    has_timeout: bool,
    transcript: Rc<RefCell<Transcript>>,
}

impl Asker {
    /// Returns the question whose answer the client waits for.
    fn question(&self) -> Vec<u8> {
        format!("question {}", self.answered + 1).into()
    }

    fn ask(&mut self, out: &mut DatagramOutbox, cx: &mut Context<'_>) {
        out.send(&self.question(), self.echo);
        self.sent += 1;
        self.ask_at = self.has_timeout.then(|| cx.clock.now() + WAIT);
    }
}

impl DatagramProtocol for Asker {
    fn receive(&mut self, answer: &[u8], _from: SocketAddr, out: &mut DatagramOutbox, cx: &mut Context<'_>) {
        // An answer to an earlier question may come late.
        if answer != self.question() {
            return;
        }
        self.answered += 1;
        if self.answered < QUESTIONS {
            return self.ask(out, cx);
        }
        self.ask_at = None;
        let text = format!("(u2 has {QUESTIONS} answers to {} datagrams)", self.sent);
        self.transcript.borrow_mut().note(NotedEvent::Remark, text);
    }

    fn resume(&mut self, out: &mut DatagramOutbox, cx: &mut Context<'_>) {
        if self.ask_at.is_some_and(|time| time <= cx.clock.now()) {
            self.ask(out, cx);
        }
    }

    fn wake_at(&self) -> Option<Instant> {
        self.ask_at
    }
}
