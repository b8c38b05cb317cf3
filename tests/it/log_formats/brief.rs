//! The brief format: the default on a terminal, with colours there.

use crate::{announced::on_terminal, common::*};

/// Returns the line without the time, which changes from run to run.
fn without_time(line: &str) -> String {
    let (before, request) = line.split_once("s  ").expect("a time");
    let status_and_size =
        before.trim_end_matches(|c: char| c == 'm' || c == ' ' || c == '.' || c.is_ascii_digit());
    format!("{status_and_size}|{request}")
}

#[test]
fn brief_line_is_the_default_on_a_terminal() {
    let site = Site::new();
    for (args, vars, status) in [
        (&[][..], &[][..], "\x1b[32m200\x1b[0m"),
        (&["--access-log"], &[("CLICOLOR", "1")], "\x1b[32m200\x1b[0m"),
        (&[], &[("NO_COLOR", "1")], "200"),
        (&[], &[("CLICOLOR", "0")], "200"),
        (&[], &[("TERM", "dumb")], "200"),
    ] {
        let mut terminal = on_terminal(&site, args, vars);
        let mut client = Client::connect(terminal.addr());
        terminal.until("Ctrl-C stops it\n");
        client.send(get("/hello.txt"));
        assert_eq!(client.response().text(), "hello\n");
        let line = terminal.until("/hello.txt\n");
        assert!(line.starts_with(&format!("{status} ")) && line.contains("GET /hello.txt"), "{line:?}");
        assert_eq!(line.contains('\x1b'), status.contains('\x1b'), "{line:?}");
        client.send("GET /\x1b[2Jnone HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let line = terminal.until("none");
        assert!(line.contains("\\x1b[2Jnone"), "{line:?}");
    }
}

#[test]
fn brief_line_elsewhere_only_if_asked() {
    let site = Site::new();
    for (format, vars, expected) in [
        (None, &[][..], "127.0.0.1 - - ["),
        (Some("--access-log-format=common"), &[("CLICOLOR_FORCE", "1")], "127.0.0.1 - - ["),
        (Some("--access-log-format=brief"), &[], "200        6 B"),
        (Some("--access-log-format=brief"), &[("CLICOLOR_FORCE", "1")], "\x1b[32m200"),
    ] {
        let mut command = Server::command(site.path(), &["--access-log"]);
        command.args(format).env_remove("NO_COLOR").envs(vars.iter().copied());
        let mut server = Server::spawn(command);
        server.get("/hello.txt");
        let line = server.stdout_line();
        assert!(line.starts_with(expected), "{line:?}");
    }
    let mut terminal = on_terminal(&site, &["--access-log-format=json"], &[]);
    let mut client = Client::connect(terminal.addr());
    terminal.until("Ctrl-C stops it\n");
    client.send(get("/hello.txt"));
    assert!(terminal.until("false}").starts_with('{'));
}

#[test]
fn brief_line_names_what_a_person_wants_to_know() {
    let site = Site::new();
    let mut server = Server::with(&site, &["--access-log", "--access-log-format=brief"]);
    for (request, expected) in [
        (get("/hello.txt"), "200        6 B|GET /hello.txt\n"),
        (get("/hello.txt?a=%22"), "200        6 B|GET /hello.txt?a=%22\n"),
        ("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), "200          -|HEAD /\n"),
    ] {
        server.ask(&request);
        assert_eq!(without_time(&server.stdout_line()), expected);
    }
}
