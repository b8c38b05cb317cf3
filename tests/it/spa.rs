//! `--spa`: navigation to a missing page gets the fallback page, and missing assets stay 404.
use crate::common::*;

const NAVIGATES: &str = "Sec-Fetch-Mode: navigate\r\nAccept: text/html,*/*\r\n";
const LOADS: &str = "Sec-Fetch-Mode: no-cors\r\nAccept: */*\r\n";

fn ask(server: &Server, method: &str, path: &str, fields: &str) -> Response {
    server.ask(format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"))
}

#[test]
fn spa_answers_navigation_and_not_assets() {
    let site = Site::new();
    let server = Server::with(&site, &["--spa"]);
    for (path, fields, status, body) in [
        ("/users/7", NAVIGATES, 200, Some("home\n")),
        ("/users/7?tab=1", "Accept: text/html\r\n", 200, Some("home\n")),
        ("/deep/er/", NAVIGATES, 200, Some("home\n")),
        ("/missing.js", LOADS, 404, None),
        ("/users/7", "", 200, Some("home\n")),
        ("/users/7/", "", 200, Some("home\n")),
        ("/users/7.5", "", 404, None),
        ("/users/7", "Sec-Fetch-Mode: cors\r\n", 404, None),
        ("/missing.js", "", 404, None),
        ("/api/users", "Accept: application/json\r\n", 404, None),
        // Tools that wait for a server, such as wait-on, and curl.
        ("/users/7", "Accept: application/json, text/plain, */*\r\n", 200, Some("home\n")),
        ("/users/7", "Accept: */*\r\n", 200, Some("home\n")),
        ("/missing.js", "Accept: */*\r\n", 404, None),
        ("/users/7", LOADS, 404, None),
        ("/hello.txt", NAVIGATES, 200, Some("hello\n")),
        ("/docs/", NAVIGATES, 200, Some("docs\n")),
        ("/docs", NAVIGATES, 301, None),
        ("/%zz", NAVIGATES, 400, None),
        // No file can have this path, but an application may have such a URL.
        ("/item/a%2Fb", NAVIGATES, 200, Some("home\n")),
        ("/users/.me", NAVIGATES, 200, Some("home\n")),
        ("/../secret", NAVIGATES, 200, Some("home\n")),
        ("/../secret", LOADS, 404, None),
        ("/.git/config", LOADS, 404, None),
    ] {
        let response = ask(&server, "GET", path, fields);
        assert_eq!(response.status, status, "{path} {fields:?}");
        if let Some(body) = body {
            assert_eq!(response.text(), body, "{path} {fields:?}");
        }
    }
    let head = ask(&server, "HEAD", "/users/7", NAVIGATES);
    assert_eq!((head.status, head.header("content-length")), (200, Some("5")));
    assert_eq!(head.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(ask(&server, "POST", "/users/7", NAVIGATES).status, 405);
}

#[test]
fn spa_fallback_can_be_another_file() {
    let site = Site::new();
    site.write("app/100%41 shell.html", "shell\n");
    site.write("404.html", "nothing here\n");
    let server = Server::with(&site, &["--spa=app/100%41 shell.html"]);
    assert_eq!(ask(&server, "GET", "/anywhere", NAVIGATES).text(), "shell\n");
    assert_eq!(ask(&server, "GET", "/asset.png", LOADS).text(), "nothing here\n");
    std::fs::remove_file(site.at("app/100%41 shell.html")).expect("remove it");
    let response = ask(&server, "GET", "/anywhere", NAVIGATES);
    assert_eq!((response.status, response.text()), (404, "nothing here\n".into()));
    let without = Server::start(&site);
    assert_eq!(ask(&without, "GET", "/anywhere", NAVIGATES).status, 404);
}

#[test]
fn spa_fallback_ignores_preconditions_of_the_missing_path() {
    let site = Site::new();
    site.write("assets/here.js", "here");
    let long = ["--cache-control", "max-age=60", "--header", "/assets/* Cache-Control: immutable"];
    let server = Server::with(&site, &[&["--spa"], &long[..]].concat());
    for (path, fields, expected) in [
        ("/", NAVIGATES, "max-age=60"),
        ("/assets/here.js", LOADS, "immutable"),
        ("/assets/gone.js", NAVIGATES, "no-cache"),
        ("/assets/gone.js", LOADS, "no-cache"),
        ("/users/7", NAVIGATES, "no-cache"),
        ("/users/7", "If-None-Match: *\r\nAccept: text/html\r\n", "no-cache"),
    ] {
        let response = ask(&server, "GET", path, fields);
        assert_eq!(response.header("cache-control"), Some(expected), "{path} {fields:?}");
    }
}

#[test]
fn spa_option_refuses_what_is_not_a_file() {
    let site = Site::new();
    for name in ["--spa=../secret", "--spa=docs/", "--spa=", "--spa=.env"] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_oneloop"))
            .args(["-p", "0", name])
            .arg(site.path())
            .output()
            .expect("run oneloop");
        assert_eq!(output.status.code(), Some(2), "{name}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("--spa"), "{name}");
    }
}
