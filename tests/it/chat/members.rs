//! Members: their names, joining, leaving, many of them, and the end of the server.

use oneloop::trace::Step;

use super::*;

#[test]
fn chat_joins_and_leaves_are_announced() {
    let mut chat = Chat::new();
    let mut one = chat.join("client1");
    let label = |name: &str, peer: &Peer| format!("{TIME} {name} ({})", peer.address());
    let two = chat.join("client2");
    let second = label("client2", &two);
    let mut three = chat.join("client3");
    let third = label("client3", &three);
    drop(two); // a FIN
    chat.expect(&mut one, "left\n");
    chat.expect(&mut three, "left\n");
    assert_eq!(one.take(), format!("{second} joined\n{third} joined\n{second} left\n"));
    assert_eq!(three.take(), format!("{second} left\n"));
}

#[test]
fn chat_name_that_is_not_accepted_can_be_given_again() {
    let mut chat = Chat::new();
    let mut one = chat.join("client1");
    let mut two = chat.connect();
    two.send(&format!("\n{}\nCLIENT1\ntwo words\nclient2\n", "x".repeat(33)));
    chat.expect(&mut two, "2 members");
    let prompt = "Please enter your name: ";
    let sentences = [
        "A name needs at least one character.",
        "A name has at most 32 characters.",
        "Another member has that name.",
        "A name consists of letters, digits, '-', '_' and '.'.",
        "You have entered the chat room!",
    ];
    let expected: String = sentences.iter().map(|sentence| format!("{prompt}{sentence}\n")).collect();
    assert!(two.take().starts_with(&expected));
    chat.expect(&mut one, "client2");
    // The fifth name is the last one.
    let mut three = chat.connect();
    three.send("client1\nclient1\nclient1\nclient1\nclient1\nclient3\n");
    chat.expect_times(&mut three, "that name.\n", 5);
    assert_eq!(three.take(), format!("{prompt}Another member has that name.\n").repeat(5));
    // A line that is too long for a name in any case ends the connection.
    let mut four = chat.connect();
    four.send(&"x".repeat(1025));
    chat.expect(&mut four, "That is not a name.\n");
    drop((three, four));
    chat.expect_open(2);
}

#[test]
fn chat_peer_can_leave_before_it_has_a_name() {
    let mut chat = Chat::new();
    let mut peer = chat.connect();
    peer.send("client/1\n/quit \nclient1\n");
    chat.expect(&mut peer, "You have left the chat room.\n");
    assert!(!peer.take().contains("entered"));
    chat.expect_end(&mut peer);
    drop(peer);
    chat.expect_open(0);
}

#[test]
fn chat_name_must_come_in_time_and_members_may_stay_silent() {
    let mut chat = Chat::new();
    let mut silent = chat.connect();
    let mut member = chat.join("client1");
    chat.rig.advance(Duration::from_secs(11));
    chat.expect(&mut silent, "You gave no name in time.\n");
    chat.rig.advance(Duration::from_secs(3600));
    drop(silent);
    chat.expect_open(1);
    member.send("/who\n");
    chat.expect(&mut member, "1 member: ");
}

#[test]
fn chat_room_holds_300_members() {
    allow_many_descriptors();
    let mut chat = Chat::new();
    let mut peers = chat.join_many(300);
    // All lines arrive within one turn.
    for (n, peer) in peers.iter_mut().enumerate() {
        peer.send(&format!("line {n}\n"));
    }
    for (n, peer) in peers.iter_mut().enumerate() {
        chat.expect_times(peer, ": line ", 299);
        chat.expect_times(peer, "\n", 299);
        let got = peer.take();
        let numbers = got.lines().map(|line| line.rsplit(' ').next().and_then(|number| number.parse().ok()));
        let mut lines: Vec<usize> = numbers.map(|number| number.expect("a number")).collect();
        lines.sort_unstable();
        let expected: Vec<usize> = (0..300).filter(|line| *line != n).collect();
        assert_eq!(lines, expected, "member {n}");
    }
    // Most of them vanish at once, and the others stay.
    peers.truncate(10);
    for peer in &mut peers {
        chat.expect_times(peer, ") left\n", 290);
    }
    chat.expect_open(10);
}

#[test]
fn chat_room_is_full_at_1000_connections() {
    allow_many_descriptors();
    let mut chat = Chat::new();
    let mut peers: Vec<Peer> = (0..1000).map(|_| chat.connect()).collect();
    let mut late = Peer { socket: TcpStream::connect(chat.address).expect("connect"), received: Vec::new() };
    late.socket.set_nonblocking(true).expect("set non-blocking");
    chat.expect(&mut late, "The chat room is full. Please try again later.\n");
    peers.pop();
    drop(late);
    chat.expect_open(999);
    chat.join("last");
}

#[test]
fn chat_server_that_shuts_down_tells_its_members() {
    let mut chat = Chat::new();
    let (mut one, mut two, mut unnamed) = (chat.join("client1"), chat.join("client2"), chat.connect());
    let mut flooding = chat.join("client3");
    flooding.send(&"flood\n".repeat(100));
    chat.expect_times(&mut one, ": flood\n", 19); // the name was a line as well
    chat.expect_times(&mut two, ": flood\n", 19);
    one.take();
    // The shutdown begins while this line waits in the queue.
    chat.rig.record();
    two.send("last words\n");
    let is_queued = |step: &Step| matches!(step, Step::Service(step) if step.doc.form.starts_with("line"));
    chat.rig.turn_until("the line is queued", |steps| steps.iter().any(|(_, step)| is_queued(step)));
    chat.rig.event_loop().drain();
    for (peer, expected) in [
        (&mut one, format!("{TIME} client2 ({}): last words\nThe server is shutting down.\n", two.address())),
        (&mut unnamed, "Please enter your name: \nThe server is shutting down.\n".into()),
    ] {
        chat.expect(peer, "down.\n");
        assert_eq!(peer.take(), expected);
    }
    chat.expect(&mut two, "down.\n");
    // A member that is being slowed need not wait for its time.
    chat.expect(&mut flooding, "down.\n");
    drop((one, two, unnamed, flooding));
    chat.rig.server.serve_forever().expect("it drains");
}

#[test]
fn chat_member_with_half_a_line_does_not_hold_up_the_shutdown() {
    let mut chat = Chat::new();
    let mut member = chat.join("client1");
    member.send("half a li");
    (0..5).for_each(|_| drop(chat.rig.turn()));
    chat.rig.event_loop().drain();
    chat.expect(&mut member, "The server is shutting down.\n");
    drop(member);
    chat.rig.server.serve_forever().expect("it drains");
}
