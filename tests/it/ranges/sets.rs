//! Range sets: the parts that the server sends for them.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    time::{Duration, SystemTime},
};

use super::*;
use crate::common::*;

const MIDDLE: Sample = SAMPLES[1];

fn assert_parts_of(sample: Sample, response: &Response, expected: &[(usize, usize)]) {
    assert_parts(response, &pattern(sample.len), sample.media_type, expected);
}

fn assert_whole(sample: Sample, response: &Response) {
    assert_eq!((response.status, response.header("content-type")), (200, Some(sample.media_type)));
    assert_eq!(response.header("content-range"), None);
    assert!(response.body == pattern(sample.len), "{} bytes", response.body.len());
}

#[test]
fn ranges_are_sent_in_the_requested_order() {
    let site = site_of_three();
    let server = Server::start(&site);
    let mut client = server.connect();
    for sample in SAMPLES {
        let (len, middle, end) = (sample.len, sample.len / 2, sample.len - 1);
        for (ranges, expected) in [
            ("0-0,-1".to_owned(), vec![(0, 0), (end, end)]),
            ("-1,0-0".to_owned(), vec![(end, end), (0, 0)]),
            // Two halves, together as long as the file.
            (format!("{middle}-,0-{}", middle - 1), vec![(middle, end), (0, middle - 1)]),
            ("1-,0-0".to_owned(), vec![(1, end), (0, 0)]),
            // Parts that touch, overlap or are equal are not merged.
            ("10-19,20-29".to_owned(), vec![(10, 19), (20, 29)]),
            ("5-14,0-9,5-14".to_owned(), vec![(5, 14), (0, 9), (5, 14)]),
            // A range that goes past the end is cut there, and a range that starts past the end is
            // left out.
            (format!("{}-{},0-4", len - 5, len + 5), vec![(len - 5, end), (0, 4)]),
            (format!("0-0,{len}-,-0,-1"), vec![(0, 0), (end, end)]),
            ("99999999999999999999999999-,0-0,1-1".to_owned(), vec![(0, 0), (1, 1)]),
            // Empty list members are ignored (section 5.6.1.2).
            (",0-0 ,,\t-1,".to_owned(), vec![(0, 0), (end, end)]),
        ] {
            client.send(ask(sample.path, &ranges) + &get("/hello.txt"));
            assert_parts_of(sample, &client.response(), &expected);
            assert_eq!(client.response().text(), "hello\n", "nothing comes between the responses");
        }
    }
}

#[test]
fn ranges_up_to_64_are_sent() {
    let site = site_of_three();
    let server = Server::start(&site);
    let mut client = server.connect();
    for sample in SAMPLES {
        let parts = |count: usize| -> Vec<(usize, usize)> {
            let step = sample.len / count;
            (0..count).map(|i| (i * step, i * step + step / 4 * 3)).rev().collect()
        };
        for count in [2, 63, 64, 65] {
            let parts = parts(count);
            let set: Vec<_> = parts.iter().map(|&(first, last)| (first as u64, last as u64)).collect();
            client.send(ask(sample.path, &set_of(&set)) + &get("/hello.txt"));
            let response = client.response();
            if count <= 64 {
                assert_parts_of(sample, &response, &parts);
            } else {
                assert_whole(sample, &response);
            }
            assert_eq!(client.response().text(), "hello\n", "after {count} parts of {sample:?}");
        }
    }
}

#[test]
fn ranges_that_are_invalid_or_too_much_are_ignored() {
    let site = site_of_three();
    let server = Server::start(&site);
    let middle = MIDDLE.len / 2;
    let too_much = format!("{middle}-,0-{middle}");
    let rows = [
        "0-0,5-2",
        "5-2,0-0",
        "0-0,a-b",
        "0-0,-",
        "0-0,1",
        "0-0;1-1",
        "0-0,--1",
        "0-0,1-2-3",
        "0-0,+1-2",
        "0-0 1-1",
        "0-0,bytes=1-1",
        &too_much,
    ];
    each(rows, |ranges| assert_whole(MIDDLE, &server.ask(ask(MIDDLE.path, ranges))));
    // Two field lines form one value (section 5.3), which is invalid.
    assert_whole(MIDDLE, &server.ask(ask_with(MIDDLE.path, "0-0", "Range: bytes=1-1\r\n")));
}

#[test]
fn ranges_with_one_satisfiable_are_one_part() {
    let site = site_of_three();
    let server = Server::start(&site);
    for Sample { path, media_type, len } in SAMPLES {
        for ranges in [format!("{len}-,3-5"), format!("3-5,-0,{}-{}", len + 1, len + 9), "3-5,".to_owned()] {
            let response = server.ask(ask(path, &ranges));
            assert_eq!(response.status, 206, "{path} {ranges}");
            assert_eq!(response.header("content-range"), Some(&*format!("bytes 3-5/{len}")));
            assert_eq!(response.header("content-type"), Some(media_type));
            assert_eq!(response.body, &pattern(len)[3..=5]);
        }
        let response = server.ask(ask(path, &format!("-0,{len}-,{len}-{len}")));
        assert_eq!(response.status, 416);
        assert_eq!(response.header("content-range"), Some(&*format!("bytes */{len}")));
    }
}

