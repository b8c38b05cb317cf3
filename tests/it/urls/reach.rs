//! Files that clients can reach: `--hidden`, `--follow-links`, and never a parent directory.

use std::os::unix::fs::symlink;

use super::*;
use crate::common::*;
use rustix::fs::{CWD, Mode, mkfifoat};

/// The content of files that no client may read.
const SECRET: &str = "SECRET-7f3a\n";

#[test]
fn hidden_serves_dotfiles() {
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
        ("/.d", Redirect("/.d/")),
        ("/.d/", Page("hidden\n")),
        ("/.html", Page("hidden\n")),
    ];
    let server = Server::with(&site, &["--hidden"]);
    check_all(&server, &rows);
    check(&server, "/.page.html", "", Page("hidden\n"));
    let server = Server::with(&site, &["--hidden", "--clean-urls"]);
    check_all(&server, &rows);
    let rows = [
        ("/.page", Page("hidden\n")),
        ("/.page.html", Redirect("/.page")),
        ("/.d/index.html", Redirect("/.d/")),
    ];
    check_all(&server, &rows);
    let server = Server::with(&site, &["--hidden", "--base-path", ".app", "--spa=.env"]);
    check_all(&server, &[("/.app/.app/.base.txt", Page("in .app\n")), ("/.app/.base.txt", Missing)]);
    check(&server, "/.app/.missing", NAVIGATES, Page("hidden\n"));
    // A hidden file can be the index, because the operator named it.
    let server = Server::with(&site, &["--index", ".env"]);
    check_all(&server, &[("/", Page("hidden\n")), ("/.env", Missing)]);
}

/// Creates a site with links of every kind, and a directory beside it that some of the links lead
/// to.
fn site_with_links() -> (Site, Site) {
    let (site, outside) = (Site::new(), Site::empty());
    outside.write("page.html", "outside\n");
    outside.write("dir/index.html", "outside dir\n");
    outside.write(".hidden", "outside hidden\n");
    symlink("page.html", outside.at("again.html")).expect("make a link");
    mkfifoat(CWD, outside.at("fifo"), Mode::RWXU).expect("make a FIFO");
    let there = outside.path().to_str().expect("ASCII");
    let sibling = outside.path().file_name().expect("a name").to_str().expect("ASCII");
    for (name, to) in [
        ("absolute.html", format!("{there}/page.html")),
        ("relative.html", format!("../{sibling}/page.html")),
        ("chain.html", "absolute.html".into()),
        ("there", there.into()),
        ("docs/there", format!("../../{sibling}")),
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
fn follow_links_serves_what_is_outside() {
    let (site, _outside) = site_with_links();
    let never =
        ["/fifo", "/null", "/dangling", "/loop1", "/loop1/x", "/there/fifo", "/there/.hidden", "/there/../x"];
    let outside = [
        ("/absolute.html", Page("outside\n")),
        ("/relative.html", Page("outside\n")),
        ("/chain.html", Page("outside\n")),
        ("/there", Redirect("/there/")),
        ("/there/page.html", Page("outside\n")),
        ("/there/again.html", Page("outside\n")),
        ("/there/dir", Redirect("/there/dir/")),
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
        ("/a%20b/there/page.html", Redirect("/a%20b/there/page")),
        ("/a%20b/there", Redirect("/a%20b/there/")),
        ("/a%20b/there/dir/index.html", Redirect("/a%20b/there/dir/")),
        ("/a%20b/there/.hidden", Page("outside hidden\n")),
    ];
    check_all(&server, &rows);
}

#[test]
fn follow_links_sees_changes_outside() {
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

/// Paths that lead above the root, also under a base path of one name.
const ABOVE: [&str; 7] =
    ["/../..", "/../../", "/.././..", "/docs/../../..", "/docs/../../../hello.txt", "/docs/...", "/%2e%2e"];

#[test]
fn url_options_never_serve_a_parent() {
    let (site, outside) = site_with_links();
    outside.write("secret.txt", SECRET);
    outside.write("secret.html", SECRET);
    outside.write("index.html", SECRET);
    let sibling = outside.path().file_name().expect("a name").to_str().expect("ASCII");
    // A directory, a link out of the site (the parent of its target is not the site), a link to the
    // site, and a page.
    let prefixes = ["", "/", "/docs", "/there/dir", "/own", "/absolute", "/absolute.html", "/.", "/missing"];
    let ups = ["..", "%2e%2e", "%2E.", ".%2e", "..%2f..", "..%5c..", "..\\..", "..%00", "%252e%252e", "..;"];
    let tails =
        [format!("{sibling}/secret.txt"), format!("{sibling}/secret"), format!("{sibling}/"), String::new()];
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
    // Without this field, these would be navigation, which the page of the application answers.
    let get = |path: &str| get(path).replace("\r\n\r\n", "\r\nSec-Fetch-Mode: no-cors\r\n\r\n");
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
                // A plain `..` is resolved. These lead to a directory in the site.
                let is_deep = !base.is_empty() || !matches!(*prefix, "" | "/" | "/.");
                let stays = *up == ".." && tail.is_empty() && is_deep;
                assert!(response.status == 404 || stays, "{path} with {mode:?}: {}", response.status);
                assert!(stays || !response.text().contains(SECRET.trim()), "{path} with {mode:?}");
            }
        }
        for path in ABOVE {
            for base in [base, ""] {
                client.send(get(&format!("{base}{path}")));
                assert_eq!(client.response().status, 404, "{base}{path} with {mode:?}");
            }
        }
    }
}
