//! Unix sockets, for HTTP and for the other conversations.

use std::{
    fs,
    io::{Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::Path,
    process::{Command, Output, Stdio},
};

use rustix::process::Signal;

use crate::common::*;
use crate::configuration::run;

/// Starts a server on the Unix socket `a.sock` below the site, with `args`.
fn serve(site: &Site, args: &[&str]) -> Server {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
    command.current_dir(site.path()).arg(".").args(args).stderr(Stdio::piped());
    Server::spawn(command)
}

/// Sends `request` to the socket, and returns all that comes back.
fn ask(socket: &Path, request: &str) -> String {
    let mut stream = UnixStream::connect(socket).expect("connect");
    stream.write_all(request.as_bytes()).expect("send");
    stream.shutdown(std::net::Shutdown::Write).expect("end the request");
    let mut got = String::new();
    stream.read_to_string(&mut got).expect("read");
    got
}

const GET: &str = "GET / HTTP/1.1\r\nHost: any.example\r\n\r\n";

#[test]
fn http_over_a_unix_socket() {
    let site = Site::new();
    let mut server = serve(&site, &["--bind", "unix:a.sock,mode=640", "--access-log=log"]);
    assert_eq!(server.lines, ["unix:a.sock"]);
    let mode = fs::metadata(site.at("a.sock")).expect("the socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    // A proxy passes on the public host name, and no browser can reach the socket.
    let response = ask(&site.at("a.sock"), GET);
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    server.signal(Signal::TERM);
    let status = server.exit();
    assert!(status.success(), "{status}");
    assert!(!site.at("a.sock").exists(), "the file is removed at the end");
    let log = fs::read_to_string(site.at("log")).expect("the log");
    assert!(log.starts_with("unix: - - ["), "{log}");
}

#[test]
fn http_over_a_unix_socket_and_loopback() {
    let site = Site::new();
    let binds = ["--bind", "unix:a.sock", "--bind", "127.0.0.1", "--port", "0"];
    let mut server = serve(&site, &binds);
    server.read_line();
    let response = ask(&site.at("a.sock"), GET);
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    let mut client = Client::connect(server.addr());
    client.send(GET);
    assert_eq!(client.response().status, 421, "loopback checks the host as before");
}

#[test]
fn socket_file_of_a_killed_server_is_replaced() {
    let site = Site::new();
    let mut server = serve(&site, &["--bind", "unix:a.sock"]);
    server.signal(Signal::KILL);
    server.exit();
    assert!(site.at("a.sock").exists());
    let second = serve(&site, &["--bind", "unix:a.sock"]);
    assert!(ask(&site.at("a.sock"), GET).starts_with("HTTP/1.1 200 OK\r\n"));
    let Output { status, stderr, .. } = run(site.path(), &[".", "--bind", "unix:a.sock"], &[]);
    let message = String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), Some(1));
    assert_eq!(
        message,
        "oneloop: cannot listen on unix:a.sock: another process listens on it; choose another path\n"
    );
    drop(second);
}

#[test]
fn other_files_are_never_replaced() {
    let site = Site::new();
    site.write("text", "mine");
    for (flag, address, code, says) in [
        ("--bind", "unix:text", 1, "the file exists and is not a socket"),
        ("--tcp-echo", "unix:text", 1, "the file exists and is not a socket"),
        ("--bind", "unix:none/a.sock", 1, "its directory does not exist"),
        ("--bind", "unix:", 2, "use unix:PATH"),
        ("--bind", "unix:a.sock,mode=8", 2, "use octal digits"),
        ("--tcp-echo", "unix:,mode=600", 2, "use unix:PATH"),
        ("--tcp-echo", "unix:a.sock,mod=600", 2, "use unix:PATH,mode=660"),
    ] {
        let Output { status, stderr, .. } = run(site.path(), &[".", "--port", "0", flag, address], &[]);
        let message = String::from_utf8_lossy(&stderr);
        assert_eq!(status.code(), Some(code), "{flag} {address}: {message}");
        assert!(message.contains(says) && message.lines().count() == 1, "{flag} {address}: {message}");
    }
    assert_eq!(fs::read(site.at("text")).expect("read"), b"mine");
}

#[test]
fn echo_and_client_over_a_unix_socket() {
    let site = Site::new();
    let args = ["--port", "0", "--tcp-echo", "unix:echo.sock"];
    let server = serve(&site, &args);
    assert_eq!(server.lines[1], "tcp+unix:echo.sock");
    let mut client = Command::new(env!("CARGO_BIN_EXE_oneloop"))
        .current_dir(site.path())
        .args(["talk", "tcp", "unix:echo.sock"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start the client");
    client.stdin.take().expect("piped").write_all(b"hello\n").expect("send");
    let output = client.wait_with_output().expect("wait");
    assert!(output.status.success());
    assert_eq!(output.stdout, b"hello\n");
}
