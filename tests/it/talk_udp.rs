//! `oneloop talk udp`: lines and pings as datagrams, with the echo that loses some of them.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::UdpSocket,
    process::{Output, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    common::*,
    talk_tcp::{output, talk},
};

/// Starts a server with a UDP echo that has `faults`. Returns its address as well.
fn echo(faults: &str) -> (Server, String) {
    let site = Site::empty();
    let server = Server::with(&site, &["--udp-echo", &format!("127.0.0.1:0{faults}")]);
    let address = server.udp_addr().to_string();
    (server, address)
}

/// Returns a bound socket, which receives nothing, and its address.
fn silent() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let address = socket.local_addr().expect("its address").to_string();
    (socket, address)
}

/// Returns an address on which nothing listens.
fn unused() -> String {
    silent().1
}

/// Runs `oneloop talk ARGS...` with `input`. Returns its exit code, its output and its errors.
fn talk_with(args: &[&str], input: &[u8]) -> (Option<i32>, String, String) {
    let mut client = talk(args).stdin(Stdio::piped()).spawn().expect("start the client");
    client.stdin.take().expect("piped").write_all(input).expect("send");
    let Output { status, stdout, stderr } = client.wait_with_output().expect("wait");
    (status.code(), String::from_utf8_lossy(&stdout).into(), String::from_utf8_lossy(&stderr).into())
}

/// Pings `address`. Returns how often each number was answered, and the summary.
fn ping(address: &str, args: &[&str]) -> (BTreeMap<u32, u32>, String) {
    let (code, stdout, stderr) = talk_with(&[&["udp", address, "--ping"], args].concat(), b"");
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    let (answers, summary) = stdout.split_once("\n---").expect("a summary");
    let mut numbers = BTreeMap::new();
    for line in answers.lines() {
        let number = line.split("number=").nth(1).and_then(|rest| rest.split(' ').next());
        *numbers.entry(number.expect("a number").parse().expect("digits")).or_default() += 1;
    }
    (numbers, summary.to_owned())
}

#[test]
fn ping_measures_loss_and_duplicates_and_a_seed_repeats_them() {
    const COUNT: f64 = 1000.0;
    let run = || {
        let (_server, address) = echo(",loss=30%,duplicate=10%,seed=7");
        ping(&address, &["1000", "--interval", "2ms", "--wait", "500ms"])
    };
    let (answers, summary) = run();
    let within_three_sigma = |counted: usize, of: f64, rate: f64| {
        let sigma = (of * rate * (1.0 - rate)).sqrt();
        assert!((counted as f64 - of * rate).abs() <= 3.0 * sigma, "{counted} of {of} at {rate}");
    };
    within_three_sigma(answers.len(), COUNT, 0.7);
    let duplicates = answers.values().filter(|count| **count == 2).count();
    within_three_sigma(duplicates, answers.len() as f64, 0.1);
    let loss = (COUNT - answers.len() as f64) / 10.0;
    let expected =
        format!("1000 sent, {} received, {loss:.1}% loss, {duplicates} duplicates, ", answers.len());
    assert!(summary.contains(&expected), "{expected:?} in {summary}");
    assert_eq!(run().0, answers, "the same numbers are lost and duplicated");
}

#[test]
fn ping_measures_delay_and_reordering() {
    let (_server, address) = echo(",delay=40ms,jitter=30ms,seed=1");
    let (answers, summary) = ping(&address, &["100", "--interval", "1ms"]);
    assert_eq!(answers.len(), 100);
    let reordered = summary.split(" reordered").next().and_then(|text| text.rsplit(' ').next());
    assert!(reordered.expect("a number").parse::<u32>().expect("digits") > 10, "{summary}");
    let times = summary.split(" = ").nth(1).expect("times").trim_end().trim_end_matches(" ms");
    let times: Vec<f64> = times.split('/').map(|time| time.parse().expect("a number")).collect();
    let [min, avg, median, p99, max, mdev] = times[..] else { panic!("{times:?}") };
    // A busy machine makes the times longer, never shorter.
    assert!(min >= 10.0 && min <= median && median <= p99 && p99 <= max && max >= 60.0, "{summary}");
    assert!(avg > 30.0 && mdev > 5.0, "{summary}");
}

#[test]
fn ping_without_faults_loses_nothing() {
    let (_server, address) = echo("");
    // The kernel drops what its queues cannot hold: two of the largest datagrams, for example.
    for (count, size) in [(20, "16"), (20, "1472"), (1, "65507")] {
        let args = [&*count.to_string(), "--interval", "1ms", "--size", size];
        let (answers, summary) = ping(&address, &args);
        assert_eq!(answers, (1..=count).map(|number| (number, 1)).collect());
        let expected = format!("{count} sent, {count} received, 0.0% loss, 0 duplicates, 0 reordered\n");
        assert!(summary.contains(&expected), "{summary}");
    }
}

#[test]
fn ping_ends_at_once_when_everything_is_answered_or_nobody_listens() {
    let (_server, address) = echo("");
    let start = Instant::now();
    ping(&address, &["1", "--wait", "1h"]);
    let address = unused();
    let refused = talk_with(&["udp", &address, "--ping", "3", "--interval", "1h", "--wait", "1h"], b"");
    assert_eq!(refused, (Some(1), String::new(), format!("oneloop: nothing listens on {address}\n")));
    assert!(start.elapsed() < PROMPT);
}

