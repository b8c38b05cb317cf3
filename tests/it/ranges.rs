//! Several ranges in one request: `multipart/byteranges` as it comes over the wire (RFC 9110 §14.2, §14.6), taken apart
//! by a strict reader. Single ranges stand in `conditional.rs`, the table of what a set of ranges means in `src/http`.
use std::{
    fs::{self, File},
    io::{ErrorKind, Read},
    os::unix::fs::FileExt,
    time::{Duration, Instant, SystemTime},
};

use crate::common::*;
use memchr::memmem;

const MIB: usize = 1 << 20;

/// A file whose content is [`pattern`].
#[derive(Debug, Clone, Copy)]
struct Sample {
    path: &'static str,
    media_type: &'static str,
    len: usize,
}

/// Files whose parts are sent in three ways: copied from memory, from where they lie in it, and from the disk.
const SAMPLES: [Sample; 3] = [
    Sample { path: "/small.txt", media_type: "text/plain; charset=utf-8", len: 1000 },
    Sample { path: "/middle.css", media_type: "text/css; charset=utf-8", len: 40_000 },
    Sample { path: "/large.bin", media_type: "application/octet-stream", len: 3 * MIB },
];
const MIDDLE: Sample = SAMPLES[1];

fn site_of_three() -> Site {
    let site = Site::new();
    for Sample { path, len, .. } in SAMPLES {
        site.write(&path[1..], pattern(len));
    }
    site
}

/// `GET path` for `ranges` of it, with more field lines.
fn ask_with(path: &str, ranges: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\nRange: bytes={ranges}\r\n{fields}\r\n")
}

fn ask(path: &str, ranges: &str) -> String {
    ask_with(path, ranges, "")
}

/// What `Range` says of these parts, first and last byte each.
fn set_of(parts: &[(u64, u64)]) -> String {
    parts.iter().map(|(first, last)| format!("{first}-{last}")).collect::<Vec<_>>().join(",")
}

/// One part of a body, with its two field values.
struct Part<'a> {
    media_type: &'a str,
    content_range: &'a str,
    bytes: &'a [u8],
}

/// Takes a body apart as RFC 2046 §5.1.1 says, by its delimiters alone: there is nothing before the first one and
/// nothing behind the last one, and no part holds one.
fn parts_of(response: &Response) -> Vec<Part<'_>> {
    let media_type = response.header("content-type").expect("a type");
    let boundary = media_type.strip_prefix("multipart/byteranges; boundary=").expect("that of several parts");
    // What may stand in a boundary and need no quotes.
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"'+_-.".contains(&b);
    assert!((1..=70).contains(&boundary.len()) && boundary.bytes().all(is_plain), "{boundary:?}");
    // Only the first delimiter has no line end before it.
    let delimiter = format!("\r\n--{boundary}");
    let at: Vec<usize> = memmem::find_iter(&response.body, &delimiter).collect();
    assert!(response.body.starts_with(&delimiter.as_bytes()[2..]), "{}", lossy(&response.body));
    let starts = std::iter::once(delimiter.len() - 2).chain(at.iter().map(|at| at + delimiter.len()));
    let end = response.body.len();
    let mut pieces: Vec<&[u8]> =
        starts.zip(at.iter().copied().chain([end])).map(|(from, to)| &response.body[from..to]).collect();
    assert_eq!(pieces.pop(), Some(&b"--\r\n"[..]), "behind the last part");
    pieces.into_iter().map(part_of).collect()
}

fn part_of(piece: &[u8]) -> Part<'_> {
    let split = memmem::find(piece, b"\r\n\r\n").expect("an empty line behind a part's fields");
    let head = std::str::from_utf8(&piece[..split]).expect("fields in ASCII");
    let ["", type_line, range_line] = head.split("\r\n").collect::<Vec<_>>()[..] else {
        panic!("not the two fields of a part: {head:?}");
    };
    Part {
        media_type: type_line.strip_prefix("Content-Type: ").expect("its type first"),
        content_range: range_line.strip_prefix("Content-Range: ").expect("then its range"),
        bytes: &piece[split + 4..],
    }
}

/// Asserts that `response` holds these parts of `content`, in this order, and nothing else.
fn assert_parts(response: &Response, content: &[u8], media_type: &str, expected: &[(usize, usize)]) {
    assert_eq!(response.status, 206, "{:?}", response.headers);
    // It would say of the body what holds for a part (§15.3.7.2).
    assert_eq!(response.header("content-range"), None);
    assert!(response.header("etag").is_some() && response.header("last-modified").is_some());
    let parts = parts_of(response);
    assert_eq!(parts.len(), expected.len());
    for (part, &(first, last)) in parts.iter().zip(expected) {
        assert_eq!(part.media_type, media_type);
        assert_eq!(part.content_range, format!("bytes {first}-{last}/{}", content.len()));
        assert!(part.bytes == &content[first..=last], "the bytes of {first}-{last}");
    }
}

