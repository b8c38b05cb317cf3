//! The process from the operator's point of view: one thread, no CPU while idle, a line for each
//! socket, and a one-sentence error with an exit code if it cannot start.
use std::{
    io::{BufRead, BufReader, Read},
    net::{Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::common::*;
use rustix::process::Signal;

/// Returns a command for the program with `args` in `dir`, with captured output.
fn oneloop(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
    command.current_dir(dir).args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A process that a test started directly; killed when the test ends.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs the program until it exits by itself.
fn run(dir: &Path, args: &[&str]) -> Output {
    let mut child = oneloop(dir, args).spawn().expect("start oneloop");
    let end = Instant::now() + SOON;
    while child.try_wait().expect("poll the process").is_none() {
        if Instant::now() > end {
            drop(Killed(child));
            panic!("oneloop {args:?} started, or hangs, instead of refusing");
        }
        thread::sleep(Duration::from_millis(2));
    }
    child.wait_with_output().expect("read its output")
}

/// Asserts that `output` is a refusal to start: exit code `code`, nothing on stdout, and on stderr
/// one sentence or clap's usage message that contains each of `named`.
fn assert_refusal(output: &Output, code: i32, named: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert_eq!(lossy(&output.stdout), "", "on stdout");
    let is_of_clap = stderr.starts_with("error: ") && stderr.contains("--help");
    assert!(is_of_clap || stderr.trim_end().lines().count() == 1, "not exactly one sentence: {stderr:?}");
    for word in named {
        assert!(stderr.contains(word), "{stderr:?} does not contain {word:?}");
    }
    for trace in ["Os {", "Custom {", "Error {", "Err(", "Some(", "panicked", "RUST_BACKTRACE"] {
        assert!(!stderr.contains(trace), "debug output in {stderr:?}");
    }
}

#[test]
fn process_has_one_thread_under_load() {
    let site = Site::new();
    site.sparse("endless", 1 << 40);
    let server = Server::with(&site, &["--udp-echo", "127.0.0.1:0"]);
    assert_eq!(server.threads(), 1, "at the start");
    let mut downloads: Vec<Client> = (0..8).map(|_| server.connect()).collect();
    for client in &mut downloads {
        client.send(get("/endless"));
    }
    for _ in 0..50 {
        for client in &mut downloads {
            client.take(10_000);
        }
        assert_eq!(server.get("/hello.txt").text(), "hello\n");
        assert_eq!(server.threads(), 1, "under load");
    }
}

#[test]
fn process_has_one_thread_whatever_it_does() {
    let site = Site::new();
    site.crowd("crowd", (0..2000).map(|i| i.to_string()));
    let log = site.at("access.log");
    let log = format!("--access-log={}", log.display());
    let recording = site.at("trace.json");
    let recording = format!("--trace-file={}", recording.display());
    let rows: [&[&str]; 5] = [
        &["-v"],
        &["-vvv", &log],
        &["--trace=bytes"],
        &["--no-watch", &recording],
        &["--listing", "--udp-echo", "127.0.0.1:0"],
    ];
    each(rows, |args| {
        let mut server = Server::with(&site, args);
        assert_eq!(server.threads(), 1, "at the start");
        let mut client = server.connect();
        client.send(get("/crowd/") + &get("/hello.txt") + &get("/missing"));
        client.head();
        assert_eq!(server.threads(), 1, "with requests under way");
        server.signal(Signal::USR1); // attaches or detaches the tracer
        for _ in 0..20 {
            assert_eq!(server.get("/hello.txt").text(), "hello\n");
            assert_eq!(server.threads(), 1, "while it serves");
        }
        drop(client);
        server.signal(Signal::TERM);
        assert!(server.exit().success());
    });
}

#[test]
fn process_is_idle_with_idle_connections() {
    let site = Site::new();
    let server = Server::with(&site, &["--udp-echo", "127.0.0.1:0"]);
    let mut idle: Vec<Client> = (0..100).map(|_| server.connect()).collect();
    for client in idle.iter_mut().take(50) {
        client.send(get("/hello.txt"));
        assert_eq!(client.response().text(), "hello\n");
    }
    assert_eq!(server.get("/hello.txt").text(), "hello\n"); // by now all are accepted
    assert_idle(&server, Duration::from_millis(500));
}

#[test]
fn process_announces_each_listening_socket() {
    let site = Site::new();
    let starts: [(&[&str], &[&str]); 5] = [
        (&[], &["http://127.0.0.1:"]),
        (&["--bind", "::1"], &["http://[::1]:"]),
        (
            &["--bind", "127.0.0.1", "-b", "::1", "-b", "127.0.0.2"],
            &["http://127.0.0.1:", "http://[::1]:", "http://127.0.0.2:"],
        ),
        (&["--udp-echo", "127.0.0.1:0"], &["http://127.0.0.1:", "udp://127.0.0.1:"]),
        (&["--bind", "::1", "--udp-echo", "[::1]:0"], &["http://[::1]:", "udp://[::1]:"]),
    ];
    each(starts, |(args, expected)| {
        let server = Server::with_lines(&site, args, expected.len());
        assert_eq!(server.lines.len(), expected.len(), "{:?}", server.lines);
        for (line, prefix) in server.lines.iter().zip(*expected) {
            assert!(line.starts_with(prefix), "{line} does not start with {prefix}");
            if let Some(rest) = line.strip_prefix("http://") {
                let addr: SocketAddr = rest.strip_suffix('/').expect("a slash").parse().expect("an address");
                let mut client = Client::connect(addr);
                client.send(get("/hello.txt"));
                assert_eq!(client.response().text(), "hello\n");
            } else {
                let udp = UdpSocket::bind(SocketAddr::new(server.udp_addr().ip(), 0)).expect("a UDP socket");
                udp.set_read_timeout(Some(SOON)).expect("set a timeout");
                udp.send_to(b"hello", server.udp_addr()).expect("send");
                assert_eq!(uninterrupted(|| udp.recv(&mut [0; 9])).expect("receive an echo"), 5);
            }
        }
    });
}

#[test]
fn process_listens_on_both_loopback_addresses() {
    if TcpListener::bind("[::1]:0").is_err() {
        return skip("this machine has no IPv6 loopback address");
    }
    let site = Site::new();
    let local: [&[&str]; 3] = [&[], &["--bind", "LocalHost"], &["--udp-echo", "127.0.0.1:0"]];
    each(local, |args| {
        let server = Server::with(&site, args);
        let urls = server.lines.iter().filter(|line| line.starts_with("http://")).count();
        assert_eq!(urls, 1, "one URL for two sockets: {:?}", server.lines);
        assert!(server.addr().is_ipv4(), "{}", server.addr());
        let mut client = Client::connect((Ipv6Addr::LOCALHOST, server.addr().port()).into());
        client.send(get("/hello.txt"));
        assert_eq!(client.response().text(), "hello\n");
    });
}

#[test]
fn process_help_names_options_on_stdout() {
    let site = Site::new();
    let output = run(site.path(), &["--help"]);
    assert!(output.status.success() && output.stderr.is_empty());
    let help = String::from_utf8(output.stdout).expect("UTF-8");
    let flags = [
        "--port",
        "--bind",
        "--udp-echo",
        "--index",
        "--max-connections",
        "--head-timeout",
        "--idle-timeout",
        "--send-timeout",
        "--drain-timeout",
        "--access-log",
        "--verbose",
        "--quiet",
        "[DIR]",
        "8000",
        "127.0.0.1",
    ];
    for flag in flags {
        assert!(help.contains(flag), "no {flag} in {help}");
    }
}

#[test]
fn process_reports_a_usage_error_in_one_sentence() {
    let site = Site::new();
    let mistakes: [(&[&str], &[&str]); 22] = [
        (&["--prot", "80", "."], &["--prot"]),
        (&["no-such-dir"], &["no-such-dir"]),
        (&[".", "docs"], &["docs"]),
        (&["--port", "99999", "."], &["99999"]),
        (&["--port", "-1", "."], &["-1"]),
        (&["--port", "http", "."], &["http"]),
        (&["--bind", "localhost:http", "."], &["localhost:http", "from 0 to 65535"]),
        (&["--host", ":3000", "."], &[":3000", "0.0.0.0:3000"]),
        (&["-b", "127.0.0.1:1", "--port", "2", "."], &["127.0.0.1:1", "--port 2"]),
        (&["-b", "127.0.0.1:1", "-b", "[::1]:2", "."], &["127.0.0.1:1", "[::1]:2", "same port"]),
        (&["--bind", "300.0.0.1", "."], &["300.0.0.1"]),
        (&["--udp-echo", "nonsense", "."], &["nonsense"]),
        (&["--udp-echo", "127.0.0.1", "."], &["127.0.0.1"]),
        (&["--udp-echo", "127.0.0.1:99999", "."], &["127.0.0.1:99999"]),
        (&["--idle-timeout", "soon", "."], &["soon", "--idle-timeout"]),
        (&["--head-timeout", "10", "."], &["10", "--head-timeout"]),
        (&["--send-timeout", "-1s", "."], &["-1"]),
        (&["--min-rate", "slow", "."], &["slow", "--min-rate", "use a whole number"]),
        (&["--max-per-address", "many", "."], &["many", "--max-per-address", "use a whole number"]),
        (&["--drain-timeout", "", "."], &["--drain-timeout"]),
        (&["--max-connections", "many", "."], &["many"]),
        (&["--access-log=no-such-dir/log", "."], &["no-such-dir/log"]),
    ];
    each(mistakes, |(args, named)| {
        // The port is valid, so that it cannot be the cause of the error.
        let port: &[&str] = if args.contains(&"--port") { &[] } else { &["--port", "0"] };
        assert_refusal(&run(site.path(), &[port, args].concat()), 2, named);
    });
}

#[test]
fn process_reports_a_system_error_with_code_1() {
    let site = Site::new();
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let tcp_port = tcp.local_addr().expect("read its address").port().to_string();
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a socket").local_addr();
    let held = UdpSocket::bind(udp.expect("read its address")).expect("a socket that stays");
    let udp_addr = held.local_addr().expect("read its address").to_string();
    let failures: [(&[&str], &str); 3] = [
        (&["--port", &tcp_port, "."], &tcp_port),
        (&["--port", "0", "--udp-echo", &udp_addr, "."], &udp_addr),
        // An address reserved for documentation (RFC 5737).
        (&["--port", "0", "--bind", "192.0.2.1", "."], "192.0.2.1"),
    ];
    each(failures, |(args, named)| assert_refusal(&run(site.path(), args), 1, &[named]));
}

#[test]
fn stdout_reader_may_go_away() {
    let site = Site::new();
    let mut child =
        Killed(oneloop(site.path(), &["--port", "0", "--access-log", "."]).spawn().expect("start"));
    let mut stdout = BufReader::new(child.0.stdout.take().expect("piped"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("its first line");
    let addr = line.trim_end().strip_prefix("http://").and_then(|l| l.strip_suffix('/')).expect("a URL");
    drop(stdout);
    for _ in 0..5 {
        let mut client = Client::connect(addr.parse().expect("an address"));
        client.send(get("/hello.txt"));
        assert_eq!(client.response().text(), "hello\n");
    }
    assert!(child.0.try_wait().expect("poll the process").is_none(), "the server exited");
}

#[test]
fn stdout_closed_from_the_start_is_not_a_panic() {
    let site = Site::new();
    for args in [&["--help"][..], &["--port", "0", "."]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut child = Killed(oneloop(site.path(), args).stdout(writer).spawn().expect("start oneloop"));
        // The server may exit or serve without a reader, as long as it does not crash.
        let end = Instant::now() + Duration::from_millis(500);
        while child.0.try_wait().expect("poll the process").is_none() && Instant::now() < end {
            thread::sleep(Duration::from_millis(5));
        }
        let _ = child.0.kill();
        let status = child.0.wait().expect("wait for it");
        let mut stderr = String::new();
        child.0.stderr.take().expect("piped").read_to_string(&mut stderr).expect("UTF-8");
        assert_ne!(status.code(), Some(101), "{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
}

#[test]
fn stderr_is_empty_with_q_in_normal_use() {
    let site = Site::new();
    let mut server = Server::with(&site, &["-q"]);
    let requests =
        [get("/hello.txt"), get("/nowhere"), get("/../x"), get("/docs"), "nonsense\r\n\r\n".into()];
    for request in requests {
        server.ask(request);
    }
    for leave in [drop as fn(Client), Client::reset] {
        let mut client = server.connect();
        client.send("GET /hel");
        leave(client);
    }
    server.connect().finish();
    assert_eq!(server.get("/hello.txt").text(), "hello\n");
    let mut stderr = server.stderr();
    server.signal(Signal::TERM);
    assert_eq!(server.exit().code(), Some(0));
    let mut text = String::new();
    stderr.read_to_string(&mut text).expect("UTF-8");
    assert_eq!(text, "");
}

#[test]
fn stderr_on_a_full_device_does_not_block() {
    let site = Site::new();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("open /dev/full");
    let mut child =
        Killed(oneloop(site.path(), &["-vv", "-p", "0", "."]).stderr(full).spawn().expect("start oneloop"));
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let address =
        line.trim().trim_start_matches("http://").trim_end_matches('/').parse().expect("an address");
    for _ in 0..5 {
        let mut client = Client::connect(address);
        client.send(get("/hello.txt"));
        assert_eq!(client.response().text(), "hello\n");
    }
    let pid = rustix::process::Pid::from_child(&child.0);
    rustix::process::kill_process(pid, Signal::TERM).expect("signal it");
    assert_eq!(child.0.wait().expect("wait for it").code(), Some(0));
}

#[test]
fn process_takes_a_time_limit_beyond_the_end_of_time() {
    let site = Site::new();
    let long = "500000000000y";
    let mut args = Vec::new();
    for option in ["--head-timeout", "--idle-timeout", "--send-timeout", "--drain-timeout"] {
        args.extend([option, long]);
    }
    let mut server = Server::with(&site, &args);
    assert_eq!(server.get("/hello.txt").text(), "hello\n");
    server.signal(Signal::TERM);
    assert_eq!(server.exit().code(), Some(0));
}

#[test]
fn process_shares_a_port_with_reuse_port() {
    let site = Site::new();
    let first = Server::with(&site, &["--reuse-port"]);
    let port = first.addr().port().to_string();
    let refused = Command::new(env!("CARGO_BIN_EXE_oneloop")).args(["-p", &port]).arg(site.path()).output();
    assert_eq!(
        refused.expect("run oneloop").status.code(),
        Some(1),
        "a port in use without --reuse-port is an error"
    );

    let second = Server::at(&site, &port, &["--reuse-port"]);
    let before = [&first, &second].map(Server::sockets);
    let mut clients: Vec<_> = (0..64).map(|_| first.connect()).collect();
    for client in &mut clients {
        client.send(get("/hello.txt"));
        assert_eq!(client.response().text(), "hello\n");
    }
    let here = [&first, &second].map(Server::sockets);
    assert_eq!(here.iter().sum::<usize>(), before.iter().sum::<usize>() + 64);
    assert!(
        here[0] > before[0] && here[1] > before[1],
        "the kernel distributes the connections: {before:?} {here:?}"
    );
}
