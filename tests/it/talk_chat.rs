//! `--chat` and `oneloop talk chat`: the real program on both sides, on pipes and on a terminal.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
    thread,
};

use crate::common::*;

const WELCOME: &str = "You have entered the chat room!\n";

/// Starts a server with a chat room, and returns the room's address.
fn server(site: &Site) -> (Server, SocketAddr) {
    let server = Server::with(site, &["--chat", "127.0.0.1:0"]);
    let address = server.addr_of("chat://");
    (server, address)
}

/// Starts a client that has given its name.
fn join(address: SocketAddr, name: &str) -> Talk {
    let mut talk = Talk::start(&["chat", &address.to_string()]);
    talk.until("Please enter your name: ");
    talk.enter(format!("{name}\n"));
    talk.until(WELCOME);
    talk.until("\n");
    talk
}

/// Listens on a free port, and returns the listener and its address as an argument.
fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let address = listener.local_addr().expect("read its address").to_string();
    (listener, address)
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (socket, _) = listener.accept().expect("accept");
    socket.set_read_timeout(Some(SOON)).expect("set a timeout");
    socket
}

#[test]
fn talk_chat_relays_lines_between_three_people() {
    let site = Site::new();
    let (_server, address) = server(&site);
    let mut one = join(address, "client1");
    let mut two = join(address, "client2");
    one.until("client2 (127.0.0.1:");
    one.until(") joined\n");
    // The third one uses no more than a socket, as `nc` does.
    let mut three = Client::connect(address);
    three.send("client3\n");
    three.take_until(WELCOME.as_bytes());
    three.take_until(b"\n");
    one.until("joined\n");
    two.until("joined\n");
    one.enter("\u{4f60}\u{597d}\n");
    for line in [two.until("\n"), String::from_utf8(three.take_until(b"\n")).expect("UTF-8")] {
        assert!(line.starts_with("[20") && line.contains("] client1 (127.0.0.1:"), "{line}");
        assert!(line.ends_with("): \u{4f60}\u{597d}\n"), "{line}");
    }
    three.send("\u{6211}\u{5728}\n");
    one.until("): \u{6211}\u{5728}\n");
    two.until("): \u{6211}\u{5728}\n");
    // One ends its input, one says /quit, one vanishes.
    one.end_input();
    let end = one.end();
    assert_eq!((end.code, end.errors.as_str()), (Some(0), ""), "{}", end.output);
    two.until(") left\n");
    three.reset();
    two.until("left: the connection broke\n");
    two.enter("/quit\n");
    let end = two.end();
    assert_eq!(
        (end.code, end.output.as_str(), end.errors.as_str()),
        (Some(0), "You have left the chat room.\n", "")
    );
}

#[test]
fn talk_chat_gives_the_name_of_its_argument() {
    let site = Site::new();
    let (_server, address) = server(&site);
    let _one = join(address, "taken");
    let mut two = Talk::start(&["chat", &address.to_string(), "--name", "taken"]);
    two.until("Another member has that name.\nPlease enter your name: ");
    two.enter("free\nhello\n/who\n");
    two.until("2 members: taken");
    two.end_input();
    assert_eq!(two.end().code, Some(0));
}

#[test]
fn talk_chat_works_over_a_unix_socket() {
    let (site, dir) = (Site::new(), Site::empty());
    let path = format!("unix:{}", dir.at("chat.sock").display());
    let server = Server::with(&site, &["--chat", &path]);
    assert_eq!(server.lines[1], format!("chat+{path}"));
    let mut one = Talk::start(&["chat", &path, "--name", "client1"]);
    one.until("1 member: client1 (unix:)\n");
    let mut two = Talk::start(&["chat", &path, "--name", "client2"]);
    one.until("client2 (unix:) joined\n");
    two.enter("hello\n");
    one.until("client2 (unix:): hello\n");
}

#[test]
fn chat_works_with_nc() {
    let site = Site::new();
    let (_server, address) = server(&site);
    let mut command = Command::new("nc");
    command.args(["-N", "127.0.0.1", &address.port().to_string()]);
    let Ok(mut one) = Talk::run(command) else { return skip("nc is not installed") };
    one.until("Please enter your name: ");
    one.enter("client1\n");
    one.until("1 member: client1 (127.0.0.1:");
    let mut two = join(address, "client2");
    one.enter("hello\n");
    two.until("] client1 (127.0.0.1:");
    two.until("): hello\n");
    two.enter("/quit\n");
    assert_eq!(two.end().code, Some(0));
    one.until(") left\n");
    one.end_input();
    assert_eq!(one.end().code, Some(0));
}

