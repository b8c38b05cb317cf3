//! What a listing contains, and when the server sends one.

use std::{
    collections::BTreeSet,
    fs::{self},
    os::unix::{
        fs::{PermissionsExt, symlink},
        net::UnixListener,
    },
};

use super::*;
use crate::common::*;
use rustix::fs::{CWD, Mode, mkfifoat};
use serde_json::Value;

#[test]
fn listing_ends_visibly_in_every_version() {
    let site = Site::new();
    site.crowd("many", (0..2000).map(|i| i.to_string()));
    let server = Server::with(&site, &["--listing"]);
    let mut client = server.connect();
    // The connection persists, and the server answers the requests that follow a listing.
    client.send(get("/many/") + &get("/hello.txt") + &get("/many/") + &get("/missing"));
    let first = listing(&mut client);
    assert!(!first.closes() && first.body.len() > 100_000, "in several pieces");
    assert_eq!(client.response().text(), "hello\n");
    assert_eq!(listing(&mut client).body, first.body);
    assert_eq!(client.response().status, 404);
    // A response to HEAD has the same fields and no body, and leaves the connection open (RFC 9110
    // section 9.3.2).
    client.send(asks("HEAD", "/many/", "") + &get("/hello.txt"));
    let head = client.head();
    let but_date = |r: &Response| {
        let fields = r.headers.iter().filter(|(name, _)| name != "Date");
        fields.cloned().collect::<Vec<_>>()
    };
    assert_eq!((head.status, but_date(&head)), (200, but_date(&first)));
    assert_eq!(client.response().text(), "hello\n", "directly after the head");
    // The client may close its side first, and the server closes if the client asks for it.
    client.send(get("/many/"));
    client.finish();
    assert_eq!(listing(&mut client).body, first.body);
    client.expect_close();
    let mut client = server.connect();
    client.send(asks("GET", "/many/", "Connection: close\r\n"));
    let response = listing(&mut client);
    assert!(response.closes() && response.body == first.body);
    client.expect_close();
    // HTTP/1.0 has no chunked coding, so the end of the connection marks the end of the body, even
    // with `Connection: keep-alive`.
    each(["", "Connection: keep-alive\r\n", "Host: a\r\nTE: chunked\r\n"], |fields| {
        let mut client = server.connect();
        client.send(format!("GET /many/ HTTP/1.0\r\n{fields}\r\n"));
        let response = client.head();
        assert!(response.status == 200 && response.closes(), "{response:?}");
        assert_eq!(response.header("transfer-encoding").or(response.header("content-length")), None);
        assert!(client.rest() == first.body);
    });
    let mut client = server.connect();
    client.send("HEAD /many/ HTTP/1.0\r\n\r\n");
    assert_eq!(client.head().header("transfer-encoding"), None);
    client.expect_close();
}

#[test]
fn listing_has_exactly_what_is_served() {
    let (site, outside) = (Site::empty(), Site::empty());
    outside.write("secret.txt", "secret\n");
    let sibling = outside.path().file_name().expect("a name").to_str().expect("ASCII");
    let link = |name: &str, to: &str| symlink(to, site.at(name)).expect("make a link");
    let fifo = |name: &str| mkfifoat(CWD, site.at(name), Mode::RWXU).expect("make a FIFO");
    for file in ["file.txt", "folder/x", ".dot", ".dir/x", "...", ".well-known/x", "..x"] {
        site.write(file, "x");
    }
    link("in.txt", "file.txt");
    link("in", "folder");
    link("through", "in/x");
    link("to-hidden", ".dot");
    link(".link", "file.txt");
    link("out", outside.path().to_str().expect("ASCII"));
    link("out.txt", &format!("../{sibling}/secret.txt"));
    link(".out", &format!("../{sibling}/secret.txt"));
    link("absolute", site.at("file.txt").to_str().expect("ASCII"));
    link("dangling", "missing");
    link("self", "self");
    link("loop1", "loop2");
    link("loop2", "loop1");
    link("null", "/dev/null");
    link("to-fifo", "fifo");
    fifo("fifo");
    fifo(".fifo");
    let _socket = UnixListener::bind(site.at("socket")).expect("make a socket");
    let always = [".well-known/", "file.txt", "folder/", "in/", "in.txt", "through", "to-hidden"];
    let (hidden, links) = ([".dot", ".dir/", "...", "..x", ".link"], ["out/", "out.txt", "absolute"]);
    let modes: [(&[&str], Vec<&str>); 4] = [
        (&[], vec![]),
        (&["--hidden"], hidden.to_vec()),
        (&["--follow-links"], links.to_vec()),
        (&["--hidden", "--follow-links"], [&hidden[..], &links, &[".out"]].concat()),
    ];
    each(modes, |(options, more)| {
        let server = Server::with(&site, &[&["--listing"], *options].concat());
        let listed: BTreeSet<_> =
            entries(&server, "/").iter().map(|entry| text(entry, "href").to_owned()).collect();
        assert_eq!(listed, always.iter().chain(more).map(|name| name.to_string()).collect());
        for entry in fs::read_dir(site.path()).expect("read it") {
            let name = entry.expect("an entry").file_name().into_string().expect("ASCII");
            let is_listed = |slash| listed.contains(&format!("{name}{slash}"));
            let status = |slash| server.ask(asks("HEAD", &format!("/{name}{slash}"), "")).status;
            assert_eq!(is_listed(""), status("") == 200, "{name}");
            assert_eq!(is_listed("/"), status("/") == 200, "{name}/");
        }
    });
    let server = Server::with(&site, &["--listing", "--follow-links"]);
    assert_eq!(text(&entries(&server, "/out/")[0], "href"), "secret.txt");
    assert_eq!(server.get("/out/secret.txt").text(), "secret\n");
}

