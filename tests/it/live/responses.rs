//! Responses with the script: their length, tag and ranges include it.

use crate::common::*;

const SCRIPT: &str = "\n<script async src=\".oneloop/live.js\"></script>\n";
/// The element on a page below a directory.
const DEEPER: &str = "\n<script async src=\"../.oneloop/live.js\"></script>\n";
const NAVIGATION: &str = "Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nAccept: text/html\r\n";
const FETCH: &str = "Sec-Fetch-Dest: empty\r\nSec-Fetch-Mode: cors\r\nAccept: text/html\r\n";

fn request(line: &str, fields: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")
}

/// Sends the request until a response has the entity tag of the response before. The tag of a large
/// file that has just been written differs each time.
fn settled(server: &Server, request: &str) -> Response {
    let mut response = server.ask(request);
    eventually("a settled tag", || {
        let before = std::mem::replace(&mut response, server.ask(request));
        before.header("etag") == response.header("etag")
    });
    response
}

#[test]
fn script_follows_pages_and_nothing_else() {
    let site = Site::new();
    let large = format!("<p>{}", "large ".repeat(50_000));
    let pages = [
        ("no-head.html", "<p>one<p>two"),
        ("unclosed.html", "<html><body><div><ul><li>one"),
        ("whole.html", "<!doctype html><html><head></head><body></body></html>\n"),
        ("empty.html", ""),
        ("medium.html", &large[..60_000]),
        ("large.html", &large),
    ];
    pages.iter().for_each(|(name, content)| site.write(name, content));
    let others = [
        ("page.xhtml", b"<html xmlns='http://www.w3.org/1999/xhtml'/>".to_vec()),
        ("utf-16.html", b"\xff\xfe<\0p\0>\0".to_vec()),
        ("text.txt", b"<p>".to_vec()),
        ("script.js", b"1".to_vec()),
    ];
    others.iter().for_each(|(name, content)| site.write(name, content));
    let server = Server::with(&site, &["--live"]);
    each(pages.map(|(name, _)| name), |name| {
        let (_, content) = pages.iter().find(|(of, _)| of == name).expect("a page");
        let line = format!("GET /{name}");
        let page = settled(&server, &request(&line, NAVIGATION));
        assert_eq!(page.text(), format!("{content}{SCRIPT}"));
        assert_eq!(page.header("last-modified"), None);
        let head = server.ask(request(&line.replace("GET", "HEAD"), NAVIGATION));
        let fields = |response: &Response| {
            let is_date = |(name, _): &&(String, String)| name != "Date";
            response.headers.iter().filter(is_date).cloned().collect::<Vec<_>>()
        };
        assert_eq!(fields(&head), fields(&page));
        let frame = server.ask(request(&line, "Sec-Fetch-Dest: iframe\r\n"));
        assert_eq!(frame.body, page.body);
        // A browser sends no fetch metadata to a plain HTTP URL of another machine.
        let remote = server.ask(request(&line, "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n"));
        assert_eq!(remote.body, page.body);
        for fields in [FETCH, "", "Accept: */*\r\n", "Sec-Fetch-Dest: object\r\nSec-Fetch-Mode: navigate\r\n"]
        {
            let plain = server.ask(request(&line, fields));
            assert_eq!(plain.text(), *content, "{fields}");
            assert_ne!(plain.header("etag"), page.header("etag"));
            let vary = plain.header("vary").expect("Vary");
            assert_eq!(Some(vary), page.header("vary"));
            assert!(vary.contains("Sec-Fetch-Dest") && vary.contains("Accept,"), "{vary}");
        }
    });
    each(others, |(name, content)| {
        let response = server.ask(request(&format!("GET /{name}"), NAVIGATION));
        assert_eq!(response.body, *content);
    });
}

