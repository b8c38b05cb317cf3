//! The site's own `_headers` file: what it adds to responses, how soon a change shows, what is
//! reported, and that it is never served.

use std::{
    fs::{self, Permissions},
    io::{BufRead, BufReader},
    os::unix::fs::{PermissionsExt, symlink},
    process::Stdio,
};

use crate::{
    common::*,
    freshness::{MODES, Serving},
    listings::{entries, text},
};

/// Returns the values of the field `name` in the response to a GET of `path`.
fn values(server: &Server, path: &str, name: &str) -> Vec<String> {
    let response = server.ask(get(path));
    let fields = response.headers.into_iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
    fields.map(|(_, value)| value).collect()
}

#[test]
fn headers_file_adds_fields_to_matching_paths() {
    let site = Site::new();
    site.write(
        "_headers",
        "# our site\n/*\n  X-Frame-Options: DENY\n  Cache-Control: max-age=60\n  X-Content-Type-Options: other\n\
         /hello.txt\n  Content-Type: text/x-hello\n  ! X-Frame-Options\n/docs/*\n  X-Rest: <:splat>\n",
    );
    let server = Server::start(&site);
    let rows: [(&str, &str, &[&str]); 12] = [
        ("/", "x-frame-options", &["DENY"]),
        ("/", "cache-control", &["max-age=60"]),
        ("/", "x-content-type-options", &["other"]),
        ("/", "content-type", &["text/html; charset=utf-8"]),
        ("/hello.txt", "x-frame-options", &[]),
        ("/hello.txt", "content-type", &["text/x-hello"]),
        // A page of errors and a redirect must not be cached, and have no type of a file.
        ("/missing", "x-frame-options", &["DENY"]),
        ("/missing", "cache-control", &["no-cache"]),
        ("/docs", "cache-control", &["no-cache"]),
        ("/docs/", "x-rest", &["<>"]),
        ("/docs/%0d%0aX-Evil:%201", "x-rest", &["<%0D%0AX-Evil%3A%201>"]),
        ("/docs/%0d%0aX-Evil:%201", "x-evil", &[]),
    ];
    each(rows, |(path, name, expected)| assert_eq!(values(&server, path, name), *expected));
    // Parts of a multipart body would need the type that the file sets.
    let ranges = "GET /hello.txt HTTP/1.1\r\nHost: a\r\nRange: bytes=0-0,2-2\r\n\r\n";
    assert_eq!(server.ask(ranges).status, 200);
}

#[test]
fn headers_file_gives_way_to_the_command_line() {
    let site = Site::new();
    site.write("_headers", "/*\n  X-A: file\n  X-B: file\n/app/*\n  X-C: file\n");
    let server = Server::with(&site, &["--header=X-A: operator", "--base-path=/app"]);
    assert_eq!(values(&server, "/app/", "x-a"), ["operator"]);
    assert_eq!(values(&server, "/app/", "x-b"), ["file"]);
    assert_eq!(values(&server, "/app/app/x", "x-c"), ["file"], "its paths begin at the site's root");
    assert_eq!(values(&server, "/app/x", "x-c"), [""; 0]);
    assert_eq!(values(&server, "/", "x-b"), [""; 0], "outside the site");
}

#[test]
fn rule_files_are_never_served() {
    let site = Site::new();
    for name in ["_headers", "_redirects", "docs/_headers", "_headers.txt"] {
        site.write(name, "/*\n  X-A: 1\n");
    }
    fs::hard_link(site.at("_headers"), site.at("copy")).expect("a link");
    symlink("_headers", site.at("link")).expect("a link");
    let paths = [
        "/_headers",
        "/_redirects",
        "/_headers?x",
        "/%5Fheaders",
        "/./_headers",
        "//_headers",
        "/docs/../_headers",
        "/_headers/",
        "/copy",
        "/link",
    ];
    for args in
        [&["--listing"][..], &["--hidden", "--listing", "--follow-links"], &["--no-watch", "--listing"]]
    {
        let server = Server::with(&site, args);
        each(paths, |path| {
            assert_eq!(server.ask(get(path)).status, 404);
            let head = format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(server.ask(head).status, 404);
        });
        for path in ["/docs/_headers", "/_headers.txt"] {
            assert_eq!(server.ask(get(path)).status, 200, "{path} has another place");
        }
    }
    fs::remove_file(site.at("index.html")).expect("remove");
    let server = Server::with(&site, &["--listing"]);
    let entries = entries(&server, "/");
    let names: Vec<&str> = entries.iter().map(|entry| text(entry, "name")).collect();
    assert_eq!(names.iter().filter(|name| name.starts_with('_')).collect::<Vec<_>>(), [&"_headers.txt"]);
}

