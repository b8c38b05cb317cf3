//! `oneloop talk tcp` and `--tcp-echo`: bytes in both directions.

use std::{
    fs::File,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener},
    process::{Command, Output, Stdio},
    thread,
};

use crate::common::*;

/// Returns `oneloop talk ARGS...` with piped output and errors.
pub fn talk(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
    command.arg("talk").args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub fn output(command: &mut Command) -> Output {
    command.output().expect("run the client")
}

fn echo() -> (Server, String) {
    let site = Site::empty();
    let server = Server::with(&site, &["--tcp-echo", "127.0.0.1:0"]);
    let address = server.addr_of("tcp://").to_string();
    (server, address)
}

/// Returns bytes in which every position differs from its neighbours.
fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + i / 251) as u8).collect()
}

#[test]
fn client_sends_standard_input_and_prints_what_comes_back() {
    let (_server, address) = echo();
    let site = Site::empty();
    for len in [0, 1, 64 * 1024, 3 << 20] {
        site.write("input", bytes(len));
        let file = File::open(site.at("input")).expect("open");
        let Output { status, stdout, stderr } = output(talk(&["tcp", &address]).stdin(file));
        assert!(status.success() && stderr.is_empty(), "{}", String::from_utf8_lossy(&stderr));
        assert!(stdout == bytes(len), "{len} bytes");
    }
}

#[test]
fn client_without_standard_input_prints_what_the_server_says() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let address = listener.local_addr().expect("its address").to_string();
    let server = thread::spawn(move || {
        let (mut peer, _) = listener.accept().expect("accept");
        let mut got = Vec::new();
        peer.read_to_end(&mut got).expect("the client ends its output");
        peer.write_all(b"good bye").expect("send");
        got
    });
    // A shell can close standard input.
    let program = env!("CARGO_BIN_EXE_oneloop");
    let Output { status, stdout, .. } =
        output(Command::new("sh").args(["-c", "exec \"$0\" talk tcp \"$1\" <&-", program, &address]));
    assert!(status.success());
    assert_eq!(stdout, b"good bye");
    assert_eq!(server.join().expect("the server"), b"");
}

#[test]
fn client_tries_each_address_of_a_name() {
    let (_server, address) = echo();
    let port = address.rsplit(':').next().expect("a port");
    // On most machines localhost is ::1 first, where nothing listens.
    let Output { status, stderr, .. } = output(&mut talk(&["tcp", &format!("localhost:{port}")]));
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
}

#[test]
fn client_says_why_it_failed() {
    let free = |listener: TcpListener| listener.local_addr().expect("its address").to_string();
    let refused = free(TcpListener::bind("127.0.0.1:0").expect("listen"));
    let site = Site::empty();
    let socket = format!("unix:{}", site.at("none.sock").display());
    for (address, code, expected) in [
        (refused.as_str(), 1, format!("oneloop: cannot connect to {refused}: connection refused\n")),
        (&socket, 1, format!("oneloop: cannot connect to {socket}: no such file or directory\n")),
        (
            "9000",
            2,
            "oneloop: '9000' is not a valid address; use HOST:PORT, such as localhost:9000, or unix:PATH\n"
                .into(),
        ),
        (
            "host:",
            2,
            "oneloop: 'host:' is not a valid address; use HOST:PORT, such as localhost:9000, or unix:PATH\n"
                .into(),
        ),
        (
            "unix:",
            2,
            "oneloop: 'unix:' is not a valid address; use HOST:PORT, such as localhost:9000, or unix:PATH\n"
                .into(),
        ),
    ] {
        let Output { status, stdout, stderr } = output(&mut talk(&["tcp", address]));
        assert_eq!((status.code(), String::from_utf8_lossy(&stderr)), (Some(code), expected.into()));
        assert_eq!(stdout, b"");
    }
}

#[test]
fn host_without_an_address_is_not_a_mistake_in_the_arguments() {
    // No label is empty, so the resolver asks no server.
    for args in [&["talk", "tcp", "a..b:9000"][..], &[".", "--port=0", "--tcp-echo", "a..b:9000"]] {
        let Output { status, stderr, .. } = output(Command::new(env!("CARGO_BIN_EXE_oneloop")).args(args));
        let message = String::from_utf8_lossy(&stderr);
        assert!(message.starts_with("oneloop: cannot resolve 'a..b:9000': "), "{args:?}: {message}");
        assert_eq!(status.code(), Some(1));
    }
}

#[test]
fn client_reports_a_reset() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let address = listener.local_addr().expect("its address").to_string();
    let server = thread::spawn(move || {
        let (mut peer, _) = listener.accept().expect("accept");
        peer.read_exact(&mut [0]).expect("the connection is established");
        socket2::SockRef::from(&peer).set_linger(Some(std::time::Duration::ZERO)).expect("set linger");
    });
    let mut client = talk(&["tcp", &address]).stdin(Stdio::piped()).spawn().expect("start the client");
    let mut input = client.stdin.take().expect("piped");
    input.write_all(b"x").expect("send");
    server.join().expect("the server");
    let Output { status, stderr, .. } = client.wait_with_output().expect("wait");
    drop(input);
    assert_eq!(status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&stderr);
    assert_eq!(stderr, format!("oneloop: the connection to {address} was closed: reset\n"));
}

