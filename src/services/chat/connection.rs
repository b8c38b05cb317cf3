//! One connection to the room: the name, the lines and commands, and the reason for leaving.

use std::{cell::RefCell, rc::Rc, time::Duration};

use super::{
    room::{Delivery, Room},
    steps, text,
};
use crate::{
    address::Address,
    framing,
    printable::replace_unprintable,
    protocol::{CloseReason, Context, Outbox, Progress, Protocol, Received, Timeout, WakeKey},
    token_bucket::{Rate, TokenBucket},
};

/// The rate at which one member may send lines: 10 a second, and 20 at once after a pause.
const LINE_RATE: Rate = Rate { burst: 20, interval: Duration::from_millis(100) };
/// The maximum length of a line in bytes, without its end.
const MAX_LINE: usize = 1024;
/// The number of names that a connection may give until one is accepted.
const MAX_NAMES: u8 = 5;
const PROMPT: &str = "Please enter your name: ";
const HELP: &str = "Everyone else gets each line that you send. /who lists the members, /quit leaves. \
                    Begin a line with a space to send a slash.\n";

/// The protocol of one connection to the room.
pub struct ChatConnection {
    room: Rc<RefCell<Room<WakeKey>>>,
    /// The peer's address, as the other members see it.
    address: String,
    membership: Membership,
    head_timeout: Option<Duration>,
    /// A token for each line that the peer may send.
    tokens: TokenBucket,
    /// Whether the rest of the current line is dropped, because the line is too long.
    skips_line: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Membership {
    /// The connection has no place in the room: it has just been created, or the room is full.
    Outside,
    /// The peer has not given a name yet, and may give this many.
    Unnamed { names_left: u8 },
    /// The peer joined as the member with this number. The room may have dropped it since then.
    Member(u64),
}

impl ChatConnection {
    /// Creates the protocol for a connection that has not been counted by the room yet.
    pub fn new(
        room: Rc<RefCell<Room<WakeKey>>>,
        peer: &Address,
        head_timeout: Option<Duration>,
    ) -> ChatConnection {
        let address = replace_unprintable(peer.to_string().as_bytes());
        let (membership, tokens) = (Membership::Outside, TokenBucket::default());
        ChatConnection { room, address, membership, head_timeout, tokens, skips_line: false }
    }

    /// Moves waiting lines into `out` while it has room. Returns what the connection does next
    /// unless all of them have been moved.
    fn send_waiting(&mut self, out: &mut Outbox) -> Option<Progress> {
        let Membership::Member(number) = self.membership else { return None };
        let mut room = self.room.borrow_mut();
        let Some(queue) = room.queue(number) else {
            put(out, "You have been dropped from the chat room, because you did not read.\n");
            return Some(Progress::Close(CloseReason::Limit));
        };
        while out.has_room() {
            let line = queue.pop()?;
            out.bytes().extend_from_slice(&line);
        }
        (!queue.is_empty()).then_some(Progress::Yield)
    }

    /// Returns what to do until the peer may send its next line, or `None` if it may now.
    fn wait(&mut self, out: &mut Outbox, cx: &mut Context<'_>) -> Option<Progress> {
        let at = self.tokens.next_token_at(LINE_RATE, cx.clock.now())?;
        if cx.draining {
            self.last_response(CloseReason::Shutdown, &[], out, cx);
            return Some(Progress::Close(CloseReason::Shutdown));
        }
        Some(Progress::WaitUntil(Some(at)))
    }

    /// Makes the peer a member if the line is a name that is free.
    fn join(&mut self, line: &[u8], names_left: u8, out: &mut Outbox, cx: &mut Context<'_>) -> Progress {
        let mut room = self.room.borrow_mut();
        let joined = text::parse_name(line).and_then(|name| {
            let number = room.join(name.clone(), self.address.clone(), cx.wake_key())?;
            Ok((name, number))
        });
        let error = match joined {
            Ok((name, number)) => {
                self.membership = Membership::Member(number);
                let delivery = room.announce(number, cx.clock.wall(), |key| cx.wake(key));
                cx.trace(|| steps::joined(&name, room.len()));
                trace_dropped(&delivery, cx);
                put(out, "You have entered the chat room!\n");
                put(out, &room.list());
                return Progress::Again;
            }
            Err(error) => error,
        };
        put(out, error.sentence());
        put(out, "\n");
        match names_left - 1 {
            0 => Progress::Close(CloseReason::BadRequest),
            names_left => {
                put(out, PROMPT);
                self.membership = Membership::Unnamed { names_left };
                Progress::Again
            }
        }
    }

