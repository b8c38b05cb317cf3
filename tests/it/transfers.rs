//! Long downloads: past 4 GiB, aborted by the client, or of files that change meanwhile.

use std::{
    fs,
    io::{ErrorKind, Read},
    time::Duration,
};

use crate::common::*;

const MIB: usize = 1 << 20;
const GIB: u64 = 1 << 30;

#[test]
fn transfer_past_4_gib_has_its_length() {
    let site = Site::new();
    site.sparse("huge.bin", 5 * GIB);
    let server = Server::start(&site);
    let before = server.descriptors();
    let head = server.ask("HEAD /huge.bin HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!((head.status, head.header("content-length")), (200, Some("5368709120")));
    let mut client = server.connect();
    client.send(get("/huge.bin"));
    assert_eq!(client.head().header("content-length"), Some("5368709120"));
    assert!(client.take(MIB).iter().all(|b| *b == 0), "zeros");
    assert!(server.descriptors() > before, "the download is under way");
    drop(client);
    eventually("its descriptors are closed", || server.descriptors() <= before);
}

#[test]
fn transfer_survives_what_the_peer_sends_meanwhile() {
    let site = Site::new();
    let content = pattern(24 << 20);
    site.write("large.bin", &content);
    let server = Server::start(&site);
    for late in ["\r\n", &get("/hello.txt")] {
        let mut client = Client::narrow(server.addr());
        client.send("GET /large.bin HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert_eq!(client.head().status, 200);
        let mut got = client.take(1 << 20);
        client.send(late);
        got.extend(client.rest());
        assert!(got == content, "{} bytes of {} with {late:?} meanwhile", got.len(), content.len());
    }
}

#[test]
fn transfer_aborted_leaks_no_descriptors() {
    let site = Site::new();
    site.sparse("large.bin", GIB);
    let server = Server::start(&site);
    let before = server.descriptors();
    for round in 0..50 {
        let mut client = server.connect();
        client.send(get("/large.bin") + &get("/hello.txt"));
        match round % 4 {
            0 => {} // before the head has been read
            _ => drop((client.head(), client.take(1 + round * 1000))),
        }
        if round % 2 == 0 {
            client.reset();
        }
    }
    eventually("all descriptors are closed", || server.descriptors() <= before);
    assert_eq!(server.get("/hello.txt").text(), "hello\n");
}

#[test]
fn transfer_of_a_shrinking_file_ends_short() {
    let site = Site::new();
    let server = Server::start(&site);
    let idle = server.descriptors();
    // The file shrinks to nothing, to less than was sent, and to more than was sent but less than
    // was promised.
    each([0, 1000, 32 * MIB as u64], |len| {
        site.sparse("large.bin", 64 * MIB as u64);
        let mut client = Client::narrow(server.addr());
        client.send(get("/large.bin") + &get("/hello.txt"));
        let promised: usize =
            client.head().header("content-length").expect("a Content-Length").parse().expect("a number");
        assert_eq!(promised, 64 * MIB);
        client.take(1000);
        fs::File::options()
            .write(true)
            .open(site.at("large.bin"))
            .and_then(|f| f.set_len(*len))
            .expect("truncate");
        assert_eq!(server.get("/").text(), "home\n", "other clients are served meanwhile");
        let mut body = client.take(0);
        match client.socket.read_to_end(&mut body) {
            Ok(_) => {}
            // The server did not read the next request, so the kernel may send an RST.
            Err(e) => assert_eq!(e.kind(), ErrorKind::ConnectionReset),
        }
        // Bytes that the client has read ahead are not counted; they are fewer than one of its
        // buffers holds.
        assert!(body.len() < promised - (1 << 16), "the connection must end early");
        assert!(body.iter().all(|b| *b == 0), "the body must not contain the next response");
        assert_idle(&server, Duration::from_millis(100));
    });
    eventually("all descriptors are closed", || server.descriptors() <= idle);
}

#[test]
fn transfer_of_a_deleted_or_replaced_file_is_unchanged() {
    let site = Site::new();
    let (old, new) = (pattern(8 * MIB), pattern(8 * MIB + 1));
    let server = Server::start(&site);
    for delete in [true, false] {
        site.write("large.bin", &old);
        let mut client = Client::narrow(server.addr());
        client.send(get("/large.bin") + &get("/hello.txt"));
        let len: usize =
            client.head().header("content-length").expect("a Content-Length").parse().expect("a number");
        if delete {
            fs::remove_file(site.at("large.bin")).expect("delete");
        } else {
            site.write("new.bin", &new);
            fs::rename(site.at("new.bin"), site.at("large.bin")).expect("rename");
        }
        assert!(client.take(len) == old, "the file opened first");
        assert_eq!(client.response().text(), "hello\n");
    }
}

#[test]
fn transfer_of_a_growing_file_keeps_its_length() {
    let site = Site::new();
    site.sparse("large.bin", 16 * MIB as u64);
    let server = Server::start(&site);
    let mut client = Client::narrow(server.addr());
    client.send(get("/large.bin") + &get("/hello.txt"));
    assert_eq!(client.head().header("content-length"), Some("16777216"));
    fs::File::options().write(true).open(site.at("large.bin")).and_then(|f| f.set_len(GIB)).expect("grow");
    assert!(client.take(16 * MIB).iter().all(|b| *b == 0), "zeros");
    assert_eq!(client.response().text(), "hello\n");
}

/// Returns whether the byte at `at` of `file` can be read without waiting for a disk, as far as its
/// file system reports it.
fn is_in_memory(file: &fs::File, at: u64) -> bool {
    let mut byte = [0];
    let mut buffers = [std::io::IoSliceMut::new(&mut byte)];
    let read = rustix::io::preadv2(file, &mut buffers, at, rustix::io::ReadWriteFlags::NOWAIT);
    read != Err(rustix::io::Errno::AGAIN)
}

#[test]
fn transfer_of_an_uncached_file_arrives_whole() {
    if leaves_out("RWF_NOWAIT") {
        return;
    }
    let site = Site::new();
    let content = pattern(24 << 20);
    site.write("large.bin", &content);
    let mut server = Server::with(&site, &["--trace", "--trace-only", "c1"]);
    let mut client = server.connect();
    let file = fs::File::open(site.at("large.bin")).expect("open");
    file.sync_all().expect("sync");
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).expect("advice");
    let is_cold = !is_in_memory(&file, 1 << 18);
    client.send(get("/large.bin"));
    let response = client.response();
    assert!(response.body == content, "{} bytes", response.body.len());
    drop(client);
    let mut trace = String::new();
    server.signal(rustix::process::Signal::TERM);
    server.stderr().read_to_string(&mut trace).expect("read");
    let probes: Vec<&str> = trace.lines().filter(|line| line.contains(" not in memory")).collect();
    assert!(!is_cold || !probes.is_empty(), "the file was not in memory");
    // Between two probes the loop sleeps for a millisecond, so it does not spin.
    let time_of = |line: &&str| line.split_whitespace().next().and_then(|time| time.parse::<f64>().ok());
    let times: Vec<f64> = probes.iter().map(|line| time_of(line).expect("a time")).collect();
    let took = times.last().unwrap_or(&0.0) - times.first().unwrap_or(&0.0);
    assert!(times.len() as f64 <= took * 1000.0 + 20.0, "{} probes in {took} s", times.len());
}

#[test]
fn transfer_on_a_slow_network_has_every_byte() {
    let site = Site::new();
    let content = pattern(1 << 20);
    site.write("large.bin", &content);
    let server = Server::with(&site, &["--throttle", "2M", "--delay", "50ms"]);
    let begun = std::time::Instant::now();
    let mut clients = [server.connect(), server.connect()];
    clients.iter_mut().for_each(|client| client.send(get("/large.bin")));
    for client in &mut clients {
        assert!(client.response().body == content);
    }
    // Each connection has the whole rate. The last slice needs no time.
    let took = begun.elapsed();
    assert!(took >= std::time::Duration::from_millis(500), "{took:?}");
}
