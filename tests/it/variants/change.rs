//! Variants that change while the server runs.

use std::{
    fs::{self, File},
    time::{Duration, SystemTime},
};

use super::*;
use crate::common::*;

/// Sets the modification time of `name` to `seconds` after a date in 1994.
fn set_time(site: &Site, name: &str, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777 + seconds);
    File::options().write(true).open(site.at(name)).and_then(|f| f.set_modified(time)).expect("set its time");
}

#[test]
fn variant_change_is_seen_by_the_next_request() {
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
        site.write("app.js.br", &content); // changes and keeps its length
        expect(ALL, &content, Some("br"));
        fs::remove_file(site.at("app.js.br")).expect("remove"); // disappears
        expect(ALL, "gzip app.js", Some("gzip"));
        expect("br", "plain app.js", None);
    }
    // A cached variant is replaced, then removed.
    site.write("new.gz", "gzip again!");
    fs::rename(site.at("new.gz"), site.at("app.js.gz")).expect("rename");
    expect(ALL, "gzip again!", Some("gzip"));
    fs::remove_file(site.at("app.js.gz")).expect("remove");
    expect(ALL, "plain app.js", None);
}

#[test]
fn variant_in_the_cache_needs_its_original() {
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
    // A build has written the original again, and then one variant.
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
fn variant_older_than_its_original_is_not_sent() {
    let site = Site::empty();
    // With `gzip -k` and in archives, both have the same time.
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
fn variant_comes_and_goes_with_its_page() {
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
fn variant_replaced_while_it_is_sent_is_unchanged() {
    let site = Site::new();
    let old = pattern(16 << 20);
    site.write("large.bin", "plain");
    site.write("large.bin.br", &old);
    let server = Server::start(&site);
    let before = server.descriptors();
    let mut client = server.connect();
    client.send(ask("/large.bin", "br") + &get("/hello.txt"));
    client.wait_for_bytes();
    site.write("new", "another");
    fs::rename(site.at("new"), site.at("large.bin.br")).expect("rename");
    assert_eq!(server.ask(ask("/large.bin", "br")).text(), "another", "a new request gets the new variant");
    let response = client.response();
    assert_eq!(response.header("content-encoding"), Some("br"));
    assert!(response.body == old, "the variant opened first");
    assert_eq!(client.response().text(), "hello\n");
    drop(client);
    eventually("all descriptors are closed", || server.descriptors() <= before);
}