#[test]
fn client_ends_quietly_when_nobody_reads_its_output() {
    let (_server, address) = echo();
    let mut client = talk(&["tcp", &address]).stdin(Stdio::piped()).spawn().expect("start the client");
    drop(client.stdout.take());
    let mut input = client.stdin.take().expect("piped");
    // Another test that starts a program at this moment keeps the pipe open until the program runs.
    // So the first line may still find a reader.
    eventually("the client has ended", || {
        let _ = input.write_all(b"hello\n");
        client.try_wait().expect("wait").is_some()
    });
    let Output { status, stderr, .. } = client.wait_with_output().expect("wait");
    drop(input);
    assert_eq!((status.code(), stderr), (Some(0), Vec::new()));
}

#[test]
fn client_shows_its_steps() {
    let (_server, address) = echo();
    for args in [["--trace", "tcp", &address], ["tcp", &address, "--trace"]] {
        let Output { status, stderr, .. } = output(&mut talk(&args));
        let stderr = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "{stderr}");
        for expected in [
            format!("c1 connect -> EINPROGRESS {address} "),
            "c1 connect -> ok".into(),
            "stdin eof".into(),
            "c1 shutdown".into(),
            "c1 close reason=eof".into(),
        ] {
            assert!(stderr.contains(&expected), "{expected:?} in {stderr}");
        }
    }
}

#[test]
fn echo_returns_every_byte_with_backpressure() {
    let (server, address) = echo();
    let address: SocketAddr = address.parse().expect("an address");
    let (mut client, sent) = (Client::narrow(address), bytes(16 << 20));
    let mut writer = client.socket.try_clone().expect("a second handle");
    let expected = sent.clone();
    let thread = thread::spawn(move || {
        writer.write_all(&sent).expect("send");
        writer.shutdown(Shutdown::Write).expect("end the output");
    });
    // While this client reads nothing, the server must stop reading from it and serve others.
    let mut other = Client::connect(address);
    other.send("other");
    assert_eq!(other.take(5), b"other");
    assert_eq!(server.get("/missing").status, 404);
    assert!(!thread.is_finished(), "16 MiB do not fit into the buffers");
    let mut got = Vec::new();
    client.socket.read_to_end(&mut got).expect("read");
    assert!(got == expected);
    thread.join().expect("the writer");
}

/// Returns the address of a server that sends `len` bytes to one client and then closes.
fn sender(len: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let address = listener.local_addr().expect("its address").to_string();
    thread::spawn(move || {
        let (mut peer, _) = listener.accept().expect("accept");
        let _ = peer.write_all(&bytes(len)); // the client may have gone
    });
    address
}

#[test]
fn client_that_cannot_write_its_output_fails() {
    for client in ["tcp", "chat"] {
        let full = File::options().write(true).open("/dev/full").expect("open");
        let Output { status, stderr, .. } = output(talk(&[client, &sender(1000)]).stdout(full));
        let errors = String::from_utf8_lossy(&stderr);
        assert_eq!(status.code(), Some(1), "{errors}");
        assert!(errors.contains("cannot write to standard output"), "{errors}");
    }
}

#[test]
fn client_waits_for_an_output_in_non_blocking_mode() {
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    rustix::io::ioctl_fionbio(&writer, true).expect("set non-blocking");
    let mut client = talk(&["tcp", &sender(3 << 20)]);
    let mut child = client.stdout(writer).spawn().expect("start the client");
    drop(client);
    thread::sleep(std::time::Duration::from_millis(100)); // the pipe fills up
    let mut got = Vec::new();
    reader.read_to_end(&mut got).expect("read");
    assert!(got == bytes(3 << 20), "{} bytes", got.len());
    assert!(child.wait().expect("wait for the client").success());
}

#[test]
fn client_that_is_stepped_ends_at_a_signal() {
    let site = Site::empty();
    site.write("script", "continue\n");
    let script = site.at("script");
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let address = listener.local_addr().expect("its address").to_string();
    let mut client = talk(&["tcp", &address, "--step-script", script.to_str().expect("text")]);
    let mut child = client.stdin(Stdio::piped()).spawn().expect("start the client");
    let _peer = listener.accept().expect("accept");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("send a signal");
    let mut is_over = false;
    let end = std::time::Instant::now() + SOON;
    while !is_over && std::time::Instant::now() < end {
        is_over = child.try_wait().expect("ask for the client").is_some();
        thread::sleep(std::time::Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
    assert!(is_over, "the client ignores the signal");
}

#[test]
fn client_says_so_if_its_input_was_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let address = listener.local_addr().expect("its address").to_string();
    let server = thread::spawn(move || {
        let (peer, _) = listener.accept().expect("accept");
        peer.shutdown(Shutdown::Write).expect("end the output");
        // The client ends, and then this end of the connection is read to its end.
        let _ = std::io::copy(&mut &peer, &mut std::io::sink());
    });
    let site = Site::empty();
    site.write("input", bytes(64 << 20));
    let file = File::open(site.at("input")).expect("open");
    let Output { status, stderr, .. } = output(talk(&["tcp", &address]).stdin(file));
    let stderr = String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), Some(1), "{stderr}");
    let expected =
        format!("oneloop: {address} closed the connection before all of standard input was sent\n");
    assert_eq!(stderr, expected);
    server.join().expect("the server");
}

#[test]
fn client_gives_up_on_a_silent_server_after_its_own_output() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let address = listener.local_addr().expect("its address").to_string();
    let Output { status, stderr, .. } = output(&mut talk(&["tcp", &address, "--timeout", "100ms"]));
    assert_eq!(status.code(), Some(1));
    let expected = format!("oneloop: {address} stopped answering; use a longer --timeout\n");
    assert_eq!(String::from_utf8_lossy(&stderr), expected);
}
