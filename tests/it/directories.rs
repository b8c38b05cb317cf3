//! Directories: the index file, the redirect that adds a slash and never leads to another host, and
//! the pages for missing files.

use std::os::unix::fs::symlink;

use crate::common::*;

#[test]
fn directory_serves_its_index() {
    let site = Site::new();
    site.write("docs/other.htm", "other\n");
    site.write("other.htm", "home other\n");
    let server = Server::start(&site);
    each(
        [("/", "home\n"), ("/?q", "home\n"), ("/docs/", "docs\n"), ("/docs/?a=b", "docs\n")],
        |(path, body)| {
            let response = server.get(path);
            assert_eq!((response.status, response.text().as_str()), (200, *body));
            assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"));
        },
    );
    let server = Server::with(&site, &["--index", "other.htm"]);
    let rows = [("/", "home other\n"), ("/docs/", "other\n"), ("/docs/index.html", "docs\n")];
    each(rows, |(path, body)| assert_eq!(server.get(path).text(), *body));
}

#[test]
fn directory_without_index_is_404() {
    let site = Site::new();
    site.write("bare/file.txt", "x");
    site.write("nested/index.html/file.txt", "x");
    site.write("hidden/.index.html", "x");
    let outside = Site::new();
    std::fs::create_dir(site.at("leads-out")).expect("make a directory");
    symlink(outside.at("index.html"), site.at("leads-out/index.html")).expect("make a link");
    std::fs::create_dir(site.at("leads-in")).expect("make a directory");
    symlink("../hello.txt", site.at("leads-in/index.html")).expect("make a link");
    let server = Server::start(&site);
    each(["/bare/", "/nested/", "/hidden/", "/leads-out/"], |path| {
        let response = server.get(path);
        assert_eq!(response.status, 404);
        assert_our_page(&response, false);
    });
    assert_eq!(server.get("/leads-in/").text(), "hello\n");
    let server = Server::with(&site, &["--index", "none.html"]);
    assert_eq!(server.get("/").status, 404);
}

#[test]
fn directory_without_slash_is_redirected_with_its_query() {
    let site = Site::new();
    site.write("a b/index.html", "x");
    site.write("docs/deep/file.txt", "x");
    site.write("q?#%/file.txt", "x");
    site.write("two\r\nSet-Cookie: a=b/index.html", "x");
    site.write("\u{e4}/index.html", "x");
    let server = Server::start(&site);
    let rows = [
        ("/docs", "/docs/"),
        ("/docs?a=b", "/docs/?a=b"),
        ("/docs?a=b?c=/d", "/docs/?a=b?c=/d"),
        ("/docs?x=%0d%0aSet-Cookie:%20a", "/docs/?x=%0d%0aSet-Cookie:%20a"),
        ("/docs?//evil.example", "/docs/?//evil.example"),
        ("/docs/deep", "/docs/deep/"),
        ("/a%20b", "/a%20b/"),
        ("/q%3F%23%25?q", "/q%3F%23%25/?q"),
        ("/%C3%A4", "/%C3%A4/"),
        ("http://evil.example/docs", "/docs/"),
        ("http://evil.example/docs?a", "/docs/?a"),
    ];
    each(rows, |(path, location)| {
        let response = server.get(path);
        assert_eq!(response.status, 301);
        assert_eq!(response.leads_to(path).as_deref(), Some(*location));
        assert!(!response.closes());
    });
    let response = server.get("/two%0D%0ASet-Cookie:%20a=b");
    assert_eq!((response.status, response.header("set-cookie")), (301, None));
    let back = response.leads_to("/two").expect("Location");
    assert_eq!(server.get(&back).text(), "x", "{back} leads to the file");
}

/// Paths for which a careless redirect would lead to another host.
const REDIRECT_TRAPS: [&str; 21] = [
    "//evil.example",
    "///evil.example",
    "////evil.example",
    "/./evil.example",
    "/.//evil.example",
    "//./evil.example",
    "//evil.example/deep",
    "//evil.example?q",
    "/%5Cevil.example",
    "//%5Cevil.example",
    "/\\evil.example",
    "/%5C%5Cevil.example",
    "/@evil.example",
    "//@evil.example",
    "/%09evil.example",
    "//%09evil.example",
    "/http:",
    "/http://evil.example",
    "//http:/evil.example",
    "/javascript:alert(1)",
    "http://evil.example//evil.example",
];

#[test]
fn directory_redirect_never_leads_to_another_host() {
    let site = Site::new();
    let directories = [
        "evil.example",
        "evil.example/deep",
        "\\evil.example",
        "\\\\evil.example",
        "@evil.example",
        "\tevil.example",
        "http:",
        "http:/evil.example",
        "javascript:alert(1)",
    ];
    directories.iter().for_each(|name| site.write(format!("{name}/index.html"), "inside\n"));
    let server = Server::start(&site);
    each(REDIRECT_TRAPS, |path| {
        let response = server.get(path);
        assert_eq!(response.status, 301);
        let location = response.header("location").expect("Location");
        // Browsers read a backslash as a slash and ignore tabs. A colon could end a scheme.
        let rest = location.strip_prefix('/').unwrap_or(location);
        assert!(!rest.starts_with(['/', '\\', '\t']) && !rest.contains(':'), "{location}");
        assert!(location.bytes().all(|b| b.is_ascii_graphic() && b != b'\\'), "{location}");
        let target = response.leads_to(path).expect("Location");
        assert_eq!(server.get(&target).text(), "inside\n", "{location} leads to the page");
    });
    // A path that looks like another host and is not a directory here is 404.
    each(
        [
            "//evil.example/../..",
            "//other.example",
            "//other.example/",
            "//evil.example/%2e%2e",
            "/\\other.example",
        ],
        |path| {
            let response = server.get(path);
            assert_eq!((response.status, response.header("location")), (404, None));
        },
    );
}

