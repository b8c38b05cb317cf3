//! Files of every size in their current state: a response is never stale, no matter how a file has
//! changed since the last request.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    time::{Duration, SystemTime},
};

use crate::{common::*, listings::chunks};

/// Requests `path` on `client` and asserts that its content is `expected` now; `None` means 404.
/// Returns the ETag.
fn assert_now(client: &mut Client, path: &str, expected: Option<&[u8]>, what: &str) -> Option<String> {
    client.send(get(path));
    let response = client.response();
    assert_eq!(response.status, if expected.is_some() { 200 } else { 404 }, "{path} {what}");
    if let Some(expected) = expected {
        assert!(response.body == expected, "{path} {what}: got {:?}", lossy(&response.body));
        return response.header("etag").map(str::to_owned);
    }
    None
}

/// Replaces the file with `content` by a rename.
fn replace(path: &Path, content: &[u8]) {
    fs::write(path.with_extension("new"), content).expect("write");
    fs::rename(path.with_extension("new"), path).expect("rename");
}

/// Writes `content` into the existing file, which keeps its inode, and its length if `content` is
/// as long.
fn overwrite(path: &Path, content: &[u8]) {
    let mut file = fs::File::options().write(true).open(path).expect("open");
    std::io::Write::write_all(&mut file, content).expect("write");
}

fn set_modified(path: &Path, time: SystemTime) {
    let file = fs::File::options().write(true).open(path).expect("open");
    file.set_modified(time).expect("set its time");
}

fn link(path: &Path, target: &str) {
    fs::remove_file(path).expect("delete");
    symlink(target, path).expect("make a link");
}

/// Makes a change and requests the file, hundreds of times and as fast as possible, on one
/// connection.
fn assert_never_stale(rounds: usize, len: usize, content: fn(usize) -> String, change: fn(&Path, &[u8])) {
    let site = Site::new();
    site.write("file.txt", "x".repeat(len));
    let server = Server::start(&site);
    let mut client = server.connect();
    let mut last: Option<(Vec<u8>, Option<String>)> = None;
    for round in 0..rounds {
        let new: Vec<u8> = content(round).bytes().cycle().take(len).collect();
        change(&site.at("file.txt"), &new);
        let tag = assert_now(&mut client, "/file.txt", Some(&new), &format!("in round {round}"));
        if let Some((_, old)) = last.as_ref().filter(|(old, _)| *old != new) {
            assert_ne!(*old, tag, "the same strong ETag for different content, in round {round}");
        }
        last = Some((new, tag));
    }
}

fn counted(round: usize) -> String {
    format!("{round:08}")
}

#[test]
fn file_replaced_by_rename_is_seen_by_the_next_request() {
    assert_never_stale(500, 8, counted, replace);
    assert_never_stale(50, 200_000, counted, replace);
}

#[test]
fn file_rewritten_within_the_second_is_seen_by_the_next_request() {
    assert_never_stale(500, 8, counted, |path, content| fs::write(path, content).expect("write"));
    assert_never_stale(500, 8, counted, overwrite);
    assert_never_stale(50, 200_000, counted, overwrite);
}

#[test]
fn file_that_alternates_between_contents_of_one_length_is_never_stale() {
    let turn = |round: usize| ["black\n", "white\n"][round % 2].to_owned();
    assert_never_stale(500, 6, turn, overwrite);
    assert_never_stale(500, 6, turn, replace);
}

#[test]
fn file_time_set_back_hides_no_change() {
    assert_never_stale(300, 8, counted, |path, content| {
        overwrite(path, content);
        set_modified(path, SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000));
    });
}

/// Requests `path` until the responses no longer differ: the file has settled and is cached.
fn wait_until_remembered(client: &mut Client, path: &str) {
    let mut tag = || {
        client.send(get(path));
        client.response().header("etag").expect("ETag").to_owned()
    };
    eventually("a settled file keeps its ETag", || tag() == tag());
}

