//! `Content-Type` and `Content-Encoding`: browsers refuse a file whose media type is wrong, because
//! responses say `nosniff`, and a `charset` outranks what the file itself declares.

use crate::common::*;

fn media_type(server: &Server, path: &str) -> Option<String> {
    server.ask(get(path)).header("content-type").map(str::to_owned)
}

#[test]
fn charset_is_stated_of_utf8_text_and_of_nothing_else() {
    let site = Site::empty();
    let declared = b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a>caf\xe9</a>";
    for name in ["feed.xml", "style.xsl", "feed.rss", "feed.atom", "a.svg", "a.xhtml", "a.opml"] {
        site.write(name, declared);
    }
    site.write("utf-8.txt", "caf\u{e9}");
    site.write("latin-1.txt", b"caf\xe9");
    site.write("utf-8.xml", "<a>caf\u{e9}</a>");
    site.write("large.txt", "x".repeat(200_000));
    let server = Server::start(&site);
    let rows = [
        ("/utf-8.txt", "text/plain; charset=utf-8"),
        ("/latin-1.txt", "text/plain"),
        ("/large.txt", "text/plain"), // not read
        ("/utf-8.xml", "text/xml"),
        ("/feed.xml", "text/xml"),
        ("/style.xsl", "text/xml"),
        ("/feed.rss", "application/rss+xml"),
        ("/feed.atom", "application/atom+xml"),
        ("/a.svg", "image/svg+xml"),
        ("/a.xhtml", "application/xhtml+xml"),
        ("/a.opml", "text/x-opml"),
    ];
    each(rows, |(path, expected)| assert_eq!(media_type(&server, path).as_deref(), Some(*expected)));
}

#[test]
fn charset_follows_the_content_of_the_file_and_its_variant() {
    let site = Site::empty();
    site.write("a.txt", "caf\u{e9}");
    site.write("a.txt.gz", "compressed: \u{e9}");
    let server = Server::start(&site);
    let variant = "GET /a.txt HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n";
    let response = server.ask(variant);
    assert_eq!(response.header("content-encoding"), Some("gzip"));
    assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
    site.write("a.txt", b"caf\xe9");
    assert_eq!(media_type(&server, "/a.txt").as_deref(), Some("text/plain"));
    site.write("a.txt.gz", b"compressed: \xe9\xe9");
    let response = server.ask(variant);
    assert_eq!(response.header("content-encoding"), Some("gzip"));
    assert_eq!(response.header("content-type"), Some("text/plain"));
}

