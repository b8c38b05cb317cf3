//! Properties that hold for every stream of requests. The tests drive the protocol without sockets,
//! so that thousands of cases run quickly.

use std::{
    cell::OnceCell,
    rc::Rc,
    time::{Duration, SystemTime},
};

use crate::{
    common::{Site, lossy, pattern},
    fuzzing::conversation::take,
};
use oneloop::{
    Address, Timeouts,
    clock::Clock,
    internals::{
        DotfilePolicy, HttpService, MediaTypes, Site as OpenSite, SiteOptions, UrlOptions, locate, parse,
    },
    protocol::{
        Context, InputBudget, LoopCounters, LoopRequests, Outbox, Progress, ProtocolFactory, Received,
        WorkBudget,
    },
    trace::Observers,
};
use proptest::{collection::vec, prelude::*, sample::select};

/// Lengths of files that are sent with their head, from memory, and from disk.
const LENS: [usize; 4] = [0, 1000, 40_000, 200_000];

struct Rig {
    http: Rc<HttpService>,
    now: SystemTime,
    _site: Site,
}

impl Rig {
    fn new() -> Rig {
        let site = Site::new();
        for len in LENS {
            site.write(format!("{len}.bin"), pattern(len));
        }
        site.write("list/a<b.txt", "a");
        site.write("hello.txt.gz", "not really gzip");
        let opened =
            OpenSite::open(site.path(), SiteOptions::default(), MediaTypes::default()).expect("open it");
        let timeouts = Timeouts { head: None, idle: None };
        let options = UrlOptions { listing: true, clean_urls: true, ..UrlOptions::default() };
        // The clock is a minute ahead, so that files written just now count as settled and keep
        // their ETag.
        let now = SystemTime::now() + Duration::from_secs(60);
        let http = HttpService::new(Rc::new(opened), timeouts).with_url_options(options);
        Rig { http: Rc::new(http), now, _site: site }
    }

    /// Feeds `pieces` to a connection in turn; returns all output and whether the connection was
    /// closed.
    fn answer<'a>(&self, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, bool) {
        let mut protocol = Rc::clone(&self.http).create(&Address::Unix(None));
        let (mut observers, mut work) = (Observers::default(), WorkBudget::default());
        let (mut requests, mut counters) = (LoopRequests::default(), LoopCounters::default());
        let input_budget = InputBudget::default();
        let (mut out, mut got) = (Outbox::default(), Vec::new());
        let mut clock = Clock::frozen(self.now);
        let (mut input, mut has_yielded) = (Vec::new(), false);
        for piece in pieces {
            input.extend_from_slice(piece);
            loop {
                work.refill(&mut requests);
                let mut cx = Context::without_loop(
                    &clock,
                    &mut observers,
                    &mut work,
                    &input_budget,
                    &mut requests,
                    &mut counters,
                );
                let Received { consumed, progress } = if has_yielded {
                    Received { consumed: 0, progress: protocol.resume(&mut out, &mut cx) }
                } else {
                    protocol.receive(&input, &mut out, &mut cx)
                };
                input.drain(..consumed);
                take(&mut out, &mut got);
                has_yielded = matches!(progress, Progress::Yield | Progress::WaitUntil(None));
                match progress {
                    Progress::Close(_) => return (got, true),
                    Progress::NeedInput | Progress::Partial => break,
                    Progress::Again if input.is_empty() => break,
                    Progress::Again => {}
                    Progress::Yield | Progress::WaitUntil(None) => clock.tick(),
                    Progress::WaitUntil(Some(_)) | Progress::HalfClose => unreachable!("HTTP does neither"),
                }
            }
        }
        (got, false)
    }
}

thread_local! {
    static RIG: OnceCell<Rig> = const { OnceCell::new() };
}

fn with_rig<T>(test: impl FnOnce(&Rig) -> T) -> T {
    RIG.with(|rig| test(rig.get_or_init(Rig::new)))
}

