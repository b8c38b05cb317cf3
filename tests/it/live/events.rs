//! The stream of events, as a page reads it.

use std::{collections::BTreeSet, fs, io::Write, time::Duration, time::Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::common::*;

/// An open stream.
pub struct Events {
    client: Client,
}

/// A message of the stream: an identifier, and the changed paths, or `None` for everything.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    pub id: String,
    pub paths: Option<BTreeSet<String>>,
}

impl Events {
    /// Opens the stream with this query.
    pub fn open(server: &Server, query: &str) -> Events {
        let mut client = server.connect();
        client.send(get(&format!("/.oneloop/events{query}")));
        let head = client.head();
        assert_eq!(head.status, 200, "{head:?}");
        assert_eq!(head.header("content-type"), Some("text/event-stream"));
        assert_eq!(head.header("transfer-encoding"), Some("chunked"));
        Events { client }
    }

    /// Opens the stream, and waits until all files are observed.
    pub fn ready(server: &Server) -> Events {
        let mut events = Events::open(server, "");
        assert_eq!(events.next().paths, Some(BTreeSet::new()));
        events
    }

    /// Returns the next chunk, or an empty one at the end of the stream.
    fn chunk(&mut self) -> String {
        let line = self.client.take_until(b"\r\n");
        let len = std::str::from_utf8(&line).expect("text").trim_end();
        let chunk = self.client.take(usize::from_str_radix(len, 16).expect("a length"));
        assert_eq!(self.client.take(2), b"\r\n");
        String::from_utf8(chunk).expect("text")
    }

    /// Waits for the next message.
    pub fn next(&mut self) -> Message {
        let chunk = self.chunk();
        let data = chunk.strip_prefix("data: ").and_then(|rest| rest.strip_suffix("\n\n")).expect(&chunk);
        let data: Value = serde_json::from_str(data).expect("JSON");
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let paths = data["paths"].as_array().map(|paths| paths.iter().map(text).collect());
        Message { id: text(&data["id"]), paths }
    }

    /// Changes a file, and returns the paths of the next message.
    fn next_after(&mut self, change: impl FnOnce()) -> Option<BTreeSet<String>> {
        change();
        self.next().paths
    }

    /// Asserts that the next message names these paths.
    #[track_caller]
    fn expect(&mut self, paths: &[&str]) {
        let expected = paths.iter().map(|path| (*path).to_owned()).collect();
        assert_eq!(self.next().paths, Some(expected));
    }
}

/// Both ways to notice changes.
const WAYS: [&[&str]; 2] = [&["--live"], &["--live", "--no-watch"]];

#[test]
fn events_report_every_way_to_change_a_file() {
    each(WAYS, |args| {
        let site = Site::new();
        site.write("docs/deep/page.html", "page");
        site.write(".git/index", "hidden");
        site.write("node_modules/a/index.js", "not edited");
        let server = Server::with(&site, args);
        let mut events = Events::ready(&server);
        let mut other = Events::ready(&server);
        // Nothing that clients cannot request or people do not edit counts.
        site.write(".git/index", "changed");
        site.write("node_modules/a/index.js", "changed");
        site.write("hello.txt~", "a backup");
        site.write("hello.txt", "changed");
        events.expect(&["hello.txt"]);
        other.expect(&["hello.txt"]);
        site.write("docs/deep/new", "saved by a rename");
        fs::rename(site.at("docs/deep/new"), site.at("docs/deep/page.html")).expect("rename");
        events.expect(&["docs/deep/page.html"]);
        let mut open = fs::File::options().append(true).open(site.at("hello.txt")).expect("open");
        open.write_all(b"more").expect("write");
        drop(open);
        events.expect(&["hello.txt"]);
        fs::remove_file(site.at("hello.txt")).expect("remove");
        events.expect(&["hello.txt"]);
        site.write("hello.txt", "back");
        events.expect(&["hello.txt"]);
        std::os::unix::fs::symlink("hello.txt", site.at("link \"1\"")).expect("a link");
        events.expect(&["link%20%221%22"]);
        fs::remove_file(site.at("link \"1\"")).expect("remove");
        events.expect(&["link%20%221%22"]);
        // What appears in a new directory is seen, however fast it comes.
        site.write("a/b/c/file", "new");
        let first = events.next().paths;
        assert!(first.as_ref().is_none_or(|paths| paths.contains("a")), "{first:?}");
        site.write("a/b/c/file", "changed");
        events.expect(&["a/b/c/file"]);
        // As a switch to another branch does.
        for number in 0..400 {
            site.write(format!("many/{number}"), "new");
        }
        while events.next().paths.is_some_and(|paths| !paths.contains("many")) {}
        fs::remove_dir_all(site.at("many")).expect("remove");
        while events.next().paths.is_some_and(|paths| !paths.contains("many")) {}
        // A few more messages may concern the same changes.
        while events.next_after(|| site.write("hello.txt", "last")) != Some(["hello.txt".to_owned()].into()) {
        }
    });
}

