//! What a program that runs the loop turn by turn may ask of it between two turns.
//!
//! A server needs none of this: its sources wake each other. A program that plays a script, such as
//! the lessons, acts from outside of the loop.

use std::time::Instant;

use super::EventLoop;
use crate::protocol::WakeKey;

impl EventLoop {
    /// Gives a source a turn in which its protocol's `resume` is called, as
    /// [`Context::wake`](crate::protocol::Context::wake) does for another source. Does nothing if
    /// the source is closed.
    pub fn wake(&mut self, target: WakeKey) {
        self.state.requests.wakes.push(target);
        self.act_on_requests();
    }

    /// Makes each turn end by `time`, even if no source is ready. `None` lets a turn last until a
    /// source is ready or a timer is due.
    pub fn return_by(&mut self, time: Option<Instant>) {
        self.state.return_by = time;
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, net::TcpListener, rc::Rc, time::Duration};

    use super::*;
    use crate::{
        clock::Clock,
        event_loop::Limits,
        protocol::{CloseReason, Context, Outbox, Progress, Protocol, Received, Timeout},
    };

    /// A client that counts how often it is resumed.
    struct Counter(Rc<Cell<usize>>);

    impl Protocol for Counter {
        fn receive(&mut self, input: &[u8], _out: &mut Outbox, _cx: &mut Context<'_>) -> Received {
            Received { consumed: input.len(), progress: Progress::NeedInput }
        }

        fn resume(&mut self, _out: &mut Outbox, _cx: &mut Context<'_>) -> Progress {
            self.0.set(self.0.get() + 1);
            Progress::Close(CloseReason::Done)
        }

        fn timeout(&self, _partial: bool) -> Timeout {
            Timeout { limit: None, reason: CloseReason::IdleTimeout }
        }
    }

    #[test]
    fn turn_returns_by_a_time_and_resumes_what_the_caller_wakes() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("its address").into();
        let mut event_loop = EventLoop::new(Limits::default(), Clock::system()).expect("a loop");
        let resumed = Rc::new(Cell::new(0));
        let key = event_loop.connect(&address, Box::new(Counter(Rc::clone(&resumed)))).expect("connect");
        let end = event_loop.clock().now() + Duration::from_millis(20);
        event_loop.return_by(Some(end));
        while event_loop.clock().now() < end {
            event_loop.turn().expect("a turn");
        }
        assert_eq!(resumed.get(), 0);
        event_loop.wake(key);
        event_loop.turn().expect("a turn");
        assert_eq!((resumed.get(), event_loop.open_connections()), (1, 0));
        event_loop.wake(key);
        event_loop.turn().expect("a turn");
        assert_eq!(resumed.get(), 1, "a closed source is not woken");
    }
}
