//! `--observe`: the live page, which only its URL opens, and the turns that it gets.

mod browser;

use std::{path::Path, process::Command};

use serde_json::Value;

use crate::common::*;

/// A server with a live page.
pub struct Observed {
    pub server: Server,
    /// The URL of the page.
    pub url: String,
}

impl Observed {
    fn with(site: &Site, args: &[&str]) -> Observed {
        let mut server = Server::with(site, &[&["--observe"], args].concat());
        server.read_line();
        let url = server.lines[1].clone();
        Observed { server, url }
    }

    /// Serves the page of a recording.
    pub fn of_recording(file: &Path) -> Observed {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
        command.arg("replay").arg(file).arg("--observe");
        let server = Server::spawn(command);
        let url = server.lines[0].clone();
        Observed { server, url }
    }

    /// Returns the host and port, and the secret path.
    pub fn parts(&self) -> (&str, &str) {
        let rest = self.url.strip_prefix("http://").expect("a URL");
        rest.split_at(rest.find('/').expect("a path"))
    }

    /// Sends `method path` to the listener of the page, with these field lines.
    pub fn ask(&self, method: &str, path: &str, fields: &str) -> Response {
        let mut client = Client::connect(self.parts().0.parse().expect("an address"));
        let request = format!("{method} {path} HTTP/1.1\r\n{fields}Connection: close\r\n\r\n");
        client.send(&request);
        client.response_to(request.as_bytes())
    }

    /// Opens a stream of turns as a browser named `test`.
    pub fn turns(&self) -> Turns {
        let (host, path) = self.parts();
        let mut client = Client::connect(host.parse().expect("an address"));
        client.send(format!("GET {path}events HTTP/1.1\r\nHost: {host}\r\nUser-Agent: test\r\n\r\n"));
        let head = client.head();
        assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
        let hello = message(&mut client, "hello");
        Turns { client, hello }
    }
}

/// Reads the next message, which must be of this kind.
fn message(client: &mut Client, kind: &str) -> Value {
    let text = String::from_utf8(client.take_until(b"\n\n")).expect("text");
    let data = text.strip_prefix(&format!("event: {kind}\ndata: ")).expect(&text);
    serde_json::from_str(data).expect("JSON")
}

/// A stream of turns.
pub struct Turns {
    client: Client,
    pub hello: Value,
}

impl Turns {
    /// Reads turns through the first one that contains `text`.
    pub fn until(&mut self, text: &str) -> Vec<Value> {
        let mut turns = Vec::new();
        loop {
            let Value::Array(more) = message(&mut self.client, "turns") else { panic!("no list of turns") };
            turns.extend(more);
            if turns.iter().any(|turn| turn.to_string().contains(text)) {
                return turns;
            }
        }
    }
}

fn site() -> Site {
    let site = Site::empty();
    site.write("hello.txt", "hello\n");
    site
}

#[test]
fn observe_page_opens_at_its_url_only() {
    let site = site();
    let observed = Observed::with(&site, &[]);
    let (host, path) = observed.parts();
    let port = host.split(':').nth(1).expect("a port");
    assert!(host.starts_with("127.0.0.1:") && path.len() == 34, "{}", observed.url);
    let own = format!("Host: {host}\r\n");
    let (localhost, bare) = (format!("Host: localhost:{port}\r\n"), "Host: 127.0.0.1\r\n".to_owned());
    let cross = format!("{own}Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n");
    let wrong = path.replace(|c: char| c != '/', "0");
    let table = [
        ("GET", path, &own, 200),
        ("HEAD", path, &own, 200),
        ("GET", path, &localhost, 421),
        ("GET", path, &bare, 421),
        ("GET", path, &cross, 403),
        ("GET", "/", &own, 404),
        ("GET", &wrong, &own, 404),
        ("GET", &path[..path.len() - 1], &own, 404),
        ("GET", &format!("{path}hello.txt"), &own, 404),
        ("POST", path, &own, 405),
        ("NONSENSE", path, &own, 405),
        ("GET", path, &String::new(), 400),
    ];
    for (method, path, fields, status) in table {
        let response = observed.ask(method, path, fields);
        assert_eq!(response.status, status, "{method} {path} {fields}");
        assert_eq!(response.header("cache-control"), Some("no-store"));
        assert_eq!(response.header("access-control-allow-origin"), None);
        let policy = response.header("content-security-policy").expect("a policy");
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    }
    assert_eq!(observed.server.get(path).status, 404, "the site itself does not have it");
}

#[test]
fn observe_page_has_its_files() {
    let site = site();
    let observed = Observed::with(&site, &[]);
    let (host, path) = observed.parts();
    let page = observed.ask("GET", path, &format!("Host: {host}\r\n")).text();
    let names = page.split(['"', ' ', '>']).filter(|word| word.ends_with(".js") || word.ends_with(".css"));
    let names: Vec<&str> = names.filter(|name| !name.contains('/')).collect();
    assert!(names.len() >= 2, "{names:?}");
    for name in names {
        let file = observed.ask("GET", &format!("{path}{name}"), &format!("Host: {host}\r\n"));
        assert_eq!(file.status, 200, "{name}");
    }
}

