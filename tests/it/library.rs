//! The library in the way another program uses it: custom protocols beside HTTP, a handle that
//! stops the server, and start errors that name their cause.

use std::{
    cell::RefCell,
    error::Error,
    io::Write,
    net::{SocketAddr, TcpListener, UdpSocket},
    rc::Rc,
    sync::mpsc,
    thread::{self, JoinHandle},
};

use crate::common::*;
use oneloop::{
    Address, Config, Echo, HttpServer, StartError,
    event_loop::Handle,
    protocol::{CloseReason, Context, Outbox, Progress, Protocol, Received, Timeout},
    trace::{SourceId, Step},
};

/// A timeout that never expires.
const NEVER: Timeout = Timeout { limit: None, reason: CloseReason::IdleTimeout };

/// Adds a listener on a free port with a protocol that `create` makes and returns its address.
fn add_protocol(rig: &mut Rig, create: impl Fn() -> Box<dyn Protocol> + 'static) -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").expect("listen");
    let address = socket.local_addr().expect("read its address");
    rig.server.add_listener(socket, move |_: &Address| create()).expect("add a listener");
    address
}

/// A protocol that counts the bytes of each line.
struct LineLengths;

impl Protocol for LineLengths {
    fn receive(&mut self, input: &[u8], out: &mut Outbox, _cx: &mut Context<'_>) -> Received {
        let Some(len) = input.iter().position(|byte| *byte == b'\n') else {
            return Received { consumed: 0, progress: Progress::NeedInput };
        };
        out.bytes().extend(format!("{len}\n").bytes());
        Received { consumed: len + 1, progress: Progress::Again }
    }

    fn timeout(&self, _partial: bool) -> Timeout {
        NEVER
    }
}

/// A protocol that claims to have parsed one byte more than there is.
struct Overreaching;

impl Protocol for Overreaching {
    fn receive(&mut self, input: &[u8], _out: &mut Outbox, _cx: &mut Context<'_>) -> Received {
        Received { consumed: input.len() + 1, progress: Progress::Again }
    }

    fn timeout(&self, _partial: bool) -> Timeout {
        NEVER
    }
}

/// A protocol that answers a digit with that many pieces, one per call, and notes the turn of each
/// call.
struct Pieces {
    left: u8,
    calls: Rc<RefCell<Vec<(u64, char)>>>,
}

impl Protocol for Pieces {
    fn receive(&mut self, input: &[u8], out: &mut Outbox, cx: &mut Context<'_>) -> Received {
        let Some(first) = input.first() else {
            return Received { consumed: 0, progress: Progress::NeedInput };
        };
        self.calls.borrow_mut().push((cx.clock.turn(), *first as char));
        self.left = first - b'0';
        out.bytes().push(b'<');
        Received { consumed: 1, progress: if self.left == 0 { Progress::Again } else { Progress::Yield } }
    }

    fn resume(&mut self, out: &mut Outbox, cx: &mut Context<'_>) -> Progress {
        self.calls.borrow_mut().push((cx.clock.turn(), '.'));
        self.left -= 1;
        out.bytes().push(b'.');
        if self.left == 0 { Progress::Again } else { Progress::Yield }
    }

    fn timeout(&self, _partial: bool) -> Timeout {
        NEVER
    }
}

