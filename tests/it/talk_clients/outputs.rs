//! Where the clients write, how long they wait, and how they end.

use std::{
    io::{Read, Write},
    net::TcpListener,
    time::{Duration, Instant},
};

use rustix::{
    io::ioctl_fionbio,
    process::{Pid, Signal, kill_process},
};

use super::{Pace, Talked, follow, serve_one, talk, talk_command};
use crate::common::{PROMPT, pattern};

/// Starts a server that sends a response with this body.
fn serve_body(body: Vec<u8>) -> (String, std::thread::JoinHandle<()>) {
    let (address, server) = serve_one(move |mut socket| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        // A client that has seen enough may have closed.
        let _ = socket.write_all(head.as_bytes()).and_then(|()| socket.write_all(&body));
        let _ = socket.read_to_end(&mut Vec::new());
    });
    (format!("http://{address}/"), server)
}

#[test]
fn output_file_is_written_only_after_a_response() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("body");
    let file = path.to_str().expect("a path");
    std::fs::write(&path, "an older and longer file").expect("write");

    let closed = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
    let talked = talk(&["http", "GET", &format!("http://{closed}/"), "-o", file]);
    let stderr = format!("oneloop: cannot connect to {closed}: connection refused\n");
    assert_eq!(talked, Talked { code: Some(1), stdout: String::new(), stderr });
    assert_eq!(std::fs::read(&path).expect("the file"), b"an older and longer file");

    for body in [pattern(300_000), Vec::new()] {
        let (url, server) = serve_body(body.clone());
        let talked = talk(&["http", "GET", &url, "--output", file]);
        server.join().expect("the server");
        assert_eq!((talked.code, &*talked.stdout), (Some(0), ""), "{talked:?}");
        assert!(std::fs::read(&path).expect("the file") == body, "{} bytes", body.len());
    }

    let (url, server) = serve_body(b"x".to_vec());
    let talked = talk(&["http", "GET", &url, "-o", "/nowhere/at/all"]);
    server.join().expect("the server");
    assert_eq!(talked.code, Some(1), "{talked:?}");
    let expected = "oneloop: cannot write the output: '/nowhere/at/all': no such file or directory\n";
    assert!(talked.stderr.ends_with(expected), "{talked:?}");
}

/// Returns as many interim responses as a client accepts, more than a pipe holds.
fn interim_responses() -> String {
    format!("HTTP/1.1 103 Early Hints\r\nLink: <{}>\r\n\r\n", "a".repeat(2500)).repeat(100)
}

#[test]
fn output_waits_for_a_slow_reader() {
    let body = pattern(4 << 20);
    let (url, server) = serve_body(body.clone());
    let mut child = talk_command(&["http", "GET", &url, "--timeout", "300ms"]).spawn().expect("run oneloop");
    let mut stdout = child.stdout.take().expect("piped");
    let mut got = vec![0; 1];
    stdout.read_exact(&mut got).expect("a byte");
    // Longer than the timeout, which is for the server alone.
    std::thread::sleep(Duration::from_millis(500));
    stdout.read_to_end(&mut got).expect("the rest");
    let status = child.wait().expect("its status");
    server.join().expect("the server");
    assert!(got == body, "{} bytes", got.len());
    assert_eq!(status.code(), Some(0));
}

#[test]
fn output_that_nobody_reads_ends_the_client_quietly() {
    let (url, server) = serve_body(pattern(4 << 20));
    let mut child = talk_command(&["http", "GET", &url]).spawn().expect("run oneloop");
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut stderr).expect("its dialogue");
    let status = child.wait().expect("its status");
    server.join().expect("the server");
    assert_eq!(status.code(), Some(0), "{stderr}");
    assert!(stderr.ends_with("< Content-Length: 4194304\n<\n"), "{stderr}");
}

