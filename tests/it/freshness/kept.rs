//! Kept responses. A server keeps the response to a request that comes again, but not while another
//! directory is mounted. So one server with and one without a mount must give the same responses.

use std::{fs, io::Write, net::SocketAddr};

use oneloop::{
    AccessLogFormat, Config, PeerNetwork, TrustedProxy,
    trace::{SourceId, Step},
};
use oorandom::Rand32;
use socket2::{Domain, Socket, Type};

use super::*;

/// Requests whose responses depend on the site in different ways.
const REQUESTS: [&str; 14] = [
    "GET /hello.txt HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /hello.txt HTTP/1.1\r\nHost: b\r\n\r\n",
    "GET /hello.txt HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n",
    "GET /hello.txt HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip, identity;q=0\r\n\r\n",
    "GET /hello.txt HTTP/1.1\r\nHost: a\r\nRange: bytes=1-2\r\n\r\n",
    "GET /hello.txt HTTP/1.1\r\nHost: a\r\nIf-None-Match: *\r\n\r\n",
    "GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /a/b/page.html HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /a/b/page HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /a/b HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /a/b/ HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\n\r\n",
    "GET /a/b/none.txt HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\n\r\n",
    "GET /none HTTP/1.1\r\nHost: a\r\nSec-Fetch-Mode: navigate\r\n\r\n",
    "GET /_headers HTTP/1.1\r\nHost: a\r\n\r\n",
];

/// Changes the site in one of several ways. `number` makes the content differ.
fn change(site: &Site, way: u32, number: u32) {
    let files = [
        ("hello.txt", format!("hello {number}\n")),
        ("hello.txt.gz", format!("compressed {number}")),
        ("large.bin", number.to_string().repeat(10_000)),
        ("_headers", format!("/*\n  X-Number: {number}\n")),
        ("_redirects", format!("/none /hello.txt?{number} 302\n/a/b/none.txt /hello.txt 200\n")),
        ("404.html", format!("<p>nothing {number}")),
        ("spa.html", format!("<p>application {number}")),
        ("a/b/page.html", format!("<p>page {number}")),
        ("a/b/index.html", format!("<p>index {number}")),
    ];
    let (name, content) = &files[way as usize % files.len()];
    // Each of these fails if there is nothing to remove or move.
    match way as usize / files.len() {
        0 => site.write(name, content),
        1 => drop(fs::remove_file(site.at(name))),
        2 => drop(fs::rename(site.at("a/b"), site.at("a/old"))),
        3 => drop(fs::rename(site.at("a/old"), site.at("a/b"))),
        4 => drop(fs::rename(site.at(name), site.at("none"))),
        _ => drop(fs::remove_file(site.at("none"))),
    }
}

/// The number of ways to change the site.
const WAYS: u32 = 6 * 9;

fn plain(site: &Site) -> Config {
    let mut config = Rig::config(site);
    config.inotify = true;
    config
}

fn with_fallbacks(site: &Site) -> Config {
    let mut config = plain(site);
    (config.clean_urls, config.spa) = (true, Some("spa.html".into()));
    config
}

#[test]
fn kept_responses_are_the_same_as_new_ones_whatever_changes() {
    // Without inotify, nothing is kept, and each server finds a new rule file at a time of its own,
    // within a second.
    if leaves_out("inotify") {
        return;
    }
    for (seed, config) in [(0, plain as fn(&Site) -> Config), (1, with_fallbacks)] {
        let site = Site::new();
        site.write("spa.html", "<p>application");
        let time = SystemTime::now() + Duration::from_secs(60);
        let elsewhere = Site::empty();
        let mut keeps_nothing = config(&site);
        keeps_nothing.mounts = vec![("/elsewhere".into(), elsewhere.path().into())];
        let (mut kept, mut anew) = (Rig::at(time, config(&site)), Rig::at(time, keeps_nothing));
        let (mut of_kept, mut of_anew) = (kept.accepted(), anew.accepted());
        let mut random = Rand32::new(seed);
        for number in 0..250 {
            for _ in 0..random.rand_range(0..3) {
                change(&site, random.rand_range(0..WAYS), number);
            }
            let by = Duration::from_millis(random.rand_range(0..200).into());
            kept.advance(by);
            anew.advance(by);
            for _ in 0..5 {
                let request = REQUESTS[random.rand_range(0..REQUESTS.len() as u32) as usize];
                for _ in 0..random.rand_range(1..6) {
                    let (response, expected) =
                        (kept.ask(&mut of_kept, request), anew.ask(&mut of_anew, request));
                    assert_eq!(format!("{response:?}"), format!("{expected:?}"), "{number}: {request:?}");
                }
            }
        }
    }
}

#[test]
fn kept_response_is_traced_as_one() {
    if leaves_out("inotify") {
        return;
    }
    let site = Site::new();
    site.write("medium.txt", "m".repeat(20_000)); // is not copied into the outbox
    for path in ["/hello.txt", "/medium.txt"] {
        check_trace(&site, path);
    }
}

