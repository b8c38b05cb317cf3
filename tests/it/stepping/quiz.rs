//! The quiz, which also asks about the loop, and the lines of the loop.

use super::*;

const ASKED: &str = "Enter=skip > ";

/// Returns the lines with an arrow, without their numbers.
fn marked(listing: &str) -> String {
    let marked = listing.lines().filter_map(|line| line.get(4..)?.strip_prefix(" =>"));
    marked.map(str::trim).collect::<Vec<_>>().join("\n")
}

#[test]
fn stepper_asks_what_the_loop_does_next_and_shows_its_lines() {
    let site = Site::new();
    let mut terminal = Terminal::with(&site, &[]);
    let mut clients = [terminal.connect(), terminal.connect()];
    clients.iter_mut().for_each(|client| client.send(get("/hello.txt")));
    assert!(terminal.ask("quiz on").contains("what the loop does next"));
    assert!(terminal.ask("t").contains("#1 woke after "));
    assert!(terminal.ask("n").contains("#2 woke after "), "as gdb calls it");
    let lines = terminal.ask("l");
    assert!(lines.starts_with("src/event_loop/mod.rs:\n"), "{lines}");
    assert_eq!(marked(&lines), "for _ in 0..self.sources.ready_count() {");

    terminal.enter("e");
    assert!(terminal.until(ASKED).contains("Several sources are ready"));
    terminal.enter("nobody");
    assert!(terminal.until(ASKED).contains("type the name of a source"));
    terminal.enter("c2");
    let output = terminal.until(PROMPT);
    assert!(output.contains("wrong: c1 has its turn first\n"), "{output}");
    assert!(marked(&terminal.ask("list")).ends_with("self.handle(key),"));
    terminal.enter("t");
    assert!(terminal.until(ASKED).contains("c1 will read"));
    terminal.enter("");
    assert!(terminal.until(ASKED).contains("c2 will read"));
    terminal.enter("");
    clients[0].response();
    clients[0].send(get("/hello.txt"));
    assert!(terminal.until(PROMPT).contains("#3 woke after "));
    terminal.enter("t");
    terminal.until(ASKED);
    terminal.enter("");
    let output = terminal.until(ASKED);
    assert!(output.contains("How long may it sleep?"), "{output}");
    terminal.enter("75");
    let output = terminal.until(" carried=");
    assert!(output.contains("right: the next deadline. (A deadline that was moved "), "{output}");
    clients[1].send(get("/hello.txt"));
    terminal.until(PROMPT);
    assert!(terminal.ask("p").contains("quiz: 1 of 2 right"));
}
