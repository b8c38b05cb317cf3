//! `oneloop talk smtp` and `pop3`, and the mail catcher of this project.

use super::{talk, talk_with_input};
use crate::common::{Server, Site};

#[test]
fn mail_is_sent_listed_fetched_and_deleted() {
    let server = Server::with(&Site::empty(), &["--smtp", "127.0.0.1:0", "--pop3", "127.0.0.1:0"]);
    let [smtp, pop3] = ["smtp://", "pop3://"].map(|scheme| server.addr_of(scheme).to_string());
    let lines: String = (0..20_000).map(|n| format!("{}line {n}\r\n", ".".repeat(n % 4))).collect();
    let messages = ["Subject: short\r\n\r\n.\r\n".to_owned(), format!("Subject: long\r\n\r\n{lines}")];
    for message in &messages {
        let login = ["--user", "u", "--password", "p"];
        let args = [&["smtp", &smtp, "--from", "a@x", "--to", "b@y", "--to", "c@z"][..], &login].concat();
        let talked = talk_with_input(&args, message.as_bytes());
        assert_eq!(talked.code, Some(0), "{talked:?}");
    }
    let pop3 = |args: &[&str]| {
        let talked = talk(&[&["pop3", &pop3, "--user", "u", "--password", "p"][..], args].concat());
        (talked.code, talked.stdout)
    };
    assert_eq!(pop3(&["list"]).1.lines().count(), 2);
    for (number, message) in ["1", "2"].iter().zip(&messages) {
        let (code, fetched) = pop3(&["retrieve", number]);
        // The server puts its own header fields before those of the message.
        assert!(code == Some(0) && fetched.ends_with(message.as_str()), "message {number}: {fetched:.500}");
    }
    let (_, top) = pop3(&["top", "2", "1"]);
    assert!(top.ends_with("Subject: long\r\n\r\nline 0\r\n"), "{top}");
    assert_eq!(pop3(&["delete", "1"]).0, Some(0));
    assert_eq!(pop3(&["delete", "2"]).0, Some(1), "one message is left");
    assert_eq!(pop3(&["list"]).1.lines().count(), 1);
}
