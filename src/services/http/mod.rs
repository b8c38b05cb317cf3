//! The HTTP service for files: parse, resolve, plan, send.
//!
//! The service connects the pure HTTP code (`crate::http`) to the site and the loop. It owns the
//! state of each connection. It must never do its own I/O, and it leaves every decision about a
//! response to the pure code.

mod connection;
mod faults;
mod inspect;
mod live;
mod monitoring;
mod reply;
mod representation;
mod resolve;
mod response_cache;
mod rule_files;
pub mod steps;
mod stream;
mod target;

use std::{cell::RefCell, num::NonZeroU64, rc::Rc, time::Duration};

use self::{connection::HttpConnection, resolve::Resolver, response_cache::ResponseCache};
pub use self::{
    representation::StaticFile,
    resolve::{UrlOptions, directory_path, file_path},
    stream::put_piece,
};
use super::{
    access_log::AccessLog, live::Live, monitoring::Monitoring, pending::PendingEntries,
    statistics::Statistics, target::LoadTarget,
};
use crate::{
    address::Address,
    clock::Clock,
    http::{HeaderPolicy, HostAllowlist, MAX_HEAD, Refusal, Representation, Request, Status},
    protocol::{Context, Protocol, ProtocolFactory},
    site::Site,
    site_path::SitePath,
};

/// The maximum number of streams of live reload.
const MAX_STREAMS: usize = 1000;

/// How long a client may take to send requests. `None` disables a timeout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// The maximum time for a whole request, counted from its first byte or from the start of the
    /// connection.
    pub head: Option<Duration>,
    /// The maximum time between two requests.
    pub idle: Option<Duration>,
}

impl Default for Timeouts {
    /// Returns 10 seconds for a request and 75 seconds between two requests. A load balancer that
    /// keeps connections for 60 seconds is then the one that closes them, and loses no request.
    fn default() -> Timeouts {
        Timeouts { head: Some(Duration::from_secs(10)), idle: Some(Duration::from_secs(75)) }
    }
}

impl Timeouts {
    /// Returns the field line that tells clients how long a connection may be idle, so that they do
    /// not send a request just when it ends (RFC 2068 section 19.7.1).
    fn keep_alive(&self) -> Box<[u8]> {
        let seconds = self.idle.map(|idle| idle.as_secs()).filter(|seconds| *seconds > 0);
        let line = seconds.map(|seconds| format!("Keep-Alive: timeout={seconds}\r\n"));
        line.unwrap_or_default().into_bytes().into()
    }
}

/// The HTTP service: creates the protocol of each connection, which serves the files of one
/// [`Site`].
#[derive(Clone)]
pub struct HttpService {
    resolver: Resolver,
    timeouts: Timeouts,
    /// The maximum length of a request head in bytes.
    max_head: usize,
    /// The `Keep-Alive` field line, which follows from the timeouts.
    keep_alive: Box<[u8]>,
    hosts: HostAllowlist,
    /// The refusal for requests that pages of other sites make, if they are refused.
    cross_site: Option<Refusal>,
    policy: HeaderPolicy,
    log: Option<Rc<RefCell<AccessLog>>>,
    statistics: Option<Rc<RefCell<Statistics>>>,
    live: Option<Rc<Live>>,
    target: Option<Rc<LoadTarget>>,
    monitoring: Option<Rc<Monitoring>>,
    /// How many bytes per second a connection may send.
    send_rate: Option<NonZeroU64>,
    /// How long a request waits for its response.
    delay: Option<Duration>,
    responses: ResponseCache,
}

impl HttpService {
    /// Creates a service that serves `site` for requests to any host, with default options and no
    /// access log.
    pub fn new(site: Rc<Site<Representation>>, timeouts: Timeouts) -> HttpService {
        HttpService {
            resolver: Resolver::new(site, UrlOptions::default()),
            timeouts,
            max_head: MAX_HEAD,
            keep_alive: timeouts.keep_alive(),
            hosts: HostAllowlist::ANY,
            cross_site: None,
            policy: HeaderPolicy::default(),
            log: None,
            statistics: None,
            live: None,
            target: None,
            monitoring: None,
            send_rate: None,
            delay: None,
            responses: ResponseCache::default(),
        }
    }

    /// Sets how URLs map to files.
    pub fn with_url_options(self, options: UrlOptions) -> HttpService {
        HttpService { resolver: Resolver::new(self.resolver.site, options), ..self }
    }

    /// Mounts `site` at the directory `path` of the main site, whose URL options have been set.
    pub fn with_mount(mut self, path: SitePath<'static>, site: Rc<Site<Representation>>) -> HttpService {
        self.resolver.mount(path, site);
        self
    }

    /// Lists directories that have no index file.
    pub fn with_listing(mut self) -> HttpService {
        self.resolver.change_all(|resolver| resolver.options.listing = true);
        self
    }

