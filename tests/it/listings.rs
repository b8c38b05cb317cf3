//! Listings (`--listing`): names that are hostile to HTML, JSON and addresses; what is listed is what is served; how a
//! body of unknown length ends; and directories so large that others would notice.
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{ErrorKind, Read},
    os::unix::{
        fs::{PermissionsExt, symlink},
        net::UnixListener,
    },
    thread,
    time::{Duration, SystemTime},
};

use crate::common::*;
use percent_encoding::percent_decode_str;
use rustix::{
    fs::{CWD, Mode, mkfifoat},
    process::Signal,
};
use serde_json::Value;

const JSON: &str = "Accept: application/json\r\n";

/// Names that mean something in HTML, in JSON, in an address or on a terminal.
const HOSTILE: &[&[u8]] = &[
    b"plain.txt",
    b"a b",
    b" a ",
    b"<script>alert(1)<",
    b"<img src=x onerror=alert(1)>",
    b"\"onmouseover=\"alert(1)",
    b"'onmouseover='alert(1)",
    b"-->",
    b"&",
    b"&amp;",
    b"&lt;b",
    b"100%",
    b"%41",
    b"%2e%2e",
    b"#1",
    b"what?",
    b"?sort=size",
    b"line\nbreak",
    b"\r\nSet-Cookie: a=b",
    b"\t",
    b"\x1B[31m\x7F",
    b"\xFF\xFE",
    b"\xC3\x28",
    b"-rf",
    b"javascript:alert(1)",
    b"http:",
    b":",
    b"\\\\evil.example",
    b"a+b",
    b"a;b=c,d",
    b"{x}|^`[y]$*~!@()",
    b"x..",
    "\u{e4}\u{1F600}".as_bytes(),
    "\u{202e}gpj.exe".as_bytes(),
    "\u{2028}".as_bytes(),
    &[b'n'; 255],
    &[b'%'; 255],
];

fn asks(method: &str, path: &str, fields: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")
}

/// The next response, whose body comes in chunks.
fn listing(client: &mut Client) -> Response {
    let mut response = client.head();
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(response.header("transfer-encoding"), Some("chunked"));
    // Both together is what requests are smuggled with (RFC 9112 §6.2).
    assert_eq!(response.header("content-length"), None);
    response.body = chunks(client);
    response
}

/// A chunked body (RFC 9112 §7.1), to its end: without extensions and trailers.
fn chunks(client: &mut Client) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.extend(client.take(1));
        }
        let digits = std::str::from_utf8(&line[..line.len() - 2]).expect("ASCII");
        assert!(digits.bytes().all(|b| b.is_ascii_hexdigit()), "{digits:?} is no size");
        let size = usize::from_str_radix(digits, 16).expect("a size");
        body.extend(client.take(size));
        assert_eq!(client.take(2), b"\r\n", "behind a chunk of {size}");
        if size == 0 {
            return body;
        }
    }
}

/// The listing at `path`, on a connection of its own.
fn list(server: &Server, path: &str, fields: &str) -> Response {
    let mut client = server.connect();
    client.send(asks("GET", path, fields));
    listing(&mut client)
}

/// The entries of a listing in JSON.
fn entries(server: &Server, path: &str) -> Vec<Value> {
    let response = list(server, path, JSON);
    assert_eq!(response.header("content-type"), Some("application/json"));
    match serde_json::from_slice(&response.body).expect("JSON") {
        Value::Array(entries) => entries,
        other => panic!("{other} is no array"),
    }
}

fn text<'a>(entry: &'a Value, key: &str) -> &'a str {
    entry[key].as_str().unwrap_or_else(|| panic!("{key} in {entry}"))
}

/// The links among the rows of a page, as they stand there: where they lead, and what they say.
fn links(page: &str) -> Vec<(&str, &str)> {
    let (_, rows) = page.split_once("<tbody>").expect("rows");
    links_in(rows).into_iter().filter(|(href, _)| *href != "../").collect()
}

fn links_in(html: &str) -> Vec<(&str, &str)> {
    let link = |rest| -> Option<(&str, &str)> {
        let (href, rest): (&str, &str) = str::split_once(rest, "\">")?;
        Some((href, rest.split_once("</a>")?.0))
    };
    html.split("<a href=\"").skip(1).map(|rest| link(rest).expect("a whole link")).collect()
}

