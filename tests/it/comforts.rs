//! What makes a site more pleasant: `--base-path`, `--clean-urls`, `--hidden`, `--follow-links`, and what becomes of them
//! together. Whatever is on: no redirect leads to another host, and no `..` leads anywhere.
use std::{
    ffi::{OsStr, OsString},
    os::unix::{ffi::OsStrExt, fs::symlink},
    path::Path,
    process::{Command, Output},
};

use crate::common::*;
use rustix::fs::{CWD, Mode, mkfifoat};

/// What stands in files that nobody may see.
const SECRET: &str = "SECRET-7f3a\n";
/// What a browser says when a person goes somewhere.
const NAVIGATES: &str = "Sec-Fetch-Mode: navigate\r\nAccept: text/html,*/*\r\n";

/// Sends one request on a connection of its own and reads the response.
fn ask(server: &Server, method: &str, path: &str, fields: &str) -> Response {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
    let mut client = server.connect();
    client.send(&request);
    client.response_to(request.as_bytes())
}

/// What a table says of a response.
#[derive(Debug, Clone, Copy)]
enum Is {
    /// 200 with this body.
    Page(&'static str),
    /// 301 to this address.
    At(&'static str),
    Missing,
}

use Is::*;

fn check(server: &Server, path: &str, fields: &str, is: Is) {
    let response = ask(server, "GET", path, fields);
    let location = response.header("location");
    match is {
        Page(body) => assert_eq!((response.status, response.text().as_str()), (200, body), "{path}"),
        At(address) => assert_eq!((response.status, location), (301, Some(address)), "{path}"),
        Missing => assert_eq!((response.status, location), (404, None), "{path}"),
    }
    // HEAD says the same, and a redirect is kept by nobody: the operator may change his mind.
    let head = ask(server, "HEAD", path, fields);
    assert_eq!((head.status, head.header("location")), (response.status, location), "{path}");
    assert!(location.is_none() || response.header("cache-control") == Some("no-cache"), "{path}");
}

fn check_all(server: &Server, rows: &[(&str, Is)]) {
    each(rows, |(path, is)| check(server, path, "", *is));
}

/// Runs the program with `args` until it refuses them.
fn refused<S: AsRef<OsStr>>(dir: &Path, args: &[S]) -> Output {
    let mut command = Command::new("timeout");
    command.args(["20", env!("CARGO_BIN_EXE_oneloop"), "--port", "0"]).args(args).arg(dir);
    command.output().expect("run oneloop")
}

#[test]
fn a_base_may_be_given_in_any_form_and_is_the_only_place() {
    let site = Site::new();
    let bases = [
        ("app", "/app/"),
        ("/app", "/app/"),
        ("app/", "/app/"),
        ("/app/", "/app/"),
        ("/a/b", "/a/b/"),
        ("a//b/./c/", "/a/b/c/"),
        ("/my app", "/my%20app/"),
        ("/\u{e4}\u{1F600}", "/%C3%A4%F0%9F%98%80/"),
        ("/100%", "/100%25/"),
        ("/%41", "/%2541/"),
        ("/two\r\nlines", "/two%0D%0Alines/"),
        ("//evil.example", "/evil.example/"),
        ("/\\evil.example", "/%5Cevil.example/"),
        ("\\\\evil.example", "/%5C%5Cevil.example/"),
    ];
    each(bases, |(given, base)| {
        let server = Server::with(&site, &["--base-path", given]);
        assert_eq!(server.base_path(), *base);
        let location = |path: &str| {
            let response = ask(&server, "GET", path, "");
            assert_eq!(response.status, 301, "{path}");
            response.header("location").expect("Location").to_owned()
        };
        for path in ["/", "//", base.trim_end_matches('/')] {
            assert_eq!(location(path), *base);
            assert_eq!(location(&format!("{path}?a=b?c")), format!("{base}?a=b?c"));
        }
        assert_eq!(location(&format!("{base}docs?q")), format!("{base}docs/?q"));
        for (path, body) in [("", "home\n"), ("hello.txt", "hello\n"), ("docs/", "docs\n")] {
            check(&server, &format!("{base}{path}"), "", Page(body));
        }
        for path in ["/hello.txt", "/docs/", "/docs", "/index.html"] {
            assert_eq!(ask(&server, "GET", path, "").status, 404, "{path}");
        }
    });
    for root in ["/", "", "//", "."] {
        let server = Server::with(&site, &["--base-path", root]);
        assert_eq!(server.base_path(), "/");
        check_all(&server, &[("/", Page("home\n")), ("/docs", At("/docs/")), ("/app/", Missing)]);
    }
}

#[test]
fn what_cannot_be_a_base_is_the_operators_mistake() {
    let site = Site::new();
    let (long, bad_utf8) = (OsString::from("n".repeat(256)), OsStr::from_bytes(b"/\xFF").to_owned());
    let mut bases = ["..", "/..", "/../app", "/app/..", "/app/../../b", "/what?#1", "http://evil.example"]
        .map(OsString::from)
        .to_vec();
    bases.extend([long, bad_utf8]);
    each(bases, |base| {
        let output = refused(site.path(), &[OsStr::new("--base-path"), base]);
        let why = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{why}");
        assert!(output.stdout.is_empty() && !why.is_empty() && !why.contains("panicked"), "{why}");
    });
    let why = refused(site.path(), &["--base-path", "/../app"]).stderr;
    let why = String::from_utf8_lossy(&why);
    assert!(why.contains("--base-path") && why.contains("/../app") && why.lines().count() == 1, "{why}");
}

#[test]
fn a_base_that_begins_with_a_dot_is_served_or_refused_at_the_start() {
    let site = Site::new();
    let server = Server::with(&site, &["--base-path", "/.app"]);
    check(&server, server.base_path(), "", Page("home\n"));
}

#[test]
fn nothing_is_outside_the_base() {
    let site = Site::new();
    site.write("app/hello.txt", "app in the site\n");
    site.write("a/index.html", "a in the site\n");
    let server = Server::with(&site, &["--base-path", "/a/app"]);
    let rows = [
        ("/a/app/hello.txt", Page("hello\n")),
        ("//a/./app//hello.txt", Page("hello\n")),
        ("/%61/%61pp/hello.txt", Page("hello\n")),
        ("http://localhost/a/app/hello.txt", Page("hello\n")),
        ("/a/app/app/hello.txt", Page("app in the site\n")),
        ("/a/app/a/", Page("a in the site\n")),
        ("/a/app/a/app", Missing),
        ("/a", Missing),
        ("/a/", Missing),
        ("/app/hello.txt", Missing),
        ("/a/ap", Missing),
        ("/a/apple", Missing),
        ("/a/apphello.txt", Missing),
        ("/A/APP/", Missing),
        ("/a/app%2Fhello.txt", Missing),
        ("/a%2Fapp/", Missing),
        ("/a/app/../hello.txt", Missing),
        ("/a/app/..", Missing),
        ("/x/../a/app/", Missing),
        ("/a/app/%2e%2e/app/", Missing),
        ("/a\\app/", Missing),
    ];
    check_all(&server, &rows);
    // What is there for everybody is still there.
    assert_eq!(ask(&server, "OPTIONS", "*", "").status, 204);
    assert_eq!(ask(&server, "POST", "/a/app/", "Content-Length: 0\r\n").status, 405);
    assert_eq!(ask(&server, "GET", "/%zz", "").status, 400);
}

fn site_of_pages() -> Site {
    let site = Site::new();
    for page in
        ["about.html", "docs.html", "docs/guide.html", "a b%.html", "both", "both.html", "x.html.html"]
    {
        site.write(page, format!("{page}\n"));
    }
    site.write("shop/item.txt", "item\n");
    site.write("folder.html/index.html", "folder\n");
    site
}

#[test]
fn clean_addresses_lead_to_pages_and_pages_to_clean_addresses() {
    let site = site_of_pages();
    let server = Server::with(&site, &["--clean-urls"]);
    let rows = [
        ("/about", Page("about.html\n")),
        ("/about?q", Page("about.html\n")),
        ("/about.html", At("/about")),
        ("/about.html?a=b?c", At("/about?a=b?c")),
        ("/about.html?", At("/about?")),
        ("/about.html?//evil.example", At("/about?//evil.example")),
        ("/%61bout%2Ehtml", At("/about")),
        ("//.//about.html", At("/about")),
        ("http://localhost/about.html?q", At("/about?q")),
        ("/about/", Missing),
        ("/about.html/", Missing),
        ("/about.htm", Missing),
        ("/About", Missing),
        ("/about.", Missing),
        ("/a%20b%25", Page("a b%.html\n")),
        ("/a%20b%25.html", At("/a%20b%25")),
        // A file of exactly that name comes first, and leaves its page the name that it has.
        ("/both", Page("both\n")),
        ("/both.html", Page("both.html\n")),
        // A page comes before the directory beside it, which is still there.
        ("/docs", Page("docs.html\n")),
        ("/docs.html", At("/docs")),
        ("/docs/", Page("docs\n")),
        ("/docs/guide", Page("docs/guide.html\n")),
        ("/docs/guide.html", At("/docs/guide")),
        ("/shop", At("/shop/")),
        ("/shop?q", At("/shop/?q")),
        ("/shop/", Missing),
        // Where an index stands for its directory, that is its address.
        ("/index.html", At("/")),
        ("/index.html?q", At("/?q")),
        ("/docs/index.html", At("/docs/")),
        ("/docs/index.html?q", At("/docs/?q")),
        ("/folder.html", At("/folder.html/")),
        ("/folder", Missing),
        ("/folder.html/", Page("folder\n")),
        // Once is enough.
        ("/x.html.html", At("/x.html")),
        ("/x.html", Page("x.html.html\n")),
        ("/x", Missing),
        ("/hello.txt", Page("hello\n")),
        ("/hello", Missing),
        ("/docs/../about", Missing),
    ];
    check_all(&server, &rows);
    check_all(&Server::start(&site), &[("/about", Missing), ("/about.html", Page("about.html\n"))]);
}

#[test]
fn a_page_at_its_clean_address_is_a_file_like_any_other() {
    let site = site_of_pages();
    // Variants are made later, so that they are not older. One page has a directory of its name beside it.
    ["about", "docs"].iter().for_each(|page| site.write(format!("{page}.html.gz"), "gzip, as it were"));
    let server = Server::with(&site, &["--clean-urls"]);
    for path in ["/about", "/docs"] {
        let page = ask(&server, "GET", path, "");
        let variant = ask(&server, "GET", path, "Accept-Encoding: gzip\r\n");
        assert_eq!(page.header("content-encoding"), None);
        assert_eq!(variant.header("content-encoding"), Some("gzip"));
        assert_eq!(variant.text(), "gzip, as it were");
        for response in [page, variant] {
            assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"));
            assert_eq!(response.header("vary"), Some("Accept-Encoding"));
        }
    }
    let part = ask(&server, "GET", "/about", "Range: bytes=0-4\r\n");
    assert_eq!((part.status, part.text().as_str()), (206, "about"));
    assert_eq!(ask(&server, "GET", "/about", "If-None-Match: *\r\n").status, 304);
    // A redirect is not about the page: there is nothing to compare with (RFC 9110 §13.2.1).
    let fields = "If-None-Match: *\r\nRange: bytes=0-4\r\nAccept-Encoding: gzip\r\n";
    check(&server, "/about.html", fields, At("/about"));
}

#[test]
fn clean_addresses_follow_what_is_on_the_disk() {
    let site = site_of_pages();
    let server = Server::with(&site, &["--clean-urls"]);
    check(&server, "/about", "", Page("about.html\n"));
    site.write("about", "now a file\n");
    check_all(&server, &[("/about", Page("now a file\n")), ("/about.html", Page("about.html\n"))]);
    std::fs::remove_file(site.at("about")).expect("remove it");
    check_all(&server, &[("/about", Page("about.html\n")), ("/about.html", At("/about"))]);
    std::fs::remove_file(site.at("about.html")).expect("remove it");
    check_all(&server, &[("/about", Missing), ("/about.html", Missing)]);
    // What cannot be served at the clean address does not count.
    mkfifoat(CWD, site.at("both2"), Mode::RWXU).expect("make a FIFO");
    site.write("both2.html", "both2\n");
    check_all(&server, &[("/both2", Page("both2\n")), ("/both2.html", At("/both2"))]);
}

#[test]
fn the_index_is_the_one_that_was_named() {
    let site = site_of_pages();
    site.write("docs/guide", "guide without a name\n");
    for (index, rows) in [
        (
            "about.html",
            &[
                ("/", Page("about.html\n")),
                ("/about.html", At("/")),
                ("/about", Page("about.html\n")),
                ("/index.html", At("/index")),
                ("/index", Page("home\n")),
                ("/docs/", Missing),
            ][..],
        ),
        ("both", &[("/", Page("both\n")), ("/both", Page("both\n")), ("/index.html", At("/index"))]),
        ("guide.html", &[("/docs/", Page("docs/guide.html\n")), ("/docs/guide.html", At("/docs/"))]),
    ] {
        check_all(&Server::with(&site, &["--clean-urls", "--index", index]), rows);
    }
}

#[test]
fn no_redirect_leads_to_another_host() {
    let site = Site::new();
    for name in
        ["evil.example", "\\evil.example", "\\\\evil.example", "@evil.example", "\tevil.example", "http:"]
    {
        site.write(format!("{name}/index.html"), "inside\n");
        site.write(format!("{name}/page.html"), "inside\n");
        site.write(format!("{name}2.html"), "inside\n");
    }
    let forms = ["", "/", "//", "/.", "/./", "/%5C", "/\\", "\\", "%5C", "/@", "/%09", "@", "%09"];
    let names = ["evil.example", "evil.example2.html", "evil.example/index.html", "evil.example/page.html"];
    let odd = ["/http:", "/http:2.html", "/http:/page.html", "http://evil.example/http:2.html"];
    for base in ["", "/app", "//app", "/evil.example", "/\\app"] {
        let server = Server::with(&site, &["--clean-urls", "--base-path", base]);
        let base = server.base_path();
        let mut redirects = 0;
        // Both with the base before it and without: then it is the base that is to be taken for a host.
        for prefix in [base.trim_end_matches('/'), ""] {
            let paths = forms.iter().flat_map(|form| names.map(|name| format!("{prefix}/{form}{name}")));
            for path in paths.chain(odd.map(|path| format!("{prefix}{path}"))).filter(|p| p.starts_with('/'))
            {
                let response = ask(&server, "GET", &path, "");
                let Some(location) = response.header("location") else { continue };
                redirects += 1;
                // Browsers read a backslash as a slash, and skip tabs.
                assert!(
                    location.starts_with(base) && !location[1..].starts_with(['/', '\\', '\t']),
                    "{location}"
                );
                assert!(location.bytes().all(|b| b.is_ascii_graphic() && b != b'\\'), "{location}");
                // A base without its slash is redirected, too.
                let body = if location == base { "home\n" } else { "inside\n" };
                check(&server, location, "", Page(body));
            }
        }
        assert!(redirects > 30, "{redirects} redirects under {base}");
    }
}

#[test]
fn an_application_under_a_base_finds_its_way_there_alone() {
    let site = site_of_pages();
    site.write("404.html", "lost\n");
    site.write("shell/app.html", "shell\n");
    let (base, spa) = (["--base-path", "app"], ["--spa=shell/app.html", "--clean-urls"]);
    let server = Server::with(&site, &[&base[..], &spa].concat());
    let rows = [
        ("/app/users/7", Page("shell\n")),
        ("/app/users/7.html", Page("shell\n")),
        ("/app/about/", Page("shell\n")),
        ("/app/shop/", Page("shell\n")),
        ("/app/about", Page("about.html\n")),
        ("/app/about.html?q", At("/app/about?q")),
        ("/app/docs/index.html", At("/app/docs/")),
        ("/app/index.html", At("/app/")),
        ("/app/shop", At("/app/shop/")),
        ("/app/both", Page("both\n")),
        ("/app/shell/app.html", At("/app/shell/app")),
        ("/app/shell/app", Page("shell\n")),
        ("/app", At("/app/")),
        ("/?q", At("/app/?q")),
        ("/users/7", Missing),
        ("/about", Missing),
        ("/application", Missing),
        ("/application/../users", Missing),
        // No file can be there, and still an application may have such an address.
        ("/app/item/a%2Fb", Page("shell\n")),
        ("/app/.git/config", Page("shell\n")),
    ];
    each(rows, |(path, is)| check(&server, path, NAVIGATES, *is));
    let lost = ask(&server, "GET", "/app/missing.js", "Sec-Fetch-Mode: no-cors\r\nAccept: */*\r\n");
    assert_eq!((lost.status, lost.text().as_str()), (404, "lost\n"));
    // The page for what is missing is a page: it can be asked for at its clean address, and is a 200 there.
    check_all(&server, &[("/app/404", Page("lost\n")), ("/app/404.html", At("/app/404"))]);
}

#[test]
fn hidden_names_are_served_if_the_operator_wants_that() {
    let site = Site::new();
    for name in [
        ".env",
        ".git/config",
        "docs/.x/y",
        "...",
        "..x",
        ".well-known/.x",
        ".page.html",
        ".html",
        ".d/index.html",
    ] {
        site.write(name, "hidden\n");
    }
    site.write(".app/.base.txt", "in .app\n");
    let rows = [
        ("/.env", Page("hidden\n")),
        ("/%2eenv", Page("hidden\n")),
        ("/.git/config", Page("hidden\n")),
        ("/docs/.x/y", Page("hidden\n")),
        ("/.../", Missing),
        ("/...", Page("hidden\n")),
        ("/..x", Page("hidden\n")),
        ("/.well-known/.x", Page("hidden\n")),
        ("/.d", At("/.d/")),
        ("/.d/", Page("hidden\n")),
        ("/.html", Page("hidden\n")),
    ];
    let server = Server::with(&site, &["--hidden"]);
    check_all(&server, &rows);
    check(&server, "/.page.html", "", Page("hidden\n"));
    let server = Server::with(&site, &["--hidden", "--clean-urls"]);
    check_all(&server, &rows);
    let rows = [("/.page", Page("hidden\n")), ("/.page.html", At("/.page")), ("/.d/index.html", At("/.d/"))];
    check_all(&server, &rows);
    let server = Server::with(&site, &["--hidden", "--base-path", ".app", "--spa=.env"]);
    check_all(&server, &[("/.app/.app/.base.txt", Page("in .app\n")), ("/.app/.base.txt", Missing)]);
    check(&server, "/.app/.missing", NAVIGATES, Page("hidden\n"));
    // An index that is hidden stands for its directory all the same: it is the operator who named it.
    let server = Server::with(&site, &["--index", ".env"]);
    check_all(&server, &[("/", Page("hidden\n")), ("/.env", Missing)]);
}

/// Without its extension, such a name would be `.` or `..`.
#[test]
fn a_page_without_a_clean_address_keeps_its_own() {
    let site = Site::new();
    ["..html", "...html", "docs/..html", "docs/...html"].iter().for_each(|name| site.write(name, "odd\n"));
    let server = Server::with(&site, &["--hidden", "--clean-urls"]);
    let rows = ["/..html", "/...html", "/docs/..html", "/docs/...html"].map(|path| (path, Page("odd\n")));
    check_all(&server, &rows);
}

/// A site with links of every kind, and a folder beside it to which some of them lead.
fn site_with_links() -> (Site, Site) {
    let (site, outside) = (Site::new(), Site::empty());
    outside.write("page.html", "outside\n");
    outside.write("dir/index.html", "outside dir\n");
    outside.write(".hidden", "outside hidden\n");
    symlink("page.html", outside.at("again.html")).expect("make a link");
    mkfifoat(CWD, outside.at("fifo"), Mode::RWXU).expect("make a FIFO");
    let there = outside.path().to_str().expect("ASCII");
    let beside = outside.path().file_name().expect("a name").to_str().expect("ASCII");
    for (name, to) in [
        ("absolute.html", format!("{there}/page.html")),
        ("relative.html", format!("../{beside}/page.html")),
        ("chain.html", "absolute.html".into()),
        ("there", there.into()),
        ("docs/there", format!("../../{beside}")),
        ("within.html", "docs/index.html".into()),
        ("own", site.path().to_str().expect("ASCII").into()),
        ("fifo", format!("{there}/fifo")),
        ("null", "/dev/null".into()),
        ("dangling", format!("{there}/missing")),
        ("loop1", "loop2".into()),
        ("loop2", "loop1".into()),
    ] {
        symlink(to, site.at(name)).expect("make a link");
    }
    (site, outside)
}

#[test]
fn links_lead_out_if_the_operator_wants_that() {
    let (site, _outside) = site_with_links();
    let never =
        ["/fifo", "/null", "/dangling", "/loop1", "/loop1/x", "/there/fifo", "/there/.hidden", "/there/../x"];
    let outside = [
        ("/absolute.html", Page("outside\n")),
        ("/relative.html", Page("outside\n")),
        ("/chain.html", Page("outside\n")),
        ("/there", At("/there/")),
        ("/there/page.html", Page("outside\n")),
        ("/there/again.html", Page("outside\n")),
        ("/there/dir", At("/there/dir/")),
        ("/there/dir/", Page("outside dir\n")),
        ("/docs/there/page.html", Page("outside\n")),
        ("/own/hello.txt", Page("hello\n")),
        ("/own/own/docs/", Page("docs\n")),
    ];
    let server = Server::start(&site);
    check_all(&server, &outside.map(|(path, _)| (path, Missing)));
    check(&server, "/within.html", "", Page("docs\n"));
    let server = Server::with(&site, &["--follow-links"]);
    check_all(&server, &outside);
    check_all(&server, &never.map(|path| (path, Missing)));
    check(&server, "/within.html", "", Page("docs\n"));
    let options = ["--follow-links", "--hidden", "--clean-urls", "--base-path", "/a b"];
    let server = Server::with(&site, &options);
    let rows = [
        ("/a%20b/absolute", Page("outside\n")),
        ("/a%20b/there/page", Page("outside\n")),
        ("/a%20b/there/page.html", At("/a%20b/there/page")),
        ("/a%20b/there", At("/a%20b/there/")),
        ("/a%20b/there/dir/index.html", At("/a%20b/there/dir/")),
        ("/a%20b/there/.hidden", Page("outside hidden\n")),
    ];
    check_all(&server, &rows);
}

#[test]
fn links_out_are_seen_as_they_are_at_each_moment() {
    let (site, outside) = site_with_links();
    let server = Server::with(&site, &["--follow-links"]);
    for round in 0..20 {
        outside.write("page.html", format!("{round}\n"));
        assert_eq!(server.get("/absolute.html").text(), format!("{round}\n"));
        outside.write("other.html", format!("other {round}\n"));
        symlink(outside.at("other.html"), site.at("new")).expect("make a link");
        std::fs::rename(site.at("new"), site.at("relative.html")).expect("replace it");
        assert_eq!(server.get("/relative.html").text(), format!("other {round}\n"));
    }
    std::fs::remove_file(outside.at("page.html")).expect("remove it");
    assert_eq!(server.get("/absolute.html").status, 404);
}

#[test]
fn whatever_is_on_no_parent_leads_anywhere() {
    let (site, outside) = site_with_links();
    outside.write("secret.txt", SECRET);
    outside.write("secret.html", SECRET);
    outside.write("index.html", SECRET);
    let beside = outside.path().file_name().expect("a name").to_str().expect("ASCII");
    // An existing folder, a link out of the site (whose parent is not the site), a link to the site, and a page.
    let prefixes = ["", "/", "/docs", "/there/dir", "/own", "/absolute", "/absolute.html", "/.", "/missing"];
    let ups = ["..", "%2e%2e", "%2E.", ".%2e", "..%2f..", "..%5c..", "..\\..", "..%00", "%252e%252e", "..;"];
    let tails =
        [format!("{beside}/secret.txt"), format!("{beside}/secret"), format!("{beside}/"), String::new()];
    let modes: [&[&str]; 4] = [
        &["--hidden"],
        &["--follow-links"],
        &["--hidden", "--follow-links"],
        &[
            "--hidden",
            "--follow-links",
            "--clean-urls",
            "--listing",
            "--base-path",
            "/app",
            "--spa=hello.txt",
        ],
    ];
    for mode in modes {
        let server = Server::with(&site, mode);
        let base = server.base_path().trim_end_matches('/');
        let mut client = server.connect();
        for (prefix, up, tail) in prefixes
            .iter()
            .flat_map(|p| ups.iter().map(move |u| (p, u)))
            .flat_map(|(p, u)| tails.iter().map(move |t| (p, u, t)))
        {
            for path in [format!("{base}{prefix}/{up}/{tail}"), format!("{base}{prefix}/{up}{base}/{tail}")] {
                client.send(get(&path));
                let response = client.response();
                assert_eq!(response.status, 404, "{path} with {mode:?}");
                assert!(!response.text().contains(SECRET.trim()), "{path} with {mode:?}");
            }
        }
        for path in
            ["/..", "/../", "/.././", "/docs/..", "/docs/../hello.txt", "/there/..", "/docs/...", "/%2e%2e"]
        {
            for base in [base, ""] {
                client.send(get(&format!("{base}{path}")));
                assert_eq!(client.response().status, 404, "{base}{path} with {mode:?}");
            }
        }
    }
}
