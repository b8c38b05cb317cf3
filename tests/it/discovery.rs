//! `--beacon` and `oneloop talk discover`: servers that are found by a broadcast.

use std::{
    io::Read,
    net::{SocketAddr, UdpSocket},
    process::{Command, Output},
    time::Duration,
};

use rustix::process::Signal;

use crate::{
    common::*,
    talk_tcp::{output, talk},
};

const QUESTION: &[u8] = b"oneloop/1 discover\n";

/// Starts a server with a beacon on a free port.
fn beacon(args: &[&str]) -> (Server, SocketAddr) {
    let site = Site::empty();
    let server = Server::with(&site, &[&["--beacon", "127.0.0.1:0"], args].concat());
    let address = server.addr_of("beacon://");
    (server, address)
}

fn client_of(address: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
    socket.connect(address).expect("connect");
    socket.set_read_timeout(Some(SOON)).expect("set a timeout");
    socket
}

/// Returns the next answer.
fn answer(socket: &UdpSocket) -> String {
    let mut buffer = [0; 2000];
    let len = uninterrupted(|| socket.recv(&mut buffer)).expect("an answer");
    String::from_utf8(buffer[..len].to_vec()).expect("UTF-8")
}

/// Runs `oneloop talk discover ARGS...`. Returns its exit code, its output and its errors.
fn discover(args: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = output(&mut talk(&[&["discover"], args].concat()));
    (status.code(), String::from_utf8_lossy(&stdout).into(), String::from_utf8_lossy(&stderr).into())
}

#[test]
fn beacon_answers_questions_ignores_junk_and_does_not_amplify() {
    let (server, address) = beacon(&["--base-path", "/app"]);
    let socket = client_of(address);
    for junk in [&b""[..], b"hello", b"oneloop/2 discover\n", b"oneloop/1 here\n", &[0; 65_507]] {
        socket.send(junk).expect("send");
    }
    for padding in [0, 10, 100, 1000] {
        let question = [QUESTION, &vec![b' '; padding]].concat();
        socket.send(&question).expect("send");
        // An answer to junk would arrive before this one.
        let answer = answer(&socket);
        assert!(answer.starts_with("oneloop/1 here\n"), "{answer}");
        assert!(answer.len() <= 3 * question.len(), "{} bytes for {}", answer.len(), question.len());
        assert!(answer.contains(&format!("url: http://{}/app/\n", server.addr())), "{answer}");
        assert!(padding < 1000 || answer.contains("\nid: "), "{answer}");
    }
    assert_idle(&server, Duration::from_millis(200));
}

#[test]
fn discover_lists_each_server_once() {
    let (server, address) = beacon(&[]);
    let port = address.port().to_string();
    let (code, stdout, stderr) = discover(&["--port", &port, "--wait", "300ms"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let lines: Vec<&str> = stdout.lines().collect();
    let [name, url] = lines[..] else { panic!("{stdout}") };
    assert!(!name.is_empty() && !name.starts_with(' '), "{stdout}");
    assert_eq!(url, format!("  http://{}/", server.addr()));
}

#[test]
fn discover_without_a_server_fails_with_advice() {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let port = socket.local_addr().expect("its address").port().to_string();
    let (code, stdout, stderr) = discover(&["--port", &port, "--wait", "20ms"]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    let advice = format!("start one with --beacon 0.0.0.0:{port}");
    assert_eq!(stderr, format!("oneloop: no server answered on UDP port {port}; {advice}\n"));
    for args in [["--port", "0"], ["--address", "::1"], ["--wait", "1"]] {
        assert_eq!(discover(&args).0, Some(2), "{args:?}");
    }
}

#[test]
fn beacons_share_a_port() {
    let (server, address) = beacon(&[]);
    let site = Site::empty();
    let other = Server::with(&site, &["--beacon", &address.to_string()]);
    assert_eq!(server.addr_of("beacon://"), other.addr_of("beacon://"));
}

/// Moves one end of a virtual cable to another network namespace, which stands for another machine,
/// and starts a server on each side. Prints what a discovery finds.
const TWO_MACHINES: &str = r#"
    ip link set lo up && ip link add v0 type veth peer name v1 || exit 77
    ip addr add 10.9.0.1/24 brd + dev v0 && ip link set v0 up || exit 77
    serve() { exec "$ONELOOP" --bind 0.0.0.0 --port 8000 --beacon 0.0.0.0:8880 --quiet . >"$1"; }
    serve here & here=$!
    mkfifo ready go
    unshare -n sh -c '
        echo >ready; read _ <go
        ip link set lo up && ip addr add 10.9.0.2/24 brd + dev v1 && ip link set v1 up
        exec "$ONELOOP" --bind 0.0.0.0 --port 8000 --beacon 0.0.0.0:8880 --quiet . >there' & there=$!
    trap 'kill $here $there' EXIT
    read _ <ready
    ip link set v1 netns $there && echo >go
    until grep -q beacon here && grep -q beacon there; do sleep 0.05; done
    "$ONELOOP" talk discover --address 10.9.0.255
"#;

/// Returns the beginning of a command that runs a program in a new network namespace, with the
/// right to change it.
pub fn network_namespace() -> Option<&'static [&'static str]> {
    let ways: [&[&str]; 2] = [&["unshare", "-rn"], &["sudo", "-n", "unshare", "-n"]];
    ways.into_iter().find(|way| {
        let program = Command::new(way[0]).args(&way[1..]).args(["ip", "link", "set", "lo", "up"]).output();
        program.is_ok_and(|output| output.status.success())
    })
}

#[test]
fn discover_finds_servers_on_two_machines_by_broadcast() {
    let Some(way) = network_namespace() else {
        return skip("it needs iproute2 and the permission to create a network namespace");
    };
    let site = Site::empty();
    let mut command = Command::new(way[0]);
    let variable = format!("ONELOOP={}", env!("CARGO_BIN_EXE_oneloop"));
    command.args(&way[1..]).args(["env", &variable, "sh", "-c", TWO_MACHINES]).current_dir(site.path());
    let Output { status, stdout, stderr } = output(&mut command);
    if status.code() == Some(77) {
        return skip(&format!("a network namespace cannot have a virtual cable: {}", lossy(&stderr)));
    }
    let stdout = String::from_utf8_lossy(&stdout);
    assert!(status.success(), "{stdout}{}", lossy(&stderr));
    let urls: Vec<&str> = stdout.lines().filter(|line| line.starts_with("  ")).collect();
    let mut sorted = urls.clone();
    sorted.sort_unstable();
    let expected = ["  http://10.9.0.1:8000/", "  http://10.9.0.2:8000/", "  http://127.0.0.1:8000/"];
    assert_eq!(sorted, expected, "{stdout}");
    assert_eq!(stdout.lines().count() - urls.len(), 2, "each server has one entry: {stdout}");
}

#[test]
fn beacon_for_other_machines_warns_if_it_has_no_url_for_them() {
    let site = Site::empty();
    let log = |args: &[&str]| {
        let args = [&["--beacon", "0.0.0.0:0"], args].concat();
        let mut server = Server::spawn(Server::command(site.path(), &args));
        let mut stderr = server.stderr();
        server.signal(Signal::TERM);
        let mut text = String::new();
        stderr.read_to_string(&mut text).expect("read its log");
        text
    };
    let warning = log(&[]);
    assert!(warning.contains("announces no URL to other machines; add --bind 0.0.0.0"), "{warning}");
    assert_eq!(log(&["--bind", "0.0.0.0"]), "");
}
