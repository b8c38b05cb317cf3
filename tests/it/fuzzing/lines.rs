//! Conversations in lines: SMTP, POP3 and chat.

use std::time::{Duration, SystemTime};

use oneloop::{Address, ChatRoom, MailLimits, Mailbox, Pop3Service, SmtpService, protocol::ProtocolFactory};

use super::conversation::{Conversation, Loop, cuts, split_choice};

/// The maximum length of the input that SMTP keeps: a line of a response to AUTH, and its end.
const MAX_KEPT_SMTP: usize = 12_288 + 2;
/// The maximum length of the input that POP3 and chat keep: a line and its end.
const MAX_KEPT: usize = 1024 + 2;
/// Room for a few short messages.
const LIMITS: MailLimits = MailLimits { messages: 3, bytes: 4096, message_bytes: 2048 };
/// The mail that a POP3 client finds.
const MAIL: &[u8] = b"EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n\
    Subject: one\r\n\r\n..dot\r\nlast\r\n.\r\n\
    MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\nQUIT\r\n";

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)
}

/// Sends `pieces` to a new connection of `service`. Returns what the peer saw.
fn converse(mut service: impl ProtocolFactory, pieces: &[&[u8]], max_kept: usize) -> Conversation {
    let mut connection = Loop::new(service.create(&Address::Unix(None)), now(), max_kept);
    connection.receive(pieces.iter().copied());
    connection.end()
}

/// Asserts that the output consists of whole lines, which `is_line` accepts.
fn assert_lines(got: &Conversation, end: &str, is_line: impl Fn(&str) -> bool) {
    let text = String::from_utf8_lossy(&got.output);
    assert!(text.is_empty() || text.ends_with(end), "{text:?}");
    for line in text.split_terminator(end) {
        let is_printable = !line.chars().any(acts_on_terminal);
        assert!(is_printable && is_line(line), "{line:?} in {text:?}");
    }
}

/// Returns whether a terminal does more than show `char`: it could move the cursor, or change the
/// direction of the text around it.
fn acts_on_terminal(char: char) -> bool {
    char.is_control() && char != '\t' || matches!(char, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Checks SMTP: the same replies and the same mail however the input is cut, and no more mail than
/// the limits allow.
pub fn smtp(data: &[u8]) {
    let (choice, stream) = split_choice(data);
    let mut whole = None;
    for pieces in cuts(stream, choice) {
        let mailbox = Mailbox::in_memory(LIMITS);
        let got = converse(SmtpService::new(mailbox.clone()), &pieces, MAX_KEPT_SMTP);
        let (messages, bytes) = mailbox.totals();
        assert!(messages <= LIMITS.messages && bytes <= LIMITS.bytes, "{messages} messages, {bytes} bytes");
        assert_lines(&got, "\r\n", |line| {
            let code = line.get(..3).and_then(|code| code.parse().ok()).unwrap_or(0);
            (200..600).contains(&code) && matches!(line.get(3..4), Some("-" | " "))
        });
        // Reading the mail also shows that nothing holds the mailbox after the end.
        let commands = b"USER a\r\nPASS b\r\nRETR 1\r\nRETR 2\r\nRETR 3\r\nQUIT\r\n";
        let mail = converse(Pop3Service::new(mailbox), &[commands], MAX_KEPT);
        let all = (got, messages, mail);
        assert_eq!(whole.get_or_insert_with(|| all.clone()), &all, "it depends on the cut");
    }
}

/// Checks POP3: the same responses and the same mail afterwards however the input is cut.
pub fn pop3(data: &[u8]) {
    let (choice, stream) = split_choice(data);
    let mut whole = None;
    for pieces in cuts(stream, choice) {
        let mailbox = Mailbox::in_memory(LIMITS);
        converse(SmtpService::new(mailbox.clone()), &[MAIL], MAX_KEPT_SMTP);
        assert_eq!(mailbox.totals().0, 2, "the mail to read");
        let got = converse(Pop3Service::new(mailbox.clone()), &pieces, MAX_KEPT);
        assert_lines(&got, "\r\n", |_| true);
        assert!(got.output.starts_with(b"+OK"), "a greeting");
        let all = (got, mailbox.totals());
        assert_eq!(whole.get_or_insert_with(|| all.clone()), &all, "it depends on the cut");
    }
}

/// Checks the chat: the same lines for the peer and for another member however the input is cut,
/// and no line that could act on a terminal.
pub fn chat(data: &[u8]) {
    let (choice, stream) = split_choice(data);
    let mut whole = None;
    for pieces in cuts(stream, choice) {
        let mut room = ChatRoom::new(None);
        let mut member = Loop::new(room.create(&Address::Unix(None)), now(), MAX_KEPT);
        member.receive([b"bob\n".as_slice()]);
        let got = converse(room, &pieces, MAX_KEPT);
        member.wake();
        let all = [got, member.end()];
        for seen in &all {
            // A prompt has no end.
            let output = [&seen.output[..], b"\n"].concat();
            assert_lines(&Conversation { output, closed: seen.closed }, "\n", |_| true);
        }
        assert_eq!(whole.get_or_insert_with(|| all.clone()), &all, "it depends on the cut");
    }
}
