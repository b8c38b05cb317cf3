//! `oneloop talk tcp --framing`: where a message in a byte stream ends.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
};

use crate::common::*;

/// Starts a client with this framing, and returns it and the peer's side of its connection.
fn talk(framing: &str) -> (Talk, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let address = listener.local_addr().expect("read its address").to_string();
    let talk = Talk::start(&["tcp", &address, "--framing", framing]);
    let (peer, _) = listener.accept().expect("accept");
    peer.set_read_timeout(Some(SOON)).expect("set a timeout");
    (talk, peer)
}

/// Reads until the client ends its output.
fn rest(peer: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    peer.read_to_end(&mut rest).expect("read");
    rest
}

#[test]
fn framing_delimits_each_line_that_is_sent() {
    let table: [(&str, &[u8]); 3] = [
        ("none", b"one\r\n\ntwo"),
        ("lines", b"one\n\ntwo\n"),
        ("length", b"\0\0\0\x03one\0\0\0\0\0\0\0\x03two"),
    ];
    for (framing, expected) in table {
        let (mut talk, mut peer) = talk(framing);
        for byte in b"one\r\n\ntwo" {
            talk.enter([*byte]);
        }
        talk.end_input();
        assert_eq!(rest(&mut peer), expected, "{framing}");
        drop(peer);
        let end = talk.end();
        assert_eq!((end.code, end.output.as_str(), end.errors.as_str()), (Some(0), "", ""), "{framing}");
    }
}

#[test]
fn framing_shows_each_message_as_a_line() {
    let table: [(&str, &[u8], &str); 4] = [
        ("none", b"one\r\ntwo", "one\r\ntwo"),
        ("lines", b"one\r\n\ntwo", "one\n\ntwo\n"),
        ("length", b"\0\0\0\x03one\0\0\0\0\0\0\0\x03a\nb", "one\n\na\\nb\n"),
        ("length", b"", ""),
    ];
    for (framing, sent, expected) in table {
        for step in [1, sent.len().max(1)] {
            let (talk, mut peer) = talk(framing);
            sent.chunks(step).for_each(|piece| peer.write_all(piece).expect("send"));
            peer.shutdown(Shutdown::Write).expect("half-close");
            let end = talk.end();
            let got = (end.code, end.output.as_str(), end.errors.as_str());
            assert_eq!(got, (Some(0), expected, ""), "{framing}, pieces of {step}");
        }
    }
}

#[test]
fn framing_survives_an_echo() {
    let site = Site::new();
    let server = Server::with(&site, &["--tcp-echo", "127.0.0.1:0"]);
    let address = &server.addr_of("tcp://").to_string();
    let text: String = (0..2000).map(|n| format!("message {n}\n")).collect();
    for framing in ["none", "lines", "length"] {
        let mut talk = Talk::start(&["tcp", address, "--framing", framing]);
        talk.enter(&text);
        talk.end_input();
        let end = talk.end();
        assert_eq!((end.code, end.errors.as_str()), (Some(0), ""), "{framing}");
        assert!(end.output == text, "{framing}: {}", lossy(end.output.as_bytes()));
    }
}

#[test]
fn framing_refuses_messages_that_are_too_long() {
    // The lines before the long one are sent.
    let (mut talk_, mut peer) = talk("length");
    let mut typed = talk_.take_input();
    let typist = std::thread::spawn(move || {
        typed.write_all(b"one\n").and_then(|()| typed.write_all(&[b'x'; 65_533])).expect("type");
        typed
    });
    assert_eq!(rest(&mut peer), b"\0\0\0\x03one");
    drop(peer);
    let end = talk_.end();
    assert_eq!(end.code, Some(1));
    assert_eq!(
        end.errors,
        "oneloop: a line of standard input is longer than 65532 bytes; use --framing none\n"
    );
    drop(typist.join());
    // A peer that uses another framing, and one that ends within a frame.
    let table: [(&[u8], &str); 2] = [(b"\0\0\0\x02okHTTP/1.1 200 OK\r\n", "ok\n"), (b"\0\0\0\x05part", "")];
    for (sent, shown) in table {
        let (talk, mut peer) = talk("length");
        let address = peer.local_addr().expect("read its address");
        peer.write_all(sent).expect("send");
        peer.shutdown(Shutdown::Write).expect("half-close");
        let end = talk.end();
        assert_eq!((end.code, end.output.as_str()), (Some(1), shown));
        let what = "sent something other than whole messages of at most 65532 bytes; try another --framing";
        assert_eq!(end.errors, format!("oneloop: {address} {what}\n"));
    }
}
