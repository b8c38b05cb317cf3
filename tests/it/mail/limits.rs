//! Limits, and input that tries to exceed them: sizes, recipients, errors, and smuggled messages.

use super::*;

/// A line of 100 bytes.
const LINE: &str =
    "0123456789 abcdefghijklmnopqrstuvwxyz 0123456789 abcdefghijklmnopqrstuvwxyz 0123456789 abcdefghijk\r\n";

#[test]
fn mail_has_a_size_limit_and_reads_past_a_larger_message() {
    let catcher = Catcher::with(&[]);
    let mut client = catcher.greeted();
    let chunk = LINE.repeat(10_000);
    catcher.server.wait_until_quiet();
    let before = catcher.server.resident();
    begin_message(&mut client, b"");
    for _ in 0..100 {
        client.send(&chunk); // 100 MB in total
    }
    let grown = catcher.server.resident().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes");
    client.send(".\r\n");
    assert_eq!(code(&mut client), 552);
    assert_eq!(command(&mut client, "MAIL FROM:<a@b> SIZE=10485761"), 552);
    // Exactly the limit.
    let limit = 10 << 20;
    let exact = LINE.repeat(limit / LINE.len()) + &"x".repeat(limit % LINE.len() - 2) + "\r\n";
    assert_eq!((exact.len(), send_message(&mut client, exact.as_bytes())), (limit, 250));
    assert_eq!(send_message(&mut client, format!("x{exact}").as_bytes()), 552);
    assert_eq!(catcher.messages().len(), 1);
}

#[test]
fn mail_box_that_is_full_refuses_new_messages_until_old_ones_are_deleted() {
    let catcher = Catcher::with(&[]);
    let mut client = catcher.greeted();
    let large = LINE.repeat(100_000);
    for _ in 0..6 {
        assert_eq!(send_message(&mut client, large.as_bytes()), 250);
    }
    assert_eq!(send_message(&mut client, large.as_bytes()), 452);
    assert_eq!(command(&mut client, "MAIL FROM:<a@b> SIZE=10000000"), 452);
    assert_eq!(send_message(&mut client, b"small\r\n"), 250);
    // A message that is arriving counts, until its connection is gone.
    let mut other = catcher.greeted();
    begin_message(&mut other, &large.as_bytes()[..7_000_000]);
    eventually("the other message counts", || {
        command(&mut client, "MAIL FROM:<a@b> SIZE=5000000") == 452 || command(&mut client, "RSET") != 250
    });
    other.reset();
    eventually("the other message is gone", || command(&mut client, "MAIL FROM:<a@b> SIZE=5000000") == 250);
    assert_eq!(command(&mut client, "RSET"), 250);
    let mut reader = catcher.reader();
    assert!(pop3(&mut reader, "DELE 1") && pop3(&mut reader, "QUIT"));
    reader.expect_close();
    assert_eq!(send_message(&mut client, large.as_bytes()), 250);
    assert_eq!(catcher.messages().len(), 7);
}

#[test]
fn mail_box_holds_a_thousand_messages() {
    let catcher = Catcher::with(&[]);
    let mut client = catcher.greeted();
    let one = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nSubject: x\r\n\r\n.\r\n";
    client.send(one.repeat(1000));
    for _ in 0..1000 {
        let codes = [code(&mut client), code(&mut client), code(&mut client), code(&mut client)];
        assert_eq!(codes, [250, 250, 354, 250]);
    }
    assert_eq!(command(&mut client, "MAIL FROM:<a@b>"), 452);
    assert_eq!(command(&mut client, "NOOP"), 250);
    let mut reader = catcher.reader();
    assert_eq!(pop3_lines(&mut reader, "LIST").lines().count(), 1000);
}

#[test]
fn mail_has_at_most_100_recipients_and_is_kept_once() {
    let catcher = Catcher::with(&[]);
    let mut client = catcher.greeted();
    assert_eq!(command(&mut client, "MAIL FROM:<a@b>"), 250);
    for number in 1..=100 {
        assert_eq!(command(&mut client, &format!("RCPT TO:<{number}@test>")), 250);
    }
    for _ in 0..30 {
        assert_eq!(command(&mut client, "RCPT TO:<more@test>"), 452); // not an error of the client
    }
    assert_eq!(command(&mut client, "DATA"), 354);
    assert_eq!(command(&mut client, "Subject: all\r\n."), 250);
    let mut reader = catcher.reader();
    let content = pop3_lines(&mut reader, "RETR 1");
    assert_eq!(content.matches("X-Envelope-To: <").count(), 100);
    assert_eq!(pop3_lines(&mut reader, "LIST").lines().count(), 1);
}

