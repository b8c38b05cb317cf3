//! The URLs at which programs ask how the server is doing.

use std::{
    fs,
    process::{Command, Stdio},
};

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

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN_METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Returns the value of the sample with this name and these labels.
fn sample(metrics: &str, name: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {metrics}"))
}

#[test]
fn metrics_count_all_requests_but_those_for_them() {
    let site = Site::new();
    let server = Server::with(&site, &["--metrics", "--health"]);
    let first = server.get("/metrics");
    assert_eq!((first.status, first.header("content-type")), (200, Some(OPEN_METRICS)));
    assert!(first.text().ends_with("\n# EOF\n"));
    assert_eq!(sample(&first.text(), "oneloop_http_requests_total"), 0.0);
    let mut client = server.connect();
    client.send(get("/hello.txt"));
    client.response();
    client.send(get("/missing"));
    client.response();
    server.get("/health");
    let metrics = server.get("/metrics").text();
    for (name, expected) in [
        ("oneloop_http_requests_total", 2.0),
        ("oneloop_http_responses_total{code=\"200\"}", 1.0),
        ("oneloop_http_responses_total{code=\"404\"}", 1.0),
        ("oneloop_http_service_seconds_count", 2.0),
        ("oneloop_http_service_seconds_bucket{le=\"+Inf\"}", 2.0),
        ("oneloop_connections_accepted_total", 4.0),
    ] {
        assert_eq!(sample(&metrics, name), expected, "{name}");
    }
    assert!(sample(&metrics, "oneloop_http_service_seconds_sum") > 0.0);
    assert!(sample(&metrics, "oneloop_loop_busy_seconds_total") > 0.0);
    assert!(sample(&metrics, "oneloop_http_sent_bytes_total") > 0.0);
    let ask = |line: &str| server.ask(format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_eq!(ask("POST /metrics").status, 405);
    assert_eq!(ask("HEAD /metrics").header("content-type"), Some(OPEN_METRICS));
    assert_eq!(ask("OPTIONS /metrics").status, 204);
}

#[test]
fn metrics_format_follows_accept() {
    let site = Site::new();
    let server = Server::with(&site, &["--metrics=/internal"]);
    let prometheus =
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let table = [
        ("*/*", OPEN_METRICS),
        (prometheus, OPEN_METRICS),
        ("text/plain", PLAIN_METRICS),
        (browser, PLAIN_METRICS),
    ];
    for (accept, expected) in table {
        let request = format!("GET /internal HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\n\r\n");
        let response = server.ask(request);
        assert_eq!(response.header("content-type"), Some(expected), "{accept}");
        assert_eq!(response.header("vary"), Some("Accept"));
        assert_eq!(response.text().contains("# EOF"), expected == OPEN_METRICS);
    }
    assert_eq!(server.get("/metrics").status, 404);
}

#[test]
fn metrics_are_refused_to_pages_of_other_sites() {
    let site = Site::new();
    let mut config = Rig::config(&site);
    (config.allow_hosts, config.metrics) = (Vec::new(), Some("/metrics".into()));
    let mut rig = Rig::new(config);
    let mut peer = rig.accepted();
    let mut ask = |fields: &str| rig.ask(&mut peer, format!("GET /metrics HTTP/1.1\r\n{fields}\r\n")).status;
    assert_eq!(ask("Host: localhost\r\n"), 200);
    assert_eq!(ask("Host: rebound.example\r\n"), 421);
    assert_eq!(ask("Host: localhost\r\nSec-Fetch-Site: cross-site\r\n"), 403);
}

/// Reads metrics from standard input, in the format that the argument names, as the library of
/// Prometheus does, and prints the names of all samples.
const PARSER: &str = "\
import sys
from prometheus_client import parser
from prometheus_client.openmetrics import parser as open_parser
which = open_parser if sys.argv[1] == 'open' else parser
for family in which.text_string_to_metric_families(sys.stdin.read()):
    assert family.documentation and family.type != 'unknown', family
    print(*[sample.name for sample in family.samples], sep='\\n')
";

#[test]
fn metrics_are_read_by_the_parser_of_prometheus() {
    // The package of the system, not one of another Python that comes first in the path.
    let python = |args: &[&str]| {
        let mut command = Command::new("/usr/bin/python3");
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    if !python(&["-c", "import prometheus_client"]).output().is_ok_and(|output| output.status.success()) {
        return skip("the package python3-prometheus-client is missing");
    }
    let site = Site::new();
    let server = Server::with(&site, &["--metrics"]);
    server.get("/hello.txt");
    for (format, accept) in [("open", "*/*"), ("text", "text/plain")] {
        let metrics =
            server.ask(format!("GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\n\r\n")).text();
        let mut child = python(&["-c", PARSER, format]).spawn().expect("start the parser");
        let mut stdin = child.stdin.take().expect("piped");
        std::io::Write::write_all(&mut stdin, metrics.as_bytes()).expect("send");
        drop(stdin);
        let output = child.wait_with_output().expect("its output");
        assert!(output.status.success(), "{metrics}{}", lossy(&output.stderr));
        let names = String::from_utf8(output.stdout).expect("names");
        let ours = metrics.lines().filter(|line| !line.starts_with('#'));
        let ours: Vec<&str> = ours.map(|line| line.split(['{', ' ']).next().unwrap_or_default()).collect();
        assert_eq!(names.lines().collect::<Vec<_>>(), ours, "{metrics}");
    }
}