#[test]
fn dialogue_waits_for_a_slow_reader() {
    // More than a pipe holds.
    let interim = interim_responses();
    let (address, server) = serve_one(move |mut socket| {
        let _ = socket.write_all(format!("{interim}HTTP/1.1 204 No Content\r\n\r\n").as_bytes());
        let _ = socket.read_to_end(&mut Vec::new());
    });
    let mut child =
        talk_command(&["http", "GET", &format!("http://{address}/")]).spawn().expect("run oneloop");
    std::thread::sleep(Duration::from_millis(200));
    let mut stderr = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut stderr).expect("its dialogue");
    assert_eq!(child.wait().expect("its status").code(), Some(0));
    server.join().expect("the server");
    assert_eq!(stderr.matches("< HTTP/1.1 103 Early Hints\n").count(), 100);
    assert!(stderr.ends_with("<\n< HTTP/1.1 204 No Content\n<\n"));
}

#[test]
fn output_and_dialogue_wait_although_their_pipes_do_not_block() {
    // Another program that shares a pipe may have made it non-blocking.
    let body = pattern(1 << 20);
    let interim = interim_responses();
    let (address, server) = serve_one({
        let body = body.clone();
        move |mut socket| {
            let head = format!("{interim}HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = socket.write_all(head.as_bytes()).and_then(|()| socket.write_all(&body));
            let _ = socket.read_to_end(&mut Vec::new());
        }
    });
    let (mut stdout, out) = std::io::pipe().expect("a pipe");
    let (mut stderr, err) = std::io::pipe().expect("a pipe");
    ioctl_fionbio(&out, true).and_then(|()| ioctl_fionbio(&err, true)).expect("set nonblocking");
    let mut child = talk_command(&["http", "GET", &format!("http://{address}/")])
        .stdout(out)
        .stderr(err)
        .spawn()
        .expect("run oneloop");
    std::thread::sleep(Duration::from_millis(200));
    let reader = std::thread::spawn(move || {
        let mut shown = String::new();
        stderr.read_to_string(&mut shown).expect("its dialogue");
        shown
    });
    let mut got = Vec::new();
    stdout.read_to_end(&mut got).expect("the body");
    let shown = reader.join().expect("the dialogue");
    assert_eq!(child.wait().expect("its status").code(), Some(0), "{shown}");
    server.join().expect("the server");
    assert_eq!(shown.matches("< HTTP/1.1 103 Early Hints\n").count(), 100);
    assert!(got == body, "{} bytes", got.len());
}

#[test]
fn body_is_shown_as_it_arrives() {
    let (go_on, wait) = std::sync::mpsc::channel();
    let (address, server) = serve_one(move |mut socket| {
        socket.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n").expect("send");
        wait.recv().expect("the client has shown the first chunk");
        socket.write_all(b"3\r\ntwo\r\n0\r\n\r\n").expect("send");
        let _ = socket.read_to_end(&mut Vec::new());
    });
    let mut child =
        talk_command(&["http", "GET", &format!("http://{address}/")]).spawn().expect("run oneloop");
    let mut stdout = child.stdout.take().expect("piped");
    let mut got = [0; 3];
    stdout.read_exact(&mut got).expect("the first chunk");
    go_on.send(()).expect("the server waits");
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).expect("the rest");
    assert_eq!((&got, &*rest, child.wait().expect("its status").code()), (b"one", "two", Some(0)));
    server.join().expect("the server");
}

#[test]
fn trace_shows_the_loop_and_no_password() {
    let dir = tempfile::tempdir().expect("a directory");
    let recording = dir.path().join("trace.json");
    let dialogue =
        "S: +OK\nC: USER u\nS: +OK\nC: PASS secret\nS: +OK\nC: LIST\nS: +OK\nD: 1 2\nS: .\nC: QUIT\nS: +OK\n";
    let (address, server) = follow(dialogue, Pace::Whole);
    let trace = ["--trace=bytes", "--trace-file", recording.to_str().expect("a path")];
    let args = ["pop3", &address.to_string(), "--user", "u", "--password", "secret"];
    let talked = talk(&[&args[..], &trace].concat());
    server.join().expect("the dialogue");
    assert_eq!((talked.code, &*talked.stdout), (Some(0), "1 2\r\n"), "{talked:?}");
    for step in
        ["c1 connect -> EINPROGRESS", "c1 connect -> ok", "c1 parse +OK len=5", "c1 close reason=done"]
    {
        assert!(talked.stderr.contains(step), "{step}: {talked:?}");
    }
    let recorded = std::fs::read_to_string(&recording).expect("the recording");
    assert!(recorded.contains("connect") && !recorded.contains("secret"), "{recorded}");
    assert!(!talked.stderr.contains("secret"), "{talked:?}");
}