fn decoded(href: &str) -> Vec<u8> {
    percent_decode_str(href).collect()
}

fn unescaped(text: &str) -> String {
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    entities.iter().fold(text.to_owned(), |text, (entity, char)| text.replace(entity, char))
}

#[test]
fn every_link_leads_to_the_file_or_folder_of_its_name() {
    let site = Site::empty();
    for name in HOSTILE {
        site.write([b"files/", *name].concat(), name);
        site.write([b"folders/", *name, b"/inside.txt"].concat(), name);
    }
    let server = Server::with(&site, &["--listing"]);
    let names: BTreeSet<Vec<u8>> = HOSTILE.iter().map(|name| name.to_vec()).collect();
    let as_page = |path: &str| -> Vec<String> {
        let page = list(&server, path, "").text();
        links(&page).iter().map(|(href, _)| href.to_string()).collect()
    };
    let as_json = |path: &str| -> Vec<String> {
        entries(&server, path).iter().map(|entry| text(entry, "href").to_owned()).collect()
    };
    for hrefs in [as_page("/files/"), as_json("/files/")] {
        assert_eq!(hrefs.iter().map(|href| decoded(href)).collect::<BTreeSet<_>>(), names);
        each(hrefs, |href| {
            // What else an address can hold, HTML or a reader of addresses could take for something else.
            assert!(href.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)));
            assert_eq!(server.get(&format!("/files/{href}")).body, decoded(href));
        });
    }
    for hrefs in [as_page("/folders/"), as_json("/folders/")] {
        let listed = hrefs.iter().map(|href| decoded(href.strip_suffix('/').expect("a slash")));
        assert_eq!(listed.collect::<BTreeSet<_>>(), names);
        each(hrefs, |href| {
            assert_eq!(as_page(&format!("/folders/{href}")), ["inside.txt"]);
            let inside = server.get(&format!("/folders/{href}inside.txt"));
            assert_eq!([&inside.body[..], b"/"].concat(), decoded(href));
        });
    }
}

#[test]
fn a_name_never_becomes_markup() {
    let site = Site::empty();
    for (i, name) in HOSTILE.iter().enumerate() {
        site.write([b"hostile/", *name, b"/", *name].concat(), "x");
        site.write(format!("plain/{i}/{i}"), "x");
    }
    let server = Server::with(&site, &["--listing"]);
    // A page has as many of them as a page of the same form with names that mean nothing.
    let markup = |path: &str| {
        let response = list(&server, path, "");
        assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
        let policy = response.header("content-security-policy").expect("a policy");
        assert!(policy.contains("default-src 'none'") && !policy.contains("script-src"), "{policy}");
        let page = response.text();
        assert!(!page.contains("<script") && !page.contains('\u{202e}') && !page.contains('\u{1b}'));
        ["<", ">", "\"", "'"].map(|mark| page.matches(mark).count())
    };
    assert_eq!(markup("/hostile/"), markup("/plain/"));
    let plain = markup("/plain/0/");
    each(entries(&server, "/hostile/"), |entry| {
        assert_eq!(markup(&format!("/hostile/{}", text(entry, "href"))), plain, "title, way and row");
    });
}

#[test]
fn a_name_is_shown_as_it_is() {
    let site = Site::empty();
    HOSTILE.iter().for_each(|name| site.write(name, ""));
    let server = Server::with(&site, &["--listing"]);
    // What is no text or would not be shown as it is has a replacement character.
    let is_plain = |name: &[u8]| {
        std::str::from_utf8(name).is_ok_and(|n| !n.contains(char::is_control) && !n.contains('\u{202e}'))
    };
    let page = list(&server, "/", "").text();
    each(links(&page), |(href, shown)| {
        let name = decoded(href);
        assert_eq!(is_plain(&name), unescaped(shown).as_bytes() == name);
        assert_ne!(is_plain(&name), shown.contains('\u{fffd}'));
    });
    each(entries(&server, "/"), |entry| {
        assert_eq!(text(entry, "name"), String::from_utf8_lossy(&decoded(text(entry, "href"))));
    });
}

/// Sets the time at which `name` was changed.
fn set_modified(site: &Site, name: &str, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    File::open(site.at(name)).and_then(|file| file.set_modified(time)).expect("set its time");
}