    /// Ends the conversation, because the peer asked for it.
    fn quit(&mut self, out: &mut Outbox, cx: &mut Context<'_>) -> Progress {
        self.leave(CloseReason::Done, cx);
        put(out, "You have left the chat room.\n");
        Progress::Close(CloseReason::Done)
    }

    /// Executes a command, or sends the line to all other members.
    fn speak(&mut self, line: &[u8], number: u64, out: &mut Outbox, cx: &mut Context<'_>) -> Progress {
        let text = replace_unprintable(line);
        let mut room = self.room.borrow_mut();
        match text.trim_end() {
            "" => {}
            "/quit" => {
                drop(room);
                return self.quit(out, cx);
            }
            "/who" => put(out, &room.list()),
            "/help" => put(out, HELP),
            command if command.starts_with('/') => {
                let name = command.split(' ').next().unwrap_or_default();
                put(out, &format!("There is no command {name}. {HELP}"));
            }
            text => {
                let delivery = room.say(number, text, cx.clock.wall(), |key| cx.wake(key));
                cx.trace(|| steps::line(text.len(), delivery.members));
                trace_dropped(&delivery, cx);
            }
        }
        Progress::Again
    }

    /// Removes the peer from the members, unless the room has dropped it or it has left before.
    fn leave(&self, reason: CloseReason, cx: &mut Context<'_>) {
        let Membership::Member(number) = self.membership else { return };
        // At a shutdown all members leave, so a notice about each of them would be noise.
        let notice = (!cx.draining).then_some(match reason {
            CloseReason::Reset | CloseReason::BrokenPipe => "left: the connection broke",
            CloseReason::SendTimeout => "left: does not read",
            _ => "left",
        });
        let mut room = self.room.borrow_mut();
        if let Some(name) = room.leave(number, notice, cx.clock.wall(), |key| cx.wake(key)) {
            cx.trace(|| steps::left(&name, room.len(), reason));
        }
    }
}

impl Protocol for ChatConnection {
    fn on_connected(&mut self, out: &mut Outbox, _cx: &mut Context<'_>) -> Progress {
        if !self.room.borrow_mut().admit() {
            put(out, "The chat room is full. Please try again later.\n");
            return Progress::Close(CloseReason::Limit);
        }
        self.membership = Membership::Unnamed { names_left: MAX_NAMES };
        put(out, PROMPT);
        Progress::NeedInput
    }

    fn receive(&mut self, input: &[u8], out: &mut Outbox, cx: &mut Context<'_>) -> Received {
        let (line, consumed) = match framing::line(input, MAX_LINE) {
            Ok(Some((line, consumed))) => (Some(line), consumed),
            Ok(None) => return Received { consumed: 0, progress: Progress::NeedInput },
            // The beginning of a line that is too long is dropped now, and the rest as it arrives.
            Err(framing::TooLong) => (None, input.len().min(MAX_LINE)),
        };
        if let Some(progress) = self.wait(out, cx) {
            if let Progress::WaitUntil(Some(at)) = progress {
                cx.trace(|| steps::slowed(at.saturating_duration_since(cx.clock.now())));
            }
            return Received { consumed: 0, progress };
        }
        // The members that have been woken send first, so that no queue fills within a turn.
        if !self.room.borrow_mut().has_budget(cx.clock.turn()) {
            return Received { consumed: 0, progress: Progress::Yield };
        }
        self.tokens.take(LINE_RATE, cx.clock.now());
        let progress = match (line, self.membership) {
            (_, Membership::Outside) => Progress::Close(CloseReason::Limit),
            // Not a name, because no name has a slash.
            (Some(line), Membership::Unnamed { .. }) if line.trim_ascii_end() == b"/quit" => {
                self.quit(out, cx)
            }
            (Some(line), Membership::Unnamed { names_left }) => self.join(line, names_left, out, cx),
            // Only whole lines count as tries, so a longer one must not go on.
            (None, Membership::Unnamed { .. }) => {
                put(out, "That is not a name.\n");
                Progress::Close(CloseReason::BadRequest)
            }
            (line, Membership::Member(_)) if self.skips_line => {
                self.skips_line = line.is_none();
                Progress::Again
            }
            (Some(line), Membership::Member(number)) => self.speak(line, number, out, cx),
            (None, Membership::Member(_)) => {
                self.skips_line = true;
                put(out, &format!("That line is longer than {MAX_LINE} bytes and was not sent.\n"));
                Progress::Again
            }
        };
        Received { consumed, progress }
    }

