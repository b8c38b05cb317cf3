//! Precompressed variants: `app.js.br`, `app.js.zst` and `app.js.gz` beside `app.js`, chosen by `Accept-Encoding`
//! (RFC 9110 §12.5.3). Nothing here is really compressed: what is sent is what lies there, and so it can be told apart.
use std::{
    fs::{self, File},
    os::unix::{fs::symlink, net::UnixListener},
    time::{Duration, SystemTime},
};

use crate::common::*;
use rustix::fs::{CWD, FileType, Mode, mknodat};

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

/// What variants have behind the original's name, and what they are called in `Content-Encoding`.
const CODINGS: [(&str, &str); 3] = [(".br", "br"), (".zst", "zstd"), (".gz", "gzip")];
/// All of them, as browsers say it; each is as welcome as the others.
const ALL: &str = "gzip, deflate, br, zstd";

/// Writes `name` with the content `plain NAME`, and its variants with `br NAME`, `zstd NAME` and `gzip NAME`.
fn write_with(site: &Site, name: &str, codings: &[(&str, &str)]) {
    site.write(name, format!("plain {name}"));
    for (extension, coding) in codings {
        site.write(format!("{name}{extension}"), format!("{coding} {name}"));
    }
}

fn ask_with(path: &str, accept: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {accept}\r\n{fields}\r\n")
}

fn ask(path: &str, accept: &str) -> String {
    ask_with(path, accept, "")
}

/// Asserts that `response` is `name`, as [`write_with`] wrote it, in `coding`, and says so.
fn assert_is(response: &Response, coding: &str, name: &str) {
    assert_eq!((response.status, response.text()), (200, format!("{coding} {name}")));
    assert_eq!(response.header("content-encoding"), Some(coding).filter(|c| *c != "plain"));
    assert_varies(response);
}

/// Who keeps a copy must know that another peer may get another one (§12.5.5).
fn assert_varies(response: &Response) {
    let vary = response.header("vary").unwrap_or_default().to_ascii_lowercase();
    assert!(vary.split(',').any(|name| name.trim() == "accept-encoding"), "{response:?}");
}

/// Sets the time at which `name` was last changed to `seconds` after 1994.
fn set_time(site: &Site, name: &str, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777 + seconds);
    File::options().write(true).open(site.at(name)).and_then(|f| f.set_modified(time)).expect("set its time");
}

/// Waits until all that was written is at rest, so that small files may come from memory from now on. A large file shows
/// it: its tag is for one reading before, and stays the same afterwards.
fn let_settle(site: &Site, client: &mut Client) {
    site.write("large.tmp", pattern(200_000));
    eventually("a tag that stays", || tag(client, "/large.tmp", "") == tag(client, "/large.tmp", ""));
}

/// The tag of `path` in the coding that `accept` names.
fn tag(client: &mut Client, path: &str, accept: &str) -> String {
    client.send(ask(path, accept));
    client.response().header("etag").expect("a tag").to_owned()
}

