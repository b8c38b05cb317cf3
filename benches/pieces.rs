//! Benchmarks of the parts of a request: parse, locate, plan, a cache hit, and a whole turn of the
//! loop over loopback. Run them with `cargo bench`. Compare two commits on the same quiet machine,
//! and trust the ratios, not the absolute times.

use std::{
    hint::black_box,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    rc::Rc,
    time::{Duration, SystemTime},
};

use criterion::{Criterion, criterion_group, criterion_main};
use oneloop::{
    Timeouts,
    clock::Clock,
    event_loop::{EventLoop, Limits},
    internals::{
        HeaderPolicy, HttpService, MediaTypes, Plan, RenderContext, Representation, Site, SiteOptions,
        Validators, locate, parse,
    },
};

/// Two requests: one like those that `wrk` sends, and one like those that a browser sends.
const REQUESTS: [(&str, &[u8]); 2] = [
    ("short", b"GET /1k.html HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n"),
    (
        "browser",
        b"GET /1k.html?v=7 HTTP/1.1\r\nHost: localhost:8000\r\nConnection: keep-alive\r\nsec-ch-ua-mobile: ?0\r\n\
          Upgrade-Insecure-Requests: 1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\n\
          Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
          Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\nSec-Fetch-Dest: document\r\n\
          Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9\r\n\r\n",
    ),
];

fn pure(c: &mut Criterion) {
    for (name, bytes) in REQUESTS {
        c.bench_function(&format!("parse, {name}"), |b| {
            b.iter(|| parse(black_box(bytes)).map(|found| found.is_some()))
        });
    }
    for (name, path) in [("plain", "/assets/app.js"), ("encoded", "/a%20b/%c3%a9.html")] {
        c.bench_function(&format!("locate, {name}"), |b| {
            b.iter(|| locate(black_box(path.as_bytes())).is_ok_and(|path| path.is_directory()))
        });
    }
    let validators = Validators { tag: "\"400-0123456789abcdef\"".into(), ..Validators::default() };
    let file = Representation::new(1024, "text/html; charset=utf-8".into(), None, validators);
    let (policy, date) = (HeaderPolicy::default(), b"Sun, 06 Nov 1994 08:49:37 GMT");
    let Ok(Some((request, _))) = parse(REQUESTS[0].1) else { return };
    let mut out = Vec::with_capacity(4096);
    c.bench_function("plan and render", |b| {
        b.iter(|| {
            out.clear();
            let cx = RenderContext {
                date,
                policy: &policy,
                site_headers: None,
                keep_alive: b"",
                request: &request.info,
            };
            Plan::file(black_box(&request), &file, &policy, None).render(&cx, &mut out)
        })
    });
}

/// Returns a site with one small file, and a clock one minute ahead, so that the file is old enough
/// to be cached.
fn site(dir: &tempfile::TempDir, inotify: bool) -> (Site<Representation>, Clock) {
    std::fs::write(dir.path().join("1k.html"), [b'x'; 1024]).expect("write a file");
    let options = SiteOptions { inotify, ..SiteOptions::default() };
    let site = Site::open(dir.path(), options, MediaTypes::default()).expect("open the site");
    (site, Clock::frozen(SystemTime::now() + Duration::from_secs(60)))
}

fn cache(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = locate(b"/1k.html").expect("a path");
    for (name, inotify) in [("by stat", false), ("by inotify", true)] {
        let (site, mut clock) = site(&dir, inotify);
        clock.tick();
        c.bench_function(&format!("resolve again in one turn, {name}"), |b| {
            b.iter(|| site.resolve(black_box(&path), &clock).is_ok())
        });
        c.bench_function(&format!("resolve in a new turn, {name}"), |b| {
            b.iter(|| {
                clock.tick();
                site.resolve(black_box(&path), &clock).is_ok()
            })
        });
    }
}

/// A turn of the loop whose responses are looked up, and one whose responses were kept.
fn turns(c: &mut Criterion) {
    for (name, inotify) in [("looked up", false), ("kept", true)] {
        turn(c, name, inotify);
    }
}

fn turn(c: &mut Criterion, name: &str, inotify: bool) {
    let dir = tempfile::tempdir().expect("a directory");
    let (site, clock) = site(&dir, inotify);
    let limits =
        Limits { max_connections: 1000, send_timeout: None, drain_timeout: None, ..Limits::default() };
    let mut event_loop = EventLoop::new(limits, clock).expect("a poller");
    let socket = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("bind");
    let address = socket.local_addr().expect("its address");
    let http = HttpService::new(Rc::new(site), Timeouts { head: None, idle: None });
    event_loop.add_listener(socket, Box::new(Rc::new(http))).expect("listen");
    let mut peers: Vec<_> = (0..16).map(|_| TcpStream::connect(address).expect("connect")).collect();
    peers.iter().for_each(|peer| peer.set_nonblocking(true).expect("set nonblocking"));
    let mut buffer = [0; 4096];
    c.bench_function(&format!("a turn with 16 responses that are {name}, peers included"), |b| {
        b.iter(|| {
            peers.iter_mut().for_each(|peer| peer.write_all(REQUESTS[0].1).expect("send"));
            let mut answered = 0;
            while answered < peers.len() {
                event_loop.turn().expect("turn");
                answered += peers.iter_mut().filter_map(|peer| peer.read(&mut buffer).ok()).count();
            }
        })
    });
}

criterion_group!(pieces, pure, cache, turns);
criterion_main!(pieces);
