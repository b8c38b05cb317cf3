//! Log lines: one complete line for each request, in order.

use std::{
    fs::{self, File},
    io::Write,
    time::Duration,
};

use super::*;
use crate::common::*;
use oneloop::AccessLogFormat;

#[test]
fn log_line_counts_the_body_that_was_sent() {
    let site = site();
    let rows = [
        ("GET /hello.txt", "", 200, Some(6)),
        ("GET /hello.txt", "Range: bytes=2-4\r\n", 206, Some(3)),
        ("GET /hello.txt", "Range: bytes=0-0,2-2\r\n", 206, None),
        ("HEAD /hello.txt", "", 200, Some(0)),
        ("GET /hello.txt", "If-None-Match: *\r\n", 304, Some(0)),
        ("GET /big", "", 200, Some(BIG)),
        ("GET /big", "Range: bytes=5-4999999\r\n", 206, Some(4_999_995)),
        ("GET /big", "Range: bytes=0-9999999,20000000-29999999\r\n", 206, None),
        ("GET /folder/", "", 200, None),
        ("GET /folder/?sort=size", "Accept: application/json\r\n", 200, None),
        ("HEAD /folder/", "", 200, Some(0)),
        ("GET /docs?a=b", "", 301, Some(0)),
        ("GET /missing", "", 404, None),
        ("HEAD /missing", "", 404, Some(0)),
        ("PUT /hello.txt", "Content-Length: 0\r\n", 405, None),
        ("OPTIONS *", "", 204, Some(0)),
    ];
    each(FORMATS, |format| {
        let mut logging = Logging::with(&site, format, &["--listing"]);
        for (line, fields, status, bytes) in rows {
            let mut client = logging.server.connect();
            client.send(request(line, &format!("Connection: close\r\n{fields}")));
            assert_eq!(client.head().status, status, "{line}");
            // The body as it is on the wire, including chunk framing (RFC 9112 section 6).
            let body = client.rest().len() as u64;
            let logged = logging.line();
            assert_eq!((&*logged.request, logged.status), (&*format!("{line} HTTP/1.1"), status));
            assert_eq!((logged.bytes, logged.is_aborted), (body, false), "{logged:?}");
            assert!(bytes.is_none_or(|bytes| bytes == body), "{body} bytes for {line} {fields:?}");
        }
        logging.expect_no_more();
    });
}

#[test]
fn log_line_counts_a_listing_for_http_1_0() {
    let site = site();
    let mut logging = Logging::with(&site, "json", &["--listing"]);
    let mut client = logging.server.connect();
    client.send("GET /folder/ HTTP/1.0\r\n\r\n");
    client.head();
    let body = client.rest().len() as u64;
    let line = logging.line();
    assert_eq!((&*line.request, line.bytes, line.is_aborted), ("GET /folder/ HTTP/1.0", body, false));
    logging.expect_no_more();
}

#[test]
fn log_line_for_each_pipelined_request_in_order() {
    let site = site();
    let parts = "Range: bytes=0-0,2-2\r\n";
    each(FORMATS, |format| {
        let mut logging = Logging::with(&site, format, &["--listing"]);
        let mut client = logging.server.connect();
        let asked: Vec<(&str, String)> = (0..5)
            .flat_map(|i| {
                [
                    ("", format!("GET /hello.txt?{i}")),
                    ("", format!("HEAD /big?{i}")),
                    (parts, format!("GET /hello.txt?parts{i}")),
                    ("", format!("GET /folder/?{i}")),
                    ("If-None-Match: *\r\n", format!("GET /?{i}")),
                    ("", format!("GET /missing?{i}")),
                ]
            })
            .collect();
        let all: String = asked.iter().map(|(fields, line)| request(line, fields)).collect();
        client.send(all + &request("GET /big", "Connection: close\r\n"));
        client.rest();
        for (_, line) in &asked {
            assert_eq!(logging.line().request, format!("{line} HTTP/1.1"));
        }
        assert_eq!(logging.line().bytes, BIG);
        logging.expect_no_more();
    });
}