#[test]
fn json_says_what_each_entry_is() {
    let site = Site::empty();
    site.write("folder/x", "x");
    site.write("file.txt", pattern(12_345));
    symlink("file.txt", site.at("link.txt")).expect("make a link");
    set_modified(&site, "file.txt", 784_111_777);
    set_modified(&site, "folder", 784_111_778);
    let server = Server::with(&site, &["--listing"]);
    let got = entries(&server, "/");
    let (folder, file, link) = (&got[0], &got[1], &got[2]);
    assert_eq!((text(folder, "type"), text(folder, "href")), ("directory", "folder/"));
    assert_eq!((text(folder, "name"), folder.get("size")), ("folder", None));
    assert_eq!(text(folder, "modified"), "1994-11-06T08:49:38Z");
    for (entry, name) in [(file, "file.txt"), (link, "link.txt")] {
        assert_eq!((text(entry, "type"), text(entry, "href")), ("file", name));
        assert_eq!(entry["size"], 12_345, "that of what a link leads to");
        assert_eq!(text(entry, "modified"), "1994-11-06T08:49:37Z");
    }
}

/// Weights and wildcards: RFC 9110 §12.4.2, §12.5.1.
#[test]
fn json_is_for_who_prefers_it() {
    let site = Site::empty();
    let server = Server::with(&site, &["--listing"]);
    let rows = [
        ("", false),
        ("Accept: */*\r\n", false),
        ("Accept: text/html\r\n", false),
        ("Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n", false),
        ("Accept: application/json\r\n", true),
        ("Accept: Application/JSON;charset=utf-8\r\n", true),
        ("Accept: application/json, text/html\r\n", false),
        ("Accept: text/html;q=0.5, application/json\r\n", true),
        ("Accept: text/html, application/json;q=0.9\r\n", false),
        ("Accept: application/json;q=0\r\n", false),
        ("Accept: application/json;q=0.001\r\n", true),
        ("Accept: text/html;q=0.1\r\nAccept: application/json;q=0.2\r\n", true),
        ("Accept: application/jsonx\r\n", false),
    ];
    each(rows, |(fields, is_json)| {
        let response = list(&server, "/", fields);
        let media_type = if *is_json { "application/json" } else { "text/html; charset=utf-8" };
        assert_eq!(response.header("content-type"), Some(media_type));
        assert_eq!(response.header("vary"), Some("Accept"), "a cache must not mix them up");
        assert_eq!(response.header("cache-control"), Some("no-cache"));
    });
}

fn site_to_sort() -> Site {
    let site = Site::empty();
    for (name, len, seconds) in [("a", 20, 3_000), ("b", 3, 1_000), ("c", 100, 2_000), ("d", 3, 3_000)] {
        site.write(name, pattern(len));
        set_modified(&site, name, seconds);
    }
    for (name, seconds) in [("y", 20_000), ("z", 10_000)] {
        site.write(format!("{name}/x"), "");
        set_modified(&site, name, seconds);
    }
    site
}

#[test]
fn rows_are_sorted_as_asked_and_directories_come_first() {
    let site = site_to_sort();
    let server = Server::with(&site, &["--listing"]);
    let rows = [
        ("", "y/ z/ a b c d"),
        ("?sort=name", "y/ z/ a b c d"),
        ("?sort=name&order=desc", "z/ y/ d c b a"),
        ("?order=desc", "z/ y/ d c b a"),
        ("?sort=size", "y/ z/ b d a c"),
        ("?sort=size&order=asc", "y/ z/ b d a c"),
        ("?order=desc&sort=size", "z/ y/ c a d b"),
        ("?sort=modified", "z/ y/ b c a d"),
        ("?sort=modified&order=desc", "y/ z/ d a c b"),
        ("?sort=colour&order=sideways&x=<script>&&=", "y/ z/ a b c d"),
        ("?", "y/ z/ a b c d"),
    ];
    each(rows, |(query, expected)| {
        let path = format!("/{query}");
        let names: Vec<_> = entries(&server, &path).iter().map(|e| text(e, "href").to_owned()).collect();
        assert_eq!(names.join(" "), *expected);
        let page = list(&server, &path, "").text();
        let names: Vec<_> = links(&page).iter().map(|(href, _)| *href).collect();
        assert_eq!(names.join(" "), *expected, "as a page");
        assert!(!page.contains("<script"), "a query is not shown");
    });
}