#[test]
fn file_that_is_cached_is_not_stale() {
    type Row = (&'static str, fn(&Path), Option<&'static str>);
    let rows: [Row; 10] = [
        ("untouched", |_| {}, Some("something")),
        ("replaced", |path| replace(path, b"different"), Some("different")),
        ("overwritten", |path| overwrite(path, b"different"), Some("different")),
        ("rewritten", |path| fs::write(path, "different").expect("write"), Some("different")),
        (
            "time-put-back",
            |path| {
                let time = fs::metadata(path).and_then(|m| m.modified()).expect("its time");
                overwrite(path, b"different");
                set_modified(path, time);
            },
            Some("different"),
        ),
        ("cut", |path| fs::write(path, "diff").expect("write"), Some("diff")),
        ("emptied", |path| fs::write(path, "").expect("write"), Some("")),
        ("deleted", |path| fs::remove_file(path).expect("delete"), None),
        ("linked-to-another", |path| link(path, "hello.txt"), Some("hello\n")),
        ("linked-to-outside", |path| link(path, "/etc/passwd"), None),
    ];
    let site = Site::new();
    rows.iter().for_each(|(name, ..)| site.write(name, "something"));
    let server = Server::start(&site);
    each(rows, |(name, change, expected)| {
        let (mut client, file, path) = (server.connect(), site.at(name), format!("/{name}"));
        wait_until_remembered(&mut client, &path);
        assert_now(&mut client, &path, Some(b"something"), "at rest");
        change(&file);
        assert_now(&mut client, &path, expected.map(str::as_bytes), "changed");
        // And back: the cache forgets the removed file.
        let _ = fs::remove_file(&file);
        assert_now(&mut client, &path, None, "deleted");
        fs::write(&file, "something").expect("write");
        assert_now(&mut client, &path, Some(b"something"), "created again");
    });
}

#[test]
fn file_in_a_cached_directory_that_leads_elsewhere_is_not_served() {
    let (site, outside) = (Site::new(), Site::empty());
    outside.write("swapped/index.html", "SECRET");
    site.write("swapped/index.html", "inside");
    site.write("moved/index.html", "inside");
    let server = Server::start(&site);
    let mut client = server.connect();
    for path in ["/swapped/", "/swapped/index.html", "/moved/", "/moved/index.html"] {
        wait_until_remembered(&mut client, path);
    }
    fs::rename(site.at("swapped"), site.at("away")).expect("rename");
    symlink(outside.at("swapped"), site.at("swapped")).expect("make a link");
    for path in ["/swapped/", "/swapped/index.html"] {
        assert_now(&mut client, path, None, "it leads out of the root");
    }
    // The cached file itself is no longer beneath the root. The server notices that soon.
    fs::rename(site.at("moved"), outside.at("moved")).expect("rename");
    symlink(outside.at("moved"), site.at("moved")).expect("make a link");
    for path in ["/moved/", "/moved/index.html"] {
        eventually("a file moved out of the root is not served", || {
            client.send(get(path));
            client.response().status == 404
        });
    }
}

#[test]
fn file_changed_in_any_way_is_current() {
    let site = Site::new();
    let server = Server::start(&site);
    let mut client = server.connect();
    let open = || fs::File::options().append(true).open(site.at("file.txt")).expect("open");
    for round in 0..100 {
        let mut now = |path: &str, expected: Option<&str>, what: &str| {
            assert_now(&mut client, path, expected.map(str::as_bytes), &format!("{what} in round {round}"))
        };
        now("/file.txt", None, "before it exists");
        site.write("file.txt", "0123456789");
        now("/file.txt", Some("0123456789"), "created");
        open().set_len(4).expect("truncate");
        now("/file.txt", Some("0123"), "truncated");
        std::io::Write::write_all(&mut open(), b"45").expect("append");
        now("/file.txt", Some("012345"), "grown");
        open().set_len(0).expect("truncate");
        now("/file.txt", Some(""), "emptied");
        site.write("file.txt", "9876543210");
        now("/file.txt", Some("9876543210"), "written again");
        fs::rename(site.at("file.txt"), site.at("moved.txt")).expect("rename");
        now("/file.txt", None, "moved away");
        now("/moved.txt", Some("9876543210"), "moved here");
        fs::create_dir(site.at("file.txt")).expect("make a directory");
        client.send(get("/file.txt"));
        assert_eq!(client.response().status, 301, "replaced by a directory");
        fs::remove_dir(site.at("file.txt")).expect("remove it");
        fs::remove_file(site.at("moved.txt")).expect("delete");
        assert_now(&mut client, "/moved.txt", None, "deleted");
    }
    for year in 1..30 {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(year * 31_557_600);
        set_modified(&site.at("hello.txt"), time);
        client.send(get("/hello.txt"));
        let response = client.response();
        assert_eq!(response.text(), "hello\n");
        assert_eq!(response.header("last-modified"), Some(httpdate::fmt_http_date(time).as_str()));
    }
}