#[test]
fn ping_without_answers_fails() {
    let (_socket, address) = silent();
    let (code, stdout, stderr) =
        talk_with(&["udp", &address, "--ping", "3", "--interval", "0", "--wait", "50ms"], b"");
    assert_eq!(
        (code, stderr),
        (Some(1), format!("oneloop: no answer from {address}; check that a UDP echo listens there\n"))
    );
    let expected = "3 sent, 0 received, 100.0% loss, 0 duplicates, 0 reordered\n";
    assert_eq!(stdout, format!("\n--- {address} ---\n{expected}"));
}

#[test]
fn ping_shows_its_figures_after_a_signal() {
    let (_server, address) = echo("");
    let mut client = talk(&["udp", &address, "--ping", "2", "--interval", "1h"]).spawn().expect("start");
    let mut stdout = BufReader::new(client.stdout.take().expect("piped"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("an answer");
    assert!(line.starts_with(&format!("64 bytes from {address}: number=1 time=")), "{line}");
    kill_process(Pid::from_child(&client), Signal::INT).expect("interrupt it");
    let rest: Vec<String> = stdout.lines().map(|line| line.expect("a line")).collect();
    assert_eq!(rest[2], "1 sent, 1 received, 0.0% loss, 0 duplicates, 0 reordered");
    assert!(client.wait().expect("wait").success());
}

#[test]
fn lines_become_datagrams_until_an_empty_line_or_the_end() {
    let (_server, address) = echo("");
    for input in
        [&b"one\ntwo \xe4\xbd\xa0\n"[..], b"one\r\ntwo \xe4\xbd\xa0", b"one\ntwo \xe4\xbd\xa0\n\nthree\n"]
    {
        let shown = format!("{address}: one\n{address}: two \u{4f60}\n");
        assert_eq!(talk_with(&["udp", &address], input), (Some(0), shown, String::new()));
    }
    assert_eq!(talk_with(&["udp", &address], b""), (Some(0), String::new(), String::new()));
}

#[test]
fn lines_from_a_file_are_all_sent() {
    let (_server, address) = echo("");
    let site = Site::empty();
    // No more than the queues of both sockets hold.
    let lines: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    site.write("input", lines.join("\n"));
    let file = std::fs::File::open(site.at("input")).expect("open");
    let Output { status, stdout, .. } = output(talk(&["udp", &address]).stdin(file));
    let shown: String = lines.iter().map(|line| format!("{address}: {line}\n")).collect();
    assert_eq!((status.code(), String::from_utf8_lossy(&stdout)), (Some(0), shown.into()));
}

#[test]
fn lines_are_answered_while_the_input_is_open() {
    let (_server, address) = echo("");
    let mut client = talk(&["udp", &address]).stdin(Stdio::piped()).spawn().expect("start the client");
    let mut stdin = client.stdin.take().expect("piped");
    let mut stdout = BufReader::new(client.stdout.take().expect("piped"));
    for text in ["one", "two"] {
        writeln!(stdin, "{text}").expect("send");
        let mut line = String::new();
        stdout.read_line(&mut line).expect("an answer");
        assert_eq!(line, format!("{address}: {text}\n"));
    }
    writeln!(stdin).expect("send an empty line");
    assert!(client.wait().expect("wait").success());
}

#[test]
fn lines_without_answers_end_after_the_wait() {
    let (socket, address) = silent();
    let ended = talk_with(&["udp", &address, "--wait", "50ms"], b"one\n");
    assert_eq!(ended, (Some(0), String::new(), String::new()));
    socket.set_read_timeout(Some(Duration::from_secs(1))).expect("set a timeout");
    let mut buffer = [0; 10];
    assert_eq!(socket.recv(&mut buffer).expect("a datagram"), 3);
}

#[test]
fn client_says_why_it_cannot_talk() {
    let address = unused();
    let long = vec![b'x'; 65_508];
    let (_server, echo) = echo("");
    let rows: [(&[&str], &[u8], i32, &str); 8] = [
        (&["udp", &address], b"one\n", 1, &format!("oneloop: nothing listens on {address}\n")),
        (&["udp", &echo], &long, 1, "a line is longer than a datagram can be; use at most 65507 bytes\n"),
        (&["udp", "9000"], b"", 2, "use HOST:PORT"),
        (&["udp", "unix:/a.sock"], b"", 2, "'unix:/a.sock' is not a valid UDP address; use HOST:PORT\n"),
        (&["udp", &echo, "--ping", "0"], b"", 2, "1..=10000000"),
        (&["udp", &echo, "--ping", "1", "--size", "15"], b"", 2, "use a number from 16 to 65507"),
        (&["udp", &echo, "--interval", "1s"], b"", 2, "--ping <N>"),
        (&["udp", &echo, "--wait", "1000000000y"], b"", 2, "at most 1d"),
    ];
    for (args, input, code, message) in rows {
        let (status, stdout, stderr) = talk_with(args, input);
        assert_eq!((status, stdout.as_str()), (Some(code), ""), "{args:?}: {stderr}");
        assert!(stderr.contains(message), "{message:?} in {stderr}");
    }
}

#[test]
fn client_ends_quietly_when_nobody_reads_its_output() {
    let (_server, address) = echo("");
    for args in [&["udp", &address][..], &["udp", &address, "--ping", "100", "--wait", "1h"]] {
        let mut client = talk(args).stdin(Stdio::piped()).spawn().expect("start the client");
        drop(client.stdout.take());
        let mut stdin = client.stdin.take().expect("piped");
        let _ = stdin.write_all(b"hello\n");
        let Output { status, stderr, .. } = client.wait_with_output().expect("wait");
        drop(stdin);
        assert_eq!((status.code(), lossy(&stderr)), (Some(0), String::new()));
    }
}