#[test]
fn headers_file_that_changes_has_an_effect_at_once() {
    each(MODES, |&inotify| {
        let site = Site::new();
        site.write("_headers", "/*\n  X-A: 1\n");
        let mut serving = Serving::new(site, inotify);
        let now = |serving: &mut Serving| {
            let response = serving.response("/hello.txt");
            response.header("x-a").map(str::to_owned)
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(now(&mut serving), some("1"));
        serving.site.write("_headers", "/*\n  X-A: 2\n");
        assert_eq!(now(&mut serving), some("2"), "changed again within a moment");
        serving.settle();
        serving.cache("/hello.txt");
        serving.site.write("_headers", "/*\n  X-A: 3\n");
        assert_eq!(now(&mut serving), some("3"), "rewritten");
        serving.settle();
        serving.cache("/hello.txt");
        serving.site.write("new", "/*\n  X-A: 4\n");
        fs::rename(serving.site.at("new"), serving.site.at("_headers")).expect("rename");
        assert_eq!(now(&mut serving), some("4"), "replaced");
        serving.settle();
        serving.cache("/hello.txt");
        fs::remove_file(serving.site.at("_headers")).expect("remove");
        assert_eq!(now(&mut serving), None, "removed");
        serving.cache("/hello.txt");
        serving.site.write("_headers", "/*\n  X-A: 5\n");
        if !inotify || cfg!(feature = "portable") {
            serving.pass_recheck();
        }
        assert_eq!(now(&mut serving), some("5"), "written again");
        fs::remove_file(serving.site.at("_headers")).expect("remove");
        fs::create_dir(serving.site.at("_headers")).expect("create");
        assert_eq!(now(&mut serving), None, "a directory");
    });
}

#[test]
fn headers_file_errors_are_reported_once_with_their_lines() {
    let site = Site::new();
    site.write("_headers", "X-A: 1\n/*\n  X-B: 2\n  Content-Length: 5\n");
    let mut server = Server::start(&site);
    let mut lines = BufReader::new(server.stderr()).lines().map_while(Result::ok);
    let mut next = || lines.next().expect("a line");
    let (first, second) = (next(), next());
    assert!(first.contains("_headers:1: a header needs a line with a path"), "{first}");
    assert!(second.contains("_headers:4: the server sets this header itself; skipping"), "{second}");
    for _ in 0..50 {
        assert_eq!(values(&server, "/", "x-b"), ["2"]);
    }
    site.write("_headers", format!("/*\n  X-B: 3\n{}", "# long\n".repeat(10_000)));
    eventually("the change", || values(&server, "/", "x-b").is_empty());
    let line = next();
    assert!(line.contains("_headers is longer than 65536 bytes; not using it"), "{line}");
    site.write("_headers", "/*\n  X-B: 4\n  X B: 5\n");
    eventually("the change", || values(&server, "/", "x-b") == ["4"]);
    let line = next();
    assert!(line.contains("_headers:3: invalid header name"), "{line}");
}

#[test]
fn rule_file_that_cannot_be_read_is_reported_once() {
    let site = Site::new();
    site.write("_headers", "/*\n  X-A: 1\n");
    let set_mode = |mode| fs::set_permissions(site.at("_headers"), Permissions::from_mode(mode));
    let Some(mut program) = Unprivileged::program(&site) else { return };
    set_mode(0o000).expect("take the right away");
    program.command.args(["-p", "0", "--allow-host=*"]).arg(site.path()).stderr(Stdio::piped());
    let mut server = Server::spawn(program.command);
    let mut lines = BufReader::new(server.stderr()).lines().map_while(Result::ok);
    let mut next = || lines.next().expect("a line");
    let line = next();
    assert!(line.contains("cannot read _headers: access denied; not using it"), "{line}");
    for _ in 0..50 {
        assert!(values(&server, "/", "x-a").is_empty());
    }
    set_mode(0o644).expect("give the right back");
    eventually("the change", || values(&server, "/", "x-a") == ["1"]);
    set_mode(0o000).expect("take the right away");
    eventually("the request", || {
        assert_eq!(values(&server, "/", "x-a"), ["1"], "the last rules apply");
        server.ask(get("/hello.txt")).status == 200
    });
    let line = next();
    assert!(line.contains("cannot read _headers: access denied; using its last rules"), "{line}");
}
