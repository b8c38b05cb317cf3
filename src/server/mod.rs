//! The server, with the interface of the course's class: create one with a host, a port and a
//! directory, and call `serve_forever()`.
//!
//! It owns the configuration and the listening sockets, and connects the loop, the site and the
//! services. It must never decide anything about a request.

mod config;
mod error;
mod mounts;
#[cfg(not(feature = "tls"))]
mod plain;
mod service;
mod sockets;
mod statistics;
mod stream_listener;
#[cfg(feature = "tls")]
mod tls;

use std::{
    cell::RefCell,
    fs::{File, OpenOptions},
    io, mem,
    net::UdpSocket,
    num::NonZeroUsize,
    os::{fd::OwnedFd, unix::fs::OpenOptionsExt},
    path::{Path, PathBuf},
    rc::Rc,
};

#[cfg(feature = "lessons")]
pub(crate) use self::sockets::bind_tcp;
pub use self::{
    config::Config,
    error::StartError,
    sockets::{bind_broadcast, raise_open_file_limit},
    stream_listener::{AcceptDeferral, StreamListener},
};
use rustix::fs::OFlags;

#[cfg(not(feature = "tls"))]
use self::plain::scheme;
#[cfg(feature = "tls")]
use self::tls::scheme;
use self::{
    mounts::open_mounts,
    service::{access_log, for_this_machine, http_service, load_target},
    sockets::{bind_hosts, connections_by_open_files},
    statistics::Reporting,
    stream_listener::SocketFile,
};
use crate::{
    address::Address,
    clock::Clock,
    event_loop::{AddressLimit, EventLoop, Handle, Limits},
    http::{MediaTypes, Representation, TrustedProxies},
    lossy_writer::LossyWriter,
    protocol::{DatagramProtocol, PrioritySource, ProtocolFactory, WakeKey},
    services::{AccessLog, HttpService, Live, LiveFiles},
    site::{Site, SiteOptions},
    site_path::DotfilePolicy,
    trace::Observer,
};

/// An HTTP server that serves a directory on one event loop.
///
/// It is not `Send`: create it on the thread that runs it. A [`Handle`] can be sent to other
/// threads.
pub struct HttpServer {
    event_loop: EventLoop,
    addresses: Vec<Address>,
    /// The files of Unix sockets, which are removed when the server is dropped.
    socket_files: Vec<SocketFile>,
    scheme: &'static str,
    base_path: String,
    http: Rc<HttpService>,
    log: Option<Rc<RefCell<AccessLog>>>,
    /// Where to open the access log again after SIGHUP.
    log_path: Option<PathBuf>,
    reporting: Reporting,
}

impl HttpServer {
    /// Creates a server that listens on `host` and `port` and serves `dir`. Port 0 means any free
    /// port.
    ///
    /// # Errors
    /// Fails if `dir` is neither a directory nor a file, `host` is not an address of this machine,
    /// or the port is in use.
    pub fn new(host: &str, port: u16, dir: impl AsRef<Path>) -> Result<HttpServer, StartError> {
        let config = Config { hosts: vec![host.to_owned()], port, ..Config::new(dir.as_ref()) };
        HttpServer::from_config(config)
    }

    /// Creates a server from a configuration, and starts listening.
    ///
    /// # Errors
    /// Returns a [`StartError`] if the configuration is not valid or a system call fails.
    pub fn from_config(config: Config) -> Result<HttpServer, StartError> {
        HttpServer::with_clock(config, Clock::system())
    }

    /// Creates a server with the caller's clock. A test can pass a frozen clock.
    ///
    /// # Errors
    /// Returns a [`StartError`] if the configuration is not valid or a system call fails.
    pub fn with_clock(mut config: Config, clock: Clock) -> Result<HttpServer, StartError> {
        let site = open_site(&config.dir, &config)
            .map_err(|source| StartError::Directory { dir: config.dir.clone(), source })?;
        let mounts = open_mounts(&config)?;
        let proxies = Rc::new(TrustedProxies::new(mem::take(&mut config.trusted_proxies)));
        let log = access_log(&mut config, &proxies);
        let reporting = Reporting::new(&config, &clock);
        let mut http = http_service(&config, &site, &mounts, &clock)?
            .with_target(load_target(&config, proxies)?)
            .with_statistics(reporting.statistics.clone());
        if let Some(log) = &log {
            http = http.with_log(Rc::clone(log));
        }
        let limits = limits(&config);
        let live = config.live.then(|| Rc::new(http.live(limits.max_connections, &clock)));
        if let Some(live) = &live {
            http = http.with_live(Rc::clone(live));
        }
        let listeners = listeners(&mut config)?;
        // Browsers cannot reach a Unix socket, and a proxy in front of it passes on the public host
        // name and the requests that pages of other sites make.
        let on_unix_sockets = Rc::new(http.clone());
        // Clients on the network may use host names that the server cannot know, and a public
        // server is there for pages of other sites as well. So only a local server checks them.
        if listeners.iter().all(|listener| listener.address().is_local()) {
            http = for_this_machine(http, &config)?;
        }
        let base_path = http.base();
        let http = Rc::new(http);
        let mut event_loop = EventLoop::new(limits, clock).map_err(StartError::Poller)?;
        if reporting.statistics.is_some() {
            event_loop.measure_turns();
        }
        let (addresses, socket_files) = (Vec::new(), Vec::new());
        let mut server = HttpServer {
            event_loop,
            addresses,
            socket_files,
            scheme: scheme(&config),
            base_path,
            http: Rc::clone(&http),
            log,
            log_path: config.access_log_path.take(),
            reporting,
        };
        for listener in listeners {
            let address = listener.address().clone();
            server.addresses.push(address.clone());
            let service = if address.ip().is_some() { &http } else { &on_unix_sockets };
            server
                .listen(listener, Rc::clone(service), &config)
                .map_err(|source| StartError::Listen { address, source })?;
        }
        for site in std::iter::once(site).chain(mounts.into_iter().map(|mount| mount.site)) {
            server.observe(site, live.as_ref()).map_err(StartError::Poller)?;
        }
        Ok(server)
    }