#[test]
fn log_line_for_each_repeated_request() {
    let site = site();
    each(FORMATS, |format| {
        let mut logging = Logging::with(&site, format, &[]);
        let page = logging.server.get("/missing").body.len() as u64;
        logging.line();
        let mut client = logging.server.connect();
        let asked =
            [("GET /hello.txt", 6), ("HEAD /hello.txt", 0), ("GET /missing", page), ("GET /big", BIG)];
        let all: String = asked.iter().map(|(line, _)| request(line, "").repeat(3)).collect();
        let all = all + &request("GET /hello.txt", "Connection: close\r\n");
        logging.server.while_stopped(|| client.send(all));
        client.rest();
        for (line, bytes) in asked.iter().flat_map(|asked| [asked; 3]) {
            let logged = logging.line();
            assert_eq!((logged.request, logged.bytes), (format!("{line} HTTP/1.1"), *bytes));
            assert!(!logged.is_aborted);
        }
        assert_eq!(logging.line().bytes, 6);
        logging.expect_no_more();
    });
}

#[test]
fn log_line_is_written_when_the_response_is_sent() {
    let site = site();
    each(FORMATS, |format| {
        let mut logging = Logging::with(&site, format, &[]);
        let mut slow = stalled(&logging.server, "Connection: close\r\n");
        // The log line of a later request comes first if its response finishes first.
        for _ in 0..3 {
            logging.server.get("/hello.txt");
            assert_eq!(logging.line().request, "GET /hello.txt HTTP/1.1");
        }
        assert_eq!(slow.rest().len() as u64, BIG);
        let line = logging.line();
        assert_eq!((&*line.request, line.bytes, line.is_aborted), ("GET /big HTTP/1.1", BIG, false));
        logging.expect_no_more();
    });
}

/// Checks that the seconds are neither the age of the connection nor the duration of another
/// response. On a clock that the test controls they are exact.
#[test]
fn log_line_has_the_seconds_that_the_response_took() {
    let site = site();
    let formats = [AccessLogFormat::Common, AccessLogFormat::Combined, AccessLogFormat::Json];
    for (format, name) in formats.into_iter().zip(FORMATS) {
        let log = site.at(format!("{name}.log"));
        let mut config = Rig::config(&site);
        config.access_log = Some(File::create(&log).expect("create the log"));
        config.access_log_format = format;
        let mut rig = Rig::new(config);
        let (mut kept, mut slow) = (rig.accepted(), rig.accepted());
        slow.write_all(request("GET /big", "Connection: close\r\n").as_bytes()).expect("send");
        // Meanwhile a quick client sends several requests on one connection.
        for _ in 0..3 {
            rig.advance(Duration::from_secs(1));
            assert_eq!(rig.ask(&mut kept, get("/hello.txt")).text(), "hello\n");
            rig.advance(Duration::from_millis(500));
        }
        let mut got = 0;
        eventually("the slow client gets everything", || {
            rig.turn();
            got += received(&mut slow).len() as u64;
            got > BIG && rig.event_loop().open_connections() == 1
        });
        let lines = fs::read_to_string(&log).expect("read the log");
        let lines: Vec<Line> = lines.split_inclusive('\n').map(|line| Line::parse(name, line)).collect();
        assert_eq!(lines.iter().map(|line| line.seconds).collect::<Vec<_>>(), [0.0, 0.0, 0.0, 3.5]);
        assert_eq!((lines[3].bytes, lines[3].is_aborted), (BIG, false));
    }
}

#[test]
fn log_line_exists_for_half_a_request_but_not_for_none() {
    let site = Site::new();
    each(FORMATS, |format| {
        let mut logging = Logging::with(&site, format, &["--head-timeout", "200ms"]);
        let mut silent = logging.server.connect();
        silent.expect_close(); // it sent nothing, so the log has no line for it
        let mut half = logging.server.connect();
        half.send("GET /half HTTP/1.1\r\nHost: a\r\nUser-Agent: x");
        let body = half.response().body.len() as u64;
        let line = logging.line();
        assert_eq!((&*line.request, line.status), ("GET /half HTTP/1.1", 408));
        assert_eq!((line.bytes, line.is_aborted), (body, false));
        drop(half); // otherwise the server waits until the client has read the response
        logging.expect_no_more();
    });
}
