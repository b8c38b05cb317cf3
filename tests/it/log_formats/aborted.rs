//! Log lines of responses that were not sent completely.

use std::io::Read;

use super::*;
use crate::common::*;
use rustix::process::Signal;

/// Returns the number of bytes that follow a head until the connection ends, by FIN or RST.
fn count_rest(client: &mut Client) -> u64 {
    let (mut buffer, mut total) = (vec![0; 1 << 20], 0);
    while let Ok(n @ 1..) = uninterrupted(|| client.socket.read(&mut buffer)) {
        total += n as u64;
    }
    total
}

#[test]
fn log_aborted_counts_what_was_sent() {
    const READ: usize = 1 << 20;
    const PARTS: &str = "Range: bytes=0-19999999,20000001-43999999\r\n";
    let site = site();
    // The cause that ends the response: the client, the send timeout, or a shutdown.
    #[derive(Debug, PartialEq)]
    enum By {
        Peer,
        SendTimeout,
        DrainTimeout,
    }
    let rows = [
        ("common", "", By::Peer),
        ("combined", "", By::Peer),
        ("json", PARTS, By::Peer),
        ("common", "Range: bytes=1-\r\n", By::SendTimeout),
        ("json", PARTS, By::SendTimeout),
        ("combined", "", By::DrainTimeout),
        ("json", PARTS, By::DrainTimeout),
    ];
    each(rows, |(format, fields, by)| {
        let args: &[&str] = match by {
            By::Peer => &[],
            By::SendTimeout => &["--send-timeout", "200ms"],
            By::DrainTimeout => &["--drain-timeout", "200ms"],
        };
        let mut logging = Logging::with(&site, format, args);
        let mut client = stalled(&logging.server, fields);
        client.take(READ);
        let stays = match by {
            By::Peer => {
                client.reset();
                None
            }
            By::SendTimeout => Some(client),
            By::DrainTimeout => {
                logging.server.signal(Signal::TERM);
                Some(client)
            }
        };
        let line = logging.line();
        let status = if fields.is_empty() { 200 } else { 206 };
        assert_eq!((&*line.request, line.status), ("GET /big HTTP/1.1", status));
        assert!(line.is_aborted && (READ as u64..43_000_000).contains(&line.bytes), "{line:?}");
        match by {
            By::DrainTimeout => logging.expect_end(),
            _ => logging.expect_no_more(),
        }
        drop(stays);
    });
}

#[test]
fn log_aborted_by_a_shrinking_file() {
    let site = site();
    let mut logging = Logging::with(&site, "json", &[]);
    let mut client = stalled(&logging.server, "");
    std::fs::File::options()
        .write(true)
        .open(site.at("big"))
        .and_then(|f| f.set_len(100))
        .expect("shrink it");
    let got = count_rest(&mut client);
    let line = logging.line();
    assert!(line.is_aborted && line.bytes < BIG, "{line:?}");
    assert!(line.bytes >= got, "{got} bytes were received: {line:?}");
}

#[test]
fn log_aborted_is_not_a_half_close() {
    let site = site();
    let mut logging = Logging::with(&site, "combined", &[]);
    let mut client = stalled(&logging.server, "");
    client.finish();
    client.skip(BIG);
    client.expect_close();
    let line = logging.line();
    assert_eq!((line.bytes, line.is_aborted), (BIG, false));
    logging.expect_no_more();
}

#[test]
fn log_aborted_in_a_pipeline() {
    let site = site();
    each(FORMATS, |format| {
        let mut logging = Logging::with(&site, format, &[]);
        let mut client = logging.server.connect();
        client.send([get("/hello.txt"), get("/big"), get("/docs/")].concat());
        assert_eq!(client.response().text(), "hello\n");
        assert_eq!(client.head().status, 200);
        client.reset();
        let (first, second) = (logging.line(), logging.line());
        assert_eq!((&*first.request, first.bytes, first.is_aborted), ("GET /hello.txt HTTP/1.1", 6, false));
        assert_eq!((&*second.request, second.is_aborted), ("GET /big HTTP/1.1", true));
        assert!(second.bytes < BIG, "{second:?}");
        // The server may have parsed the third request, but sent no response to it.
        logging.server.signal(Signal::TERM);
        let third = logging.server.stdout_line();
        if !third.is_empty() {
            let third = Line::parse(format, &third);
            assert_eq!((third.bytes, third.is_aborted), (0, true), "{third:?}");
        }
    });
}