    /// Adds `site` to the loop as a source of file changes, if it uses inotify.
    fn observe(&mut self, site: Rc<Site<Representation>>, live: Option<&Rc<Live>>) -> io::Result<()> {
        let Some(changes) = site.changes() else { return Ok(()) };
        let files: Box<dyn PrioritySource> = match live {
            Some(live) => Box::new(LiveFiles { site, live: Rc::clone(live) }),
            None => Box::new(site),
        };
        self.event_loop.add_priority_source("files", changes, files)
    }

    /// Returns the addresses on which the server listens for HTTP.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Returns the scheme of the server's URLs: `http`, or `https` with TLS.
    pub fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// Returns the URL path of the site's root, with a leading and a trailing slash.
    pub fn base_path(&self) -> &str {
        &self.base_path
    }

    /// Adds a listening socket, TCP or Unix, to the server's loop. `factory` creates the protocol
    /// of each accepted connection.
    ///
    /// # Errors
    /// Fails if the socket cannot be made non-blocking or registered with the poller
    /// (epoll_ctl(2)).
    pub fn add_listener(
        &mut self,
        listener: impl Into<StreamListener>,
        factory: impl ProtocolFactory + 'static,
    ) -> io::Result<()> {
        let (socket, file) = listener.into().into_parts();
        self.event_loop.add_listener(socket, Box::new(factory))?;
        self.socket_files.extend(file);
        Ok(())
    }

    /// Adds a bound UDP socket to the server's loop. `protocol` handles its datagrams.
    ///
    /// # Errors
    /// Fails if the socket cannot be made non-blocking or registered with the poller
    /// (epoll_ctl(2)).
    pub fn add_udp(
        &mut self,
        socket: UdpSocket,
        protocol: impl DatagramProtocol + 'static,
    ) -> io::Result<WakeKey> {
        self.event_loop.add_udp(socket, Box::new(protocol))
    }

    /// Adds a source that the loop calls before it handles any request, in each turn in which `fd`
    /// has become readable. Traces show the source as `name`.
    ///
    /// # Errors
    /// Fails if the descriptor cannot be registered with the poller (epoll_ctl(2)).
    pub fn add_priority_source(
        &mut self,
        name: &'static str,
        fd: Rc<OwnedFd>,
        source: impl PrioritySource + 'static,
    ) -> io::Result<()> {
        self.event_loop.add_priority_source(name, fd, Box::new(source))
    }

    /// Adds an observer, which sees every step of the loop from now on.
    pub fn add_observer(&mut self, observer: Box<dyn Observer>) {
        self.event_loop.add_observer(observer);
    }

    /// Sets the observer that SIGUSR1 attaches and detaches. SIGUSR1 works only after
    /// [`HttpServer::handle_signals`]. If `now` is true, attaches the observer immediately.
    pub fn set_on_demand_observer(&mut self, observer: Box<dyn Observer>, now: bool) {
        self.event_loop.set_on_demand_observer(observer);
        if now {
            self.event_loop.toggle_observer();
        }
    }

    /// Installs the signal handlers. After SIGINT or SIGTERM, [`HttpServer::serve_forever`] returns
    /// when the responses in progress have been sent. Another such signal, at least a second later,
    /// exits the process immediately, with exit code 128 plus the signal number. SIGHUP opens the
    /// access log again at [`Config::access_log_path`]. SIGUSR1 attaches or detaches the
    /// [on-demand observer](HttpServer::set_on_demand_observer). SIGUSR2 writes the
    /// [statistics](HttpServer::report_statistics_to).
    ///
    /// # Errors
    /// Fails if the handlers cannot be installed (sigaction(2)).
    pub fn handle_signals(&mut self) -> io::Result<()> {
        self.event_loop.handle_signals()
    }

