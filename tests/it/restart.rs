//! Sockets that a service manager keeps open (`LISTEN_FDS`), so that a restart loses no request.

use std::{
    fs::File,
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::{
        fd::OwnedFd,
        unix::net::{UnixListener, UnixStream},
    },
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::common::*;

/// Makes standard input descriptor 3, as a service manager passes it.
const ONE_SOCKET: &str = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\"";
/// Makes standard input and standard error descriptors 3 and 4.
const TWO_SOCKETS: &str =
    "exec 3<&0 4<&2 </dev/null 2>/dev/null; LISTEN_PID=$$ LISTEN_FDS=2 exec \"$0\" \"$@\"";

/// Returns the command `oneloop ARGS... SITE`, which a shell runs after `script`.
fn command(script: &str, site: &Site, args: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_oneloop")]).args(args).arg(site.path());
    command
}

/// Starts a server that inherits `socket`.
fn inheriting(socket: impl Into<OwnedFd>, site: &Site, args: &[&str]) -> Server {
    let mut command = command(ONE_SOCKET, site, args);
    command.stderr(Stdio::piped());
    Server::spawn_with(command, socket.into().into())
}

/// Runs a server that does not start, and returns its exit code and its message.
fn refused(mut command: Command, stdin: impl Into<Stdio>) -> (Option<i32>, String) {
    let output = command.stdin(stdin).stdout(Stdio::null()).output().expect("run oneloop");
    (output.status.code(), lossy(&output.stderr))
}

/// Sends one request to `address`, and returns the response.
fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(SOON))?;
    stream.write_all(b"GET /hello.txt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    Ok(response)
}

fn listen() -> (TcpListener, SocketAddr) {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listen");
    let address = socket.local_addr().expect("its address");
    (socket, address)
}

#[test]
fn inherited_socket_takes_the_place_of_the_default_address() {
    let site = Site::new();
    let (socket, address) = listen();
    let server = inheriting(socket, &site, &[]);
    assert_eq!(server.lines, [format!("http://{address}/")]);
    assert_eq!(server.get("/hello.txt").text(), "hello\n");
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: rebound.example\r\n\r\n");
    assert_eq!(client.response().status, 421, "a loopback address checks the host as before");
}

#[test]
fn inherited_sockets_are_all_served_and_their_files_stay() {
    let site = Site::new();
    let (tcp, address) = listen();
    let path = site.at("a.sock");
    let unix = UnixListener::bind(&path).expect("listen");
    let mut command = command(TWO_SOCKETS, &site, &[]);
    command.stderr(OwnedFd::from(unix));
    let mut server = Server::spawn_with(command, OwnedFd::from(tcp).into());
    server.read_line();
    assert_eq!(server.lines, [format!("http://{address}/"), format!("unix:{}", path.display())]);
    assert!(ask(address).expect("a response").ends_with("hello\n"));
    let mut stream = UnixStream::connect(&path).expect("connect");
    stream.write_all(get("/hello.txt").as_bytes()).expect("send");
    stream.shutdown(Shutdown::Write).expect("end the request");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("a response");
    assert!(response.ends_with("hello\n"), "{response}");
    server.signal(Signal::TERM);
    assert!(server.exit().success());
    assert!(path.exists(), "the file belongs to the service manager");
}

#[test]
fn descriptor_of_another_kind_is_a_usage_error() {
    let site = Site::new();
    let (listener, address) = listen();
    let connected = TcpStream::connect(address).expect("connect");
    let (pair, _other) = UnixStream::pair().expect("a pair of sockets");
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let kinds: [(&str, Stdio); 4] = [
        ("a connection", OwnedFd::from(connected).into()),
        ("a pair", OwnedFd::from(pair).into()),
        ("UDP", OwnedFd::from(udp).into()),
        ("a file", File::open(site.at("hello.txt")).expect("open").into()),
    ];
    for (kind, stdin) in kinds {
        let (code, message) = refused(command(ONE_SOCKET, &site, &[]), stdin);
        assert_eq!(code, Some(2), "{kind}: {message}");
        let expected = "oneloop: descriptor 3 (LISTEN_FDS) is not a listening TCP or Unix socket; use \
                        ListenStream= and Accept=no in the socket unit\n";
        assert_eq!(message, expected, "{kind}");
    }
    for count in ["many", "-1", "4000000000"] {
        let script = ONE_SOCKET.replace("LISTEN_FDS=1", &format!("LISTEN_FDS={count}"));
        let (code, message) = refused(command(&script, &site, &[]), Stdio::null());
        assert_eq!(code, Some(2), "{message}");
        assert_eq!(message, format!("oneloop: '{count}' is not a number of sockets; unset LISTEN_FDS\n"));
    }
    let one_of_two = ONE_SOCKET.replace("LISTEN_FDS=1", "LISTEN_FDS=2");
    let (code, message) = refused(command(&one_of_two, &site, &[]), OwnedFd::from(listener));
    assert!(code == Some(2) && message.contains("descriptor 4"), "{message}");
}