#[test]
fn events_missed_are_sent_after_a_reconnection() {
    let site = Site::new();
    let server = Server::with(&site, &["--live"]);
    let loaded = Instant::now();
    let mut events = Events::open(&server, "");
    let before = events.next().id;
    site.write("hello.txt", "one");
    events.expect(&["hello.txt"]);
    site.write("index.html", "one");
    events.expect(&["index.html"]);
    let paths = |query: &str| Events::open(&server, query).next().paths;
    let all = |paths: &[&str]| Some(paths.iter().map(|path| (*path).to_owned()).collect::<BTreeSet<_>>());
    assert_eq!(paths(&format!("?since={before}")), all(&["hello.txt", "index.html"]));
    let age = |since: Instant| format!("?age={}", since.elapsed().as_millis());
    assert_eq!(paths(&age(loaded)), all(&["hello.txt", "index.html"]));
    assert_eq!(paths("?age=0"), all(&[]));
    // Another run of the server has sent that identifier, or that page.
    assert_eq!((paths("?since=1-1"), paths("?age=60000")), (None, None));
    // A page that was loaded a moment ago lacks what changes before its stream is open.
    drop(events);
    let loaded = Instant::now();
    site.write("hello.txt", "two");
    let mut late = Events::open(&server, &age(loaded));
    while !late.next().paths.expect("paths").contains("hello.txt") {}
}

#[test]
fn events_follow_a_root_that_is_replaced() {
    each(WAYS, |args| {
        let site = Site::new();
        site.write("release-1/index.html", "1");
        site.write("release-2/index.html", "2");
        std::os::unix::fs::symlink("release-1", site.at("current")).expect("a link");
        let server = Server::on(&site.at("current"), args);
        let mut events = Events::ready(&server);
        std::os::unix::fs::symlink("release-2", site.at("next")).expect("a link");
        fs::rename(site.at("next"), site.at("current")).expect("rename");
        assert_eq!(events.next().paths, None);
        let edit = || site.write("release-2/index.html", "edited");
        while events.next_after(edit) != Some(["index.html".to_owned()].into()) {}
    });
}

#[test]
fn events_begin_although_links_lead_to_their_own_directory() {
    each(WAYS, |args| {
        let site = Site::new();
        for link in ["a", "b", "docs/up", "docs/here"] {
            let to = if link == "docs/up" { ".." } else { "." };
            std::os::unix::fs::symlink(to, site.at(link)).expect("a link");
        }
        let server = Server::with(&site, &[*args, &["--follow-links"]].concat());
        let mut events = Events::ready(&server);
        site.write("docs/index.html", "changed");
        events.expect(&["docs/index.html"]);
    });
}

#[test]
fn events_of_a_single_file_concern_no_other() {
    let site = Site::new();
    std::os::unix::fs::symlink("docs/index.html", site.at("page.html")).expect("a link");
    each(["index.html", "page.html"], |name| {
        let server = Server::on(&site.at(name), &["--live"]);
        let mut events = Events::ready(&server);
        site.write("hello.txt", "another file");
        site.write(if *name == "page.html" { "docs/index.html" } else { name }, "changed");
        events.expect(&[name]);
    });
}

#[test]
fn events_report_changes_in_mounts_at_their_paths() {
    each(WAYS, |args| {
        let (site, manual) = (Site::new(), Site::new());
        let options = [("/docs", manual.path().to_owned()), ("/a/report", manual.at("hello.txt"))]
            .map(|(path, dir)| format!("--mount={path}={}", dir.display()));
        let server = Server::with(&site, &[*args, &[&options[0], &options[1]]].concat());
        let loaded = Instant::now();
        let mut events = Events::open(&server, "");
        let before = events.next().id;
        manual.write("docs/index.html", "changed");
        events.expect(&["docs/docs/index.html"]);
        site.write("hello.txt", "changed");
        events.expect(&["hello.txt"]);
        let after = |query: &str| Events::open(&server, query).next().paths.expect("paths");
        let all = ["docs/docs/index.html", "hello.txt"].map(String::from).into();
        assert_eq!(after(&format!("?since={before}")), all);
        assert_eq!(after(&format!("?age={}", loaded.elapsed().as_millis())), all);
        // The file is in both mounts, which may notice the change one after the other.
        manual.write("hello.txt", "changed");
        let mut changed = BTreeSet::new();
        while changed.len() < 2 {
            changed.extend(events.next().paths.expect("paths"));
        }
        assert_eq!(changed, ["a/report", "docs/hello.txt"].map(String::from).into());
    });
}

