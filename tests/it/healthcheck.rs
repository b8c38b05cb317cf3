//! `oneloop healthcheck`: exit code 0 and one line if a server answers well, exit code 1 and one
//! sentence if not.

use std::{
    io::{Read, Write},
    net::TcpListener,
    process::{Command, Output, Stdio},
    thread,
};

use crate::common::*;

/// Runs `oneloop healthcheck` with `args`, and `variables` in its environment. Returns its exit
/// code, its output and its messages.
fn check(args: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
    command.arg("healthcheck").args(args).envs(variables.iter().copied()).stdin(Stdio::null());
    let Output { status, stdout, stderr } = command.output().expect("run the check");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn healthcheck_succeeds_if_the_server_answers() {
    let site = Site::new();
    std::fs::create_dir(site.at("dir")).expect("create");
    let server = Server::start(&site);
    let url = format!("http://{}/", server.addr());
    for path in ["hello.txt", "dir", ""] {
        let (code, stdout, stderr) = check(&[&format!("{url}{path}")], &[]);
        assert_eq!((code, &*stderr), (Some(0), ""), "{path}");
        let status = if path == "dir" { 301 } else { 200 };
        assert_eq!(stdout, format!("{url}{path} answers {status}\n"));
    }
}

#[test]
fn healthcheck_asks_the_port_of_the_variable_on_this_machine() {
    let site = Site::new();
    let server = Server::start(&site);
    let port = server.addr().port().to_string();
    // A server's other variables mean nothing here, not even a wrong one.
    let (code, stdout, stderr) = check(&[], &[("ONELOOP_PORT", &port), ("ONELOOP_MAX_CONNECTIONS", "?")]);
    assert_eq!((code, &*stderr), (Some(0), ""));
    assert_eq!(stdout, format!("http://localhost:{port}/ answers 200\n"));
    // A server with --health says there whether it takes requests.
    let variables = [("ONELOOP_PORT", &*port), ("ONELOOP_HEALTH", "/hello.txt")];
    assert_eq!(check(&[], &variables).1, format!("http://localhost:{port}/hello.txt answers 200\n"));
    let (code, _, stderr) = check(&[], &[("ONELOOP_PORT", &port), ("ONELOOP_HEALTH", "true")]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("/health answers 404"), "{stderr}");
    // In a pod beside a Service of this name, Kubernetes sets a variable that is not a port.
    let (code, _, stderr) = check(&[], &[("ONELOOP_PORT", "tcp://127.0.0.1:1")]);
    assert!(code == Some(0) || stderr.contains(":8000"), "{stderr}");
}

#[test]
fn healthcheck_reaches_a_unix_socket() {
    let (site, dir) = (Site::new(), tempfile::tempdir().expect("a directory"));
    let bind = format!("unix:{}", dir.path().join("a.sock").display());
    let mut command = Server::command(site.path(), &[]);
    command.args(["--bind", &bind]);
    let _server = Server::spawn(command);
    assert_eq!(check(&[&bind], &[]), (Some(0), format!("{bind} answers 200\n"), String::new()));
}

#[test]
fn healthcheck_fails_with_one_sentence() {
    let site = Site::new();
    let server = Server::start(&site);
    let missing = format!("http://{}/missing", server.addr());
    let free = TcpListener::bind("127.0.0.1:0").expect("bind").local_addr().expect("its address");
    let free = format!("http://{free}/");
    let table = [
        (&*missing, 1, "answers 404, which is not healthy"),
        (&free, 1, "cannot connect to 127.0.0.1:"),
        ("unix:/nonexistent/socket", 1, "cannot connect to unix:/nonexistent/socket"),
        ("https://localhost/", 2, "needs TLS"),
        ("localhost", 2, "is not a valid URL"),
    ];
    for (url, expected, sentence) in table {
        let (code, stdout, stderr) = check(&[url], &[]);
        assert_eq!((code, &*stdout), (Some(expected), ""), "{url}: {stderr}");
        assert!(stderr.starts_with("oneloop: ") && stderr.contains(sentence), "{url}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

#[test]
fn healthcheck_does_not_wait_for_a_server_that_is_silent_or_speaks_something_else() {
    for (answer, sentence) in [("", "the server"), ("SSH-2.0-x\r\n", "the response head is malformed")] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let url = format!("http://{}/", listener.local_addr().expect("its address"));
        let server = thread::spawn(move || {
            let (mut peer, _) = listener.accept().expect("accept");
            peer.write_all(answer.as_bytes()).expect("send");
            let _ = peer.read_to_end(&mut Vec::new());
        });
        let (code, _, stderr) = check(&["--timeout", "100ms", &url], &[]);
        assert_eq!((code, stderr.lines().count()), (Some(1), 1), "{stderr}");
        assert!(stderr.contains(sentence), "{stderr}");
        server.join().expect("the server");
    }
}
