//! HTTP for files: parse → admit → find → plan. The glue between the pure part and the site, and nothing more.

mod conversation;
mod lookup;
mod under_way;

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    rc::Rc,
    time::Duration,
};

pub use self::lookup::{Comforts, directory_path, file_path};
use self::{conversation::Conversation, lookup::Lookup};
use super::access_log::{AccessLog, Journal};
use crate::{
    clock::Clock,
    http::{Hosts, Policy},
    protocol::{Protocol, Service, Watcher},
    site::Site,
};

/// How long the peer of a connection may take. `None`: for ever.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For a whole request, from its first byte, or from the connection's beginning.
    pub head: Option<Duration>,
    /// Between two requests.
    pub idle: Option<Duration>,
}

/// Serves a [`Site`] on every connection.
pub struct Http {
    lookup: Lookup,
    timeouts: Timeouts,
    hosts: Hosts,
    policy: Policy,
    log: Option<Rc<RefCell<AccessLog>>>,
    /// The turn in which listings were last worked on, and how many pieces of work were done in it.
    work: Cell<(u64, usize)>,
}

/// Pieces of work on listings in one turn, all connections together: some milliseconds at most.
const WORK: usize = 4;

impl Http {
    /// Serves `site` to every host, as the command line does without options.
    pub fn new(site: Site, timeouts: Timeouts) -> Http {
        let lookup = Lookup::new(site, Comforts::default());
        Http {
            lookup,
            timeouts,
            hosts: Hosts::EVERY,
            policy: Policy::default(),
            log: None,
            work: Cell::default(),
        }
    }

    pub fn with_comforts(self, comforts: Comforts) -> Http {
        Http { lookup: Lookup::new(self.lookup.site, comforts), ..self }
    }

    /// Says with every response what `policy` wants said.
    pub fn with_policy(self, policy: Policy) -> Http {
        Http { policy, ..self }
    }

    /// Writes a line of each response to `log`.
    pub fn with_log(self, log: Rc<RefCell<AccessLog>>) -> Http {
        Http { log: Some(log), ..self }
    }

    /// Who is to look first in each turn, so that a file that is kept need not be asked about: if the kernel tells of
    /// changes.
    pub fn watcher(self: &Rc<Http>) -> Option<Box<dyn Watcher>> {
        let changes = self.lookup.site.watch()?;
        Some(Box::new(ForSite { http: Rc::clone(self), changes }))
    }

    /// Whether there is time for a piece of work in this turn, which is then taken.
    fn has_time(&self, clock: &Clock) -> bool {
        let (turn, done) = self.work.get();
        let done = if turn == clock.turn() { done } else { 0 };
        self.work.set((clock.turn(), done + 1));
        done < WORK
    }

    /// The path at which the site begins, as it stands in addresses: a slash at each end.
    pub fn base(&self) -> String {
        self.lookup.comforts.base.to_string()
    }

    /// Answers to `hosts` alone.
    pub fn for_hosts(self, hosts: Hosts) -> Http {
        Http { hosts, ..self }
    }
}

/// Tells a site of changes to its files.
struct ForSite {
    http: Rc<Http>,
    changes: OwnedFd,
}

impl AsFd for ForSite {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.changes.as_fd()
    }
}

impl Watcher for ForSite {
    fn look(&mut self) {
        self.http.lookup.site.note_changes();
    }
}

impl Service for Rc<Http> {
    fn welcome(&mut self, peer: SocketAddr) -> Box<dyn Protocol> {
        let journal = self.log.as_ref().map(|log| Journal::new(Rc::clone(log), peer.ip()));
        Box::new(Conversation::new(Rc::clone(self), journal))
    }
}
