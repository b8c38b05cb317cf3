//! `--trace-file`: a Chrome trace that viewers open, complete or cut anywhere.

mod viewer;

use std::{
    io::Read,
    net::UdpSocket,
    path::{Path, PathBuf},
    process::Command,
};

use self::viewer::*;
use crate::common::*;
use rustix::process::Signal;

const LOOP: u64 = 1;

fn lane(connection: u64) -> u64 {
    1000 + connection
}

/// Returns a temporary directory outside the site and the path of the recording in it.
fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("run.json");
    (dir, path)
}

fn recording_to(site: &Site, path: &Path, args: &[&str]) -> Server {
    let path = path.to_str().expect("UTF-8");
    Server::with(site, &[&["--trace-file", path], args].concat())
}

fn end(mut server: Server) {
    server.signal(Signal::TERM);
    assert!(server.exit().success());
}

const BIG: u64 = 24 << 20;

/// Records four connections and writes the trace to `path`: two requests on one connection, the
/// second for a missing file; a pipelined pair; a download that stalls; and one more request.
fn record_four_connections(path: &Path) {
    let site = Site::new();
    site.sparse("big.bin", BIG);
    let server = recording_to(&site, path, &["--udp-echo", "127.0.0.1:0"]);
    let mut first = server.connect();
    first.send("GET /hello.txt HTTP/1.1\r\nHost: localhost\r\nCookie: secret\r\n\r\n");
    assert_eq!(first.response().status, 200);
    first.send(get("/missing\"?a"));
    first.response();
    let mut pair = server.connect();
    pair.send([get("/hello.txt"), get("/docs/")].concat());
    assert_eq!([pair.response().text(), pair.response().text()], ["hello\n", "docs\n"]);
    let mut slow = Client::narrow(server.addr());
    slow.send(get("/big.bin"));
    assert_eq!(slow.head().status, 200);
    let udp = UdpSocket::bind("127.0.0.1:0").expect("bind");
    udp.set_read_timeout(Some(SOON)).expect("set a timeout");
    udp.send_to(b"one", server.udp_addr()).expect("send");
    udp.recv(&mut [0; 9]).expect("an answer");
    assert_eq!(server.get("/hello.txt").status, 200);
    // The server has first waited for the disk, and then fills the send buffer.
    server.wait_until_quiet();
    slow.skip(BIG);
    pair.finish();
    pair.expect_close();
    end(server);
}

