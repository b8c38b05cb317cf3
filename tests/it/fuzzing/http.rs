//! Whole HTTP conversations. Whatever a client sends, and however its bytes are cut: the answers
//! are the same bytes, each is framed as it says, and nothing follows one that ends the connection.

use std::{
    cell::OnceCell,
    rc::Rc,
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use oneloop::{
    Address, Timeouts,
    internals::{HttpService, MediaTypes, Site, SiteOptions, UrlOptions, locate, parse},
    protocol::ProtocolFactory,
};
use tempfile::TempDir;

use super::{
    conversation::{Conversation, Loop, cuts, split_choice},
    response::Response,
};

/// The maximum length of the input that a connection keeps: a head and a body.
const MAX_KEPT: usize = 64 * 1024;

/// The lengths of the files: sent with their heads, from memory, and from disk.
const LENS: [usize; 4] = [0, 1000, 40_000, 200_000];

/// The site that the requests are for, and services with different options.
struct Served {
    services: [Rc<HttpService>; 2],
    now: SystemTime,
    _dir: TempDir,
}

impl Served {
    fn new() -> Served {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |name: &str, content: &[u8]| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().expect("its directory")).expect("create it");
            std::fs::write(path, content).expect("write a file");
        };
        LENS.iter().for_each(|len| write(&format!("{len}.bin"), &PATTERN[..*len]));
        write("index.html", b"home\n");
        write("page.html", b"a page\n");
        write("hello.txt", PLAIN);
        write("hello.txt.gz", GZIPPED);
        write("list/a<b.txt", b"a");
        write("list/c d.txt", b"a");
        write(".env", b"secret");
        let service = |options| {
            let site =
                Site::open(dir.path(), SiteOptions::default(), MediaTypes::default()).expect("open it");
            let timeouts = Timeouts { head: None, idle: None };
            Rc::new(HttpService::new(Rc::new(site), timeouts).with_url_options(options))
        };
        let services = [
            service(UrlOptions { listing: true, clean_urls: true, ..UrlOptions::default() }),
            service(UrlOptions { spa: locate(b"/index.html").ok(), ..UrlOptions::default() }),
        ];
        // A minute from now, the files that were written just now count as settled and keep their
        // tags.
        Served { services, now: SystemTime::now() + Duration::from_secs(60), _dir: dir }
    }
}

/// The content of `hello.txt` and of `hello.txt.gz`.
pub const PLAIN: &[u8] = b"hello\n";
/// The file that stands for the compressed one. The server does not look into it.
pub const GZIPPED: &[u8] = b"not really gzip";

/// The content of the longest file, without a short period. The others are its beginnings.
static PATTERN: LazyLock<Vec<u8>> =
    LazyLock::new(|| (0..200_000_usize).map(|i| (i.wrapping_mul(31) ^ (i >> 8) ^ (i >> 16)) as u8).collect());

thread_local! {
    static SERVED: OnceCell<Served> = const { OnceCell::new() };
}

/// Checks a conversation. The first byte decides about the cuts and the options.
pub fn conversation(data: &[u8]) {
    let (choice, stream) = split_choice(data);
    answer(choice, stream);
}

/// Sends `stream` to a new connection, in several cuts, and checks what comes back. Returns it.
pub fn answer(choice: u8, stream: &[u8]) -> Conversation {
    let mut whole: Option<Conversation> = None;
    for pieces in cuts(stream, choice) {
        let got = converse(choice, &pieces);
        match &whole {
            None => {
                assert_framed(stream, &got);
                whole = Some(got);
            }
            Some(whole) => assert_eq!(whole, &got, "it depends on the cut"),
        }
    }
    whole.expect("at least one cut")
}

fn converse(choice: u8, pieces: &[&[u8]]) -> Conversation {
    SERVED.with(|served| {
        let served = served.get_or_init(Served::new);
        let mut service = Rc::clone(&served.services[usize::from(choice >> 7)]);
        let mut connection = Loop::new(service.create(&Address::Unix(None)), served.now, MAX_KEPT);
        connection.receive(pieces.iter().copied());
        connection.end()
    })
}

/// Asserts that the output is one response for each request of `input`, and nothing else.
fn assert_framed(input: &[u8], got: &Conversation) {
    let (mut input, mut output) = (input, &got.output[..]);
    loop {
        let (asked, is_refused) = match parse(input) {
            Ok(Some((request, len))) => {
                assert!(0 < len && len <= input.len(), "a request of {len} bytes");
                (Some((request.info.line, request.info.persists(), len)), false)
            }
            Ok(None) => (None, false),
            Err(_) => (None, true),
        };
        let is_partial = !input.is_empty() && input != b"\r\n";
        if asked.is_none() && !is_refused && !is_partial {
            assert!(output.is_empty(), "a response to nothing");
            assert_eq!(got.closed, None, "closed without a reason");
            return;
        }
        let line = asked.map_or_else(|| input.strip_prefix(b"\r\n").unwrap_or(input), |(line, _, _)| line);
        let response = Response::parse(output, line.starts_with(b"HEAD "));
        assert_ranges(&response);
        output = &output[response.len..];
        let closes = response.field("Connection") == Some("close");
        assert!(closes || !response.ends_with_connection, "a body without an end");
        let persists = asked.is_some_and(|(_, persists, len)| persists && !leaves_a_body(&input[..len]));
        assert!(persists || closes, "a request that ends the connection: {}", response.head);
        if closes {
            assert!(output.is_empty(), "output after the last response");
            let is_late = asked.is_none() && !is_refused;
            assert!(got.closed.is_some() || is_late, "{} and no close", response.head);
            return;
        }
        input = &input[asked.map_or(0, |(_, _, len)| len)..];
    }
}

/// Returns whether `request` announces a body and contains none. The body would be parsed as the
/// next request if the connection went on.
fn leaves_a_body(request: &[u8]) -> bool {
    // A body may end like a head does, so only a request that ends with its head counts.
    let end = request.windows(4).position(|four| four == b"\r\n\r\n");
    let Some(head) = end.filter(|end| end + 4 == request.len()).map(|end| &request[..end]) else {
        return false;
    };
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let has_body = |line: &str| {
        let len = line.strip_prefix("content-length:").map(str::trim);
        line.starts_with("transfer-encoding:") || len.is_some_and(|len| len.bytes().any(|byte| byte != b'0'))
    };
    head.split("\r\n").any(has_body)
}

fn assert_ranges(response: &Response<'_>) {
    if response.status == 206 && !response.body.is_empty() {
        // Files of other lengths are those with a text.
        response.assert_ranges(|len| match len {
            6 => PLAIN,
            15 => GZIPPED,
            len if LENS.contains(&len) => &PATTERN[..len],
            5 => b"home\n",
            7 => b"a page\n",
            1 => b"a",
            len => panic!("no file has {len} bytes"),
        });
    }
}