#[test]
fn silent_server_is_given_up_after_the_timeout() {
    let table: &[(&[&str], &str, &str)] = &[
        (&["http", "GET"], "", "before the response head was complete"),
        (
            &["http", "GET"],
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe",
            "after 2 of 5 bytes of the body",
        ),
        (&["http", "GET"], "HTTP/1.1 200 OK\r\n\r\nhe", "before the end of the body"),
        (&["smtp", "--from", "a@x", "--to", "b@y"], "", "before it greeted the client"),
        (&["smtp", "--from", "a@x", "--to", "b@y"], "220 x\r\n250-", "before it answered EHLO x"),
        (&["pop3", "--user", "u", "--password", "p"], "+OK\r\n+OK\r\n", "before it answered the password"),
    ];
    for (args, sent, place) in table {
        let (address, server) = serve_one(|mut socket| {
            socket.write_all(sent.as_bytes()).expect("send");
            let _ = socket.read_to_end(&mut Vec::new());
        });
        let address = if args[0] == "http" { format!("http://{address}") } else { address.to_string() };
        let talked = talk(&[args, &[&address, "--timeout", "150ms"][..]].concat());
        server.join().expect("the server");
        assert_eq!(talked.code, Some(1), "{args:?} {sent:?}: {talked:?}");
        let expected = format!(": the server sent nothing for 150ms {place}\n");
        assert!(talked.stderr.ends_with(&expected), "{args:?} {sent:?}: {talked:?}");
    }
}

#[test]
fn silent_server_may_take_its_time_without_a_timeout() {
    let (address, server) = serve_one(|mut socket| {
        std::thread::sleep(Duration::from_millis(300));
        socket.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").expect("send");
        let _ = socket.read_to_end(&mut Vec::new());
    });
    let talked = talk(&["http", "GET", &format!("http://{address}"), "--timeout", "0"]);
    assert_eq!(talked.code, Some(0), "{talked:?}");
    server.join().expect("the server");
}

#[test]
fn client_ends_at_once_after_its_conversation() {
    // A server that keeps the connection open must not delay the client.
    let (address, server) = serve_one(|mut socket| {
        socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").expect("send");
        let _ = socket.read_to_end(&mut Vec::new());
    });
    let start = Instant::now();
    let talked = talk(&["http", "GET", &format!("http://{address}")]);
    assert_eq!(talked.code, Some(0), "{talked:?}");
    assert!(start.elapsed() < PROMPT, "{:?}", start.elapsed());
    server.join().expect("the server");
}

#[test]
fn interrupt_ends_the_client_at_once() {
    use std::os::unix::process::ExitStatusExt;
    let (address, server) = serve_one(|mut socket| {
        let mut request = [0; 4];
        socket.read_exact(&mut request).expect("a request");
        socket
    });
    let mut child =
        talk_command(&["http", "GET", &format!("http://{address}")]).spawn().expect("run oneloop");
    let _socket = server.join().expect("a connected client");
    let pid = Pid::from_raw(child.id().cast_signed()).expect("a process id");
    kill_process(pid, Signal::INT).expect("interrupt it");
    let status = child.wait().expect("its status");
    // A shell reports the signal as 130.
    assert_eq!(status.signal(), Some(Signal::INT.as_raw()), "{status}");
}
