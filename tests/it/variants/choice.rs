//! Which variant the server sends.

use std::{
    fs::{self},
    os::unix::{fs::symlink, net::UnixListener},
};

use super::*;
use crate::common::*;
use rustix::fs::{CWD, FileType, Mode, mknodat};

const HTML: &str = "text/html; charset=utf-8";

#[test]
fn variant_with_the_highest_weight_is_sent() {
    let site = Site::empty();
    write_with(&site, "app.js", &CODINGS);
    let server = Server::start(&site);
    let rows = [
        ("", "plain"),
        ("Accept-Encoding:\r\n", "plain"),
        ("Accept-Encoding: gzip\r\n", "gzip"),
        ("Accept-Encoding: x-gzip\r\n", "gzip"), // section 8.4.1.3
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
        // Several field lines form one list (section 5.3).
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
fn variant_is_chosen_among_those_that_exist() {
    let site = Site::empty();
    // Each number is a subset: bit 0 is .br, bit 1 .zst, bit 2 .gz.
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
            // Only this coding is acceptable.
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
fn variant_none_acceptable_is_406() {
    let site = Site::new();
    write_with(&site, "app.js", &CODINGS[..1]);
    let server = Server::start(&site);
    for (path, accept, status) in [
        ("/hello.txt", "identity;q=0", 406),
        ("/hello.txt", "*;q=0", 406),
        ("/app.js", "gzip, *;q=0", 406),
        ("/docs/", "br, identity;q=0", 406),
        // These responses have no variants to choose from.
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
fn variant_of_an_index_or_clean_url() {
    let site = Site::empty();
    for name in ["index.html", "docs/index.html", "about.html"] {
        write_with(&site, name, &CODINGS);
    }
    // None of these files is a variant of an index file.
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
    // A redirect is not compressed.
    let server = Server::with(&site, &["--clean-urls"]);
    for (path, location) in [("/docs", "/docs/"), ("/about.html", "/about"), ("/index.html", "/")] {
        let response = server.ask(ask(path, ALL));
        assert_eq!((response.status, response.leads_to(path).as_deref()), (301, Some(location)));
        assert_eq!(response.header("content-encoding"), None);
    }
}

#[test]
fn variant_of_the_404_page_is_not_sent() {
    let site = Site::empty();
    write_with(&site, "404.html", &CODINGS);
    let server = Server::start(&site);
    for accept in ["", ALL, "gzip"] {
        let response = server.ask(ask("/missing", accept));
        let coding = response.header("content-encoding").unwrap_or("plain");
        assert!(coding == "plain" || accept.contains(coding), "{coding} is sent for {accept:?}");
        assert_eq!((response.status, response.text()), (404, format!("{coding} 404.html")));
        assert_eq!(response.header("content-type"), Some(HTML));
    }
}

/// A script gets another response at the same URL, so a cache must not give it the stored page
/// (section 12.5.5).
#[test]
fn variant_of_the_spa_fallback_varies() {
    let site = Site::empty();
    write_with(&site, "index.html", &CODINGS);
    let server = Server::with(&site, &["--spa"]);
    let vary = |fields| {
        let response = server.ask(ask_with("/users/7", ALL, fields));
        (response.status, response.header("vary").unwrap_or_default().to_ascii_lowercase())
    };
    let rows = [
        ("Accept: text/html\r\nSec-Fetch-Mode: navigate\r\n", 200),
        ("", 200),
        ("Accept: application/json\r\n", 404),
        ("Sec-Fetch-Mode: no-cors\r\n", 404),
    ];
    each(rows, |&(fields, expected)| {
        let (status, vary) = vary(fields);
        assert_eq!(status, expected);
        for name in ["accept", "sec-fetch-mode"] {
            assert!(vary.split(',').any(|n| n.trim() == name), "{status} varies with {vary:?}, not {name}");
        }
    });
}

#[test]
fn variant_is_a_regular_file_beneath_the_root() {
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
    // The link targets are as new as the originals, so only their place outside the root excludes
    // them.
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
fn variant_exposes_no_hidden_file() {
    let site = Site::empty();
    for name in [".env", ".git/config", ".well-known/security.txt", "docs/page.html"] {
        write_with(&site, name, &CODINGS);
    }
    // Variants without an original, and of a directory.
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
