//! The class of the course: a host, a port and a directory in, `serve_forever()`.

mod settings;
mod sockets;

use std::{
    cell::RefCell,
    io,
    net::{SocketAddr, ToSocketAddrs},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    rc::Rc,
};

use mio::net::UdpSocket;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};

use self::sockets::{bind_host, cannot_listen, descriptors_for_connections};
pub use self::{
    settings::{Settings, StartError, plain},
    sockets::{bind_tcp, is_local, raise_descriptor_limit},
};
use crate::{
    clock::Clock,
    event_loop::{EventLoop, Limits},
    http::{Hosts, Names, Policy},
    observer::{Observer, Who},
    protocol::Watcher,
    services::{AccessLog, Comforts, Echo, Http, directory_path, file_path},
    sink::Sink,
    site::{self, Found, Site},
};

/// An HTTP server for a directory, on one event loop.
pub struct HttpServer {
    event_loop: EventLoop,
    addresses: Vec<SocketAddr>,
    udp_address: Option<SocketAddr>,
    base: String,
    log: Option<Rc<RefCell<AccessLog>>>,
}

impl HttpServer {
    /// Listens on `host` and `port`; 0 is any free port.
    ///
    /// # Errors
    /// `dir` is no directory, `host` is no address of this machine, or the port is taken.
    pub fn new(host: &str, port: u16, dir: impl AsRef<Path>) -> Result<HttpServer, StartError> {
        let dir = dir.as_ref().to_owned();
        HttpServer::with(Settings { hosts: vec![host.to_owned()], port, dir, ..Settings::default() })
    }

    /// Listens as `settings` say.
    ///
    /// # Errors
    /// As for [`HttpServer::new`].
    pub fn with(mut settings: Settings) -> Result<HttpServer, StartError> {
        let log = settings.access_log.take().map(|file| {
            let sink = Sink::new(file.into());
            Rc::new(RefCell::new(AccessLog::new(sink, settings.access_log_format)))
        });
        let mut http = http(&settings)?;
        if let Some(log) = &log {
            http = http.with_log(Rc::clone(log));
        }
        let limits = Limits {
            max_connections: settings.max_connections.unwrap_or_else(descriptors_for_connections),
            send_timeout: settings.send_timeout,
            drain_timeout: settings.drain_timeout,
        };
        let event_loop = EventLoop::new(limits, Clock::system())
            .map_err(|e| StartError::System(format!("cannot make a poller: {}", plain(&e))))?;
        let mut sockets = Vec::new();
        for host in &settings.hosts {
            sockets.extend(bind_host(host, settings.port, settings.reuse_port)?);
        }
        // Whoever listens to the network is meant to be reached by names that nobody here knows.
        if sockets.iter().all(|(address, _)| is_local(address)) {
            http = http.for_hosts(own_hosts(&settings)?);
        }
        let http = Rc::new(http);
        let base = http.base();
        let mut server = HttpServer { event_loop, addresses: Vec::new(), udp_address: None, base, log };
        for (address, socket) in sockets {
            let service = Box::new(Rc::clone(&http));
            server.event_loop.listen(socket, service).map_err(|e| cannot_listen(address, &e))?;
            server.addresses.push(address);
        }
        if let Some(watcher) = Some(http).filter(|_| settings.watch).and_then(|http| http.watcher()) {
            server.event_loop.look_first(Who::Files, watcher).map_err(|e| {
                StartError::System(format!("cannot watch the directory: {}; try --no-watch", plain(&e)))
            })?;
        }
        if let Some(address) = &settings.udp_echo {
            server.echo(address)?;
        }
        Ok(server)
    }

    /// The addresses that are listened on.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The path at which the site begins: a slash at each end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The address on which datagrams are echoed.
    pub fn udp_address(&self) -> Option<SocketAddr> {
        self.udp_address
    }

    /// From now on `observer` sees every step of the loop.
    pub fn watch(&mut self, observer: Box<dyn Observer>) {
        self.event_loop.watch(observer);
    }

    /// The loop wakes, too, when `terminal` is readable.
    ///
    /// # Errors
    /// The poller does not take it.
    pub fn wake_by(&mut self, terminal: OwnedFd) -> io::Result<()> {
        self.event_loop.look_first(Who::Terminal, Box::new(Terminal(terminal)))
    }

    /// `observer` is the one whom SIGUSR1 calls and sends away, once [`HttpServer::heed_signals`] was asked for; `now`:
    /// it sees every step until then.
    pub fn watch_on_demand(&mut self, observer: Box<dyn Observer>, now: bool) {
        self.event_loop.watch_on_demand(observer);
        if now {
            self.event_loop.toggle_watch();
        }
    }

