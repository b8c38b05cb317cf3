//! The mail catcher: what SMTP accepts is in the mailbox once and whole, and POP3 reads it.

mod dialogues;
mod limits;
mod peers;
mod pop3;
mod secrets;
mod survival;
mod time;

use std::path::Path;

use crate::common::*;

/// A server with an SMTP and a POP3 listener.
pub struct Catcher {
    pub server: Server,
    _site: Site,
}

impl Catcher {
    /// Starts a catcher with more arguments. It keeps mail in memory.
    pub fn with(args: &[&str]) -> Catcher {
        let site = Site::new();
        let listeners = ["--smtp", "127.0.0.1:0", "--pop3", "127.0.0.1:0"];
        let server = Server::with(&site, &[&listeners, args].concat());
        Catcher { server, _site: site }
    }

    /// Starts a catcher that keeps mail in the Maildir `dir`.
    pub fn in_dir(dir: &Path) -> Catcher {
        Catcher::with(&["--mail-dir", dir.to_str().expect("a path that is UTF-8")])
    }

    /// Opens an SMTP connection and reads the greeting.
    pub fn smtp(&self) -> Client {
        let mut client = Client::connect(self.server.addr_of("smtp://"));
        assert_eq!(code(&mut client), 220);
        client
    }

    /// Opens an SMTP connection and says EHLO.
    pub fn greeted(&self) -> Client {
        let mut client = self.smtp();
        assert_eq!(command(&mut client, "EHLO test"), 250);
        client
    }

    /// Opens a POP3 connection and reads the greeting.
    pub fn pop3(&self) -> Client {
        let mut client = Client::connect(self.server.addr_of("pop3://"));
        assert!(status(&mut client));
        client
    }

    /// Opens a POP3 connection and logs in.
    pub fn reader(&self) -> Client {
        let mut client = self.pop3();
        assert!(pop3(&mut client, "USER any") && pop3(&mut client, "PASS any"));
        client
    }

    /// Returns the messages in the mailbox, without the lines that the server puts in front.
    pub fn messages(&self) -> Vec<String> {
        let mut client = self.reader();
        client.send("STAT\r\n");
        let line = lossy(&client.take_until(b"\r\n"));
        let count: usize = line.split(' ').nth(1).and_then(|count| count.parse().ok()).expect("a count");
        (1..=count).map(|number| message(&mut client, number)).collect()
    }
}

/// Reads the next SMTP reply, which may have several lines. Returns its code.
pub fn code(client: &mut Client) -> u16 {
    reply(client).0
}

/// Reads the next SMTP reply. Returns its code and the texts of its lines.
pub fn reply(client: &mut Client) -> (u16, Vec<String>) {
    let mut texts = Vec::new();
    loop {
        let line = String::from_utf8(client.take_until(b"\r\n")).expect("ASCII");
        let code = line[..3].parse().expect("a code");
        texts.push(line[4..].trim_end().to_owned());
        match line.as_bytes()[3] {
            b' ' => return (code, texts),
            separator => assert_eq!(separator, b'-', "{line:?}"),
        }
    }
}

/// Sends an SMTP command and returns the code of its reply.
pub fn command(client: &mut Client, line: &str) -> u16 {
    client.send(format!("{line}\r\n"));
    code(client)
}

/// Sends MAIL, RCPT and DATA, and the content of a message without its end.
pub fn begin_message(client: &mut Client, content: &[u8]) {
    assert_eq!(command(client, "MAIL FROM:<from@test>"), 250);
    assert_eq!(command(client, "RCPT TO:<to@test>"), 250);
    assert_eq!(command(client, "DATA"), 354);
    client.send(content);
}

/// Sends a message, which must be complete lines without a dot at their beginnings. Returns the
/// code of the last reply.
pub fn send_message(client: &mut Client, content: &[u8]) -> u16 {
    begin_message(client, content);
    client.send(".\r\n");
    code(client)
}

/// Reads the first line of a POP3 response. Returns whether it is `+OK`.
pub fn status(client: &mut Client) -> bool {
    let line = client.take_until(b"\r\n");
    assert!(line.starts_with(b"+OK") || line.starts_with(b"-ERR "), "{:?}", lossy(&line));
    line.starts_with(b"+OK")
}

/// Sends a POP3 command whose response is one line. Returns whether it succeeded.
pub fn pop3(client: &mut Client, line: &str) -> bool {
    client.send(format!("{line}\r\n"));
    status(client)
}

/// Sends a POP3 command whose response has several lines. Returns the lines, without the dots that
/// the server has put before lines that begin with a dot.
pub fn pop3_lines(client: &mut Client, line: &str) -> String {
    assert!(pop3(client, line), "{line}");
    let mut lines = Vec::new();
    loop {
        let line = client.take_until(b"\r\n");
        if line == b".\r\n" {
            return String::from_utf8(lines).expect("text");
        }
        lines.extend(line.strip_prefix(b".").unwrap_or(&line));
    }
}

/// Retrieves a message, without the lines that the server puts in front.
pub fn message(client: &mut Client, number: usize) -> String {
    let content = pop3_lines(client, &format!("RETR {number}"));
    let received = content.find("Received: ").expect("a Received field");
    let end = content[received..].find(" +0000\r\n").expect("a date") + " +0000\r\n".len();
    content[received + end..].to_owned()
}