#[test]
fn ranges_are_ignored_by_head() {
    let site = site_of_three();
    let server = Server::start(&site);
    each(SAMPLES, |sample| {
        // Range is defined for GET only (section 14.2).
        let head = server.ask(ask(sample.path, "0-0,-1").replacen("GET", "HEAD", 1));
        assert_eq!((head.status, head.header("content-type")), (200, Some(sample.media_type)));
        assert_eq!(head.header("content-length"), Some(&*sample.len.to_string()));
        assert_eq!(head.header("content-range"), None);
    });
}

#[test]
fn ranges_come_after_preconditions() {
    let site = site_of_three();
    site.write("aged.css", pattern(MIDDLE.len));
    File::options()
        .write(true)
        .open(site.at("aged.css"))
        .and_then(|file| file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777)))
        .expect("set its time");
    // A file changed within the last moments may change again without a new date (RFC 9110 section
    // 8.8.2.2). On this clock the files are a minute old.
    let mut rig = Rig::new(Rig::config(&site));
    let mut client = rig.accepted();
    let aged = Sample { path: "/aged.css", ..MIDDLE };
    let head = rig.ask(&mut client, get(MIDDLE.path));
    let (tag, date) = (head.header("etag").expect("an ETag"), head.header("last-modified").expect("a date"));
    for (sample, fields, status) in [
        (MIDDLE, format!("If-Range: {tag}\r\n"), 206),
        (MIDDLE, format!("If-Range: W/{tag}\r\n"), 200),
        (MIDDLE, "If-Range: \"another\"\r\n".into(), 200),
        (MIDDLE, format!("If-Range: {date}\r\n"), 206),
        (MIDDLE, "If-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n".into(), 200),
        // Its date was set by hand, so another version may have had the same date.
        (aged, "If-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n".into(), 200),
        (MIDDLE, format!("If-None-Match: {tag}\r\n"), 304),
        (MIDDLE, format!("If-None-Match: {tag}\r\nIf-Range: {tag}\r\n"), 304),
        (MIDDLE, format!("If-None-Match: {tag}\r\nIf-Range: \"another\"\r\n"), 304),
        (MIDDLE, "If-None-Match: \"another\"\r\n".into(), 206),
        (MIDDLE, format!("If-Modified-Since: {date}\r\n"), 304),
        (MIDDLE, format!("If-Match: {tag}\r\n"), 206),
        (MIDDLE, "If-Match: \"another\"\r\n".into(), 412),
    ] {
        let response = rig.ask(&mut client, ask_with(sample.path, "-2,0-1", &fields));
        assert_eq!(response.status, status, "{} {fields:?}", sample.path);
        match status {
            206 => assert_parts_of(sample, &response, &[(sample.len - 2, sample.len - 1), (0, 1)]),
            200 => assert_whole(sample, &response),
            _ => {}
        }
    }
}

#[test]
fn ranges_in_a_pipeline_come_in_order() {
    let site = site_of_three();
    let server = Server::start(&site);
    let mut client = server.connect();
    let round: String = SAMPLES.iter().map(|s| ask(s.path, "-9,0-9") + &get("/hello.txt")).collect();
    let last = ask_with("/small.txt", "0-0,1-1", "Connection: close\r\n");
    client.send(round.repeat(3) + &get("/missing") + &last);
    for sample in SAMPLES.iter().cycle().take(9) {
        assert_parts_of(*sample, &client.response(), &[(sample.len - 9, sample.len - 1), (0, 9)]);
        assert_eq!(client.response().text(), "hello\n");
    }
    assert_eq!(client.response().status, 404);
    let response = client.response();
    assert!(response.closes());
    assert_parts_of(SAMPLES[0], &response, &[(0, 0), (1, 1)]);
    client.expect_close();
}

#[test]
fn ranges_over_http_1_0_keep_the_connection() {
    let site = site_of_three();
    let server = Server::start(&site);
    let ask =
        |path: &str, fields: &str| format!("GET {path} HTTP/1.0\r\nRange: bytes=0-9,-9\r\n{fields}\r\n");
    let mut client = server.connect();
    for sample in SAMPLES {
        client.send(ask(sample.path, "Connection: keep-alive\r\n"));
        let response = client.response();
        assert_eq!(response.header("connection"), Some("keep-alive"));
        assert_parts_of(sample, &response, &[(0, 9), (sample.len - 9, sample.len - 1)]);
    }
    client.send(ask("/middle.css", ""));
    let response = client.response();
    assert!(response.closes());
    assert_parts_of(MIDDLE, &response, &[(0, 9), (MIDDLE.len - 9, MIDDLE.len - 1)]);
    client.expect_close();
}

#[test]
fn ranges_past_4_gib() {
    let site = Site::new();
    let len: u64 = 5 << 30;
    site.sparse("huge.bin", len);
    let file = File::options().write(true).open(site.at("huge.bin")).expect("open");
    for (bytes, at) in [("begin", 0), ("across", (1 << 32) - 3), ("the end", len - 7)] {
        file.write_all_at(bytes.as_bytes(), at).expect("write");
    }
    let server = Server::start(&site);
    let response = server.ask(ask("/huge.bin", "-7,4294967293-4294967298,0-4"));
    let parts = parts_of(&response);
    let got: Vec<_> = parts.iter().map(|part| (part.content_range, part.bytes)).collect();
    assert_eq!(
        got,
        [
            ("bytes 5368709113-5368709119/5368709120", &b"the end"[..]),
            ("bytes 4294967293-4294967298/5368709120", b"across"),
            ("bytes 0-4/5368709120", b"begin"),
        ]
    );
}
