//! The site that the server serves, the requests that clients send, and the right responses.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    path::Path,
    time::{Duration, SystemTime},
};

use oneloop::{Config, HttpServer, Timeouts, clock::Clock};
use tempfile::TempDir;

use crate::response::{Parsed, Response, parse};

/// A request and the responses that are right without a fault, and with one.
pub struct Request {
    pub bytes: Vec<u8>,
    pub is_head: bool,
    /// The right responses: the first without a fault, and the others if a file that only some
    /// responses need cannot be read.
    pub right: Vec<Response>,
}

/// Creates the site.
pub fn site() -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let write = |name: &str, content: &[u8]| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("create a directory");
        std::fs::write(path, content).expect("write a file");
    };
    write("small.txt", b"small\n");
    write("small.txt.gz", b"not really compressed\n");
    write("medium.bin", &pattern(20_000));
    write("large.bin", &pattern(300_000));
    // More than the socket buffers of both sides hold together.
    write("huge.bin", &pattern(6_000_000));
    write("empty.txt", b"");
    write("dir/index.html", b"index\n");
    (0..20).for_each(|i| write(&format!("list/{i:02}.txt"), b"x"));
    dir
}

/// Returns `len` bytes in which each offset differs from its neighbours.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i.wrapping_mul(31) ^ (i >> 8) ^ (i >> 16)) as u8).collect()
}

/// Starts a server on a clock that stands still, a minute ahead of the files.
pub fn start(site: &Path, inotify: bool) -> HttpServer {
    let mut config = Config::new(site);
    config.port = 0;
    config.listing = true;
    config.inotify = inotify;
    config.max_connections = Some(100);
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    config.timeouts = Timeouts { head: seconds(10), idle: seconds(60) };
    (config.send_timeout, config.drain_timeout) = (seconds(30), seconds(10));
    let clock = Clock::frozen(SystemTime::now() + Duration::from_secs(60));
    HttpServer::with_clock(config, clock).expect("start a server")
}

/// Returns all requests, with the responses of a server without faults. The last one is the
/// dearest.
pub fn requests(site: &Path) -> Vec<Request> {
    let table: [(&str, &str, &[&str]); 16] = [
        ("GET", "/small.txt", &[""]),
        ("HEAD", "/small.txt", &[""]),
        ("GET", "/small.txt", &["Accept-Encoding: gzip\r\n", ""]),
        ("GET", "/small.txt", &["If-None-Match: *\r\n"]),
        ("GET", "/medium.bin", &[""]),
        ("GET", "/medium.bin", &["Range: bytes=1-2,5000-15000\r\n"]),
        ("GET", "/large.bin", &[""]),
        ("GET", "/large.bin", &["Range: bytes=100000-250000\r\n"]),
        ("GET", "/empty.txt", &[""]),
        ("GET", "/list/", &[""]),
        ("GET", "/list/", &["Accept: application/json\r\n"]),
        ("GET", "/missing", &[""]),
        ("GET", "/dir", &[""]),
        ("GET", "/dir/", &[""]),
        ("POST", "/small.txt", &["Content-Length: 5\r\n"]),
        ("GET", "/huge.bin", &[""]),
    ];
    let mut server = start(site, false);
    let mut ask = |method: &str, path: &str, fields: &str| {
        let body = if method == "POST" { "12345" } else { "" };
        let bytes = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n{body}");
        let response = exchange(&mut server, bytes.as_bytes(), method == "HEAD");
        (bytes.into_bytes(), response)
    };
    table
        .iter()
        .map(|(method, path, fields)| {
            let (bytes, first) = ask(method, path, fields[0]);
            let others = fields[1..].iter().map(|fields| ask(method, path, fields).1);
            let right = std::iter::once(first.clone()).chain(others).collect();
            Request { bytes, is_head: *method == "HEAD", right }
        })
        .collect()
}

/// Sends one request on a new connection, and returns the response.
pub fn exchange(server: &mut HttpServer, request: &[u8], is_head: bool) -> Response {
    let address = server.addresses()[0].ip().expect("an IP address");
    let mut peer = TcpStream::connect(address).expect("connect");
    peer.set_nonblocking(true).expect("set non-blocking");
    peer.write_all(request).expect("send");
    peer.shutdown(Shutdown::Write).expect("shut down");
    let mut got = Vec::new();
    // A turn never sleeps, so count them. A paused listener waits for a while of the clock.
    for turn in 0..2000 {
        // The file may have left the memory of a busy machine, and the disk needs real time.
        if turn > 200 {
            std::thread::sleep(Duration::from_millis(1));
        }
        server.turn().expect("a turn");
        server.event_loop().clock().advance(Duration::from_millis(10));
        match peer.read_to_end(&mut got) {
            Ok(_) => break,
            Err(e) => assert!(e.kind() == std::io::ErrorKind::WouldBlock, "{e}"),
        }
    }
    match parse(&got, is_head) {
        Parsed::Whole(response, used) if used == got.len() => response,
        _ => panic!("not one response: {:?}", String::from_utf8_lossy(&got[..got.len().min(400)])),
    }
}
