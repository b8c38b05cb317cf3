//! What the room does with lines: it splits them, cleans them, and follows commands.

use super::*;

#[test]
fn chat_line_goes_to_everyone_else() {
    let mut chat = Chat::new();
    let [mut one, mut two, mut three] =
        ["client1", "client2", "\u{5f6d}\u{7a0b}"].map(|name| chat.join(name));
    let [first, third] = [one.address(), three.address()];
    chat.expect(&mut one, "\u{5f6d}\u{7a0b}");
    chat.expect(&mut two, "\u{5f6d}\u{7a0b}");
    one.take();
    two.take();
    one.send("\u{4f60}\u{597d}\n");
    chat.expect(&mut two, "\u{597d}\n");
    chat.expect(&mut three, "\u{597d}\n");
    three.send("  in reply\r\n");
    chat.expect(&mut one, "reply\n");
    chat.expect(&mut two, "reply\n");
    let hello = format!("{TIME} client1 ({first}): \u{4f60}\u{597d}\n");
    let reply = format!("{TIME} \u{5f6d}\u{7a0b} ({third}):   in reply\n");
    assert_eq!(one.take(), reply, "the sender does not get its own line");
    assert_eq!(two.take(), format!("{hello}{reply}"));
    assert_eq!(three.take(), hello);
}

#[test]
fn chat_lines_arrive_in_any_pieces() {
    const SENT: &str = "client2\r\nh\u{e9}llo \u{4f60}\u{597d}\nsecond\r\n\n/who\n\u{1f600}\n";
    for step in [1, 2, 3, 7, SENT.len()] {
        let mut chat = Chat::new();
        let mut one = chat.join("client1");
        let mut two = chat.connect();
        for piece in SENT.as_bytes().chunks(step) {
            two.socket.write_all(piece).expect("send");
            chat.rig.turn();
        }
        let [a, b] = [one.address(), two.address()];
        let list = format!("2 members: client1 ({a}), client2 ({b})\n");
        chat.expect(&mut one, "\u{1f600}\n");
        chat.expect_times(&mut two, "2 members", 2);
        chat.expect_times(&mut two, "\n", 3);
        assert_eq!(two.take(), format!("{WELCOME}{list}{list}"), "pieces of {step}");
        let texts = ["h\u{e9}llo \u{4f60}\u{597d}", "second", "\u{1f600}"];
        let lines = texts.map(|text| format!("{TIME} client2 ({b}): {text}\n"));
        let expected = format!("{TIME} client2 ({b}) joined\n{}", lines.concat());
        assert_eq!(one.take(), expected, "pieces of {step}");
    }
}

#[test]
fn chat_line_cannot_act_on_a_terminal() {
    let mut chat = Chat::new();
    let (mut one, mut two) = (chat.join("client1"), chat.join("client2"));
    one.take();
    two.socket.write_all(b"\x1b]0;title\x07 \xff\xe4\xbd \xc2\x9b2J a\tb\r.\n").expect("send");
    chat.expect(&mut one, ".\n");
    let text = one.take();
    let (_, text) = text.split_once("): ").expect("a line");
    assert_eq!(text, "\u{fffd}]0;title\u{fffd} \u{fffd}\u{fffd} \u{fffd}2J a b\u{fffd}.\n");
}

#[test]
fn chat_line_that_is_too_long_is_not_sent() {
    let mut chat = Chat::new();
    let (mut one, mut two) = (chat.join("client1"), chat.join("client2"));
    chat.expect(&mut one, "joined\n");
    one.take();
    let longest = "x".repeat(1024);
    two.send(&format!("{longest}\r\n{longest}y\r\n{}\nafter\n", "z".repeat(5000)));
    chat.expect(&mut one, "after\n");
    let label = format!("{TIME} client2 ({})", two.address());
    assert_eq!(one.take(), format!("{label}: {longest}\n{label}: after\n"));
    chat.expect_times(&mut two, "not sent.\n", 2);
    assert_eq!(two.take(), "That line is longer than 1024 bytes and was not sent.\n".repeat(2));
}

#[test]
fn chat_commands() {
    let mut chat = Chat::new();
    let (mut one, mut two) = (chat.join("client1"), chat.join("client2"));
    chat.expect(&mut one, "joined\n");
    one.take();
    two.send("/who\n/help\n/\u{1b}[2Jx y\n /not a command\n/quit \nunread\n");
    chat.expect(&mut one, "left\n");
    let label = format!("{TIME} client2 ({})", two.address());
    assert_eq!(one.take(), format!("{label}:  /not a command\n{label} left\n"));
    chat.expect(&mut two, "left the chat room.\n");
    let got = two.take();
    let lines: Vec<&str> = got.lines().collect();
    assert_eq!(lines[0], format!("2 members: client1 ({}), client2 ({})", one.address(), two.address()));
    assert!(lines[1].contains("/who") && lines[1].contains("/quit"), "{lines:?}");
    assert_eq!(lines[2], format!("There is no command /\u{fffd}[2Jx. {}", lines[1]));
    assert_eq!(lines[3..], ["You have left the chat room."]);
    drop(two);
    chat.expect_open(1);
}
