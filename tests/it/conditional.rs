//! Conditional requests and single ranges in the way clients use them: a browser revalidates, a
//! download resumes, a player seeks (RFC 9110 sections 13 and 14). The tables of all cases are in
//! `src/http`; these tests check the bytes on the wire.
use std::time::{Duration, SystemTime};

use crate::common::*;

/// Creates a site with files whose bodies are sent in three ways: with the head, from memory, and
/// from disk.
fn site_of_three() -> Site {
    let site = Site::new();
    site.write("small.bin", pattern(1000));
    site.write("middle.bin", pattern(40_000));
    site.write("large.bin", pattern(3 << 20));
    site
}

/// Waits until two requests for `path` return the same ETag, which means that the file has settled,
/// and returns it.
fn tag_of(client: &mut Client, path: &str) -> String {
    let mut ask = || {
        client.send(format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        client.head().header("etag").expect("an ETag").to_owned()
    };
    let mut tag = ask();
    eventually("an ETag", || {
        let before = std::mem::replace(&mut tag, ask());
        before == tag
    });
    tag
}

fn get_with(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

#[test]
fn conditional_fresh_copy_is_304() {
    let site = site_of_three();
    let server = Server::start(&site);
    let mut client = server.connect();
    for path in ["/small.bin", "/large.bin", "/"] {
        let tag = tag_of(&mut client, path);
        client.send(get_with(path, &format!("If-None-Match: {tag}\r\n")) + &get("/hello.txt"));
        let response = client.response();
        assert_eq!(response.status, 304, "{path}");
        assert_eq!(response.header("etag"), Some(&*tag));
        assert!(response.header("date").is_some() && response.header("cache-control").is_some());
        assert_eq!(response.header("content-length"), None);
        assert_eq!(client.response().text(), "hello\n", "nothing comes between the responses");
        client.send(get_with(path, "If-None-Match: \"another\"\r\n"));
        assert_eq!(client.response().status, 200, "{path}");
    }
}

#[test]
fn conditional_stale_copy_is_replaced() {
    let site = site_of_three();
    let server = Server::start(&site);
    let mut client = server.connect();
    let tag = tag_of(&mut client, "/hello.txt");
    for round in 0..100 {
        let content = format!("{round:05}\n");
        site.write("hello.txt", &content);
        client.send(get_with("/hello.txt", &format!("If-None-Match: {tag}\r\n")));
        let response = client.response();
        assert_eq!((response.status, response.text()), (200, content));
    }
}

#[test]
fn conditional_dates_work_without_tags() {
    let site = site_of_three();
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    std::fs::File::options()
        .write(true)
        .open(site.at("hello.txt"))
        .and_then(|file| file.set_modified(old))
        .expect("set its time");
    let server = Server::start(&site);
    let mut client = server.connect();
    tag_of(&mut client, "/hello.txt");
    for (field, status) in [
        ("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT", 304),
        ("If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT", 200),
        ("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT", 412),
        ("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT", 200),
        ("If-Match: \"another\"", 412),
        ("If-Match: *", 200),
    ] {
        client.send(get_with("/hello.txt", &format!("{field}\r\n")));
        assert_eq!(client.response().status, status, "{field}");
    }
}

#[test]
fn range_is_the_slice_that_it_declares() {
    let site = site_of_three();
    let server = Server::start(&site);
    let mut client = server.connect();
    // The bytes come with the head, from memory, or from disk.
    for (path, len) in [("/small.bin", 1000), ("/middle.bin", 40_000), ("/large.bin", 3 << 20)] {
        let whole = pattern(len);
        for (range, first, last) in [
            ("0-0".to_owned(), 0, 0),
            ("0-1".to_owned(), 0, 1),
            ("0-".to_owned(), 0, len - 1),
            ("-1".to_owned(), len - 1, len - 1),
            (format!("{}-{}", len / 3, len / 2), len / 3, len / 2),
            (format!("{}-", len / 2), len / 2, len - 1),
            (format!("-{}", len * 2), 0, len - 1),
        ] {
            client.send(get_with(path, &format!("Range: bytes={range}\r\n")));
            let response = client.response();
            assert_eq!(response.status, 206, "{path} {range}");
            let content_range = format!("bytes {first}-{last}/{len}");
            assert_eq!(response.header("content-range"), Some(&*content_range));
            assert!(response.body == whole[first..=last], "{path} {range}");
        }
    }
}

#[test]
fn range_invalid_is_ignored_and_unsatisfiable_is_416() {
    let site = site_of_three();
    site.write("empty", "");
    let server = Server::start(&site);
    let mut client = server.connect();
    for (range, status) in
        [("bytes=5-2", 200), ("bytes=0-4,9-5", 200), ("lines=0-1", 200), ("bytes=0-,0-", 200)]
    {
        client.send(get_with("/small.bin", &format!("Range: {range}\r\n")));
        let response = client.response();
        assert_eq!((response.status, response.body.len()), (status, 1000), "{range}");
    }
    for (path, range, content_range) in [
        ("/small.bin", "bytes=1000-", "bytes */1000"),
        ("/small.bin", "bytes=-0", "bytes */1000"),
        ("/empty", "bytes=0-0", "bytes */0"),
    ] {
        client.send(get_with(path, &format!("Range: {range}\r\n")));
        let response = client.response();
        assert_eq!(
            (response.status, response.header("content-range")),
            (416, Some(content_range)),
            "{path} {range}"
        );
    }
    client.send("HEAD /small.bin HTTP/1.1\r\nHost: a\r\nRange: bytes=0-0\r\n\r\n");
    let head = client.head();
    assert_eq!((head.status, head.header("content-length")), (200, Some("1000")));
}

#[test]
fn range_resumes_a_download_unless_the_file_changed() {
    let site = site_of_three();
    let server = Server::start(&site);
    let mut client = server.connect();
    let tag = tag_of(&mut client, "/large.bin");
    let resume = |tag: &str| get_with("/large.bin", &format!("Range: bytes=1000000-\r\nIf-Range: {tag}\r\n"));
    client.send(resume(&tag));
    let response = client.response();
    assert_eq!(response.status, 206);
    assert!(response.body == pattern(3 << 20)[1_000_000..]);
    site.write("large.bin", pattern(2 << 20));
    client.send(resume(&tag));
    let response = client.response();
    assert_eq!((response.status, response.body.len()), (200, 2 << 20));
}

#[test]
fn range_reads_past_4_gib() {
    let site = Site::new();
    let len: u64 = 5 << 30;
    site.sparse("huge.bin", len);
    let file = std::fs::File::options().write(true).open(site.at("huge.bin")).expect("open");
    std::os::unix::fs::FileExt::write_all_at(&file, b"the end", len - 7).expect("write");
    let server = Server::start(&site);
    let response = server.ask(get_with("/huge.bin", "Range: bytes=-7\r\n"));
    assert_eq!((response.status, response.text()), (206, "the end".to_owned()));
    assert_eq!(response.header("content-range"), Some("bytes 5368709113-5368709119/5368709120"));
}
