//! The formats of the access log, and what a line is the record of: a response that was sent, or as much of it as was.
//! What is the same in all of them and needs no second look is in `access_log.rs`.
use std::{
    io::Read,
    time::{Duration, Instant},
};

use crate::common::*;
use rustix::process::Signal;
use serde_json::Value;

const FORMATS: [&str; 3] = ["common", "combined", "json"];

/// More than the socket buffers of both sides hold together.
const BIG: u64 = 48 << 20;

/// A line of the log. What its format does not tell is `None`.
#[derive(Debug)]
struct Line {
    request: String,
    status: u16,
    bytes: u64,
    referer: Option<String>,
    user_agent: Option<String>,
    seconds: f64,
    is_aborted: bool,
}

impl Line {
    /// Reads a line strictly: printable ASCII, each field in its place, nothing behind the last one.
    fn parse(format: &str, line: &str) -> Line {
        let text = line.strip_suffix('\n').unwrap_or_else(|| panic!("not a whole line: {line:?}"));
        assert!(text.bytes().all(|b| (b' '..=b'~').contains(&b)), "not printable ASCII: {text:?}");
        let line = if format == "json" { Line::of_json(text) } else { Line::of_words(format, text) };
        assert!(line.seconds >= 0.0 && line.seconds < 300.0, "{line:?}");
        line
    }

    fn of_words(format: &str, text: &str) -> Line {
        let mut words = words(text).into_iter();
        let mut next = || words.next().unwrap_or_else(|| panic!("too few words in {text:?}"));
        assert_eq!([next(), next(), next()], ["127.0.0.1", "-", "-"]);
        let time = next();
        assert!(time.starts_with('[') && time.ends_with(" +0000]"), "{time}");
        let (request, status, bytes) = (next(), next(), next());
        let is_combined = format == "combined";
        let [referer, user_agent] = [(); 2].map(|()| is_combined.then(&mut next));
        let seconds = next();
        let end: Vec<String> = words.collect();
        assert!(end.is_empty() || end == ["aborted"], "{end:?} behind {text:?}");
        Line {
            request,
            status: status.parse().expect("a status"),
            bytes: if bytes == "-" { 0 } else { bytes.parse().expect("a number of bytes") },
            referer,
            user_agent,
            seconds: seconds.parse().expect("a number of seconds"),
            is_aborted: !end.is_empty(),
        }
    }

    fn of_json(text: &str) -> Line {
        let value: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{e} in {text:?}"));
        let object = value.as_object().expect("an object");
        let names = "time peer method target version referer user_agent status bytes seconds aborted";
        assert_eq!(object.len(), names.split(' ').count(), "{text}");
        let field = |name: &str| object.get(name).unwrap_or_else(|| panic!("no {name} in {text}"));
        // A backslash of the peer's is told from one that escapes by being two.
        let string = |name: &str| field(name).as_str().expect("a string").replace("\\\\", "\\");
        assert_eq!(string("peer"), "127.0.0.1");
        // RFC 3339 in UTC, so that times sort as text.
        let shape: String =
            string("time").chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert!(shape.starts_with("0000-00-00T00:00:00") && shape.ends_with('Z'), "{text}");
        let request = ["method", "target", "version"].map(string).join(" ");
        Line {
            request: request.trim_end().to_owned(),
            status: field("status").as_u64().and_then(|n| n.try_into().ok()).expect("a status"),
            bytes: field("bytes").as_u64().expect("a number of bytes"),
            referer: Some(string("referer")),
            user_agent: Some(string("user_agent")),
            seconds: field("seconds").as_f64().expect("a number of seconds"),
            is_aborted: field("aborted").as_bool().expect("true or false"),
        }
    }
}

/// The words of a line as log readers cut it: at single spaces that stand neither in quotes nor in brackets. In quotes a
/// backslash takes the meaning of what follows.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut rest) = (Vec::new(), text);
    loop {
        let (mut word, mut chars) = (String::new(), rest.char_indices());
        let end = if rest.starts_with('"') {
            chars.next();
            loop {
                match chars.next().unwrap_or_else(|| panic!("an open quote in {text:?}")) {
                    (at, '"') => break at + 1,
                    (_, '\\') => match chars.next().expect("something behind a backslash").1 {
                        c @ ('"' | '\\') => word.push(c),
                        c => word.extend(['\\', c]),
                    },
                    (_, c) => word.push(c),
                }
            }
        } else {
            let close = if rest.starts_with('[') { rest.find(']').expect("a bracket") } else { 0 };
            let end = rest[close..].find(' ').map_or(rest.len(), |at| close + at);
            word.push_str(&rest[..end]);
            end
        };
        words.push(word);
        if end == rest.len() {
            return words;
        }
        rest = rest[end..].strip_prefix(' ').unwrap_or_else(|| panic!("words without a space in {text:?}"));
    }
}

/// A server that logs in `format`, and reads as lines of it what it writes.
struct Logging {
    server: Server,
    format: &'static str,
}