#[test]
fn the_variant_that_is_liked_best_is_sent() {
    let site = Site::empty();
    write_with(&site, "app.js", &CODINGS);
    let server = Server::start(&site);
    let rows = [
        ("", "plain"),
        ("Accept-Encoding:\r\n", "plain"),
        ("Accept-Encoding: gzip\r\n", "gzip"),
        ("Accept-Encoding: x-gzip\r\n", "gzip"), // §8.4.1.3
        ("Accept-Encoding: GZIP\r\n", "gzip"),
        ("Accept-Encoding: deflate, compress\r\n", "plain"),
        ("Accept-Encoding: gzip, deflate, br, zstd\r\n", "br"),
        ("Accept-Encoding: gzip, zstd\r\n", "zstd"),
        ("Accept-Encoding: br;q=0.5, gzip;q=0.8\r\n", "gzip"),
        ("Accept-Encoding: br;q=0, *\r\n", "zstd"),
        ("Accept-Encoding: *\r\n", "br"),
        ("Accept-Encoding: identity, br;q=0.9\r\n", "plain"),
        ("Accept-Encoding: identity;q=0, gzip;q=0.001\r\n", "gzip"),
        ("Accept-Encoding: *;q=0, zstd\r\n", "zstd"),
        ("Accept-Encoding: gzip;q=0\r\n", "plain"),
        // Several lines are one list (§5.3).
        ("Accept-Encoding: gzip\r\naccept-encoding: zstd\r\n", "zstd"),
    ];
    each(rows, |&(fields, coding)| {
        for version in ["1.0", "1.1"] {
            let response = server.ask(format!("GET /app.js HTTP/{version}\r\nHost: a\r\n{fields}\r\n"));
            assert_is(&response, coding, "app.js");
            assert_eq!(response.header("content-type"), Some(JAVASCRIPT));
        }
        let head = server.ask(format!("HEAD /app.js HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        assert_eq!(head.header("content-encoding"), Some(coding).filter(|c| *c != "plain"));
        assert_eq!(head.header("content-length"), Some(&*format!("{coding} app.js").len().to_string()));
        assert_varies(&head);
    });
}

#[test]
fn of_those_that_are_there() {
    let site = Site::empty();
    // By subset: bit 0 is .br, bit 1 .zst, bit 2 .gz.
    let rows = (0..8usize).map(|subset| {
        let there: Vec<_> = CODINGS.into_iter().enumerate().filter(|(i, _)| subset >> i & 1 == 1).collect();
        let there: Vec<_> = there.into_iter().map(|(_, coding)| coding).collect();
        let name = format!("{subset}.js");
        write_with(&site, &name, &there);
        (name, there)
    });
    let rows: Vec<_> = rows.collect();
    let server = Server::start(&site);
    each(rows, |(name, there)| {
        let best = there.first().map_or("plain", |(_, coding)| *coding);
        assert_is(&server.ask(ask(&format!("/{name}"), ALL)), best, name);
        for (_, coding) in CODINGS {
            let expected = if there.iter().any(|(_, c)| *c == coding) { coding } else { "plain" };
            assert_is(&server.ask(ask(&format!("/{name}"), coding)), expected, name);
            // Nothing but this one will do.
            let response = server.ask(ask(&format!("/{name}"), &format!("{coding}, identity;q=0")));
            if expected == "plain" {
                assert_eq!(response.status, 406);
            } else {
                assert_is(&response, coding, name);
            }
        }
    });
}

#[test]
fn where_nothing_is_acceptable_a_406_says_so_and_the_connection_goes_on() {
    let site = Site::new();
    write_with(&site, "app.js", &CODINGS[..1]);
    let server = Server::start(&site);
    for (path, accept, status) in [
        ("/hello.txt", "identity;q=0", 406),
        ("/hello.txt", "*;q=0", 406),
        ("/app.js", "gzip, *;q=0", 406),
        ("/docs/", "br, identity;q=0", 406),
        // There is nothing to be chosen from.
        ("/missing", "identity;q=0", 404),
        ("/docs", "identity;q=0", 301),
    ] {
        let mut client = server.connect();
        client.send(ask(path, accept) + &get("/hello.txt"));
        let response = client.response();
        assert_eq!(response.status, status, "{path} {accept}");
        if status == 406 {
            assert_our_page(&response, false);
            assert_varies(&response);
        }
        assert_eq!(response.header("content-encoding"), None);
        assert_eq!(client.response().text(), "hello\n");
        let head = server.ask(ask(path, accept).replacen("GET", "HEAD", 1));
        assert_eq!(head.status, status, "HEAD {path} {accept}");
    }
}

#[test]
fn the_length_is_that_of_the_variant() {
    let site = Site::new();
    let rows = [
        // As short files are: the coding makes them longer.
        (39, 43),
        (43, 39),
        (0, 14),
        // In memory and on disk, in every combination.
        (200_000, 20_000),
        (20_000, 200_000),
        (3 << 20, 1 << 20),
        (1 << 20, 3 << 20),
    ];
    for (plain, coded) in rows {
        site.write(format!("{plain}.css"), vec![b'p'; plain]);
        site.write(format!("{plain}.css.br"), pattern(coded));
    }
    let server = Server::start(&site);
    let mut client = server.connect();
    for (plain, coded) in rows {
        let path = format!("/{plain}.css");
        client.send(ask(&path, "br") + &ask(&path, "gzip") + &get("/hello.txt"));
        let response = client.response();
        assert_eq!(response.header("content-length"), Some(&*coded.to_string()), "{path}");
        assert_eq!(response.header("content-encoding"), Some("br"));
        assert_eq!(response.header("content-type"), Some("text/css; charset=utf-8"));
        assert!(response.body == pattern(coded), "{path}");
        assert_eq!(client.response().body, vec![b'p'; plain]);
        assert_eq!(client.response().text(), "hello\n", "and nothing stands between");
        client.send(ask(&path, "br").replacen("GET", "HEAD", 1));
        assert_eq!(client.head().header("content-length"), Some(&*coded.to_string()), "HEAD {path}");
    }
}

#[test]
fn answers_in_several_codings_follow_each_other_on_one_connection() {
    let site = Site::empty();
    write_with(&site, "app.js", &[CODINGS[0], CODINGS[2]]);
    let server = Server::start(&site);
    let mut client = server.connect();
    // Before the files count as being at rest, and afterwards, when they may come from memory.
    for _ in 0..2 {
        let asked = ["br", "", "gzip", "zstd", "gzip, br", "identity"];
        let requests: String = asked.iter().map(|accept| ask("/app.js", accept)).collect();
        // All are there together, so that they are answered in one turn.
        server.while_stopped(|| client.send(requests + &get("/app.js.br") + &get("/app.js.zst")));
        for coding in ["br", "plain", "gzip", "plain", "br", "plain"] {
            assert_is(&client.response(), coding, "app.js");
        }
        let itself = client.response();
        assert_eq!((itself.text(), itself.header("content-encoding")), ("br app.js".into(), None));
        assert_eq!(client.response().status, 404);
        let_settle(&site, &mut client);
        for accept in ["br", "gzip", ""] {
            tag(&mut client, "/app.js", accept);
        }
    }
}

#[test]
fn a_variant_that_is_asked_for_by_its_own_name_is_a_file_like_others() {
    let site = Site::empty();
    write_with(&site, "app.js", &CODINGS);
    site.write("app.js.gz.br", "br app.js.gz");
    let server = Server::start(&site);
    let mut client = server.connect();
    // Before the files are at rest, and twice afterwards, when they may come from memory.
    for round in 0..3 {
        for (path, accept, body, media_type) in [
            ("/app.js.gz", "gzip", "gzip app.js", "application/gzip"),
            ("/app.js.gz", "", "gzip app.js", "application/gzip"),
            ("/app.js.br", ALL, "br app.js", "application/octet-stream"),
        ] {
            client.send(ask(path, accept));
            let response = client.response();
            assert_eq!((response.status, response.text()), (200, body.to_owned()), "{path} {accept}");
            assert_eq!(response.header("content-encoding"), None, "{path} {accept}");
            assert_eq!(response.header("content-type"), Some(media_type), "{path}");
        }
        // It may have variants itself.
        client.send(ask("/app.js.gz", "br") + &ask("/app.js", "gzip") + &ask("/app.js", "br"));
        assert_is(&client.response(), "br", "app.js.gz");
        assert_is(&client.response(), "gzip", "app.js");
        assert_is(&client.response(), "br", "app.js");
        if round == 0 {
            let_settle(&site, &mut client);
        }
    }
}

#[test]
fn a_copy_is_still_good_only_in_its_own_coding() {
    let site = Site::empty();
    write_with(&site, "app.js", &CODINGS);
    site.write("large.bin", pattern(1 << 20));
    site.write("large.bin.gz", pattern(1 << 19));
    // The same bytes mean something else in another coding (§8.8.3.3).
    site.write("alike.js", "alike");
    site.write("alike.js.br", "alike");
    let server = Server::start(&site);
    let mut client = server.connect();
    let_settle(&site, &mut client);
    for (path, accepted) in [
        ("/app.js", &["identity", "br", "zstd", "gzip"][..]),
        ("/large.bin", &["identity", "gzip"]),
        ("/alike.js", &["identity", "br"]),
    ] {
        let tags: Vec<_> = accepted.iter().map(|accept| tag(&mut client, path, accept)).collect();
        for (accept, own) in accepted.iter().zip(&tags) {
            for tag in &tags {
                client.send(ask_with(path, accept, &format!("If-None-Match: {tag}\r\n")));
                let response = client.response();
                let expected = if tag == own { 304 } else { 200 };
                assert_eq!(response.status, expected, "{path} in {accept}");
                assert_eq!(response.header("etag"), Some(&**own));
                assert_varies(&response);
            }
            client.send(ask_with(path, accept, &format!("If-None-Match: {}\r\n", tags.join(", "))));
            assert_eq!(client.response().status, 304, "{path} in {accept}, of all copies");
            client.send(ask_with(path, accept, &format!("If-Match: {own}\r\n")));
            assert_eq!(client.response().status, 200, "{path} in {accept}, if it is this one");
        }
        let mut distinct = tags.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), tags.len(), "each representation has its own tag: {tags:?}");
    }
}

