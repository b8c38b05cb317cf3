//! POP3: the mailbox as one reader sees it.

use super::*;

#[test]
fn pop3_reader_sees_a_snapshot_and_deletes_with_quit_only() {
    let catcher = Catcher::with(&[]);
    let mut sender = catcher.greeted();
    for content in ["A: 1\r\n\r\none\r\n", "A: 2\r\n\r\ntwo\r\n", "A: 3\r\n\r\nthree\r\n"] {
        assert_eq!(send_message(&mut sender, content.as_bytes()), 250);
    }
    let mut reader = catcher.reader();
    assert_eq!(send_message(&mut sender, b"A: 4\r\n"), 250);
    let ids = pop3_lines(&mut reader, "UIDL");
    assert_eq!(ids.lines().count(), 3, "{ids}");
    assert!(pop3(&mut reader, "DELE 2") && !pop3(&mut reader, "DELE 2") && !pop3(&mut reader, "RETR 2"));
    assert!(!pop3(&mut reader, "LIST 2") && !pop3(&mut reader, "TOP 2 0") && !pop3(&mut reader, "RETR 4"));
    let left = pop3_lines(&mut reader, "LIST");
    assert_eq!(left.lines().map(|line| &line[..2]).collect::<Vec<_>>(), ["1 ", "3 "]);
    assert!(pop3(&mut reader, "RSET") && pop3(&mut reader, "LIST 2"));
    assert!(pop3(&mut reader, "DELE 1"));
    drop(reader); // without QUIT
    eventually("the lock ends", || {
        let mut client = catcher.pop3();
        pop3(&mut client, "USER a") && pop3(&mut client, "PASS b")
    });
    assert_eq!(catcher.messages().len(), 4);
    let mut reader = catcher.reader();
    assert_eq!(&pop3_lines(&mut reader, "UIDL")[..ids.len()], ids);
    assert!(pop3(&mut reader, "DELE 1") && pop3(&mut reader, "DELE 3") && pop3(&mut reader, "QUIT"));
    reader.expect_close();
    assert_eq!(catcher.messages(), ["A: 2\r\n\r\ntwo\r\n", "A: 4\r\n"]);
}

#[test]
fn pop3_has_one_reader_at_a_time() {
    let catcher = Catcher::with(&[]);
    let mut first = catcher.reader();
    let mut second = catcher.pop3();
    assert!(pop3(&mut second, "USER any"));
    second.send("PASS any\r\n");
    assert!(second.take_until(b"\r\n").starts_with(b"-ERR [IN-USE] "));
    assert!(!pop3(&mut second, "STAT"));
    assert!(pop3(&mut first, "QUIT"));
    first.expect_close();
    assert!(pop3(&mut second, "USER any") && pop3(&mut second, "PASS any") && pop3(&mut second, "STAT"));
}

#[test]
fn pop3_mailbox_is_free_when_quit_is_answered() {
    let catcher = Catcher::with(&[]);
    let mut first = catcher.reader();
    // The server closes the connection later, because it has not read everything.
    first.send("QUIT\r\nNOOP\r\n");
    assert!(status(&mut first));
    catcher.reader();
}

#[test]
fn pop3_errors_keep_the_session() {
    let catcher = Catcher::with(&[]);
    let mut client = catcher.pop3();
    for line in ["STAT", "RETR 1", "PASS any", "APOP a b", "AUTH PLAIN", "USER", "STLS", "", "NOOP"] {
        assert!(!pop3(&mut client, line), "{line:?} before the login");
    }
    let long = format!("USER {}", "a".repeat(100_000));
    assert!(!pop3(&mut client, &long));
    assert!(pop3_lines(&mut client, "CAPA").contains("UIDL\r\n"));
    assert!(pop3(&mut client, "USER a b") && pop3(&mut client, "PASS with  spaces"));
    for line in ["USER a", "PASS a", "RETR 1", "RETR", "LIST 0", "DELE x", "TOP 1", "FOO"] {
        assert!(!pop3(&mut client, line), "{line:?}");
    }
    assert!(pop3(&mut client, "NOOP") && pop3(&mut client, "STAT"));
    assert_eq!(pop3_lines(&mut client, "LIST"), "");
    for _ in 1..=20 {
        assert!(!pop3(&mut client, "FOO"));
    }
    client.expect_close();
}