#[test]
fn file_in_a_swapped_directory_is_seen_by_the_next_request() {
    let (site, outside) = (Site::new(), Site::new());
    outside.write("docs/index.html", "SECRET");
    let server = Server::start(&site);
    let mut client = server.connect();
    for round in 0..100 {
        let what = format!("in round {round}");
        site.write("docs.new/index.html", format!("docs {round}\n"));
        fs::remove_dir_all(site.at("docs")).expect("remove");
        assert_now(&mut client, "/docs/", None, &what);
        fs::rename(site.at("docs.new"), site.at("docs")).expect("rename");
        assert_now(&mut client, "/docs/", Some(format!("docs {round}\n").as_bytes()), &what);
        fs::rename(site.at("docs"), site.at("docs.old")).expect("rename");
        symlink(outside.at("docs"), site.at("docs")).expect("make a link");
        for path in ["/docs/", "/docs/index.html", "/docs"] {
            assert_now(&mut client, path, None, &what);
        }
        fs::remove_file(site.at("docs")).expect("remove the link");
        fs::rename(site.at("docs.old"), site.at("docs")).expect("rename");
        assert_now(&mut client, "/docs/index.html", Some(format!("docs {round}\n").as_bytes()), &what);
    }
}

#[test]
fn file_of_every_size_comes_whole() {
    let site = Site::new();
    let sizes = [
        0,
        1,
        2,
        1023,
        1024,
        1025,
        4095,
        4096,
        4097,
        16_383,
        16_384,
        16_385,
        32_767,
        32_768,
        32_769,
        122_879,
        122_880,
        122_881,
        131_072,
        1 << 20,
        3 << 20,
    ];
    let server = Server::start(&site);
    each(sizes, |size| {
        let content = pattern(*size);
        site.write("file.bin", &content);
        let mut client = server.connect();
        // From disk, then perhaps from memory, followed by another request.
        for turn in ["first", "second", "third"] {
            assert_now(&mut client, "/file.bin", Some(&content), turn);
        }
        assert_now(&mut client, "/hello.txt", Some(b"hello\n"), "the next request");
    });
}

#[test]
fn file_that_grows_past_the_cache_and_shrinks_comes_whole() {
    let site = Site::new();
    let server = Server::start(&site);
    let mut client = server.connect();
    for round in 0..50 {
        for size in [10, 122_880, 122_881, 200_000, 122_879, 0] {
            let content = pattern(size + round)[round..].to_vec();
            site.write("file.bin", &content);
            assert_now(&mut client, "/file.bin", Some(&content), &format!("of {size} in round {round}"));
        }
    }
}

#[test]
fn file_of_a_rebuilt_site_is_seen() {
    let site = Site::empty();
    let build = |name: &str, content: &str| site.write(format!("{name}/index.html"), content);
    build("dist", "old");
    build("release-1", "one");
    build("release-2", "two");
    std::os::unix::fs::symlink("release-1", site.at("current")).expect("link");
    let removed = Server::on(&site.at("dist"), &[]);
    let switched = Server::on(&site.at("current"), &[]);
    assert_eq!((removed.get("/").text(), switched.get("/").text()), ("old".into(), "one".into()));

    fs::remove_dir_all(site.at("dist")).expect("remove it");
    assert_eq!(removed.get("/").status, 404);
    build("dist", "new");
    assert_eq!(removed.get("/").text(), "new", "after the rebuild");

    std::os::unix::fs::symlink("release-2", site.at("next")).expect("link");
    fs::rename(site.at("next"), site.at("current")).expect("switch");
    eventually("the link leads to the other release", || switched.get("/").text() == "two");
}

/// The status of such a file says 0 bytes, and only reading it shows its end.
#[test]
fn large_file_of_the_kernel_is_served_whole_without_a_length() {
    let whole = fs::read("/proc/kallsyms").unwrap_or_default();
    if whole.len() <= 120 * 1024 {
        return skip_for_kernel("no large file in /proc");
    }
    let server = Server::on(Path::new("/proc"), &[]);
    let mut client = server.connect();
    for field in ["Accept: */*", "Range: bytes=0-9", "If-None-Match: \"x\"", "Accept-Encoding: gzip"] {
        client.send(format!("GET /kallsyms HTTP/1.1\r\nHost: x\r\n{field}\r\n\r\n"));
        let head = client.head();
        assert_eq!((head.status, head.header("transfer-encoding")), (200, Some("chunked")), "{field}");
        for name in ["content-length", "etag", "last-modified", "accept-ranges"] {
            assert_eq!(head.header(name), None, "{name} for {field}");
        }
        assert!(chunks(&mut client) == whole, "{field}");
    }
    client.send("HEAD /kallsyms HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(client.head().header("transfer-encoding"), Some("chunked"));
    client.send("GET /kallsyms HTTP/1.1\r\nHost: x\r\nIf-Match: \"x\"\r\n\r\n");
    assert_eq!(client.response().status, 412, "and the connection goes on");

    let mut client = server.connect();
    client.send("GET /kallsyms HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let head = client.head();
    assert_eq!((head.header("transfer-encoding"), head.closes()), (None, true));
    assert!(client.rest() == whole, "the end of the connection is the end of the file");
    assert_eq!(server.get("/self/status").status, 200);
}