#[test]
fn not_found_page_reflects_no_markup() {
    let site = Site::new();
    let server = Server::start(&site);
    each(["/missing", "/docs/missing", "/hello.txt/", "/hello.txt/x", "/404.html"], |path| {
        assert_refused(&server, get(path).as_bytes(), 404, After::Stays);
        assert_refused(&server, get(path).replacen("GET", "HEAD", 1).as_bytes(), 404, After::Stays);
    });
    let hostile = [
        "/%3Cscript%3Ealert(1)%3C/script%3E",
        "/<script>alert(1)</script>",
        "/?<script>",
        "/x?<script>",
        "/%22%3E%3Cscript%3E",
    ];
    each(hostile, |path| {
        let page = browse(&server, path).text();
        assert!(!page.contains("<script"), "{page}");
        // Other clients get text, which no browser takes for markup.
        let text = server.get(path);
        if text.status == 404 {
            assert_eq!(text.header("content-type"), Some("text/plain; charset=utf-8"));
            assert_eq!(text.header("x-content-type-options"), Some("nosniff"));
        }
    });
}

/// Sends `GET path` as a browser does.
fn browse(server: &Server, path: &str) -> Response {
    server.ask(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/html,*/*;q=0.8\r\n\r\n"))
}

#[test]
fn not_found_page_names_the_path_and_links_up() {
    let site = Site::new();
    site.write("empty/inner/file", "");
    let server = Server::start(&site);
    let listed = Server::with(&site, &["--listing", "--base-path", "/app"]);
    for (server, path, shown, link) in [
        (&server, "/none", "/none", Some("\"./\">the start page</a>")),
        (&server, "/docs/none.html?q=1", "/docs/none.html", Some("\"./\">/docs/</a>")),
        (&server, "/docs/a/b/none", "/docs/a/b/none", Some("\"../../\">/docs/</a>")),
        (&server, "/empty/inner/", "/empty/inner/", Some("\"../../\">the start page</a>")),
        (&server, "/.git/a%3Cb%3E", "/.git/a&lt;b&gt;", Some("\"../\">the start page</a>")),
        (&server, "/a%2Fb%00", "/a/b\u{fffd}", Some("\"/\">the start page</a>")),
        (&listed, "/app/empty/inner/none", "/app/empty/inner/none", Some("\"./\">/app/empty/inner/</a>")),
        (&listed, "/elsewhere/none", "/elsewhere/none", Some("\"../app/\">/app/</a>")),
    ] {
        let response = browse(server, path);
        assert_eq!(response.status, 404, "{path}");
        assert_our_page(&response, false);
        let page = response.text();
        assert!(page.contains(&format!("nothing at <code>{shown}</code>")), "{path}: {page}");
        let found = page.split_once("<a href=").map(|(_, link)| link.split_once(".</p>").expect("its end").0);
        assert_eq!(found, link, "{path}");
        assert_eq!(response.header("vary"), Some("Accept"));
        // Other clients get a line.
        let text = server.get(path);
        assert!(text.text().starts_with("404 Not Found: there is nothing at /"), "{text:?}");
        assert_eq!(text.header("content-type"), Some("text/plain; charset=utf-8"));
        let head = server.ask(get(path).replacen("GET", "HEAD", 1));
        assert_eq!((head.status, head.header("content-length")), (404, text.header("content-length")));
    }
    std::fs::remove_file(site.at("index.html")).expect("remove");
    let page = browse(&server, "/").text();
    assert!(page.contains("nothing at <code>/</code>") && !page.contains("<a "), "no link to itself: {page}");
}

#[test]
fn not_found_page_is_bounded() {
    let site = Site::new();
    let server = Server::start(&site);
    for path in [
        format!("/{}", "%22".repeat(2600)),
        format!("/{}", "d/".repeat(3900)),
        format!("/{}", "%F0%9F%98%80".repeat(600)),
    ] {
        assert_our_page(&browse(&server, &path), false);
        let text = server.get(&path);
        assert!(text.status == 404 && text.body.len() < 300, "{} bytes", text.body.len());
    }
}

#[test]
fn not_found_page_can_be_the_sites_own() {
    let (site, outside) = (Site::new(), Site::new());
    let server = Server::start(&site);
    let mut client = server.connect();
    let mut missing = || {
        client.send(get("/missing") + &get("/missing").replacen("GET", "HEAD", 1));
        let (response, head) = (client.response(), client.head());
        assert_eq!((response.status, head.status), (404, 404));
        assert_eq!(response.header("content-length"), head.header("content-length"));
        response
    };
    assert_our_page(&missing(), false);
    // A large page is not read, so its charset is not known.
    let (utf8, unknown) = ("text/html; charset=utf-8", "text/html");
    let rows = [(b"<p>lost\n".to_vec(), utf8), (b"<p>gone\n".to_vec(), utf8), (pattern(200_000), unknown)];
    for (page, media_type) in rows {
        site.write("404.html", &page);
        let response = missing();
        assert!(response.body == page, "a page of {} bytes", page.len());
        assert_eq!(response.header("content-type"), Some(media_type));
        assert_eq!(server.get("/404.html").status, 200, "requested by its name");
    }
    std::fs::remove_file(site.at("404.html")).expect("remove it");
    assert_our_page(&missing(), false);
    symlink(outside.at("hello.txt"), site.at("404.html")).expect("make a link");
    assert_our_page(&missing(), false);
    std::fs::remove_file(site.at("404.html")).expect("remove it");
    std::fs::create_dir(site.at("404.html")).expect("make a directory");
    assert_our_page(&missing(), false);
}
