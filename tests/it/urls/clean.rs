//! Clean URLs: `--clean-urls`.

use super::*;
use crate::common::*;
use rustix::fs::{CWD, Mode, mkfifoat};

#[test]
fn clean_url_serves_its_page_and_pages_redirect() {
    let site = site_of_pages();
    let server = Server::with(&site, &["--clean-urls"]);
    let rows = [
        ("/about", Page("about.html\n")),
        ("/about?q", Page("about.html\n")),
        ("/about.html", Redirect("/about")),
        ("/about.html?a=b?c", Redirect("/about?a=b?c")),
        ("/about.html?", Redirect("/about?")),
        ("/about.html?//evil.example", Redirect("/about?//evil.example")),
        ("/%61bout%2Ehtml", Redirect("/about")),
        ("//.//about.html", Redirect("/about")),
        ("http://localhost/about.html?q", Redirect("/about?q")),
        ("/about/", Missing),
        ("/about.html/", Missing),
        ("/about.htm", Missing),
        ("/About", Missing),
        ("/about.", Missing),
        ("/a%20b%25", Page("a b%.html\n")),
        ("/a%20b%25.html", Redirect("/a%20b%25")),
        // A file with exactly that name comes first, and its page keeps its own URL.
        ("/both", Page("both\n")),
        ("/both.html", Page("both.html\n")),
        // A page takes precedence over the directory of the same name, which still exists.
        ("/docs", Page("docs.html\n")),
        ("/docs.html", Redirect("/docs")),
        ("/docs/", Page("docs\n")),
        ("/docs/guide", Page("docs/guide.html\n")),
        ("/docs/guide.html", Redirect("/docs/guide")),
        ("/shop", Redirect("/shop/")),
        ("/shop?q", Redirect("/shop/?q")),
        ("/shop/", Missing),
        // The URL of an index file is its directory.
        ("/index.html", Redirect("/")),
        ("/index.html?q", Redirect("/?q")),
        ("/docs/index.html", Redirect("/docs/")),
        ("/docs/index.html?q", Redirect("/docs/?q")),
        ("/folder.html", Redirect("/folder.html/")),
        ("/folder", Missing),
        ("/folder.html/", Page("folder\n")),
        // One extension is removed, not two.
        ("/x.html.html", Redirect("/x.html")),
        ("/x.html", Page("x.html.html\n")),
        ("/x", Missing),
        ("/hello.txt", Page("hello\n")),
        ("/hello", Missing),
        ("/docs/../../about", Missing),
    ];
    check_all(&server, &rows);
    check_all(&Server::start(&site), &[("/about", Missing), ("/about.html", Page("about.html\n"))]);
}

#[test]
fn clean_url_is_a_file_like_any_other() {
    let site = site_of_pages();
    // The variants are written later, so that they are not older. One page has a directory of the
    // same name beside it.
    ["about", "docs"].iter().for_each(|page| site.write(format!("{page}.html.gz"), "not really gzip"));
    let server = Server::with(&site, &["--clean-urls"]);
    for path in ["/about", "/docs"] {
        let page = ask(&server, "GET", path, "");
        let variant = ask(&server, "GET", path, "Accept-Encoding: gzip\r\n");
        assert_eq!(page.header("content-encoding"), None);
        assert_eq!(variant.header("content-encoding"), Some("gzip"));
        assert_eq!(variant.text(), "not really gzip");
        for response in [page, variant] {
            assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"));
            assert_eq!(response.header("vary"), Some("Accept-Encoding"));
        }
    }
    let part = ask(&server, "GET", "/about", "Range: bytes=0-4\r\n");
    assert_eq!((part.status, part.text().as_str()), (206, "about"));
    assert_eq!(ask(&server, "GET", "/about", "If-None-Match: *\r\n").status, 304);
    // A redirect does not represent the page, so preconditions do not apply (RFC 9110 section
    // 13.2.1).
    let fields = "If-None-Match: *\r\nRange: bytes=0-4\r\nAccept-Encoding: gzip\r\n";
    check(&server, "/about.html", fields, Redirect("/about"));
}