    fn resume(&mut self, out: &mut Outbox, cx: &mut Context<'_>) -> Progress {
        let waits = self.send_waiting(out);
        waits.or_else(|| self.wait(out, cx)).unwrap_or(Progress::Again)
    }

    fn timeout(&self, _partial: bool) -> Timeout {
        match self.membership {
            Membership::Member(_) => Timeout { limit: None, reason: CloseReason::IdleTimeout },
            _ => Timeout { limit: self.head_timeout, reason: CloseReason::HeadTimeout },
        }
    }

    fn last_response(
        &mut self,
        reason: CloseReason,
        _partial: &[u8],
        out: &mut Outbox,
        _cx: &mut Context<'_>,
    ) {
        self.send_waiting(out);
        // The prompt has no end of line.
        put(out, if matches!(self.membership, Membership::Unnamed { .. }) { "\n" } else { "" });
        match reason {
            CloseReason::HeadTimeout => put(out, "You gave no name in time.\n"),
            _ => put(out, "The server is shutting down.\n"),
        }
    }

    fn on_closed(&mut self, reason: CloseReason, _sent: u64, cx: &mut Context<'_>) {
        if self.membership == Membership::Outside {
            return;
        }
        self.room.borrow_mut().release();
        self.leave(reason, cx);
    }
}

fn put(out: &mut Outbox, text: &str) {
    out.bytes().extend_from_slice(text.as_bytes());
}

fn trace_dropped(delivery: &Delivery, cx: &mut Context<'_>) {
    for name in &delivery.dropped {
        cx.trace(|| steps::dropped(name));
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::{
        clock::Clock,
        protocol::{InputBudget, LoopCounters, LoopRequests, WorkBudget},
        trace::Observers,
    };

    /// Calls `act` with a context of a loop whose clock stands still.
    fn with_context<T>(act: impl FnOnce(&mut Context<'_>) -> T) -> T {
        let clock = Clock::frozen(SystemTime::UNIX_EPOCH);
        let (mut observers, mut work, mut requests) =
            (Observers::default(), WorkBudget::default(), LoopRequests::default());
        let (input, mut counters) = (InputBudget::default(), LoopCounters::default());
        act(&mut Context::without_loop(
            &clock,
            &mut observers,
            &mut work,
            &input,
            &mut requests,
            &mut counters,
        ))
    }

    /// Empties the outbox, as a socket does. Returns the number of bytes that it held.
    fn send_all(out: &mut Outbox) -> usize {
        let len = out.bytes().len();
        out.advance(len);
        len
    }

    #[test]
    fn queue_that_exceeds_the_outbox_is_sent_in_pieces() {
        let room = Rc::new(RefCell::new(Room::new()));
        let peer = Address::Unix(None);
        let mut connection = ChatConnection::new(Rc::clone(&room), &peer, None);
        let mut out = Outbox::default();
        with_context(|cx| {
            assert_eq!(connection.on_connected(&mut out, cx), Progress::NeedInput);
            let entered = connection.receive(b"client1\n", &mut out, cx);
            assert_eq!(entered, Received { consumed: 8, progress: Progress::Again });
            send_all(&mut out);
            // 600 others leave, with notices that never count.
            let mut bytes = 0;
            for n in 0..600 {
                let name = format!("{}{n}", "\u{4f60}".repeat(29));
                let mut room = room.borrow_mut();
                let number = room.join(name.clone(), String::from("a"), cx.wake_key()).expect("a free name");
                room.leave(number, Some("left"), cx.clock.wall(), |key| cx.wake(key));
                bytes += "[1970-01-01 00:00:00]  (a) left\n".len() + name.len();
            }
            assert_eq!(connection.resume(&mut out, cx), Progress::Yield);
            let first = send_all(&mut out);
            assert_eq!(connection.resume(&mut out, cx), Progress::Again);
            assert_eq!((first < bytes, first + send_all(&mut out)), (true, bytes));
        });
    }
}