#[test]
fn ranges_are_of_the_variant() {
    let site = Site::empty();
    let rows = [("small.js", 4000, 300), ("middle.js", 30_000, 20_000), ("large.js", 300_000, 200_000)];
    for (name, plain, coded) in rows {
        site.write(name, vec![b'p'; plain]);
        site.write(format!("{name}.gz"), pattern(coded));
    }
    let server = Server::start(&site);
    let mut client = server.connect();
    let_settle(&site, &mut client);
    for (name, plain, coded) in rows {
        let path = format!("/{name}");
        let own = tag(&mut client, &path, "gzip");
        let of_original = tag(&mut client, &path, "");
        let mut ask = |accept: &str, fields: String| {
            client.send(ask_with(&path, accept, &fields));
            let response = client.response();
            assert_varies(&response);
            response
        };
        let content = pattern(coded);
        for (fields, first) in [
            ("Range: bytes=100-\r\n".to_owned(), 100),
            ("Range: bytes=-7\r\n".to_owned(), coded - 7),
            // One that leads past the variant's end, if not past the original's, is left out.
            (format!("Range: bytes={coded}-,-7\r\n"), coded - 7),
            (format!("Range: bytes=100-\r\nIf-Range: {own}\r\n"), 100),
        ] {
            let part = ask("gzip", fields);
            assert_eq!((part.status, part.header("content-encoding")), (206, Some("gzip")));
            assert_eq!(part.header("content-type"), Some(JAVASCRIPT));
            assert_eq!(part.header("content-range"), Some(&*format!("bytes {first}-{}/{coded}", coded - 1)));
            assert_eq!(part.header("etag"), Some(&*own));
            assert!(part.body == content[first..], "{name} from {first}");
        }
        // A part of another coding would be put together with it to nonsense; so would, for some readers, several parts.
        for fields in [
            format!("Range: bytes=100-\r\nIf-Range: {of_original}\r\n"),
            "Range: bytes=0-0,-1\r\n".to_owned(),
        ] {
            let whole = ask("gzip", fields);
            assert_eq!((whole.status, whole.header("content-encoding")), (200, Some("gzip")));
            assert_eq!(whole.header("content-range"), None);
            assert!(whole.body == content, "{name}");
        }
        let none = ask("gzip", format!("Range: bytes={coded}-\r\n"));
        assert_eq!((none.status, none.header("content-range")), (416, Some(&*format!("bytes */{coded}"))));
        // Beside it, the original has its own parts, one or several.
        let part = ask("identity", format!("Range: bytes={coded}-\r\nIf-Range: {of_original}\r\n"));
        assert_eq!((part.status, part.body.len()), (206, plain - coded));
        assert_eq!(part.header("content-encoding"), None);
        assert_eq!(ask("identity", "Range: bytes=0-0,-1\r\n".into()).status, 206);
    }
}