#[test]
fn pop3_stuffs_dots_and_sends_the_beginning() {
    let catcher = Catcher::with(&[]);
    let mut sender = catcher.greeted();
    begin_message(&mut sender, b"A: b\r\n\r\n..1\r\n2\r\n...\r\n.\r\n");
    assert_eq!(code(&mut sender), 250);
    let mut reader = catcher.reader();
    assert_eq!(message(&mut reader, 1), "A: b\r\n\r\n.1\r\n2\r\n..\r\n");
    for (lines, end) in [(0, "A: b\r\n\r\n"), (1, "\r\n.1\r\n"), (2, "\r\n2\r\n"), (99, "2\r\n..\r\n")] {
        let top = pop3_lines(&mut reader, &format!("TOP 1 {lines}"));
        assert!(top.starts_with("Return-Path: <from@test>\r\n") && top.ends_with(end), "{lines}: {top}");
    }
    reader.send("RETR 1\r\n");
    let first = lossy(&reader.take_until(b"\r\n"));
    let octets: usize = first.split(' ').nth(1).and_then(|n| n.parse().ok()).expect("a number");
    let sent = reader.take_until(b"\r\n.\r\n");
    assert!(sent.ends_with(b"\r\n\r\n..1\r\n2\r\n...\r\n.\r\n"), "{:?}", lossy(&sent));
    // The two dots that POP3 adds, and the line with only a dot, do not count.
    assert_eq!(sent.len(), octets + 2 + ".\r\n".len());
}

#[test]
fn pop3_message_is_not_copied_for_a_client_that_does_not_read() {
    let catcher = Catcher::with(&[]);
    let mut sender = catcher.greeted();
    let content = ".234567\r\n".repeat(1_000_000);
    assert_eq!(send_message(&mut sender, format!(".{}", content.replace("\n.", "\n..")).as_bytes()), 250);
    catcher.server.wait_until_quiet();
    let before = catcher.server.resident();
    let mut reader = Client::narrow(catcher.server.addr_of("pop3://"));
    reader.send("USER a\r\nPASS b\r\n".to_owned() + &"RETR 1\r\n".repeat(5) + "QUIT\r\n");
    catcher.server.wait_until_quiet();
    let grown = catcher.server.resident().saturating_sub(before);
    assert!(grown < 2 << 20, "{grown} bytes");
    assert_eq!(catcher.server.get("/hello.txt").text(), "hello\n");
    let all = reader.rest();
    assert_eq!(memchr::memmem::find_iter(&all, "\r\n.\r\n").count(), 5);
    assert!(all.len() > 5 * content.len() && all.ends_with(b"+OK bye\r\n"));
}

#[test]
fn pop3_removes_many_messages_with_one_quit() {
    let dir = tempfile::tempdir().expect("a directory");
    for number in 0..300 {
        std::fs::create_dir_all(dir.path().join("cur")).expect("create");
        let name = format!("cur/{}.M1P1Q{number}.host:2,S", 1_700_000_000 + number);
        std::fs::write(dir.path().join(name), format!("Subject: {number}\n\n.\n")).expect("write");
    }
    let catcher = Catcher::in_dir(dir.path());
    let mut reader = catcher.reader();
    assert_eq!(pop3_lines(&mut reader, "RETR 3"), "Subject: 2\r\n\r\n.\r\n");
    for number in (1..=300).filter(|number| number % 3 != 0) {
        assert!(pop3(&mut reader, &format!("DELE {number}")));
    }
    assert!(pop3(&mut reader, "QUIT"));
    reader.expect_close();
    assert_eq!(std::fs::read_dir(dir.path().join("cur")).expect("cur").count(), 100);
    let mut reader = catcher.reader();
    assert_eq!(pop3_lines(&mut reader, "RETR 100"), "Subject: 299\r\n\r\n.\r\n");
}

#[test]
fn pop3_reports_messages_that_it_cannot_remove() {
    let dir = tempfile::tempdir().expect("a directory");
    let catcher = Catcher::in_dir(dir.path());
    let mut sender = catcher.greeted();
    for content in ["one\r\n", "two\r\n", "three\r\n"] {
        assert_eq!(send_message(&mut sender, content.as_bytes()), 250);
    }
    let mut reader = catcher.reader();
    let ids = pop3_lines(&mut reader, "UIDL");
    let second = ids.lines().nth(1).and_then(|line| line.split(' ').nth(1)).expect("an ID");
    // A directory in place of a file cannot be unlinked, not even by root.
    let file = dir.path().join("new").join(second);
    std::fs::remove_file(&file).expect("the name of the file is the ID");
    std::fs::create_dir(&file).expect("create");
    assert!((1..=3).all(|number| pop3(&mut reader, &format!("DELE {number}"))));
    reader.send("QUIT\r\n");
    assert!(reader.take_until(b"\r\n").starts_with(b"-ERR [SYS/TEMP] "));
    reader.expect_close();
    assert_eq!(catcher.messages(), ["two\r\n"]);
}
