//! Whole dialogues: the dialogues of the course notes, and others with errors and with AUTH. Each
//! one arrives line by line, byte by byte, or at once, and gets the same replies.

use std::{io::Write, os::unix::net::UnixStream};

use super::*;

/// What the client sends, and the code of the reply that follows, or 0 if none does.
type Dialogue<'a> = &'a [(&'a str, u16)];

/// A plain message (notes 000).
const PLAIN: Dialogue<'_> = &[
    ("HELO thuctap.net\r\n", 250),
    ("MAIL FROM: <ptphi@thuctap.net> \r\n", 250),
    ("RCPT TO: <nchuy@cit.ctu.edu.vn> \r\n", 250),
    ("DATA\r\n", 354),
    ("from: ptphi@thuctap.net\r\n", 0),
    ("to: nchuy@cit.ctu.edu.vn\r\n", 0),
    ("subject: It\u{2019}s Xmast!\r\n", 0),
    ("\r\n", 0),
    ("So I hope you a merry Xmas and a happy new year!\r\n", 0),
    (".\r\n", 250),
    ("QUIT \r\n", 221),
];

/// Another plain message, with other cases (notes 002).
const SIMPLE: Dialogue<'_> = &[
    ("Helo TsinghuaMail\r\n", 250),
    ("MAIL FROM:<peng-c20@mails.tsinghua.edu.cn>\r\n", 250),
    ("RCPT TO:<peng-c20@mails.tsinghua.edu.cn>\r\n", 250),
    ("DATA\r\n", 354),
    ("DATE: Wednesday, November 16, 2022 at 1:00:04 AM China Standard Time\r\n", 0),
    ("From:peng-c20@mails.tsinghua.edu.cn\r\n", 0),
    ("SUBJECT:ADMISSION\r\n", 0),
    ("\r\n", 0),
    ("Congratulations on your admission to our school!\r\n", 0),
    (".\r\n", 250),
    ("QUIT\r\n", 221),
];

/// A message after AUTH LOGIN (notes 002).
const AUTHENTICATED: Dialogue<'_> = &[
    ("HELO TsinghuaMail\r\n", 250),
    ("Auth Login\r\n", 334),
    ("cGVuZy1jMjA=\r\n", 334),
    ("YWJjZGVmMTIz\r\n", 235),
    ("MAIL FROM: <peng-c20@mails.tsinghua.edu.cn>\r\n", 250),
    ("RCPT TO:<peng_c0@126.com>\r\n", 250),
    ("DATA\r\n", 354),
    ("DATE: Wednesday, November 16, 2022 at 1:19:25 AM China Standard Time\r\n", 0),
    ("From:peng-c20@mails.tsinghua.edu.cn\r\n", 0),
    ("To:peng_c0@126.com\r\n", 0),
    ("SUBJECT: Admission\r\n", 0),
    ("\r\n", 0),
    ("Congratulations on your admission to Jialidun Univ!\r\n", 0),
    (".\r\n", 250),
    ("QUIT\r\n", 221),
];

/// Errors, which keep the session and a message that has begun.
const ERRORS: Dialogue<'_> = &[
    ("MAIL FROM:<a@b>\r\n", 503),
    ("RCPT TO:<a@b>\r\n", 503),
    ("DATA\r\n", 503),
    ("AUTH LOGIN\r\n", 503),
    ("EHLO\r\n", 501),
    ("EHLO me\r\n", 250),
    ("what\r\n", 500),
    ("STARTTLS\r\n", 502),
    ("EXPN list\r\n", 502),
    ("VRFY someone\r\n", 252),
    ("HELP\r\n", 214),
    ("DATA\r\n", 503),
    ("RCPT TO:<a@b>\r\n", 503),
    ("MAIL FROM:<a@b> SIZE=10485761\r\n", 552),
    ("MAIL FROM:<a@b> FOO=1\r\n", 555),
    ("MAIL FROM:<a@b> SIZE=10485760 BODY=8BITMIME\r\n", 250),
    ("MAIL FROM:<c@d>\r\n", 503),
    ("AUTH PLAIN AGEAYg==\r\n", 503),
    ("DATA\r\n", 503),
    ("RCPT TO:<>\r\n", 501),
    ("RCPT TO:<c@d> FOO=1\r\n", 555),
    ("NOOP\r\n", 250),
    ("RCPT TO:<c@d>\r\n", 250),
    ("RCPT TO:<e@f>\n", 250),
    ("DATA\r\n", 354),
    ("..dot\r\n", 0),
    (".\r\n", 250),
    ("DATA\r\n", 503),
    ("MAIL FROM:<a@b>\r\n", 250),
    ("RCPT TO:<c@d>\r\n", 250),
    ("RSET\r\n", 250),
    ("DATA\r\n", 503),
    ("MAIL FROM:<>\r\n", 250),
    ("EHLO again\r\n", 250),
    ("RCPT TO:<c@d>\r\n", 503),
    ("QUIT\r\n", 221),
];

