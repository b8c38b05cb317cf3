//! The class of the course: a host, a port and a directory in, `serve_forever()`.

use std::{
    cell::RefCell,
    fmt,
    fs::File,
    io,
    net::{SocketAddr, ToSocketAddrs},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

use mio::net::{TcpListener, UdpSocket};
use rustix::{
    io::Errno,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use socket2::{Domain, Protocol, Socket, Type};

use crate::{
    clock::Clock,
    event_loop::{EventLoop, Limits},
    http::{Cors, Extra, Hosts, Names, Policy},
    observer::{Observer, Who},
    protocol::Watcher,
    services::{AccessLog, Comforts, Echo, Format, Http, Timeouts, directory_path, file_path},
    sink::Sink,
    site::{self, Found, Site},
};

/// Connections that the kernel completes before they are accepted; it has a bound of its own (`somaxconn`, listen(2)).
const BACKLOG: i32 = 4096;
/// Descriptors that are not for connections and their files: listeners, the poller, signals, logs.
const RESERVED_DESCRIPTORS: u64 = 64;

/// All that can be set. [`Settings::default`] is what the command line has without options. `None` in a time limit: no
/// limit.
#[derive(Debug)]
pub struct Settings {
    /// Names or addresses to listen on.
    pub hosts: Vec<String>,
    /// The port to listen on; 0: any free one.
    pub port: u16,
    /// Other processes may listen on the same port, too.
    pub reuse_port: bool,
    /// The directory to serve.
    pub dir: PathBuf,
    /// The file that stands for its directory.
    pub index: String,
    /// Hidden names are served and listed, too.
    pub hidden: bool,
    /// Links are followed wherever they lead, out of the directory, too.
    pub follow_links: bool,
    /// A directory without an index file is listed.
    pub listing: bool,
    /// `about` is `about.html`, and `about.html` is at `about`.
    pub clean_urls: bool,
    /// The directory in which the site is, as its addresses have it.
    pub base_path: String,
    /// `Cache-Control` for files.
    pub cache_control: String,
    /// Which pages from elsewhere may read what is served.
    pub cors: Option<Cors>,
    /// Field lines that go with responses.
    pub headers: Vec<Extra>,
    /// The kernel is asked to tell of changes; else files are asked about in every turn.
    pub watch: bool,
    /// Hosts that are answered besides this machine's own, while only loopback addresses are listened on; `*` is every
    /// host.
    pub allow_hosts: Vec<String>,
    /// The file that answers navigation to what is missing, as a path in `dir`.
    pub spa: Option<String>,
    /// Where datagrams are answered with themselves, as `host:port`.
    pub udp_echo: Option<String>,
    /// Connections open at once; `None`: what the descriptors allow.
    pub max_connections: Option<usize>,
    /// How long requests may take to come, and connections may be silent.
    pub timeouts: Timeouts,
    /// How long a peer may take nothing of what is sent to it.
    pub send_timeout: Option<Duration>,
    /// How long the responses under way may take after a signal.
    pub drain_timeout: Option<Duration>,
    /// Where the access log goes.
    pub access_log: Option<File>,
    /// How its lines look.
    pub access_log_format: Format,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            hosts: vec!["127.0.0.1".into()],
            port: 8000,
            reuse_port: false,
            dir: "static".into(),
            index: "index.html".into(),
            hidden: false,
            follow_links: false,
            listing: false,
            clean_urls: false,
            base_path: "/".into(),
            cache_control: "no-cache".into(),
            cors: None,
            headers: Vec::new(),
            watch: true,
            allow_hosts: Vec::new(),
            spa: None,
            udp_echo: None,
            max_connections: None,
            timeouts: Timeouts { head: Some(Duration::from_secs(10)), idle: Some(Duration::from_secs(60)) },
            send_timeout: Some(Duration::from_secs(30)),
            drain_timeout: Some(Duration::from_secs(10)),
            access_log: None,
            access_log_format: Format::Common,
        }
    }
}

/// Why a server cannot start; its text is a sentence for the operator.
#[derive(Debug)]
pub enum StartError {
    /// The operator asked for something that is not there.
    Mistake(String),
    /// The system did not give what was asked for.
    System(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Mistake(text) | StartError::System(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for StartError {}

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
        if sockets.iter().all(|(address, _)| address.ip().to_canonical().is_loopback()) {
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

/// Listens on every address of `host`.
fn bind_host(host: &str, port: u16, reuse_port: bool) -> Result<Vec<(SocketAddr, TcpListener)>, StartError> {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let addresses = (bare, port)
        .to_socket_addrs()
        .map_err(|_| StartError::Mistake(format!("'{host}' is no address of this machine; try 127.0.0.1")))?;
    let mut sockets = Vec::new();
    let mut missing = None;
    for address in addresses {
        match bind_tcp(address, reuse_port) {
            Ok(socket) => sockets.push((socket.local_addr().unwrap_or(address), socket)),
            // A name may have an address of a family that this machine has not.
            Err(e) if is_missing_address(&e) => missing = Some(cannot_listen(address, &e)),
            Err(e) => return Err(cannot_listen(address, &e)),
        }
    }
    match missing {
        Some(error) if sockets.is_empty() => Err(error),
        _ => Ok(sockets),
    }
}

/// socket, setsockopt, bind, listen: what `HTTPServer.create_socket` and `bind` do in the course.
fn bind_tcp(address: SocketAddr, reuse_port: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // A restarted server may listen again while connections of the old one are still going away.
    socket.set_reuse_address(true)?;
    if reuse_port {
        // The kernel deals new connections out to whoever listens on the port: socket(7).
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Accepted sockets inherit it: small answers are not to wait for an acknowledgement (Nagle).
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// Raises the limit of descriptors as far as is allowed. For a process of its own: a library leaves it alone.
pub fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
}

/// How many connections the descriptors allow, if each of them downloads a file of its own.
fn descriptors_for_connections() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::from(u32::MAX));
    let free = limit - RESERVED_DESCRIPTORS.min(limit / 2);
    (free / 2).max(1) as usize
}

fn is_missing_address(e: &io::Error) -> bool {
    matches!(Errno::from_io_error(e), Some(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT))
}

fn cannot_serve(dir: &Path, e: &io::Error) -> StartError {
    let dir = dir.display();
    StartError::Mistake(format!("cannot serve '{dir}': {}; name a directory that can be read", plain(e)))
}

fn cannot_listen(address: SocketAddr, e: &io::Error) -> StartError {
    let advice = match Errno::from_io_error(e) {
        Some(Errno::ADDRINUSE) => "; choose another port, or 0 for any free one",
        Some(Errno::ACCESS) => "; ports below 1024 need a privilege",
        Some(Errno::ADDRNOTAVAIL) => "; choose an address of this machine",
        _ => "",
    };
    StartError::System(format!("cannot listen on {address}: {}{advice}", plain(e)))
}

/// What the system says, in its words and without its number.
pub fn plain(e: &io::Error) -> String {
    let text = e.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}