#[test]
fn recording_has_a_slice_for_each_call() {
    let (_dir, path) = place();
    record_four_connections(&path);
    let recorded = Recorded::read(&path);
    assert_eq!(recorded.tracks[&LOOP], "loop");
    for n in 1..=4 {
        assert!(recorded.tracks[&lane(n)].starts_with(&format!("c{n} 127.0.0.1:")), "{:?}", recorded.tracks);
    }
    assert!(recorded.slices.iter().any(|s| s.track == LOOP && s.name == "wait" && s.within.is_empty()));
    let turns: Vec<_> = recorded.slices.iter().filter(|s| s.name.starts_with("turn ")).collect();
    assert!(
        turns.len() > 8 && turns.iter().all(|turn| turn.within.is_empty() && turn.args["kernel"].is_u64())
    );
    for who in ["L1 R", "c1 R", "c3 +", "c3 W", "u1 R", "signals R"] {
        let slices = recorded.on(LOOP, who);
        assert!(!slices.is_empty() && slices.iter().all(|slice| lies_in(slice, "turn ")), "{who}");
    }
    for (name, who) in [("accept", "L1"), ("read", "c1"), ("parse", "c1"), ("plan", "c2"), ("recv", "u1")] {
        assert!(
            recorded.on(LOOP, name).iter().any(|slice| lies_in(slice, who)),
            "{name} in a slice of {who}"
        );
    }
    let read = recorded.on(LOOP, "read")[0];
    assert!(read.args["offered"] == 65536 && read.args["got"] == 60, "{read:?}");
    let file = recorded.on(LOOP, "file")[1];
    assert!(file.args["path"] == r#"/missing\""# && file.args["took_us"].is_u64(), "{file:?}");
    let writes = recorded.on(LOOP, "write");
    let partial = |slice: &&&Slice| slice.args["got"].as_u64() < slice.args["offered"].as_u64();
    assert!(writes.iter().filter(partial).all(|slice| lies_in(slice, "c3")), "{writes:?}");
    let by = if cfg!(feature = "portable") { "pread+send" } else { "sendfile" };
    assert!(writes.iter().any(|slice| slice.args["got"] == "WouldBlock" && slice.args["by"] == by));
    let text = std::fs::read_to_string(&path).expect("read the recording");
    assert!(!text.contains("secret") && !text.contains("Cookie"), "{text}");
}

#[test]
fn recording_has_a_track_for_each_connection() {
    let (_dir, path) = place();
    record_four_connections(&path);
    let recorded = Recorded::read(&path);
    for (n, requests) in [(1, 2), (2, 1), (3, 1), (4, 1)] {
        let (found, heads) = (recorded.on(lane(n), "request"), recorded.on(lane(n), "HEAD"));
        assert_eq!((found.len(), heads.len()), (requests, requests), "c{n}");
        let sends = recorded.on(lane(n), "SEND");
        assert!(sends.len() >= requests, "c{n}");
        assert!(heads.iter().chain(&sends).all(|slice| slice.within == ["request"]), "c{n}");
        assert!(recorded.on(lane(n), "IDLE").iter().all(|slice| slice.within.is_empty()), "c{n}");
        assert_eq!(recorded.marks(lane(n), "accept").len(), 1, "c{n}");
    }
    let blocked = recorded.on(lane(3), "BLOCKED");
    assert!(!blocked.is_empty() && blocked.iter().all(|slice| slice.within == ["request"]), "{blocked:?}");
    assert!(!recorded.marks(lane(3), "wouldblock").is_empty());
    let planned = |n| -> Vec<u64> {
        let plans = recorded.marks(lane(n), "plan");
        plans.iter().map(|args| args["status"].as_u64().expect("a status")).collect()
    };
    assert_eq!([planned(1), planned(2), planned(3)], [vec![200, 404], vec![200, 200], vec![200]]);
    let asked = recorded.marks(lane(1), "parse")[1];
    assert_eq!(asked["message"], r#"GET /missing\"?a HTTP/1.1"#);
    assert_eq!(recorded.marks(lane(2), "eof").len(), 1);
    let reason = |n| recorded.marks(lane(n), "close")[0]["reason"].as_str().expect("a reason").to_owned();
    assert_eq!([reason(1), reason(2)], ["shutdown", "eof"]);
    let counters = &recorded.counters;
    let (open, unsent) = (&counters["open"], &counters["unsent"]);
    assert!(open.contains(&4) && open.last() == Some(&0), "{open:?}");
    assert!(unsent.iter().any(|n| *n > BIG / 2) && unsent.last() == Some(&0), "{unsent:?}");
    assert!(counters["ready"].contains(&1) && counters["carried"].contains(&1), "{counters:?}");
}

#[test]
fn recording_shows_a_deadline_as_slice_and_instant() {
    let (_dir, path) = place();
    let site = Site::new();
    let server = recording_to(&site, &path, &["--head-timeout", "100ms"]);
    let mut client = server.connect();
    client.send("GET / HT");
    assert_eq!(client.response().status, 408);
    drop(client);
    end(server);
    let recorded = Recorded::read(&path);
    let deadline = recorded.marks(lane(1), "deadline")[0];
    assert!(deadline["reason"] == "head-timeout" && deadline["got"] == 8, "{deadline}");
    assert!(lies_in(recorded.on(LOOP, "deadline")[0], "c1 late"));
    assert_eq!(recorded.on(lane(1), "request").len(), 1);
    assert!(recorded.on(lane(1), "LINGER").iter().all(|slice| slice.within.is_empty()));
}

#[test]
fn recording_has_a_slice_for_each_pipelined_request() {
    let (_dir, path) = place();
    let site = Site::new();
    site.sparse("big.bin", BIG);
    let server = recording_to(&site, &path, &[]);
    let mut client = server.connect();
    let last = "GET /hello.txt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    client.send([&get("/big.bin"), last, "GET /never"].concat());
    client.head();
    client.skip(BIG);
    assert_eq!(client.response().text(), "hello\n");
    client.expect_close();
    drop(client);
    end(server);
    let recorded = Recorded::read(&path);
    let count = |name| recorded.on(lane(1), name).len();
    assert_eq!([count("request"), count("HEAD"), count("LINGER")], [2, 2, 1]);
    assert_eq!(recorded.marks(lane(1), "close")[0]["reason"], "done");
}

#[test]
fn recording_cut_anywhere_is_readable() {
    let (_dir, path) = place();
    record_four_connections(&path);
    let text = std::fs::read_to_string(&path).expect("read the recording");
    // The parser drops an incomplete last line and a comma after the last event, as the viewers do.
    for cut in (1..=20).map(|n| text.len() * n / 21).chain([text.len() - 1, text.len() - 3]) {
        let whole = text[..cut].rfind('\n').expect("a line");
        let repaired = format!("{}]", text[..whole].trim_end().trim_end_matches(','));
        Recorded::of(&repaired);
    }
}

#[test]
fn recording_of_a_killed_server_lacks_its_bracket() {
    let (_dir, path) = place();
    let site = Site::new();
    let mut server = recording_to(&site, &path, &[]);
    assert_eq!(server.get("/hello.txt").status, 200);
    let mut client = server.connect();
    client.send("GET /hello");
    let text = || std::fs::read_to_string(&path).expect("read the recording");
    eventually("the half request is recorded", || text().contains("CRLFCRLF"));
    server.signal(Signal::KILL);
    server.exit();
    let recorded = Recorded::of(&(text() + "]"));
    assert_eq!(recorded.open, 2, "c2 is in the HEAD of a request, and the loop waits");
    assert_eq!(recorded.marks(lane(1), "close").len(), 1);
}

#[test]
fn recording_has_at_most_200_tracks() {
    allow_many_descriptors();
    let (_dir, path) = place();
    let site = Site::new();
    let server = recording_to(&site, &path, &[]);
    let mut clients: Vec<Client> = (0..300).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(get("/hello.txt"));
        assert_eq!(client.response().status, 200);
    }
    drop(clients);
    end(server);
    let recorded = Recorded::read(&path);
    let lanes: Vec<_> = recorded.tracks.keys().filter(|track| **track > 1000).collect();
    assert_eq!(lanes.len(), 200);
    assert_eq!(recorded.marks(LOOP, "no more tracks").len(), 1);
    assert!(recorded.counters["open"].contains(&300), "{:?}", recorded.counters["open"]);
    assert_eq!(recorded.counters["open"].last(), Some(&0));
    assert_eq!(recorded.on(LOOP, "plan").len(), 300, "the loop's own track continues");
}

#[test]
fn recording_file_that_cannot_be_created_is_an_error() {
    let site = Site::new();
    let fifo = site.at("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
        .expect("make a FIFO");
    let nobody_reads = fifo.to_str().expect("UTF-8");
    for path in ["/no-such-dir/run.json", "/", nobody_reads] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
        command.args(["--port", "0", "--trace-file", path]).arg(site.path());
        let output = command.output().expect("run oneloop");
        let log = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), log.lines().count()), (Some(2), 1), "{log}");
        assert!(log.starts_with(&format!("oneloop: cannot record to '{path}': ")), "{log}");
        assert!(output.stdout.is_empty(), "it must not serve");
    }
}