#[test]
fn observe_stream_shows_turns_and_no_secrets() {
    let site = site();
    let observed = Observed::with(&site, &[]);
    let mut early = observed.server.connect();
    early.send("GET /hel");
    eventually("the loop has read it", || {
        let turns = observed.turns();
        turns.hello["state"]["rows"][0]["unread"] == 8
    });
    let mut turns = observed.turns();
    assert_eq!(turns.hello["state"]["rows"][0]["state"], "HEAD", "{}", turns.hello);
    let mut client = observed.server.connect();
    client.send("GET /\x1b?a HTTP/1.1\r\nHost: localhost\r\nUser-Agent: test\r\nCookie: secret\r\n\r\n");
    client.response();
    early.reset();
    client.finish();
    client.rest();
    let seen = turns.until("\"closed\":\"bad-request\"");
    let text = Value::from(seen.clone()).to_string();
    assert!(!text.contains("secret") && !text.contains('\x1b'), "{text}");
    let request = seen.iter().find(|turn| turn.to_string().contains("parse refused")).expect(&text);
    let own = request["rows"].as_array().expect("rows").iter();
    let own = own.filter(|row| row["agent"] == turns.hello["agent"]).count();
    assert_eq!(own, 1, "the connection of the same client is marked: {request}");
    let phase = &request["phases"][0];
    assert!(phase["kind"] == "handle" && phase["does"].to_string().contains("\"read\",\"parse\""), "{phase}");
    assert_eq!(request["rs"], format!("{{{}}}", phase["source"].as_str().expect("a name")));
    assert!(request["rlist"].as_str().is_some_and(|list| list.starts_with("{L1,")), "{request}");
}

#[test]
fn observe_stream_hides_and_counts_its_own_turns() {
    let site = site();
    let observed = Observed::with(&site, &[]);
    let mut turns = observed.turns();
    let first = observed.turns();
    drop(first);
    // A browser asks for its files while the stream is open.
    let (host, path) = observed.parts();
    for _ in 0..3 {
        observed.ask("GET", path, &format!("Host: {host}\r\n"));
    }
    observed.server.get("/hello.txt");
    let seen = turns.until("hello.txt");
    let hidden: u64 = seen.iter().map(|turn| turn["hidden"].as_u64().expect("a number")).sum();
    assert!(hidden >= 3, "{hidden} of {seen:?}");
    let page = path.trim_matches('/');
    for turn in &seen {
        let text = turn.to_string();
        assert!(!text.contains(page) && !text.contains(host), "{text}");
        assert_eq!(turn["open"].as_u64().map(|open| open <= 1), Some(true), "{text}");
    }
}

#[test]
fn observe_records_a_busy_loop_in_part_and_never_stops() {
    let site = site();
    let observed = Observed::with(&site, &[]);
    let mut turns = observed.turns();
    let mut client = observed.server.connect();
    for _ in 0..1000 {
        client.send(get("/hello.txt"));
        client.response();
    }
    client.send(get("/last.txt"));
    client.response();
    let mut numbers: Vec<u64> = Vec::new();
    let mut latest = String::new();
    // The last request may fall into the part of a period that is not recorded.
    while !latest.contains("last.txt") {
        let seen = turns.until("\"turn\"");
        // What happened while nothing was recorded has no number.
        numbers.extend(seen.iter().filter_map(|turn| turn["turn"].as_u64()));
        latest = seen.last().expect("a turn").to_string();
        client.send(get("/last.txt"));
        client.response();
    }
    assert!(numbers.is_sorted() && numbers.len() < 1000, "{numbers:?}");
}

#[test]
fn observe_trial_is_shown_like_a_connection_of_the_site() {
    let site = site();
    let observed = Observed::with(&site, &[]);
    let mut turns = observed.turns();
    let (host, path) = observed.parts();
    let mut client = Client::connect(host.parse().expect("an address"));
    client.send(format!("GET {path}try/large HTTP/1.1\r\nHost: {host}\r\nUser-Agent: test\r\n\r\n"));
    let head = client.head();
    assert_eq!((head.status, head.header("content-length")), (200, Some("67108864")));
    // It reads nothing now.
    let seen = turns.until("\"state\":\"BLOCKED\"");
    let mut rows = seen.iter().flat_map(|turn| turn["rows"].as_array().expect("rows"));
    let blocked = rows.rfind(|row| row["state"] == "BLOCKED").expect("a row").clone();
    assert_eq!((&blocked["agent"], &blocked["is_armed"]), (&turns.hello["agent"], &true.into()));
    let id = blocked["id"].as_str().expect("a name").to_owned();
    // It enters wlist, which the next turn shows.
    observed.server.get("/hello.txt");
    turns.until(&format!("\"wlist\":\"{{{id}}}\""));
    client.reset();
    let seen = turns.until("\"closed\":\"reset\"");
    assert!(seen.iter().any(|turn| turn.to_string().contains(&format!("{id} close reason=reset"))));
}

#[test]
fn observe_trial_sends_all_of_it() {
    let site = site();
    let observed = Observed::with(&site, &[]);
    let (host, path) = observed.parts();
    let mut client = Client::connect(host.parse().expect("an address"));
    client.send(format!("GET {path}try/large HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    assert_eq!(client.head().status, 200);
    client.skip(64 << 20);
    client.expect_close();
}

#[test]
fn observe_streams_are_limited() {
    let site = site();
    let observed = Observed::with(&site, &[]);
    let streams: Vec<Turns> = (0..8).map(|_| observed.turns()).collect();
    let (host, path) = observed.parts();
    let events = || observed.ask("GET", &format!("{path}events"), &format!("Host: {host}\r\n")).status;
    assert_eq!(events(), 503);
    drop(streams);
    eventually("the places are free again", || {
        let mut client = Client::connect(host.parse().expect("an address"));
        client.send(format!("GET {path}events HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        client.head().status == 200
    });
}

#[test]
fn observe_stream_ends_with_the_server() {
    let site = site();
    let mut observed = Observed::with(&site, &[]);
    let mut turns = observed.turns();
    observed.server.signal(rustix::process::Signal::TERM);
    turns.client.rest();
    assert!(observed.server.exit().success());
}