    /// Makes Ctrl-C and SIGTERM an orderly end: [`HttpServer::serve_forever`] returns when the responses under way are
    /// sent. A second signal ends the process at once, with 128 + its number. SIGUSR1 calls who
    /// [watches on demand](HttpServer::watch_on_demand).
    ///
    /// # Errors
    /// The system does not give the signals.
    pub fn heed_signals(&mut self) -> io::Result<()> {
        let is_second = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: a signal ends the process if one came before it.
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, is_second.clone())?;
            signal_hook::flag::register(signal, is_second.clone())?;
        }
        self.event_loop.heed(signal_hook_mio::v1_0::Signals::new([SIGINT, SIGTERM, SIGUSR1])?)
    }

    /// Serves until a signal ends it, if [`HttpServer::heed_signals`] was asked for; else for ever.
    ///
    /// # Errors
    /// The poller failed.
    pub fn serve_forever(&mut self) -> io::Result<()> {
        while !self.event_loop.is_done() {
            self.turn()?;
        }
        Ok(())
    }

    /// One turn of the loop, for those who advance it step by step; then the access log of that turn is written.
    ///
    /// # Errors
    /// The poller failed.
    pub fn turn(&mut self) -> io::Result<()> {
        self.event_loop.turn()?;
        if let Some(log) = &self.log {
            log.borrow_mut().write();
        }
        Ok(())
    }

    fn echo(&mut self, address: &str) -> Result<(), StartError> {
        let invalid = || {
            let advice = "give it as HOST:PORT, such as 127.0.0.1:9000";
            StartError::Mistake(format!("'{address}' is no address for --udp-echo; {advice}"))
        };
        let address = address.to_socket_addrs().ok().and_then(|mut all| all.next()).ok_or_else(invalid)?;
        let socket = UdpSocket::bind(address).map_err(|e| cannot_listen(address, &e))?;
        self.udp_address = socket.local_addr().ok();
        self.event_loop.receive(socket, Box::new(Echo)).map_err(|e| cannot_listen(address, &e))
    }
}

/// Where a person types. Who watches reads what.
struct Terminal(OwnedFd);

impl AsFd for Terminal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Watcher for Terminal {
    fn look(&mut self) {}
}

/// The site, its comforts, and what is said with each response.
fn http(settings: &Settings) -> Result<Http, StartError> {
    let names = if settings.hidden { Names::All } else { Names::Visible };
    let options = site::Options { index: settings.index.clone(), names, follow_links: settings.follow_links };
    let site = Site::open(&settings.dir, options).map_err(|e| cannot_serve(&settings.dir, &e))?;
    let base = Some(&settings.base_path).filter(|path| !path.contains(['?', '#', ':']));
    let base = base.and_then(|path| directory_path(path)).ok_or_else(|| {
        let advice = "give a path such as /app";
        StartError::Mistake(format!("'{}' cannot be the --base-path; {advice}", settings.base_path))
    })?;
    let spa = settings.spa.as_ref().map(|name| {
        let advice = "name a file in the directory, such as index.html";
        let invalid = || StartError::Mistake(format!("'{name}' cannot be the file of --spa; {advice}"));
        let path = file_path(name).filter(|path| names.allow_all(path)).ok_or_else(invalid)?;
        if !matches!(site.find(&path, &Clock::system()), Ok(Found::File(_))) {
            log::warn!("the file of --spa is not there: until '{name}' is, what is missing is a 404");
        }
        Ok(path)
    });
    let spa = spa.transpose()?;
    let comforts = Comforts { base, spa, clean_urls: settings.clean_urls, listing: settings.listing };
    let policy = Policy::new(&settings.cache_control, settings.cors.clone(), settings.headers.clone())
        .map_err(|why| {
            StartError::Mistake(format!("--cache-control: {why}; give one such as no-cache or max-age=600"))
        })?;
    Ok(Http::new(site, settings.timeouts).with_comforts(comforts).with_policy(policy))
}

/// The hosts that are answered while only this machine can connect: its own, and those that the operator has named.
fn own_hosts(settings: &Settings) -> Result<Hosts, StartError> {
    let allowed = Hosts::own_and(settings.allow_hosts.iter().map(String::as_str)).map_err(|name| {
        let advice = "give a host without scheme or port, such as dev.example, or *";
        StartError::Mistake(format!("'{name}' is no host for --allow-host; {advice}"))
    })?;
    // A name to listen on is one to be called by.
    Ok(settings.hosts.iter().fold(allowed, |hosts, name| hosts.also(name)))
}

fn cannot_serve(dir: &Path, e: &io::Error) -> StartError {
    let dir = dir.display();
    StartError::Mistake(format!("cannot serve '{dir}': {}; name a directory that can be read", plain(e)))
}