#[test]
fn recording_ends_and_the_server_does_not_on_a_full_disk() {
    let site = Site::new();
    let mut server = recording_to(&site, Path::new("/dev/full"), &[]);
    for _ in 0..3 {
        assert_eq!(server.get("/hello.txt").status, 200);
    }
    server.signal(Signal::TERM);
    assert!(server.exit().success());
    let mut log = String::new();
    server.stderr().read_to_string(&mut log).expect("its standard error");
    assert_eq!(log.matches("cannot write the recording").count(), 1, "{log}");
}

#[test]
fn recording_works_beside_a_trace_and_overwrites_its_file() {
    let site = Site::new();
    let (_dir, path) = place();
    std::fs::write(&path, "?".repeat(1 << 20)).expect("write");
    let mut server = recording_to(&site, &path, &["--trace"]);
    let mut stderr = server.stderr();
    assert_eq!(server.get("/hello.txt").status, 200);
    end(server);
    let mut log = String::new();
    stderr.read_to_string(&mut log).expect("its standard error");
    assert!(log.contains("c1 parse GET /hello.txt HTTP/1.1"), "{log}");
    assert_eq!(Recorded::read(&path).on(lane(1), "request").len(), 1);
}

#[test]
fn recording_inside_the_site_does_not_wake_the_loop() {
    let site = Site::new();
    let path = site.at("run.json");
    let server = recording_to(&site, &path, &[]);
    for _ in 0..3 {
        assert_eq!(server.get("/run.json").status, 200);
    }
    let turns = || std::fs::read_to_string(&path).expect("read the recording").matches("\"turn ").count();
    let before = turns();
    assert_eq!(server.get("/hello.txt").status, 200);
    end(server);
    assert!(turns() < before + 20, "{before} turns and then {}", turns());
}
