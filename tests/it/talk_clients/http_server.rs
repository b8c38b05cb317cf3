//! `oneloop talk http` and real HTTP servers: this one, and Python's.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use super::{Talked, talk, talk_with_input};
use crate::common::{Server, Site, pattern, skip};

#[test]
fn http_and_the_server_of_this_project() {
    let site = Site::new();
    let large = pattern(5 << 20);
    site.write("large", &large);
    site.write("a b\u{e9}.txt", "spaces\n");
    site.crowd("crowd", (0..3000).map(|n| format!("a file with number {n}")));
    let server = Server::with(&site, &["--listing"]);
    let url = |path: &str| format!("http://{}/{path}", server.addr());

    let talked = talk(&["http", "GET", &url("hello.txt")]);
    assert_eq!((talked.code, &*talked.stdout), (Some(0), "hello\n"));
    assert!(talked.stderr.contains("\n>\n< HTTP/1.1 200 OK\n"), "{talked:?}");
    assert!(talked.stderr.contains("\n< Content-Length: 6\n"), "{talked:?}");
    assert!(talked.stderr.contains("\n< Connection: close\n"), "{talked:?}");

    let head = talk(&["http", "HEAD", &url("hello.txt")]);
    assert_eq!((head.code, &*head.stdout), (Some(0), ""));
    assert!(head.stderr.contains("\n< Content-Length: 6\n"), "{head:?}");

    let file = tempfile::NamedTempFile::new().expect("a file");
    let talked = talk(&["http", "GET", &url("large"), "-o", file.path().to_str().expect("a path")]);
    assert_eq!((talked.code, &*talked.stdout), (Some(0), ""));
    assert!(std::fs::read(file.path()).expect("the file") == large);

    // A listing is sent in chunks.
    let listing = talk(&["http", "GET", &url("crowd/"), "--header", "Accept: application/json"]);
    assert!(listing.stderr.contains("\n< Transfer-Encoding: chunked\n"), "{listing:?}");
    assert_eq!(listing.stdout.matches("a file with number").count(), 3000);

    let table = [
        ("GET", "missing", "404 Not Found", ""),
        ("GET", "docs", "301 Moved Permanently", "* this client does not follow redirects\n"),
        ("POST", "hello.txt", "405 Method Not Allowed", ""),
    ];
    for (method, path, status, note) in table {
        let Talked { code, stderr, .. } = talk(&["http", method, &url(path)]);
        assert_eq!(code, Some(0), "{stderr}");
        assert!(stderr.contains(&format!("\n< HTTP/1.1 {status}\n")), "{stderr}");
        assert!(stderr.ends_with(&format!("<\n{note}")), "{stderr}");
    }
    assert_eq!(talk(&["http", "GET", &url("a b\u{e9}.txt")]).stdout, "spaces\n");
    let too_large = talk_with_input(&["http", "POST", &url(""), "--data-file", "-"], &large);
    assert_eq!(too_large.code, Some(0), "{too_large:?}");
    assert!(too_large.stderr.contains("\n< HTTP/1.1 4"), "{too_large:?}");
}

#[test]
fn http_and_the_server_of_python() {
    let site = Site::new();
    let mut python = Command::new("python3");
    python.args(["-u", "-m", "http.server", "--bind", "127.0.0.1", "0"]).current_dir(site.path());
    let Ok(mut python) = python.stdout(Stdio::piped()).stderr(Stdio::null()).spawn() else {
        return skip("there is no python3");
    };
    let mut line = String::new();
    BufReader::new(python.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let port = line.split("port ").nth(1).and_then(|rest| rest.split(' ').next()).expect("a port");
    let url = |path: &str| format!("http://127.0.0.1:{port}/{path}");
    let results =
        [("GET", "hello.txt"), ("HEAD", "hello.txt"), ("GET", "missing"), ("POST", "hello.txt"), ("GET", "")]
            .map(|(method, path)| talk(&["http", method, &url(path)]));
    python.kill().expect("stop python");
    python.wait().expect("its status");
    assert!(results.iter().all(|talked| talked.code == Some(0)), "{results:?}");
    let statuses = ["200 OK", "200 OK", "404 File not found", "501 Unsupported method", "200 OK"];
    for (talked, status) in results.iter().zip(statuses) {
        assert!(talked.stderr.contains(&format!("\n< HTTP/1.0 {status}")), "{talked:?}");
    }
    assert_eq!((&*results[0].stdout, &*results[1].stdout, &*results[4].stdout), ("hello\n", "", "home\n"));
}
