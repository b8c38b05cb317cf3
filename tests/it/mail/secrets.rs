//! Passwords and messages never appear in a trace, a recording or a log.

use std::{fs::File, io::Read, process::Stdio};

use rustix::process::Signal;

use super::*;

/// The passwords as they are sent. The first one is "name", the second "password", in base64.
const SECRETS: &[&str] = &["bmFtZQ==", "cGFzc3dvcmQ=", "AG5hbWUAcGFzc3dvcmQ=", "hunter2 x", "Reset-Token"];

/// Conversations that contain each secret.
const SMTP: &[&str] = &[
    "EHLO a\r\nAUTH LOGIN\r\nbmFtZQ==\r\ncGFzc3dvcmQ=\r\nQUIT\r\n",
    "EHLO a\r\nAUTH LOGIN\r\n*\r\nauth login bmFtZQ==\r\ncGFzc3dvcmQ=\r\nQUIT\r\n",
    "EHLO a\r\nAUTH PLAIN AG5hbWUAcGFzc3dvcmQ=\r\nQUIT\r\n",
    "EHLO a\r\nAuth  Plain AG5hbWUAcGFzc3dvcmQ=\r\nQUIT\r\n",
    "EHLO a\r\nAUTH PLAIN\r\nAG5hbWUAcGFzc3dvcmQ=\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n\
     Reset-Token: 1\r\n\r\nReset-Token\r\nReset-Token: 2\r\n.\r\nQUIT\r\n",
];
const POP3: &[&str] =
    &["USER a\r\nPASS hunter2 x\r\nRETR 1\r\nQUIT\r\n", "USER a\r\npass hunter2 x\r\nQUIT\r\n"];

#[test]
fn mail_secrets_are_in_no_trace() {
    let site = Site::new();
    let files = tempfile::tempdir().expect("a directory");
    let (text, recording) = (files.path().join("trace.txt"), files.path().join("trace.json"));
    let recording_arg = recording.to_str().expect("UTF-8");
    let mut args = vec!["--smtp", "127.0.0.1:0", "--pop3", "127.0.0.1:0", "-v", "--trace=bytes"];
    args.extend(["--trace-file", recording_arg]);
    let mut start = Server::command(site.path(), &args);
    start.stderr(Stdio::from(File::create(&text).expect("create")));
    let mut catcher = Catcher { server: Server::spawn(start), _site: site };
    let mut probe = catcher.server.connect();
    let dialogues =
        SMTP.iter().map(|text| ("smtp://", *text)).chain(POP3.iter().map(|text| ("pop3://", *text)));
    for (scheme, dialogue) in dialogues {
        // In one piece, in lines, in bytes, and in pieces that split a line.
        let lines = dialogue.split_inclusive('\n').map(str::as_bytes).collect();
        let bytes = dialogue.as_bytes();
        for pieces in [vec![bytes], lines, bytes.chunks(1).collect(), bytes.chunks(17).collect()] {
            let mut client = Client::connect(catcher.server.addr_of(scheme));
            client.send_apart(&mut probe, pieces);
            client.rest();
        }
    }
    catcher.server.signal(Signal::TERM);
    assert!(catcher.server.exit().success());
    for path in [text, recording] {
        let mut shown = String::new();
        File::open(&path).expect("open").read_to_string(&mut shown).expect("read");
        for word in ["AUTH PLAIN *", "state=login", "stored", "retrieved"] {
            assert!(
                shown.contains(word.split('=').next_back().expect("a word")),
                "{word} in {}",
                path.display()
            );
        }
        for secret in SECRETS {
            let found = shown.lines().find(|line| line.contains(secret));
            assert_eq!(found, None, "{secret} in {}", path.display());
        }
        // A part of a secret, as a preview of a piece would show it.
        for part in ["hunter", "unter2", "cGFzc3dv", "AG5hbWU", "Token"] {
            assert!(!shown.contains(part), "{part} in {}", path.display());
        }
    }
}