#[test]
fn talk_chat_on_a_terminal_ends_with_control_d() {
    let site = Site::new();
    let (_server, address) = server(&site);
    let mut one = join(address, "client1");
    let mut two = Talk::on_terminal(&["chat", &address.to_string()]);
    two.until("Please enter your name: ");
    two.enter("client2\n");
    two.until("2 members: client1");
    one.enter("hello\n");
    two.until("): hello\r\n");
    two.enter("to all\n");
    one.until("): to all\n");
    two.enter("\x04");
    let end = two.end();
    assert_eq!((end.code, end.errors.as_str()), (Some(0), ""));
    one.until("client2 (");
    one.until(") left\n");
}

#[test]
fn chat_steps_are_traced() {
    let site = Site::new();
    let mut server = Server::with(&site, &["--chat", "127.0.0.1:0", "--trace"]);
    let mut one = join(server.addr_of("chat://"), "client1");
    let _two = join(server.addr_of("chat://"), "client2");
    one.enter(format!("{}/quit\n", "x\n".repeat(20)));
    assert_eq!(one.end().code, Some(0));
    server.signal(rustix::process::Signal::TERM);
    let mut trace = String::new();
    server.stderr().read_to_string(&mut trace).expect("read the trace");
    let mut rest = trace.as_str();
    for expected in [
        "c1 chat joined client1 members=1\n",
        "c2 chat joined client2 members=2\n",
        "c1 chat line 1 -> members=1 -- ",
        "c2 woken",
        "c1 chat slowed for=",
        "c1 chat left client1 members=1 why=done\n",
        "c2 chat left client2 members=0 why=shutdown\n",
    ] {
        let at = rest.find(expected).unwrap_or_else(|| panic!("no {expected:?} in {rest}"));
        rest = &rest[at..];
    }
}

#[test]
fn talk_chat_reports_a_server_that_goes_away() {
    let site = Site::new();
    let (server, address) = server(&site);
    let one = join(address, "client1");
    server.signal(rustix::process::Signal::TERM);
    let end = one.end();
    assert_eq!((end.code, end.output.as_str()), (Some(1), "The server is shutting down.\n"));
    assert_eq!(end.errors, format!("oneloop: {address} closed the connection; the chat is over\n"));
    drop(server);
    let end = Talk::start(&["chat", &address.to_string()]).end();
    assert_eq!(end.code, Some(1));
    assert_eq!(end.errors, format!("oneloop: cannot connect to {address}: connection refused\n"));
}

#[test]
fn talk_chat_shows_text_that_cannot_act_on_the_terminal() {
    let (listener, address) = listen();
    let mut talk = Talk::start(&["chat", &address]);
    let mut room = accept(&listener);
    for byte in "name: \x1b[2J\u{4f60}\u{9b}1m\r\n".as_bytes().iter().chain(b"\xff.\n") {
        room.write_all(&[*byte]).expect("send");
    }
    assert_eq!(talk.until(".\n"), "name: \\u{1b}[2J\u{4f60}\\u{9b}1m\n\\xff.\n");
    talk.end_input();
    assert_eq!(room.read(&mut [0]).expect("the end of input"), 0);
    drop(room);
    assert_eq!(talk.end().code, Some(0));
}

#[test]
fn talk_chat_sends_and_shows_much_at_once() {
    const MUCH: usize = 32 << 20;
    let (listener, address) = listen();
    let mut talk = Talk::start(&["chat", &address]);
    let mut room = accept(&listener);
    let line = format!("{}\n", "x".repeat(1023));
    let lines = line.repeat(MUCH / line.len());
    let (mut input, typed) = (talk.take_input(), lines.clone());
    let typist = thread::spawn(move || input.write_all(typed.as_bytes()).expect("type"));
    let shown = thread::spawn(move || talk.end());
    // The room reads nothing until it has written everything.
    room.set_write_timeout(Some(SOON)).expect("set a timeout");
    room.write_all(lines.as_bytes()).expect("the client reads while it sends");
    let mut received = Vec::new();
    room.read_to_end(&mut received).expect("read");
    drop(room);
    typist.join().expect("everything was typed");
    let end = shown.join().expect("the client ends");
    assert_eq!((end.code, received.len(), end.output.len()), (Some(0), lines.len(), lines.len()));
    assert!(received == lines.as_bytes() && end.output == lines);
}