#[test]
fn what_becomes_of_a_variant_is_seen_by_the_next_request() {
    let site = Site::empty();
    write_with(&site, "app.js", &CODINGS[2..]);
    let server = Server::start(&site);
    let mut client = server.connect();
    let_settle(&site, &mut client);
    let mut expect = |accept: &str, body: &str, coding: Option<&str>| {
        client.send(ask("/app.js", accept));
        let response = client.response();
        assert_eq!((response.text(), response.header("content-encoding")), (body.into(), coding), "{accept}");
        assert_varies(&response);
    };
    for round in 0..50 {
        expect(ALL, "gzip app.js", Some("gzip"));
        let content = format!("better {round:03}");
        site.write("app.js.br", &content); // appears
        expect(ALL, &content, Some("br"));
        let content = format!("change {round:03}");
        site.write("app.js.br", &content); // changes, and is as long
        expect(ALL, &content, Some("br"));
        fs::remove_file(site.at("app.js.br")).expect("remove"); // disappears
        expect(ALL, "gzip app.js", Some("gzip"));
        expect("br", "plain app.js", None);
    }
    // One that was kept is replaced, and is gone.
    site.write("new.gz", "gzip again!");
    fs::rename(site.at("new.gz"), site.at("app.js.gz")).expect("rename");
    expect(ALL, "gzip again!", Some("gzip"));
    fs::remove_file(site.at("app.js.gz")).expect("remove");
    expect(ALL, "plain app.js", None);
}

