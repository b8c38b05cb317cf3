//! A port that is in use: the next one on a terminal if no port was given, and otherwise an error
//! that names the process that has the port.

use std::net::TcpListener;

use super::*;
use crate::configuration::run;

/// Takes `count` ports from the default one upwards at a loopback address that no other process
/// uses. `last` tells the tests apart.
fn taken(last: u8, count: u16) -> (String, Vec<TcpListener>) {
    let id = std::process::id();
    let host = format!("127.{}.{}.{last}", id >> 8 & 0xff, id & 0xff);
    let ports = 8000..8000 + count;
    let held = ports.map(|port| TcpListener::bind((host.as_str(), port)).expect("take a port")).collect();
    (host, held)
}

/// What the message says about the holder of a port.
fn holder() -> String {
    format!("(PID {})", std::process::id())
}

#[test]
fn next_free_port_is_taken_on_a_terminal() {
    let site = Site::new();
    let (host, _held) = taken(11, 2);
    let mut terminal = on_terminal(site.path(), &["-b", &host, "."], &[]);
    let url = format!("http://{host}:8002/");
    terminal.until(&url);
    let line = terminal.until("Ctrl-C stops it");
    assert!(line.contains("serving '.' on port 8002, because port 8000 is in use by "), "{line}");
    assert!(line.contains(&holder()), "{line}");
    let mut client = Client::connect(format!("{host}:8002").parse().expect("an address"));
    client.send(get("/hello.txt"));
    assert_eq!(client.response().text(), "hello\n");

    let (host, _held) = taken(12, 10);
    let mut terminal = on_terminal(site.path(), &["-b", &host, "."], &[]);
    let line = terminal.until("or 0 for any free one");
    assert!(line.contains(&format!("{host}:8000: port 8000 is in use by ")), "the first port: {line}");
    assert_eq!(terminal.exit_code(), Some(1));
}

#[test]
fn port_that_was_given_or_that_a_script_expects_is_never_another_one() {
    let site = Site::new();
    let (host, _held) = taken(13, 1);
    let with_port = format!("{host}:8000");
    type Row<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)]);
    let rows: [Row<'_>; 5] = [
        (&["-p", "8000", "-b", &host], &[]),
        (&["-b", &with_port], &[]),
        (&["8000", "-b", &host], &[]),
        (&["-b", &host], &[("ONELOOP_PORT", "8000")]),
        (&["-q", "-b", &host], &[]),
    ];
    each(rows, |(args, vars)| {
        let mut terminal = on_terminal(site.path(), args, vars);
        let message = terminal.until("or 0 for any free one");
        assert!(message.contains("port 8000 is in use by ") && message.contains(&holder()), "{message}");
        assert_eq!(terminal.exit_code(), Some(1));
    });
    let output = run(site.path(), &["-b", &host, "."], &[]);
    let message = lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    let expected = format!("oneloop: cannot listen on {host}:8000: port 8000 is in use by ");
    assert!(message.starts_with(&expected) && message.contains(&holder()), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
}

#[test]
fn port_of_the_server_itself_or_of_a_hidden_process_is_in_use() {
    let site = Site::new();
    let (host, held) = taken(14, 1);
    drop(held);
    let both = format!("{host}:8000");
    let output = run(site.path(), &["-b", &both, "--chat", &both, "."], &[]);
    let message = lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("port 8000 is in use by this server itself; choose"), "{message}");
    if !rustix::process::geteuid().is_root() {
        return skip("only root can start a process of another user");
    }
    let (host, _held) = taken(15, 1);
    let Some(mut hidden) = Unprivileged::program(&site) else { return };
    let output = hidden.command.args(["-b", &host]).arg(site.path()).output().expect("run oneloop");
    let message = lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("port 8000 is in use; choose another port"), "{message}");
}
