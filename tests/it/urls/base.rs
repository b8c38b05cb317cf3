//! Base paths: `--base-path`.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
    path::Path,
    process::{Command, Output},
};

use super::*;
use crate::common::*;

/// Runs the program with `args`, which it must refuse.
fn refused<S: AsRef<OsStr>>(dir: &Path, args: &[S]) -> Output {
    let mut command = Command::new("timeout");
    command.args(["20", env!("CARGO_BIN_EXE_oneloop"), "--port", "0"]).args(args).arg(dir);
    command.output().expect("run oneloop")
}

#[test]
fn base_path_in_any_form_serves_the_site() {
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
    each(bases, |(value, base)| {
        let server = Server::with(&site, &["--base-path", value]);
        assert_eq!(server.base_path(), *base);
        let location = |path: &str| {
            let response = ask(&server, "GET", path, "");
            assert_eq!(response.status, 301, "{path}");
            response.leads_to(path).expect("Location")
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
        check_all(&server, &[("/", Page("home\n")), ("/docs", Redirect("/docs/")), ("/app/", Missing)]);
    }
}

#[test]
fn base_path_refuses_what_is_not_a_path() {
    let site = Site::new();
    let (long, bad_utf8) = (OsString::from("n".repeat(256)), OsStr::from_bytes(b"/\xFF").to_owned());
    let mut bases = ["..", "/..", "/../app", "/app/..", "/app/../../b", "/what?#1", "http://evil.example"]
        .map(OsString::from)
        .to_vec();
    bases.extend([long, bad_utf8]);
    each(bases, |base| {
        let output = refused(site.path(), &[OsStr::new("--base-path"), base]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(output.stdout.is_empty() && !stderr.is_empty() && !stderr.contains("panicked"), "{stderr}");
    });
    let stderr = refused(site.path(), &["--base-path", "/../app"]).stderr;
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(
        stderr.contains("--base-path") && stderr.contains("/../app") && stderr.lines().count() == 1,
        "{stderr}"
    );
}

#[test]
fn base_path_may_begin_with_a_dot() {
    let site = Site::new();
    let server = Server::with(&site, &["--base-path", "/.app"]);
    check(&server, server.base_path(), "", Page("home\n"));
}

#[test]
fn base_path_serves_nothing_outside() {
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
        ("/a/app/../app/", Page("home\n")),
        ("/a/app/%2e%2e/app/", Missing),
        ("/a\\app/", Missing),
    ];
    check_all(&server, &rows);
    // These responses do not depend on the base path.
    assert_eq!(ask(&server, "OPTIONS", "*", "").status, 204);
    assert_eq!(ask(&server, "POST", "/a/app/", "Content-Length: 0\r\n").status, 405);
    assert_eq!(ask(&server, "GET", "/%zz", "").status, 400);
}

#[test]
fn base_path_with_spa_answers_navigation_below_it_only() {
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
        ("/app/about.html?q", Redirect("/app/about?q")),
        ("/app/docs/index.html", Redirect("/app/docs/")),
        ("/app/index.html", Redirect("/app/")),
        ("/app/shop", Redirect("/app/shop/")),
        ("/app/both", Page("both\n")),
        ("/app/shell/app.html", Redirect("/app/shell/app")),
        ("/app/shell/app", Page("shell\n")),
        ("/app", Redirect("/app/")),
        ("/?q", Redirect("/app/?q")),
        ("/users/7", Missing),
        ("/about", Missing),
        ("/application", Missing),
        ("/application/../users", Missing),
        // No file can have this path, but an application may have such a URL.
        ("/app/item/a%2Fb", Page("shell\n")),
        ("/app/.git/config", Page("shell\n")),
    ];
    each(rows, |(path, is)| check(&server, path, NAVIGATES, *is));
    let lost = ask(&server, "GET", "/app/missing.js", "Sec-Fetch-Mode: no-cors\r\nAccept: */*\r\n");
    assert_eq!((lost.status, lost.text().as_str()), (404, "lost\n"));
    // The custom 404 page is an ordinary page: it has a clean URL and is a 200 there.
    check_all(&server, &[("/app/404", Page("lost\n")), ("/app/404.html", Redirect("/app/404"))]);
}
