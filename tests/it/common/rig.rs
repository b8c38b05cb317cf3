//! A server in this process, on a clock that the test controls, run turn by turn.

use std::{
    cell::RefCell,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    rc::Rc,
    time::{Duration, Instant, SystemTime},
};

use oneloop::{
    Config, HttpServer, Timeouts,
    clock::Clock,
    event_loop::EventLoop,
    trace::{Observer, SourceId, Step},
};

use super::{Response, SOON, Site};

/// The traced steps, each with its source.
pub type Steps = Vec<(SourceId, Step)>;

/// A server whose turns the test runs. Its clock stands still, so a turn never sleeps.
pub struct Rig {
    pub server: HttpServer,
    /// The address of the HTTP listener.
    pub address: SocketAddr,
    steps: Rc<RefCell<Steps>>,
}

/// An observer that stores each step.
struct Recorder(Rc<RefCell<Steps>>);

impl Observer for Recorder {
    fn on_step(&mut self, source: SourceId, step: &Step) {
        self.0.borrow_mut().push((source, step.clone()));
    }
}

impl Rig {
    /// Returns a default configuration for tests: any free port, 1,000 connections, a head timeout
    /// and drain timeout of 10 seconds, an idle timeout of a minute, a send timeout of 30 seconds,
    /// any host, no inotify.
    pub fn config(site: &Site) -> Config {
        let mut config = Config::new(site.path());
        config.port = 0;
        config.inotify = false;
        config.allow_hosts = vec!["*".into()];
        config.max_connections = Some(1000);
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        config.timeouts = Timeouts { head: seconds(10), idle: seconds(60) };
        (config.send_timeout, config.drain_timeout) = (seconds(30), seconds(10));
        config
    }

    /// Starts a server on a clock that is a minute ahead, so that files written just now count as
    /// settled.
    pub fn new(config: Config) -> Rig {
        Rig::at(SystemTime::now() + Duration::from_secs(60), config)
    }

    /// Starts a server whose clock is set to `time`.
    pub fn at(time: SystemTime, config: Config) -> Rig {
        let server = HttpServer::with_clock(config, Clock::frozen(time)).expect("start a server");
        let address = server.addresses()[0].ip().expect("an IP address");
        Rig { server, address, steps: Rc::default() }
    }

    /// Starts a server like [`Rig::new`] and records its steps.
    pub fn recorded(config: Config) -> Rig {
        let mut rig = Rig::new(config);
        rig.record();
        rig
    }

    /// Starts recording steps.
    pub fn record(&mut self) {
        self.server.add_observer(Box::new(Recorder(Rc::clone(&self.steps))));
    }

    /// Returns the server's loop.
    pub fn event_loop(&mut self) -> &mut EventLoop {
        self.server.event_loop()
    }

    /// Opens a non-blocking connection. The server accepts it in its next turn.
    pub fn connect(&self) -> TcpStream {
        let peer = TcpStream::connect(self.address).expect("connect");
        peer.set_nonblocking(true).expect("set non-blocking");
        peer
    }

    /// Runs one turn and returns its steps if they are recorded.
    pub fn turn(&mut self) -> Steps {
        self.steps.borrow_mut().clear();
        self.server.turn().expect("turn");
        self.steps.borrow().clone()
    }

    /// Runs turns until `done` returns true for the steps so far and returns these steps. Fails
    /// after [`SOON`].
    pub fn turn_until(&mut self, what: &str, mut done: impl FnMut(&[(SourceId, Step)]) -> bool) -> Steps {
        let (end, mut all) = (Instant::now() + SOON, Vec::new());
        loop {
            all.extend(self.turn());
            if done(&all) {
                return all;
            }
            assert!(Instant::now() < end, "timed out: {what}");
        }
    }

    /// Runs turns until `source` has taken `step`.
    pub fn turn_until_seen(&mut self, source: SourceId, step: &Step) -> Steps {
        self.turn_until(&format!("{source} {step:?}"), |seen| {
            seen.iter().any(|(by, s)| *by == source && s == step)
        })
    }

    /// Opens a connection and runs turns until the server has accepted it. If no steps are
    /// recorded, no other connection may close meanwhile.
    pub fn accepted(&mut self) -> TcpStream {
        let open = self.event_loop().open_connections();
        let peer = self.connect();
        let from = peer.local_addr().expect("read its address");
        let end = Instant::now() + SOON;
        loop {
            let steps = self.turn();
            let is_seen =
                |(_, step): &_| matches!(step, Step::Accepted { peer, .. } if peer.ip() == Some(from));
            if steps.iter().any(is_seen) || steps.is_empty() && self.event_loop().open_connections() > open {
                return peer;
            }
            assert!(Instant::now() < end, "a connection is not accepted");
        }
    }

    /// Advances the clock.
    pub fn advance(&mut self, by: Duration) {
        self.event_loop().clock().advance(by);
    }

    /// Advances the clock to the system time, unless the clock is ahead.
    pub fn catch_up(&mut self) {
        let wall = self.event_loop().clock().wall();
        self.advance(SystemTime::now().duration_since(wall).unwrap_or_default());
    }

    /// Sends `request` and runs turns until the whole response has arrived.
    pub fn ask(&mut self, peer: &mut TcpStream, request: impl AsRef<[u8]>) -> Response {
        peer.write_all(request.as_ref()).expect("send");
        let (end, mut got) = (Instant::now() + SOON, Vec::new());
        loop {
            self.turn();
            got.extend(received(peer));
            if let Some(response) = Response::whole(&got) {
                return response;
            }
            assert!(Instant::now() < end, "no response");
        }
    }
}

/// Reads all bytes that have arrived.
pub fn received(peer: &mut TcpStream) -> Vec<u8> {
    let mut got = Vec::new();
    let _ = peer.read_to_end(&mut got); // ends with WouldBlock or at the end of input
    got
}
