//! Fairness and backpressure: whatever one client does, another client's small request is answered
//! promptly. The server does not read from a client that reads nothing, so that client uses a
//! bounded amount of memory.
use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr},
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use crate::common::*;

/// The length of a sparse file that no test reads to its end.
const ENDLESS: u64 = 1 << 40;

/// State that a load and its test share.
struct Meter {
    addr: SocketAddr,
    has_ended: AtomicBool,
    moved: AtomicU64,
}

impl Meter {
    fn runs(&self) -> bool {
        !self.has_ended.load(Relaxed)
    }

    fn add(&self, bytes: usize) {
        self.moved.fetch_add(bytes as u64, Relaxed);
    }
}

/// Stops the loads however the test ends.
struct EndsLoad<'a>(&'a Meter);

impl Drop for EndsLoad<'_> {
    fn drop(&mut self) {
        self.0.has_ended.store(true, Relaxed);
    }
}

/// Requests a small file 50 times, on new connections and on a persistent one, while `threads`
/// threads run `load`.
fn assert_fair_beside(threads: usize, load: impl Fn(&Meter) + Sync) {
    let site = Site::new();
    site.sparse("endless", ENDLESS);
    let server = Server::start(&site);
    let meter = Meter { addr: server.addr(), has_ended: false.into(), moved: 0.into() };
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| load(&meter));
        }
        let _ends = EndsLoad(&meter);
        eventually("the load has started", || meter.moved.load(Relaxed) > 0);
        let before = meter.moved.load(Relaxed);
        let mut persistent = server.connect();
        for i in 0..50 {
            let begun = Instant::now();
            let response = if i % 2 == 0 {
                server.get("/hello.txt")
            } else {
                persistent.send(get("/hello.txt"));
                persistent.response()
            };
            assert!(begun.elapsed() < PROMPT, "request {i} took {:?}", begun.elapsed());
            assert_eq!(response.text(), "hello\n");
        }
        eventually("the load continues", || meter.moved.load(Relaxed) > before);
    });
}

/// Downloads an endless file at full speed.
fn download(meter: &Meter) {
    let mut client = Client::connect(meter.addr);
    client.send(get("/endless"));
    let mut buffer = vec![0; 1 << 20];
    while meter.runs() {
        let n = uninterrupted(|| client.socket.read(&mut buffer)).expect("read more of the file");
        assert!(n > 0, "the endless file ended");
        meter.add(n);
    }
}

/// Sends `bytes` repeatedly, as fast as the server accepts them, and never reads. Each time that
/// the socket is full counts as load.
fn send_without_reading(meter: &Meter, bytes: &[u8]) {
    let mut client = Client::connect(meter.addr);
    client.socket.set_nonblocking(true).expect("set non-blocking");
    let mut written = 0;
    while meter.runs() {
        match client.socket.write(&bytes[written % bytes.len()..]) {
            Ok(n) => written += n,
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                meter.add(1);
                thread::sleep(Duration::from_millis(1));
            }
            Err(e) => panic!("a client that does not read is closed too soon: {e}"),
        }
    }
}

/// Sends `requests` repeatedly and reads all the responses.
fn pipeline(meter: &Meter, requests: &str) {
    let mut client = Client::connect(meter.addr);
    let mut socket = client.socket.try_clone().expect("a second handle");
    thread::scope(|scope| {
        scope.spawn(move || {
            while meter.runs() {
                socket.write_all(requests.as_bytes()).expect("send");
            }
            socket.shutdown(Shutdown::Write).expect("half-close");
        });
        let mut buffer = vec![0; 1 << 16];
        loop {
            match uninterrupted(|| client.socket.read(&mut buffer)).expect("read all responses") {
                0 => return,
                n => meter.add(n),
            }
        }
    });
}

/// Sends a body that the server has refused, for as long as the server lingers, then starts again.
fn flood_refused_bodies(meter: &Meter) {
    while meter.runs() {
        let mut client = Client::connect(meter.addr);
        client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999999\r\n\r\n");
        while meter.runs()
            && let Ok(n) = client.socket.write(&[b'x'; 1 << 16])
        {
            meter.add(n);
        }
    }
}

/// Connects and disconnects repeatedly. The RST avoids ports in TIME_WAIT.
fn connect_repeatedly(meter: &Meter) {
    while meter.runs() {
        let mut client = Client::connect(meter.addr);
        client.send(get("/hello.txt"));
        client.reset();
        meter.add(1 << 10);
    }
}