    /// Returns a handle that another thread, or a guard in a test, can use to stop this server.
    ///
    /// # Errors
    /// Fails if the waker cannot be created (eventfd(2)).
    pub fn stop_handle(&mut self) -> io::Result<Handle> {
        self.event_loop.stop_handle()
    }

    /// Serves until a [signal](HttpServer::handle_signals) or a [`Handle`] stops the server and the
    /// responses in progress have been sent.
    ///
    /// # Errors
    /// Fails if polling fails (epoll_wait(2)).
    pub fn serve_forever(&mut self) -> io::Result<()> {
        // Report errors in them now, and not when the first request needs them.
        self.http.load_rule_files(self.event_loop.clock());
        while !self.event_loop.is_drained() {
            self.turn()?;
        }
        self.reporting.write_at_end(&mut self.event_loop);
        Ok(())
    }

    /// Runs one turn of the loop, then writes the access log for that turn. For callers that run
    /// the loop themselves, such as tests.
    ///
    /// # Errors
    /// Fails if polling fails (epoll_wait(2)).
    pub fn turn(&mut self) -> io::Result<()> {
        self.event_loop.turn()?;
        if self.event_loop.take_hangup() {
            self.reopen_log();
        }
        if self.event_loop.take_report_request() {
            self.reporting.write(&mut self.event_loop);
        }
        if let Some(log) = &self.log {
            log.borrow_mut().write();
        }
        Ok(())
    }

    /// Opens the access log at its path again, because the file may have been renamed. Keeps the
    /// old file if that fails.
    fn reopen_log(&mut self) {
        let (Some(log), Some(path)) = (&self.log, &self.log_path) else { return };
        match open_log(path) {
            Ok(file) => log.borrow_mut().reopen(LossyWriter::new(file.into())),
            Err(e) => {
                log::warn!("cannot open the access log '{}' again: {e}; using the old file", path.display())
            }
        }
    }

    /// Returns the server's loop.
    pub fn event_loop(&mut self) -> &mut EventLoop {
        &mut self.event_loop
    }
}

/// Opens or creates the access log at `path` for appending. `O_NONBLOCK` keeps a FIFO without a
/// reader from blocking (fifo(7)).
fn open_log(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK.bits() as i32;
    OpenOptions::new().append(true).create(true).custom_flags(flags).open(path)
}

/// Opens `dir`, a directory or a file, as a site.
fn open_site(dir: &Path, config: &Config) -> io::Result<Rc<Site<Representation>>> {
    let options = SiteOptions {
        index: config.index.clone(),
        dotfiles: if config.hidden { DotfilePolicy::All } else { DotfilePolicy::Visible },
        follow_links: config.follow_links,
        inotify: config.inotify,
        file: None,
        logs_changes: config.live,
    };
    Site::open(dir, options, MediaTypes::new(config.media_types.clone())).map(Rc::new)
}

/// Returns the listening sockets for HTTP: takes the open ones in `config`, and creates the others.
fn listeners(config: &mut Config) -> Result<Vec<StreamListener>, StartError> {
    let mut listeners = std::mem::take(&mut config.listeners);
    let bound = bind_hosts(&config.hosts, (config.port, config.port_tries), config.reuse_port)?;
    bound.iter().for_each(|listener| listener.defer_accept(config.defer_accept));
    listeners.extend(bound);
    for (path, mode) in &config.unix_sockets {
        let address = || Address::Unix(Some(path.clone()));
        let listener = StreamListener::unix(path, *mode);
        listeners.push(listener.map_err(|source| StartError::Listen { address: address(), source })?);
    }
    Ok(listeners)
}

/// Returns the loop's limits, taken from `config`.
fn limits(config: &Config) -> Limits {
    let allowed = connections_by_open_files();
    let max_connections = config.max_connections.unwrap_or(allowed);
    if max_connections > allowed {
        log::warn!(
            "the open-file limit is too small for {max_connections} connections that download files; it is \
             enough for {allowed}, and further requests may get a 503; raise it (ulimit -n)"
        );
    }
    let max_per_address = match config.max_per_address {
        Some(0) => AddressLimit::None,
        Some(limit) => AddressLimit::Every(limit),
        // At least what a browser opens.
        None => AddressLimit::Remote((max_connections / 4).max(8)),
    };
    Limits {
        max_connections,
        max_per_address,
        send_timeout: config.send_timeout,
        min_rate: config.min_rate,
        max_calls: config.io_per_event.map_or(usize::MAX, NonZeroUsize::get),
        shutdown_delay: config.shutdown_delay,
        drain_timeout: config.drain_timeout,
        max_message: max_head(config),
        ..Limits::default()
    }
}

/// Returns the maximum length of a request head in bytes. Each connection may keep as much.
fn max_head(config: &Config) -> usize {
    config.max_head.clamp(1024, 1024 * 1024)
}