fn assert_parts_of(sample: Sample, response: &Response, expected: &[(usize, usize)]) {
    assert_parts(response, &pattern(sample.len), sample.media_type, expected);
}

fn assert_whole(sample: Sample, response: &Response) {
    assert_eq!((response.status, response.header("content-type")), (200, Some(sample.media_type)));
    assert_eq!(response.header("content-range"), None);
    assert!(response.body == pattern(sample.len), "{} bytes", response.body.len());
}

/// The head of `path`, when its date counts: a file that was changed within the last moments may change again without
/// another date (§8.8.2.2).
fn head_of_settled(client: &mut Client, path: &str) -> Response {
    client.send(format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
    let head = client.head();
    let date = head.header("last-modified").expect("a date");
    eventually("its date counts", || {
        client.send(format!("HEAD {path} HTTP/1.1\r\nHost: a\r\nIf-Modified-Since: {date}\r\n\r\n"));
        client.head().status == 304
    });
    head
}

#[test]
fn each_part_is_the_slice_that_it_claims_to_be_in_the_order_asked_for() {
    let site = site_of_three();
    let server = Server::start(&site);
    let mut client = server.connect();
    for sample in SAMPLES {
        let (len, middle, end) = (sample.len, sample.len / 2, sample.len - 1);
        for (ranges, expected) in [
            ("0-0,-1".to_owned(), vec![(0, 0), (end, end)]),
            ("-1,0-0".to_owned(), vec![(end, end), (0, 0)]),
            // Both halves: just as long together as the file.
            (format!("{middle}-,0-{}", middle - 1), vec![(middle, end), (0, middle - 1)]),
            ("1-,0-0".to_owned(), vec![(1, end), (0, 0)]),
            // Parts that touch, overlap and are the same stay as they are.
            ("10-19,20-29".to_owned(), vec![(10, 19), (20, 29)]),
            ("5-14,0-9,5-14".to_owned(), vec![(5, 14), (0, 9), (5, 14)]),
            // What leads past the end is cut off there, and what lies there is left out.
            (format!("{}-{},0-4", len - 5, len + 5), vec![(len - 5, end), (0, 4)]),
            (format!("0-0,{len}-,-0,-1"), vec![(0, 0), (end, end)]),
            ("99999999999999999999999999-,0-0,1-1".to_owned(), vec![(0, 0), (1, 1)]),
            // Empty members of a list count for nothing (§5.6.1.2).
            (",0-0 ,,\t-1,".to_owned(), vec![(0, 0), (end, end)]),
        ] {
            client.send(ask(sample.path, &ranges) + &get("/hello.txt"));
            assert_parts_of(sample, &client.response(), &expected);
            assert_eq!(client.response().text(), "hello\n", "and nothing stands between");
        }
    }
}

#[test]
fn sixty_four_parts_are_sent_and_sixty_five_are_the_whole_file() {
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
            assert_eq!(client.response().text(), "hello\n", "behind {count} parts of {sample:?}");
        }
    }
}

#[test]
fn a_set_with_an_invalid_member_or_more_bytes_than_the_file_is_the_whole_file() {
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
    // Two lines are one value (§5.3), and that is invalid.
    assert_whole(MIDDLE, &server.ask(ask_with(MIDDLE.path, "0-0", "Range: bytes=1-1\r\n")));
}

#[test]
fn one_part_that_is_there_is_a_plain_one_and_none_is_a_416() {
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
fn head_knows_no_ranges() {
    let site = site_of_three();
    let server = Server::start(&site);
    each(SAMPLES, |sample| {
        // §14.2: Range is defined for GET alone.
        let head = server.ask(ask(sample.path, "0-0,-1").replacen("GET", "HEAD", 1));
        assert_eq!((head.status, head.header("content-type")), (200, Some(sample.media_type)));
        assert_eq!(head.header("content-length"), Some(&*sample.len.to_string()));
        assert_eq!(head.header("content-range"), None);
    });
}

#[test]
fn preconditions_come_first_and_if_range_says_whether_parts_will_do() {
    let site = site_of_three();
    site.write("aged.css", pattern(MIDDLE.len));
    File::options()
        .write(true)
        .open(site.at("aged.css"))
        .and_then(|file| file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777)))
        .expect("set its time");
    let server = Server::start(&site);
    let mut client = server.connect();
    let aged = Sample { path: "/aged.css", ..MIDDLE };
    let head = head_of_settled(&mut client, MIDDLE.path);
    let (tag, date) = (head.header("etag").expect("a tag"), head.header("last-modified").expect("a date"));
    for (sample, fields, status) in [
        (MIDDLE, format!("If-Range: {tag}\r\n"), 206),
        (MIDDLE, format!("If-Range: W/{tag}\r\n"), 200),
        (MIDDLE, "If-Range: \"another\"\r\n".into(), 200),
        (MIDDLE, format!("If-Range: {date}\r\n"), 206),
        (MIDDLE, "If-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n".into(), 200),
        // Its date was set by hand, so that another version may have had it, too.
        (aged, "If-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n".into(), 200),
        (MIDDLE, format!("If-None-Match: {tag}\r\n"), 304),
        (MIDDLE, format!("If-None-Match: {tag}\r\nIf-Range: {tag}\r\n"), 304),
        (MIDDLE, format!("If-None-Match: {tag}\r\nIf-Range: \"another\"\r\n"), 304),
        (MIDDLE, "If-None-Match: \"another\"\r\n".into(), 206),
        (MIDDLE, format!("If-Modified-Since: {date}\r\n"), 304),
        (MIDDLE, format!("If-Match: {tag}\r\n"), 206),
        (MIDDLE, "If-Match: \"another\"\r\n".into(), 412),
    ] {
        client.send(ask_with(sample.path, "-2,0-1", &fields));
        let response = client.response();
        assert_eq!(response.status, status, "{} {fields:?}", sample.path);
        match status {
            206 => assert_parts_of(sample, &response, &[(sample.len - 2, sample.len - 1), (0, 1)]),
            200 => assert_whole(sample, &response),
            _ => {}
        }
    }
}