#[test]
fn each_heading_is_a_link_that_sorts_and_turns_the_order_round() {
    let site = site_to_sort();
    let server = Server::with(&site, &["--listing"]);
    let page_at = |query: &str| list(&server, &format!("/{query}"), "").text();
    let files = |page: &str| -> Vec<String> {
        links(page).iter().filter(|(href, _)| !href.ends_with('/')).map(|(h, _)| h.to_string()).collect()
    };
    for key in ["name", "size", "modified"] {
        let heading = |page: &str| {
            let links = links_in(page.split_once("<tbody>").expect("rows").0);
            let link = links.iter().find(|(href, _)| href.starts_with(&format!("?sort={key}&")));
            unescaped(link.expect("a heading").0)
        };
        let once = page_at(&heading(&page_at("")));
        let twice = page_at(&heading(&once));
        assert_eq!(files(&once).iter().rev().collect::<Vec<_>>(), files(&twice).iter().collect::<Vec<_>>());
        assert_eq!(page_at(&heading(&twice)), once, "{key}");
    }
}

#[test]
fn each_step_of_the_way_leads_back_also_under_a_base() {
    let site = Site::empty();
    site.write("a <b>/50%?/file.txt", "x");
    for (base, args) in [("", vec![]), ("/x/my%20app", vec!["--base-path", "/x/my app"])] {
        let server = Server::with(&site, &[&["--listing"][..], &args].concat());
        let mut client = server.connect();
        client.send(get(&format!("{base}/a%20%3Cb%3E/50%25%3F/")));
        let page = listing(&mut client).text();
        let (top, rows) = page.split_once("<tbody>").expect("rows");
        let steps: Vec<_> = links_in(top).into_iter().filter(|(href, _)| href.starts_with('/')).collect();
        let ways = ["/", "/a%20%3Cb%3E/", "/a%20%3Cb%3E/50%25%3F/"].map(|way| format!("{base}{way}"));
        assert_eq!(steps.iter().map(|(href, _)| href.to_string()).collect::<Vec<_>>(), ways);
        assert_eq!(steps.iter().map(|(_, shown)| unescaped(shown)).collect::<String>(), "/a <b>/50%?/");
        for way in ways {
            client.send(get(&way));
            assert!(listing(&mut client).text().contains("<tbody>"), "{way}");
        }
        assert!(rows.contains("<a href=\"../\">"));
        client.send(get(&format!("{base}/")));
        assert!(!listing(&mut client).text().contains("\"../\""), "nothing is above the site");
    }
}

