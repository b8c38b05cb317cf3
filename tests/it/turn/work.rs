//! Long work: connections that wait for a piece of it stand in a queue and cost no turn.

use super::*;
use rustix::net::sockopt;

/// The number of turns that connections get in one turn of the loop for work that has waited, and
/// for responses that go on.
const AT_ONCE: usize = 8;

/// Returns a loop on which `count` peers have requested a listing, in a turn that has time for four
/// of them. A second request follows in the same input.
fn waiting(count: usize) -> (Rig, Vec<TcpStream>, Site) {
    let site = Site::new();
    site.crowd("d", (0..30).map(|i| i.to_string()));
    let mut config = Rig::config(&site);
    config.listing = true;
    let mut rig = Rig::recorded(config);
    let mut peers: Vec<TcpStream> = (0..count).map(|_| rig.accepted()).collect();
    let requests =
        format!("GET /d/ HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(9000)) + &get("/hello.txt");
    peers.iter_mut().for_each(|peer| peer.write_all(requests.as_bytes()).expect("send"));
    rig.turn_until("all requests", |steps| {
        steps.iter().filter(|(_, step)| matches!(step, Step::Understood { .. })).count() >= count
    });
    (rig, peers, site)
}

/// Returns how many connections had their turn.
fn turns(steps: &[(SourceId, Step)]) -> usize {
    let is_turn = |(source, step): &&_| matches!((source, step), (SourceId::Connection(_), Step::TurnBegan));
    steps.iter().filter(is_turn).count()
}

/// Runs turns until each of the `peers` has received a whole listing and the response after it.
fn expect_listings(rig: &mut Rig, peers: &mut [TcpStream]) {
    let mut got = vec![Vec::new(); peers.len()];
    rig.turn_until("all listings", |_| {
        for (got, peer) in got.iter_mut().zip(&mut *peers) {
            got.extend(received(peer));
        }
        got.iter().all(|got| got.ends_with(b"hello\n"))
    });
    for got in got {
        let got = String::from_utf8(got).expect("UTF-8");
        assert!(got.starts_with("HTTP/1.1 200 OK") && got.contains("\r\n0\r\n\r\nHTTP/1.1 200 OK"), "{got}");
    }
}

#[test]
fn turn_does_not_ask_those_who_wait_for_work() {
    let (mut rig, mut peers, _site) = waiting(100);
    let (mut before, mut worst, mut order) = (0, 0, Vec::new());
    rig.turn_until("all listings", |steps| {
        (before, worst) = (turns(steps), worst.max(turns(steps) - before));
        for (index, peer) in peers.iter_mut().enumerate() {
            if !received(peer).is_empty() && !order.contains(&index) {
                order.push(index);
            }
        }
        order.len() == peers.len()
    });
    assert!(worst <= AT_ONCE, "{worst} connections were asked in one turn");
    assert!(order.is_sorted(), "the first to come are the first to be served: {order:?}");
}

#[test]
fn turn_serves_those_who_wait_for_work() {
    let (mut rig, mut peers, _site) = waiting(30);
    expect_listings(&mut rig, &mut peers);
    // The loop sleeps, and a newcomer does not wait.
    let steps = rig.turn();
    assert!(steps.iter().any(|(_, step)| matches!(step, Step::Waiting { carried: 0, .. })), "{steps:?}");
    let mut late = rig.accepted();
    late.write_all((get("/d/") + &get("/hello.txt")).as_bytes()).expect("send");
    expect_listings(&mut rig, &mut [late]);
}

/// A place in the queue that nobody leaves would hold up those behind it.
#[test]
fn turn_forgets_those_who_leave_the_queue() {
    let (mut rig, mut peers, _site) = waiting(60);
    for peer in peers.drain(10..50) {
        sockopt::set_socket_linger(&peer, Some(Duration::ZERO)).expect("set SO_LINGER");
    }
    expect_listings(&mut rig, &mut peers);
    let open = rig.event_loop().open_connections();
    assert_eq!(open, peers.len());
}

#[test]
fn turn_serves_those_who_wait_for_work_during_a_drain() {
    let (mut rig, mut peers, _site) = waiting(40);
    // The shutdown wakes each of them once, and each keeps its place.
    rig.event_loop().drain();
    rig.turn();
    let mut got = vec![Vec::new(); peers.len()];
    rig.turn_until("all listings", |_| {
        got.iter_mut().zip(&mut peers).for_each(|(got, peer)| got.extend(received(peer)));
        got.iter().all(|got| String::from_utf8_lossy(got).contains("\r\n0\r\n\r\n"))
    });
    drop(peers);
    (0..5).for_each(|_| drop(rig.turn()));
    assert_eq!(rig.event_loop().open_connections(), 0);
}

#[test]
fn turn_closes_those_who_wait_for_work_at_the_drain_timeout() {
    let (mut rig, _peers, _site) = waiting(40);
    rig.event_loop().drain();
    rig.advance(seconds(11));
    let steps = rig.turn();
    let closed =
        steps.iter().filter(|(_, step)| matches!(step, Step::Closed { reason: CloseReason::Shutdown, .. }));
    assert!(closed.count() >= 30);
    assert_eq!(rig.event_loop().open_connections(), 0);
    rig.turn();
}