#[test]
fn answers_to_a_pipeline_come_in_order() {
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
fn a_client_of_http_1_0_may_keep_its_connection() {
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
fn parts_past_4_gib_are_read_where_they_are() {
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

/// A request for 64 parts of a GiB each of `/endless`, which is a TiB and takes no room.
fn ask_for_endless_parts(site: &Site) -> String {
    site.sparse("endless", 1 << 40);
    ask("/endless", &set_of(&(0..64).map(|i| (i << 30, ((i + 1) << 30) - 1)).collect::<Vec<_>>()))
}

#[test]
fn peers_that_read_slowly_hold_up_nobody_and_take_little_memory() {
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
        let len: u64 = head.header("content-length").expect("a length").parse().expect("a number");
        assert!(head.status == 206 && len > 64 << 30, "{head:?}");
        client.take(1000);
        let begun = Instant::now();
        assert_eq!(server.get("/hello.txt").text(), "hello\n");
        assert!(begun.elapsed() < PROMPT, "{:?} beside it", begun.elapsed());
    }
    server.wait_until_quiet();
    let each = server.resident().saturating_sub(resident) / PEERS as u64;
    assert!(each < 256 << 10, "{each} bytes of memory a peer");
    drop(clients);
    eventually("all descriptors are closed", || server.descriptors() <= descriptors);
}

#[test]
fn peers_that_go_away_in_the_middle_leak_no_descriptors() {
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
fn a_file_that_shrinks_while_its_parts_are_sent_ends_the_connection_short() {
    let site = Site::new();
    let server = Server::start(&site);
    let idle = server.descriptors();
    // Each part is more than the socket buffers hold, so that the first one is under way when the file shrinks: to
    // nothing, to less than was sent, between the parts, and within the second one.
    let parts = set_of(&[(0, (8 << 20) - 1), (16 << 20, (24 << 20) - 1)]);
    each([0, 1000, 12 << 20, 20 << 20], |len| {
        site.sparse("large.bin", 32 << 20);
        let mut client = Client::narrow(server.addr());
        client.send(ask("/large.bin", &parts) + &get("/hello.txt"));
        let head = client.head();
        assert_eq!(head.status, 206);
        let promised: usize = head.header("content-length").expect("a length").parse().expect("a number");
        assert!(promised > 16 * MIB, "{promised}");
        let mut body = client.take(1000);
        File::options()
            .write(true)
            .open(site.at("large.bin"))
            .and_then(|f| f.set_len(*len))
            .expect("truncate");
        assert_eq!(server.get("/").text(), "home\n", "others are served meanwhile");
        match client.socket.read_to_end(&mut body) {
            Ok(_) => {}
            // The request behind was not read: the kernel may say so with a reset.
            Err(e) => assert_eq!(e.kind(), ErrorKind::ConnectionReset),
        }
        // (What the reader of the head has kept may be missing here, too.)
        assert!(body.len() + MIB < promised, "{} bytes of {promised}", body.len());
        assert_eq!(memmem::find(&body, b"HTTP/1.1"), None, "the next response landed in the body");
        assert_idle(&server, Duration::from_millis(100));
    });
    eventually("all descriptors are closed", || server.descriptors() <= idle);
}

#[test]
fn all_parts_are_of_the_version_that_was_opened() {
    let site = Site::new();
    let server = Server::start(&site);
    let old = pattern(20 * MIB);
    for delete in [true, false] {
        site.write("large.bin", &old);
        let mut client = Client::narrow(server.addr());
        // The last parts are not begun before the one in the middle has been taken.
        client.send(ask("/large.bin", "5-9,1000-9000000,0-4,-5") + &get("/hello.txt"));
        client.socket.peek(&mut [0]).expect("an answer begins");
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
