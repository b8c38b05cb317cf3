//! The configuration of a server.

use std::{
    fs::File,
    num::{NonZeroU64, NonZeroUsize},
    path::PathBuf,
    time::Duration,
};

use crate::{
    event_loop::Limits,
    http::{Cors, HeaderRule, MAX_HEAD, MediaTypeRule, PeerNetwork, RedirectRule, TrustedProxy},
    server::{AcceptDeferral, StreamListener},
    services::{AccessLogFormat, Timeouts},
};

/// The configuration of an [`HttpServer`](crate::HttpServer). Start with [`Config::new`] and assign
/// to its fields. `None` disables a time limit.
#[derive(Debug)]
#[non_exhaustive]
pub struct Config {
    /// Host names or addresses to listen on.
    pub hosts: Vec<String>,
    /// Unix sockets to listen on: the path, and the permission mode of the file, if it should not
    /// depend on the process's umask.
    pub unix_sockets: Vec<(PathBuf, Option<u32>)>,
    /// The port to listen on. 0 means any free port.
    pub port: u16,
    /// How many ports to try, from [`port`](Config::port) upwards, as long as they are in use.
    pub port_tries: u16,
    /// Whether other processes may listen on the same port (`SO_REUSEPORT`, socket(7)).
    pub reuse_port: bool,
    /// Whether the kernel keeps a new connection until its first bytes have arrived. The program
    /// lets it unless the loop is observed.
    pub defer_accept: AcceptDeferral,
    /// Listening sockets that are open already, for example because a service manager keeps them
    /// while the server restarts. They serve HTTP as well.
    pub listeners: Vec<StreamListener>,
    /// The identity for HTTPS, on all listening sockets except Unix sockets. `None` means plain
    /// HTTP.
    #[cfg(feature = "tls")]
    pub tls: Option<crate::tls::TlsIdentity>,
    /// The directory to serve, or a single file. A file is the response for the site's root and for
    /// its own name, and nothing else in its directory can be requested.
    pub dir: PathBuf,
    /// Other directories or files to serve, each at the given path in the site. They hide what
    /// [`dir`](Config::dir) has there.
    pub mounts: Vec<(String, PathBuf)>,
    /// The name of the index file in a directory.
    pub index: String,
    /// Whether to serve and list dotfiles.
    pub hidden: bool,
    /// Whether to follow links that lead out of the directory.
    pub follow_links: bool,
    /// Whether to list directories that have no index file.
    pub listing: bool,
    /// Whether to list them at least while the server listens on loopback only. That does not apply
    /// if pages of any site may read responses, because [`cors`](Config::cors) or
    /// [`allow_hosts`](Config::allow_hosts) say so.
    pub local_listing: bool,
    /// The message in the 404 response for a directory that has no index file and is not listed,
    /// while the server listens on loopback only. The message is inserted into HTML without
    /// escaping.
    pub unlisted_message: Option<&'static str>,
    /// Whether to serve `about.html` at `/about`, and redirect `/about.html` to it.
    pub clean_urls: bool,
    /// The URL path of the site's root.
    pub base_path: String,
    /// The value of `Cache-Control` for files.
    pub cache_control: String,
    /// The origins whose pages may read responses (CORS).
    pub cors: Option<Cors>,
    /// The header fields to add to responses.
    pub headers: Vec<HeaderRule>,
    /// Redirects and rewrites, which come before those in the site's `_redirects` file.
    pub redirects: Vec<RedirectRule>,
    /// Media types by file name extension, which come before the known ones.
    pub media_types: Vec<MediaTypeRule>,
    /// Whether to use inotify, where available. Without inotify, each cached file in use is checked
    /// with one `stat` per turn.
    pub inotify: bool,
    /// Whether pages reload when a file changes.
    pub live: bool,
    /// The hosts that requests may name, in addition to this machine's own names, when the server
    /// listens on loopback only. `*` allows any host.
    pub allow_hosts: Vec<String>,
    /// The message in the response to a request for a host that is not allowed. The message is
    /// inserted into HTML without escaping.
    pub host_refusal: Option<&'static str>,
    /// The message in the response to a request that a page of another site makes. A server that
    /// listens on loopback only refuses such a request, unless it has [`cors`](Config::cors) or
    /// allows any host. The message is inserted into HTML without escaping.
    pub cross_site_refusal: Option<&'static str>,
    /// The page of a single-page application, as a path in `dir`. The server sends this page in
    /// response to navigation requests that match no file.
    pub spa: Option<String>,
    /// The maximum number of open connections. A further one replaces the one that has been idle
    /// longest. `None` derives the number from the open-file limit.
    pub max_connections: Option<usize>,
    /// The maximum number of open connections of one IPv4 address or IPv6 /64 network. 0 means any
    /// number, also of the places that are otherwise reserved for addresses with few connections.
    /// `None` means a quarter of all, and any number for loopback.
    pub max_per_address: Option<usize>,
    /// How long a client may take to send a request, and how long it may wait between two requests.
    pub timeouts: Timeouts,
    /// The maximum length of a request head in bytes, between 1 KiB and 1 MiB.
    pub max_head: usize,
    /// How long a peer may go without accepting data before its connection is closed.
    pub send_timeout: Option<Duration>,
    /// How many bytes per second a peer must accept, on average over the send timeout. An SMTP
    /// service demands the same of the clients that send messages. 0 disables both limits.
    pub min_rate: u32,
    /// The maximum number of reads and writes that a connection or a UDP socket makes in one turn.
    /// `None` leaves the number to the budgets of the loop.
    pub io_per_event: Option<NonZeroUsize>,
    /// How many bytes per second each HTTP connection may send, to imitate a slow network.
    pub throttle: Option<NonZeroU64>,
    /// How long each HTTP response is delayed, to imitate a slow network.
    pub delay: Option<Duration>,
    /// How long to go on accepting connections after a signal has asked for a shutdown.
    pub shutdown_delay: Duration,
    /// How long a shutdown may take before the remaining connections are closed.
    pub drain_timeout: Option<Duration>,
    /// The file to write the access log to.
    pub access_log: Option<File>,
    /// The path at which to open the access log again after SIGHUP. `None` means that
    /// [`access_log`](Config::access_log) is never replaced.
    pub access_log_path: Option<PathBuf>,
    /// The format of the access log.
    pub access_log_format: AccessLogFormat,
    /// The proxies that name their client in `X-Forwarded-For` or `Forwarded`. The access log shows
    /// the address of the client, and the load target answers the proxy if it answers the client.
    pub trusted_proxies: Vec<TrustedProxy>,
    /// Whether to keep statistics: to count responses by status, and to measure service times and
    /// turns of the loop. [`HttpServer::statistics`](crate::HttpServer::statistics) reports them.
    /// `metrics` and `target` imply this.
    pub statistics: bool,
    /// The path of the URL at which the server says whether it takes requests: 200, or 503 after a
    /// signal has asked for a shutdown. Such requests are neither logged nor counted.
    pub health: Option<String>,
    /// The path of the URL at which the server shows its statistics to programs that collect
    /// metrics. It then keeps [statistics](Config::statistics).
    pub metrics: Option<String>,
    /// The warning after SIGUSR2 if the server keeps no statistics.
    pub no_statistics: Option<&'static str>,
    /// The URL path of the load target, whose responses are chosen by the requests. It implies
    /// [statistics](Config::statistics). `None` means no load target.
    pub target: Option<String>,
    /// The peers that the load target answers. Empty means loopback and Unix sockets.
    pub target_from: Vec<PeerNetwork>,
}

