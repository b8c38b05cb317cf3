//! The URLs at which programs ask how the server is doing.

use std::fs;

use rustix::process::Signal;

use crate::common::*;

#[test]
fn health_is_neither_logged_nor_counted() {
    let site = Site::new();
    site.write("health", "a file\n");
    let dir = tempfile::tempdir().expect("a directory");
    let log = dir.path().join("log");
    let to = format!("--access-log={}", log.display());
    let mut server = Server::with(&site, &["--health", "--stats", &to]);
    // The load balancer knows the address of the server, not the name of the site.
    let requests = [
        "GET /health HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n".to_owned(),
        "GET /health?x HTTP/1.0\r\n\r\n".to_owned(),
        get("/health"),
    ];
    for request in requests {
        let response = server.ask(&request);
        assert_eq!((response.status, &*response.text()), (200, "ok\n"), "{request}");
        assert_eq!(response.header("cache-control"), Some("no-store"));
    }
    let head = server.ask("HEAD /health HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((head.status, head.header("content-length")), (200, Some("3")));
    assert_eq!(server.get("/health/").status, 404, "only this path");
    server.signal(Signal::TERM);
    assert!(server.exit().success());
    let mut report = String::new();
    std::io::Read::read_to_string(&mut server.stderr(), &mut report).expect("the report");
    assert!(report.contains("\n  requests                   1  "), "{report}");
    assert!(!report.contains("\n    200"), "{report}");
    let lines = fs::read_to_string(&log).expect("the log");
    assert_eq!(lines.lines().count(), 1, "{lines}");
    assert!(lines.contains("GET /health/ "), "{lines}");
}

#[test]
fn health_does_not_count_the_bytes_of_pipelined_checks() {
    let site = Site::new();
    let start = || {
        let mut config = Rig::config(&site);
        (config.statistics, config.health) = (true, Some("/-/healthy".into()));
        Rig::new(config)
    };
    let (mut rig, mut other) = (start(), start());
    let mut peer = other.accepted();
    for _ in 0..2 {
        other.ask(&mut peer, get("/hello.txt"));
    }
    let mut peer = rig.accepted();
    let all = [get("/-/healthy"), get("/hello.txt"), get("/-/healthy"), get("/hello.txt"), get("/-/healthy")];
    std::io::Write::write_all(&mut peer, all.concat().as_bytes()).expect("send");
    let mut got = Vec::new();
    while String::from_utf8_lossy(&got).matches("ok\n").count() < 3 {
        rig.turn();
        got.extend(received(&mut peer));
    }
    assert_eq!(sent(&mut rig), sent(&mut other));
}

/// Returns what the report says about the bytes of responses.
fn sent(rig: &mut Rig) -> String {
    let report = rig.server.statistics().expect("statistics");
    let row = report.lines().find(|line| line.starts_with("  sent ")).expect("a row");
    assert!(!row.contains(" 0 B "), "{row}");
    row.to_owned()
}

#[test]
fn health_is_503_while_the_server_is_to_stop() {
    let site = Site::new();
    let server = Server::with(&site, &["--health=/ready", "--shutdown-delay", "1h"]);
    assert_eq!(server.get("/ready").status, 200);
    server.signal(Signal::TERM);
    let mut response = server.get("/ready");
    eventually("the server is to stop", || {
        response = server.get("/ready");
        response.status == 503
    });
    assert_eq!(response.text(), "stopping\n");
    assert!(response.closes());
    assert_eq!(server.get("/hello.txt").status, 200, "it takes requests all the same");
}

#[test]
fn health_path_is_a_path_of_a_url() {
    let site = Site::new();
    for path in ["/", "health", "//health", "/a b", "/health?x"] {
        let mut config = Rig::config(&site);
        config.health = Some(path.into());
        let error = oneloop::HttpServer::from_config(config).err().expect("an error");
        assert!(error.to_string().contains(path), "{error}");
    }
}
