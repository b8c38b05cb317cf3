//! `oneloop talk pop3` against servers that follow a dialogue.

use super::{Talked, converse, talk, talk_command, talked, without_data};

/// The login in a dialogue of a sockets course.
const LOGIN: &str = "\
S: +OK cit.ctu.edu.vn  POP MDaemon 7.1.2 ready <MDAEMON-F200909081057.AA5712906MD0012@cit.ctu.edu.vn>
C: USER nchuy
S: +OK   nchuy... User ok
C: PASS abcdef123
S: +OK  nchuy@cit.ctu.edu.vn's mailbox has 2 total messages (1410 octets)
";
/// The end of the dialogue.
const END: &str = "C: QUIT\nS: +OK  Sayonara\n";

/// Runs `oneloop talk pop3 ADDR --user nchuy ARGS...` against a server that follows the course's
/// dialogue with `middle` after the login.
fn pop3(middle: &str, args: &[&str]) -> (Talked, String) {
    let dialogue = format!("{LOGIN}{middle}");
    let talked = converse(&dialogue, |address| {
        talk(&[&["pop3", address, "--user", "nchuy", "--password", "abcdef123"][..], args].concat())
    });
    (talked, without_data(&dialogue).replace("abcdef123", "(password)"))
}

#[test]
fn pop3_follows_the_dialogue_of_the_course() {
    let table: &[(&[&str], &str, &str)] = &[
        (&["list"], "C: LIST\nS: +OK  Mailbox Listing\nD: 1  498\nD: 2  912\nS: .\n", "1  498\r\n2  912\r\n"),
        (&[], "C: LIST\nS: +OK  Mailbox Listing\nS: .\n", ""),
        (
            &["retrieve", "1"],
            "C: RETR 1\nS: +OK  498 Octets\nD: Subject: x\nD:\nD: ..\nD: ..two\nD: \u{e9}\x1b\nS: .\n",
            "Subject: x\r\n\r\n.\r\n.two\r\n\u{e9}\x1b\r\n",
        ),
        (&["top", "2", "0"], "C: TOP 2 0\nS: +OK\nD: Subject: y\nD:\nS: .\n", "Subject: y\r\n\r\n"),
        (&["delete", "2"], "C: DELE 2\nS: +OK  Deleted\n", ""),
    ];
    for (args, middle, stdout) in table {
        let (talked, stderr) = pop3(&format!("{middle}{END}"), args);
        assert_eq!(talked, Talked { code: Some(0), stdout: (*stdout).into(), stderr }, "{args:?}");
    }
}

#[test]
fn pop3_takes_the_password_from_the_environment() {
    let dialogue = format!("{LOGIN}C: DELE 1\nS: +OK\n{END}");
    let talked = converse(&dialogue, |address| {
        let mut command = talk_command(&["pop3", address, "--user", "nchuy", "delete", "1"]);
        talked(command.env("ONELOOP_TALK_PASSWORD", "abcdef123").output().expect("run oneloop"))
    });
    let stderr = dialogue.replace("abcdef123", "(password)");
    assert_eq!(talked, Talked { code: Some(0), stdout: String::new(), stderr });
}

#[test]
fn pop3_refused_step_ends_with_quit() {
    let table: &[(&[&str], &str, &str)] = &[
        (&["retrieve", "3"], "C: RETR 3\nS: -ERR no such message\n", "RETR 3 with -ERR no such message"),
        (&["delete", "3"], "C: DELE 3\nS: -ERR \x1b]0;x\x07\n", "DELE 3 with -ERR \\u{1b}]0;x\\u{7}"),
        (&["list"], "C: LIST\nS: -ERR\n", "LIST with -ERR"),
    ];
    for (args, middle, expected) in table {
        let (talked, shown) = pop3(&format!("{middle}{END}"), args);
        let shown = shown.replace('\x1b', "\\u{1b}").replace('\x07', "\\u{7}");
        let stderr = format!("{shown}oneloop: ADDR: the server answered {expected}\n");
        assert_eq!(talked, Talked { code: Some(1), stdout: String::new(), stderr }, "{args:?}");
    }
    let table = [
        ("S: -ERR busy\n", "the connection with -ERR busy"),
        ("S: +OK\nC: USER u\nS: -ERR who?\n", "USER u with -ERR who?"),
        ("S: +OK\nC: USER u\nS: +OK\nC: PASS secret\nS: -ERR no\n", "the password with -ERR no"),
    ];
    for (dialogue, expected) in table {
        let dialogue = format!("{dialogue}C: QUIT\nS: +OK\n");
        let talked =
            converse(&dialogue, |address| talk(&["pop3", address, "--user", "u", "--password", "secret"]));
        let shown = dialogue.replace("secret", "(password)");
        let stderr = format!("{shown}oneloop: ADDR: the server answered {expected}\n");
        assert_eq!(talked, Talked { code: Some(1), stdout: String::new(), stderr });
    }
}

#[test]
fn pop3_dialogue_cut_or_malformed_fails() {
    let cut = "the server closed the connection before";
    let table: &[(&[&str], &str, String)] = &[
        (&[], "", format!("{cut} it answered LIST")),
        (&["retrieve", "1"], "S: +OK\nD: Subject: x\n", format!("{cut} the end of its answer to RETR 1")),
        (
            &["top", "1", "1"],
            "S: +OK\nD: Subject: x\nD: ..\n",
            format!("{cut} the end of its answer to TOP 1 1"),
        ),
        (&["list"], "S: ok\n", "the server sent a line that is not a response: ok".into()),
        // A server deletes messages only when it has answered QUIT.
        (&["delete", "1"], "S: +OK\nC: QUIT\n", format!("{cut} it answered QUIT")),
        (
            &["delete", "1"],
            "S: +OK\nC: QUIT\nS: -ERR disk full\n",
            "the server answered QUIT with -ERR disk full".into(),
        ),
    ];
    for (args, middle, expected) in table {
        let command = match args {
            [] | ["list"] => "LIST".to_owned(),
            ["retrieve", n] => format!("RETR {n}"),
            ["top", n, lines] => format!("TOP {n} {lines}"),
            ["delete", n] => format!("DELE {n}"),
            other => panic!("{other:?}"),
        };
        let (talked, shown) = pop3(&format!("C: {command}\n{middle}"), args);
        let stderr = format!("{shown}oneloop: ADDR: {expected}\n");
        assert_eq!((talked.code, talked.stderr), (Some(1), stderr), "{args:?}");
    }
    // What was fetched is complete even if the server does not answer QUIT.
    let (talked, _) = pop3("C: RETR 1\nS: +OK\nD: hi\nS: .\nC: QUIT\n", &["retrieve", "1"]);
    assert_eq!((talked.code, &*talked.stdout), (Some(0), "hi\r\n"));
}

#[test]
fn pop3_arguments_that_cannot_work_are_refused() {
    let table: &[(&[&str], &str)] = &[
        (&["--user", "u"], "--password"),
        (&["--password", "p"], "--user"),
        (&["--user", "u\r\nDELE 1", "--password", "p"], "has a control character; use --user, and"),
        (&["--user", "u", "--password", "p", "retrieve"], "<NUMBER>"),
        (&["--user", "u", "--password", "p", "retrieve", "0"], "0 is not in 1.."),
        (&["--user", "u", "--password", "p", "burn", "1"], "burn"),
    ];
    for (args, expected) in table {
        let talked = talk(&[&["pop3", "127.0.0.1:9"][..], args].concat());
        assert_eq!(talked.code, Some(2), "{args:?}: {talked:?}");
        assert!(talked.stderr.contains(expected), "{args:?}: {talked:?}");
    }
}
