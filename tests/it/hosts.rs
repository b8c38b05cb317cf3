//! The checks of a server that listens on loopback only. It accepts the names of this machine, so
//! that no page of another origin can read it through DNS rebinding, and no requests that pages of
//! other sites make.
use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use crate::common::*;

/// The program without the `--host` option that `common` adds to allow every host, and its address.
struct Plain(Child, SocketAddr);

impl Plain {
    fn with(site: &Site, args: &[&str]) -> Plain {
        let mut child = Command::new(env!("CARGO_BIN_EXE_oneloop"))
            .args(["-p", "0"])
            .args(args)
            .arg(site.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start oneloop");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let port =
            line.trim_end().trim_end_matches('/').rsplit(':').next().and_then(|port| port.parse().ok());
        Plain(child, SocketAddr::from(([127, 0, 0, 1], port.expect("a port"))))
    }

    fn ask(&self, target: &str, host: &str) -> Response {
        self.ask_with(target, host, "")
    }

    fn ask_with(&self, target: &str, host: &str, fields: &str) -> Response {
        let mut client = Client::connect(self.1);
        client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"));
        client.response()
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn host_names_of_this_machine_are_answered() {
    let site = Site::new();
    let server = Plain::with(&site, &[]);
    for (target, host, status) in [
        ("/", "localhost", 200),
        ("/", "127.0.0.1:8000", 200),
        ("/", "[::1]:8000", 200),
        ("/", "app.localhost", 200),
        ("/", "evil.example", 421),
        ("/missing", "evil.example", 421),
        ("/", "localhost.evil.example", 421),
        ("http://evil.example/", "localhost", 421),
        ("http://localhost/", "evil.example", 200),
    ] {
        let response = server.ask(target, host);
        assert_eq!(response.status, status, "{target} at {host}");
        if status == 421 {
            assert!(response.text().contains("--allow-host"), "it names the option: {}", response.text());
            assert!(!response.text().contains("home"), "it contains nothing of the site");
        }
    }
    let mut client = Client::connect(server.1);
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.response().status, 200, "HTTP/1.0 needs no Host");
}

#[test]
fn host_check_has_exceptions_and_is_for_loopback_only() {
    let site = Site::new();
    for (args, host, status) in [
        (&["--allow-host", "dev.example"][..], "dev.example:8000", 200),
        (&["--allow-host", "dev.example"], "evil.example", 421),
        (&["--allow-host", "dev.example", "--allow-host", "b.example"], "b.example", 200),
        (&["--allow-host", "*"], "evil.example", 200),
        (&["--bind", "0.0.0.0"], "evil.example", 200),
        (&["--bind", "127.0.0.1", "--bind", "localhost"], "evil.example", 421),
    ] {
        assert_eq!(Plain::with(&site, args).ask("/", host).status, status, "{args:?} {host}");
    }
}

#[test]
fn host_option_refuses_what_is_not_a_host() {
    let site = Site::new();
    for name in ["dev.example:8000", "http://dev.example", "*.example", ""] {
        let output = Command::new(env!("CARGO_BIN_EXE_oneloop"))
            .args(["-p", "0", "--allow-host", name])
            .arg(site.path())
            .output()
            .expect("run oneloop");
        assert_eq!(output.status.code(), Some(2), "{name:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("--allow-host"), "{name:?}");
    }
}

/// What a browser sends for a script and for a link of another site, and for a script of another
/// port.
const SCRIPT: &str = "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: script\r\n";
const LINK: &str = "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n";
const OTHER_PORT: &str = "Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: script\r\n";

#[test]
fn host_refuses_pages_of_other_sites() {
    let site = Site::new();
    let server = Plain::with(&site, &[]);
    let script = server.ask_with("/", "localhost", SCRIPT);
    assert_eq!(script.status, 403);
    assert!(script.text().contains("--cors") && !script.text().contains("home"), "{}", script.text());
    assert_eq!(server.ask_with("/missing", "localhost", SCRIPT).status, 403, "it does not say what exists");
    for (target, fields, status) in
        [("/", LINK, 200), ("/", OTHER_PORT, 200), ("/", "", 200), ("/missing", LINK, 404)]
    {
        let response = server.ask_with(target, "localhost", fields);
        assert_eq!(response.status, status, "{fields:?}");
        assert_eq!(response.header("cross-origin-resource-policy"), Some("same-site"), "{fields:?}");
    }
}

#[test]
fn host_options_allow_pages_of_other_sites() {
    let site = Site::new();
    for args in
        [&["--cors"][..], &["--cors=http://a.example"], &["--allow-host", "*"], &["--bind", "0.0.0.0"]]
    {
        let response = Plain::with(&site, args).ask_with("/", "localhost", SCRIPT);
        assert_eq!(response.status, 200, "{args:?}");
        assert_eq!(response.header("cross-origin-resource-policy"), None, "{args:?}");
    }
    let named = Plain::with(&site, &["--allow-host", "dev.example"]);
    assert_eq!(named.ask_with("/", "dev.example", SCRIPT).status, 403);
}
