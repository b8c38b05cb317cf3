//! Programs that people use: Python's smtplib and poplib, curl, and swaks.

use std::{
    ffi::OsStr,
    io::Write,
    process::{Command, Output, Stdio},
};

use super::*;

/// Runs a program with `input` on its standard input. Returns `None` if it is not installed.
fn run(program: &str, args: &[impl AsRef<OsStr>], input: &str) -> Option<Output> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        skip(&format!("{program} is not installed"));
        return None;
    };
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(input.as_bytes()).expect("write");
    drop(stdin);
    let output = child.wait_with_output().expect("run it");
    let (stdout, stderr) = (lossy(&output.stdout), lossy(&output.stderr));
    assert!(output.status.success(), "{program}: {stdout}\n{stderr}");
    Some(output)
}

const SEND: &str = r#"
import smtplib, sys
from email.message import EmailMessage
smtp = smtplib.SMTP("127.0.0.1", int(sys.argv[1]))
smtp.login("any", "thing")
for method in ("auth_login", "auth_plain"):
    again = smtplib.SMTP("127.0.0.1", int(sys.argv[1]))
    again.ehlo()
    again.user, again.password = "any", "thing"
    assert again.auth(method[5:].upper(), getattr(again, method))[0] == 235
    again.quit()
message = EmailMessage()
message["From"], message["To"], message["Subject"] = "a@test", "b@test, c@test", "p\u00e9ople"
message.set_content(".dot\n..two\nfrom here\n" + "x" * 900 + "\nl\u00e4st\n", cte="8bit")
message.add_attachment(bytes(range(256)) * 1000, maintype="application", subtype="octet-stream")
assert smtp.send_message(message) == {}
assert smtp.sendmail("a@test", ["d@test"], b"Subject: two\n\n.\nend\n.") == {}
try:
    smtp.sendmail("a@test", ["d@test"], b"x" * 11000000)
    raise SystemExit("a large message was accepted")
except smtplib.SMTPSenderRefused as error:
    assert error.smtp_code == 552, error
assert smtp.verify("a@test")[0] == 252
smtp.quit()
print(len(message.as_bytes().replace(b"\n", b"\r\n")))
"#;

const READ: &str = r#"
import email, email.policy, poplib, sys
pop = poplib.POP3("127.0.0.1", int(sys.argv[1]))
pop.user("any"); pop.pass_("thing")
assert pop.stat()[0] == 2 and len(pop.list()[1]) == 2 and len(set(pop.uidl()[1])) == 2
assert "TOP" in pop.capa()
_, lines, octets = pop.retr(1)
assert octets == int(pop.list(1).split()[2]), (octets, pop.list(1))
message = email.message_from_bytes(b"\n".join(lines) + b"\n", policy=email.policy.default)
assert message["Subject"] == "p\u00e9ople" and message["Return-Path"] == "<a@test>"
assert message.get_all("X-Envelope-To") == ["<b@test>", "<c@test>"]
assert message.get_body().get_content() == ".dot\n..two\nfrom here\n" + "x" * 900 + "\nl\u00e4st\n"
assert next(message.iter_attachments()).get_content() == bytes(range(256)) * 1000
assert pop.retr(2)[1][-4:] == [b"", b".", b"end", b"."] and pop.top(2, 0)[1][-1] == b""
pop.dele(1); pop.rset(); pop.dele(2); pop.noop(); pop.quit()
pop = poplib.POP3("127.0.0.1", int(sys.argv[1]))
pop.user("any"); pop.pass_("thing")
assert pop.stat()[0] == 1
pop.quit()
"#;

#[test]
fn mail_of_python() {
    let catcher = Catcher::with(&[]);
    let port = |scheme| catcher.server.addr_of(scheme).port().to_string();
    if run("python3", &["-c", SEND, &port("smtp://")], "").is_some() {
        run("python3", &["-c", READ, &port("pop3://")], "");
    }
}

#[test]
fn mail_of_curl() {
    let catcher = Catcher::with(&[]);
    let smtp = format!("smtp://{}/test", catcher.server.addr_of("smtp://"));
    let pop3 = format!("pop3://{}", catcher.server.addr_of("pop3://"));
    let quiet = ["--silent", "--show-error", "--max-time", "20"];
    let message = "From: a@test\r\nSubject: curl\r\n\r\n.dot\r\n..\r\nlast\r\n";
    let options: [&[&str]; 4] = [
        &[],
        &["--user", "any:thing"],
        &["--user", "any:thing", "--login-options", "AUTH=LOGIN"],
        &["--crlf"],
    ];
    for option in options {
        let to = ["--mail-from", "a@test", "--mail-rcpt", "b@test", "--mail-rcpt", "c@test"];
        let args = [&quiet[..], option, &to, &["--upload-file", "-", &smtp]].concat();
        let input = if option == ["--crlf"] { message.replace("\r\n", "\n") } else { message.into() };
        if run("curl", &args, &input).is_none() {
            return;
        }
    }
    assert_eq!(catcher.messages(), [message; 4]);
    let curl = |args: &[&str]| {
        let output = run("curl", &[&quiet[..], &["--user", "any:thing"], args].concat(), "");
        String::from_utf8(output.expect("curl is installed").stdout).expect("text")
    };
    assert_eq!(curl(&[&pop3]).lines().count(), 4);
    let first = curl(&[&format!("{pop3}/1")]);
    assert!(first.starts_with("Return-Path: <a@test>\r\n") && first.ends_with(message), "{first}");
    curl(&["--request", "DELE", "--head", &format!("{pop3}/1")]);
    assert_eq!(catcher.messages().len(), 3);
}

#[test]
fn mail_of_swaks() {
    let catcher = Catcher::with(&[]);
    let server = catcher.server.addr_of("smtp://").to_string();
    for auth in ["LOGIN", "PLAIN"] {
        let login = ["--auth", auth, "--auth-user", "any", "--auth-password", "thing"];
        let to = ["--server", &server, "--from", "a@test", "--to", "b@test,c@test", "--body", "swaks\n."];
        if run("swaks", &[&to[..], &login].concat(), "").is_none() {
            return;
        }
    }
    let messages = catcher.messages();
    assert_eq!(messages.len(), 2);
    assert!(messages.iter().all(|message| message.contains("\r\nswaks\r\n.\r\n")), "{messages:?}");
}
