//! Statistics as scripts see them: JSON below the path of the load target.

use std::io::Write;

use super::*;

/// Returns the statistics that the server sends.
pub fn stats(server: &Server) -> serde_json::Value {
    let response = server.get("/_/stats");
    assert_eq!((response.status, response.header("content-type")), (200, Some("application/json")));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    serde_json::from_slice(&response.body).expect("JSON")
}

/// Sends a request for the statistics with this method and these fields, and returns the status.
pub fn ask(server: &Server, method: &str, fields: &str) -> u16 {
    let host = server.addr();
    server.ask(format!("{method} /_/stats HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n")).status
}

#[test]
fn stats_do_not_count_the_requests_for_them() {
    let site = Site::new();
    let server = Server::with(&site, &["--target"]);
    let first = stats(&server);
    assert_eq!((&first["requests"], &first["bytes_sent"]), (&0.into(), &0.into()));
    let mut bytes = 0;
    for request in [get("/_/status/503"), get("/hello.txt"), get("/_/bytes/10")] {
        let mut client = server.connect();
        client.send(request.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
        bytes += client.rest().len();
    }
    server.get("/_/health");
    let counted = stats(&server);
    assert_eq!(counted["requests"], 3);
    assert_eq!(counted["responses"], serde_json::json!({"200": 2, "503": 1}));
    assert_eq!(counted["bytes_sent"], bytes);
    // The connections that ask are connections like others.
    assert_eq!(counted["connections"]["accepted"], 6);
    let times = &counted["service_time_us"];
    let [p50, p999, max] = ["p50", "p999", "max"].map(|key| times[key].as_f64().expect("a number"));
    assert!(0.0 < p50 && p50 <= p999 && p999 <= max, "{times}");
    assert!(
        counted["turns"]["wakes"].as_u64() >= Some(3) && counted["turns"]["longest_us"].as_f64() > Some(0.0)
    );
}

#[test]
fn stats_are_reset_by_post() {
    let site = Site::new();
    let server = Server::with(&site, &["--target"]);
    server.get("/hello.txt");
    assert_eq!(stats(&server)["requests"], 1);
    assert_eq!(ask(&server, "POST", "Content-Length: 0\r\n"), 204);
    let after = stats(&server);
    assert_eq!((&after["requests"], &after["responses"]), (&0.into(), &serde_json::json!({})));
    assert_eq!(after["connections"]["accepted"], 1, "the one that asks");
    assert_eq!(after["connections"]["closed"], serde_json::json!({"eof": 1}), "the one that has reset them");
    server.get("/hello.txt");
    assert_eq!(stats(&server)["requests"], 1);
}

#[test]
fn post_begins_what_the_target_draws_again() {
    let site = Site::new();
    let server = Server::with(&site, &["--target"]);
    let run = || (0..40).map(|_| server.get("/_/?status=503:50%").status).collect::<Vec<_>>();
    let first = run();
    assert_ne!(run(), first, "it goes on");
    assert_eq!(ask(&server, "POST", "Content-Length: 0\r\n"), 204);
    assert_eq!(run(), first);
}

#[test]
fn stats_are_not_reset_by_other_methods_or_pages() {
    let site = Site::new();
    let server = Server::with(&site, &["--target"]);
    server.get("/hello.txt");
    let table = [
        ("PUT", "", 405),
        ("DELETE", "", 405),
        ("OPTIONS", "", 204),
        ("HEAD", "", 200),
        ("POST", "Origin: http://a.example\r\n", 403),
        ("POST", "Origin: null\r\n", 403),
        ("POST", "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n", 403),
    ];
    for (method, fields, expected) in table {
        assert_eq!(ask(&server, method, fields), expected, "{method} {fields}");
    }
    assert_eq!(stats(&server)["responses"]["200"], 1, "none has reset them");
    assert_eq!(ask(&server, "POST", &format!("Origin: http://{}\r\n", server.addr())), 204);
    assert_eq!(stats(&server)["requests"], 0);
}

#[test]
fn stats_are_for_the_clients_of_the_target() {
    let site = Site::new();
    let server = Server::with(&site, &["--target", "--target-from", "192.0.2.1"]);
    assert_eq!((ask(&server, "GET", ""), ask(&server, "POST", "")), (404, 405));
    assert_eq!(server.get("/_/health").status, 404);
    let server = Server::with(&site, &["--stats"]);
    assert_eq!(ask(&server, "GET", ""), 404, "there is no target");
}

#[test]
fn stats_of_a_run_do_not_count_what_began_before_it() {
    let site = Site::new();
    site.sparse("large", 64 << 20);
    let mut config = Rig::config(&site);
    config.target = Some("/_".into());
    let mut rig = Rig::new(config);
    let (mut waiting, mut peer) = (rig.accepted(), rig.accepted());
    waiting.write_all(get("/large").as_bytes()).expect("send");
    turn_until(&mut rig, |rig| row(rig, "requests") == "requests 1 0/s, 1 in progress");
    peer.write_all(b"POST /_/stats HTTP/1.1\r\nHost: a\r\n\r\n").expect("send");
    turn_until(&mut rig, |rig| row(rig, "requests") == "requests 0 0/s");
    let mut got = 0;
    while got < 64 << 20 {
        rig.turn();
        got += received(&mut waiting).len();
    }
    assert_eq!(row(&mut rig, "requests"), "requests 0 0/s");
    assert_eq!(row(&mut rig, "sent"), "sent 0 B 0 B/s");
}
