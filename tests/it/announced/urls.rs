//! The URLs of a server that listens on all addresses.

use std::process::Command;

use crate::{common::*, discovery::network_namespace};

/// Starts a server on all addresses of a machine that has an interface with two IPv6 addresses, and
/// another one that is down. Prints its URLs.
const ON_A_NETWORK: &str = r#"
    ip link set lo up && ip link add v0 type veth peer name v1 || exit 77
    ip addr add 10.9.0.1/24 brd + dev v0 && ip link set v0 up && ip link set v1 up || exit 77
    ip addr add fd00:9::1/64 dev v0 nodad && ip addr add fd00:9::2/64 dev v0 nodad || exit 77
    ip link add v2 type veth peer name v3 && ip addr add 10.8.0.1/24 dev v2 || exit 77
    ip route add default via 10.9.0.254 || exit 77
    "$ONELOOP" -b 0.0.0.0 -b :: --port 8000 --base-path /app -q --qr . >urls 2>code & server=$!
    trap 'kill $server' EXIT
    until grep -q . code; do sleep 0.02; done
    cat urls
"#;

#[test]
fn wide_server_prints_the_urls_that_others_can_type() {
    let Some(way) = network_namespace() else {
        return skip("it needs iproute2 and the permission to create a network namespace");
    };
    let site = Site::new();
    let mut command = Command::new(way[0]);
    let variable = format!("ONELOOP={}", env!("CARGO_BIN_EXE_oneloop"));
    command.args(&way[1..]).args(["env", &variable, "sh", "-c", ON_A_NETWORK]).current_dir(site.path());
    let output = command.output().expect("run a shell");
    if output.status.code() == Some(77) {
        return skip(&format!("a network namespace cannot have a network: {}", lossy(&output.stderr)));
    }
    assert!(output.status.success(), "{}", lossy(&output.stderr));
    let expected = "http://127.0.0.1:8000/app/\nhttp://10.9.0.1:8000/app/\nhttp://[fd00:9::1]:8000/app/\n";
    // The kernel lists the newest IPv6 address first.
    assert_eq!(lossy(&output.stdout).replace("fd00:9::2", "fd00:9::1"), expected);
}

#[test]
fn wide_server_prints_urls_that_work() {
    let site = Site::new();
    let mut server = Server::with(&site, &["--bind", "0.0.0.0", "--tcp-echo", "127.0.0.1:0"]);
    let (echo, urls) = server.lines.split_last().expect("lines");
    assert!(echo.starts_with("tcp://127.0.0.1:"), "{echo}");
    assert!(urls[0].starts_with("http://127.0.0.1:"), "the first URL is for this machine: {urls:?}");
    for url in urls {
        let address = url.strip_prefix("http://").and_then(|url| url.strip_suffix('/')).expect("a URL");
        let mut client = Client::connect(address.parse().expect("an address"));
        client.send(get("/hello.txt"));
        assert_eq!(client.response().text(), "hello\n", "{url}");
    }
    assert!(server.is_running());
}

#[test]
fn server_for_one_address_prints_that_address() {
    let site = Site::new();
    let server = Server::with_lines(&site, &["--bind", "127.0.0.2", "--bind", "127.0.0.1"], 2);
    let hosts: Vec<&str> = server.lines.iter().map(|line| line.rsplit_once(':').expect("a port").0).collect();
    assert_eq!(hosts, ["http://127.0.0.2", "http://127.0.0.1"]);
}
