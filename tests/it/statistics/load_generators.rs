//! The server and the load generators ab and wrk count the same.

use std::process::Command;

use super::resource::{ask, stats};
use crate::common::*;

/// Runs a load generator against `path`, and returns what it prints. Reports a skipped test if the
/// program is missing.
fn run(program: &str, args: &[&str], server: &Server, path: &str) -> Option<String> {
    let url = format!("http://{}{path}", server.addr());
    let Ok(output) = Command::new(program).args(args).arg(url).output() else {
        skip(&format!("{program} is missing"));
        return None;
    };
    let printed = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{printed}{}", lossy(&output.stderr));
    Some(printed)
}

/// Returns the number that follows `name`.
fn number(printed: &str, name: &str) -> u64 {
    let rest = printed.split_once(name).unwrap_or_else(|| panic!("no {name} in {printed}")).1;
    let digits = rest.trim_start().split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().unwrap_or_else(|_| panic!("no number after {name} in {printed}"))
}

/// Begins a new run of the statistics.
fn reset(server: &Server) {
    assert_eq!(ask(server, "POST", ""), 204);
}

#[test]
fn statistics_agree_with_ab() {
    let site = Site::new();
    site.write("page", "x".repeat(20_000));
    let server = Server::with(&site, &["--target"]);
    for args in [&["-k"][..], &[]] {
        // ab counts another length as a failure, and the load target has none.
        for path in ["/page", "/_/?status=503:10%&bytes=100"] {
            reset(&server);
            let args = [&["-q", "-n", "2000", "-c", "10"], args].concat();
            let Some(printed) = run("ab", &args, &server, path) else { return };
            let counted = stats(&server);
            assert_eq!(number(&printed, "Failed requests:"), 0, "{printed}");
            assert_eq!(number(&printed, "Complete requests:"), counted["requests"], "{printed}{counted}");
            assert_eq!(number(&printed, "Total transferred:"), counted["bytes_sent"], "{printed}{counted}");
            let [ok, failed] = ["200", "503"].map(|code| counted["responses"][code].as_u64().unwrap_or(0));
            assert_eq!((ok + failed, &counted["aborted"]), (2000, &0.into()), "{counted}");
            assert_eq!(failed > 0, path != "/page", "{counted}");
            if failed > 0 {
                assert_eq!(number(&printed, "Non-2xx responses:"), failed, "{printed}{counted}");
            }
        }
    }
}

#[test]
fn statistics_agree_with_wrk() {
    let site = Site::new();
    let server = Server::with(&site, &["--target"]);
    reset(&server);
    let args = ["-t1", "-c10", "-d1s", "--latency"];
    let Some(printed) = run("wrk", &args, &server, "/hello.txt") else { return };
    let counted = stats(&server);
    // wrk ends with a request on each of its connections.
    let complete = requests_of_wrk(&printed);
    let ours = counted["requests"].as_u64().expect("a number");
    assert!((complete..=complete + 10).contains(&ours), "{printed}{counted}");
    assert!(counted["aborted"].as_u64() <= Some(10), "{counted}");
    assert_eq!(counted["responses"].as_object().map(serde_json::Map::len), Some(1), "{counted}");
    // wrk's times include ours.
    let p50 = counted["service_time_us"]["p50"].as_f64().expect("a number");
    assert!(p50 > 0.0 && p50 <= half_of_wrk(&printed), "{printed}{counted}");
    assert!(!printed.contains("Socket errors"), "{printed}");
    let [connect, read] = ["connect", "read"].map(|word| counted["wrk_errors"][word].clone());
    assert_eq!((connect, read), (0.into(), 0.into()), "{counted}");
}

/// Returns the number of requests that wrk has completed.
fn requests_of_wrk(printed: &str) -> u64 {
    let line = printed.lines().find(|line| line.contains(" requests in ")).expect(printed);
    number(line, "")
}

/// Returns the time in microseconds within which wrk got half of its responses.
fn half_of_wrk(printed: &str) -> f64 {
    let line = printed.lines().find_map(|line| line.trim().strip_prefix("50%")).expect(printed).trim();
    let (value, unit) = line.split_at(line.find(|c: char| c.is_ascii_alphabetic()).expect("a unit"));
    let value: f64 = value.parse().expect("a number");
    value * [("us", 1.0), ("ms", 1e3), ("s", 1e6)].iter().find(|(name, _)| *name == unit).expect("a unit").1
}

#[test]
fn close_reasons_agree_with_the_socket_errors_of_wrk() {
    let site = Site::new();
    let server = Server::with(&site, &["--target", "--max-per-address", "3"]);
    // This connection stays open, so wrk never takes its place.
    let mut client = server.connect();
    client.send(get("/hello.txt"));
    client.response();
    let Some(printed) = run("wrk", &["-t1", "-c4", "-d1s"], &server, "/hello.txt") else { return };
    let mut counted = serde_json::Value::Null;
    eventually("the connections of wrk are closed", || {
        client.send(get("/_/stats"));
        counted = serde_json::from_slice(&client.response().body).expect("JSON");
        counted["connections"]["open"] == 1
    });
    let (ours, theirs) =
        (counted["wrk_errors"]["read"].as_u64().expect("a number"), number(&printed, ", read "));
    assert!(theirs > 0 && ours.abs_diff(theirs) <= 5, "{printed}{counted}");
    assert_eq!(counted["connections"]["closed"]["address-limit"], ours);
    assert_eq!((number(&printed, ": connect "), number(&printed, ", write ")), (0, 0), "{printed}");
}
