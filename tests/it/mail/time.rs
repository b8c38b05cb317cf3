//! Timeouts and shutdown, on a clock that the test controls.

use std::{
    io::Write,
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use oneloop::{
    MailLimits, Mailbox, Maildir, Pop3Service, SmtpService, StreamListener,
    protocol::{CloseReason, ProtocolFactory},
    trace::{SourceId, Step},
};

use super::*;

/// Adds a mail service to the server. Returns its address.
fn add(rig: &mut Rig, service: impl ProtocolFactory + 'static) -> SocketAddr {
    let any_port = "127.0.0.1:0".parse().expect("an address");
    let listener = StreamListener::tcp(any_port).expect("listen");
    let address = listener.address().ip().expect("an IP address");
    rig.server.add_listener(listener, service).expect("add a listener");
    address
}

/// A recorded server with SMTP and POP3, and the addresses of both.
fn rig() -> (Site, Rig, SocketAddr, SocketAddr) {
    let site = Site::new();
    let mut rig = Rig::recorded(Rig::config(&site));
    let mailbox = Mailbox::in_memory(MailLimits::default());
    let smtp = add(&mut rig, SmtpService::new(mailbox.clone()));
    let pop3 = add(&mut rig, Pop3Service::new(mailbox));
    (site, rig, smtp, pop3)
}

/// Opens a connection, sends `input`, and runs turns until `expected` has arrived.
fn talk(rig: &mut Rig, address: SocketAddr, input: &str, expected: &str) -> TcpStream {
    let mut peer = TcpStream::connect(address).expect("connect");
    peer.set_nonblocking(true).expect("set non-blocking");
    peer.write_all(input.as_bytes()).expect("send");
    await_text(rig, &mut peer, expected);
    peer
}

/// Runs turns until `expected` has arrived.
fn await_text(rig: &mut Rig, peer: &mut TcpStream, expected: &str) {
    let mut got = Vec::new();
    rig.turn_until(expected, |_| {
        got.extend(received(peer));
        lossy(&got).contains(expected)
    });
}

fn closed(steps: &[(SourceId, Step)]) -> Option<CloseReason> {
    steps.iter().find_map(|(_, step)| match step {
        Step::Closed { reason, .. } => Some(*reason),
        _ => None,
    })
}

#[test]
fn mail_client_that_is_idle_for_five_minutes_gets_421() {
    let transaction = "EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n";
    let whole = |rest| format!("{transaction}{rest}");
    for (input, expected, reason) in [
        (String::new(), "220 ", CloseReason::IdleTimeout),
        ("EHLO a\r\nNOO".into(), "AUTH LOGIN PLAIN\r\n", CloseReason::HeadTimeout),
        (whole(""), "354 ", CloseReason::IdleTimeout),
        (whole("Subject: half a"), "354 ", CloseReason::TooSlow),
    ] {
        let (_site, mut rig, smtp, _) = rig();
        let mut peer = talk(&mut rig, smtp, &input, expected);
        rig.turn();
        rig.advance(Duration::from_secs(299));
        assert_eq!(closed(&rig.turn()), None, "{input:?}");
        rig.advance(Duration::from_secs(1));
        await_text(&mut rig, &mut peer, "421 ");
        drop(peer);
        let steps = rig.turn_until("closed", |steps| closed(steps).is_some());
        assert_eq!(closed(&steps), Some(reason), "{input:?}");
    }
}

/// A line that is too long is dropped as it arrives, and must end in time as well.
#[test]
fn mail_command_byte_by_byte_does_not_extend_its_time() {
    for begun in [0, 20_000] {
        let (_site, mut rig, smtp, _) = rig();
        let mut peer = talk(&mut rig, smtp, "EHLO a\r\n", "AUTH LOGIN PLAIN\r\n");
        peer.write_all(&vec![b'x'; begun]).expect("send");
        for _ in 0..30 {
            let _ = peer.write_all(b"x");
            rig.advance(Duration::from_secs(11));
            rig.turn();
        }
        await_text(&mut rig, &mut peer, "421 ");
    }
}

#[test]
fn mail_message_below_the_minimum_rate_does_not_extend_its_time() {
    let (_site, mut rig, smtp, _) = rig();
    let transaction = "EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n";
    let mut peer = talk(&mut rig, smtp, transaction, "354 ");
    for _ in 0..30 {
        let _ = peer.write_all(b"a line\r\n");
        rig.advance(Duration::from_secs(11));
        rig.turn();
    }
    await_text(&mut rig, &mut peer, "421 localhost closes the connection: the message arrives too slowly");
    drop(peer);
    let steps = rig.turn_until("closed", |steps| closed(steps).is_some());
    assert_eq!(closed(&steps), Some(CloseReason::TooSlow));
}

/// A person who types a message has five minutes, and a slow client any time.
#[test]
fn mail_message_at_the_minimum_rate_has_time_for_each_piece() {
    let (_site, mut rig, smtp, _) = rig();
    let transaction = "EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n";
    let mut peer = talk(&mut rig, smtp, transaction, "354 ");
    for _ in 0..5 {
        let (piece, mut taken) = (b"a line, without".repeat(256 * 300 / 15), 0);
        peer.write_all(&piece).expect("send");
        rig.turn_until("the piece", |steps| {
            taken = steps
                .iter()
                .map(|(_, step)| match step {
                    Step::Understood { len, .. } => *len,
                    _ => 0,
                })
                .sum();
            taken >= piece.len()
        });
        rig.advance(Duration::from_secs(290));
        rig.turn();
    }
    peer.write_all(b" its end\r\n.\r\n").expect("send");
    await_text(&mut rig, &mut peer, "250 ");
}

#[test]
fn pop3_client_that_is_idle_for_ten_minutes_is_logged_out() {
    let (_site, mut rig, smtp, pop3) = rig();
    let message = "EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n";
    talk(&mut rig, smtp, message, "221 ");
    let login = "USER a\r\nPASS b\r\n";
    let mut peer = talk(&mut rig, pop3, &format!("{login}DELE 1\r\n"), "+OK message 1 is marked");
    rig.turn();
    rig.advance(Duration::from_secs(599));
    rig.turn();
    talk(&mut rig, pop3, login, "-ERR [IN-USE]");
    rig.advance(Duration::from_secs(1));
    rig.turn_until("logged out", |steps| {
        let is_timeout = |step: &Step| matches!(step, Step::Closed { reason: CloseReason::IdleTimeout, .. });
        steps.iter().any(|(_, step)| is_timeout(step))
    });
    assert!(received(&mut peer).is_empty());
    // The message that was marked is still there.
    talk(&mut rig, pop3, login, "+OK 1 messages (");
}

#[test]
fn mail_client_gets_421_at_shutdown() {
    let (_site, mut rig, smtp, pop3) = rig();
    let mut sender = talk(&mut rig, smtp, "EHLO a\r\nMAIL FROM:<a@b>\r\n", "250 OK");
    let mut reader = talk(&mut rig, pop3, "USER a\r\nPASS b\r\n", "+OK 0 messages");
    rig.server.event_loop().drain();
    await_text(&mut rig, &mut sender, "421 localhost is shutting down");
    drop(sender);
    rig.turn_until("drained", |_| true);
    assert!(received(&mut reader).is_empty());
    let mut turns = 0;
    while !rig.event_loop().is_drained() {
        rig.advance(Duration::from_secs(1));
        rig.turn();
        turns += 1;
        assert!(turns < 10_000, "the loop does not end");
    }
}

/// Storing on a disk blocks the loop, so the other messages wait for the next turns. No reply is
/// lost.
#[test]
fn mail_stores_one_message_per_turn() {
    let (dir, site) = (tempfile::tempdir().expect("a directory"), Site::new());
    let mut rig = Rig::recorded(Rig::config(&site));
    let maildir = Maildir::open(dir.path(), std::time::SystemTime::now()).expect("open");
    let mailbox = Mailbox::in_maildir(maildir, MailLimits::default()).expect("an empty mailbox");
    let smtp = add(&mut rig, SmtpService::new(mailbox.clone()));
    let mut peers: Vec<TcpStream> = (0..20)
        .map(|_| talk(&mut rig, smtp, "EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n", "354 "))
        .collect();
    peers.iter_mut().for_each(|peer| peer.write_all(b"x\r\n.\r\n").expect("send"));
    let mut counts = Vec::new();
    while mailbox.totals().0 < peers.len() {
        let before = mailbox.totals().0;
        rig.turn();
        counts.push(mailbox.totals().0 - before);
        assert!(counts.len() < 10_000, "no message is stored");
    }
    assert!(counts.iter().all(|count| *count <= 1), "{counts:?}");
    for peer in &mut peers {
        await_text(&mut rig, peer, "250 OK: the message is kept as ");
    }
}