#[test]
fn option_that_says_where_to_listen_conflicts_with_an_inherited_socket() {
    let site = Site::new();
    let bind = ONE_SOCKET.replace("LISTEN_FDS=1", "LISTEN_FDS=1 ONELOOP_BIND=::1");
    let table: [(&str, &[&str], &str); 5] = [
        (ONE_SOCKET, &["--port", "8000"], "--port"),
        (ONE_SOCKET, &["-b", "127.0.0.1"], "--bind"),
        (ONE_SOCKET, &["--reuse-port"], "--reuse-port"),
        (ONE_SOCKET, &["--defer-accept=auto"], "--defer-accept"),
        (&bind, &[], "ONELOOP_BIND"),
    ];
    for (script, args, named) in table {
        let (code, message) = refused(command(script, &site, args), OwnedFd::from(listen().0));
        assert_eq!(code, Some(2), "{message}");
        assert!(message.starts_with(&format!("oneloop: {named} has no effect")), "{message}");
        assert!(message.lines().count() == 1 && message.contains("leave it out"), "{message}");
    }
}

#[test]
fn sockets_for_another_process_are_left_alone() {
    let site = Site::new();
    let (socket, address) = listen();
    let script = ONE_SOCKET.replace("LISTEN_PID=$$", "LISTEN_PID=1");
    let server = Server::spawn_with(command(&script, &site, &["-p", "0"]), OwnedFd::from(socket).into());
    assert_ne!(server.addr(), address);
    assert_eq!(server.get("/hello.txt").text(), "hello\n");
}

/// Sends requests until `stop` is set, each on a new connection. Returns the number of responses.
fn keep_asking(address: SocketAddr, stop: &AtomicBool) -> usize {
    let mut responses = 0;
    while !stop.load(Ordering::Relaxed) {
        let response = ask(address).unwrap_or_else(|e| panic!("request {responses} has failed: {e}"));
        assert!(response.starts_with("HTTP/1.1 200 ") && response.ends_with("hello\n"), "{response:?}");
        responses += 1;
    }
    responses
}

#[test]
fn no_request_is_lost_in_ten_restarts() {
    let site = Site::new();
    site.write("big", pattern(8 << 20));
    let (socket, address) = listen();
    let inherit = || inheriting(socket.try_clone().expect("duplicate it"), &site, &["--drain-timeout", "1m"]);
    let mut server = inherit();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..8).map(|_| scope.spawn(|| keep_asking(address, &stop))).collect();
        for restart in 0..10 {
            // Odd restarts have a gap in which only the kernel accepts connections.
            let overlaps = restart % 2 == 0;
            let mut download = server.connect();
            download.send(get("/big"));
            download.wait_for_bytes();
            let next = overlaps.then(inherit);
            server.signal(Signal::TERM);
            assert_eq!(download.response().body.len(), 8 << 20, "the old server finishes the download");
            let status = server.exit();
            assert!(status.success(), "{status}");
            let end = Instant::now() + Duration::from_millis(20);
            server = next.unwrap_or_else(inherit);
            while Instant::now() < end {
                ask(address).expect("the new server responds");
            }
        }
        stop.store(true, Ordering::Relaxed);
        let responses = clients.into_iter().map(|client| client.join().expect("no request has failed"));
        assert!(responses.sum::<usize>() >= 10);
    });
}