#[test]
fn a_kept_variant_is_not_used_once_its_original_is_newer_or_gone() {
    let site = Site::empty();
    write_with(&site, "app.js", &CODINGS);
    for name in ["app.js", "app.js.br", "app.js.zst", "app.js.gz"] {
        set_time(&site, name, 0);
    }
    let server = Server::start(&site);
    let mut client = server.connect();
    let_settle(&site, &mut client);
    let mut get = |accept: &str| {
        client.send(ask("/app.js", accept));
        client.response()
    };
    assert_is(&get(ALL), "br", "app.js");
    // The build has written the original anew, and then one variant.
    set_time(&site, "app.js", 60);
    set_time(&site, "app.js.gz", 60);
    assert_is(&get("br"), "plain", "app.js");
    assert_is(&get(ALL), "gzip", "app.js");
    site.write("app.js", "rebuilt app.js");
    assert_eq!(get(ALL).text(), "rebuilt app.js");
    assert_eq!(get("br, identity;q=0").status, 406);
    fs::remove_file(site.at("app.js")).expect("remove");
    let response = get(ALL);
    assert_eq!((response.status, response.header("content-encoding")), (404, None));
}

#[test]
fn an_older_variant_is_not_used_and_one_of_the_same_time_is() {
    let site = Site::empty();
    // As `gzip -k` and archives do it, both have the same time.
    let rows = [("older.js", 10, 9, "plain"), ("same.js", 10, 10, "br"), ("newer.js", 10, 11, "br")];
    for (name, original, variant, _) in rows {
        write_with(&site, name, &CODINGS[..1]);
        set_time(&site, name, original);
        set_time(&site, &format!("{name}.br"), variant);
    }
    let server = Server::start(&site);
    each(rows, |(name, _, _, coding)| assert_is(&server.ask(ask(&format!("/{name}"), ALL)), coding, name));
}