#[test]
fn mail_line_that_is_too_long_is_dropped() {
    let catcher = Catcher::with(&[]);
    let mut client = catcher.greeted();
    let long = "x".repeat(1 << 20);
    assert_eq!(command(&mut client, &format!("NOOP {long}")), 500);
    assert_eq!(command(&mut client, "NOOP"), 250);
    assert_eq!(command(&mut client, "AUTH LOGIN"), 334);
    assert_eq!(command(&mut client, &long), 500);
    assert_eq!(command(&mut client, "AUTH PLAIN"), 334);
    assert_eq!(command(&mut client, &format!("AHUA{}", "cGFz".repeat(2500))), 235);
}

#[test]
fn mail_session_ends_after_20_errors_in_a_row() {
    let catcher = Catcher::with(&[]);
    let mut client = catcher.greeted();
    for _ in 1..=19 {
        assert_eq!(command(&mut client, "FOO"), 500);
    }
    assert_eq!(command(&mut client, "NOOP"), 250);
    for _ in 1..=19 {
        assert_eq!(command(&mut client, "FOO"), 500);
    }
    assert_eq!(command(&mut client, "FOO"), 421);
    client.expect_close();
}

#[test]
fn mail_cannot_be_sent_or_deleted_by_a_web_page() {
    let catcher = Catcher::with(&[]);
    let head = "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\n\r\n";
    let mut client = catcher.smtp();
    client.send(format!("{head}HELO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nx\r\n.\r\n"));
    assert_eq!(code(&mut client), 421);
    client.expect_close();
    assert_eq!(send_message(&mut catcher.greeted(), b"mine\r\n"), 250);
    let mut client = catcher.pop3();
    client.send(format!("{head}USER a\r\nPASS b\r\nDELE 1\r\nQUIT\r\n"));
    assert!(!status(&mut client));
    client.expect_close();
    assert_eq!(catcher.messages(), ["mine\r\n"]);
}

#[test]
fn mail_that_ends_ambiguously_is_refused_at_once() {
    let catcher = Catcher::with(&[]);
    let smuggled = "\r\nMAIL FROM:<evil@test>\r\nRCPT TO:<c@d>\r\nDATA\r\nevil\r\n.\r\nQUIT\r\n";
    for end in ["\n.\n", "\n.\r\n", "\r\n.\n", "\r\n\n.\r\n"] {
        for is_apart in [false, true] {
            let mut client = catcher.greeted();
            begin_message(&mut client, b"Subject: first\r\n\r\nx");
            let rest = format!("{end}{smuggled}");
            let len = if is_apart { 1 } else { rest.len() };
            client.send_apart(&mut catcher.server.connect(), rest.as_bytes().chunks(len));
            let (code, texts) = reply(&mut client);
            assert!(code == 554 && texts[0].contains("CRLF"), "{code} {texts:?}");
            client.expect_close();
        }
    }
    // A person who types into nc learns after the dot what to do.
    let mut client = Client::connect(catcher.server.addr_of("smtp://"));
    client.send("HELO me\nMAIL FROM: <a@b>\nRCPT TO: <c@d>\nDATA\nSubject: typed\n\nhello\n.\n");
    let codes: Vec<u16> = (0..6).map(|_| code(&mut client)).collect();
    assert_eq!(codes, [220, 250, 250, 250, 354, 554]);
    client.expect_close();
    assert!(catcher.messages().is_empty());
}

#[test]
fn mail_lines_that_end_with_lf_are_kept_with_crlf_and_a_hint() {
    let catcher = Catcher::with(&[]);
    let mut client = catcher.greeted();
    begin_message(&mut client, b"Subject: unix\n\n..dot\nend\n\r\n.\r\n");
    let (code, texts) = reply(&mut client);
    assert!(code == 250 && texts[0].ends_with("CRLF, not LF"), "{code} {texts:?}");
    begin_message(&mut client, b"Subject: right\r\n.\r\n");
    let (code, texts) = reply(&mut client);
    assert!(code == 250 && !texts[0].contains("LF"), "{code} {texts:?}");
    let expected = ["Subject: unix\r\n\r\n.dot\r\nend\r\n\r\n", "Subject: right\r\n"];
    assert_eq!(catcher.messages(), expected);
}

#[test]
fn mail_does_not_end_at_a_carriage_return() {
    let catcher = Catcher::with(&[]);
    let smuggled = "\r\nMAIL FROM:<evil@test>\r\nRCPT TO:<c@d>\r\nDATA\r\nevil\r\n";
    let ends = ["\r.\r", "\r.\r\n", "\r\n.\r", "\r\n.\r\r\n", "\0.\r\n"];
    for end in ends {
        let mut client = catcher.greeted();
        begin_message(&mut client, format!("Subject: first\r\n\r\nx{end}{smuggled}.\r\n").as_bytes());
        assert_eq!(code(&mut client), 250);
        assert_eq!(command(&mut client, "QUIT"), 221);
        client.expect_close();
    }
    let messages = catcher.messages();
    assert_eq!(messages.len(), ends.len());
    assert!(messages.iter().all(|message| message.ends_with("\r\nevil\r\n")), "{messages:?}");
}