impl Logging {
    fn with(site: &Site, format: &'static str, args: &[&str]) -> Logging {
        let log = ["--access-log", "--access-log-format", format];
        Logging { server: Server::with(site, &[&log, args].concat()), format }
    }

    fn line(&mut self) -> Line {
        Line::parse(self.format, &self.server.stdout_line())
    }

    /// Ends the server; no line may be left.
    fn expect_no_more(self) {
        self.server.signal(Signal::TERM);
        self.expect_end();
    }

    /// The server ends, and no line is left.
    fn expect_end(mut self) {
        assert_eq!(self.server.exit().code(), Some(0));
        assert_eq!(self.server.stdout_line(), "", "one line too many");
    }
}

/// `hello.txt`, `folder/` to be listed, and `big`, which is [`BIG`] and takes no room.
fn site() -> Site {
    let site = Site::new();
    for i in 0..500 {
        site.write(format!("folder/a file with the number {i}"), "");
    }
    site.sparse("big", BIG);
    site
}

fn request(line: &str, fields: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

/// A connection on which a download of `big` is under way that nobody reads; `fields` are of its request.
fn stalled(server: &Server, fields: &str) -> Client {
    let mut client = server.connect();
    client.send(request("GET /big", fields));
    assert!(matches!(client.head().status, 200 | 206));
    client
}

/// What comes behind a head until the connection is over, in whatever way.
fn count_rest(client: &mut Client) -> u64 {
    let (mut buffer, mut total) = (vec![0; 1 << 20], 0);
    while let Ok(n @ 1..) = client.socket.read(&mut buffer) {
        total += n as u64;
    }
    total
}

#[test]
fn a_line_counts_the_body_that_was_sent() {
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
            // The message's body as it is on the wire, chunk by chunk (RFC 9112 §6).
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
fn a_listing_for_http_1_0_is_counted_to_its_end() {
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
fn pipelined_requests_have_a_line_each_in_their_order() {
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
fn a_request_that_is_repeated_in_a_pipeline_has_a_line_each_time() {
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
fn who_came_from_where_is_told_by_combined_and_json() {
    let site = Site::new();
    let fields = "Referer: http://localhost/?q=\"x\"\r\nUser-Agent: Moz\\illa/5.0 (X11; \"Li nux\")\r\n";
    each(FORMATS, |format| {
        let mut logging = Logging::with(&site, format, &[]);
        logging.server.ask(request("GET /", fields));
        logging.server.ask(request("GET /", ""));
        let (told, untold) = (logging.line(), logging.line());
        if *format == "common" {
            return;
        }
        assert_eq!(told.referer.as_deref(), Some("http://localhost/?q=\"x\""));
        assert_eq!(told.user_agent.as_deref(), Some("Moz\\illa/5.0 (X11; \"Li nux\")"));
        let nothing = if *format == "json" { "" } else { "-" };
        assert_eq!((untold.referer.as_deref(), untold.user_agent.as_deref()), (Some(nothing), Some(nothing)));
    });
}

#[test]
fn a_line_is_written_when_its_response_is_sent_and_not_before() {
    let site = site();
    each(FORMATS, |format| {
        let mut logging = Logging::with(&site, format, &[]);
        let mut slow = stalled(&logging.server, "Connection: close\r\n");
        // Whoever comes later and is done sooner stands first.
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

#[test]
fn what_was_not_sent_to_its_end_is_aborted_with_what_was_sent() {
    const READ: usize = 1 << 20;
    const PARTS: &str = "Range: bytes=0-19999999,20000001-43999999\r\n";
    let site = site();
    // Who ends it: the peer, or the server after a time-out, or the server at its own end.
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
fn a_file_that_shrinks_while_it_is_sent_is_aborted_with_what_there_was() {
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
fn a_peer_that_closes_its_side_and_reads_on_has_got_everything() {
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
fn of_pipelined_requests_those_before_the_end_are_whole_and_those_behind_claim_nothing() {
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
        // The third may have been understood; sent it was not.
        logging.server.signal(Signal::TERM);
        let third = logging.server.stdout_line();
        if !third.is_empty() {
            let third = Line::parse(format, &third);
            assert_eq!((third.bytes, third.is_aborted), (0, true), "{third:?}");
        }
    });
}

#[test]
fn seconds_are_those_that_the_response_took() {
    let site = site();
    each(FORMATS, |format| {
        let mut logging = Logging::with(&site, format, &[]);
        let mut kept = logging.server.connect();
        let begun = Instant::now();
        let mut slow = stalled(&logging.server, "Connection: close\r\n");
        let under_way = Instant::now();
        let mut seconds_of = |logging: &mut Logging| {
            let sent = Instant::now();
            kept.send(get("/hello.txt"));
            kept.response();
            let seconds = logging.line().seconds;
            (seconds, sent.elapsed().as_secs_f64())
        };
        // Meanwhile somebody quick asks again and again, on one connection.
        while under_way.elapsed() < Duration::from_millis(300) {
            let (seconds, at_most) = seconds_of(&mut logging);
            // Not the connection's age, and not the slow one's: with room for the turn in which it came.
            assert!(seconds <= at_most + 0.1, "{seconds} s, but all took {at_most} s");
        }
        let waited = under_way.elapsed().as_secs_f64();
        assert_eq!(slow.rest().len() as u64, BIG);
        let line = logging.line();
        let at_most = begun.elapsed().as_secs_f64() + 0.1;
        assert!((waited - 0.01..at_most).contains(&line.seconds), "{line:?} after {waited} s");
    });
}

#[test]
fn what_a_peer_says_stays_in_its_field_of_one_line() {
    let site = Site::new();
    let lines: [(&[u8], &str); 8] = [
        (b"GET /\"\\\"?\" 200 1 0.1 HTTP/1.1", ""),
        (b"GET /\\x0a\" HTTP/1.1", "GET /\\x0a\" HTTP/1.1"),
        (b"GET /\",\"status\":999,\"x\":\" HTTP/1.1", "GET /\",\"status\":999,\"x\":\" HTTP/1.1"),
        (b"GET /\x1b]0;title\x07 HTTP/1.1", "GET /\\x1b]0;title\\x07 HTTP/1.1"),
        (b"GET /\xc3\xa4\xff\x7f HTTP/1.1", "GET /\\xc3\\xa4\\xff\\x7f HTTP/1.1"),
        (b"GET /\xe2\x80\xa8\xc2\x9b HTTP/1.1", "GET /\\xe2\\x80\\xa8\\xc2\\x9b HTTP/1.1"),
        (b"\x16\x03\x01\x02\x00", "\\x16\\x03\\x01\\x02\\x00"),
        (b"G\x00T / HTTP/1.1", "G\\x00T / HTTP/1.1"),
    ];
    let fields: [&[u8]; 7] = [
        b"\" 1 aborted",
        b"\\",
        b"\\\" \"",
        b"\",\"status\":999,\"",
        b"\xc3\xa4\xff\xe2\x80\xa8\t\xc2\x9b",
        b"</script><script>",
        b"",
    ];
    each(FORMATS, |format| {
        let mut logging = Logging::with(&site, format, &[]);
        for (line, shown) in lines {
            let status = logging.server.ask([line, b"\r\nHost: a\r\n\r\n"].concat()).status;
            let logged = logging.line();
            assert_eq!((logged.status, logged.is_aborted), (status, false), "{logged:?}");
            assert!(shown.is_empty() || logged.request == shown, "{logged:?} is not {shown}");
        }
        for value in fields {
            let parts =
                [b"GET / HTTP/1.1\r\nHost: a\r\nReferer: ", value, b"\r\nUser-Agent: ", value, b"\r\n\r\n"];
            assert_eq!(logging.server.ask(parts.concat()).status, 200);
            let logged = logging.line();
            assert_eq!((&*logged.request, logged.status, logged.bytes), ("GET / HTTP/1.1", 200, 5));
            assert!(!logged.is_aborted);
            assert_eq!(logged.referer, logged.user_agent, "{logged:?}");
            if let Some(text) = logged.referer.filter(|_| value.is_ascii() && !value.is_empty()) {
                assert_eq!(text.as_bytes(), value, "what is printable is shown as it is");
            }
        }
        // As long as a head may be, in characters that are escaped: the line is not.
        let long = [b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: ", &[0xff; 15_000][..], b"\r\n\r\n"].concat();
        assert_eq!(logging.server.ask(long).status, 200);
        let line = logging.server.stdout_line();
        Line::parse(format, &line);
        assert!(line.len() < 15_000, "{} bytes", line.len());
        logging.expect_no_more();
    });
}

#[test]
fn what_was_escaped_in_json_can_be_told_from_what_looks_like_it() {
    let site = Site::new();
    let mut logging = Logging::with(&site, "json", &[]);
    for (value, shown) in [(&b"\xff"[..], r#""\\xff""#), (b"\\xff", r#""\\\\xff""#)] {
        logging.server.ask([b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: ", value, b"\r\n\r\n"].concat());
        let line = logging.server.stdout_line();
        assert!(line.contains(&format!("\"user_agent\":{shown}")), "{line}");
    }
}

#[test]
fn half_a_request_and_no_request_at_all() {
    let site = Site::new();
    each(FORMATS, |format| {
        let mut logging = Logging::with(&site, format, &["--head-timeout", "200ms"]);
        let mut silent = logging.server.connect();
        silent.expect_close(); // it said nothing, so that nothing is said of it
        let mut half = logging.server.connect();
        half.send("GET /half HTTP/1.1\r\nHost: a\r\nUser-Agent: x");
        let body = half.response().body.len() as u64;
        let line = logging.line();
        assert_eq!((&*line.request, line.status), ("GET /half HTTP/1.1", 408));
        assert_eq!((line.bytes, line.is_aborted), (body, false));
        drop(half); // else the server waits for it to take its answer
        logging.expect_no_more();
    });
}