#[test]
fn events_need_live_and_the_right_host_and_no_other_site() {
    let site = Site::new();
    let plain = Server::start(&site);
    for path in ["/.oneloop/events", "/.oneloop/live.js"] {
        assert_eq!(plain.get(path).status, 404, "{path}");
    }
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_oneloop"));
    command.args(["--port", "0", "--bind", "127.0.0.1", "--live"]).arg(site.path());
    let server = Server::spawn(command);
    for path in ["/.oneloop/events", "/.oneloop/live.js"] {
        let ask = |fields: &str| server.ask(format!("GET {path} HTTP/1.1\r\n{fields}\r\n")).status;
        assert_eq!(ask("Host: evil.example\r\n"), 421, "{path}");
        let cross_site = "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: cors\r\n";
        assert_eq!(ask(&format!("Host: localhost\r\n{cross_site}")), 403, "{path}");
        assert_eq!(server.ask(format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).status, 405);
        assert_eq!(server.ask(format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).status, 200);
    }
}

#[test]
fn events_are_limited_to_a_quarter_of_the_connections() {
    let site = Site::new();
    let server = Server::with(&site, &["--live", "--max-connections", "8"]);
    let first = Events::ready(&server);
    let _second = Events::ready(&server);
    assert_eq!(server.get("/.oneloop/events").status, 503);
    assert_eq!(server.get("/").status, 200);
    drop(first);
    eventually("a place", || {
        let mut client = server.connect();
        client.send(get("/.oneloop/events"));
        client.head().status == 200
    });
}

#[test]
fn events_end_at_once_at_a_shutdown() {
    let site = Site::new();
    let mut server = Server::with(&site, &["--live", "--drain-timeout", "5m"]);
    let mut events = Events::ready(&server);
    server.signal(Signal::TERM);
    assert_eq!(events.chunk(), "");
    events.client.expect_close();
    assert_eq!(server.exit().code(), Some(0));
}

#[test]
fn events_are_polled_where_watches_run_out() {
    if leaves_out("inotify") {
        return;
    }
    let site = Site::new();
    for number in 0..8 {
        site.write(format!("{number}/file"), "one");
    }
    let few = "echo 5 > /proc/sys/user/max_inotify_watches && exec \"$0\" \"$@\"";
    let probe = ["-Ur", "sh", "-c", "echo 5 > /proc/sys/user/max_inotify_watches"];
    let can_limit = std::process::Command::new("unshare").args(probe).output();
    if !can_limit.is_ok_and(|output| output.status.success()) {
        return skip_for_kernel("no user namespace with a limit of watches");
    }
    let script = format!("exec unshare -Ur sh -c '{few}' \"$0\" \"$@\"");
    let mut server = Server::in_shell(&script, &site, &["--live"]);
    let mut events = Events::ready(&server);
    for number in 0..8 {
        site.write(format!("{number}/file"), "another");
        events.expect(&[&format!("{number}/file")]);
    }
    drop(events);
    server.signal(Signal::TERM);
    let mut errors = String::new();
    std::io::Read::read_to_string(&mut server.stderr(), &mut errors).expect("read");
    assert_eq!(errors.matches("looking for changes every 500ms instead").count(), 1, "{errors}");
}

#[test]
fn events_report_a_burst_once() {
    each([true, false], |watch| {
        let site = Site::new();
        let mut config = Rig::config(&site);
        (config.live, config.inotify) = (true, *watch);
        let mut rig = Rig::new(config);
        let mut peer = rig.accepted();
        peer.write_all(get("/.oneloop/events").as_bytes()).expect("send");
        let mut turns = |rig: &mut Rig| {
            (0..50).for_each(|_| drop(rig.turn()));
            String::from_utf8(received(&mut peer)).expect("text")
        };
        assert!(turns(&mut rig).contains("\"paths\":[]"));
        for number in 0..100 {
            site.write(format!("docs/{}", number % 20), number.to_string());
            assert_eq!(turns(&mut rig), "", "files go on changing");
        }
        let mut messages = Vec::new();
        for _ in 0..100 {
            rig.advance(Duration::from_millis(10));
            messages.extend(Some(turns(&mut rig)).filter(|text| !text.is_empty()));
        }
        let [message] = &messages[..] else { panic!("{messages:?}") };
        assert_eq!(message.matches("docs/").count(), 20, "{message}");
    });
}

#[test]
fn events_are_not_idle_and_end_with_their_peer() {
    let site = Site::new();
    let mut config = Rig::config(&site);
    config.live = true;
    let mut rig = Rig::new(config);
    let mut peer = rig.accepted();
    peer.write_all(get("/.oneloop/events").as_bytes()).expect("send");
    let mut until = |rig: &mut Rig, end: &str| {
        let mut got = String::new();
        eventually(end, || {
            rig.turn();
            got.push_str(std::str::from_utf8(&received(&mut peer)).expect("text"));
            got.ends_with(end)
        });
        got
    };
    until(&mut rig, "\"paths\":[]}\n\n\r\n");
    // No timeout of requests or responses concerns it, and its peer hears from it.
    for _ in 1..20 {
        rig.advance(Duration::from_secs(15));
        let heartbeat = "3\r\n:\n\n\r\n";
        assert_eq!(until(&mut rig, heartbeat), heartbeat);
    }
    assert_eq!(rig.event_loop().open_connections(), 1);
    drop(peer);
    eventually("the page has been closed", || {
        rig.turn();
        rig.event_loop().open_connections() == 0
    });
}