#[test]
fn svgz_states_its_content_coding() {
    let site = Site::empty();
    site.write("a.svgz", "gzip of an image");
    site.write("a.svgz?v=1", "the copy that wget made");
    site.write("a.svgz.br", "not a variant: it would have two codings");
    let server = Server::start(&site);
    let ask = |method: &str, fields: &str| {
        server.ask(format!("{method} /a.svgz HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
    };
    let rows = [
        ("GET", "", 200),
        ("HEAD", "", 200),
        ("GET", "Accept-Encoding: br, gzip\r\n", 200),
        ("GET", "Accept-Encoding: identity, gzip;q=0\r\n", 200),
        ("GET", "Range: bytes=0-3\r\n", 206),
    ];
    each(rows, |(method, fields, status)| {
        let response = ask(method, fields);
        assert_eq!(response.status, *status);
        assert_eq!(response.header("content-type"), Some("image/svg+xml"));
        assert_eq!(response.header("content-encoding"), Some("gzip"));
        assert!(*method == "HEAD" || b"gzip of an image".starts_with(&response.body));
    });
    assert_eq!(server.ask(get("/a.svgz%3Fv=1")).header("content-encoding"), Some("gzip"));
}

#[test]
fn types_that_browsers_and_package_tools_need() {
    let site = Site::empty();
    let rows = [
        ("app.ts", "text/plain; charset=utf-8"),
        ("a.m4a", "audio/mp4"),
        ("a.stl", "model/stl"),
        ("a.rpm", "application/x-rpm"),
        ("a.woff", "font/woff"),
        ("a.map", "application/json"),
        ("a.cjs", "text/javascript; charset=utf-8"),
        ("style.css?ver=5.8", "text/css; charset=utf-8"),
        ("a.php?x=b.css", "text/css; charset=utf-8"),
    ];
    for (name, _) in rows {
        site.write(name, "x");
    }
    site.write("segment.ts", b"G@\x00\x10\x00\x00\xb0\x0d\xff\xff");
    site.write("film.ts", "text so far, but not read".repeat(6000));
    let server = Server::start(&site);
    each(rows, |(name, expected)| {
        let path = format!("/{}", name.replace('?', "%3F"));
        assert_eq!(media_type(&server, &path).as_deref(), Some(*expected));
    });
    for path in ["/segment.ts", "/film.ts"] {
        assert_eq!(media_type(&server, path).as_deref(), Some("video/mp2t"));
    }
}

#[test]
fn file_that_wget_named_after_a_url_is_found_if_no_other_is() {
    let site = Site::empty();
    for (name, content) in [
        ("style.css?ver=5.8", "the copy"),
        ("page.html?id=1", "page with a query"),
        ("page.html", "page"),
        ("blog/index.html?p=1&q=a b", "a post"),
        ("go?to=http:%2F%2Fa", "a link"),
        ("caf\u{e9}?x=\u{e9}", "not ASCII"),
        (".git?a", "hidden"),
        ("to/secret", "not in this directory"),
    ] {
        site.write(name, content);
    }
    let server = Server::start(&site);
    let rows = [
        ("/style.css?ver=5.8", 200, "the copy"),
        ("/style.css%3Fver=5.8", 200, "the copy"),
        ("/style.css?ver=5.9", 404, ""),
        ("/style.css", 404, ""),
        ("/page.html?id=1", 200, "page"),
        ("/page.html?id=2", 200, "page"),
        ("/page.html%3Fid=1", 200, "page with a query"),
        ("/blog/?p=1&q=a%20b", 200, "a post"),
        ("/go?to=http://a", 200, "a link"),
        ("/go?to=http:%2f%2fa", 200, "a link"),
        ("/caf%C3%A9?x=%C3%A9", 200, "not ASCII"),
        ("/.git?a", 404, ""),
        ("/x?/../to/secret", 404, ""),
        ("/x?%2f..%2fto%2fsecret", 404, ""),
        ("/x?%00", 404, ""),
    ];
    each(rows, |(target, status, content)| {
        let response = server.ask(get(target));
        assert_eq!(response.status, *status);
        assert!(content.is_empty() || response.text() == *content, "{}", response.text());
    });
    assert_eq!(media_type(&server, "/style.css?ver=5.8").as_deref(), Some("text/css; charset=utf-8"));
    let long = format!("/x?{}", "a".repeat(300));
    assert_eq!(server.ask(get(&long)).status, 404);
}

#[test]
fn type_of_the_operator_comes_first() {
    let site = Site::empty();
    for name in ["a.ts", "b.d.ts", "c.TAR.GZ", "d.unknown", "e.svgz", "f.css?v=1", "g.css"] {
        site.write(name, "text");
    }
    site.write("a.ts.gz", "compressed");
    let types = [
        "--type=.ts=text/x-first",
        "--type=.ts=application/typescript",
        "--type=.d.ts=text/plain; charset=iso-8859-1",
        "--type=.tar.gz=application/x-tgz,.unknown=text/x-known",
        "--type=.svgz=image/x-svg",
        "--type=.css=text/x-css",
        "--header=/g.css Content-Type: text/css",
    ];
    let server = Server::with(&site, &types);
    let rows = [
        ("/a.ts", "application/typescript"),
        ("/b.d.ts", "text/plain; charset=iso-8859-1"),
        ("/c.TAR.GZ", "application/x-tgz"),
        ("/d.unknown", "text/x-known; charset=utf-8"),
        ("/e.svgz", "image/x-svg"),
        ("/f.css%3Fv=1", "text/x-css; charset=utf-8"),
        ("/g.css", "text/css"),
    ];
    each(rows, |(path, expected)| assert_eq!(media_type(&server, path).as_deref(), Some(*expected)));
    assert_eq!(server.ask(get("/e.svgz")).header("content-encoding"), Some("gzip"));
    let variant = server.ask("GET /a.ts HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
    assert_eq!(variant.header("content-encoding"), Some("gzip"));
    assert_eq!(variant.header("content-type"), Some("application/typescript"));
}