#[test]
fn listing_hides_dotfiles_except_well_known_at_the_root() {
    let site = Site::empty();
    for name in [".well-known/x", ".well-known/.x", "folder/.well-known/x", "folder/x"] {
        site.write(name, "");
    }
    let server = Server::with(&site, &["--listing"]);
    for path in ["/.well-known/", "/folder/"] {
        assert_eq!(entries(&server, path).iter().map(|e| text(e, "href")).collect::<Vec<_>>(), ["x"]);
    }
}

/// RFC 8615 puts `.well-known` at the root of the server, and a base path is not at the root.
#[test]
fn listing_under_a_base_path_has_what_is_served_there() {
    let site = Site::empty();
    site.write(".well-known/x", "x");
    site.write("x", "x");
    let server = Server::with(&site, &["--listing", "--base-path", "/app"]);
    let mut client = server.connect();
    client.send(get("/app/"));
    for (href, _) in links(&listing(&mut client).text()) {
        client.send(asks("HEAD", &format!("/app/{href}"), ""));
        assert_eq!(client.head().status, 200, "{href}");
    }
}

#[test]
fn listing_replaces_a_missing_index_and_nothing_else() {
    let site = Site::new();
    site.write("bare/file.txt", "x");
    site.write("other/index.html/file.txt", "x");
    mkfifoat(CWD, site.at("bare/index.html"), Mode::RWXU).expect("make a FIFO");
    site.write("404.html", "lost\n");
    let server = Server::with(&site, &["--listing"]);
    for (path, href) in [("/bare/", "file.txt"), ("//bare/./", "file.txt"), ("/other/", "index.html/")] {
        let page = list(&server, path, "").text();
        assert_eq!(links(&page), [(href, href)], "{path}");
    }
    let rows = [
        (&server, "GET", "/", 200, "home\n"),
        (&server, "GET", "/docs/", 200, "docs\n"),
        (&server, "GET", "/bare", 301, ""),
        (&server, "GET", "/missing/", 404, "lost\n"),
        (&server, "GET", "/hello.txt/", 404, "lost\n"),
        (&server, "GET", "/bare/../bare/missing", 404, "lost\n"),
        (&server, "GET", "/bare/index.html", 404, "lost\n"),
        (&Server::start(&site), "GET", "/bare/", 404, "lost\n"),
    ];
    each(
        rows.map(|(server, method, path, status, body)| (server.addr(), method, path, status, body)),
        |row| {
            let (addr, method, path, status, body) = *row;
            let mut client = Client::connect(addr);
            client.send(asks(method, path, JSON));
            let response = client.response();
            assert_eq!((response.status, response.text().as_str()), (status, body));
        },
    );
    assert_eq!(server.ask(asks("POST", "/bare/", "Content-Length: 0\r\n")).status, 405);
    // Navigation to a directory that exists does not get the SPA fallback.
    let server = Server::with(&site, &["--listing", "--spa"]);
    assert!(list(&server, "/bare/", "Accept: text/html\r\n").text().contains("file.txt"));
    assert_eq!(server.ask(asks("GET", "/missing/", "Accept: text/html\r\n")).text(), "home\n");
}

/// A listing exists, but has no ETag to compare with (RFC 9110 sections 13.1.1 and 13.1.2).
#[test]
fn listing_obeys_preconditions() {
    let site = Site::new();
    site.write("folder/name", "");
    let server = Server::with(&site, &["--listing"]);
    each(
        [
            ("If-Match: \"a\"\r\n", 412),
            ("If-Match: *\r\n", 200),
            ("If-None-Match: \"a\"\r\n", 200),
            ("If-None-Match: *\r\n", 304),
            ("If-Modified-Since: Sun, 06 Nov 2095 08:49:37 GMT\r\n", 200),
            ("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 200),
            ("Range: bytes=0-1\r\n", 200),
        ],
        |&(fields, status)| assert_eq!(server.ask(asks("HEAD", "/folder/", fields)).status, status),
    );
}

#[test]
fn listing_is_current() {
    let site = Site::empty();
    let server = Server::with(&site, &["--listing"]);
    let mut client = server.connect();
    let mut ask = |fields: &str| {
        client.send(asks("GET", "/", fields));
        listing(&mut client)
    };
    assert_eq!(serde_json::from_slice::<Value>(&ask(JSON).body).expect("JSON"), Value::Array(vec![]));
    assert!(links(&ask("").text()).is_empty(), "an empty directory has an empty page");
    for round in 0..100 {
        let name = format!("{round}.txt");
        site.write(&name, "");
        assert_eq!(links(&ask("").text()), [(&*name, &*name)]);
        fs::remove_file(site.at(&name)).expect("remove it");
    }
}

#[test]
fn listing_of_an_unreadable_directory_is_refused() {
    let site = Site::empty();
    site.write("closed/file.txt", "");
    let set_mode = |mode| fs::set_permissions(site.at("closed"), PermissionsExt::from_mode(mode));
    set_mode(0o311).expect("make it unreadable");
    let server = Server::unprivileged(&site, &["--listing"]);
    let response = server.map(|server| server.get("/closed/"));
    set_mode(0o700).expect("restore its mode, so that it can be removed");
    let Some(response) = response else { return };
    assert_eq!(response.status, 403);
    assert_our_page(&response, false);
}
