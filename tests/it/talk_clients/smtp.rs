//! `oneloop talk smtp` against servers that follow a dialogue.

use std::io::Write;

use crate::common::PseudoTerminal;

use super::{Pace, Talked, converse, follow, talk, talk_command, talk_with_input, talked};

/// A dialogue of a sockets course. The server is old and knows no EHLO.
const COURSE: &str = "\
S: 220 cit.ctu.edu.vn
C: EHLO thuctap.net
S: 500 What?
C: HELO thuctap.net
S: 250 cit.ctu.edu.vn says hello to thuctap.net
C: MAIL FROM:<ptphi@thuctap.net>
S: 250 Sender ok
C: RCPT TO:<nchuy@cit.ctu.edu.vn>
S: 250 Recipient ok
C: DATA
S: 354 Enter mail, end with \".\" on a line by itself
C: from: ptphi@thuctap.net
C: to: nchuy@cit.ctu.edu.vn
C: subject: It\u{2019}s Xmast!
C:
C: So I hope you a merry Xmas and a happy new year!
C: .
S: 250 Message accepted for delivery
C: QUIT
S: 221 Bye-Bye
";

/// A dialogue of a sockets course with AUTH LOGIN.
const COURSE_LOGIN: &str = "\
S: 220 TsinghuaMailServer ESMTP mail service ready
C: EHLO mails.tsinghua.edu.cn
S: 250-mail
S: 250-PIPELINING
S: 250-AUTH LOGIN PLAIN
S: 250 8BITMIME
C: AUTH LOGIN
S: 334 dXNlcm5hbWU6
C: cGVuZy1jMjA=
S: 334 UGFzc3dvcmQ6
C: c2VjcmV0
S: 235 Authentication successful
C: MAIL FROM:<peng-c20@mails.tsinghua.edu.cn>
S: 250 Mail OK
C: RCPT TO:<peng_c0@126.com>
S: 250 Mail OK
C: RCPT TO:<b@y>
S: 251 Mail OK
C: DATA
S: 354 End data with <CR><LF>.<CR><LF>
C: DATE: Wednesday, November 16, 2022 at 1:19:25 AM China Standard Time
C: SUBJECT: Admission
C:
C: ..a line with a dot
C: Congratulations on your admission to Jialidun Univ!
C: .
S: 250 Mail OK queued as yQQGZQAXo5YmznNjUabfAg--.23982S2
C: QUIT
S: 221 Bye
";

#[test]
fn smtp_follows_the_dialogue_of_the_course() {
    let message = "from: ptphi@thuctap.net\nto: nchuy@cit.ctu.edu.vn\nsubject: It\u{2019}s Xmast!\n\n\
                   So I hope you a merry Xmas and a happy new year!\n";
    let talked = converse(COURSE, |address| {
        let args = ["smtp", address, "--from", "ptphi@thuctap.net", "--to", "nchuy@cit.ctu.edu.vn"];
        talk_with_input(&args, message.as_bytes())
    });
    assert_eq!(talked, Talked { code: Some(0), stdout: String::new(), stderr: COURSE.into() });
}

#[test]
fn smtp_logs_in_and_does_not_show_the_password() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let message = "DATE: Wednesday, November 16, 2022 at 1:19:25 AM China Standard Time\r\n\
                   SUBJECT: Admission\r\n\r\n.a line with a dot\r\n\
                   Congratulations on your admission to Jialidun Univ!";
    std::fs::write(file.path(), message).expect("write the message");
    let path = file.path().to_str().expect("a path");
    let args = |address: &str| {
        let from = ["--from", "peng-c20@mails.tsinghua.edu.cn", "--user", "peng-c20"];
        let args = [&["smtp", address, path, "--to", "peng_c0@126.com", "--to", "b@y"][..], &from].concat();
        args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>()
    };
    let by_option = converse(COURSE_LOGIN, |address| {
        talk(&[args(address), vec!["--password".into(), "secret".into()]].concat())
    });
    let by_variable = converse(COURSE_LOGIN, |address| {
        let mut command = talk_command(&args(address));
        talked(command.env("ONELOOP_TALK_PASSWORD", "secret").output().expect("run oneloop"))
    });
    let shown = COURSE_LOGIN.replace("c2VjcmV0", "(password)");
    assert_eq!(by_option, Talked { code: Some(0), stdout: String::new(), stderr: shown });
    assert_eq!(by_option, by_variable);
}

