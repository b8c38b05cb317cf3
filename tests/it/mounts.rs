//! Mounts: other directories and files at paths of the site (`--mount`).

use std::{fs, io::Read, os::unix::fs::symlink};

use rustix::process::Signal;

use crate::{
    common::*,
    configuration::{assert_usage_error, run},
    freshness::{MODES, Serving},
    listings::{entries, list, text},
};

/// Returns the option that mounts `dir` at `path`.
fn mount(path: &str, dir: &std::path::Path) -> String {
    format!("--mount={path}={}", dir.display())
}

/// Returns the status of the response to a GET of `target`, and its location or content.
fn outcome(server: &Server, target: &str) -> (u16, String) {
    let response = server.ask(get(target));
    (response.status, response.leads_to(target).unwrap_or_else(|| response.text()))
}

/// Returns a directory to mount.
fn manual() -> Site {
    let manual = Site::empty();
    for name in ["index.html", "page.html", "sub/index.html", "api/lost.txt", "404.html", "a b.txt"] {
        manual.write(name, format!("manual {name}"));
    }
    manual
}

/// What a path of the main site gets, unless the test says otherwise.
const MISSING: (u16, &str) = (404, "missing");

/// Returns a site whose own 404 page is short.
fn main_site() -> Site {
    let site = Site::new();
    site.write("404.html", "missing");
    site
}

#[test]
fn mount_answers_below_its_path_and_the_longest_path_wins() {
    let (site, manual, api) = (main_site(), manual(), Site::empty());
    site.write("docs/only-here.txt", "hidden by the mount");
    api.write("index.html", "api");
    let [docs, api] = [mount("/docs", manual.path()), mount("/docs/api/", api.path())];
    for base in ["", "/base"] {
        // The order of the options does not matter.
        for mounts in [[&docs, &api], [&api, &docs]] {
            let server = Server::with(&site, &[mounts[0], mounts[1], "--base-path", &format!("{base}/")]);
            let rows = [
                ("/", (200, "home\n")),
                ("/hello.txt", (200, "hello\n")),
                ("/docs/", (200, "manual index.html")),
                ("/docs/page.html", (200, "manual page.html")),
                ("/%64ocs/%70age.html", (200, "manual page.html")),
                ("//docs/./page.html", (200, "manual page.html")),
                ("/docs/a%20b.txt", (200, "manual a b.txt")),
                ("/docs/sub/", (200, "manual sub/index.html")),
                ("/docs/api/", (200, "api")),
                ("/docs/../hello.txt", (200, "hello\n")),
                ("/docs/api/../page.html", (200, "manual page.html")),
                ("/docs/api/lost.txt", MISSING),
                ("/docs/only-here.txt", MISSING),
                ("/docs/missing", MISSING),
                ("/docsx", MISSING),
                ("/docs-page.html", MISSING),
                ("/page.html", MISSING),
            ];
            each(rows, |(path, (status, content))| {
                assert_eq!(outcome(&server, &format!("{base}{path}")), (*status, (*content).to_owned()));
            });
            for (path, to) in
                [("/docs", "/docs/"), ("/docs/sub?q", "/docs/sub/?q"), ("/docs/api", "/docs/api/")]
            {
                let response = server.ask(get(&format!("{base}{path}")));
                assert_eq!(
                    response.leads_to(&format!("{base}{path}")),
                    Some(format!("{base}{to}")),
                    "{path}"
                );
            }
        }
    }
}