/// Generates a complete request, valid or malformed.
fn request() -> impl Strategy<Value = Vec<u8>> {
    let method = select(vec!["GET", "GET", "GET", "HEAD", "OPTIONS", "POST", "PUT", "BREW", "get"]);
    let target = select(vec![
        "/",
        "/hello.txt",
        "/0.bin",
        "/1000.bin",
        "/40000.bin",
        "/200000.bin",
        "/missing",
        "/docs",
        "/docs/index.html",
        "/list/",
        "/list/?sort=size",
        "/../etc",
        "/%",
        "/%2e%2e",
        "*",
        "http://localhost/hello.txt",
    ]);
    let version = select(vec!["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0"]);
    let field = select(vec![
        "",
        "Range: bytes=1-5\r\n",
        "Range: bytes=0-0,-1,3-5\r\n",
        "Range: bytes=0-30000,500-\r\n",
        "If-None-Match: *\r\n",
        "If-Match: \"other\"\r\n",
        "Accept: application/json\r\n",
        "Accept-Encoding: gzip, br;q=0.5\r\n",
        "Accept-Encoding: identity;q=0\r\n",
        "Connection: keep-alive\r\n",
        "Connection: close\r\n",
        "X-Odd: \u{e9}\t:\r\n",
        "X : y\r\n",
        "Host: twice\r\n",
        "X: bare\n",
    ]);
    let body = select(vec![
        "\r\n",
        "\r\n",
        "\r\n",
        "Content-Length: 5\r\n\r\nGET /",
        "Transfer-Encoding: chunked\r\n\r\n5;x=y\r\nGET /\r\n0\r\nT: x\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nGET /1\r\n",
        "Content-Length: 99999\r\n\r\n",
        "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nab",
        "Content-Length: 5\r\nContent-Length: 6\r\n\r\nGET /",
    ]);
    (method, target, version, vec(field, 0..3), body, select(vec!["", "", "", "\r\n"])).prop_map(
        |(method, target, version, fields, body, before)| {
            format!("{before}{method} {target} {version}\r\nHost: localhost\r\n{}{body}", fields.concat())
                .into_bytes()
        },
    )
}