#[test]
fn smtp_adds_a_header_to_a_text_without_one() {
    // The date cannot be foreseen, so this server collects what arrives.
    let (address, server) = super::serve_one(|mut socket| {
        use std::io::BufRead;
        let mut lines = std::io::BufReader::new(socket.try_clone().expect("duplicate")).lines();
        let mut collected = Vec::new();
        socket.write_all(b"220 x\r\n").expect("send");
        while let Some(Ok(line)) = lines.next() {
            let reply: &[u8] = match &*line {
                "EHLO x" => b"250-x\r\n250 8BITMIME\r\n",
                "DATA" => b"354 go\r\n",
                "QUIT" => b"221 bye\r\n",
                line if line == "." || line.starts_with("MAIL") || line.starts_with("RCPT") => b"250 ok\r\n",
                _ => b"",
            };
            socket.write_all(reply).expect("send");
            collected.push(line);
        }
        collected
    });
    let address = address.to_string();
    let args = ["smtp", &address, "--from", "a@x", "--to", "b@y", "--subject", "Gi\u{e1}ng sinh"];
    let talked = talk_with_input(&args, "Ch\u{fa}c m\u{1eeb}ng!\n.\n".as_bytes());
    assert_eq!(talked.code, Some(0), "{talked:?}");
    let mut lines = server.join().expect("the server's lines");
    let is_date = |line: &String| line.starts_with("Date: ") && line.ends_with(" +0000");
    let date = lines.iter().position(is_date).expect("a date");
    lines.remove(date);
    let expected = [
        "EHLO x",
        "MAIL FROM:<a@x> BODY=8BITMIME",
        "RCPT TO:<b@y>",
        "DATA",
        "From: a@x",
        "To: b@y",
        "Subject: =?utf-8?B?R2nDoW5nIHNpbmg=?=",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
        "",
        "Ch\u{fa}c m\u{1eeb}ng!",
        "..",
        ".",
        "QUIT",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn smtp_refused_step_ends_with_quit() {
    let table = [
        ("S: 554 no mail here\n", "the connection with 554 no mail here"),
        ("S: 220 x\nC: EHLO x\nS: 421 busy\n", "EHLO x with 421 busy"),
        ("S: 220 x\nC: EHLO x\nS: 502-no\nS: 502 no\nC: HELO x\nS: 550 go away\n", "HELO x with 550 go away"),
        ("S: 220 x\nC: EHLO x\nS: 250 x\nC: AUTH LOGIN\nS: 504 no\n", "AUTH LOGIN with 504 no"),
        (
            "S: 220 x\nC: EHLO x\nS: 250 x\nC: AUTH LOGIN\nS: 334 a\nC: dQ==\nS: 334 b\nC: cA==\nS: 535 no\n",
            "the password with 535 no",
        ),
    ];
    for (dialogue, expected) in table {
        let dialogue = format!("{dialogue}C: QUIT\nS: 221 bye\n");
        let shown = format!("{dialogue}oneloop: ADDR: the server answered {expected}\n");
        let shown = shown.replace("C: cA==", "C: (password)");
        let talked = converse(&dialogue, |address| {
            let to = ["--from", "a@x", "--to", "b@y", "--user", "u", "--password", "p"];
            talk(&[&["smtp", address][..], &to].concat())
        });
        assert_eq!(talked, Talked { code: Some(1), stdout: String::new(), stderr: shown });
    }
    let greeting = "S: 220 x\nC: EHLO x\nS: 250 x\n";
    let table = [
        (
            "C: MAIL FROM:<a@x>\nS: 553 authentication is required\n",
            "MAIL FROM:<a@x> with 553 authentication is required",
        ),
        (
            "C: MAIL FROM:<a@x>\nS: 250 ok\nC: RCPT TO:<b@y>\nS: 550 \x1b[2Jwho?\n",
            "RCPT TO:<b@y> with 550 \\u{1b}[2Jwho?",
        ),
        (
            "C: MAIL FROM:<a@x>\nS: 250 ok\nC: RCPT TO:<b@y>\nS: 250 ok\nC: DATA\nS: 250 ok\n",
            "DATA with 250 ok",
        ),
        (
            "C: MAIL FROM:<a@x>\nS: 250 ok\nC: RCPT TO:<b@y>\nS: 250 ok\nC: DATA\nS: 354 go\nC: A: b\nC:\nC: c\nC: .\nS: 552 full\n",
            "the message with 552 full",
        ),
    ];
    for (dialogue, expected) in table {
        let dialogue = format!("{greeting}{dialogue}C: QUIT\nS: 221 bye\n");
        let shown = format!("{dialogue}oneloop: ADDR: the server answered {expected}\n");
        let shown = shown.replace('\x1b', "\\u{1b}");
        let talked = converse(&dialogue, |address| {
            talk_with_input(&["smtp", address, "--from", "a@x", "--to", "b@y"], b"A: b\n\nc")
        });
        assert_eq!(talked, Talked { code: Some(1), stdout: String::new(), stderr: shown });
    }
}

#[test]
fn smtp_mail_is_sent_once_the_server_accepts_it() {
    let end = COURSE.find("C: QUIT").expect("a QUIT");
    let (address, server) = follow(&COURSE[..end], Pace::Whole);
    let address = address.to_string();
    let message = "from: ptphi@thuctap.net\nto: nchuy@cit.ctu.edu.vn\nsubject: It\u{2019}s Xmast!\n\n\
                   So I hope you a merry Xmas and a happy new year!\n";
    let args = ["smtp", &address, "--from", "ptphi@thuctap.net", "--to", "nchuy@cit.ctu.edu.vn"];
    let talked = talk_with_input(&args, message.as_bytes());
    server.join().expect("the dialogue");
    assert_eq!(talked.code, Some(0), "{talked:?}");
}

#[test]
fn smtp_dialogue_cut_or_malformed_fails() {
    let table = [
        ("", "the server closed the connection before it greeted the client"),
        ("S: 220 x\nC: EHLO x\n", "the server closed the connection before it answered EHLO x"),
        ("S: 220 x\nC: EHLO x\nS: 250-x\n", "the server closed the connection before it answered EHLO x"),
        ("S: SSH-2.0-OpenSSH\n", "the server sent a line that is not a reply: SSH-2.0-OpenSSH"),
        ("S: 220-x\nS: 250 y\n", "the server sent a line that is not a reply: 250 y"),
    ];
    for (dialogue, expected) in table {
        let talked = converse(dialogue, |address| talk(&["smtp", address, "--from", "a@x", "--to", "b@y"]));
        let stderr = format!("{dialogue}oneloop: ADDR: {expected}\n");
        assert_eq!(talked, Talked { code: Some(1), stdout: String::new(), stderr });
    }
    let long = format!("S: 220 {}\n", "a".repeat(5000));
    let talked = converse(&long, |address| talk(&["smtp", address, "--from", "a@x", "--to", "b@y"]));
    assert_eq!(
        (talked.code, &*talked.stderr),
        (Some(1), "oneloop: ADDR: the server sent a line of more than 4096 bytes\n")
    );
}

#[test]
fn smtp_long_message_is_sent_whole_and_shown_in_part() {
    let body: String = (0..50_000).map(|n| format!("line {n} of a long message\n")).collect();
    let text = format!("A: b\n\n{body}");
    let lines: String = text.lines().map(|line| format!("C: {line}\n").replace("C: \n", "C:\n")).collect();
    let before = "S: 220 x\nC: EHLO x\nS: 250 x\nC: MAIL FROM:<a@x>\nS: 250 x\nC: RCPT TO:<b@y>\nS: 250 x\nC: DATA\nS: 354 x\n";
    let dialogue = format!("{before}{lines}C: .\nS: 250 x\nC: QUIT\nS: 221 x\n");
    let (address, server) = follow(&dialogue, Pace::Whole);
    let address = address.to_string();
    let talked = talk_with_input(&["smtp", &address, "--from", "a@x", "--to", "b@y"], text.as_bytes());
    server.join().expect("the whole message");
    assert_eq!(talked.code, Some(0), "{talked:?}");
    let shown: Vec<&str> = talked.stderr.lines().collect();
    assert_eq!(shown.len(), 9 + 100 + 1 + 1 + 3, "{talked:?}");
    assert_eq!(shown[9 + 100..][..2], ["C: (49902 more lines)", "C: ."]);
}

#[test]
fn smtp_message_can_be_typed() {
    let pty = PseudoTerminal::open();
    let dialogue = "S: 220 x\nC: EHLO x\nS: 250 x\nC: MAIL FROM:<a@x>\nS: 250 x\nC: RCPT TO:<b@y>\nS: 250 x\n\
                    C: DATA\nS: 354 x\nC: A: b\nC:\nC: hi\nC: .\nS: 250 x\nC: QUIT\nS: 221 x\n";
    let (address, server) = follow(dialogue, Pace::Whole);
    let mut command = talk_command(&["smtp", &address.to_string(), "--from", "a@x", "--to", "b@y"]);
    command.stdin(pty.side());
    let mut screen = pty.into_screen();
    screen.write_all(b"A: b\n\nhi\n\x04").expect("type");
    let talked = talked(command.output().expect("run oneloop"));
    server.join().expect("the dialogue");
    let stderr = format!("* type the text; Ctrl-D on an empty line ends it\n{dialogue}");
    assert_eq!(talked, Talked { code: Some(0), stdout: String::new(), stderr });
}

#[test]
fn smtp_arguments_that_cannot_work_are_refused() {
    let table: &[(&[&str], &str)] = &[
        (
            &["--from", "a b", "--to", "b@y"],
            "oneloop: 'a b' is not a mail address; use NAME@DOMAIN, in ASCII\n",
        ),
        (
            &["--from", "a@x", "--to", "b@y", "--subject", "s"],
            "oneloop: the message has a header section of its own; leave out --subject\n",
        ),
        (&["--from", "a@x", "--to", "b@y", "--user", "u"], "--password"),
        (
            &["--from", "a@x", "--to", "b@y", "--user", "u", "--password", "a\nb"],
            "has a control character; use --user, and",
        ),
        (&["--from", "a@x"], "--to"),
        (
            &["--from", "a@x", "--to", "b@y", "/nowhere/at/all"],
            "cannot read '/nowhere/at/all': no such file or directory",
        ),
    ];
    for (args, expected) in table {
        let args = [&["smtp", "127.0.0.1:9"][..], args].concat();
        let talked = talk_with_input(&args, b"A: b\n\nc");
        assert_eq!(talked.code, Some(2), "{args:?}: {talked:?}");
        assert!(talked.stderr.contains(expected), "{args:?}: {talked:?}");
    }
}