#[test]
fn mount_is_as_closed_as_the_site() {
    let (site, manual, elsewhere) = (main_site(), manual(), Site::new());
    for name in [".env", ".git/config", "_headers", "_redirects", "sub/.env"] {
        manual.write(name, "never shown");
    }
    manual.write(".well-known/security.txt", "contact");
    fs::hard_link(manual.at("_headers"), manual.at("copy")).expect("a link");
    symlink("_redirects", manual.at("alias")).expect("a link");
    symlink(elsewhere.path(), manual.at("out")).expect("a link");
    symlink("page.html", manual.at("within")).expect("a link");
    symlink(site.at("hello.txt"), manual.at("into-the-site")).expect("a link");
    let option = mount("/docs", manual.path());
    let server = Server::with(&site, &[&option]);
    for path in [
        ".env",
        ".git/config",
        "_headers",
        "_redirects",
        "sub/.env",
        "%2eenv",
        "sub/../.env",
        "copy",
        "alias",
    ] {
        assert_eq!(outcome(&server, &format!("/docs/{path}")), (404, "missing".into()), "{path}");
    }
    for path in ["out/hello.txt", "into-the-site", "out/"] {
        assert_ne!(server.get(&format!("/docs/{path}")).status, 200, "{path}");
    }
    assert_eq!(outcome(&server, "/docs/within"), (200, "manual page.html".into()));
    assert_eq!(outcome(&server, "/docs/.well-known/security.txt"), (200, "contact".into()));
    drop(server);
    let server = Server::with(&site, &[&option, "--hidden", "--follow-links"]);
    assert_eq!(outcome(&server, "/docs/.env"), (200, "never shown".into()));
    assert_eq!(outcome(&server, "/docs/out/hello.txt"), (200, "hello\n".into()));
}

#[test]
fn mounted_file_answers_at_its_path_alone() {
    let (site, manual) = (main_site(), manual());
    let options = [mount("/report", &manual.at("page.html")), mount("/a/b.txt", &manual.at("a b.txt"))];
    let server = Server::with(&site, &[&options[0], &options[1]]);
    let rows = [
        ("/report", (200, "manual page.html")),
        ("/a/b.txt", (200, "manual a b.txt")),
        ("/report/", MISSING),
        ("/report/page.html", MISSING),
        ("/a/b.txt/a%20b.txt", MISSING),
        ("/a/", MISSING),
        ("/page.html", MISSING),
    ];
    each(rows, |(path, (status, content))| {
        assert_eq!(outcome(&server, path), (*status, (*content).to_owned()));
    });
    assert_eq!(server.get("/report").header("content-type"), Some("text/html; charset=utf-8"));
    fs::remove_file(manual.at("page.html")).expect("remove");
    assert_eq!(outcome(&server, "/report"), (404, "missing".into()));
}

#[test]
fn mount_follows_the_rules_of_the_main_site() {
    let (site, manual) = (main_site(), manual());
    manual.write("about.html", "manual about");
    manual.write("_headers", "/*\n  X-Manual: yes\n");
    site.write("_headers", "/docs/*\n  X-Docs: yes\n");
    site.write(
        "_redirects",
        "/docs/page.html /hello.txt\n/docs/gone /docs/page.html\n/docs/closed /elsewhere 302!\n\
         /handbook /docs/page.html 200\n/guide/* /docs/:splat 200\n/top /docs 200\n",
    );
    let option = mount("/docs", manual.path());
    let server = Server::with(&site, &[&option]);
    let rows = [
        ("/docs/page.html", (200, "manual page.html")),
        ("/docs/gone", (301, "/docs/page.html")),
        ("/docs/closed", (302, "/elsewhere")),
        ("/handbook", (200, "manual page.html")),
        ("/guide/sub/", (200, "manual sub/index.html")),
        ("/guide/.env", MISSING),
        ("/top", (200, "manual index.html")),
    ];
    each(rows, |(path, (status, content))| {
        assert_eq!(outcome(&server, path), (*status, (*content).to_owned()));
    });
    let response = server.get("/docs/page.html");
    assert_eq!((response.header("x-docs"), response.header("x-manual")), (Some("yes"), None));
    drop(server);
    let server = Server::with(&site, &[&option, "--clean-urls", "--spa"]);
    assert_eq!(outcome(&server, "/docs/about"), (200, "manual about".into()));
    let response = server.ask(get("/docs/about.html"));
    assert_eq!(response.leads_to("/docs/about.html").as_deref(), Some("/docs/about"));
    let navigation =
        |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n");
    assert_eq!(server.ask(navigation("/users/7")).text(), "home\n");
    assert_eq!(server.ask(navigation("/item/a%2Fb")).text(), "home\n");
    for path in ["/docs/users/7", "/docs/.env", "/docs/a%2Fb", "/%64ocs/a%2Fb"] {
        let missing = server.ask(navigation(path));
        assert_eq!((missing.status, missing.text()), (404, "missing".into()), "{path}");
    }
}

