//! Redirects and rewrites: the site's own `_redirects` file, and `--redirect`.

use std::{
    fs,
    io::{BufRead, BufReader},
};

use crate::{
    common::*,
    freshness::{MODES, Serving},
};

/// Returns the status of the response to a GET of `target`, and its location or content.
fn outcome(server: &Server, target: &str) -> (u16, String) {
    let response = server.ask(get(target));
    let location = response.leads_to(target);
    (response.status, location.unwrap_or_else(|| response.text()))
}

const RULES: &str = "# from to status\n\
    /old/*          /new/:splat\n\
    /hello.txt      /shadowed\n\
    /forced.txt     /hello.txt  200!\n\
    /moved          /docs/      302\n\
    /see            /docs/      303\n\
    /temporary      /docs/      307\n\
    /permanent      /docs/      308\n\
    /elsewhere/*    https://a.example/:splat?x=y#z\n\
    /closed/*       /closed.html 404\n\
    /docs/secret    /.git/config 200\n\
    /docs/rules     /_headers    200\n\
    /docs/link      /link        200\n\
    /docs/dir       /docs        200\n\
    /docs/gone      /gone        200\n\
    /store id=:id   /:id.txt     200\n\
    /loop           /loop/       301\n\
    /a              /b           200\n\
    /b              /hello.txt   200\n\
    /app/*          /index.html  200\n";

fn site() -> Site {
    let site = Site::new();
    site.write("_redirects", RULES);
    site.write(
        "_headers",
        "/app/*\n  X-App: yes\n  Cache-Control: max-age=60\n/forced.txt\n  Cache-Control: max-age=60\n",
    );
    site.write("forced.txt", "forced\n");
    site.write("closed.html", "closed\n");
    site.write(".git/config", "never shown\n");
    std::os::unix::fs::symlink("_redirects", site.at("link")).expect("a link");
    site
}

#[test]
fn redirects_file_redirects_and_rewrites() {
    let site = site();
    let server = Server::start(&site);
    let rows = [
        ("/old/a%20b?c=d", 301, "/new/a%20b?c=d"),
        ("/old/%0d%0aX-Evil:1", 301, "/new/%0D%0AX-Evil%3A1"),
        ("/old//evil.example", 301, "/new/evil.example"),
        ("/hello.txt", 200, "hello\n"),
        ("/forced.txt", 200, "hello\n"),
        ("/moved", 302, "/docs/"),
        ("/see/", 303, "/docs/"),
        ("/temporary", 307, "/docs/"),
        ("/permanent", 308, "/docs/"),
        ("/elsewhere/a/b?q", 301, "https://a.example/a/b?x=y#z"),
        ("/closed/a", 404, "closed\n"),
        ("/docs/dir", 200, "docs\n"),
        ("/store?id=hello", 200, "hello\n"),
        ("/store?id=closed.html%00", 404, ""),
        ("/app/users/7?tab=1", 200, "home\n"),
        ("/app", 200, "home\n"),
    ];
    each(rows, |(target, status, expected)| {
        let (got, text) = outcome(&server, target);
        assert_eq!(got, *status, "{text}");
        assert!(expected.is_empty() || text == *expected, "{text}");
    });
}

#[test]
fn rewrites_do_not_reach_what_is_not_served_and_do_not_chain() {
    let site = site();
    let server = Server::with(&site, &["--no-watch"]);
    for target in [
        "/docs/secret",
        "/docs/rules",
        "/docs/link",
        "/docs/gone",
        "/a",
        "/store?id=.git/config",
        "/_redirects",
    ] {
        let (status, text) = outcome(&server, target);
        assert_eq!(status, 404, "{target}: {text}");
        assert!(!text.contains("never shown") && !text.contains("X-App"), "{text}");
    }
    assert_eq!(outcome(&server, "/loop").0, 301);
    assert_eq!(outcome(&server, "/loop/").0, 404, "it would lead to itself");
}

