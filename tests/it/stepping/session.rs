//! A session at the prompt: steps, inspection, breakpoints, signals, and its end.

use std::{io::Write, net::UdpSocket};

use super::*;

const START: &str = "GET /hello.txt HTTP/1.1\r\nCookie: id=secret\r\n";
const END: &str = "Host: localhost\r\n\r\n";

#[test]
fn stepper_walks_through_a_request() {
    if leaves_out("pidfd_getfd") {
        return;
    }
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
    assert_in_order(&terminal.ask("t"), &["wait timeout=never", "#1 woke after ", ": L1[R]   no deadline"]);
    assert_in_order(&terminal.ask("p sets"), &["rlist={L1,L2} wlist={} -> rs={L1} ws={}\n"]);
    assert_in_order(&terminal.ask("p"), &["open=0", "L1 BOUND 127.0.0.1:", "turns=0"]);
    let output = terminal.ask("t");
    assert_in_order(
        &output,
        &["deadlines do not move", "L1 accept -> c1 ", "#2 woke", "c1[R]   next deadline: c1 head"],
    );

    // The loop has the ready set, but has not handled any of it.
    assert_in_order(&terminal.ask("p c1"), &["c1 IDLE in=0 out=0/0 interest=R head-timeout in ", "turns=0"]);
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
    assert_in_order(&terminal.ask("s c1"), &words);
}

/// Reads the whole request and parses it, one event and one step at a time.
fn step_to_the_file(terminal: &mut Terminal) {
    let len = START.len() + END.len();
    assert_in_order(&terminal.ask("e"), &["#2 c1 has its turn"]);
    assert_in_order(&terminal.ask("i"), &[&format!("#2 c1 read 65536 -> {len} buf={len}\n")]);
    let sets = "last poll: rs={c1} ws={}\nnext poll: rlist={L1,L2,c1} wlist={}\n";
    assert_in_order(&terminal.ask("p sets"), &[sets]);
    let output = terminal.ask("x c1");
    assert_in_order(
        &output,
        &[
            &format!("in: {len} bytes"),
            r"   GET /hello.txt HTTP/1.1\r\n",
            "Cookie: *********",
            "0 bytes sent",
        ],
    );
    assert!(!output.contains("secret"), "{output}");
    // An empty line repeats the last command.
    assert_in_order(&terminal.ask(""), &[&format!("#2 c1 parse GET /hello.txt HTTP/1.1 len={len} ")]);
    assert_in_order(&terminal.ask("what"), &["'what' is not a command"]);
    assert_in_order(&terminal.ask("p c9"), &["c9: no such source"]);
    assert_in_order(&terminal.ask(""), &["#2 c1 file /hello.txt"]);
}

/// Sets breakpoints and continues until the connection closes.
fn run_to_the_close(terminal: &mut Terminal, mut browser: Client) {
    assert_in_order(&terminal.ask("b partial"), &["breakpoint 1"]);
    assert_in_order(&terminal.ask("b close"), &["breakpoint 2"]);
    assert_in_order(&terminal.ask("d 1"), &["deleted: partial"]);
    assert_eq!(terminal.ask("b"), "2: close\nstep> ");
    terminal.enter("c");
    assert_eq!(browser.response().text(), "hello\n");
    browser.finish();
    let output = terminal.until(PROMPT);
    assert_in_order(&output, &["breakpoint 2: close", "c1 close reason=eof"]);
    assert!(!output.contains("woke"), "it continues without output: {output}");

    terminal.enter("q");
    let output = output + &terminal.rest();
    assert!(!output.contains("\" 200 "), "no access log line in between: {output}");
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
        let output = terminal.until(PROMPT) + &terminal.until(PROMPT);
        assert_in_order(&output, &["step> p\nloop turn="]);
        assert!(mode == "c" || output.contains(": terminal[R] "), "{output}");
        // Lines that arrive together make one edge-triggered event.
        terminal.enter("t");
        terminal.enter("p\np\nt\nq");
        assert_in_order(&terminal.rest(), &["exits"]);
        assert!(terminal.exit().success());
    }
}

#[test]
fn stepper_passes_ctrl_c_at_the_prompt_to_the_loop() {
    let site = Site::new();
    for last in ["q", "t"] {
        let mut terminal = Terminal::with(&site, &[]);
        terminal.signal(Signal::INT);
        assert_in_order(&terminal.until(PROMPT), &["a signal arrived"]);
        if last == "t" {
            assert_in_order(&terminal.ask("t"), &["#1 woke after", "signals[R]"]);
        }
        terminal.enter(last);
        terminal.rest();
        assert_eq!(terminal.exit().code(), Some(0), "exit by {last}: the loop gets one signal, not two");
    }
}

#[test]
fn stepper_exits_on_end_signals_only() {
    let site = Site::new();
    let mut terminal = Terminal::with(&site, &[]);
    terminal.signal(Signal::USR1);
    let output = terminal.ask("t");
    assert!(!output.contains("a signal arrived"), "{output}");
    assert_in_order(&output, &["signals[R]"]);
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
    assert_in_order(&terminal.rest(), &["exits"]);
    assert!(terminal.exit().success());
}

#[test]
fn stepper_stops_at_a_datagram() {
    if leaves_out("pidfd_getfd") {
        return;
    }
    let site = Site::new();
    let mut terminal = Terminal::with(&site, &["--udp-echo", "127.0.0.1:0"]);
    let output = terminal.ask("p");
    let address =
        output.split("u1 BOUND ").nth(1).and_then(|rest| rest.split(' ').next()).expect("read its address");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
    socket.send_to(b"one", address).expect("send");
    terminal.ask("b udp");
    assert_in_order(&terminal.ask("c"), &["breakpoint 1: udp", "u1 recv 65536 -> 3 from="]);
    assert_in_order(&terminal.ask("s u1"), &["SOCK_DGRAM"]);
    assert_in_order(&terminal.ask("i"), &["u1 send -> 3 to="]);
}

#[test]
fn stepper_shows_the_options_of_a_beacon() {
    if leaves_out("pidfd_getfd") {
        return;
    }
    let site = Site::new();
    let mut terminal = Terminal::with(&site, &["--beacon", "127.0.0.1:0"]);
    let expected =
        ["AF_INET SOCK_DGRAM", "local=127.0.0.1:", "peer=none", "SO_REUSEADDR=1", "SO_BROADCAST=1"];
    assert_in_order(&terminal.ask("s u1"), &expected);
}
