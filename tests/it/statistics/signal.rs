//! Statistics as a person sees them: on standard error, after SIGUSR2 and at the end.

use std::io::{BufRead, BufReader, Read};

use rustix::process::Signal;

use crate::common::*;

#[test]
fn stats_are_printed_after_the_signal_and_at_the_end() {
    let site = Site::new();
    let mut server = Server::with(&site, &["--stats"]);
    let mut stderr = BufReader::new(server.stderr());
    server.get("/hello.txt");
    server.signal(Signal::USR2);
    let mut block = String::new();
    while !block.contains("carried over") {
        assert!(stderr.read_line(&mut block).expect("a line") > 0, "{block}");
    }
    let first = block.lines().next().unwrap_or_default();
    assert!(first.starts_with("statistics of ") && first.ends_with(':'), "{block}");
    assert!(block.contains("\n  requests                   1  "), "{block}");
    assert!(block.contains("\n    200                      1\n"), "{block}");
    assert!(block.contains("\n  connections                1  accepted, "), "{block}");
    server.get("/missing");
    server.signal(Signal::TERM);
    assert!(server.exit().success());
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).expect("the rest");
    assert!(rest.contains("\n  requests                   2  "), "{rest}");
    assert!(rest.contains("\n    404                      1\n"), "{rest}");
    assert_eq!(rest.matches("statistics of ").count(), 1, "{rest}");
}

#[test]
fn stats_signal_without_the_option_says_so() {
    let site = Site::new();
    let mut server = Server::with(&site, &[]);
    let mut stderr = BufReader::new(server.stderr());
    server.signal(Signal::USR2);
    let mut line = String::new();
    stderr.read_line(&mut line).expect("a line");
    assert!(
        line.contains("SIGUSR2 prints statistics only if the server was started with --stats, "),
        "{line}"
    );
    assert_eq!(server.get("/hello.txt").status, 200, "it goes on");
    server.signal(Signal::TERM);
    assert!(server.exit().success());
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).expect("the rest");
    assert_eq!(rest, "");
}