#[test]
fn clean_url_follows_changes_on_disk() {
    let site = site_of_pages();
    let server = Server::with(&site, &["--clean-urls"]);
    check(&server, "/about", "", Page("about.html\n"));
    site.write("about", "now a file\n");
    check_all(&server, &[("/about", Page("now a file\n")), ("/about.html", Page("about.html\n"))]);
    std::fs::remove_file(site.at("about")).expect("remove it");
    check_all(&server, &[("/about", Page("about.html\n")), ("/about.html", Redirect("/about"))]);
    std::fs::remove_file(site.at("about.html")).expect("remove it");
    check_all(&server, &[("/about", Missing), ("/about.html", Missing)]);
    // A file that cannot be served does not count as the page.
    mkfifoat(CWD, site.at("both2"), Mode::RWXU).expect("make a FIFO");
    site.write("both2.html", "both2\n");
    check_all(&server, &[("/both2", Page("both2\n")), ("/both2.html", Redirect("/both2"))]);
}

#[test]
fn clean_url_of_a_directory_uses_the_named_index() {
    let site = site_of_pages();
    site.write("docs/guide", "guide without a name\n");
    for (index, rows) in [
        (
            "about.html",
            &[
                ("/", Page("about.html\n")),
                ("/about.html", Redirect("/")),
                ("/about", Page("about.html\n")),
                ("/index.html", Redirect("/index")),
                ("/index", Page("home\n")),
                ("/docs/", Missing),
            ][..],
        ),
        ("both", &[("/", Page("both\n")), ("/both", Page("both\n")), ("/index.html", Redirect("/index"))]),
        ("guide.html", &[("/docs/", Page("docs/guide.html\n")), ("/docs/guide.html", Redirect("/docs/"))]),
    ] {
        check_all(&Server::with(&site, &["--clean-urls", "--index", index]), rows);
    }
}

#[test]
fn clean_url_redirect_never_leads_to_another_host() {
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
        // With and without the base path in front. Without it, the base path itself could be taken
        // for a host.
        for prefix in [base.trim_end_matches('/'), ""] {
            let paths = forms.iter().flat_map(|form| names.map(|name| format!("{prefix}/{form}{name}")));
            for path in paths.chain(odd.map(|path| format!("{prefix}{path}"))).filter(|p| p.starts_with('/'))
            {
                let response = ask(&server, "GET", &path, "");
                let Some(location) = response.header("location") else { continue };
                redirects += 1;
                // Browsers read a backslash as a slash and ignore tabs. A colon could end a scheme.
                let rest = location.strip_prefix(base).unwrap_or(location);
                assert!(!rest.starts_with(['/', '\\', '\t']) && !rest.contains(':'), "{location}");
                assert!(location.bytes().all(|b| b.is_ascii_graphic() && b != b'\\'), "{location}");
                let target = response.leads_to(&path).expect("Location");
                // A base path without its slash is redirected as well.
                let is_base = normalized(&target) == normalized(base);
                check(&server, &target, "", Page(if is_base { "home\n" } else { "inside\n" }));
            }
        }
        assert!(redirects > 30, "{redirects} redirects under {base}");
    }
}

/// Returns a path without empty names and dots.
fn normalized(path: &str) -> String {
    let names = path.split('/').filter(|name| !name.is_empty() && *name != ".");
    names.collect::<Vec<_>>().join("/")
}

/// Without its extension, such a name would be `.` or `..`.
#[test]
fn clean_url_is_not_for_pages_that_cannot_have_one() {
    let site = Site::new();
    ["..html", "...html", "docs/..html", "docs/...html"].iter().for_each(|name| site.write(name, "odd\n"));
    let server = Server::with(&site, &["--hidden", "--clean-urls"]);
    let rows = ["/..html", "/...html", "/docs/..html", "/docs/...html"].map(|path| (path, Page("odd\n")));
    check_all(&server, &rows);
}