#[test]
fn mount_has_variants_ranges_and_a_link_from_its_error_page() {
    let (site, manual) = (Site::new(), manual());
    manual.write("page.html.gz", "compressed");
    let server = Server::with(&site, &[&mount("/docs", manual.path())]);
    let ask = |fields: &str, path: &str| {
        server.ask(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"))
    };
    let gzip = ask("Accept-Encoding: gzip\r\n", "/docs/page.html");
    assert_eq!((gzip.text().as_str(), gzip.header("content-encoding")), ("compressed", Some("gzip")));
    let part = ask("Range: bytes=0-5\r\n", "/docs/page.html");
    assert_eq!((part.status, part.text().as_str()), (206, "manual"));
    let missing = ask("Accept: text/html\r\n", "/docs/sub/missing/page");
    assert!(missing.text().contains("<a href=\"../\">/docs/sub/</a>"), "{}", missing.text());
}

#[test]
fn listing_shows_mounts_in_place_of_what_they_hide() {
    let (site, manual) = (Site::empty(), Site::empty());
    site.write("docs/hidden.txt", "");
    site.write("docs.txt", "12");
    site.write("other/page.txt", "");
    manual.write("sub/deep.txt", "deep");
    manual.write("file.txt", "four");
    let options = [
        mount("/docs", manual.path()),
        mount("/other/file", &manual.at("file.txt")),
        mount("/.secret", manual.path()),
        mount("/no/where", manual.path()),
    ];
    let mut args: Vec<_> = options.iter().map(String::as_str).collect();
    args.push("--listing");
    let server = Server::with(&site, &args);
    let names = |path: &str| -> Vec<String> {
        entries(&server, path).iter().map(|entry| text(entry, "href").to_owned()).collect()
    };
    assert_eq!(names("/"), ["docs/", "other/", "docs.txt"]);
    assert_eq!(names("/?q=DOC"), ["docs/", "docs.txt"]);
    assert_eq!(names("/?q=other"), ["other/"]);
    assert_eq!(names("/other/"), ["file", "page.txt"]);
    assert_eq!(entries(&server, "/other/")[0]["size"], 4);
    assert_eq!(names("/docs/"), ["sub/", "file.txt"]);
    assert_eq!(names("/docs/sub/"), ["deep.txt"]);
    assert_eq!(names("/.secret/sub/"), ["deep.txt"], "it is hidden, not closed");
    let page = list(&server, "/docs/sub/", "Accept: text/html\r\n").text();
    assert!(
        page.contains("<title>") && page.contains("docs/sub/") && page.contains("href=\"../\""),
        "{page}"
    );
    assert_eq!(server.get("/no/").status, 404);
}

#[test]
fn mount_is_never_stale_and_survives_being_built_again() {
    each(MODES, |inotify| {
        let (site, manual) = (main_site(), Site::empty());
        manual.write("out/page.html", "one");
        let mut config = Rig::config(&site);
        config.inotify = *inotify;
        config.mounts = vec![("/docs".into(), manual.at("out"))];
        let mut serving = Serving::with_config(site, config);
        for content in ["one", "two", "three"] {
            manual.write("out/page.html", content);
            serving.settle();
            for _ in 0..3 {
                assert_eq!(serving.ask("/docs/page.html"), Ok(content.into()));
            }
        }
        fs::remove_dir_all(manual.at("out")).expect("remove");
        assert_eq!(serving.ask("/docs/page.html"), Err(404));
        manual.write("out/page.html", "again");
        serving.settle();
        assert_eq!(serving.ask("/docs/page.html"), Ok("again".into()));
    });
}

#[test]
fn sandbox_allows_each_mount_and_no_more() {
    // Beside a mounted directory, the sandbox allows its parent; so each has a parent of its own.
    let (here, there) = (Site::empty(), Site::empty());
    here.write("a/site/index.html", "home");
    for name in ["b/docs/page.html", "c/report.html"] {
        there.write(name, name);
    }
    let options = [mount("/docs", &there.at("b/docs")), mount("/report", &there.at("c/report.html"))];
    let server = Server::on(&here.at("a/site"), &[&options[0], &options[1]]);
    assert_eq!(outcome(&server, "/docs/page.html"), (200, "b/docs/page.html".into()));
    assert_eq!(outcome(&server, "/report"), (200, "c/report.html".into()));
    fs::remove_dir_all(there.at("b/docs")).expect("remove");
    there.write("b/docs/page.html", "again");
    assert_eq!(outcome(&server, "/docs/page.html"), (200, "again".into()));
}

#[test]
fn start_reports_mounts_and_what_they_hide() {
    let (site, manual) = (Site::new(), manual());
    manual.write("_headers", "/*\n  X-A: b\n");
    let (docs, new) = (mount("/docs", manual.path()), mount("/new", manual.path()));
    let mut server = Server::with(&site, &["-v", &docs, &new]);
    let mut stderr = server.stderr();
    server.signal(Signal::TERM);
    let mut log = String::new();
    stderr.read_to_string(&mut log).expect("read the log");
    let real = manual.path().canonicalize().expect("its path");
    for path in ["/docs", "/new"] {
        assert!(log.contains(&format!("mount: {path} is {}", real.display())), "{log}");
        assert!(log.contains(&format!("_headers in the mount at {path}/ has no effect")), "{log}");
    }
    assert!(log.contains("the mount at /docs hides"), "{log}");
    assert!(!log.contains("the mount at /new hides"), "{log}");
}

#[test]
fn mount_from_a_variable_is_a_list() {
    let (site, manual) = (main_site(), manual());
    let value = format!("/a={0},/b={0}", manual.path().display());
    let mut command = Server::command(site.path(), &[]);
    command.env("ONELOOP_MOUNT", value);
    let server = Server::spawn(command);
    for path in ["/a/page.html", "/b/page.html"] {
        assert_eq!(outcome(&server, path), (200, "manual page.html".into()));
    }
}

#[test]
fn mount_that_cannot_be_meant_is_refused() {
    let site = Site::new();
    let rows: [(&[&str], &[&str]); 9] = [
        (&["--mount=docs"], &["--mount", "/docs=../docs"]),
        (&["--mount==docs"], &["--mount", "/docs=../docs"]),
        (&["--mount=/docs="], &["--mount", "/docs=../docs"]),
        (&["--mount=/=docs"], &["'/'", "--mount", "below the root"]),
        (&["--mount=/../x=docs"], &["'/../x'", "--mount", "such as /docs"]),
        (&["--mount=/a?b=docs"], &["'/a?b'", "--mount", "such as /docs"]),
        (&["--mount=/a=docs", "--mount=a/=docs"], &["'a/'", "--mount", "twice"]),
        (&["--mount=/a=missing"], &["cannot serve 'missing' for --mount", "name a directory or a file"]),
        (&["--mount=/a=/dev/null"], &["cannot serve '/dev/null' for --mount"]),
    ];
    each(rows, |(args, named)| {
        assert_usage_error(&run(site.path(), &[&["--port", "0"], *args, &["."]].concat(), &[]), named);
    });
    let output = run(site.path(), &["--port", "0", "."], &[("ONELOOP_MOUNT", "/a=missing")]);
    assert_usage_error(&output, &["cannot serve 'missing' for ONELOOP_MOUNT"]);
}
