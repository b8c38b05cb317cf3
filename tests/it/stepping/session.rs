//! A session at the prompt: steps, inspection, breakpoints, signals, and its end.

use std::{io::Write, net::UdpSocket};

use super::*;

const START: &str = "GET /hello.txt HTTP/1.1\r\nCookie: id=secret\r\n";
const END: &str = "Host: localhost\r\n\r\n";

#[test]
fn stepper_takes_a_person_through_a_request() {
    let site = Site::new();
    let mut terminal = Terminal::with(&site, &[]);
    let mut browser = terminal.connect();
    browser.send(START);
    look_at_the_ready_set(&mut terminal, &browser);
    browser.send(END);
    step_to_the_file(&mut terminal);
    run_to_the_close(&mut terminal, browser);
}

/// Inspects a connection that has half a request to read.
fn look_at_the_ready_set(terminal: &mut Terminal, browser: &Client) {
    assert_says(&terminal.ask("t"), &["wait timeout=never", "#1 woke after ", ": L1[R]   no deadline"]);
    assert_says(&terminal.ask("p"), &["open=0", "L1 BOUND 127.0.0.1:", "turns=0"]);
    let said = terminal.ask("t");
    assert_says(
        &said,
        &["deadlines do not move", "L1 accept -> c1 ", "#2 woke", "c1[R]   next deadline: c1 head"],
    );

    // The loop has the ready set, but has not handled any of it.
    assert_says(&terminal.ask("p c1"), &["c1 IDLE in=0 out=0/0 interest=R head-timeout in ", "turns=0"]);
    let local = format!("local={}", terminal.addr);
    let peer = format!("peer={}", browser.socket.local_addr().expect("read its address"));
    let words = [
        "c1 fd=",
        "AF_INET SOCK_STREAM O_NONBLOCK",
        &local,
        &peer,
        "SO_RCVBUF=",
        "TCP_NODELAY=1",
        &format!("unread: {}\n", START.len()),
    ];
    assert_says(&terminal.ask("s c1"), &words);
}

/// Reads the whole request and parses it, one event and one step at a time.
fn step_to_the_file(terminal: &mut Terminal) {
    let len = START.len() + END.len();
    assert_says(&terminal.ask("e"), &["#2 c1 has its turn"]);
    assert_says(&terminal.ask("i"), &[&format!("#2 c1 read 65536 -> {len} buf={len}\n")]);
    let said = terminal.ask("x c1");
    assert_says(
        &said,
        &[
            &format!("in: {len} bytes"),
            r"   GET /hello.txt HTTP/1.1\r\n",
            "Cookie: *********",
            "0 bytes sent",
        ],
    );
    assert!(!said.contains("secret"), "{said}");
    // An empty line repeats the last command.
    assert_says(&terminal.ask(""), &[&format!("#2 c1 parse GET /hello.txt HTTP/1.1 len={len} ")]);
    assert_says(&terminal.ask("what"), &["'what' is not a command"]);
    assert_says(&terminal.ask("p c9"), &["c9: no such source"]);
    assert_says(&terminal.ask(""), &["#2 c1 file /hello.txt"]);
}

/// Sets breakpoints and continues until the connection closes.
fn run_to_the_close(terminal: &mut Terminal, mut browser: Client) {
    assert_says(&terminal.ask("b partial"), &["breakpoint 1"]);
    assert_says(&terminal.ask("b close"), &["breakpoint 2"]);
    assert_says(&terminal.ask("d 1"), &["deleted: partial"]);
    assert_eq!(terminal.ask("b"), "2: close\nstep> ");
    terminal.enter("c");
    assert_eq!(browser.response().text(), "hello\n");
    browser.finish();
    let said = terminal.until(PROMPT);
    assert_says(&said, &["breakpoint 2: close", "c1 close reason=eof"]);
    assert!(!said.contains("woke"), "it continues without output: {said}");

    terminal.enter("q");
    let said = said + &terminal.rest();
    assert!(!said.contains("\" 200 "), "no access log line in between: {said}");
    assert!(terminal.exit().success());
}

#[test]
fn stepper_input_wakes_a_sleeping_loop_and_stops_a_running_one() {
    let site = Site::new();
    for mode in ["t", "c"] {
        let mut terminal = Terminal::with(&site, &[]);
        terminal.enter(mode);
        if mode == "t" {
            terminal.until("sleeps");
        } else {
            let mut client = terminal.connect();
            client.send(get("/"));
            assert_eq!(client.response().text(), "home\n");
        }
        terminal.enter("p");
        let said = terminal.until(PROMPT) + &terminal.until(PROMPT);
        assert_says(&said, &["step> p\nloop turn="]);
        assert!(mode == "c" || said.contains(": terminal[R] "), "{said}");
        // Lines that arrive together make one edge-triggered event.
        terminal.enter("t");
        terminal.enter("p\np\nt\nq");
        assert_says(&terminal.rest(), &["exits"]);
        assert!(terminal.exit().success());
    }
}

#[test]
fn stepper_passes_ctrl_c_at_the_prompt_to_the_loop() {
    let site = Site::new();
    for last in ["q", "t"] {
        let mut terminal = Terminal::with(&site, &[]);
        terminal.signal(Signal::INT);
        assert_says(&terminal.until(PROMPT), &["a signal arrived"]);
        if last == "t" {
            assert_says(&terminal.ask("t"), &["#1 woke after", "signals[R]"]);
        }
        terminal.enter(last);
        terminal.rest();
        assert_eq!(
            terminal.exit().code(),
            Some(0),
            "exit by {last}: the loop gets one signal, not two"
        );
    }
}

#[test]
fn stepper_takes_only_end_signals_for_an_end() {
    let site = Site::new();
    let mut terminal = Terminal::with(&site, &[]);
    terminal.signal(Signal::USR1);
    let said = terminal.ask("t");
    assert!(!said.contains("a signal arrived"), "{said}");
    assert_says(&said, &["signals[R]"]);
    terminal.enter("q");
    terminal.rest();
    assert!(terminal.exit().success());
}

#[test]
fn stepper_ends_when_its_terminal_does() {
    let site = Site::new();
    let mut terminal = Terminal::with(&site, &[]);
    terminal.screen = tempfile::tempfile().expect("something else");
    assert!(terminal.exit().success());
    // Ctrl-D has the same effect.
    let mut terminal = Terminal::with(&site, &[]);
    terminal.screen.write_all(b"\x04").expect("type");
    assert_says(&terminal.rest(), &["exits"]);
    assert!(terminal.exit().success());
}

#[test]
fn stepper_stops_at_a_datagram() {
    let site = Site::new();
    let mut terminal = Terminal::with(&site, &["--udp-echo", "127.0.0.1:0"]);
    let said = terminal.ask("p");
    let address =
        said.split("u1 BOUND ").nth(1).and_then(|rest| rest.split(' ').next()).expect("read its address");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
    socket.send_to(b"one", address).expect("send");
    terminal.ask("b udp");
    assert_says(&terminal.ask("c"), &["breakpoint 1: udp", "u1 recv 65536 -> 3 from="]);
    assert_says(&terminal.ask("s u1"), &["SOCK_DGRAM"]);
    assert_says(&terminal.ask("i"), &["u1 send -> 3 to="]);
}