#[test]
fn pages_that_stand_for_another_address_have_their_variants() {
    let site = Site::empty();
    for name in ["index.html", "docs/index.html", "about.html"] {
        write_with(&site, name, &CODINGS);
    }
    // None of these is a variant of an index file.
    for (name, content) in [("docs/.br", "a trap"), (".br", "a trap"), ("about.br", "a trap")] {
        site.write(name, content);
    }
    const NAVIGATES: &str = "Sec-Fetch-Mode: navigate\r\nAccept: text/html\r\n";
    let rows: [(&[&str], _, _); 8] = [
        (&[], "/", "index.html"),
        (&[], "/docs/", "docs/index.html"),
        (&[], "/docs/index.html", "docs/index.html"),
        (&["--hidden"], "/docs/", "docs/index.html"),
        (&["--index", "about.html"], "/", "about.html"),
        (&["--clean-urls"], "/about", "about.html"),
        (&["--spa"], "/users/7", "index.html"),
        (&["--spa=about.html"], "/users/7", "about.html"),
    ];
    each(rows, |&(flags, path, name)| {
        let server = Server::with(&site, flags);
        for (accept, coding) in [(ALL, "br"), ("gzip", "gzip"), ("", "plain")] {
            let response = server.ask(ask_with(path, accept, NAVIGATES));
            assert_is(&response, coding, name);
            assert_eq!(response.header("content-type"), Some(HTML));
        }
    });
    // Where an address leads elsewhere, nothing is coded.
    let server = Server::with(&site, &["--clean-urls"]);
    for (path, location) in [("/docs", "/docs/"), ("/about.html", "/about"), ("/index.html", "/")] {
        let response = server.ask(ask(path, ALL));
        assert_eq!((response.status, response.header("location")), (301, Some(location)));
        assert_eq!(response.header("content-encoding"), None);
    }
}

#[test]
fn a_page_that_comes_and_goes_takes_its_variants_with_it() {
    let site = Site::empty();
    for name in ["docs/index.html", "about.html"] {
        write_with(&site, name, &CODINGS);
    }
    let server = Server::with(&site, &["--clean-urls"]);
    let mut client = server.connect();
    let_settle(&site, &mut client);
    for (path, name) in [("/docs/", "docs/index.html"), ("/about", "about.html")] {
        let mut get = || {
            client.send(ask(path, ALL));
            client.response()
        };
        assert_is(&get(), "br", name);
        fs::remove_file(site.at(format!("{name}.br"))).expect("remove");
        assert_is(&get(), "zstd", name);
        fs::remove_file(site.at(name)).expect("remove");
        assert_eq!(get().status, 404, "{path}");
        write_with(&site, name, &CODINGS);
        assert_is(&get(), "br", name);
    }
}

#[test]
fn the_page_for_what_is_missing_is_readable_by_everybody() {
    let site = Site::empty();
    write_with(&site, "404.html", &CODINGS);
    let server = Server::start(&site);
    for accept in ["", ALL, "gzip"] {
        let response = server.ask(ask("/missing", accept));
        let coding = response.header("content-encoding").unwrap_or("plain");
        assert!(coding == "plain" || accept.contains(coding), "{coding} for {accept:?}");
        assert_eq!((response.status, response.text()), (404, format!("{coding} 404.html")));
        assert_eq!(response.header("content-type"), Some(HTML));
    }
}

/// The page is not what a script gets at the same address: a copy that is kept must not be given to it (§12.5.5).
#[test]
fn the_page_of_an_application_varies_with_what_it_was_chosen_by() {
    let site = Site::empty();
    write_with(&site, "index.html", &CODINGS);
    let server = Server::with(&site, &["--spa"]);
    let vary = |fields| {
        let response = server.ask(ask_with("/users/7", ALL, fields));
        (response.status, response.header("vary").unwrap_or_default().to_ascii_lowercase())
    };
    each([("Accept: text/html\r\nSec-Fetch-Mode: navigate\r\n", 200), ("", 404)], |&(fields, expected)| {
        let (status, vary) = vary(fields);
        assert_eq!(status, expected);
        for name in ["accept", "sec-fetch-mode"] {
            assert!(vary.split(',').any(|n| n.trim() == name), "{status} varies with {vary:?}, not {name}");
        }
    });
}

