//! The directory that is served without an argument, and a file in place of a directory.

use std::os::unix::fs::symlink;

use super::*;
use crate::{
    common::*,
    configuration::{Started, assert_usage_error, run},
};

#[test]
fn default_root_is_the_first_usual_directory_with_an_index_file() {
    let rows: [(&[&str], &[&str], &str); 7] = [
        (&["static/index.html", "public/index.html", "index.html"], &[], "static/index.html"),
        (&["build/index.html", "dist/index.html", "public/app.js"], &[], "dist/index.html"),
        (&["build/index.html", "static/style.css"], &[], "build/index.html"),
        (&["public/index.html", "static/index.html/x"], &[], "public/index.html"),
        (&["static/logo.svg", "index.html"], &[], "index.html"),
        (&["static/index.html", "dist/home.html"], &["--index=home.html"], "dist/home.html"),
        (&["static/index.html", "home.html"], &["--index=home.html"], "home.html"),
    ];
    each(rows, |(files, args, served)| {
        let site = Site::empty();
        files.iter().for_each(|name| site.write(name, name));
        assert_eq!(Started::with(site.path(), args, &[]).ask(&get("/")).text(), *served);
    });
}

#[test]
fn default_root_is_named_on_a_terminal_and_arguments_replace_it() {
    let site = Site::new();
    site.write("dist/index.html", "dist\n");
    for (args, expected) in
        [(&[][..], "serving 'dist'"), (&["."], "serving '.'"), (&["docs"], "serving 'docs'")]
    {
        on_terminal(site.path(), &[&["--port", "0"], args].concat(), &[]).until(expected);
    }
    let vars = [("ONELOOP_DIR", "docs")];
    assert_eq!(Started::with(site.path(), &[], &vars).ask(&get("/")).text(), "docs\n");
    let empty = Site::empty();
    on_terminal(empty.path(), &["--port", "0"], &[]).until("serving '.'");
}

#[test]
fn file_as_root_is_all_that_is_served() {
    let site = Site::new();
    for name in ["page.html", "page.html.gz", "404.html", ".hidden", "page.htm"] {
        site.write(name, name);
    }
    let page = site.at("page.html");
    let options: [&[&str]; 4] = [
        &[],
        &["--no-watch", "--no-sandbox"],
        &["--listing", "--hidden"],
        &["--follow-links", "--spa=404.html"],
    ];
    each(options, |args| {
        let server = Server::on(&page, args);
        for path in ["/", "/page.html", "/?query", "/./page.html"] {
            let response = server.get(path);
            assert_eq!((response.status, response.text()), (200, "page.html".into()), "{path}");
            assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"), "{path}");
        }
        let gzip = server.ask("GET / HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n");
        assert_eq!((gzip.text(), gzip.header("content-encoding")), ("page.html".into(), None));
        for path in [
            "/hello.txt",
            "/index.html",
            "/docs",
            "/docs/",
            "/page.html/",
            "/page.html/page.html",
            "/page.html.gz",
            "/404.html",
            "/.hidden",
            "/page.htm",
            "/..",
            "/%2e%2e/page.html",
        ] {
            let response = server.get(path);
            let is_refused = response.status == 404 || path == "/.." && response.text() == "page.html";
            assert!(is_refused && !response.text().starts_with("404.html"), "{path}: {}", response.status);
        }
    });
    let server = Server::on(&page, &["--base-path", "/app"]);
    assert_eq!(server.get("/app/").text(), "page.html");
    assert_eq!(server.get("/app/page.html").text(), "page.html");
}

#[test]
fn file_as_root_may_have_any_name_and_change() {
    let (site, elsewhere) = (Site::empty(), Site::empty());
    elsewhere.write("target", "target");
    symlink(elsewhere.at("target"), site.at("link")).expect("a link");
    site.write(".env", "hidden");
    site.write(b"\xff 100%.txt", "bytes");
    for (name, path, content) in [
        (&b"link"[..], "/link", "target"),
        (b".env", "/.env", "hidden"),
        (b"\xff 100%.txt", "/%ff%20100%25.txt", "bytes"),
    ] {
        for args in [&[][..], &["--no-watch"]] {
            let server = Server::on(&site.at(name), args);
            assert_eq!([server.get("/").text(), server.get(path).text()], [content; 2], "{path}");
        }
    }
    site.write("page.html", "one");
    let server = Server::on(&site.at("page.html"), &[]);
    assert_eq!(server.get("/").text(), "one");
    // Editors write a new file and rename it over the old one.
    site.write("page.html~", "two");
    std::fs::rename(site.at("page.html~"), site.at("page.html")).expect("rename");
    assert_eq!(server.get("/").text(), "two");
    std::fs::remove_file(site.at("page.html")).expect("remove");
    assert_eq!(server.get("/").status, 404);
}

#[test]
fn root_that_is_neither_a_directory_nor_a_file_is_refused() {
    let site = Site::new();
    for path in ["missing", "hello.txt/", "/dev/null"] {
        let named = [path, "DIR must be a directory or a file that can be read"];
        assert_usage_error(&run(site.path(), &["--port", "0", path], &[]), &named);
    }
}
