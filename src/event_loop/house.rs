//! The house: who joins the loop, who waits outside while it is full, and how it is closed.

use std::{io, os::fd::AsRawFd, time::Duration};

use mio::net::{TcpListener, UdpSocket};
use signal_hook_mio::v1_0::Signals;

use super::{
    EventLoop,
    datagrams::Datagrams,
    source::{Kind, Listener, Source, Watched},
};
use crate::{
    clock::Clock,
    connection::{Connection, Readiness, Scratch},
    observer::{Step, Who},
    protocol::{Context, Responder, Service, Watcher, Why},
};

impl EventLoop {
    /// Listens on `socket`; `service` speaks on the connections.
    ///
    /// # Errors
    /// The poller does not take the socket.
    pub fn listen(&mut self, socket: TcpListener, service: Box<dyn Service>) -> io::Result<()> {
        self.listeners += 1;
        let who = Who::Listener(self.listeners);
        let address = socket.local_addr()?;
        let fd = socket.as_raw_fd();
        self.insert(Kind::Listener(Listener { socket, service }), who)?;
        self.steps.note(who, || Step::Bound { address, fd });
        Ok(())
    }

    /// Receives on `socket`; `responder` answers.
    ///
    /// # Errors
    /// The poller does not take the socket.
    pub fn receive(&mut self, socket: UdpSocket, responder: Box<dyn Responder>) -> io::Result<()> {
        self.datagrams += 1;
        let who = Who::Datagrams(self.datagrams);
        let address = socket.local_addr()?;
        let fd = socket.as_raw_fd();
        self.insert(Kind::Datagrams(Box::new(Datagrams::new(socket, address, responder))), who)?;
        self.steps.note(who, || Step::Bound { address, fd });
        Ok(())
    }

    /// Begins to [drain](EventLoop::drain) when one of `signals` arrives; SIGUSR1 calls who
    /// [watches on demand](EventLoop::watch_on_demand), or sends it away.
    ///
    /// # Errors
    /// The poller does not take them.
    pub fn heed(&mut self, signals: Signals) -> io::Result<()> {
        self.insert(Kind::Signals(Box::new(signals)), Who::Signals).map(drop)
    }

    /// Lets `watcher`, called `who`, look before anybody is served, in each turn in which its descriptor is readable.
    ///
    /// # Errors
    /// The poller does not take it.
    pub fn look_first(&mut self, who: Who, watcher: Box<dyn Watcher>) -> io::Result<()> {
        self.insert(Kind::Watcher(Watched(watcher)), who).map(drop)
    }

    /// The loop's clock, for tests that move it.
    pub fn clock(&mut self) -> &mut Clock {
        &mut self.clock
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.open
    }

    /// Begins an orderly end: listens no more, closes idle connections, and finishes the responses under way until the
    /// drain timeout.
    pub fn drain(&mut self) {
        if self.draining {
            return;
        }
        log::info!("shutting down; {} connections are open", self.open);
        self.draining = true;
        self.drained_by = self.limits.drain_timeout.and_then(|timeout| self.clock.now().checked_add(timeout));
        for key in self.keys(|kind| matches!(kind, Kind::Listener(_) | Kind::Datagrams(_))) {
            self.empty_backlog(key);
            self.close(key, Why::Shutdown);
        }
        self.parked.clear();
        for key in self.keys(|kind| matches!(kind, Kind::Connection(_))) {
            // One last look: a request that has come is answered, even if the poller has not told of it yet.
            self.sources[key].ready.readable = true;
            self.ready.push(key);
        }
    }

    /// Accepts whoever has waited: to close a listener is to reset them.
    fn empty_backlog(&mut self, key: usize) {
        loop {
            let before = self.connections;
            self.accept(key);
            if self.connections == before {
                break;
            }
        }
    }

    /// True when the loop was told to drain and no connection is left.
    pub fn is_done(&self) -> bool {
        self.draining && self.open == 0
    }

    pub(super) fn insert(&mut self, kind: Kind, who: Who) -> io::Result<usize> {
        let entry = self.sources.vacant_entry();
        let key = entry.key();
        let mut source = Source::new(kind, who);
        source.register(self.poll.registry(), key)?;
        entry.insert(source);
        Ok(key)
    }

    /// The connection at `key`, and all that it needs for its turn.
    pub(super) fn connection(
        &mut self,
        key: usize,
    ) -> Option<(&mut Connection, &mut Readiness, &mut Scratch, Context<'_>)> {
        let Source { kind: Kind::Connection(connection), ready, who, .. } = self.sources.get_mut(key)? else {
            return None;
        };
        let cx = Context { clock: &self.clock, draining: self.draining, who: *who, steps: &mut self.steps };
        Some((connection, ready, &mut self.scratch, cx))
    }

    /// Waits for writability at `key`, or no longer.
    pub(super) fn arm(&mut self, key: usize, writable: bool) {
        let Some(source) = self.sources.get_mut(key) else { return };
        let who = source.who;
        match source.arm(self.poll.registry(), key, writable) {
            Ok(false) => {}
            Ok(true) => self.steps.note(who, || if writable { Step::Armed } else { Step::Disarmed }),
            Err(e) => {
                log::warn!("{who}: cannot change what is waited for: {e}");
                self.close(key, Why::Limit);
            }
        }
    }

    /// Leaves the rest of a source's work for the next turn, behind everybody who waits now.
    pub(super) fn carry_over(&mut self, key: usize) {
        if let Some(source) = self.sources.get(key) {
            self.steps.note(source.who, || Step::CarriedOver);
            self.ready.push(key);
        }
    }

    /// Closes a source. Closing its descriptor takes it out of the poller as well.
    pub(super) fn close(&mut self, key: usize, why: Why) {
        let Some(source) = self.sources.try_remove(key) else { return };
        self.deadlines.remove(key);
        self.steps.note(source.who, || Step::Closed { why, unread: source.unread() });
        if let Kind::Connection(connection) = source.kind {
            log::debug!("{}: closed, {why}", source.who);
            connection.close(why, &self.clock);
            self.open -= 1;
            self.unpark();
        }
    }

    /// A full house: the listener is asked again when something closes, when `retry` has passed, or when another peer
    /// comes. Asking again at once would spin; never asking again would stall, for its edge was reported already.
    pub(super) fn park(&mut self, key: usize, who: Who, retry: Option<Duration>) {
        self.steps.note(who, || Step::Parked { descriptors: retry.is_some() });
        if !self.parked.contains(&key) {
            self.parked.push(key);
        }
        self.deadlines.set(key, retry.map(|retry| self.clock.now() + retry));
    }

    pub(super) fn unpark(&mut self) {
        for key in self.parked.drain(..) {
            self.deadlines.remove(key);
            self.ready.push(key);
        }
    }

    pub(super) fn close_all_connections(&mut self) {
        for key in self.keys(|kind| matches!(kind, Kind::Connection(_))) {
            self.close(key, Why::Shutdown);
        }
    }

    fn keys(&self, which: impl Fn(&Kind) -> bool) -> Vec<usize> {
        self.sources.iter().filter(|(_, source)| which(&source.kind)).map(|(key, _)| key).collect()
    }
}