/// Cuts `stream` at each of `cuts`, given as fractions of its length in 1/65536.
fn cut<'a>(stream: &'a [u8], cuts: &[u16]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| stream.len() * usize::from(*cut) / 65536).collect();
    at.extend([0, stream.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect()
}

/// Returns the first response in `bytes` and the rest. Parses strictly and panics if the framing is
/// wrong. `to_head` means that the request was HEAD.
fn split_response(bytes: &[u8], to_head: bool) -> (String, Vec<u8>, &[u8]) {
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").expect("a complete head") + 4;
    let head = std::str::from_utf8(&bytes[..end]).expect("ASCII").to_owned();
    assert!(head.starts_with("HTTP/1.1 "), "{head}");
    let rest = &bytes[end..];
    let status = &head[9..12];
    if to_head || matches!(status, "204" | "304") {
        return (head, Vec::new(), rest);
    }
    if let Some(len) = field(&head, "Content-Length") {
        let (body, rest) = rest.split_at(len.parse().expect("a number"));
        return (head, body.to_vec(), rest);
    }
    if field(&head, "Transfer-Encoding") != Some("chunked") {
        return (head, rest.to_vec(), b"");
    }
    let (mut body, mut rest) = (Vec::new(), rest);
    loop {
        let end = rest.windows(2).position(|w| w == b"\r\n").expect("a chunk's size");
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).expect("ASCII"), 16).expect("hex");
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        assert_eq!(&rest[end + 2 + size..end + 4 + size], b"\r\n");
        rest = &rest[end + 4 + size..];
        if size == 0 {
            return (head, body, rest);
        }
    }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.split("\r\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// Generates a range: usually near the ends of a file of `len` bytes, sometimes invalid.
fn member(len: u64) -> impl Strategy<Value = String> {
    let number = prop_oneof![0..len + 3, Just(len.saturating_sub(1)), Just(u64::MAX)];
    let other =
        select(vec!["", "-", "5-2", "a-b", "0 - 4", "99999999999999999999999-"]).prop_map(str::to_owned);
    prop_oneof![
        4 => (number.clone(), number.clone()).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        2 => number.clone().prop_map(|first| format!("{first}-")),
        2 => number.prop_map(|suffix| format!("-{suffix}")),
        1 => other,
    ]
}

/// Asserts that `content_range`, the value of a Content-Range field, describes `part`.
fn assert_slice(content_range: &str, part: &[u8], whole: &[u8]) {
    let (range, len) = content_range
        .strip_prefix("bytes ")
        .and_then(|content_range| content_range.split_once('/'))
        .expect(content_range);
    let (first, last) = range.split_once('-').expect(content_range);
    let (first, last): (usize, usize) =
        (first.parse().expect(content_range), last.parse().expect(content_range));
    assert_eq!(len, whole.len().to_string());
    assert!(first <= last && part == &whole[first..=last], "{content_range} does not match the bytes sent");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    /// How a stream is split into reads, and how much arrives at once, does not change the
    /// responses (RFC 9112 sections 2.2 and 9.3.2).
    #[test]
    fn pipeline_split_anywhere_gets_the_same_responses(
        requests in vec(request(), 1..6),
        cuts in vec(any::<u16>(), 0..12),
    ) {
        with_rig(|rig| {
            let stream = requests.concat();
            let whole = rig.answer([&stream[..]]);
            for pieces in [cut(&stream, &cuts), stream.chunks(1).collect()] {
                let (got, is_over) = rig.answer(pieces.iter().copied());
                assert_eq!((lossy(&got), is_over), (lossy(&whole.0), whole.1), "cut: {pieces:?}");
                assert!(got == whole.0);
            }
        });
    }

    /// Every response ends where its framing says, so that the next one can be found. Each request
    /// gets one response.
    #[test]
    fn response_ends_where_it_says(requests in vec(request(), 1..6)) {
        with_rig(|rig| {
            let (got, is_over) = rig.answer([&requests.concat()[..]]);
            let mut rest = &got[..];
            let mut answered = requests.iter();
            while !rest.is_empty() {
                let request = answered.next().expect("a response without a request");
                let to_head = request.strip_prefix(b"\r\n").unwrap_or(request).starts_with(b"HEAD ");
                let (head, _, remainder) = split_response(rest, to_head);
                let closes = field(&head, "Connection") == Some("close");
                assert!(!closes || (is_over && remainder.is_empty()), "bytes after a closing response: {head}");
                rest = remainder;
            }
        });
    }

    /// Whatever the request, a partial response contains the slice that it declares (RFC 9110
    /// section 14).
    #[test]
    fn range_response_is_the_slice_that_it_declares(
        (len, members) in select(LENS.to_vec()).prop_flat_map(|len| (Just(len), vec(member(len as u64), 0..6))),
    ) {
        with_rig(|rig| {
            let set = members.join(",");
            let request = format!("GET /{len}.bin HTTP/1.1\r\nHost: localhost\r\nRange: bytes={set}\r\n\r\n");
            let (got, _) = rig.answer([request.as_bytes()]);
            let (head, body, remainder) = split_response(&got, false);
            assert!(remainder.is_empty());
            let whole = pattern(len);
            match (&head[9..12], field(&head, "Content-Range")) {
                ("200", None) => assert!(body == whole, "{set}"),
                ("206", Some(content_range)) => assert_slice(content_range, &body, &whole),
                ("206", None) => {
                    let media_type = field(&head, "Content-Type").expect("a type");
                    let boundary = media_type.strip_prefix("multipart/byteranges; boundary=").expect(media_type);
                    assert_parts(&body, boundary, &whole);
                }
                ("416", Some(content_range)) => assert_eq!(content_range, format!("bytes */{len}")),
                _ => panic!("{set}: {head}"),
            }
        });
    }

    /// Whatever the target, the resulting path stays inside the site.
    #[test]
    fn path_never_leads_up(target in "(/|\\.|%2e|%2F|a|%00|\\\\|%25|%zz|//){0,12}") {
        if let Ok(path) = locate(format!("/{target}").as_bytes()) {
            let bytes = path.bytes();
            assert!(!bytes.starts_with(b"/") && !bytes.contains(&0), "{path}");
            assert!(bytes.split(|b| *b == b'/').all(|name| !matches!(name, b"." | b"..")), "{path}");
            assert!(!bytes.windows(2).any(|pair| pair == b"//"), "{path}");
            assert!(!DotfilePolicy::Visible.allow_all(&path) || !bytes.starts_with(b".") || bytes.starts_with(b".well-known"));
        }
    }
}

/// Parses a multipart body (RFC 2046 section 5.1.1) and asserts that each part contains the slice
/// that it declares.
fn assert_parts(body: &[u8], boundary: &str, whole: &[u8]) {
    let mut rest = body;
    let mut parts = 0;
    loop {
        rest = rest.strip_prefix(format!("\r\n--{boundary}").as_bytes()).expect("a delimiter");
        if rest == b"--\r\n" {
            break;
        }
        let end = rest.windows(4).position(|w| w == b"\r\n\r\n").expect("the part's head") + 4;
        let head = std::str::from_utf8(&rest[..end]).expect("ASCII");
        let delimiter = format!("\r\n--{boundary}");
        let content = &rest[end..];
        let len = memchr::memmem::find(content, delimiter.as_bytes()).expect("its end");
        assert_slice(field(head, "Content-Range").expect("its range"), &content[..len], whole);
        rest = &content[len..];
        parts += 1;
    }
    assert!(parts > 1, "a single part must not be multipart");
}

#[test]
fn refusal_does_not_depend_on_how_the_input_is_split() {
    let of_fields = |fields: &str| format!("GET / HTTP/1.1\r\n{fields}\r\n\r\n");
    let of_chunks = |body: &str| of_fields(&format!("Host: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}"));
    let fields = [
        "X : y",
        "X y",
        "X: a\0b",
        "X: a\rb",
        "X: a\nY : z",
        "A: b\r\n c",
        ": y",
        "Host: a b",
        "Host: a@b",
        "X: y",
        "Host: a\r\nHost: a",
        "Host: a\r\nContent-Length: x",
        "Host: a\r\nContent-Length: 1\r\nContent-Length: 1",
        "Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
        "Host: a\r\nTransfer-Encoding: gzip, chunked",
        "Host: a\r\nTransfer-Encoding: gzip",
        "Host: a\n\r\nX: \u{7f}",
    ];
    let chunks = [
        "x\r\n",
        "5;\r\nhello",
        "5\r\nhelloX",
        "1\r\na\rb",
        "0\r\nX : y\r\n\r\n",
        "0\r\nX\n\r\n",
        "5;a=\"\0",
        "+1\r\n",
    ];
    let long =
        [of_fields(&vec!["X: y"; 65].join("\r\n")), of_fields(&format!("X: {}", "a".repeat(64 * 1024)))];
    let lines = [
        "GET / HTTP/2.0\r\n",
        "GET /#a HTTP/1.1\r\n",
        "CONNECT a HTTP/1.1\r\n",
        "GET http://u@a/ HTTP/1.1\r\n",
        "\r\n\r\n",
    ];
    let table = fields.map(of_fields).into_iter().chain(chunks.map(of_chunks)).chain(long);
    for input in table.chain(lines.map(str::to_owned)) {
        let whole = parse(input.as_bytes()).expect_err(&input);
        let steps = if input.len() > 1000 { 997 } else { 1 };
        let cuts = (0..input.len()).step_by(steps).chain([input.len()]);
        let first = cuts.clone().find_map(|cut| parse(&input.as_bytes()[..cut]).err());
        assert_eq!(first, Some(whole), "{:?}", &input[..input.len().min(80)]);
    }
}
