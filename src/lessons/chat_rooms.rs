//! Two chat rooms in one loop, for the lesson about a member that never reads. The room of L1 may
//! have a bug.

use std::{io, time::Duration};

use super::{bug::Bug, harness::Harness, setup::Setup, transcript::TranscriptEntry};
use crate::{event_loop::Limits, services::ChatRoom};

/// The length in bytes of a line that fills buffers, and the number of lines that a member may send
/// at once.
const LONG_LINE: usize = 1000;
const BURST: usize = 20;
/// The number of bursts after which B's connection is blocked and its queue is not full, on every
/// kernel.
const UNTIL_BLOCKED: usize = 3;
/// The maximum number of bursts after that. A queue with a limit is full earlier.
const UNTIL_FULL: usize = 6;

/// Sets up the lesson: a room for the clients of L1, and another for the clients of L2.
pub fn open_two_rooms(setup: &Setup<'_>) -> io::Result<Harness> {
    let room = ChatRoom::new(None);
    let first = match setup.bug {
        Some(Bug::UnboundedQueue) => room.with_unbounded_queues(),
        _ => room,
    };
    // The send timeout would close B's connection at a time that depends on the kernel's buffers.
    let event_loop = Setup::event_loop_with(Limits { send_timeout: None, ..Limits::default() })?;
    setup.with_listeners_of(event_loop, vec![Box::new(first), Box::new(ChatRoom::new(None))])
}

/// A and B are in the room of L1, and C and D in the room of L2. B never reads.
pub fn fill_a_queue(harness: &mut Harness) -> io::Result<()> {
    let is_new_member = |entry: &TranscriptEntry| {
        ["connects", " accept -> c", "chat joined"].iter().any(|part| entry.to_string().contains(part))
    };
    harness.condense("(all four connect and give their names)", is_new_member, |harness| {
        for (name, listener) in [('A', 1), ('B', 1), ('C', 2), ('D', 2)] {
            harness.connect_to(name, name == 'B', listener)?;
            harness.send(name, format!("{name}\n").as_bytes())?;
        }
        ['A', 'C', 'D'].into_iter().try_for_each(|name| harness.receive_lines(name))
    })?;
    harness.send('A', b"hello\n")?;
    let is_armed = |entry: &TranscriptEntry| entry.to_string().contains("c2 arm W");
    harness.condense("A says long lines, ten a second, and B reads nothing", is_armed, |harness| {
        (0..UNTIL_BLOCKED).try_for_each(|_| say_long_lines(harness))
    })?;
    harness.send('C', b"hi\n")?;
    harness.receive_lines('D')?;
    let is_dropped = |entry: &TranscriptEntry| entry.to_string().contains("chat dropped");
    harness.condense("A says more long lines", is_dropped, |harness| {
        for _ in 0..UNTIL_FULL {
            say_long_lines(harness)?;
            if harness.has_seen("chat dropped") {
                break;
            }
        }
        Ok(())
    })?;
    harness.receive_lines('A')?;
    harness.send('A', b"who is left?\n")?;
    harness.send('C', b"bye\n")?;
    harness.receive_lines('D')
}

/// Lets A say as many lines as a member may at once, and waits until it may go on.
fn say_long_lines(harness: &mut Harness) -> io::Result<()> {
    let line = format!("{}\n", "x".repeat(LONG_LINE));
    harness.send('A', line.repeat(BURST).as_bytes())?;
    harness.advance(Duration::from_secs(2))
}
