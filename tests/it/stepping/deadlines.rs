//! Deadlines while the loop is stopped.

use std::time::{Duration, Instant};

use super::*;

#[test]
fn stepper_stops_deadlines_while_the_loop_is_stopped() {
    let site = Site::new();
    let timeout = Duration::from_millis(300);
    let mut terminal = Terminal::with(&site, &["--head-timeout", "300ms"]);
    let (request, mut slow) = (get("/hello.txt"), terminal.connect());
    let (half, rest) = request.split_at(10);
    slow.send(half);
    terminal.ask("t");
    assert_in_order(&terminal.ask("t"), &["c1[R]"]);
    // The next event arrives before the loop polls, so the loop does not sleep.
    let mut other = terminal.connect();
    other.send(&request);
    assert_in_order(
        &terminal.ask("t"),
        &["c1 parse incomplete have=10", "L1[R]   next deadline: c1 head-timeout in "],
    );
    let end = Instant::now() + 2 * timeout;
    eventually("the timeout has passed", || Instant::now() > end);
    assert_in_order(&terminal.ask("t"), &["L1 accept -> c2", "c2[R]"]);
    slow.send(rest);
    // The loop read the time after the pause. An early deadline check would close c1 here.
    let output = terminal.ask("t");
    assert_in_order(&output, &["c2 plan 200", "woke", "c1[R"]);
    assert!(!output.contains("c1 close") && !output.contains("c1 deadline"), "{output}");
    assert_in_order(&terminal.ask("i"), &["c1 read"]);
    terminal.enter("c");
    assert_eq!((slow.response().status, other.response().status), (200, 200));
}

#[test]
fn stepper_stops_at_a_missed_deadline() {
    let site = Site::new();
    let mut terminal = Terminal::with(&site, &["--head-timeout", "50ms"]);
    let mut slow = terminal.connect();
    slow.send("GET /");
    terminal.ask("b deadline");
    assert_in_order(&terminal.ask("c"), &["breakpoint 1: deadline", "c1 deadline head-timeout late="]);
    assert_in_order(&terminal.ask("p c1"), &["c1 HEAD in=5", "head-timeout is due"]);
    assert_in_order(&terminal.ask("t"), &["c1 carry", "carried over: +c1"]);
    terminal.enter("q");
    assert_eq!(slow.response().status, 408);
}