#[test]
fn only_regular_files_beneath_the_root_are_variants() {
    let outside = Site::empty();
    let site = Site::empty();
    outside.write("secret", "a secret");
    site.write("elsewhere.bin", "br linked.js");
    let names =
        ["directory.js", "fifo.js", "socket.js", "out.js", "far.js", "dangling.js", "loop.js", "linked.js"];
    for name in names {
        write_with(&site, name, &[]);
    }
    fs::create_dir(site.at("directory.js.br")).expect("a directory");
    mknodat(CWD, site.at("fifo.js.br"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
    let _socket = UnixListener::bind(site.at("socket.js.br")).expect("a socket");
    let up = format!("../{}/secret", outside.path().file_name().expect("a name").to_string_lossy());
    for (target, link) in [
        (outside.at("secret").to_str().expect("a path"), "out.js.br"),
        (&up, "far.js.br"),
        ("nowhere", "dangling.js.br"),
        ("loop.js.br", "loop.js.br"),
        ("elsewhere.bin", "linked.js.br"),
    ] {
        symlink(target, site.at(link)).expect("a link");
    }
    // The targets are as new as the originals: nothing but where they are keeps them from being used.
    outside.write("secret", "br out.js");
    site.write("elsewhere.bin", "br linked.js");
    let server = Server::start(&site);
    each(names, |name| {
        let coding = if *name == "linked.js" { "br" } else { "plain" };
        assert_is(&server.ask(ask(&format!("/{name}"), ALL)), coding, name);
    });
    let trusting = Server::with(&site, &["--follow-links"]);
    assert_is(&trusting.ask(ask("/out.js", ALL)), "br", "out.js");
    assert_is(&trusting.ask(ask("/fifo.js", ALL)), "plain", "fifo.js");
}

#[test]
fn a_variant_makes_nothing_visible_that_is_missing_or_hidden() {
    let site = Site::empty();
    for name in [".env", ".git/config", ".well-known/security.txt", "docs/page.html"] {
        write_with(&site, name, &CODINGS);
    }
    // Variants of nothing, and of a directory.
    site.write("orphan.js.br", "br orphan.js");
    site.write("docs.br", "br docs");
    let server = Server::start(&site);
    let rows = [("/.env", 404), ("/.git/config", 404), ("/orphan.js", 404), ("/docs", 301), ("/docs/", 404)];
    each(rows, |&(path, status)| {
        let response = server.ask(ask(path, ALL));
        assert_eq!((response.status, response.header("content-encoding")), (status, None), "{response:?}");
        assert!(!response.text().starts_with("br "), "{response:?}");
    });
    assert_is(&server.ask(ask("/.well-known/security.txt", ALL)), "br", ".well-known/security.txt");
    let open = Server::with(&site, &["--hidden"]);
    assert_is(&open.ask(ask("/.env", ALL)), "br", ".env");
}

#[test]
fn a_variant_that_is_replaced_while_it_is_sent_comes_as_it_was() {
    let site = Site::new();
    let old = pattern(16 << 20);
    site.write("large.bin", "plain");
    site.write("large.bin.br", &old);
    let server = Server::start(&site);
    let before = server.descriptors();
    let mut client = server.connect();
    client.send(ask("/large.bin", "br") + &get("/hello.txt"));
    client.socket.peek(&mut [0]).expect("an answer begins");
    site.write("new", "another");
    fs::rename(site.at("new"), site.at("large.bin.br")).expect("rename");
    assert_eq!(server.ask(ask("/large.bin", "br")).text(), "another", "to whoever asks now");
    let response = client.response();
    assert_eq!(response.header("content-encoding"), Some("br"));
    assert!(response.body == old, "the variant that was opened");
    assert_eq!(client.response().text(), "hello\n");
    drop(client);
    eventually("all descriptors are closed", || server.descriptors() <= before);
}
