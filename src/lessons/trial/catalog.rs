//! The trials: what each one expects, and what to look for in a server that fails it.

use std::io;

use super::{Verdict, crowds, play::Play, scenes};
use crate::lessons::{Bug, LESSONS};

/// One scene that scripted clients play against a server.
pub struct Trial {
    /// A short name, for programs.
    pub name: &'static str,
    /// The number of the lesson that explains the scene.
    pub lesson: u8,
    /// What a server must do.
    pub expected: &'static str,
    /// What to look for in the code of a server that fails.
    pub look_for: &'static str,
    /// The bug of the lesson that has the same effect, if there is one.
    pub bug: Option<Bug>,
    pub(super) scene: fn(&mut Play<'_>) -> io::Result<Verdict>,
}

macro_rules! trials {
    ($($lesson:literal $name:literal $scene:path, $bug:expr, $expected:literal, $look_for:literal;)*) => {
        /// All trials, in the order of their lessons.
        pub const TRIALS: &[Trial] = &[$(Trial {
            name: $name,
            lesson: $lesson,
            expected: $expected,
            look_for: $look_for,
            bug: $bug,
            scene: $scene,
        }),*];
    };
}

trials! {
    1 "drip" scenes::drip_request, Some(Bug::OneReadOneMessage),
        "A request that arrives in five pieces gets one answer, after the last piece.",
        "code that takes the bytes of one read for a whole request; keep them until the request is complete";
    2 "pipeline" scenes::pipeline_requests, Some(Bug::OneReadOneMessage),
        "Two requests in one send get two answers.",
        "a buffer that is cleared after the first request; parse until no whole request is left";
    2 "split" scenes::split_request, Some(Bug::OneReadOneMessage),
        "A request and a half, and later the other half, get two answers.",
        "bytes after the first request that are dropped; keep them, and append what the next read returns";
    3 "never-reads" scenes::stop_reading, Some(Bug::WriteAll),
        "While A requests a lot and reads nothing, B gets its answer. Once A reads, it gets the rest.",
        "a write that waits until everything is sent (sendall, a loop around send); keep the offset, and wait for writability";
    4 "burst" crowds::connect_at_once, Some(Bug::AcceptOnce),
        "Five clients that connect at once all get their answers, ten times.",
        "one accept for each event, under edge triggers; accept until the call would block";
    4 "large-request" scenes::send_large_request, Some(Bug::NoDrain),
        "6,000 bytes of input in one send are all read and answered (a refusal is an answer).",
        "one read for each event, under edge triggers; read until the call would block";
    5 "half-close" scenes::half_close, Some(Bug::CloseOnEof),
        "A client that sends a request and then ends its output gets its answer.",
        "code that closes as soon as read returns 0; first answer what has arrived, and send all of it";
    6 "slow-head" scenes::leave_request_unfinished, Some(Bug::NoDeadline),
        "A connection whose request never ends is closed in time, and does not delay B.",
        "a poll without a timeout; give each connection a deadline, and let the poll sleep until the nearest one";
    7 "hog" crowds::send_many_requests, Some(Bug::NoBudget),
        "B gets its answer long before A has all of its many answers.",
        "a loop that serves one connection until it has no more work; give each turn of a connection a budget";
    8 "silent" crowds::connect_silent_clients, Some(Bug::ScanAll),
        "With many silent clients, a request is answered nearly as fast as without them.",
        "work for every connection in every turn (select, poll, searching a list), or a wait for one connection";
    9 "reset" scenes::reset_connections, None,
        "After clients that reset their connections, the server still serves others.",
        "a write to a closed connection: SIGPIPE (ignore it, or send with MSG_NOSIGNAL), EPIPE, ECONNRESET or an exception that nothing handles";
}

impl Trial {
    /// Returns the title of the trial's lesson.
    pub fn title(&self) -> &'static str {
        LESSONS.iter().find(|lesson| lesson.number == self.lesson).map_or("", |lesson| lesson.title)
    }
}