/// Checks how responses to the same request are decided, from the first one to a kept one.
fn check_trace(site: &Site, path: &str) {
    let mut rig = Rig::recorded(plain(site));
    let mut peer = rig.accepted();
    // How each response is decided: the forms of the steps, and the parsed request.
    let decided: Vec<(Vec<&str>, Vec<Step>)> = (0..5)
        .map(|_| {
            peer.write_all(get(path).as_bytes()).expect("send");
            let is_sent = |(_, step): &(SourceId, Step)| matches!(step, Step::Wrote { .. });
            let steps = rig.turn_until("a response", |steps| steps.iter().any(is_sent));
            let docs = steps.iter().filter_map(|(source, step)| step.doc(*source));
            let forms = docs.filter(|doc| ["file", "plan"].contains(&doc.verb)).map(|doc| doc.form);
            let is_parsed = |step: &Step| matches!(step, Step::Understood { .. });
            let parsed = steps.iter().map(|(_, step)| step.clone()).filter(is_parsed);
            (forms.collect(), parsed.collect())
        })
        .collect();
    let plan = "{status} head={head:N} body={body:N|?}";
    assert_eq!(decided[0].0, ["{path} took={took_us:TIME}", plan]);
    assert_eq!(decided[4].0, ["{status} head={head:N} body={body:N} kept"]);
    assert!(decided[0].1 == decided[4].1 && decided[0].1.len() == 1, "{:?}", decided[4].1);
}

#[test]
fn kept_response_ends_when_another_directory_replaces_the_site() {
    let parent = Site::new();
    parent.write("site/index.html", "old\n");
    parent.write("next/late.txt", "late\n");
    let mut config = plain(&parent);
    config.dir = parent.at("site");
    let mut rig = Rig::new(config);
    let mut peer = rig.accepted();
    for _ in 0..5 {
        assert_eq!(rig.ask(&mut peer, get("/late.txt")).status, 404);
    }
    fs::rename(parent.at("site"), parent.at("old")).expect("move it");
    fs::rename(parent.at("next"), parent.at("site")).expect("replace it");
    assert_eq!(rig.ask(&mut peer, get("/late.txt")).text(), "late\n");
}

#[test]
fn kept_response_has_the_date_of_its_turn() {
    let site = Site::new();
    let mut rig = Rig::new(plain(&site));
    let mut peer = rig.accepted();
    let mut dates = Vec::new();
    for _ in 0..20 {
        let response = rig.ask(&mut peer, get("/hello.txt"));
        dates.push(response.header("date").expect("a date").to_owned());
        assert_eq!(response.text(), "hello\n");
        rig.advance(Duration::from_millis(100));
    }
    dates.dedup();
    assert!((2..=3).contains(&dates.len()), "{dates:?} in two seconds");
}

#[test]
fn kept_response_is_logged_and_counted_like_every_other() {
    let site = Site::new();
    let log = Site::empty();
    let mut config = plain(&site);
    config.access_log = Some(fs::File::create(log.at("log")).expect("create the log"));
    config.access_log_format = AccessLogFormat::Combined;
    config.statistics = true;
    config.trusted_proxies = vec![TrustedProxy::parse("127.0.0.1").expect("an address")];
    let mut rig = Rig::new(config);
    let mut peer = rig.accepted();
    let fields = "Referer: r\r\nUser-Agent: u\r\nX-Forwarded-For: 192.0.2.1\r\n";
    let requests =
        ["/hello.txt", "/none"].map(|path| format!("GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
    for request in requests.iter().cycle().take(16) {
        rig.ask(&mut peer, request);
    }
    rig.turn();
    let lines = fs::read_to_string(log.at("log")).expect("read the log");
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.len(), 16);
    for (number, line) in lines.iter().enumerate() {
        assert_eq!(*line, lines[number % 2], "the clock stands still");
    }
    assert!(
        lines[0].starts_with("192.0.2.1 - - [")
            && lines[0].contains("\"GET /hello.txt HTTP/1.1\" 200 6 \"r\" \"u\"")
    );
    assert!(lines[1].contains("\"GET /none HTTP/1.1\" 404 "), "{}", lines[1]);
    let report = rig.server.statistics().expect("statistics");
    for row in ["requests 16 ", "200 8", "404 8"] {
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(report.lines().any(|line| words(line).starts_with(row)), "{report}");
    }
}

#[test]
fn kept_response_of_a_missing_file_is_not_that_of_the_load_target() {
    let site = Site::new();
    let mut config = plain(&site);
    (config.target, config.target_from) =
        (Some("/_".into()), vec![PeerNetwork::parse("127.0.0.1").expect("it")]);
    let mut rig = Rig::new(config);
    for (from, status) in [([127, 0, 0, 2], 404), ([127, 0, 0, 1], 204)] {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from((from, 0)).into()).expect("bind");
        socket.connect(&rig.address.into()).expect("connect");
        socket.set_nonblocking(true).expect("set non-blocking");
        let mut peer = socket.into();
        for _ in 0..6 {
            assert_eq!(rig.ask(&mut peer, get("/_/status/204")).status, status, "{from:?}");
            assert_eq!(rig.ask(&mut peer, get("/hello.txt")).status, 200);
        }
    }
}