#[test]
fn fairness_beside_an_endless_download() {
    assert_fair_beside(1, download);
}

#[test]
fn fairness_beside_four_endless_downloads() {
    assert_fair_beside(4, download);
}

#[test]
fn fairness_beside_peers_that_request_much_and_never_read() {
    assert_fair_beside(4, |meter| send_without_reading(meter, get("/endless").repeat(1000).as_bytes()));
}

#[test]
fn fairness_beside_peers_that_pipeline_and_never_read() {
    assert_fair_beside(4, |meter| send_without_reading(meter, get("/hello.txt").repeat(1000).as_bytes()));
}

#[test]
fn fairness_beside_a_peer_that_pipelines_and_reads() {
    assert_fair_beside(1, |meter| pipeline(meter, &get("/hello.txt").repeat(100)));
}

#[test]
fn fairness_beside_peers_that_flood_refused_bodies() {
    assert_fair_beside(2, flood_refused_bodies);
}

#[test]
fn fairness_beside_a_peer_that_pipelines_small_chunks() {
    let head = "GET /hello.txt HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    let request = format!("{head}{}0\r\n\r\n", "1\r\nx\r\n".repeat(4000));
    assert_fair_beside(1, |meter| pipeline(meter, &request));
}

#[test]
fn fairness_beside_short_connections() {
    assert_fair_beside(2, connect_repeatedly);
}

/// Writes `requests` repeatedly until the socket has accepted nothing for 300 ms; returns the
/// number of bytes written.
fn write_until_pushed_back(client: &mut Client, requests: &[u8], at_most: usize) -> usize {
    client.socket.set_nonblocking(true).expect("set non-blocking");
    let mut written = 0;
    let mut last = Instant::now();
    while last.elapsed() < Duration::from_millis(300) {
        match client.socket.write(&requests[written % requests.len()..]) {
            Ok(n) => {
                written += n;
                last = Instant::now();
                assert!(
                    written < at_most,
                    "the server accepted {written} bytes from a client that never reads"
                );
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => thread::sleep(Duration::from_millis(2)),
            Err(e) => panic!("the connection broke: {e}"),
        }
    }
    client.socket.set_nonblocking(false).expect("set blocking");
    written
}

#[test]
fn backpressure_stops_a_peer_that_never_reads_and_loses_nothing() {
    let site = Site::new();
    site.write("page", pattern(1000));
    let server = Server::with(&site, &["--send-timeout", "5m"]);
    server.get("/page");
    let before = server.resident();
    let mut client = server.connect();
    let request = format!("GET /page HTTP/1.1\r\nHost: localhost\r\nX-Long: {}\r\n\r\n", "x".repeat(1000));
    let written = write_until_pushed_back(&mut client, request.as_bytes(), 64 << 20);
    let grown = server.resident().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes of memory for one client");
    assert_idle(&server, Duration::from_millis(200));

    // Then the client reads: every request is answered in full, with nothing in between.
    let mut socket = client.socket.try_clone().expect("a second handle");
    let tail = request.as_bytes()[written % request.len()..].to_vec();
    let has_tail = tail.len() < request.len();
    let writer = thread::spawn(move || {
        if has_tail {
            socket.write_all(&tail).expect("the rest of the last request");
        }
        socket.shutdown(Shutdown::Write).expect("half-close");
    });
    let first = client.response();
    assert_eq!(first.body, pattern(1000));
    for _ in 1..written.div_ceil(request.len()) {
        let next = client.response();
        assert!(next.status == 200 && next.body == first.body, "{next:?}");
    }
    client.expect_close();
    writer.join().expect("the writer");
    let grown = server.resident().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes of memory at the end");
}

#[test]
fn backpressure_bounds_memory_per_peer() {
    const PEERS: usize = 50;
    let site = Site::new();
    site.sparse("endless", ENDLESS);
    let server = Server::with(&site, &["--send-timeout", "5m"]);
    server.get("/hello.txt");
    let before = server.resident();
    let mut clients: Vec<Client> = (0..PEERS).map(|_| server.connect()).collect();
    let requests = (get("/hello.txt").repeat(200) + &get("/endless")).into_bytes();
    for client in &mut clients {
        client.send(&requests);
        client.wait_for_bytes();
    }
    server.wait_until_quiet();
    let each = server.resident().saturating_sub(before) / PEERS as u64;
    assert!(each < 256 << 10, "{each} bytes of memory per client");
}