/// AUTH in all its forms.
const AUTH: Dialogue<'_> = &[
    ("EHLO me\r\n", 250),
    ("AUTH\r\n", 504),
    ("AUTH CRAM-MD5\r\n", 504),
    ("AUTH LOGIN\r\n", 334),
    ("*\r\n", 501),
    ("AUTH LOGIN dXNlcg==\r\n", 334),
    ("*\r\n", 501),
    ("AUTH LOGIN\r\n", 334),
    ("not base64\r\n", 501),
    ("AUTH PLAIN\r\n", 334),
    ("*\r\n", 501),
    ("AUTH PLAIN dXNlcg==\r\n", 501),
    ("NOOP\r\n", 250),
    ("AUTH PLAIN\r\n", 334),
    ("AHVzZXIAcGFzcw==\r\n", 235),
    ("AUTH PLAIN AHVzZXIAcGFzcw==\r\n", 503),
    ("QUIT\r\n", 221),
];

/// Holds `dialogue` with `catcher`, with the input cut into lines, into bytes, or not at all.
/// Asserts that the codes are as expected and that the server closes the connection.
fn hold(catcher: &Catcher, dialogue: Dialogue<'_>, is_apart: bool) {
    let mut client = catcher.smtp();
    let mut probe = catcher.server.connect();
    for (line, expected) in dialogue {
        let len = if is_apart { 1 } else { line.len() };
        client.send_apart(&mut probe, line.as_bytes().chunks(len));
        if *expected != 0 {
            assert_eq!(code(&mut client), *expected, "{line:?}");
        }
    }
    client.expect_close();
}

/// Sends all of `dialogue` at once, and then reads the replies.
fn pipeline(catcher: &Catcher, dialogue: Dialogue<'_>) {
    let mut client = catcher.smtp();
    client.send(dialogue.iter().map(|(line, _)| *line).collect::<String>());
    for (line, expected) in dialogue.iter().filter(|(_, expected)| *expected != 0) {
        assert_eq!(code(&mut client), *expected, "{line:?}");
    }
    client.expect_close();
}

/// Returns the lines that are the content of the message in `dialogue`.
fn content(dialogue: Dialogue<'_>) -> String {
    let lines = dialogue.iter().filter(|(line, code)| *code == 0 && *line != ".\r\n");
    lines.map(|(line, _)| line.strip_prefix('.').unwrap_or(line)).collect()
}

#[test]
fn mail_dialogues_have_the_same_replies_however_they_arrive() {
    let catcher = Catcher::with(&[]);
    let dialogues = [PLAIN, SIMPLE, AUTHENTICATED, ERRORS, AUTH];
    for dialogue in dialogues {
        hold(&catcher, dialogue, false);
        hold(&catcher, dialogue, true);
        pipeline(&catcher, dialogue);
    }
    let expected: Vec<String> =
        dialogues[..4].iter().flat_map(|dialogue| vec![content(dialogue); 3]).collect();
    assert_eq!(catcher.messages(), expected);
}

/// A POP3 session (notes 000), with the first words of the responses.
const SESSION: &[(&str, &str)] = &[
    ("user nchuy", "+OK "),
    ("pass abcdef123", "+OK 2 messages ("),
    ("List", "+OK 2 messages ("),
    ("", "1 "),
    ("", "2 "),
    ("", "."),
    ("Retr 1", "+OK "),
    ("", "Return-Path: <peng-c20@mails.tsinghua.edu.cn>"),
    ("", "X-Envelope-To: <peng-c20@mails.tsinghua.edu.cn>"),
    ("", "Received: from TsinghuaMail ([127.0.0.1])"),
    ("", "\tby localhost with SMTP; "),
    ("", "DATE: Wednesday"),
    ("", "From:peng-c20"),
    ("", "SUBJECT:ADMISSION"),
    ("", ""),
    ("", "Congratulations on your admission to our school!"),
    ("", "."),
    ("Dele 1", "+OK "),
    ("Dele 2", "+OK "),
    ("Quit", "+OK "),
];

#[test]
fn mail_session_of_the_notes_reads_and_deletes() {
    let catcher = Catcher::with(&[]);
    let mut probe = catcher.server.connect();
    let commands = || SESSION.iter().map(|(command, _)| *command).filter(|command| !command.is_empty());
    let all: String = commands().map(|command| format!("{command}\r\n")).collect();
    // Line by line, byte by byte, and at once.
    for len in [100, 1, all.len()] {
        hold(&catcher, SIMPLE, false);
        hold(&catcher, PLAIN, false);
        let mut client = catcher.pop3();
        if len == all.len() {
            client.send(&all);
        }
        for (command, expected) in SESSION {
            if len != all.len() && !command.is_empty() {
                client.send_apart(&mut probe, format!("{command}\r\n").as_bytes().chunks(len));
            }
            let line = lossy(&client.take_until(b"\r\n"));
            assert!(line.starts_with(expected), "{command:?} {line:?}, not {expected:?}");
        }
        client.expect_close();
        assert!(catcher.messages().is_empty());
    }
}

#[test]
fn mail_over_a_unix_socket() {
    let site = Site::new();
    let path = site.at("mail.sock");
    let address = format!("unix:{}", path.display());
    let _server = Server::with(&site, &["--smtp", &address]);
    let mut socket = UnixStream::connect(path).expect("connect");
    let text: String = PLAIN.iter().map(|(line, _)| *line).collect();
    socket.write_all(text.as_bytes()).expect("send");
    let mut replies = String::new();
    std::io::Read::read_to_string(&mut socket, &mut replies).expect("read");
    let codes: Vec<&str> = replies.lines().map(|line| &line[..3]).collect();
    assert_eq!(codes, ["220", "250", "250", "250", "354", "250", "221"]);
}