    /// Sets the message in the 404 response for a directory that has no index file and is not
    /// listed. The message is inserted into HTML without escaping.
    pub fn with_unlisted_message(mut self, why: &'static str) -> HttpService {
        let refusal = Refusal::new(Status::NotFound, why);
        self.resolver.change_all(|resolver| resolver.options.unlisted = Some(refusal));
        self
    }

    /// Sets which header fields are added to responses.
    pub fn with_policy(self, policy: HeaderPolicy) -> HttpService {
        HttpService { policy, ..self }
    }

    /// Sets the maximum length of a request head in bytes. The loop's input buffer must be as long.
    pub fn with_max_head(self, max_head: usize) -> HttpService {
        HttpService { max_head, ..self }
    }

    /// Sets the access log.
    pub fn with_log(self, log: Rc<RefCell<AccessLog>>) -> HttpService {
        HttpService { log: Some(log), ..self }
    }

    /// Sets the statistics in which responses are counted, if they are.
    pub fn with_statistics(self, statistics: Option<Rc<RefCell<Statistics>>>) -> HttpService {
        HttpService { statistics, ..self }
    }

    /// Sets the URLs at which programs ask how the server is doing, if there are any.
    pub fn with_monitoring(self, monitoring: Option<Monitoring>) -> HttpService {
        HttpService { monitoring: monitoring.map(Rc::new), ..self }
    }

    /// Imitates a slow network: a connection sends at most `send_rate` bytes per second, and each
    /// response begins `delay` after its request has arrived, or after the response before it.
    pub fn with_slow_network(self, send_rate: Option<NonZeroU64>, delay: Option<Duration>) -> HttpService {
        HttpService { send_rate, delay, ..self }
    }

    /// Creates live reload for the site and its mounts, with streams for at most a quarter of
    /// `max_connections`.
    pub fn live(&self, max_connections: usize, clock: &Clock) -> Live {
        let (resolver, max_streams) = (&self.resolver, (max_connections / 4).clamp(1, MAX_STREAMS));
        Live::new(resolver.sites(), &resolver.options.base, max_streams, clock)
    }

    /// Makes pages reload when files change.
    pub fn with_live(mut self, live: Rc<Live>) -> HttpService {
        self.resolver.change_all(|resolver| resolver.is_live = true);
        HttpService { live: Some(live), ..self }
    }

    /// Sets the load target, which comes before the site, if there is one.
    pub fn with_target(self, target: Option<Rc<LoadTarget>>) -> HttpService {
        HttpService { target, ..self }
    }

    /// Sets the hosts that requests may name. Requests for other hosts get a 421 response.
    pub fn with_hosts(self, hosts: HostAllowlist) -> HttpService {
        HttpService { hosts, ..self }
    }

    /// Refuses requests that pages of other sites make, except for navigation. They get a 403
    /// response that contains `why`, which is inserted into HTML without escaping. A field in every
    /// response has the same effect in browsers that do not send `Sec-Fetch-Site`.
    pub fn for_same_site(self, why: &'static str) -> HttpService {
        let cross_site = Some(Refusal::new(Status::Forbidden, why));
        HttpService { cross_site, policy: self.policy.for_same_site(), ..self }
    }

    /// Reads the rule files of the site, so that errors in them are reported before the first
    /// request.
    pub fn load_rule_files(&self, clock: &Clock) {
        self.resolver.load_rule_files(clock);
    }

    /// Checks the host and the site that a request comes from.
    fn check(&self, request: &Request<'_>) -> Result<(), Refusal> {
        self.hosts.check(request.host)?;
        match self.cross_site {
            Some(refusal) if request.fields.fetch_metadata.is_cross_site_subresource() => Err(refusal),
            _ => Ok(()),
        }
    }

    /// Returns whether a response follows from its request, the configuration and the main site
    /// alone, so that it may be kept.
    fn keeps_responses(&self, cx: &Context<'_>) -> bool {
        let is_simple = self.live.is_none() && self.delay.is_none() && !self.resolver.has_mounts();
        is_simple && !cx.stopping
    }

    /// Returns the URL path of the site's root, with a leading and a trailing slash.
    pub fn base(&self) -> String {
        self.resolver.options.base.to_string()
    }
}

impl ProtocolFactory for Rc<HttpService> {
    fn create(&mut self, peer: &Address) -> Box<dyn Protocol> {
        // The load target shows clients their address.
        let is_recorded = self.log.is_some() || self.statistics.is_some() || self.target.is_some();
        let entries = is_recorded.then(|| {
            PendingEntries::new(self.log.as_ref().cloned(), self.statistics.as_ref().cloned(), peer)
        });
        let access = self.target.as_ref().map(|target| target.access(peer)).unwrap_or_default();
        Box::new(HttpConnection::new(Rc::clone(self), entries, access))
    }
}
