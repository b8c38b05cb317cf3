//! Members that flood, never read, or vanish harm nobody.

use super::*;

#[test]
fn chat_member_that_floods_is_slowed_and_loses_nothing() {
    let mut chat = Chat::new();
    let mut peers = chat.join_many(3);
    chat.rig.advance(Duration::from_secs(1)); // the name was a line, too
    let flood: String = (0..100).map(|n| format!("flood {n}\n")).collect();
    peers[0].send(&flood);
    chat.expect(&mut peers[1], ": flood 19\n");
    for _ in 0..4 {
        // Another member is not slowed, and the one that floods gets its lines.
        peers[1].send("calm\n");
        chat.expect(&mut peers[0], ": calm\n");
        chat.expect(&mut peers[2], ": calm\n");
        assert_eq!(peers[2].take().matches(": flood ").count(), 20);
        peers[0].take();
        // After two seconds, the next 20 lines are allowed.
        chat.rig.advance(Duration::from_secs(2));
        chat.expect_times(&mut peers[2], ": flood ", 20);
    }
    chat.expect(&mut peers[1], ": flood 99\n");
}

#[test]
fn chat_member_that_floods_and_vanishes_leaves_at_once() {
    let mut chat = Chat::new();
    let mut one = chat.join("client1");
    let mut two = chat.join("client2");
    two.send(&"flood\n".repeat(1000));
    chat.expect_times(&mut one, ": flood\n", 19); // the name was a line as well
    Client::over(two.socket).reset();
    chat.expect(&mut one, "left: the connection broke\n");
    assert_eq!(one.take().matches(": flood\n").count(), 19);
}

#[test]
fn chat_member_that_does_not_read_is_dropped() {
    let mut chat = Chat::new();
    let mut peers = chat.join_many(2);
    let lazy = chat.join("lazy");
    let mut late = chat.join("late");
    let label = format!("lazy ({})", lazy.address());
    let text = format!("{}\n", "x".repeat(1000));
    let is_dropped = |peer: &Peer| memmem::find(&peer.received, b"does not read\n").is_some();
    // These two have megabytes of room in the kernel, and then 64 KiB in the outbox and the queue.
    for second in 0.. {
        assert!(second < 2000, "a member that does not read is dropped");
        peers.iter_mut().for_each(|peer| peer.received.clear());
        for n in [0, 1] {
            peers[n].send(&text.repeat(10));
            // The others get all lines in time.
            chat.expect_times(&mut peers[1 - n], &text, 10);
        }
        chat.rig.advance(Duration::from_secs(1));
        if is_dropped(&peers[0]) {
            assert!(second > 5, "dropped too early");
            break;
        }
    }
    let [one, _] = &mut peers[..] else { panic!("two members") };
    chat.expect_times(one, "does not read\n", 2);
    assert!(one.take().contains(&format!("{label} left: does not read\n")));
    one.send("/who\n");
    chat.expect(one, "2 members: m1 ");
    // The connections are still open, and one of them reads now.
    chat.expect(&mut late, "You have been dropped from the chat room, because you did not read.\n");
    chat.expect_end(&mut late);
    drop(late);
    chat.expect_open(3);
    // At each send timeout the loop tries to write once more, and a kernel that was slow to move
    // its buffers may still have room then.
    for _ in 0..20 {
        chat.rig.advance(Duration::from_secs(31));
        chat.rig.turn();
    }
    chat.expect_open(2);
}

#[test]
fn chat_member_that_vanishes_leaves_a_reason() {
    let mut chat = Chat::new();
    let mut one = chat.join("client1");
    let two = chat.join("client2");
    let label = format!("{TIME} client2 ({})", two.address());
    chat.expect(&mut one, "joined\n");
    Client::over(two.socket).reset();
    chat.expect(&mut one, "broke\n");
    assert_eq!(one.take(), format!("{label} joined\n{label} left: the connection broke\n"));
    one.send("/who\n");
    chat.expect(&mut one, "1 member: ");
}
