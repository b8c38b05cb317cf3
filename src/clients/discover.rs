//! The discovery client: broadcasts a question to the network, and collects the answers of the
//! servers.

use std::{
    cell::RefCell,
    io::Error,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use crate::{
    discovery::{self, Announcement},
    protocol::{Context, DatagramOutbox, DatagramProtocol},
};

/// The number of times that the question is sent, because a question or an answer may be lost.
const QUESTIONS: u32 = 2;
/// The maximum number of servers that are collected.
const MAX_SERVERS: usize = 1000;
/// The maximum number of URLs that are collected for one server.
const MAX_URLS: usize = 16;

/// The protocol of a socket that may broadcast.
pub struct Discover {
    /// The addresses to which the question is sent.
    targets: Vec<SocketAddr>,
    /// When to send the first question.
    start: Instant,
    /// How long to wait for answers.
    wait: Duration,
    /// The number of times that the question has been sent.
    asked: u32,
    found: Rc<RefCell<Vec<Announcement>>>,
}

impl Discover {
    /// Creates a discovery that asks `targets` at the time `start` and again after half of `wait`,
    /// and ends after `wait`. It puts each server into `found` once.
    pub fn new(
        targets: Vec<SocketAddr>,
        start: Instant,
        wait: Duration,
        found: Rc<RefCell<Vec<Announcement>>>,
    ) -> Discover {
        Discover { targets, start, wait, asked: 0, found }
    }
}

impl DatagramProtocol for Discover {
    fn receive(&mut self, answer: &[u8], from: SocketAddr, _: &mut DatagramOutbox, _: &mut Context<'_>) {
        let Some(answer) = Announcement::parse(answer, from.ip()) else { return };
        let found = &mut *self.found.borrow_mut();
        // A server answers each question, from each of its addresses that received it.
        let known = found.iter_mut().find(|known| (&known.id, &known.name) == (&answer.id, &answer.name));
        if let Some(known) = known {
            for url in answer.urls {
                if known.urls.len() < MAX_URLS && !known.urls.contains(&url) {
                    known.urls.push(url);
                }
            }
        } else if found.len() < MAX_SERVERS {
            found.push(answer);
        }
    }

    fn resume(&mut self, out: &mut DatagramOutbox, cx: &mut Context<'_>) {
        if self.asked == QUESTIONS {
            return cx.stop();
        }
        self.asked += 1;
        for target in &self.targets {
            out.send(&discovery::question(), *target);
        }
    }

    fn wake_at(&self) -> Option<Instant> {
        Some(self.start + self.wait * self.asked / QUESTIONS)
    }

    fn on_error(&mut self, error: &Error, cx: &mut Context<'_>) {
        // Without a network, only the loopback address can be asked.
        log::debug!("{}: cannot ask: {error}", cx.source);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{discovery::is_question, testing::DatagramHarness};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn discover_asks_twice_and_collects_each_server_once() {
        let address = |last| SocketAddr::from(([10, 0, 0, last], 8880));
        let targets = vec![address(255), ([127, 0, 0, 1], 8880).into()];
        let found = Rc::<RefCell<Vec<Announcement>>>::default();
        let mut discover = DatagramHarness::new(|clock| {
            Discover::new(targets.clone(), clock.now(), SECOND, Rc::clone(&found))
        });
        for _ in 0..QUESTIONS {
            let sent = discover.resume();
            assert!(sent.iter().all(|(question, _)| is_question(question)));
            assert_eq!(sent.iter().map(|(_, to)| *to).collect::<Vec<_>>(), targets);
            discover.clock.advance(SECOND / QUESTIONS);
        }
        let answer = |id: &str| {
            let urls = vec!["http://{sender}:80/".into(), "http://10.0.0.7/".into()];
            Announcement { urls, name: "host".into(), id: id.into() }.answer(&discovery::question())
        };
        for (id, last) in [("a", 1), ("b", 2), ("a", 3), ("a", 3), ("b", 2)] {
            assert_eq!(discover.receive(&answer(id), address(last)), []);
        }
        discover.receive(b"junk", address(4));
        let urls: Vec<Vec<String>> = found.borrow().iter().map(|server| server.urls.clone()).collect();
        assert_eq!(
            urls,
            [
                vec!["http://10.0.0.1:80/", "http://10.0.0.7/", "http://10.0.0.3:80/"],
                vec!["http://10.0.0.2:80/", "http://10.0.0.7/"],
            ]
        );
        assert!(!discover.requests.stop);
        assert_eq!((discover.resume(), discover.requests.stop), (vec![], true));
    }
}
