//! Directories so large that reading one in a single turn would delay other clients.

use std::{
    io::{ErrorKind, Read},
    thread,
    time::Duration,
};

use super::*;
use crate::common::*;
use rustix::process::Signal;

/// Creates a site with `count` files in `crowd/` whose names contain `tail`.
fn crowd(count: usize, tail: &str) -> Site {
    let site = Site::new();
    site.crowd("crowd", (0..count).map(|i| format!("{i:05}{tail}")));
    site
}

/// Returns a tail that makes each row almost a kilobyte long. A listing with 20,000 such rows is
/// larger than the socket buffers on both sides.
fn wide() -> String {
    "%".repeat(200)
}

/// Asserts that `page` has the rows of the first `count` files of the crowd, in order.
fn assert_is_crowd(page: &[u8], count: usize) {
    let page = std::str::from_utf8(page).expect("UTF-8");
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</table>\n"));
    let links = links(page);
    assert_eq!(links.len(), count);
    assert!(links.iter().enumerate().all(|(i, (href, _))| href.starts_with(&format!("{i:05}"))));
}

fn ask_hello(client: &mut Client) {
    client.send(get("/hello.txt"));
    assert_eq!(client.response().text(), "hello\n");
}

#[test]
fn listing_of_fifty_thousand_names_delays_nothing() {
    const COUNT: usize = 50_000;
    let site = crowd(COUNT, "");
    let server = Server::with(&site, &["--listing"]);
    let (mut client, mut other) = (server.connect(), server.connect());
    ask_hello(&mut other);
    client.send(get("/crowd/"));
    // The server must read all names before it can send the first. A server that reads them in one
    // turn answers one request meanwhile.
    let mut answers = 0;
    client.socket.set_nonblocking(true).expect("set non-blocking");
    while client.socket.peek(&mut [0]).is_err_and(|e| e.kind() == ErrorKind::WouldBlock) {
        ask_hello(&mut other);
        answers += 1;
    }
    client.socket.set_nonblocking(false).expect("set blocking");
    assert!(answers >= 10, "{answers} responses before the listing began");
    let json = thread::scope(|scope| {
        let page = scope.spawn(|| listing(&mut client).body);
        let json = entries(&server, "/crowd/");
        assert_is_crowd(&page.join().expect("a page"), COUNT);
        json
    });
    assert_eq!(json.len(), COUNT);
    assert!(json.iter().enumerate().all(|(i, entry)| text(entry, "name") == format!("{i:05}")));
    ask_hello(&mut client);
}

#[test]
fn listing_read_slowly_delays_nothing() {
    const COUNT: usize = 20_000;
    let site = crowd(COUNT, &wide());
    let server = Server::with(&site, &["--listing", "--send-timeout", "5m"]);
    let mut stalled: Vec<Client> = (0..4).map(|_| server.connect()).collect();
    stalled.iter_mut().for_each(|client| client.send(get("/crowd/") + &get("/hello.txt")));
    stalled.iter_mut().for_each(|client| assert_eq!(client.head().status, 200));
    assert_idle(&server, Duration::from_millis(300));
    let mut other = server.connect();
    (0..50).for_each(|_| ask_hello(&mut other));
    assert_is_crowd(&list(&server, "/crowd/", "").body, COUNT);
    // Each listing continues where it stopped, and the request after it is answered.
    for client in &mut stalled {
        assert_is_crowd(&chunks(client), COUNT);
        assert_eq!(client.response().text(), "hello\n");
    }
}

#[test]
fn listing_aborted_leaves_nothing_behind() {
    const COUNT: usize = 20_000;
    let site = crowd(COUNT, &wide());
    let server = Server::with(&site, &["--listing"]);
    assert_is_crowd(&list(&server, "/crowd/", "").body, COUNT);
    let mut other = server.connect();
    ask_hello(&mut other);
    let before = server.descriptors();
    for version in ["1.1", "1.0"] {
        let ask = || {
            let mut client = server.connect();
            client.send(format!("GET /crowd/ HTTP/{version}\r\nHost: a\r\n\r\n"));
            client
        };
        // The client leaves while the server reads names or is in the middle of the page, with a
        // FIN or an RST.
        drop(ask());
        ask().reset();
        for is_reset in [false, true] {
            let mut client = ask();
            client.socket.read_exact(&mut [0; 1000]).expect("read the beginning");
            if is_reset { client.reset() } else { drop(client) }
        }
    }
    eventually("all connections are closed", || server.descriptors() == before);
    assert_idle(&server, Duration::from_millis(300));
    ask_hello(&mut other);
    assert_is_crowd(&list(&server, "/crowd/", "").body, COUNT);
}

/// The server holds the entries of every directory until they are sent, so this memory needs a
/// limit.
#[test]
fn listing_beyond_the_memory_budget_is_503() {
    const COUNT: usize = 50_000;
    let site = crowd(COUNT, &wide());
    let server = Server::with(&site, &["--listing", "--send-timeout", "5m"]);
    let mut stalled = Vec::new();
    let refused = loop {
        assert!(stalled.len() < 20, "{} MB in use", server.resident() >> 20);
        let mut client = server.connect();
        client.send(get("/crowd/"));
        let head = client.head();
        if head.status != 200 {
            break head;
        }
        stalled.push(client);
    };
    assert_eq!((refused.status, refused.closes()), (503, false));
    assert!(refused.header("retry-after").is_some());
    assert_eq!(server.get("/hello.txt").text(), "hello\n");
    drop(stalled);
    eventually("memory is available again", || {
        let mut client = server.connect();
        client.send(get("/crowd/"));
        client.head().status == 200
    });
}

#[test]
fn listing_is_finished_by_a_drain() {
    const COUNT: usize = 20_000;
    let site = crowd(COUNT, &wide());
    let mut server = Server::with(&site, &["--listing", "--drain-timeout", "5m"]);
    let (mut begun, mut gathering) = (server.connect(), server.connect());
    begun.send(get("/crowd/"));
    let head = begun.head();
    assert_eq!(head.status, 200);
    gathering.send(get("/crowd/"));
    ask_hello(&mut server.connect()); // so that the previous request is read
    server.signal(Signal::TERM);
    assert_is_crowd(&chunks(&mut begun), COUNT);
    assert_is_crowd(&listing(&mut gathering).body, COUNT);
    [begun, gathering].iter_mut().for_each(Client::expect_close);
    assert_eq!(server.exit().code(), Some(0));
}