#[test]
fn script_is_part_of_preconditions_and_ranges() {
    let site = Site::empty();
    site.write("small.html", "<p>0123456789");
    site.write("large.html", "<p>".repeat(60_000));
    let server = Server::with(&site, &["--live"]);
    each(["/small.html", "/large.html"], |path| {
        let ask =
            |fields: &str| server.ask(request(&format!("GET {path}"), &format!("{NAVIGATION}{fields}")));
        let page = settled(&server, &request(&format!("GET {path}"), NAVIGATION));
        let (tag, len) = (page.header("etag").expect("a tag").to_owned(), page.body.len());
        assert_eq!(ask(&format!("If-None-Match: {tag}\r\n")).status, 304);
        let plain = server.get(path);
        let plain_tag = plain.header("etag").expect("a tag");
        assert_eq!(ask(&format!("If-None-Match: {plain_tag}\r\n")).status, 200);
        // A copy without the script has the date of the file as well.
        let date = plain.header("last-modified").expect("a date");
        assert_eq!(ask(&format!("If-Modified-Since: {date}\r\n")).status, 200);
        let border = plain.body.len();
        for (first, last) in [
            (0, 0),
            (2, 9),
            (border - 3, border - 1),
            (border - 3, border),
            (border - 3, len - 1),
            (border, border),
            (border + 2, len - 1),
            (0, len - 1),
        ] {
            let range = ask(&format!("Range: bytes={first}-{last}\r\n"));
            assert_eq!(range.status, 206);
            assert_eq!(range.header("content-range"), Some(&*format!("bytes {first}-{last}/{len}")));
            assert_eq!(range.body, page.body[first..=last], "{first}-{last}");
        }
        assert_eq!(ask(&format!("Range: bytes={len}-\r\n")).status, 416);
        let several = ask("Range: bytes=0-1,4-5\r\n");
        assert_eq!((several.status, several.body), (200, page.body));
        // Two pages on one connection.
        let mut client = server.connect();
        client.send(
            [request(&format!("GET {path}"), NAVIGATION), request(&format!("GET {path}"), FETCH)].concat(),
        );
        assert_eq!((client.response().body.len(), client.response().body.len()), (len, border));
    });
}

#[test]
fn script_replaces_compressed_variants_of_pages() {
    let site = Site::empty();
    site.write("page.html", "<p>plain");
    site.write("page.html.gz", "compressed");
    let server = Server::with(&site, &["--live"]);
    let get = |fields: &str| server.ask(request("GET /page.html", fields));
    let page = get(&format!("{NAVIGATION}Accept-Encoding: gzip, br\r\n"));
    assert_eq!((page.text(), page.header("content-encoding")), (format!("<p>plain{SCRIPT}"), None));
    let fetched = get(&format!("{FETCH}Accept-Encoding: gzip, br\r\n"));
    assert_eq!((fetched.text(), fetched.header("content-encoding")), ("compressed".into(), Some("gzip")));
    // A client that accepts nothing else gets the variant without the script.
    let only = get(&format!("{NAVIGATION}Accept-Encoding: gzip, identity;q=0\r\n"));
    assert_eq!((only.text(), only.header("content-encoding")), ("compressed".into(), Some("gzip")));
}

#[test]
fn script_follows_error_pages_and_fallbacks() {
    let site = Site::new();
    let server = Server::with(&site, &["--live", "--base-path", "/app/\u{e9}"]);
    let get = |path: &str, fields| server.ask(request(&format!("GET /app/%C3%A9{path}"), fields));
    let missing = get("/missing", NAVIGATION);
    assert_eq!(missing.status, 404);
    assert!(missing.text().ends_with(&format!("</p>\n{SCRIPT}")), "{}", missing.text());
    assert_our_page(&get("/missing", FETCH), false);
    assert_eq!(get("/", NAVIGATION).text(), format!("home\n{SCRIPT}"));
    assert_eq!(get("/docs/", NAVIGATION).text(), format!("docs\n{DEEPER}"));
    assert!(get("/docs/../missing", NAVIGATION).text().contains("src=\"/app/%C3%A9/.oneloop/live.js\""));
    // An element `base` can lead to any directory.
    for path in ["/app/%C3%A9/.oneloop/live.js", "/app/%C3%A9/a/b/.oneloop/live.js", "/.oneloop/live.js"] {
        let source = server.get(path);
        let found = (source.status, source.header("content-type"));
        assert_eq!(found, (200, Some("text/javascript; charset=utf-8")), "{path}");
    }
    for path in ["/app/%C3%A9/.oneloop", "/app/%C3%A9/.oneloop/", "/x.oneloop/live.js", "/.oneloop/a/live.js"]
    {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
    site.write("404.html", "<p>nothing here");
    let missing = get("/missing", NAVIGATION);
    assert_eq!((missing.status, missing.text()), (404, format!("<p>nothing here{SCRIPT}")));

    let server = Server::with(&site, &["--live", "--spa", "--clean-urls"]);
    let get = |path: &str, fields| server.ask(request(&format!("GET {path}"), fields)).text();
    assert_eq!(get("/item/7", NAVIGATION), format!("home\n{DEEPER}"));
    assert_eq!(get("/docs/", NAVIGATION), format!("docs\n{DEEPER}"));
    assert_eq!(get("/item/7", FETCH), "<p>nothing here");
}
