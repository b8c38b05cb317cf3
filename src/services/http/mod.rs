//! HTTP for files: parse, resolve, plan, send. The glue between the pure part and the site, and
//! nothing more.

mod connection;
mod reply;
mod representation;
mod resolve;
pub mod steps;
mod stream;

use std::{cell::RefCell, net::SocketAddr, rc::Rc, time::Duration};

pub use self::resolve::{UrlOptions, directory_path, file_path};
use self::{connection::HttpConnection, resolve::Resolver};
use super::access_log::{AccessLog, PendingEntries};
use crate::{
    http::{HostAllowlist, Policy, Representation},
    protocol::{Protocol, ProtocolFactory},
    site::Site,
};

/// How long a client may take. `None`: without end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a whole request, from its first byte, or from the beginning of the connection.
    pub head: Option<Duration>,
    /// Between two requests.
    pub idle: Option<Duration>,
}

impl Default for Timeouts {
    /// 10 seconds for a request, 60 seconds between two.
    fn default() -> Timeouts {
        Timeouts { head: Some(Duration::from_secs(10)), idle: Some(Duration::from_secs(60)) }
    }
}

/// Serves a [`Site`] on every connection.
pub struct HttpService {
    resolver: Resolver,
    timeouts: Timeouts,
    hosts: HostAllowlist,
    policy: Policy,
    log: Option<Rc<RefCell<AccessLog>>>,
}

impl HttpService {
    /// Serves `site` for every host.
    pub fn new(site: Rc<Site<Representation>>, timeouts: Timeouts) -> HttpService {
        HttpService {
            resolver: Resolver::new(site, UrlOptions::default()),
            timeouts,
            hosts: HostAllowlist::ANY,
            policy: Policy::default(),
            log: None,
        }
    }

    /// Maps URLs to files by `options`.
    pub fn with_url_options(self, options: UrlOptions) -> HttpService {
        HttpService { resolver: Resolver::new(self.resolver.site, options), ..self }
    }

    /// Adds the fields of `policy` to every response.
    pub fn with_policy(self, policy: Policy) -> HttpService {
        HttpService { policy, ..self }
    }

    /// Writes a line for each response to `log`.
    pub fn with_log(self, log: Rc<RefCell<AccessLog>>) -> HttpService {
        HttpService { log: Some(log), ..self }
    }

    /// Answers requests for `hosts` only.
    pub fn with_hosts(self, hosts: HostAllowlist) -> HttpService {
        HttpService { hosts, ..self }
    }

    /// Returns the URL path at which the site begins, with a slash at each end.
    pub fn base(&self) -> String {
        self.resolver.options.base.to_string()
    }
}

impl ProtocolFactory for Rc<HttpService> {
    fn create(&mut self, peer: SocketAddr) -> Box<dyn Protocol> {
        let entries = self.log.as_ref().map(|log| PendingEntries::new(Rc::clone(log), peer.ip()));
        Box::new(HttpConnection::new(Rc::clone(self), entries))
    }
}
