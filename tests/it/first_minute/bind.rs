//! Addresses as other servers take them: `--host`, `--address`, and a port behind the host.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
};

use super::*;
use crate::configuration::{assert_usage_error, oneloop, run};

/// Starts `oneloop ARGS...`, and returns the hosts and ports in its first `count` URLs.
fn listening(args: &[&str], vars: &[(&str, &str)], count: usize) -> Vec<String> {
    let site = Site::new();
    let mut child = oneloop(site.path(), args, vars).spawn().expect("start oneloop");
    let stdout = BufReader::new(child.stdout.take().expect("piped"));
    let urls: Vec<String> = stdout.lines().take(count).map(|line| line.expect("a line")).collect();
    child.kill().and_then(|()| child.wait()).expect("kill it");
    urls.iter().map(|url| url.trim_start_matches("http://").trim_end_matches('/').to_owned()).collect()
}

/// Returns two loopback addresses that no other process uses.
fn own_addresses() -> [String; 2] {
    let id = std::process::id();
    [1, 2].map(|last| format!("127.{}.{}.{last}", id >> 8 & 0xff, id & 0xff))
}

#[test]
fn bind_value_may_have_a_port() {
    let [a, b] = own_addresses();
    let at = |host: &str, port: u16| format!("{host}:{port}");
    let [a3, a4, b3] = [at(&a, 3000), at(&a, 4000), at(&b, 3000)];
    type Variables<'a> = &'a [(&'a str, &'a str)];
    let rows: [(&[&str], Variables<'_>, &[&str]); 8] = [
        (&["-b", &a3], &[], &[&a3]),
        (&["--host", &a, "--port", "3000"], &[], &[&a3]),
        (&["--address", &a3, "--host", &b], &[], &[&a3, &b3]),
        (&["-b", &a, "-b", &b3], &[], &[&a3, &b3]),
        (&["-b", &a3, "-p", "3000"], &[], &[&a3]),
        (&[], &[("ONELOOP_BIND", &a3)], &[&a3]),
        (&["-p", "4000"], &[("ONELOOP_BIND", &a3)], &[&a4]),
        (&["-b", &a3], &[("ONELOOP_PORT", "4000")], &[&a3]),
    ];
    // One after the other, because they use the same addresses.
    for (args, vars, expected) in rows {
        assert_eq!(listening(args, vars, expected.len()), *expected, "{args:?} {vars:?}");
    }
    let conflict = [("ONELOOP_BIND", a3.as_str()), ("ONELOOP_PORT", "4000")];
    let site = Site::new();
    assert_usage_error(&run(site.path(), &["."], &conflict), &[&a3, "4000"]);
}

#[test]
fn bind_value_with_a_port_is_a_name_or_an_ipv6_address() {
    let local = listening(&["-b", "localhost:0"], &[], 1);
    assert!(local[0].starts_with("127.0.0.1:") && !local[0].ends_with(":8000"), "{local:?}");
    if TcpListener::bind("[::1]:0").is_err() {
        return skip("this machine has no IPv6 loopback address");
    }
    let six = listening(&["-b", "[::1]:0"], &[], 1);
    assert!(six[0].starts_with("[::1]:") && !six[0].ends_with(":8000"), "{six:?}");
}