#[test]
fn library_runs_other_protocols_beside_http() {
    let site = Site::new();
    let mut rig = Rig::new(Rig::config(&site));
    let http = rig.address;
    let lines = add_protocol(&mut rig, || Box::new(LineLengths));
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a UDP socket");
    let udp_address = udp.local_addr().expect("read its address");
    rig.server.add_udp(udp, Echo).expect("add it");
    let datagrams = UdpSocket::bind("127.0.0.1:0").expect("a UDP socket");
    datagrams.set_nonblocking(true).expect("set non-blocking");

    let mut browser = rig.accepted();
    rig.address = lines;
    let mut counter = rig.accepted();
    assert_eq!(rig.event_loop().open_connections(), 2);
    counter.write_all(b"one\nthree\n\nfou").expect("send");
    datagrams.send_to(b"datagram", udp_address).expect("send");
    assert_eq!(rig.ask(&mut browser, get("/hello.txt")).text(), "hello\n");
    let (mut counted, mut echoed) = (Vec::new(), [0; 100]);
    eventually("the other protocols answer", || {
        rig.turn();
        counted.extend(received(&mut counter));
        counted.len() >= 6 && datagrams.recv(&mut echoed).is_ok_and(|len| &echoed[..len] == b"datagram")
    });
    counter.write_all(b"r\n").expect("send");
    eventually("the rest is parsed with the stored bytes", || {
        rig.turn();
        counted.extend(received(&mut counter));
        counted == b"3\n5\n0\n4\n"
    });
    rig.address = http;
    let mut browser = rig.accepted();
    assert_eq!(rig.ask(&mut browser, get("/docs/")).text(), "docs\n");
}

#[test]
fn library_closes_a_connection_whose_protocol_overreaches() {
    let site = Site::new();
    let mut rig = Rig::recorded(Rig::config(&site));
    let mut browser = rig.accepted();
    rig.address = add_protocol(&mut rig, || Box::new(Overreaching));
    let mut peer = rig.accepted();
    peer.write_all(b"hello").expect("send");
    let is_limit = |(source, step): &(SourceId, Step)| {
        *source == SourceId::Connection(2) && matches!(step, Step::Closed { reason: CloseReason::Limit, .. })
    };
    rig.turn_until("it is closed", |steps| steps.iter().any(is_limit));
    assert_eq!(rig.event_loop().open_connections(), 1);
    let mut rest = Vec::new();
    peer.set_nonblocking(false).expect("set blocking");
    assert_eq!(std::io::Read::read_to_end(&mut peer, &mut rest).unwrap_or_default(), 0, "{rest:?}");
    assert_eq!(rig.ask(&mut browser, get("/hello.txt")).text(), "hello\n", "the loop continues");
}

#[test]
fn library_resumes_a_protocol_once_a_turn_without_input() {
    let site = Site::empty();
    let mut rig = Rig::new(Rig::config(&site));
    let calls = Rc::new(RefCell::new(Vec::new()));
    let shared = Rc::clone(&calls);
    rig.address = add_protocol(&mut rig, move || Box::new(Pieces { left: 0, calls: Rc::clone(&shared) }));
    let mut peer = rig.accepted();
    peer.write_all(b"3021").expect("send"); // all pieces arrive and nothing follows
    let mut got = Vec::new();
    eventually("all pieces arrive", || {
        rig.turn();
        got.extend(received(&mut peer));
        got.len() >= 10
    });
    assert_eq!(String::from_utf8_lossy(&got), "<...<<..<.");
    (0..5).for_each(|_| drop(rig.turn()));
    let calls = calls.borrow();
    assert_eq!(calls.iter().map(|(_, what)| what).collect::<String>(), "3...02..1.", "no more calls");
    // Each piece comes one turn after the previous piece. Input after the last piece is parsed in
    // the same turn.
    for pair in calls.windows(2) {
        let [(before, _), (turn, what)] = pair else { unreachable!() };
        assert_eq!(turn - before, u64::from(*what == '.'), "{calls:?}");
    }
}

/// Runs a server on its own thread. Returns its address, the handle that stops it, and the thread.
fn serve_on_a_thread(site: &Site) -> (SocketAddr, Handle, JoinHandle<std::io::Result<()>>) {
    let (sender, receiver) = mpsc::channel();
    let dir = site.path().to_owned();
    let thread = thread::spawn(move || {
        let mut server = HttpServer::new("127.0.0.1", 0, dir).expect("start a server");
        let handle = server.stop_handle().expect("a handle");
        sender.send((server.addresses()[0].ip().expect("an IP address"), handle)).expect("send the handle");
        server.serve_forever()
    });
    let (address, handle) = receiver.recv_timeout(SOON).expect("a server");
    (address, handle, thread)
}