#[test]
fn rewritten_file_is_a_whole_file_at_another_url() {
    let site = site();
    let server = Server::with(&site, &["--base-path=/base"]);
    let response = server.ask("GET /base/app/x HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\n\r\n");
    assert_eq!((response.status, response.text().as_str()), (206, "ho"));
    assert_eq!(response.header("x-app"), Some("yes"), "the headers are those for the requested path");
    assert_eq!(response.header("cache-control"), Some("no-cache"), "a file may appear there");
    let forced = server.ask(get("/base/forced.txt"));
    assert_eq!(forced.header("cache-control"), Some("max-age=60"));
    let tag = response.header("etag").expect("a tag");
    let request = format!("GET /base/app/y HTTP/1.1\r\nHost: a\r\nIf-None-Match: {tag}\r\n\r\n");
    assert_eq!(server.ask(request).status, 304);
    let head = server.ask("HEAD /base/closed/a HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((head.status, head.header("content-length")), (404, Some("7")));
    assert_eq!(outcome(&server, "/base/old/a"), (301, "/base/new/a".to_owned()));
    assert_eq!(outcome(&server, "/old/a").0, 404, "outside the site");
}

#[test]
fn redirects_of_the_command_line_come_first() {
    let args =
        ["--redirect=/old/:page /pages/:page 302", "--redirect=/* /docs/ 200", "--listing", "--clean-urls"];
    let site = site();
    site.write("empty/file", "");
    site.write("about.html", "about\n");
    let server = Server::with(&site, &args);
    assert_eq!(outcome(&server, "/old/a"), (302, "/pages/a".to_owned()));
    assert_eq!(outcome(&server, "/moved"), (200, "docs\n".to_owned()));
    assert_eq!(outcome(&server, "/empty/"), (200, "docs\n".to_owned()), "a listing is not a file");
    assert_eq!(outcome(&server, "/about"), (200, "about\n".to_owned()));
}

#[test]
fn redirects_file_that_changes_has_an_effect_at_once() {
    each(MODES, |&inotify| {
        let site = Site::new();
        site.write("_redirects", "/a /1\n");
        let mut serving = Serving::new(site, inotify);
        let now = |serving: &mut Serving| {
            let response = serving.response("/a");
            response.leads_to("/a")
        };
        assert_eq!(now(&mut serving).as_deref(), Some("/1"));
        serving.settle();
        serving.cache("/hello.txt");
        serving.site.write("_redirects", "/a /2\n");
        assert_eq!(now(&mut serving).as_deref(), Some("/2"), "rewritten");
        serving.settle();
        serving.cache("/hello.txt");
        serving.site.write("new", "/a /3\n");
        fs::rename(serving.site.at("new"), serving.site.at("_redirects")).expect("rename");
        assert_eq!(now(&mut serving).as_deref(), Some("/3"), "replaced");
        serving.settle();
        serving.cache("/hello.txt");
        fs::remove_file(serving.site.at("_redirects")).expect("remove");
        assert_eq!(now(&mut serving), None, "removed");
    });
}

#[test]
fn redirects_file_errors_are_reported_with_their_lines() {
    let site = Site::new();
    site.write("_redirects", "/a\n\n/b //evil.example\n/c /d 302 Country=de\n/e /f\n");
    let mut server = Server::start(&site);
    let mut lines = BufReader::new(server.stderr()).lines().map_while(Result::ok);
    for expected in [
        "_redirects:1: a rule needs a path and a target, such as /old /new; skipping the rule",
        "_redirects:3: the target is neither a path",
        "_redirects:4: conditions are not supported",
    ] {
        let line = lines.next().expect("a line");
        assert!(line.contains(expected), "{line}");
    }
    assert_eq!(outcome(&server, "/e"), (301, "/f".to_owned()));
    assert_eq!(outcome(&server, "/b").0, 404);
}