#[test]
fn where_the_body_ends_can_be_seen_in_every_version() {
    let site = Site::new();
    (0..2000).for_each(|i| site.write(format!("many/{i}"), ""));
    let server = Server::with(&site, &["--listing"]);
    let mut client = server.connect();
    // The connection is kept, and what is behind a listing is answered behind it.
    client.send(get("/many/") + &get("/hello.txt") + &get("/many/") + &get("/missing"));
    let first = listing(&mut client);
    assert!(!first.closes() && first.body.len() > 100_000, "in several pieces");
    assert_eq!(client.response().text(), "hello\n");
    assert_eq!(listing(&mut client).body, first.body);
    assert_eq!(client.response().status, 404);
    // HEAD has the same fields, no body, and leaves the connection open (RFC 9110 §9.3.2).
    client.send(asks("HEAD", "/many/", "") + &get("/hello.txt"));
    let head = client.head();
    let but_date = |r: &Response| {
        let fields = r.headers.iter().filter(|(name, _)| name != "Date");
        fields.cloned().collect::<Vec<_>>()
    };
    assert_eq!((head.status, but_date(&head)), (200, but_date(&first)));
    assert_eq!(client.response().text(), "hello\n", "directly behind the head");
    // The peer may close its side first, and the server if it is asked to.
    client.send(get("/many/"));
    client.finish();
    assert_eq!(listing(&mut client).body, first.body);
    client.expect_close();
    let mut client = server.connect();
    client.send(asks("GET", "/many/", "Connection: close\r\n"));
    let response = listing(&mut client);
    assert!(response.closes() && response.body == first.body);
    client.expect_close();
    // HTTP/1.0 has no chunks, so that the end of the connection is that of the body, whatever was asked for.
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
fn exactly_what_is_served_is_listed() {
    let (site, outside) = (Site::empty(), Site::empty());
    outside.write("secret.txt", "secret\n");
    let beside = outside.path().file_name().expect("a name").to_str().expect("ASCII");
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
    link("out.txt", &format!("../{beside}/secret.txt"));
    link(".out", &format!("../{beside}/secret.txt"));
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
fn what_is_hidden_depends_on_where_it_is() {
    let site = Site::empty();
    for name in [".well-known/x", ".well-known/.x", "folder/.well-known/x", "folder/x"] {
        site.write(name, "");
    }
    let server = Server::with(&site, &["--listing"]);
    for path in ["/.well-known/", "/folder/"] {
        assert_eq!(entries(&server, path).iter().map(|e| text(e, "href")).collect::<Vec<_>>(), ["x"]);
    }
}

/// RFC 8615 has it at the root of the server, where a site with a base path is not.
#[test]
fn what_is_listed_under_a_base_is_served_there() {
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
fn a_listing_stands_for_a_missing_index_and_for_nothing_else() {
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
        (&server, "GET", "/bare/../bare/", 404, "lost\n"),
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
    // Somebody who goes to a directory that is there is not lost, and needs no application.
    let server = Server::with(&site, &["--listing", "--spa"]);
    assert!(list(&server, "/bare/", "Accept: text/html\r\n").text().contains("file.txt"));
    assert_eq!(server.ask(asks("GET", "/missing/", "Accept: text/html\r\n")).text(), "home\n");
}

/// RFC 9110 §13.1.1, §13.1.2: a listing is there, and has no version that a tag could name.
#[test]
fn preconditions_hold_of_listings_too() {
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
fn a_listing_is_of_this_moment() {
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
fn a_directory_that_may_not_be_read_is_refused() {
    let site = Site::empty();
    site.write("closed/file.txt", "");
    let set_mode = |mode| fs::set_permissions(site.at("closed"), PermissionsExt::from_mode(mode));
    set_mode(0o311).expect("close it");
    let server = Server::unprivileged(&site, &["--listing"]);
    let response = server.map(|server| server.get("/closed/"));
    set_mode(0o700).expect("open it, so that it can be removed");
    let Some(response) = response else { return };
    assert_eq!(response.status, 403);
    assert_our_page(&response, false);
}

/// `count` files in `crowd/`, with `tail` in their names.
fn crowd(count: usize, tail: &str) -> Site {
    let site = Site::new();
    site.write(crowded(0, tail), "");
    (1..count).for_each(|i| drop(File::create(site.at(crowded(i, tail))).expect("make a file")));
    site
}

fn crowded(i: usize, tail: &str) -> String {
    format!("crowd/{i:05}{tail}")
}

/// A row with it has almost a kilobyte: 20,000 of them are more than the socket buffers of both sides hold.
fn wide() -> String {
    "%".repeat(200)
}

/// Asserts that `page` has the rows of the first `count` files of a crowd, in order.
fn assert_is_crowd(page: &[u8], count: usize) {
    let page = std::str::from_utf8(page).expect("UTF-8");
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</table>\n"));
    let links = links(page);
    assert_eq!(links.len(), count);
    assert!(links.iter().enumerate().all(|(i, (href, _))| href.starts_with(&format!("{i:05}"))));
}

fn ask_hello(client: &mut Client) {
    client.send(get("/hello.txt"));
    assert_eq!(client.response().text(), "hello\n");
}

#[test]
fn fifty_thousand_names_come_in_order_while_others_are_answered() {
    const COUNT: usize = 50_000;
    let site = crowd(COUNT, "");
    let server = Server::with(&site, &["--listing"]);
    let (mut client, mut beside) = (server.connect(), server.connect());
    ask_hello(&mut beside);
    client.send(get("/crowd/"));
    // All names must be there before the first can be sent. A server that reads them in one go answers one request.
    let mut answers = 0;
    client.socket.set_nonblocking(true).expect("set non-blocking");
    while client.socket.peek(&mut [0]).is_err_and(|e| e.kind() == ErrorKind::WouldBlock) {
        ask_hello(&mut beside);
        answers += 1;
    }
    client.socket.set_nonblocking(false).expect("set blocking");
    assert!(answers >= 10, "{answers} answers before the listing began");
    let json = thread::scope(|scope| {
        let page = scope.spawn(|| listing(&mut client).body);
        let json = entries(&server, "/crowd/");
        assert_is_crowd(&page.join().expect("a page"), COUNT);
        json
    });
    assert_eq!(json.len(), COUNT);
    assert!(json.iter().enumerate().all(|(i, entry)| text(entry, "name") == format!("{i:05}")));
    ask_hello(&mut client);
}

#[test]
fn readers_that_stall_in_the_middle_hold_up_nobody() {
    const COUNT: usize = 20_000;
    let site = crowd(COUNT, &wide());
    let server = Server::with(&site, &["--listing", "--send-timeout", "5m"]);
    let mut stalled: Vec<Client> = (0..4).map(|_| server.connect()).collect();
    stalled.iter_mut().for_each(|client| client.send(get("/crowd/") + &get("/hello.txt")));
    stalled.iter_mut().for_each(|client| assert_eq!(client.head().status, 200));
    assert_idle(&server, Duration::from_millis(300));
    let mut beside = server.connect();
    (0..50).for_each(|_| ask_hello(&mut beside));
    assert_is_crowd(&list(&server, "/crowd/", "").body, COUNT);
    // Each goes on where it was, and what is asked for behind it is answered.
    for client in &mut stalled {
        assert_is_crowd(&chunks(client), COUNT);
        assert_eq!(client.response().text(), "hello\n");
    }
}

#[test]
fn clients_that_go_away_leave_nothing_behind() {
    const COUNT: usize = 20_000;
    let site = crowd(COUNT, &wide());
    let server = Server::with(&site, &["--listing"]);
    assert_is_crowd(&list(&server, "/crowd/", "").body, COUNT);
    let mut beside = server.connect();
    ask_hello(&mut beside);
    let before = server.descriptors();
    for version in ["1.1", "1.0"] {
        let ask = || {
            let mut client = server.connect();
            client.send(format!("GET /crowd/ HTTP/{version}\r\nHost: a\r\n\r\n"));
            client
        };
        // While names are gathered, and in the middle of the page; with a FIN and with a RST.
        drop(ask());
        ask().reset();
        for is_reset in [false, true] {
            let mut client = ask();
            client.socket.read_exact(&mut [0; 1000]).expect("the beginning");
            if is_reset { client.reset() } else { drop(client) }
        }
    }
    eventually("all is closed", || server.descriptors() == before);
    assert_idle(&server, Duration::from_millis(300));
    ask_hello(&mut beside);
    assert_is_crowd(&list(&server, "/crowd/", "").body, COUNT);
}

/// What has been read of all directories is kept until it is sent, so that it needs a bound.
#[test]
fn more_listings_than_memory_is_meant_for_are_refused_until_there_is_room() {
    const COUNT: usize = 50_000;
    let site = crowd(COUNT, &wide());
    let server = Server::with(&site, &["--listing", "--send-timeout", "5m"]);
    let mut stalled = Vec::new();
    let refused = loop {
        assert!(stalled.len() < 20, "{} MB are held", server.resident() >> 20);
        let mut client = server.connect();
        client.send(get("/crowd/"));
        let head = client.head();
        if head.status != 200 {
            break head;
        }
        stalled.push(client);
    };
    assert_eq!((refused.status, refused.closes()), (503, false));
    assert!(refused.header("retry-after").is_some());
    assert_eq!(server.get("/hello.txt").text(), "hello\n");
    drop(stalled);
    eventually("there is room again", || {
        let mut client = server.connect();
        client.send(get("/crowd/"));
        client.head().status == 200
    });
}

#[test]
fn a_listing_under_way_is_finished_before_the_server_ends() {
    const COUNT: usize = 20_000;
    let site = crowd(COUNT, &wide());
    let mut server = Server::with(&site, &["--listing", "--drain-timeout", "5m"]);
    let (mut begun, mut gathering) = (server.connect(), server.connect());
    begun.send(get("/crowd/"));
    let head = begun.head();
    assert_eq!(head.status, 200);
    gathering.send(get("/crowd/"));
    ask_hello(&mut server.connect()); // so that the request before it is read
    server.signal(Signal::TERM);
    assert_is_crowd(&chunks(&mut begun), COUNT);
    assert_is_crowd(&listing(&mut gathering).body, COUNT);
    [begun, gathering].iter_mut().for_each(Client::expect_close);
    assert_eq!(server.exit().code(), Some(0));
}
