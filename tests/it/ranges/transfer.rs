//! Ranges during the transfer: slow readers, vanishing clients, changing files.

use std::{
    fs::{self, File},
    io::{ErrorKind, Read},
    time::{Duration, Instant},
};

use super::*;
use crate::common::*;
use memchr::memmem;

/// Creates the sparse file `/endless` of one TiB and returns a request for 64 parts of it, each one
/// GiB long.
fn ask_for_endless_parts(site: &Site) -> String {
    site.sparse("endless", 1 << 40);
    ask("/endless", &set_of(&(0..64).map(|i| (i << 30, ((i + 1) << 30) - 1)).collect::<Vec<_>>()))
}

#[test]
fn ranges_read_slowly_delay_nothing_and_take_little_memory() {
    const PEERS: usize = 20;
    let site = Site::new();
    let request = ask_for_endless_parts(&site) + &get("/hello.txt");
    let server = Server::with(&site, &["--send-timeout", "5m"]);
    server.get("/hello.txt");
    let (resident, descriptors) = (server.resident(), server.descriptors());
    let mut clients: Vec<Client> = (0..PEERS).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(&request);
        let head = client.head();
        let len: u64 = head.header("content-length").expect("a Content-Length").parse().expect("a number");
        assert!(head.status == 206 && len > 64 << 30, "{head:?}");
        client.take(1000);
        let begun = Instant::now();
        assert_eq!(server.get("/hello.txt").text(), "hello\n");
        assert!(begun.elapsed() < PROMPT, "a small request took {:?} meanwhile", begun.elapsed());
    }
    server.wait_until_quiet();
    let each = server.resident().saturating_sub(resident) / PEERS as u64;
    assert!(each < 256 << 10, "{each} bytes of memory per client");
    drop(clients);
    eventually("all descriptors are closed", || server.descriptors() <= descriptors);
}

#[test]
fn ranges_aborted_leak_no_descriptors() {
    let site = site_of_three();
    let endless = ask_for_endless_parts(&site);
    let server = Server::start(&site);
    let before = server.descriptors();
    for round in 0..60 {
        let mut client = server.connect();
        let path = SAMPLES[round % 3].path;
        client.send(ask(path, "0-99,-99").repeat(round % 5) + &endless + &get("/hello.txt"));
        match round % 4 {
            0 => {} // before anything has been read
            _ => drop(client.take(1 + round * 1000)),
        }
        if round % 2 == 0 {
            client.reset();
        }
    }
    eventually("all descriptors are closed", || server.descriptors() <= before);
    assert_eq!(server.get("/hello.txt").text(), "hello\n");
}

#[test]
fn ranges_of_a_shrinking_file_end_short() {
    let site = Site::new();
    let server = Server::start(&site);
    let idle = server.descriptors();
    // Each part is larger than the socket buffers, so the first is in progress when the file
    // shrinks: to nothing, to less than was sent, to a point between the parts, and to a point
    // within the second part.
    let parts = set_of(&[(0, (8 << 20) - 1), (16 << 20, (24 << 20) - 1)]);
    each([0, 1000, 12 << 20, 20 << 20], |len| {
        site.sparse("large.bin", 32 << 20);
        let mut client = Client::narrow(server.addr());
        client.send(ask("/large.bin", &parts) + &get("/hello.txt"));
        let head = client.head();
        assert_eq!(head.status, 206);
        let promised: usize =
            head.header("content-length").expect("a Content-Length").parse().expect("a number");
        assert!(promised > 16 * MIB, "{promised}");
        let mut body = client.take(1000);
        File::options()
            .write(true)
            .open(site.at("large.bin"))
            .and_then(|f| f.set_len(*len))
            .expect("truncate");
        assert_eq!(server.get("/").text(), "home\n", "other clients are served meanwhile");
        match client.socket.read_to_end(&mut body) {
            Ok(_) => {}
            // The server did not read the next request, so the kernel may send an RST.
            Err(e) => assert_eq!(e.kind(), ErrorKind::ConnectionReset),
        }
        // Bytes that the client has buffered with the head are not counted here.
        assert!(body.len() + MIB < promised, "{} bytes of {promised}", body.len());
        assert_eq!(memmem::find(&body, b"HTTP/1.1"), None, "the body must not contain the next response");
        assert_idle(&server, Duration::from_millis(100));
    });
    eventually("all descriptors are closed", || server.descriptors() <= idle);
}

#[test]
fn ranges_are_all_of_one_version() {
    let site = Site::new();
    let server = Server::start(&site);
    let old = pattern(20 * MIB);
    for delete in [true, false] {
        site.write("large.bin", &old);
        let mut client = Client::narrow(server.addr());
        // The last parts start only after the client has read the one in the middle.
        client.send(ask("/large.bin", "5-9,1000-9000000,0-4,-5") + &get("/hello.txt"));
        client.wait_for_bytes();
        if delete {
            fs::remove_file(site.at("large.bin")).expect("delete");
        } else {
            site.write("new.bin", vec![b'n'; 20 * MIB]);
            fs::rename(site.at("new.bin"), site.at("large.bin")).expect("rename");
        }
        let end = old.len() - 1;
        let expected = [(5, 9), (1000, 9_000_000), (0, 4), (end - 4, end)];
        assert_parts(&client.response(), &old, "application/octet-stream", &expected);
        assert_eq!(client.response().text(), "hello\n");
    }
}