impl Config {
    /// Returns a configuration that serves `dir` on 127.0.0.1, port 8000.
    pub fn new(dir: impl Into<PathBuf>) -> Config {
        let limits = Limits::default();
        Config {
            hosts: vec!["127.0.0.1".into()],
            unix_sockets: Vec::new(),
            port: 8000,
            port_tries: 1,
            reuse_port: false,
            defer_accept: AcceptDeferral::Never,
            listeners: Vec::new(),
            #[cfg(feature = "tls")]
            tls: None,
            dir: dir.into(),
            mounts: Vec::new(),
            index: "index.html".into(),
            hidden: false,
            follow_links: false,
            listing: false,
            local_listing: false,
            unlisted_message: None,
            clean_urls: false,
            base_path: "/".into(),
            cache_control: "no-cache".into(),
            cors: None,
            headers: Vec::new(),
            redirects: Vec::new(),
            media_types: Vec::new(),
            inotify: true,
            live: false,
            allow_hosts: Vec::new(),
            host_refusal: None,
            cross_site_refusal: None,
            spa: None,
            max_connections: None,
            max_per_address: None,
            timeouts: Timeouts::default(),
            max_head: MAX_HEAD,
            send_timeout: limits.send_timeout,
            min_rate: 256,
            io_per_event: None,
            throttle: None,
            delay: None,
            shutdown_delay: limits.shutdown_delay,
            drain_timeout: limits.drain_timeout,
            access_log: None,
            access_log_path: None,
            access_log_format: AccessLogFormat::Common,
            trusted_proxies: Vec::new(),
            statistics: false,
            health: None,
            metrics: None,
            no_statistics: None,
            target: None,
            target_from: Vec::new(),
        }
    }
}