/// Asserts that `thread` and its server end.
fn assert_ends(thread: JoinHandle<std::io::Result<()>>) {
    eventually("the server ends", || thread.is_finished());
    thread.join().expect("the thread does not panic").expect("the poller reports no error");
}

#[test]
fn library_stop_handle_ends_serve_forever_from_another_thread() {
    let site = Site::new();
    let (address, handle, thread) = serve_on_a_thread(&site);
    let mut client = Client::connect(address);
    client.send(get("/hello.txt"));
    assert_eq!(client.response().text(), "hello\n");
    assert!(!thread.is_finished());
    handle.clone().stop().expect("stop it");
    client.expect_close();
    assert_ends(thread);
    handle.stop().expect("a server that has ended is stopped");
}

#[test]
fn library_stop_on_drop_ends_serve_forever_with_its_scope() {
    let site = Site::new();
    let (address, handle, thread) = serve_on_a_thread(&site);
    {
        let _guard = handle.stop_on_drop();
        let mut client = Client::connect(address);
        client.send(get("/"));
        assert_eq!(client.response().text(), "home\n");
        assert!(!thread.is_finished());
    }
    assert_ends(thread);
}

/// An invalid configuration: a function that makes it (its argument is a port in use), a check of
/// the error, the error's message, and its source's message if it has one.
type InvalidConfig = (fn(&mut Config, u16), fn(&StartError) -> bool, &'static str, Option<&'static str>);

const INVALID_CONFIGS: [InvalidConfig; 7] = [
    (
        |config, _| config.dir.push("missing"),
        |e| matches!(e, StartError::Directory { .. }),
        "missing",
        Some("No such file"),
    ),
    (|config, _| config.base_path = "/..".into(), |e| matches!(e, StartError::BasePath(_)), "'/..'", None),
    (
        |config, _| config.spa = Some("../app.html".into()),
        |e| matches!(e, StartError::SpaFallback(_)),
        "'../app.html'",
        None,
    ),
    (
        |config, _| config.cache_control = "no\r\ncache".into(),
        |e| matches!(e, StartError::CacheControl { .. }),
        "Cache-Control",
        Some(""),
    ),
    (
        |config, _| config.allow_hosts = vec!["a b".into()],
        |e| matches!(e, StartError::AllowedHost(_)),
        "'a b'",
        None,
    ),
    (
        |config, _| config.hosts = vec!["no\0host".into()],
        |e| matches!(e, StartError::Host { .. }),
        "has no address",
        Some(""),
    ),
    (
        |config, port| config.port = port,
        |e| matches!(e, StartError::Listen { .. }),
        "cannot listen on 127.0.0.1:",
        Some("in use"),
    ),
];

#[test]
fn library_start_error_names_the_mistake_and_its_source() {
    let site = Site::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("listen");
    let port = taken.local_addr().expect("read its address").port();
    for (invalidate, is_right, message, source) in INVALID_CONFIGS {
        let mut config = Rig::config(&site);
        invalidate(&mut config, port);
        let error = HttpServer::from_config(config).err().expect("an error");
        assert!(is_right(&error), "{error:?}");
        assert!(error.to_string().contains(message), "{error} does not contain {message}");
        let cause = error.source().map(ToString::to_string);
        assert_eq!(cause.is_some(), source.is_some(), "{error:?}");
        assert!(cause.is_none_or(|cause| cause.contains(source.unwrap_or_default())), "{error:?}");
    }
    let poller = StartError::Poller(std::io::ErrorKind::OutOfMemory.into());
    assert!(poller.source().is_some() && poller.to_string().contains("poller"), "{poller}");
}
